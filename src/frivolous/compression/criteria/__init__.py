"""TODO compression/criteria."""
