"""TODO compression/reporting."""
