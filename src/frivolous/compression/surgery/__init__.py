"""Surgery: remove units from graphs and modules.

- ``graph``: from an exported graph and its weights
- ``module``: from a copy of the user's module: the same class, smaller layers
- ``biases``: biases for layers without one, so that constants can be folded into them
"""
