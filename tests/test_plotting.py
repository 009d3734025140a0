"""What is drawn: which axes, lines and words. How it looks a person has to judge."""

from __future__ import annotations

import doctest
import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from frames import DATA
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex
from matplotlib.dates import ConciseDateFormatter, num2date
from matplotlib.figure import Figure
from matplotlib.text import Text

import intake_futu_short
from intake_futu_short import plotting
from intake_futu_short.accessor import ShortVolumeAccessor
from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.errors import ConfigError
from intake_futu_short.security import HK, US

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

SAMPLE = Path(intake_futu_short.__file__).parent / "sample"
LABELS = [
    "Short ratio",
    "20-day pooled ratio",
    "Mean of the 20 trading days before",
    "± 1 sd of them",
]
LINES = LABELS[:3]


@pytest.fixture(autouse=True)
def _no_window() -> Iterator[None]:
    with mpl.rc_context():
        plt.switch_backend("agg")
        yield
        plt.close("all")


def sample(code: str) -> Any:  # mypy takes shortvol for a column
    frame = pd.read_csv(SAMPLE / f"{code}.csv")
    frame.attrs.update(code=code, market=code[:2])
    aggregates = json.loads((SAMPLE / "aggregates.json").read_text())
    frame.attrs.update(aggregates.get(code, {}))
    return frame


def panel(n: int, rows: int = 60) -> Any:
    """Synthetic tickers US.T00, US.T01, …; each has a row less than the one before."""
    frame = sample("US.SAMPLE").iloc[:rows]
    frame.attrs.clear()
    return pd.concat([frame.iloc[i:].assign(code=f"US.T{i:02}") for i in range(n)])


def with_history(frame: Any) -> Any:
    code = frame.attrs["code"]
    history = [
        [code, "2026-06-05", 1781260000.0, 17_650_300, 0.88],
        [code, "2026-05-29", None, 17_000_000, 0.85],
        ["HK.00001", "2026-05-29", None, 1, 0.01],
        [code, "2026-05-22", None, None, None],
    ]
    changed = frame.copy()
    changed.attrs["aggregates_history"] = json.dumps(history)
    return changed


def real() -> Any:
    return pd.read_csv(DATA / "us_aapl_real.csv")


def drawn(figure: Any) -> Any:
    """The figure once it was laid out and drawn, which is where matplotlib warns.

    Without pixels, which take a third of the time; those that are saved have them.
    """
    figure.draw_without_rendering()
    return figure


def words(figure: Figure) -> str:
    """Everything written outside of the axes."""
    return "\n".join([figure.get_suptitle(), figure.get_supxlabel()])


def line(ax: Axes, label: str) -> pd.Series[float]:
    found = next(each for each in ax.lines if each.get_label() == label)
    x, y = (np.asarray(each, dtype=np.float64) for each in found.get_data(orig=False))
    days = pd.DatetimeIndex([f"{num2date(day, 'UTC'):%Y-%m-%d}" for day in x])
    return pd.Series(y, index=days)


