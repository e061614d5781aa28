"""TODO figures/studies."""
