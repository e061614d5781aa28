"""Figures of studies and of single networks, drawn from frames alone."""

from frivolous.figures.ablation import ablation_figure
from frivolous.figures.axes import MEASURES, Scale
from frivolous.figures.beside import beside_figure
from frivolous.figures.compression import compression_figure
from frivolous.figures.correlation import correlation_figure
from frivolous.figures.correlation_grid import correlation_grid
from frivolous.figures.counts import counts_figure
from frivolous.figures.headline import headline
from frivolous.figures.joint import joint_figure
from frivolous.figures.network import measurement_figure
from frivolous.figures.output import save, to_png, to_svg
from frivolous.figures.panel import Panel
from frivolous.figures.past import past_figure
from frivolous.figures.study import study_figure

__all__ = [
    "MEASURES",
    "Panel",
    "Scale",
    "ablation_figure",
    "beside_figure",
    "compression_figure",
    "correlation_figure",
    "correlation_grid",
    "counts_figure",
    "headline",
    "joint_figure",
    "measurement_figure",
    "past_figure",
    "save",
    "study_figure",
    "to_png",
    "to_svg",
]
