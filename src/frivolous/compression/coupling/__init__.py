"""TODO compression/coupling."""
