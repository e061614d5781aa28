"""Figures of studies, with the published points."""
