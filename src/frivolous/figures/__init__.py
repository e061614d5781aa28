"""Figures of studies and of single networks, drawn from frames alone."""

from frivolous.figures.base.panel import Panel
from frivolous.figures.base.save import save, to_png, to_svg
from frivolous.figures.networks.compression_methods import compression_figure
from frivolous.figures.networks.effective_width import joint_figure
from frivolous.figures.networks.headline import headline
from frivolous.figures.networks.measurement import measurement_figure
from frivolous.figures.studies.ablation import ablation_figure
from frivolous.figures.studies.by_width import study_figure
from frivolous.figures.studies.correlations import correlation_grid
from frivolous.figures.studies.counts import counts_figure
from frivolous.figures.studies.last_epochs import last_epochs_figure
from frivolous.figures.studies.side_by_side import side_by_side_figure

__all__ = [
    "Panel",
    "ablation_figure",
    "compression_figure",
    "correlation_grid",
    "counts_figure",
    "headline",
    "joint_figure",
    "last_epochs_figure",
    "measurement_figure",
    "save",
    "side_by_side_figure",
    "study_figure",
    "to_png",
    "to_svg",
]
