"""Figures of studies and of single networks, drawn from frames alone."""

from frivolous.figures.axes import MEASURES, Scale
from frivolous.figures.correlation import correlation_figure
from frivolous.figures.headline import headline
from frivolous.figures.network import measurement_figure
from frivolous.figures.output import save, to_png, to_svg
from frivolous.figures.panel import Panel
from frivolous.figures.study import study_figure

__all__ = [
    "MEASURES",
    "Panel",
    "Scale",
    "correlation_figure",
    "headline",
    "measurement_figure",
    "save",
    "study_figure",
    "to_png",
    "to_svg",
]
