"""Which days a figure shows, and what it does where there is nothing to show."""

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
    band,
    drawn,
    labels,
    line,
    said,
    sample,
    words,
)

from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.errors import ConfigError
from intake_futu_short.security import HK, US

pytestmark = pytest.mark.usefixtures("no_window")


# --- which days


def test_the_days_shown_are_chosen_and_windows_look_further_back() -> None:
    frame = sample("US.SAMPLE").iloc[:120]
    whole = frame.shortvol.plot(last="all")
    some = frame.shortvol.plot(start="2026-06-01", end=pd.Timestamp("2026-06-12"))
    assert words(some[0].figure).splitlines()[:2] == [
        "US.SAMPLE (synthetic): daily short volume, as of 2026-06-18",
        "US market, 10 trading days, 2026-06-01 to 2026-06-12",
    ]
    for label in (DAILY, POOLED):
        wanted = line(whole[1], label)["2026-06-01":"2026-06-12"]
        pd.testing.assert_series_equal(line(some[1], label), wanted)
    wanted_band = band(whole[1])["2026-06-01":"2026-06-12"]
    pd.testing.assert_frame_equal(band(some[1]), wanted_band)
    last = frame.shortvol.plot(end="2026-06-12", last=3)
    assert line(last[1], DAILY).index.tolist() == [
        pd.Timestamp(f"2026-06-{day}") for day in (10, 11, 12)
    ]
    assert "one trading day, 2026-06-18" in words(frame.shortvol.plot(last=1)[0].figure)


def test_a_position_that_was_published_after_the_days_shown_is_said_to_be() -> None:
    frame = sample("HK.SAMPLE").iloc[:60]
    for end, is_later in {"2026-06-12": False, "2026-06-11": True}.items():
        text = words(frame.shortvol.plot(end=end)[0].figure).replace("\n", " ")
        assert "published about 2026-06-12" in text
        assert ("2026-06-12, after the days shown." in text) == is_later, end


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "bars"}, "kind must be 'panels' or 'heatmap', not 'bars'"),
        (
            {"last": 0},
            r"last must be 'all' or a whole number of at least 1 \(trading days\), not 0",
        ),
        ({"last": True}, "not True"),
        ({"last": 2.0}, "not 2.0"),
        ({"last": "some"}, "last must be 'all' or a whole number .* not 'some'"),
        ({"start": "soon"}, "start must be a trading day"),
        ({"start": "2026-02-01", "end": "2026-01-01"}, "start .* is after end"),
        ({"ax": []}, "ax must be one matplotlib Axes or several"),
        ({"ax": 5}, "ax must be one matplotlib Axes or several, not 5"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sample("US.AAPL").shortvol.plot(**options)
    assert plt.get_fignums() == []


def test_the_newest_250_days_are_shown_unless_said_otherwise() -> None:
    frame = sample("US.SAMPLE")
    first = {
        option: line(frame.shortvol.plot(**options)[1], POOLED).index[0]
        for option, options in {
            "none": {},
            "all": {"last": "all"},
            "end": {"end": "2026-01-30"},
            "start": {"start": "2024-01-02"},
        }.items()
    }
    days = sorted(frame["timestamp_str"])
    assert first == {
        "none": pd.Timestamp(days[-250]),
        "all": pd.Timestamp(days[0]),
        "end": pd.Timestamp([day for day in days if day <= "2026-01-30"][-250]),
        "start": pd.Timestamp("2024-01-02"),
    }


def test_days_before_the_start_that_a_source_was_given_are_for_windows_only() -> None:
    frame = sample("US.SAMPLE").iloc[:60]
    whole = frame.shortvol.plot()[1]
    frame.attrs["start"] = "2026-06-01"
    ax = frame.shortvol.plot()[1]
    assert line(ax, DAILY).index[0] == pd.Timestamp("2026-06-01")
    pd.testing.assert_series_equal(line(ax, POOLED), line(whole, POOLED)["2026-06-01":])
    pd.testing.assert_frame_equal(band(ax), band(whole)["2026-06-01":])
    earlier = frame.shortvol.plot(start="2026-05-20")[1]
    assert line(earlier, DAILY).index[0] == pd.Timestamp("2026-05-20")


@pytest.mark.parametrize("kind", ["panels", "heatmap"])
@pytest.mark.parametrize(
    ("span", "asked"),
    [
        ({"end": "1999-01-01"}, "up to 1999-01-01"),
        ({"start": "2030-01-01"}, "from 2030-01-01"),
        ({"start": "2026-06-13", "end": "2026-06-14"}, "from 2026-06-13 up to 2026-06-14"),
    ],
)
def test_a_span_without_rows_is_refused(kind: Any, span: dict[str, str], asked: str) -> None:
    message = f"no rows {asked}: those at hand are of 29 trading days, 2026-05-08 to 2026-06-18"
    with pytest.raises(ConfigError, match=message):
        sample("US.SAMPLE").iloc[:29].shortvol.plot(kind=kind, **span)
    with pytest.raises(ConfigError, match="no rows up to 1999-01-01: there are none of any day"):
        sample("US.SAMPLE").iloc[:0].shortvol.plot(kind=kind, end="1999-01-01")
    assert plt.get_fignums() == []


def test_a_repeated_day_is_refused() -> None:
    frame = sample("US.AAPL")
    with pytest.raises(ConfigError, match="plot takes one row per trading day, but 2024-10-11 is"):
        pd.concat([frame, frame.iloc[:1]]).shortvol.plot()


# --- nothing to show


@pytest.mark.parametrize("code", ["US.SAMPLE", "HK.SAMPLE"])
@pytest.mark.parametrize("kind", ["panels", "heatmap"])
def test_no_rows_make_a_figure_that_says_so(code: str, kind: str) -> None:
    for ax in np.ravel(sample(code).iloc[:0].shortvol.plot(kind=kind)):
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
    assert labels(one[1]) == [DAILY]
    assert one[1].lines[0].get_marker() == "o"
    assert "The pooled ratio needs 20 days, and the band the 20 days before." in words(
        one[0].figure
    )


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
