"""TODO studies/runs."""
