"""Units taken out.

- ``graph``: out of an exported graph and its weights
- ``module``: out of a copy of the user's module: the same class, smaller layers
- ``biases``: constant terms for layers without one, so that constants can be folded in
"""
