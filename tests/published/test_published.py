"""The published tables: their content against themselves, and the comparison against SciPy."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from frivolous import published
from frivolous.errors import BadArgument, UnknownName
from frivolous.published import tables

SIZES = (0.25, 0.5, 1.0, 2.0, 4.0)


def study(values: dict[tuple[str, float], list[float]], measure: str = "prunable") -> pd.DataFrame:
    rows = [
        ("fig4d", "d", curve, size, replicate, "id", "all", measure, value)
        for (curve, size), runs in values.items()
        for replicate, value in enumerate(runs)
    ]
    names = "study panel curve size_factor replicate run site measure value"
    return pd.DataFrame(rows, columns=names.split())


def gains_frame(rows: list[tuple[str, str, float, float, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["measure", "curve", "gain", "low", "high"])
    return frame.assign(study="fig4d", panel="d", published_min=2.03, published_max=2.14)


def test_the_tables_travel_with_the_package() -> None:
    folder = files("frivolous.published")
    for name in ("published.csv", "published_gains.csv", "published_curve_gains.csv"):
        assert folder.joinpath(name).is_file()
    assert "biolins/frivolous_dnns" in folder.joinpath("README.md").read_text(encoding="utf-8")


def test_every_figure_named_has_points_and_no_other() -> None:
    assert set(published.contents()["figure"]) == set(published.FIGURES)
    assert published.contents()["points"].sum() == 1995


def test_none_is_a_curve_and_not_a_missing_value() -> None:
    points = published.values("fig4", "b", "prunable")
    assert "None" in set(points["curve"])
    assert len(points[points["curve"].eq("None")]) == 5
    assert not published.values("extra")["curve"].isna().any()


@pytest.mark.parametrize("figure", ["fig4", "figE7", "figE8", "figE9", "figE6"])
def test_printed_gains_follow_from_the_points_by_the_published_rule(figure: str) -> None:
    checked = 0
    for printed in published.gains(figure).itertuples():
        points = published.values(figure, printed.panel, printed.measure)
        wide = points.pivot(index="curve", columns="size_factor", values="value")
        ratios = wide.to_numpy()[:, 1:] / wide.to_numpy()[:, :-1]
        if printed.measure == "redundant":  # the first doubling is left out
            ratios = ratios[:, 1:]
        slopes = ratios.mean(axis=1)
        assert slopes.min() == pytest.approx(printed.gain_min, abs=0.0055)
        assert slopes.max() == pytest.approx(printed.gain_max, abs=0.0055)
        checked += 1
    assert checked >= 2


def test_prunable_and_the_rest_add_up_to_the_whole_network() -> None:
    keys = ["curve", "size_factor"]
    one = published.values("fig4", "d", "prunable").set_index(keys)["value"]
    rest = published.values("figE3", "d", "non_prunable").set_index(keys)["value"]
    total = (one + rest).reset_index()
    assert np.allclose(total["value"], total["size_factor"] / 4, atol=0.006)


def test_figure_4d_is_figure_e7_under_another_name() -> None:
    one = published.values("fig4d", measure="redundant").query("curve == '10dim - 1'")["value"]
    other = published.values("figE7", measure="redundant").query("curve == '1e-2'")["value"]
    assert np.allclose(one, other, atol=2e-4)


def test_short_names_of_panels() -> None:
    pd.testing.assert_frame_equal(published.values("fig4d"), published.values("fig4", "d"))
    with pytest.raises(BadArgument, match=r"`panel` is 'c' and the figure's name 'fig4d' says 'd'"):
        published.values("fig4d", "c")


def test_wrong_names_get_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown published figure 'fig5'; did you mean 'fig"):
        published.values("fig5")
    with pytest.raises(UnknownName, match="unknown panel of fig4 'e'. Known: a, b, c, d"):
        published.gains("fig4", "e")
    with pytest.raises(UnknownName, match="measure of fig4 d 'prunabel'; did you mean 'prunable'"):
        published.values("fig4", "d", "prunabel")
    with pytest.raises(UnknownName, match="curve of figE7 '1e3'; did you mean"):
        published.curve_gains("figE7", curve="1e3")


def test_what_a_caller_does_to_a_frame_stays_with_the_caller() -> None:
    frame = published.values("fig4d")
    frame["value"] = 0.0
    assert published.values("fig4d")["value"].min() > 0


def test_a_damaged_table_is_named() -> None:
    with pytest.raises(BadArgument, match="`published_gains.csv` has the columns figure, panel"):
        tables._parse("figure,panel\nfig4,d\n", "published_gains.csv")
    head = "figure,panel,measure,gain_min,gain_max,source_image\n"
    with pytest.raises(BadArgument, match="holds the unknown figures fig99"):
        tables._parse(head + "fig99,a,prunable,1,2,x\n", "published_gains.csv")


def test_means_agree_with_scipy() -> None:
    runs = [0.11, 0.14, 0.2, 0.13]
    found = published.replicate_means(study({("c", 1.0): runs})).iloc[0]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(runs), scale=stats.sem(runs))
    assert (found["n"], found["dropped"]) == (4, 0)
    assert found["mean"] == pytest.approx(np.mean(runs))
    assert found["sd"] == pytest.approx(np.std(runs, ddof=1))
    assert (found["low"], found["high"]) == pytest.approx((low, high))


def test_means_keep_order_and_count_what_they_drop() -> None:
    table = study(
        {("z", 4.0): [0.5, np.nan], ("z", 0.25): [0.1, 0.3], ("a", 0.25): [np.inf, np.nan]}
    )
    found = published.replicate_means(table)
    assert found["curve"].tolist() == ["z", "z", "a"]
    assert found["size_factor"].tolist() == [0.25, 4.0, 0.25]
    assert found["n"].tolist() == [2, 1, 0]
    assert found["dropped"].tolist() == [0, 1, 2]
    assert found["low"].isna().tolist() == [False, True, True]


def test_site_all_counts_where_there_is_one_else_sites_weigh_the_same() -> None:
    table = study({("c", 1.0): [0.9]}).assign(site="conv1", width=3)
    table = pd.concat([table, table.assign(site="fc", value=0.1)])
    assert published.replicate_means(table)["mean"].item() == pytest.approx(0.5)
    table = pd.concat([table, table.iloc[:1].assign(site="all", value=0.2)])
    assert published.replicate_means(table)["mean"].item() == pytest.approx(0.2)
    partly = table[table["site"].ne("all")].copy()
    partly.loc[partly["site"].eq("fc"), "value"] = np.nan
    assert published.replicate_means(partly)["dropped"].item() == 1


def test_missing_columns_and_levels_are_told() -> None:
    with pytest.raises(BadArgument, match="`table` lacks the columns size_factor, replicate"):
        published.replicate_means(study({}).drop(columns=["size_factor", "replicate"]))
    with pytest.raises(BadArgument, match=r"got 95. For 95 percent intervals pass 0.95"):
        published.replicate_means(study({("c", 1.0): [1.0]}), level=95)


def own_numbers(spread: float) -> pd.DataFrame:
    points = published.values("fig4", "d", "prunable")
    return study(
        {
            (row.curve, row.size_factor): [row.value - spread, row.value, row.value + spread]
            for row in points.itertuples()
        }
    )


def test_the_published_numbers_agree_with_themselves() -> None:
    printed = published.curve_gains("fig4", "d", "prunable")
    gains = gains_frame(
        [
            ("prunable", row.curve, g := row.gain_as_published, g - 0.01, g + 0.01)
            for row in printed.itertuples()
        ]
    )
    figure = published.read("fig4d")
    means = published.replicate_means(own_numbers(1e-4))
    found = published.compare(means, gains, figure)
    assert tuple(found.columns) == published.COMPARISON_COLUMNS
    judged = found[found["rule"].ne("not measured")]
    assert judged["kind"].value_counts().to_dict() == {
        "point": 20,
        "curve gain": 4,
        "least gain": 1,
        "greatest gain": 1,
    }
    assert judged["within"].all()
    assert np.allclose(judged["ratio"].astype(float), 1, atol=0.003)
    least = found[found["kind"].eq("least gain")].iloc[0]
    assert (least["curve"], least["published"]) == ("10Kdim - 1", 2.03)
    # redundant was not measured here: its points stay, without a verdict
    rest = found[found["rule"].eq("not measured")]
    assert len(rest) == 20
    assert rest["within"].isna().all()


def test_verdicts_follow_the_intervals() -> None:
    truth = published.values("fig4", "d", "prunable").query("curve == '10dim - 1'")
    value = dict(zip(truth["size_factor"], truth["value"], strict=True))
    table = study(
        {
            ("10dim - 1", 1.0): [value[1.0] * 1.10, value[1.0] * 1.101],  # far, SD not published
            ("10dim - 1", 0.5): [
                value[0.5] + 0.0036,
                value[0.5] + 0.0036,
            ],  # in the SD
            ("10dim - 1", 2.0): [value[2.0]],  # one replicate: no interval
            ("new", 1.0): [0.1, 0.2],  # nothing published
        }
    )
    means = published.replicate_means(table)
    found = published.compare_points(means, truth).set_index(["curve", "size_factor"])
    assert (
        found.loc[("10dim - 1", 1.0), "within"] is np.False_
        or not found.loc[("10dim - 1", 1.0), "within"]
    )
    assert found.loc[("10dim - 1", 1.0), "rule"] == "95% t-interval against reading alone"
    assert found.loc[("10dim - 1", 0.5), "within"]
    assert found.loc[("10dim - 1", 0.5), "rule"] == "95% t-interval against reading + SD"
    assert pd.isna(found.loc[("10dim - 1", 2.0), "within"])
    assert found.loc[("10dim - 1", 2.0), "rule"] == "no interval: one replicate"
    assert found.loc[("new", 1.0), "rule"] == "not published"
    noisy = published.compare_points(means, truth, published.REPLICATE_NOISE)
    noisy = noisy.set_index(["curve", "size_factor"])
    assert noisy.loc[("10dim - 1", 1.0), "within"]
    assert noisy.loc[("10dim - 1", 1.0), "rule"].endswith("reading + replicate noise")
    half = noisy.loc[("10dim - 1", 1.0), "published_high"] - value[1.0]
    assert half == pytest.approx(0.14 * value[1.0] + 4.4e-05)


def test_one_curve_is_its_own_least_and_greatest() -> None:
    gains = gains_frame(
        [("prunable", "10dim - 1", 2.0555, 1.9, 2.2), ("prunable", "x", np.nan, 0, 0)]
    )
    means = published.replicate_means(study({("10dim - 1", 1.0): [0.1, 0.2]}))
    found = published.compare_gains(gains, published.read("fig4d"), means)
    kinds = found.set_index("kind")["measured"]
    assert kinds["least gain"] == kinds["greatest gain"] == 2.0555
    assert found[found["curve"].eq("x")]["rule"].tolist() == ["not published"]
    assert found[found["kind"].eq("least gain")]["n"].item() == 2


def test_points_that_come_twice_are_refused() -> None:
    means = published.replicate_means(study({("c", 1.0): [0.1, 0.2]}))
    with pytest.raises(BadArgument, match="`table_means` has 1 points twice"):
        published.compare_points(pd.concat([means, means]), published.values("fig4d"))


def test_a_study_without_gains_still_compares() -> None:
    means = published.replicate_means(study({("c", 1.0): [0.1, 0.2]}))
    found = published.compare(means, gains_frame([]), published.read("fig1"))
    assert set(found["kind"]) == {"point"}
