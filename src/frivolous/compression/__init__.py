"""Compression: remove the units a network does not need, and return a smaller module.

- ``compress``, ``budget``, ``selection``: ``fv.compress``, its budget, and the network that fits it
- ``pruner``: a network with its pruning groups, and thinner networks made from it
- ``coupling``: which entries of which tensors must be removed together
- ``criteria``: in which order the units of a group go
- ``reconstruction``: readers fitted to the units that are kept
- ``search``: the smallest network within a tolerance, tested on held-out labels
- ``surgery``: units removed from graphs and modules
- ``distillation``: fine-tuning toward the original's probabilities
- ``result``, ``summary``, ``reporting``: what is returned, and what it says of itself
- ``profiling``, ``private_copy``: latency and memory, measured on copies of the user's module
- ``export``: saved to disk, loaded, and written as ONNX
"""

from __future__ import annotations

from frivolous.compression.compress import compress
from frivolous.compression.criteria.methods import METHODS
from frivolous.compression.result import Compression, Report

__all__ = ["METHODS", "Compression", "Report", "compress"]
