"""Figures of several tickers, and drawing on axes of the user."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from figures import (
    DAILY,
    LABELS,
    POOLED,
    cells,
    drawn,
    labels,
    line,
    panel,
    real,
    said,
    sample,
    with_history,
    words,
)
from matplotlib.colors import to_hex
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from intake_futu_short.errors import ConfigError

pytestmark = pytest.mark.usefixtures("no_window")


# --- several tickers


def test_a_few_tickers_are_small_multiples_on_one_scale() -> None:
    axes = panel(4).shortvol.plot()
    figure = drawn(axes[0].figure)
    assert figure.axes == list(axes)
    assert [ax.get_title(loc="left") for ax in axes] == [
        "US.T00",
        "US.T01, until 2026-06-17",
        "US.T02, until 2026-06-16",
        "US.T03, until 2026-06-15",
    ]
    assert len({ax.get_ylim() for ax in axes} | {ax.get_xlim() for ax in axes}) == 2
    assert max(line(ax, DAILY).max() for ax in axes) < axes[0].get_ylim()[1]
    assert words(figure).startswith(
        "Daily short volume, US, 4 tickers, as of 2026-06-18\nOne scale for all, the same dates"
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == LABELS
    assert line(axes[3], DAILY).index[-1] == pd.Timestamp("2026-06-15")


@pytest.mark.parametrize("n", [3, 5, 12])
def test_each_ticker_has_an_axes(n: int) -> None:
    axes = panel(n).shortvol.plot()
    drawn(axes[0].figure)
    assert axes.shape == (n,)
    assert len(axes[0].figure.axes) == n


def test_a_ticker_without_rows_among_those_shown_says_so() -> None:
    axes = panel(3).shortvol.plot(start="2026-06-18")
    drawn(axes[0].figure)
    assert [said(ax) for ax in axes] == [[], ["no rows"], ["no rows"]]
    assert axes[0].yaxis.get_major_ticks()[0].label1.get_visible()


def test_panels_show_the_newest_days_of_all() -> None:
    axes = panel(3).shortvol.plot(last=5)
    drawn(axes[0].figure)
    assert [len(line(ax, DAILY)) for ax in axes] == [5, 4, 3]
    assert len({ax.get_xlim() for ax in axes}) == 1
    assert "One scale for all, the same dates" in words(axes[0].figure)


@pytest.mark.parametrize("last", [None, "all", 20])
def test_a_ticker_of_other_years_has_its_own_dates(last: Any) -> None:
    of_2024, of_2026 = (sample(code).assign(code=code) for code in ("US.AAPL", "US.SAMPLE"))
    both = pd.concat([of_2024, of_2026])
    both.attrs.clear()
    axes = both.shortvol.plot(last=last)
    drawn(axes[0].figure)
    rows = [29, 250] if last is None else [29, 1500] if last == "all" else [20, 20]
    assert [len(line(ax, POOLED)) for ax in axes] == rows
    assert [f"{line(ax, POOLED).index[-1]:%Y-%m-%d}" for ax in axes] == ["2024-10-11", "2026-06-18"]
    for ax in axes:  # no more of it is blank than a margin
        first, newest = date2num(line(ax, POOLED).index[[0, -1]].to_numpy())
        low, high = ax.get_xlim()
        assert newest - first > 0.9 * (high - low)
    assert all(ax.get_xticklabels() for ax in axes)
    assert "One scale for all, each over its own dates" in words(axes[0].figure)
    texts = [text.get_text() for text in axes[0].figure.texts]
    (foot,) = (text for text in texts if text.startswith("Short ratio: "))
    assert foot.splitlines()[-1] == (
        "Source: Futu OpenD, daily short volume; US.SAMPLE: synthetic."
    )


def test_heat_maps_say_where_their_numbers_come_from() -> None:
    figure = drawn(panel(30).shortvol.plot().figure)
    assert words(figure).splitlines()[-1] == "Source: Futu OpenD, daily short volume."
    assert len(figure.axes[0].get_yticklabels()) == 30


def test_many_tickers_are_a_heat_map() -> None:
    frame = panel(13, rows=30)
    ax = frame.shortvol.plot()
    figure = drawn(ax.figure)
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        f"US.T{i:02}" for i in range(13)
    ]
    assert figure.axes[1].get_ylabel().startswith("Short ratio (% of volume)")
    assert figure.axes[1].get_yticklabels()[0].get_text() == "0%"
    assert ax.get_title(loc="left") == (
        "Daily short ratio, US, as of 2026-06-18\nHatched: no row or no ratio"
    )
    values = cells(ax)
    assert values.shape == (13, 30)
    first = frame[frame["code"] == "US.T00"]
    ratios = first["total_shares_short"] / first["volume"]
    np.testing.assert_array_equal(values[0].filled(np.nan), ratios[::-1])
    # Each later ticker lacks the newest days; the first row is at the top.
    assert values.mask.sum(axis=1).tolist() == list(range(13))
    assert ax.patch.get_hatch()
    assert to_hex(ax.get_facecolor()) == "#ffffff"
    assert ax.get_ylim() == (12.5, -0.5)


def test_days_that_nobody_has_are_grey_in_a_heat_map_too() -> None:
    ax = real().shortvol.plot(kind="heatmap")
    drawn(ax.figure)
    values = cells(ax)
    assert values.shape == (1, 57 + 2)
    assert np.flatnonzero(values.mask[0]).tolist() == [29, 44]


def test_one_outlier_does_not_take_the_colours_of_all_others() -> None:
    frame = panel(13)
    frame["volume"] = frame["volume"].where(np.arange(len(frame)) != 5, 300_000)
    ax = frame.shortvol.plot()
    figure = drawn(ax.figure)
    assert ax.get_title(loc="left").endswith("; the top 0.5 % share a colour")
    bar = figure.axes[1]
    assert bar.get_ylabel() == "Short ratio (% of volume)"
    extent = bar.yaxis.label.get_window_extent()
    assert extent.y0 >= 0
    assert extent.y1 <= figure.bbox.height
    assert ax.collections[0].get_clim()[1] < 0.25


def test_too_many_tickers_for_panels_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"13 tickers are too many for panels \(12 at most\)"):
        panel(13).shortvol.plot(kind="panels", figsize=(20, 20))
    assert plt.get_fignums() == []


def test_only_so_many_names_as_can_be_read_stand_beside_a_heat_map() -> None:
    ax = panel(70, rows=70).shortvol.plot()
    assert len(ax.get_yticklabels()) == 35


# --- the user's axes


def test_one_axes_takes_the_short_ratio() -> None:
    figure = Figure()
    ax = figure.add_subplot()
    assert sample("US.AAPL").shortvol.plot(ax=ax) is ax
    drawn(figure)
    assert figure.axes == [ax]
    assert labels(ax) == LABELS
    other = Figure().add_subplot()
    assert sample("US.AAPL").shortvol.plot(ax=[other]) is other
    assert ax.get_title(loc="left") == "US.AAPL: daily short volume, as of 2024-10-11"
    assert plt.get_fignums() == []


def test_several_axes_take_the_panels() -> None:
    for n in (2, 3):
        figure = Figure(layout="constrained")
        axes = figure.subplots(n)
        answer = with_history(sample("HK.SAMPLE")).shortvol.plot(ax=axes, last=60)
        assert list(answer) == list(axes)
        drawn(figure)
        assert len(figure.axes) == n + 1
        assert "HK.SAMPLE (synthetic)" in axes[0].get_title(loc="left")
    lonely = Figure().subplots(3)
    sample("US.AAPL").shortvol.plot(ax=list(lonely))
    assert said(lonely[2]) == ["no reported open short position"]
    with pytest.raises(ConfigError, match=r"ax= holds 4 Axes. One ticker is drawn on 1"):
        sample("US.AAPL").shortvol.plot(ax=Figure().subplots(4))


def test_axes_for_several_tickers() -> None:
    ax = Figure().add_subplot()
    assert panel(2).shortvol.plot(ax=ax) is ax
    assert cells(ax).shape == (2, 60)
    axes = Figure().subplots(1, 2)
    assert list(panel(2).shortvol.plot(ax=axes)) == list(axes)
    assert labels(axes[0]) == []
    with pytest.raises(ConfigError, match="has 3 tickers and ax= has 2 Axes: pass one for"):
        panel(3).shortvol.plot(ax=axes)
    with pytest.raises(ConfigError, match="a heat map is drawn on one Axes, and ax= holds 2"):
        panel(3).shortvol.plot(ax=axes, kind="heatmap")
    with pytest.raises(ConfigError, match="3 tickers: panels need one Axes for each"):
        panel(3).shortvol.plot(ax=ax, kind="panels")


@pytest.mark.slow
@pytest.mark.parametrize("size", [(5, 4), (6.4, 4.8), (16, 9)])
def test_figures_of_any_size_are_laid_out(size: tuple[float, float]) -> None:
    for frame in (sample("US.AAPL"), with_history(sample("HK.SAMPLE").iloc[:60]), panel(4)):
        drawn(np.ravel(frame.shortvol.plot(figsize=size))[0].figure)
    drawn(panel(13).shortvol.plot(figsize=size).figure)


def test_the_size_is_that_of_a_new_figure() -> None:
    axes = sample("US.AAPL").shortvol.plot(figsize=(5, 4))
    assert axes[0].figure.get_size_inches().tolist() == [5, 4]
    for size in ("a", (0, 1), (5,), (np.nan, 5), (5, np.inf), 7):
        with pytest.raises(ConfigError, match=r"figsize must be \(width, height\) in inches"):
            sample("US.AAPL").shortvol.plot(figsize=size)
    assert len(plt.get_fignums()) == 1  # none of the refused
    with pytest.raises(ConfigError, match="figsize is the size of a new figure"):
        sample("US.AAPL").shortvol.plot(figsize=(5, 4), ax=axes[0])
