"""TODO training/single."""
