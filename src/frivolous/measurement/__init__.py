"""TODO measurement."""
