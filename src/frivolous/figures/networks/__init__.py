"""TODO figures/networks."""
