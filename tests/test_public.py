"""The public names: what ``import frivolous as fv`` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import frivolous as fv
from frivolous.studies import STUDIES
from frivolous.studies.result import StudyResult

HEAVY = ("torch", "numpy", "pandas", "matplotlib", "sklearn")


def test_importing_the_package_loads_nothing_heavy():
    code = f"import sys, frivolous; print([m for m in {HEAVY!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_all_names_are_there_and_no_other_is_promised():
    for name in fv.__all__:
        assert getattr(fv, name) is not None
    with pytest.raises(AttributeError, match="module 'frivolous' has no attribute 'prune'"):
        _ = fv.prune


def test_dir_lists_every_public_name_before_any_is_used():
    code = "import frivolous as fv; print({'__version__', *fv.__all__} <= set(dir(fv)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True"]


def test_what_comes_back_and_what_is_raised_have_public_names():
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    inputs = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    assert isinstance(fv.trace(model, inputs[:2]), fv.Network)
    assert isinstance(fv.measure(model, inputs), fv.Measurement)
    assert isinstance(fv.compress(model, inputs, keep={"0": 4}), fv.Compression)
    assert fv.StudyResult is StudyResult
    with pytest.raises(fv.errors.BadArgument, match="`tolerance`"):
        fv.measure(model, inputs, tolerance=2)


def test_studies_is_the_registry_whatever_was_imported_before():
    """Also after submodules were imported, which bind the package to the same name."""
    import frivolous.studies.study  # noqa: F401

    for _ in range(2):
        assert fv.studies["fig4d"] is STUDIES["fig4d"]
    assert list(fv.studies) == list(STUDIES)
    assert len(fv.studies) == len(STUDIES)
    assert "figE7" in fv.studies
    assert fv.studies is sys.modules["frivolous.studies"]
    assert fv.studies in {fv.studies}, "tools keep modules in sets"
    with pytest.raises(fv.errors.UnknownName, match="unknown study 'fig4'; did you mean 'fig4a'"):
        fv.studies["fig4"]
