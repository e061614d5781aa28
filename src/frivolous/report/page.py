"""Render a page: sections through the template into one file that loads nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache
from itertools import count
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from frivolous.errors import BadArgument
from frivolous.report.blocks import Block, Picture, Section, data_address, inches_wide, inline_svg

_REM_PER_INCH = 8.0  # figures stand at 1.3 times their size in print, never stretched to the page


def render_page(title: str, claim: str, sections: Sequence[Section], footer: str = "") -> str:
    """Return a whole HTML page: title, claim, contents, sections. All text is escaped.

    >>> "&lt;b&gt;" in render_page("<b>", "a claim", [])
    True

    """
    if not title.strip():
        raise BadArgument("`title` is empty; a report has one. Pass the question it answers.")
    numbers = count(1)

    def picture(block: Picture) -> Markup:
        prefix = f"figure{next(numbers)}"
        look = f"max-width: {_REM_PER_INCH * inches_wide(block.image):.1f}rem"
        if isinstance(block.image, bytes):
            image = Markup('<img style="{}" src="{}" alt="{}">')
            return image.format(look, data_address(block.image), block.alt)
        # The SVG was checked when the block was made: it neither runs nor loads anything.
        drawn = inline_svg(block.image, prefix)
        label = f'<svg style="{look}" role="img" aria-label="{escape(block.alt)}" '
        return Markup(drawn.replace("<svg ", label, 1))

    anchors = _anchors(sections)
    return _template().render(
        title=title,
        claim=claim,
        sections=list(zip(anchors, sections, strict=True)),
        footer=footer,
        picture=picture,
        kind=_kind,
    )


def write_report(
    path: str | os.PathLike[str],
    title: str,
    claim: str,
    sections: Sequence[Section],
    footer: str = "",
) -> Path:
    """Write a page as one file and return its path; ``path`` may be a folder (report.html in it).

    The file is written beside, flushed to disk and renamed: a killed process leaves no half page.

    Raises:
        BadArgument: the folder does not exist.

    """
    target = Path(path)
    if target.is_dir():
        target = target / "report.html"
    if not target.parent.is_dir():
        raise BadArgument(
            f"`path` is '{target}' and there is no folder '{target.parent}'; a report is written "
            "into an existing folder. Create it first."
        )
    text = render_page(title, claim, sections, footer)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return target


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("frivolous.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


def _anchors(sections: Sequence[Section]) -> list[str]:
    """Return one identifier per section: its title in lower case, numbered where it repeats."""
    anchors: list[str] = []
    for section in sections:
        base = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-") or "section"
        name, again = base, 2
        while name in anchors:
            name, again = f"{base}-{again}", again + 1
        anchors.append(name)
    return anchors


def _kind(block: Block) -> str:
    return type(block).__name__.lower()
