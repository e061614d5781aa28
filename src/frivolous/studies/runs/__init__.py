"""One run: its spec, and how it is made.

- ``spec``, ``measure``: what runs of all kinds share, of their specs and of their measurement
- ``dense_spec``, ``train_dense``: dense networks on synthetic data, trained as cohorts
- ``image_spec``, ``train_image``: image networks, one after another
"""
