"""The papers' published numbers, with their source, and a comparison of studies with them."""

from frivolous.published.compare import (
    COMPARISON_COLUMNS,
    REPLICATE_NOISE,
    compare,
    compare_gains,
    compare_points,
    replicate_means,
)
from frivolous.published.tables import (
    FIGURES,
    SOURCE,
    PublishedFigure,
    by_curve,
    contents,
    curve_gains,
    gains,
    read,
    values,
)

__all__ = [
    "COMPARISON_COLUMNS",
    "FIGURES",
    "REPLICATE_NOISE",
    "SOURCE",
    "PublishedFigure",
    "by_curve",
    "compare",
    "compare_gains",
    "compare_points",
    "contents",
    "curve_gains",
    "gains",
    "read",
    "replicate_means",
    "values",
]
