"""What is drawn of one ticker: which axes, lines and words."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from figures import (
    DAILY,
    LABELS,
    POOLED,
    band,
    drawn,
    labels,
    line,
    panel,
    real,
    said,
    sample,
    ticks,
    with_history,
    words,
)
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.security import HK

pytestmark = pytest.mark.usefixtures("no_window")


def test_a_us_ticker_has_price_with_short_value_and_the_short_ratio() -> None:
    axes = sample("US.AAPL").shortvol.plot()
    figure = drawn(axes[0].figure)
    assert axes.shape == (2,)
    assert [ax.get_ylabel() for ax in figure.axes] == [
        "Close, adjusted\n(USD)",
        "Short ratio\n(% of volume)",
        "Short value\n(billion USD)",
    ]
    assert list(axes) == figure.axes[:2]
    assert words(figure).splitlines()[:2] == [
        "US.AAPL: daily short volume, as of 2024-10-11",
        "US market, 29 trading days, 2024-09-03 to 2024-10-11",
    ]
    assert "Nasdaq and NYSE only" in words(figure)
    assert labels(axes[0]) == [
        "Close, adjusted",
        "Short value: shares sold short x close (right scale)",
    ]
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
    assert line(axes[1], DAILY).tolist() == ratios[::-1]


def test_the_pooled_ratio_is_the_gateways_and_the_band_is_of_the_days_before() -> None:
    frame = sample("US.AAPL")
    axes = frame.shortvol.plot()
    reported = frame.set_index(pd.to_datetime(frame["timestamp_str"]))["daily_trade_avg_ratio"]
    pooled = line(axes[1], POOLED).dropna()
    assert len(pooled) == 10
    for day, ratio in pooled.items():
        assert math.floor(ratio * 10_000) / 100 == reported[day]
    ratios = [s / v for s, v in zip(frame["total_shares_short"], frame["volume"], strict=True)]
    before = ratios[1:21]  # the rows are newest first
    mean = sum(before) / 20
    sd = math.sqrt(sum((ratio - mean) ** 2 for ratio in before) / 19)
    ends = band(axes[1])
    assert len(ends) == 9
    assert list(ends.loc["2024-10-11"]) == pytest.approx([mean - sd, mean + sd], rel=1e-12)
    # The mean itself would nearly coincide with the pooled ratio.
    assert [each.get_label() for each in axes[1].lines] == [DAILY, POOLED]


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
        "Close, adjusted\n(HKD)",
        "Short ratio\n(% of volume)",
        "Short turnover\n(million HKD)",
    ]
    assert figure.axes[2].patches[-1].get_height() == pytest.approx(82.655905, rel=1e-12)
    assert words(figure).splitlines() == [
        "HK.SAMPLE (synthetic): daily short volume, as of 2026-06-18",
        "Hong Kong market, 250 trading days, 2025-06-13 to 2026-06-18",
        "Short ratio: shares sold short / volume; many are bought back the same day.",
        "Pooled: Σ short / Σ volume of the last 20 trading days.",
        "Open short position published by the SFC: 17,650,300 shares, 0.88 % of the gateway's "
        "share base, as of 2026-06-05, published about 2026-06-12.",
        "Source: synthetic sample rows of intake-futu-short; there is no such security.",
    ]


def test_a_series_of_open_positions_has_a_panel() -> None:
    axes = with_history(sample("HK.SAMPLE")).shortvol.plot(last=60)
    drawn(axes[0].figure)
    assert axes.shape == (3,)
    assert axes[2].get_ylabel() == "Open position\n(million shares)"
    (label,) = labels(axes[2])
    assert label == (
        "Open short position published by the SFC, from its publication on; newest: 17,650,300 "
        "shares, 0.88 % of the gateway's share base, as of 2026-06-05, published about 2026-06-12"
    )
    positions = line(axes[2], label)
    assert positions.to_dict() == {
        pd.Timestamp("2026-06-05"): 17.0,
        pd.Timestamp("2026-06-12"): 17.6503,
        pd.Timestamp("2026-06-18"): 17.6503,
    }
    assert axes[2].lines[0].get_drawstyle() == "steps-post"
    assert "Open short position" not in words(axes[0].figure)


def test_an_open_position_goes_on_until_the_next_is_published() -> None:
    frame = with_history(sample("HK.SAMPLE"))
    before = frame.shortvol.plot(start="2026-06-08", end="2026-06-11")[2]
    assert line(before, labels(before)[0]).to_dict() == {
        pd.Timestamp("2026-06-08"): 17.0,
        pd.Timestamp("2026-06-11"): 17.0,
    }
    # As of 2026-05-29 there was one, which nobody knew.
    assert said(frame.shortvol.plot(end="2026-06-04", last=3)[2]) == [
        "no reported open short position"
    ]


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
    assert "published by the SFC: 5 shares, as of 2026-06-05, published about 2026-06-12." in text


def test_an_open_position_of_another_ticker_is_not_written() -> None:
    frame = sample("HK.SAMPLE").iloc[:30].assign(code="HK.2")
    assert frame.attrs["aggregated_short"] == 17_650_300
    assert "Open short position" not in words(frame.shortvol.plot()[0].figure)


def test_windows_of_weeks_are_named_so() -> None:
    weeks = sample("HK.SAMPLE").shortvol.resample("W")
    axes = weeks.shortvol.plot(last="all")
    figure = drawn(axes[0].figure)
    assert labels(axes[1]) == [
        "Short ratio of each week",
        "20-week pooled ratio",
        "Mean ± 1 standard deviation of the 20 weeks before",
    ]
    assert "trading day" not in words(figure)
    assert words(figure).splitlines()[:4] == [
        "HK.SAMPLE (synthetic): short volume by week, newest week 2026-06-21",
        f"Hong Kong market, {len(weeks)} weeks, 2020-05-17 to 2026-06-21",
        "Short ratio: shares sold short / volume; many are bought back the same day.",
        "Pooled: Σ short / Σ volume of the last 20 weeks.",
    ]
    # A bar fills its week, and weeks make a line.
    assert figure.axes[2].patches[0].get_width() == pytest.approx(6.3)
    assert not np.isnan(line(axes[1], "Short ratio of each week")).any()


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
    assert not np.isnan(line(axes[1], f"Short ratio of each {name}")).any()


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
    assert axes[0].get_ylabel() == "Close of the session before, adjusted\n(HKD)"
    assert line(axes[0], "Close of the session before, adjusted").iloc[-1] == 477.4
    assert labels(axes[1]) == ["daily_trade_avg_ratio, as the gateway sends it"]
    assert line(axes[1], labels(axes[1])[0]).iloc[-1] == pytest.approx(0.1136)
    assert words(figure).splitlines()[2:] == [
        "Open short position published by the SFC: 51,480,638 shares, 0.56 % of the gateway's "
        "share base, as of 2026-04-30, published about 2026-05-08.",
        "Not in these rows: shares_traded, turnover, short_sell_shares_traded, "
        "short_sell_turnover, open_price, close_price.",
        "Source: Futu OpenD, daily short volume; open positions: SFC.",
    ]


def test_a_counter_in_renminbi_is_not_labelled_in_dollars() -> None:
    frame = sample("HK.SAMPLE").iloc[:30]
    frame.attrs["code"] = "HK.80700"
    axes = frame.shortvol.plot()
    assert axes[0].get_ylabel() == "Close, adjusted\n(CNY)"
    assert axes[0].figure.axes[2].get_ylabel() == "Short turnover\n(million CNY)"


def test_an_unknown_code_is_said() -> None:
    title = words(real().shortvol.plot()[0].figure)
    assert title.startswith("US, code unknown: daily short volume, as of 2026-06-18\n")


def test_lines_are_broken_where_rows_are_missing_for_long() -> None:
    axes = real().shortvol.plot()
    ratio = line(axes[1], DAILY)
    assert ratio[ratio.isna()].index.tolist() == [
        pd.Timestamp("2024-10-12"),
        pd.Timestamp("2024-12-17"),
    ]


def test_a_day_between_gaps_is_a_dot() -> None:
    frame = sample("US.SAMPLE").iloc[:100]  # so many that not every day is a dot
    frame["volume"] = frame["volume"].where(~frame.index.isin([50, 52]))
    axes = frame.shortvol.plot()
    assert [each.get_xdata().size for each in axes[1].lines if each.get_marker() == "o"] == [1]


def test_dates_keep_their_day_in_every_time_zone() -> None:
    mpl.rcParams["timezone"] = "America/New_York"
    axes = sample("US.AAPL").shortvol.plot(last=5)
    drawn(axes[0].figure)
    assert ticks(axes[1]) == [f"{day} Oct\n2024" for day in range(6, 13)]


@pytest.mark.parametrize(
    ("last", "dates"),
    [
        (60, ["30 Mar\n2026", "13 Apr\n2026", "27 Apr\n2026", "11 May\n2026", "25 May\n2026"]),
        (250, ["Jul\n2025", "Sep\n2025", "Nov\n2025", "Jan\n2026", "Mar\n2026", "May\n2026"]),
        ("all", ["Jan\n2021", "Jan\n2022", "Jan\n2023", "Jan\n2024", "Jan\n2025"]),
    ],
)
def test_every_date_names_month_and_year(last: Any, dates: list[str]) -> None:
    axes = sample("US.SAMPLE").shortvol.plot(last=last)
    drawn(axes[0].figure)
    assert ticks(axes[1])[: len(dates)] == dates


def test_colours_are_those_of_okabe_and_ito_and_differ_in_grey() -> None:
    ax = sample("US.AAPL").shortvol.plot()[1]
    found = {each.get_label(): each for each in ax.lines}
    colours = [found[DAILY].get_color(), found[POOLED].get_color()]
    assert [to_hex(colour).upper() for colour in colours] == ["#56B4E9", "#0072B2"]
    area = ax.collections[0]
    assert to_hex(area.get_facecolor()[0]).upper() == "#E69F00"
    weights = np.array([0.299, 0.587, 0.114])
    grey = [float(weights @ to_rgb(colour)) for colour in colours]
    alpha = area.get_alpha()
    grey.append(alpha * float(weights @ area.get_facecolor()[0][:3]) + 1 - alpha)
    # Dark, middle, light: each a sixth of the way from black to white from the next.
    dark, middle, light = grey[1], grey[0], grey[2]
    assert dark + 1 / 6 < middle
    assert middle + 1 / 6 < light
    assert found[POOLED].get_linewidth() > 2 * found[DAILY].get_linewidth()


def test_days_that_would_fill_the_panel_are_specks_and_then_none() -> None:
    frame = sample("US.SAMPLE")
    year, all_days = (frame.shortvol.plot(last=last)[1] for last in (250, "all"))
    styles = [
        [(each.get_linestyle(), each.get_marker()) for each in ax.lines] for ax in (year, all_days)
    ]
    assert styles == [[("-", "None"), ("-", "None")], [("None", "."), ("-", "None")]]
    assert len(line(all_days, DAILY)) == 1500
    small = Figure(figsize=(3, 2)).add_subplot()
    frame.shortvol.plot(last="all", ax=small)
    assert [each.get_label() for each in small.lines] == [POOLED]


def test_a_code_is_no_formula() -> None:
    for kind in ("panels", "heatmap"):
        odd = sample("US.SAMPLE").iloc[:30].assign(code="US.$a^$")
        drawn(np.ravel(odd.shortvol.plot(kind=kind))[0].figure)
