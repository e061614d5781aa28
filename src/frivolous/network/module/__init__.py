"""TODO network/module."""
