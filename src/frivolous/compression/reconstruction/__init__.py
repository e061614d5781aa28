"""Reconstruction: fit the readers of a pruning group to the units that are kept.

- ``least_squares``: all readers at once, from the moments of the calibration
- ``layerwise``: layer after layer, each to what it reads in the thinner network
"""
