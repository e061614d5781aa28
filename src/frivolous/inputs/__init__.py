"""Inputs: a user's data, in whatever form, as batches that can be read again and again.

- ``batches``: ``as_batches``, with which all verbs read data
- ``formats``: what one batch may look like, with or without labels
- ``batch``: a batch as a tree of tensors: map it, take examples, call a module on it
- ``loaders``: data loaders, read in one fixed order
- ``cache``: examples that cannot be read twice, kept in memory or in a mapped file
- ``tally``: counts examples and checks that batches are alike
- ``progress``: how far a pass over the batches is
"""
