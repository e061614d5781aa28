"""TODO ablation."""
