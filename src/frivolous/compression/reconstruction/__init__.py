"""TODO compression/reconstruction."""
