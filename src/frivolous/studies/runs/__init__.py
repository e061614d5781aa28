"""One run: its spec, and how it is made.

- ``dense_spec``, ``train_dense``: dense networks on synthetic data, trained as cohorts
- ``image_spec``, ``train_image``: image networks, one after another
"""
