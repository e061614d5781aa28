"""Figures of one network: its measurement, its widths, its compressions."""
