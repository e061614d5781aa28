"""The figure of joint frivolity: what stands where, read back from the drawn artists."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

import frivolous as fv
from frivolous import figures
from frivolous.errors import BadArgument

RANDOM = torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def found():
    model = nn.Sequential(
        *(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 12), nn.ReLU()), nn.Linear(12, 3)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=RANDOM))
    return fv.measure(model, torch.randn(300, 6, generator=RANDOM), unit_examples=None)


def lines(figure: Figure, axes: int):
    """The lines of more than two points: curves, not rings, whiskers or the dashed line."""
    return [line for line in figure.axes[axes].lines if len(line.get_xdata()) > 2]


def test_lines_are_the_frames_and_rings_the_effective_width(found):
    figure = found.plot_joint("A small network")
    effective = found.table[(found.table.measure == "effective") & (found.table.site != "all")]
    curves = lines(figure, 0)
    assert len(curves) == 2
    for line, site in zip(curves, ("0", "2"), strict=True):
        tried = found.joint[(found.joint.site == site) & found.joint.unchanged.notna()]
        tried = tried.sort_values("kept")
        np.testing.assert_array_equal(line.get_xdata(), tried.kept)
        np.testing.assert_allclose(line.get_ydata(), tried.unchanged)
    errors = lines(figure, 1)
    for line, site in zip(errors, ("0", "2"), strict=True):
        part = found.joint[(found.joint.site == site) & (found.joint.error > 1e-6)]
        np.testing.assert_allclose(sorted(line.get_ydata()), sorted(part.error))
    rings = [
        float(np.asarray(line.get_xdata())[0])
        for line in figure.axes[0].lines
        if line.get_markerfacecolor() == "white" and len(line.get_xdata()) == 1
    ]
    assert rings == effective.value.tolist()
    keys = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [key.partition(":")[0] for key in keys] == ["0", "2"]
    for key, row in zip(keys, effective.itertuples(), strict=True):
        assert key.endswith(f"{row.value:.0f} [{row.low:.0f}, {row.high:.0f}] of {row.width}")


def test_words(found):
    figure = found.plot_joint()
    words = " ".join(text.get_text() for text in figure.texts)
    whole = found.value("effective")
    assert f"{whole:.0f} of 32 units do, each site by itself with its readers re-fitted" in words
    assert "98% of labels unchanged" in words
    assert "300 examples" in words
    assert [axes.get_xlabel() for axes in figure.axes] == ["units kept"] * 2


def test_text_stays_on_the_page(found):
    figure = found.plot_joint("A network whose name is so long that it has to be broken " * 3)
    figure.draw_without_rendering()
    page = figure.bbox
    for text in figure.texts + figure.legends[0].get_texts():
        box = text.get_window_extent()
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1 + 1
        assert page.y0 <= box.y0
        assert box.y1 <= page.y1


def test_many_sites_have_a_key_each():
    sites = [f"encoder.layer.{number}.output.dense" for number in range(30)]
    kept = np.arange(8)
    joint = pd.concat(
        pd.DataFrame(
            {
                "site": site, "kept": kept, "unit": kept[::-1], "error": 0.5**kept,
                "unchanged": 1 - 0.5 ** (kept + 1), "low": 0.4, "high": 1.0, "examples": 10,
            }
        )
        for site in sites
    )  # fmt: skip
    table = pd.DataFrame(
        {
            "site": sites, "depth": range(30), "width": 8, "measure": "effective", "value": 4.0,
            "low": 3.0, "high": 5.0,
        }
    )  # fmt: skip
    figure = figures.joint_figure(joint, table, title="Thirty sites")
    assert len(figure.legends[0].get_texts()) == 30
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert legend.x1 <= figure.bbox.x1
    lowest = min(axes.get_tightbbox().y0 for axes in figure.axes)
    assert legend.y1 <= lowest


def test_nothing_to_draw_is_said(found):
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    bare = fv.measure(model, torch.randn(20, 2), joint_tolerance=None, unit_examples=None)
    with pytest.raises(
        BadArgument, match=r"`joint` is empty: .* Measure with `joint_tolerance=0.02`"
    ):
        bare.plot_joint()
    with pytest.raises(BadArgument, match="`joint` lacks the columns kept"):
        figures.joint_figure(found.joint.drop(columns="kept"), found.table)
