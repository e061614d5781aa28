"""TODO training/cohort."""
