"""The figures of the papers: curves and grids, as data.

- ``dense_curves``, ``image_curves``: curves of dense and of image networks, with their scales
- ``networks_cifar``, ``networks_imagenet``: how each network of the papers was trained
- ``aaai_synthetic``, ``aaai_cifar``, ``aaai_imagenet``: the figures of Casper et al. (AAAI 2021)
- ``preprints``: those of its earlier versions
- ``effective_width``: a study of our own: joint widths with the papers' two counts
"""
