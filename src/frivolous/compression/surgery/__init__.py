"""TODO compression/surgery."""
