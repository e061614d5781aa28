"""TODO compression/search."""
