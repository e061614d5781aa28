"""TODO compression/export."""
