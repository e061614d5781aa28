"""Compression: the thinner network that computes the same function."""

from __future__ import annotations

from frivolous.compression.compress import compress
from frivolous.compression.criteria.methods import METHODS
from frivolous.compression.result import Compression, Report

__all__ = ["METHODS", "Compression", "Report", "compress"]
