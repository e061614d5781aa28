"""The blocks of a page: sections of paragraphs, pictures, tables, facts, code and details."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from frivolous.errors import BadArgument

_PROLOGUE = re.compile(r"^\s*(<\?xml[^>]*\?>)?\s*(<!DOCTYPE[^>\[]*>)?\s*", re.DOTALL)
_FORBIDDEN = ("script", "foreignobject", "iframe", "object", "embed", "audio", "video", "a")


@dataclass(frozen=True)
class Paragraph:
    """Plain text; ``kind`` is "text", "claim" or "answer"."""

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Picture:
    """A figure within the page: SVG text or PNG bytes, what it shows (``alt``) and a caption."""

    image: str | bytes
    alt: str
    caption: str = ""

    def __post_init__(self) -> None:
        """Raise for a picture without alternative text or one that could load or run something."""
        if not self.alt.strip():
            raise BadArgument(
                "`alt` is empty; a picture says in words what it shows. Pass one sentence."
            )
        if isinstance(self.image, str):
            check_svg(self.image)
        elif not self.image.startswith(b"\x89PNG"):
            raise BadArgument(
                f"`image` starts with {self.image[:8]!r}; bytes must be a PNG. Pass "
                "frivolous.figures.to_png(figure), or the text of an SVG."
            )


@dataclass(frozen=True)
class Table:
    """Cells as text under a header; the first ``heads`` cells of a row are row headings.

    ``prose``: places of columns that hold sentences, set to the left and broken.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    heads: int = 1
    prose: Sequence[int] = ()

    def __post_init__(self) -> None:
        """Raise for rows that do not fit the header."""
        for row in self.rows:
            if len(row) != len(self.header):
                raise BadArgument(
                    f"`rows` has a row of {len(row)} cells under {len(self.header)} headings; "
                    "they must agree. Fill missing cells with an empty text."
                )


@dataclass(frozen=True)
class Facts:
    """Pairs (name, value) or triples (name, value, reason)."""

    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Code:
    """A command to copy."""

    text: str


@dataclass(frozen=True)
class Details:
    """Blocks that a reader unfolds; they are printed too."""

    summary: str
    blocks: Sequence[Block]


Block = Paragraph | Picture | Table | Facts | Code | Details


@dataclass(frozen=True)
class Section:
    """A heading of the page, its blocks, and its line in the table of contents."""

    title: str
    blocks: Sequence[Block]


def check_svg(text: str) -> None:
    """Raise for an SVG that is not well formed, refers outside itself or runs something.

    Raises:
        BadArgument: with the offending element or attribute.
    """
    if "<!ENTITY" in text:
        raise BadArgument("`image` declares entities; an SVG of a report has none. Draw it again.")
    try:
        root = ElementTree.fromstring(_PROLOGUE.sub("", text, count=1))
    except ElementTree.ParseError as error:
        raise BadArgument(
            f"`image` is no well-formed SVG ({error}); pass frivolous.figures.to_svg(figure)."
        ) from error
    for element in root.iter():
        name = _local(element.tag)
        fault = f"the element <{name}>" if name.lower() in _FORBIDDEN else ""
        if name == "style" and re.search(r"url\(|@import", element.text or ""):
            fault = "a style that loads something"
        for key, value in element.attrib.items():
            outside = _local(key) in ("href", "src") and not value.startswith(("#", "data:image/"))
            if outside or re.search(r"url\(\s*['\"]?(?!#)[^)]", value):
                fault = f"the outside address '{value[:60]}'"
            if _local(key).lower().startswith("on"):
                fault = f"the attribute {_local(key)}"
        if fault:
            raise BadArgument(
                f"`image` holds {fault}; a picture of a report neither runs nor loads anything. "
                "Pass frivolous.figures.to_svg(figure)."
            )


def inline_svg(text: str, prefix: str) -> str:
    """Return the SVG element alone, with its identifiers made unique in the page by ``prefix``."""
    body = _PROLOGUE.sub("", text, count=1).strip()
    body = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', body)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", body)


def inches_wide(image: str | bytes) -> float:
    """Return a picture's width: an SVG's in its points, a PNG's at 200 dots per inch."""
    if isinstance(image, bytes):
        return int.from_bytes(image[16:20], "big") / 200
    found = re.search(r'<svg[^>]*\bwidth="([\d.]+)pt"', image)
    return float(found.group(1)) / 72 if found else 7.0


def data_address(png: bytes) -> str:
    """Return PNG bytes as a data: address."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _local(name: str) -> str:
    return name.rsplit("}", 1)[-1]
