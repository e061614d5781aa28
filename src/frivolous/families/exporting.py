"""Whether a network is being exported, as :func:`frivolous.trace` does to read it.

Some layers then keep the order of operations in which their units are found, and otherwise
compute the same faster.
"""

from __future__ import annotations

import torch

# Older versions of PyTorch tell compiling, which exporting is, but not exporting.
exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
