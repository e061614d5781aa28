"""A user's data, in whatever form, as batches that can be read again and again.

- ``batches``: ``as_batches``, what all verbs read data with
- ``formats``: what one batch may look like, with or without labels
- ``batch``: a batch as a tree of tensors: change it, take from it, call a module on it
- ``loaders``: data loaders, read in one order however they draw
- ``cache``: examples that cannot be read twice, kept in memory or in a mapped file
- ``tally``: examples counted, and held to be alike
- ``progress``: how far a pass over the batches is
"""
