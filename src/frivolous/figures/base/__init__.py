"""TODO figures/base."""
