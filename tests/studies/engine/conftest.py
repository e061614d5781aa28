"""The undisturbed table that every disturbed run must end with."""

from __future__ import annotations

import pytest

from frivolous.studies.study import Study


@pytest.fixture(scope="module")
def expected(tiny: Study, tmp_path_factory: pytest.TempPathFactory) -> str:
    table = tiny.run(tmp_path_factory.mktemp("undisturbed"), scale="cpu").table
    text = table.to_json(orient="split", double_precision=15)
    assert isinstance(text, str)
    return text
