"""Reports as one self-contained HTML page: of a study, or of any sections."""

from frivolous.report.blocks import (
    Block,
    Code,
    Details,
    Facts,
    Paragraph,
    Picture,
    Section,
    Table,
)
from frivolous.report.overview import render_all
from frivolous.report.page import render_page
from frivolous.report.study import StudyReport, study_sections

__all__ = [
    "Block",
    "Code",
    "Details",
    "Facts",
    "Paragraph",
    "Picture",
    "Section",
    "StudyReport",
    "Table",
    "render_all",
    "render_page",
    "study_sections",
]