def labels(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    texts = [] if legend is None else legend.get_texts()
    return [text.get_text().replace("\n", " ") for text in texts]  # long ones are wrapped


def said(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


# --- one ticker


def test_a_us_ticker_has_price_with_short_value_and_the_short_ratio() -> None:
    axes = sample("US.AAPL").shortvol.plot()
    figure = drawn(axes[0].figure)
    assert axes.shape == (2,)
    assert [ax.get_ylabel() for ax in figure.axes] == [
        "Close, adjusted\n(USD)",
        "Short ratio\n(% of volume)",
        "Short shares x close\n(billion USD)",
    ]
    assert list(axes) == figure.axes[:2]
    assert words(figure).splitlines()[:2] == [
        "US.AAPL: daily short volume, as of 2024-10-11",
        "US market, 29 trading days, 2024-09-03 to 2024-10-11",
    ]
    assert "Nasdaq and NYSE only" in words(figure)
    assert labels(axes[0]) == ["Close, adjusted", "Short shares x close (right scale)"]
    assert labels(axes[1]) == LABELS
    assert axes[0].get_shared_x_axes().joined(axes[0], axes[1])


def test_lines_and_bars_hold_the_numbers_of_the_rows() -> None:
    frame = sample("US.AAPL")
    axes = frame.shortvol.plot()
    close, bars = line(axes[0], "Close, adjusted"), axes[0].figure.axes[2].patches
    assert close.index.tolist() == list(pd.to_datetime(frame["timestamp_str"][::-1]))
    assert close.tolist() == frame["close_price"][::-1].tolist()
    # 2024-09-03, the oldest row: 4738388 short shares at 221.112467562.
    oldest = frame.iloc[-1]
    assert bars[0].get_height() == pytest.approx(
        oldest["total_shares_short"] * oldest["close_price"] / 1e9, rel=1e-12
    )
    ratios = [s / v for s, v in zip(frame["total_shares_short"], frame["volume"], strict=True)]
    assert line(axes[1], "Short ratio").tolist() == ratios[::-1]


def test_the_pooled_ratio_is_the_gateways_and_the_band_is_of_the_days_before() -> None:
    frame = sample("US.AAPL")
    axes = frame.shortvol.plot()
    reported = frame.set_index(pd.to_datetime(frame["timestamp_str"]))["daily_trade_avg_ratio"]
    pooled = line(axes[1], "20-day pooled ratio").dropna()
    assert len(pooled) == 10
    for day, ratio in pooled.items():
        assert math.floor(ratio * 10_000) / 100 == reported[day]
    ratios = [s / v for s, v in zip(frame["total_shares_short"], frame["volume"], strict=True)]
    before = ratios[1:21]  # the rows are newest first
    mean = sum(before) / 20
    sd = math.sqrt(sum((ratio - mean) ** 2 for ratio in before) / 19)
    means = line(axes[1], "Mean of the 20 trading days before").dropna()
    assert len(means) == 9
    assert means.iloc[-1] == pytest.approx(mean, rel=1e-12)
    corners = axes[1].collections[0].get_paths()[0].vertices
    newest = corners[corners[:, 0] == corners[:, 0].max()][:, 1]
    assert newest.min() == pytest.approx(mean - sd, rel=1e-9)
    assert newest.max() == pytest.approx(mean + sd, rel=1e-9)


def test_ratios_are_labelled_in_percent() -> None:
    axes = sample("US.AAPL").shortvol.plot()
    drawn(axes[0].figure)
    ticks = [label.get_text() for label in axes[1].get_yticklabels()]
    assert ticks[:3] == ["0%", "5%", "10%"]
    small = sample("US.AAPL").assign(total_shares_short=lambda f: f["total_shares_short"] // 100)
    axes = small.shortvol.plot()
    drawn(axes[0].figure)
    assert axes[1].get_yticklabels()[1].get_text() == "0.05%"


@pytest.mark.parametrize("most", [0.2, 0.19, 0.09, 0.047, 0.02, 0.0009])
def test_a_percent_on_the_scale_is_the_one_that_is_there(most: float) -> None:
    frame = sample("US.SAMPLE").iloc[:30].assign(volume=10**7, total_shares_short=int(most * 10**7))
    ratio = frame.shortvol.plot()[1]
    drawn(ratio.figure)
    written = [float(label.get_text().rstrip("%")) for label in ratio.get_yticklabels()]
    np.testing.assert_allclose(written, 100 * ratio.get_yticks(), rtol=1e-9, atol=1e-12)
    assert len(written) >= 3


def test_a_heat_map_of_a_day_has_no_hours() -> None:
    ax = panel(3, rows=3).groupby("code").head(1).shortvol.plot(kind="heatmap")
    drawn(ax.figure)
    assert [":" in label.get_text() for label in ax.get_xticklabels()].count(True) == 0


@pytest.mark.slow
def test_dates_of_small_panels_do_not_run_into_each_other() -> None:
    for rows in (5, 30, 120, 500, 700, 1500):
        axes = panel(6, rows).shortvol.plot()
        figure = drawn(axes[0].figure)
        boxes = [t.get_window_extent() for t in axes[3].get_xticklabels() if t.get_text()]
        assert len(boxes) >= 2, rows
        shown = sorted(
            (box.x0, box.x1) for box in boxes if axes[3].bbox.x0 <= box.x0 <= axes[3].bbox.x1
        )
        assert all(left[1] < right[0] for left, right in itertools.pairwise(shown)), rows
        plt.close(figure)


def test_a_hk_ticker_shows_turnover_and_writes_its_one_open_position() -> None:
    axes = sample("HK.SAMPLE").shortvol.plot(last=250)
    figure = drawn(axes[0].figure)
    assert [ax.get_ylabel() for ax in figure.axes] == [
        "Close\n(HKD)",
        "Short ratio\n(% of volume)",
        "Short turnover\n(million HKD)",
    ]
    assert figure.axes[2].patches[-1].get_height() == pytest.approx(80.0513153, rel=1e-12)
    assert words(figure).splitlines() == [
        "HK.SAMPLE (synthetic): daily short volume, as of 2026-06-18",
        "Hong Kong market, 250 trading days, 2025-06-13 to 2026-06-18",
        "Short ratio: shares sold short / volume. Pooled: Σ short / Σ volume of the 20 trading "
        "days that end there.",
        "Open short position published by the SFC: 17,650,300 shares, 0.88 % of the gateway's "
        "share base, as of 2026-06-05.",
    ]


def test_a_series_of_open_positions_has_a_panel() -> None:
    axes = with_history(sample("HK.SAMPLE")).shortvol.plot(last=60)
    drawn(axes[0].figure)
    assert axes.shape == (3,)
    assert axes[2].get_ylabel() == "Open position\n(million shares)"
    (label,) = labels(axes[2])
    assert label == (
        "Open short position published by the SFC: 17,650,300 shares, 0.88 % of the gateway's "
        "share base, as of 2026-06-05"
    )
    positions = line(axes[2], label)
    assert positions.to_dict() == {
        pd.Timestamp("2026-05-29"): 17.0,
        pd.Timestamp("2026-06-05"): 17.6503,
    }
    assert "Open short position" not in words(axes[0].figure)


def test_the_open_positions_are_those_of_the_ticker() -> None:
    frame = sample("HK.SAMPLE").iloc[:30]
    frame.attrs = {
        "aggregates": json.dumps({
            "HK.1": {"aggregated_short": 5, "aggregated_short_ratio": None,
                     "new_time_str": "2026-06-05"},
            "HK.3": None,
        })
    }  # fmt: skip
    for code in ("HK.2", "HK.3"):
        assert "shares, as of" not in words(frame.assign(code=code).shortvol.plot()[0].figure)
    text = words(frame.assign(code="HK.1").shortvol.plot()[0].figure)
    assert "Open short position published by the SFC: 5 shares, as of 2026-06-05." in text


def test_an_open_position_of_another_ticker_is_not_written() -> None:
    frame = sample("HK.SAMPLE").iloc[:30].assign(code="HK.2")
    assert frame.attrs["aggregated_short"] == 17_650_300
    assert "Open short position" not in words(frame.shortvol.plot()[0].figure)


def test_windows_of_weeks_are_named_so() -> None:
    weeks = sample("HK.SAMPLE").shortvol.resample("W")
    axes = weeks.shortvol.plot()
    figure = drawn(axes[0].figure)
    assert labels(axes[1])[1:3] == ["20-week pooled ratio", "Mean of the 20 weeks before"]
    assert "day" not in words(figure)
    assert words(figure).splitlines()[:3] == [
        "HK.SAMPLE (synthetic): short volume by week, newest week 2026-06-21",
        f"Hong Kong market, {len(weeks)} weeks, 2020-05-17 to 2026-06-21",
        "Short ratio: shares sold short / volume. Pooled: Σ short / Σ volume of the 20 weeks that "
        "end there.",
    ]
    # A bar fills its week, and weeks make a line.
    assert figure.axes[2].patches[0].get_width() == pytest.approx(6.3)
    assert not np.isnan(line(axes[1], "Short ratio")).any()


@pytest.mark.parametrize(
    ("freq", "name"),
    [
        ("ME", "month"),
        ("W-FRI", "week"),
        ("QS", "quarter"),
        ("BYE", "year"),
        ("2W", "period"),
        ("WOM-1MON", "period"),
    ],
)
def test_other_periods_are_named_and_make_lines(freq: str, name: str) -> None:
    periods = sample("US.SAMPLE").shortvol.resample(freq)
    axes = periods.shortvol.plot()
    assert f"short volume by {name}, newest {name} 2026-" in words(drawn(axes[0].figure))
    assert not np.isnan(line(axes[1], "Short ratio")).any()


def test_heat_maps_of_months_are_named_and_whole() -> None:
    months = panel(13, rows=400).shortvol.resample("ME")
    ax = months.shortvol.plot()
    assert ax.get_title(loc="left").startswith("Short ratio by month, US, newest month 2026-06-30")
    assert not drawn(ax.figure).axes[0].collections[0].get_array().mask[0].any()


def test_a_row_of_small_multiples_is_not_named_each() -> None:
    figure = drawn(panel(12).shortvol.plot(figsize=(6.3, 4.5))[0].figure)
    assert {ax.get_ylabel() for ax in figure.axes} == {""}
    assert figure.get_supylabel() == "Short ratio (% of volume)"


def test_an_as_of_date_that_is_none_is_left_out() -> None:
    frame = sample("HK.SAMPLE").iloc[:30]
    frame.attrs["new_time_str"] = "soon"
    assert "Open short position" not in words(frame.shortvol.plot()[0].figure)


def test_what_the_rows_lack_is_said() -> None:
    axes = sample("HK.00700").reindex(columns=SHORT_VOLUME.table(HK).column_names).shortvol.plot()
    figure = drawn(axes[0].figure)
    assert figure.axes == list(axes)
    assert axes[0].get_ylabel() == "Close of the session before\n(HKD)"
    assert line(axes[0], "Close of the session before").iloc[-1] == 477.4
    assert labels(axes[1]) == ["daily_trade_avg_ratio, as the gateway sends it"]
    assert line(axes[1], labels(axes[1])[0]).iloc[-1] == pytest.approx(0.1136)
    assert words(figure).splitlines()[2:] == [
        "Open short position published by the SFC: 51,480,638 shares, 0.56 % of the gateway's "
        "share base, as of 2026-04-30.",
        "Not in these rows: shares_traded, turnover, short_sell_shares_traded, "
        "short_sell_turnover, open_price, close_price.",
    ]


def test_a_counter_in_renminbi_is_not_labelled_in_dollars() -> None:
    frame = sample("HK.SAMPLE").iloc[:30]
    frame.attrs["code"] = "HK.80700"
    axes = frame.shortvol.plot()
    assert axes[0].get_ylabel() == "Close\n(CNY)"
    assert axes[0].figure.axes[2].get_ylabel() == "Short turnover\n(million CNY)"


def test_an_unknown_code_is_said() -> None:
    title = words(real().shortvol.plot()[0].figure)
    assert title.startswith("US, code unknown: daily short volume, as of 2026-06-18\n")


def test_lines_are_broken_where_rows_are_missing_for_long() -> None:
    axes = real().shortvol.plot()
    ratio = line(axes[1], "Short ratio")
    assert ratio[ratio.isna()].index.tolist() == [
        pd.Timestamp("2024-10-12"),
        pd.Timestamp("2024-12-17"),
    ]


def test_a_day_between_gaps_is_a_dot() -> None:
    frame = sample("US.SAMPLE").iloc[:100]  # so many that not every day is a dot
    frame["volume"] = frame["volume"].where(~frame.index.isin([50, 52]))
    axes = frame.shortvol.plot()
    assert [each.get_xdata().size for each in axes[1].lines if each.get_marker() == "o"] == [1]


def test_dates_are_concise_and_keep_their_day_in_every_time_zone() -> None:
    mpl.rcParams["timezone"] = "America/New_York"
    axes = sample("US.AAPL").shortvol.plot(last=5)
    drawn(axes[0].figure)
    assert isinstance(axes[1].xaxis.get_major_formatter(), ConciseDateFormatter)
    low, high = axes[1].get_xlim()
    ticks = zip(axes[1].get_xticks(), axes[1].get_xticklabels(), strict=True)
    shown = {text.get_text(): num2date(day, "UTC") for day, text in ticks if low < day < high}
    assert list(shown) == ["07", "08", "09", "10", "11"]
    assert {f"{day:%H:%M}" for day in shown.values()} == {"00:00"}
    assert axes[1].xaxis.get_offset_text().get_text() == "2024-Oct"


def test_colours_are_those_of_okabe_and_ito_and_styles_differ() -> None:
    axes = sample("US.AAPL").shortvol.plot()
    found = {each.get_label(): each for each in axes[1].lines}
    assert [to_hex(found[label].get_color()).upper() for label in LINES] == [
        "#0072B2", "#D55E00", "#E69F00",
    ]  # fmt: skip
    assert len({found[label].get_linestyle() for label in LINES}) == 3


def test_a_code_is_no_formula() -> None:
    for kind in ("panels", "heatmap"):
        odd = sample("US.SAMPLE").iloc[:30].assign(code="US.$a^$")
        drawn(np.ravel(odd.shortvol.plot(kind=kind))[0].figure)


# --- which days


def test_the_days_shown_are_chosen_and_windows_look_further_back() -> None:
    frame = sample("US.SAMPLE").iloc[:120]
    whole = frame.shortvol.plot()
    some = frame.shortvol.plot(start="2026-06-01", end=pd.Timestamp("2026-06-12"))
    assert words(some[0].figure).splitlines()[:2] == [
        "US.SAMPLE (synthetic): daily short volume, as of 2026-06-18",
        "US market, 10 trading days, 2026-06-01 to 2026-06-12",
    ]
    for label in LINES:
        wanted = line(whole[1], label)["2026-06-01":"2026-06-12"]
        pd.testing.assert_series_equal(line(some[1], label), wanted)
    last = frame.shortvol.plot(end="2026-06-12", last=3)
    assert line(last[1], "Short ratio").index.tolist() == [
        pd.Timestamp(f"2026-06-{day}") for day in (10, 11, 12)
    ]
    assert "one trading day, 2026-06-18" in words(frame.shortvol.plot(last=1)[0].figure)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "bars"}, "kind must be 'panels' or 'heatmap', not 'bars'"),
        ({"last": 0}, r"last must be a whole number of at least 1 \(trading days\), not 0"),
        ({"last": True}, "not True"),
        ({"last": 2.0}, "not 2.0"),
        ({"start": "soon"}, "start must be a trading day such as '2026-01-02'"),
        ({"start": "2026-02-01", "end": "2026-01-01"}, "start .* is after end"),
        ({"ax": []}, "ax must be one matplotlib Axes or several"),
        ({"ax": 5}, "ax must be one matplotlib Axes or several, not 5"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sample("US.AAPL").shortvol.plot(**options)
    assert plt.get_fignums() == []


def test_a_repeated_day_is_refused() -> None:
    frame = sample("US.AAPL")
    with pytest.raises(ConfigError, match="plot takes one row a trading day, but 2024-10-11 is"):
        pd.concat([frame, frame.iloc[:1]]).shortvol.plot()


# --- nothing to show


@pytest.mark.parametrize("code", ["US.SAMPLE", "HK.SAMPLE"])
@pytest.mark.parametrize("kind", ["panels", "heatmap"])
def test_no_rows_make_a_figure_that_says_so(code: str, kind: str) -> None:
    for axes in (
        sample(code).iloc[:0].shortvol.plot(kind=kind),
        sample(code).shortvol.plot(kind=kind, end="1999-01-01"),
    ):
        for ax in np.ravel(axes):
            assert said(ax) == ["no rows"]
            drawn(ax.figure)


@pytest.mark.parametrize("market", [US, HK])
@pytest.mark.parametrize("kind", ["panels", "heatmap"])
def test_rows_without_numbers_make_a_figure_that_says_so(market: Any, kind: str) -> None:
    frame = sample(f"{market.name}.SAMPLE").iloc[:30]
    empty = frame.assign(**dict.fromkeys(SHORT_VOLUME.table(market).column_names[2:], np.nan))
    axes = np.ravel(empty.shortvol.plot(kind=kind))
    drawn(axes[0].figure)
    assert said(axes[-1]) == ["no short ratio in these rows"]
    if kind == "panels":
        assert said(axes[0]) == ["no prices in these rows"]
        assert "Not in these rows: " in words(axes[0].figure)


@pytest.mark.parametrize("kind", ["panels", "heatmap"])
def test_one_row_and_few_rows_make_a_figure(kind: str) -> None:
    for code in ("US.SAMPLE", "HK.SAMPLE"):
        for rows in (1, 2):
            axes = np.ravel(sample(code).iloc[:rows].shortvol.plot(kind=kind))
            drawn(axes[0].figure)
            plt.close(axes[0].figure)
    one = sample("US.SAMPLE").iloc[:1].shortvol.plot()
    assert labels(one[1]) == ["Short ratio"]
    assert one[1].lines[0].get_marker() == "o"
    assert "no pooled ratio, and no mean of 20 days before" in words(one[0].figure)


@pytest.mark.parametrize("market", [US, HK])
def test_frames_as_the_official_client_makes_them(market: Any) -> None:
    empty: Any = pd.DataFrame(columns=SHORT_VOLUME.table(market).column_names)
    assert said(empty.shortvol.plot()[1]) == ["no rows"]
    day = {"timestamp_str": "2026-06-18", SHORT_VOLUME.table(market).column_names[-2]: 5.0}
    sparse: Any = (
        pd.DataFrame([day]).reindex(columns=SHORT_VOLUME.table(market).column_names).astype(object)
    )
    axes = sparse.where(sparse.notna(), None).shortvol.plot()
    drawn(axes[0].figure)
    assert said(axes[1]) == ["no short ratio in these rows"]


def test_columns_that_lack_altogether_are_as_good_as_empty_ones() -> None:
    frame = sample("US.AAPL")[["timestamp_str", "total_shares_short", "volume"]]
    axes = frame.shortvol.plot()
    drawn(axes[0].figure)
    assert said(axes[0]) == ["no prices in these rows"]
    assert labels(axes[1]) == LABELS
    zeros = frame.assign(total_shares_short=0, close_price=0.0)
    drawn(zeros.shortvol.plot()[0].figure)
    no_price = sample("HK.SAMPLE").iloc[:30].assign(close_price=np.nan, last_close_price=np.nan)
    drawn(no_price.shortvol.plot()[0].figure)


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
    assert max(line(ax, "Short ratio").max() for ax in axes) < axes[0].get_ylim()[1]
    assert words(figure).startswith(
        "Daily short volume, US, 4 tickers, as of 2026-06-18\nOne scale for all"
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == LABELS
    assert line(axes[3], "Short ratio").index[-1] == pd.Timestamp("2026-06-15")


@pytest.mark.parametrize("n", [3, 5, 12])
def test_each_ticker_has_an_axes(n: int) -> None:
    axes = panel(n).shortvol.plot()
    drawn(axes[0].figure)
    assert axes.shape == (n,)
    assert len(axes[0].figure.axes) == n


def test_a_ticker_without_rows_among_those_shown_says_so() -> None:
    axes = panel(3).shortvol.plot(last=1)
    drawn(axes[0].figure)
    assert [said(ax) for ax in axes] == [[], ["no rows"], ["no rows"]]
    assert axes[0].yaxis.get_major_ticks()[0].label1.get_visible()


def cells(ax: Axes) -> Any:
    (mesh,) = (each for each in ax.collections if isinstance(each, QuadMesh))
    return mesh.get_array()


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
    assert ax.collections[0].get_clim()[1] < 0.15


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
    with pytest.raises(ConfigError, match="has 3 tickers and ax= 2 Axes: one each"):
        panel(3).shortvol.plot(ax=axes)
    with pytest.raises(ConfigError, match="a heat map is drawn on one Axes, and ax= holds 2"):
        panel(3).shortvol.plot(ax=axes, kind="heatmap")
    with pytest.raises(ConfigError, match="3 tickers: panels take as many Axes"):
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
    with pytest.raises(ConfigError, match="figsize is that of a new figure"):
        sample("US.AAPL").shortvol.plot(figsize=(5, 4), ax=axes[0])


# --- the user's session


def test_the_frame_is_not_changed_and_no_figure_is_closed() -> None:
    mine = plt.figure()
    frame = with_history(sample("HK.SAMPLE").iloc[:40])
    before = frame.copy(deep=True)
    axes = frame.shortvol.plot()
    pd.testing.assert_frame_equal(frame, before)
    assert frame.attrs == before.attrs
    assert plt.get_fignums() == [mine.number, axes[0].figure.number]
    assert plt.get_backend() == "agg"


def test_rows_in_any_order_and_by_date_make_the_same_figure() -> None:
    frame = sample("US.AAPL")
    wanted = line(frame.shortvol.plot()[1], "Short ratio")
    for same in (frame.sample(frac=1, random_state=5), frame.shortvol.by_date()):
        pd.testing.assert_series_equal(line(same.shortvol.plot()[1], "Short ratio"), wanted)
    assert panel(3).shortvol.by_date().shortvol.plot().shape == (3,)


def test_no_word_judges() -> None:
    for frame in (sample("US.AAPL"), with_history(sample("HK.SAMPLE")).iloc[:60], panel(3)):
        figure = drawn(frame.shortvol.plot()[0].figure)
        texts = {text.get_text().lower() for text in figure.findobj(Text)}
        assert any("short" in text for text in texts)
        for word in ("bullish", "bearish", "squeeze", "unusual", "extreme", "warning", "signal"):
            assert not any(word in text for text in texts)


# --- files


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg", "PNG"])
def test_a_figure_is_saved_as_its_name_says(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"aapl.{suffix}"
    assert plotting.save(sample("US.AAPL"), str(path)) == path
    begin = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix.lower()]
    assert path.read_bytes().startswith(begin)
    assert plt.get_fignums() == []


def test_a_png_has_the_size_that_was_asked_for(tmp_path: Path) -> None:
    path = plotting.save(
        panel(13), tmp_path / "heat.png", plotting.Options(last=30), figsize=(8, 6), dpi=50
    )
    assert plt.imread(path).shape[:2] == (300, 400)


@pytest.mark.parametrize("name", ["figure", "figure.docx", ".png"])
def test_other_kinds_of_file_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a figure is saved as png, pdf, svg by its name"):
        plotting.save(sample("US.AAPL"), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


# --- hvplot, where it is installed


def test_hvplot_draws_the_same_numbers() -> None:
    pytest.importorskip("hvplot")
    frame = sample("US.AAPL")
    lines = frame.shortvol.hvplot(width=400)
    values = {name: curve.dimension_values(1) for name, curve in lines.items()}
    assert list(values) == ["Short ratio", "20-day pooled ratio"]
    ratios = frame["total_shares_short"] / frame["volume"]
    np.testing.assert_array_equal(values["Short ratio"], ratios[::-1])
    several = panel(3).shortvol.hvplot(last=5)
    assert several.kdims[0].values == ["US.T00", "US.T01", "US.T02"]
    assert len(several["US.T01"]["Short ratio"]) == 4


def test_without_hvplot_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hvplot", None)
    monkeypatch.setitem(sys.modules, "hvplot.pandas", None)
    with pytest.raises(ImportError, match=r"hvplot\(\) needs the package hvplot .*: pip install"):
        sample("US.AAPL").shortvol.hvplot()


# --- processes of their own


def run(code: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={**kept, **environment},
    )  # fmt: skip


READ = (
    "import sys, pandas as pd, intake_futu_short\n"
    f"frame = pd.read_csv({str(SAMPLE / 'US.AAPL.csv')!r})\n"
)


def test_it_works_without_a_display(tmp_path: Path) -> None:
    code = READ + (
        "axes = frame.shortvol.plot()\n"
        "axes[0].figure.savefig('figure.png')\n"
        "import matplotlib.pyplot as plt; plt.show; print(plt.get_backend().lower())\n"
    )
    result = run(code, tmp_path)
    assert (result.stdout.strip(), result.stderr) == ("agg", "")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_a_file_needs_no_pyplot(tmp_path: Path) -> None:
    code = READ + (
        "from intake_futu_short import plotting\n"
        "plotting.save(frame, 'figure.png')\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    result = run(code, tmp_path, MPLBACKEND="tkagg")
    assert (result.stdout.strip(), result.stderr) == ("False", "")


def test_without_matplotlib_the_extra_is_named(tmp_path: Path) -> None:
    code = READ + (
        "assert not any(name.startswith('matplotlib') for name in sys.modules)\n"
        "sys.modules['matplotlib'] = None\n"
        "try:\n    frame.shortvol.plot()\n"
        "except ImportError as error:\n    print(error)\n"
    )
    result = run(code, tmp_path)
    assert result.stderr == ""
    assert result.stdout.startswith("plots need matplotlib (")
    assert result.stdout.endswith("pip install 'intake-futu-short[plot]'\n")


def test_the_examples_of_the_docstrings_run() -> None:
    for method in (ShortVolumeAccessor.plot, ShortVolumeAccessor.check):
        (example,) = doctest.DocTestFinder().find(method, globs={})
        assert example.examples
        assert doctest.DocTestRunner().run(example).failed == 0
