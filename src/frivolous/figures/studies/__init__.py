"""Figures of studies, beside the published ones."""
