"""Pruning criteria: in which order the units of a group go.

- ``calibration``: one pass over data: moments of what readers read, and how much outputs matter
- ``im2col``: what a layer reads, as rows of features
- ``methods``: the criteria, each a ranking of units and a way to fit what reads them
- ``mirrored_relu``: mirrored ReLU pairs rewritten, so that one unit of them can go
"""
