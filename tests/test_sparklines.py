"""The small lines of a report, point by point."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from frames import days, us

from intake_futu_short.sparklines import HEIGHT, SESSIONS, WIDTH, sparklines

# With 4 pixels at each edge, 0 and 10 percent lie at these heights.
LOW, HIGH = "36.0", "4.0"


def us_of(percents: list[float | None], code: str = "US.A") -> pd.DataFrame:
    return us([None if p is None else p * 10 for p in percents], [1000] * len(percents), code=code)


def test_a_line_goes_through_every_session() -> None:
    line = sparklines(us_of([0, 10, 5]), {"US.A"})["US.A"]
    assert line.line == f"M4.0 {LOW}L84.0 {HIGH}L164.0 20.0"
    assert line.dot == (164.0, 20.0)
    assert (line.newest, line.bottom, line.top) == (0.05, 0.0, 0.1)
    assert line.band == ""
    assert math.isnan(line.low)


def test_a_line_breaks_where_there_is_no_ratio_and_a_lone_session_is_a_dot() -> None:
    line = sparklines(us_of([0, None, 10, None, 5]), {"US.A"})["US.A"]
    assert line.line == f"M4.0 {LOW}h0M84.0 {HIGH}h0M164.0 20.0h0"


def test_a_session_that_only_others_have_is_a_gap_and_who_lags_ends_early() -> None:
    lagging = us_of([0, 3, 10, 4], "US.B").drop(index=[1, 3])
    panel = pd.concat([us_of([1, 2, 3, 4]), lagging])
    lines = sparklines(panel, {"US.B"})
    assert list(lines) == ["US.B"]
    assert lines["US.B"].line == f"M4.0 {LOW}h0M110.7 {HIGH}h0"
    assert lines["US.B"].dot == (110.7, 4.0)


def test_the_band_is_of_the_twenty_sessions_before() -> None:
    # Ten of 4 and ten of 6 percent: the mean is 5, the deviation sqrt(20 / 19).
    ratios = [4.0, 6.0] * 10
    line = sparklines(us_of([*ratios, 9.0, 5.0]), {"US.A"})["US.A"]
    before = sparklines(us_of([*ratios, 9.0]), {"US.A"})["US.A"]
    sd = math.sqrt(20 / 19) / 100
    assert before.low == pytest.approx(0.05 - sd)
    assert before.high == pytest.approx(0.05 + sd)
    # One session has a band alone, which has no area.
    assert before.band == ""
    assert line.band.startswith("M156.4 ")
    assert line.band.endswith("Z")
    # There and back.
    assert line.band.count("L") == 3


def test_the_newest_sixty_sessions_are_shown_and_the_band_looks_further_back() -> None:
    line = sparklines(us_of([float(5 + i % 3) for i in range(200)]), {"US.A"})["US.A"]
    assert line.line.startswith("M4.0 ")
    assert line.line.count("L") == SESSIONS - 1
    assert line.band.count("L") == 2 * SESSIONS - 1


@pytest.mark.parametrize("percents", [[5.0, 5.0, 5.0], [0.0, 0.0, 0.0]])
def test_a_ratio_that_never_changes_is_in_the_middle(percents: list[float]) -> None:
    line = sparklines(us_of(list(percents)), {"US.A"})["US.A"]
    assert line.line == "M4.0 20.0L84.0 20.0L164.0 20.0"


def test_one_session_and_none_with_a_ratio() -> None:
    line = sparklines(us_of([5.0]), {"US.A"})["US.A"]
    assert (line.line, line.dot) == (f"M{WIDTH / 2} {HEIGHT / 2}h0", (WIDTH / 2, HEIGHT / 2))
    line = sparklines(us_of([None, None]), {"US.A"})["US.A"]
    assert (line.line, line.band, line.dot) == ("", "", None)


def test_a_ticker_whose_rows_are_all_older_has_no_line() -> None:
    old = us_of([1.0, 2.0], "US.OLD")
    new = us_of([3.0] * 100, "US.NEW").assign(timestamp_str=days(100, "2026-03-01"))
    line = sparklines(pd.concat([old, new]), {"US.OLD"})["US.OLD"]
    assert (line.line, line.dot) == ("", None)


def test_rows_without_a_code() -> None:
    frame = us_of([1.0, 2.0]).drop(columns="code")
    assert list(sparklines(frame, {""})) == [""]
    frame.attrs["code"] = "US.X"
    assert list(sparklines(frame, {"US.X"})) == ["US.X"]
