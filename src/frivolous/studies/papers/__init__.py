"""TODO studies/papers."""
