"""From images on disk or in memory to what a network reads.

- ``decode``: image files into bytes
- ``encoded``: examples that stay encoded and are decoded when a batch asks for them
- ``transforms``: crops, flips, colours and scaling of a batch
- ``random_crop``, ``resizing``: the usual crops of photographs, and bilinear resizing
"""
