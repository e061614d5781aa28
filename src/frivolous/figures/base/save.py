"""Figures as bytes: PNG, or SVG with text as text; the same data give the same bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from frivolous.errors import BadArgument, look_up
from frivolous.figures.base.style import house_style

# No date, no version of the drawing library: bytes depend on the data alone.
_PLAIN: dict[str, Mapping[str, str | None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def to_png(figure: Figure, dpi: int = 200) -> bytes:
    """Return the figure as PNG bytes, equal for equal data."""
    return _render(figure, "png", dpi)


def to_svg(figure: Figure) -> str:
    """Return the figure as an SVG document whose text is text, equal for equal data."""
    return _render(figure, "svg", 200).decode("utf-8")


def save(figure: Figure, path: str | os.PathLike[str], dpi: int = 200) -> Path:
    """Write a figure as PNG, SVG or PDF by the suffix of ``path``; return the path.

    The file is written to a temporary name and renamed, so that there is never a half-written
    figure. Equal data give equal bytes: no date, no random identifiers.

    Raises:
        UnknownName: a suffix other than .png, .svg, .pdf.
        BadArgument: the folder does not exist.
    """
    target = Path(path)
    kind = target.suffix.lower().removeprefix(".")
    look_up(_PLAIN, kind, "figure format")
    if not target.parent.is_dir():
        raise BadArgument(
            f"`path` is '{target}' and there is no folder '{target.parent}'; a figure is written "
            "into an existing folder. Create it first."
        )
    data = _render(figure, kind, dpi)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(data)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return target


def _render(figure: Figure, kind: str, dpi: int) -> bytes:
    buffer = BytesIO()
    with house_style():
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=dict(_PLAIN[kind]))
    return buffer.getvalue()
