"""When a reported position is used: hand-made as-of joins, row by row, against the metrics."""

from __future__ import annotations

import datetime as dt
import json
import math
import warnings
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from frames import days, same, us
from hypothesis import given, settings
from hypothesis import strategies as st

from intake_futu_short import metrics, sample
from intake_futu_short.errors import ConfigError, NotShortVolumeError, PositionWarning

NAN = math.nan
HONG_KONG = ZoneInfo("Asia/Hong_Kong")
FIRST = dt.date(2026, 5, 1)


def hk(n: int = 30, code: str | None = None, volume: Any = 10) -> pd.DataFrame:
    """A row each day, ascending from 2026-05-01: the join looks at days, not at sessions."""
    frame = pd.DataFrame(
        {
            "timestamp_str": days(n, FIRST.isoformat()),
            "shares_traded": volume,
            "short_sell_shares_traded": 1,
        }
    )
    return frame if code is None else frame.assign(code=code)


def seen(text: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=HONG_KONG).timestamp()


def by_day(answer: pd.Series[float], frame: pd.DataFrame) -> dict[str, float]:
    """The days on which an answer changes, and to what."""
    table = pd.Series(answer.to_numpy(), index=frame["timestamp_str"]).sort_index()
    changed = table.ne(table.shift()) & ~(table.isna() & table.shift().isna())
    return {str(day)[5:]: value for day, value in table[changed].items()}


# --- literal days and numbers


def test_a_weekly_series_is_used_week_by_week() -> None:
    positions = pd.DataFrame(
        {
            # Fridays; published the Friday after. 2026-05-01 is Labour Day, so as of 04-30 too.
            "as_of": ["2026-04-24", "2026-04-30", "2026-05-08", "2026-05-15"],
            "aggregated_short": [100, 200, 300, 400],
            "aggregated_short_ratio": [1.0, 1.0, 2.0, 4.0],
        }
    )
    frame = hk()
    answer = metrics.days_to_cover(frame, 1, positions=positions)
    # 2026-05-01 is a holiday: what was due then came on Monday 2026-05-04.
    expected = {"05-05": 10.0, "05-09": 20.0, "05-16": 30.0, "05-23": 40.0}
    assert by_day(answer, frame) == expected
    shares = metrics.implied_shares(frame, positions=positions)
    assert by_day(shares, frame) == {"05-05": 10_000.0, "05-09": 20_000.0, "05-16": 15_000.0,
                                     "05-23": 10_000.0}  # fmt: skip
    shuffled = positions.sample(frac=1, random_state=3)
    mixed = frame.sample(frac=1, random_state=5)
    again = metrics.days_to_cover(mixed, 1, positions=shuffled)
    pd.testing.assert_series_equal(again, answer.loc[mixed.index])


def test_the_mean_volume_is_that_of_the_days_that_end_at_the_row() -> None:
    frame = hk(6, volume=[10, 20, 30, 40, 50, 60])
    positions = pd.DataFrame(
        {"as_of": ["2026-04-01"], "aggregated_short": [300], "published": ["2026-05-02"]}
    )
    answer = metrics.days_to_cover(frame, 2, positions=positions)
    same(answer, [NAN, NAN, 300 / 25, 300 / 35, 300 / 45, 300 / 55])


def test_what_was_seen_before_its_estimated_publication_is_known_then() -> None:
    early = {"as_of": "2026-05-08", "aggregated_short": 100, "published": "2026-05-15"}
    for moment, day in [
        ("2026-05-13T09:00", "05-14"),
        ("2026-05-13T23:59:59", "05-14"),  # a quarter to midnight in Hong Kong, and not UTC
        ("2026-05-14T00:00:00", "05-15"),
        ("2026-05-20T09:00", "05-16"),  # seen late: it had been published all the same
        ("2026-05-01T09:00", "05-09"),  # before its own day: a clock was wrong
    ]:
        positions = pd.DataFrame([{**early, "first_seen": seen(moment)}])
        frame = hk()
        assert by_day(metrics.days_to_cover(frame, 1, positions=positions), frame) == {day: 10.0}


def test_a_correction_is_known_when_it_was_seen() -> None:
    positions = pd.DataFrame(
        {
            "as_of": "2026-05-08",
            "aggregated_short": [300, 200, 100],
            "first_seen": [seen("2026-05-20T10:00"), seen("2026-05-18T10:00"), NAN],
            "published": "2026-05-15",
        }
    )
    frame = hk()
    answer = metrics.days_to_cover(frame, 1, positions=positions)
    assert by_day(answer, frame) == {"05-16": 10.0, "05-19": 20.0, "05-21": 30.0}
    same_day = [seen("2026-05-18T12:00"), *positions["first_seen"].iloc[1:]]
    latest = metrics.days_to_cover(frame, 1, positions=positions.assign(first_seen=same_day))
    assert by_day(latest, frame) == {"05-16": 10.0, "05-19": 30.0}
    told = positions.drop(columns="first_seen").assign(
        published=["2026-05-20", "2026-05-18", "2026-05-15"]
    )
    again = metrics.days_to_cover(frame, 1, positions=told)
    pd.testing.assert_series_equal(again, answer)


def test_a_late_report_of_an_earlier_day_does_not_take_the_place_of_a_newer_one() -> None:
    positions = pd.DataFrame(
        {
            "as_of": ["2026-05-01", "2026-05-08"],
            "aggregated_short": [100, 200],
            "published": ["2026-05-20", "2026-05-10"],
        }
    )
    frame = hk()
    assert by_day(metrics.days_to_cover(frame, 1, positions=positions), frame) == {"05-11": 20.0}


def test_a_report_without_a_position_ends_the_one_before() -> None:
    positions = pd.DataFrame(
        {
            "as_of": ["2026-05-01", "2026-05-02"],
            "aggregated_short": pd.array([100, None], dtype="Int64"),
            "published": ["2026-05-03", "2026-05-05"],
        }
    )
    answer = metrics.days_to_cover(hk(7), 1, positions=positions)
    same(answer, [NAN, NAN, NAN, 10.0, 10.0, NAN, NAN])


def test_each_ticker_has_its_own_reports() -> None:
    frame = pd.concat([hk(5, "HK.1"), hk(5, "HK.2"), hk(5, "HK.3")], ignore_index=True)
    positions = pd.DataFrame(
        {
            "code": ["HK.2", "HK.1", "HK.2", "HK.9"],
            "as_of": "2026-04-01",
            "aggregated_short": [20, 10, 30, 99],
            "published": ["2026-05-01", "2026-05-02", "2026-05-03", "2026-04-01"],
        }
    )
    answer = metrics.days_to_cover(frame, 1, positions=positions)
    same(answer, [NAN, NAN, 1.0, 1.0, 1.0, NAN, 2.0, 2.0, 3.0, 3.0, *[NAN] * 5])
    by_code = positions.set_index("code")
    same(metrics.days_to_cover(frame, 1, positions=by_code), answer.tolist())


def test_us_short_interest_counts_from_the_ninth_business_day() -> None:
    # FINRA's calendar: settlement 2026-04-15, published on 2026-04-27.
    positions = pd.DataFrame(
        {"timestamp_str": ["2026-04-15"], "shares_short": [50], "short_percent": [0.5]}
    )
    frame = us([1] * 20, [10] * 20).assign(timestamp_str=days(20, "2026-04-15"))
    answer = metrics.days_to_cover(frame, 1, positions=positions)
    assert by_day(answer, frame) == {"04-28": 5.0}
    found = metrics.metrics(frame, 1, positions=positions)
    same(found["days_to_cover_1"], answer.tolist())
    assert by_day(found["implied_shares"], frame) == {"04-28": 10_000.0}
    less = metrics.metrics(frame, 1, positions=positions.drop(columns="short_percent"))
    assert set(found) - set(less) == {"implied_shares"}


def test_attrs_have_a_series_or_one_report() -> None:
    frame = hk(code="HK.1")
    frame.attrs["aggregates_history"] = json.dumps(
        [["HK.1", "2026-04-24", None, 100, 1.0], ["HK.1", "2026-05-08", 1.0e9, 300, 2.0],
         ["HK.1", "2026-05-08", seen("2026-05-20T18:00"), 330, 2.0]]
    )  # fmt: skip
    frame.attrs |= {
        "aggregated_short": 7,
        "aggregated_short_ratio": 1,
        "new_time_str": "2026-04-01",
    }
    expected = {"05-05": 10.0, "05-09": 30.0, "05-21": 33.0}
    assert by_day(metrics.days_to_cover(frame, 1), frame) == expected
    given = metrics.days_to_cover(frame, 1, aggregated_short=50, new_time_str="2026-05-08")
    assert by_day(given, frame) == {"05-16": 5.0}
    history = metrics.aggregates_history(frame)
    passed = metrics.days_to_cover(hk(code="HK.1"), 1, positions=history)
    assert by_day(passed, frame) == expected
    del frame.attrs["aggregates_history"]
    assert set(metrics.days_to_cover(frame, 1)) == {0.7}


def test_with_the_sample_nothing_is_used_on_the_day_of_publication() -> None:
    frame = sample.frame("HK.SAMPLE")  # as of Friday 2026-06-05, published on 2026-06-12
    answer = metrics.days_to_cover(frame)
    known = frame["timestamp_str"][answer.notna()]
    assert sorted(known) == ["2026-06-15", "2026-06-16", "2026-06-17", "2026-06-18"]
    volumes = frame["shares_traded"].iloc[:20].astype(float)
    assert answer.iloc[0] == pytest.approx(17650300 / volumes.mean(), rel=1e-15)


# --- by the book

Report = tuple[str, int, int, "int | None", int]


@st.composite
def reports(draw: st.DrawFn) -> list[Report]:
    """Code, as-of day, publication, first seen (hours), position; days count from the first row."""
    found = []
    for number in range(draw(st.integers(0, 12))):
        as_of = draw(st.integers(-20, 28))
        published = as_of + draw(st.integers(0, 15))
        hours = draw(st.none() | st.integers(24 * as_of, 24 * (as_of + 20)))
        found.append((draw(st.sampled_from(["HK.1", "HK.2"])), as_of, published, hours, number + 1))
    return found


def as_frame(told: list[Report]) -> pd.DataFrame:
    midnight = dt.datetime.combine(FIRST, dt.time(), HONG_KONG).timestamp()
    return pd.DataFrame(
        {
            "code": pd.Series([one[0] for one in told], dtype=object),
            "as_of": pd.to_datetime([FIRST + dt.timedelta(days=one[1]) for one in told]),
            "published": pd.to_datetime([FIRST + dt.timedelta(days=one[2]) for one in told]),
            "first_seen": [NAN if one[3] is None else midnight + 3600 * one[3] for one in told],
            "aggregated_short": pd.array([one[4] for one in told], dtype="Int64"),
        }
    )


def told_on(report: Report) -> int:
    """When a report was known that corrects no other."""
    _, _, published, hours, _ = report
    return published if hours is None else min(published, hours // 24)


def known_on(told: list[Report], code: str, day: int) -> float:
    """Look at every report, the one way that the documentation describes."""
    best: tuple[float, ...] | None = None
    answer = NAN
    for place, (whose, as_of, published, hours, position) in enumerate(told):
        if whose != code:
            continue
        seen_at = -math.inf if hours is None else hours
        # Reports of the same day, the one that was known first before the others.
        others = sorted(
            (told_on(other), -math.inf if other[3] is None else other[3], number)
            for number, other in enumerate(told)
            if other[:2] == (code, as_of)
        )
        first = others[0][2]
        is_correction = first != place and published <= told[first][2]
        known = told_on(told[place])
        if is_correction and hours is not None:
            known = hours // 24
        rank: tuple[float, ...] = (as_of, known, seen_at, place)
        if known < day and (best is None or rank > best):
            best, answer = rank, float(position)
    return answer


@settings(max_examples=200)
@given(reports(), st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(0, 30)), unique=True))
def test_any_series_is_joined_as_by_hand(told: list[Report], rows: list[tuple[int, int]]) -> None:
    frame = pd.DataFrame(
        {
            "code": pd.Series([f"HK.{number}" for number, _ in rows], dtype=object),
            "timestamp_str": pd.Series(
                [(FIRST + dt.timedelta(days=day)).isoformat() for _, day in rows], dtype=object
            ),
            "shares_traded": 1.0,
            "short_sell_shares_traded": 1,
        }
    )
    expected = [known_on(told, f"HK.{number}", day) for number, day in rows]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PositionWarning)
        answer = metrics.days_to_cover(frame, 1, positions=as_frame(told))
    same(answer, expected, frame.index)


@settings(max_examples=60)
@given(reports(), reports(), st.integers(0, 29))
def test_reports_that_come_later_change_no_earlier_answer(
    told: list[Report], later: list[Report], today: int
) -> None:
    # From `today` on, whatever it is as of, whoever published or saw it.
    new = [
        (c, min(a, today), max(p, today), None if h is None else max(h, 24 * today), n)
        for c, a, p, h, n in later
    ]
    frame = pd.concat([hk(code="HK.1"), hk(code="HK.2")], ignore_index=True)
    past = frame["timestamp_str"] <= (FIRST + dt.timedelta(days=today)).isoformat()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PositionWarning)
        before, after = (
            metrics.days_to_cover(frame, 3, positions=as_frame(of)) for of in (told, told + new)
        )
        known = metrics.days_to_cover(frame[past], 3, positions=as_frame(told))
    pd.testing.assert_series_equal(after[past], before[past], check_exact=True)
    pd.testing.assert_series_equal(known, before[past], check_exact=True)


# --- what is said


def test_reports_newer_than_the_rows_are_said_once() -> None:
    frame = sample.frame("HK.00700").assign(shares_traded=5)
    message = r"as of 2026-04-30 was known on 2026-05-08 .*the rows end on 2026-05-08"
    for call in (
        lambda: metrics.days_to_cover(frame, 2),
        lambda: metrics.implied_shares(frame),
        lambda: metrics.metrics(frame, (2, 3)),
        lambda: metrics.with_metrics(frame, (2, 3)),
    ):
        with pytest.warns(PositionWarning, match=message) as caught:
            call()
        assert len(caught) == 1
        assert caught[0].filename == __file__
    assert metrics.days_to_cover(frame.iloc[:0], 2).empty
    other = pd.DataFrame({"code": ["HK.9"], "as_of": "2026-05-01", "aggregated_short": 1})
    assert metrics.days_to_cover(frame, 2, positions=other).isna().all()


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ({"as_of": 1}, "positions must be a DataFrame with one row per report, not dict"),
        (pd.DataFrame({"as_of": ["2026-05-01"]}), "no column aggregated_short or shares_short"),
        (pd.DataFrame({"aggregated_short": [1]}), "no column as_of or timestamp_str"),
        (
            pd.DataFrame({"as_of": ["soon"], "aggregated_short": [1]}),
            "positions: as_of must be a trading day such as '2026-01-02'.*not 'soon'",
        ),
        (
            # What CSV makes of 20260501 beside a missing one: pandas alone would read 1970.
            pd.DataFrame({"as_of": [20260501.0, NAN], "aggregated_short": [1, 2]}),
            r"positions: as_of must be a trading day .* not 20260501\.0",
        ),
        (
            pd.DataFrame({"as_of": "2026-05-01", "first_seen": ["x"], "aggregated_short": 1}),
            "positions: first_seen holds something that is not a number",
        ),
        (
            pd.DataFrame({"as_of": "2026-05-01", "first_seen": [1.7e12], "aggregated_short": 1}),
            r"positions: first_seen holds 1.7e\+12, which is not in Unix seconds",
        ),
        (
            pd.DataFrame({"as_of": ["2026-05-01"], "aggregated_short": ["many"]}),
            "aggregated_short holds something that is not a number",
        ),
    ],
)
def test_what_are_no_reports_is_refused(positions: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        metrics.days_to_cover(hk(code="HK.1"), 1, positions=positions)
    with pytest.raises(ConfigError, match=message):
        metrics.metrics(hk(code="HK.1"), 1, positions=positions)


def test_whose_reports_are_must_be_clear() -> None:
    positions = pd.DataFrame({"as_of": ["2026-04-01"], "aggregated_short": [10]})
    panel = pd.concat([hk(3, "HK.1"), hk(3, "HK.2")])
    with pytest.raises(
        ConfigError, match="days_to_cover_1 of a panel: positions needs a column co"
    ):
        metrics.days_to_cover(panel, 1, positions=positions)
    two = pd.concat([positions.assign(code=code) for code in ("HK.1", "HK.2")])
    with pytest.raises(NotShortVolumeError, match="does not say whose its rows are"):
        metrics.days_to_cover(hk(3), 1, positions=two)
    same(metrics.days_to_cover(hk(3), 1, positions=two.head(1)), [1.0] * 3)
    whose = hk(3)
    whose.attrs["code"] = "HK.2"
    same(metrics.days_to_cover(whose, 1, positions=two.tail(1)), [1.0] * 3)
    positions.attrs["code"] = "HK.1"  # a frame of short interest of one ticker
    message = (
        r"days_to_cover_1: positions is of HK\.1 by its attrs, and the rows are of HK\.2\. .*"
        r"positions=intake\.open_futu_short_interest\('HK\.2'\)\.read\(\)"
    )
    for rows in (whose, hk(3, "HK.2"), whose.iloc[:0]):
        with pytest.raises(ConfigError, match=message):
            metrics.days_to_cover(rows, 1, positions=positions)
    # Of a panel it is that ticker's, and no other's.
    answer = metrics.days_to_cover(panel, 1, positions=positions)
    same(answer, [1.0, 1.0, 1.0, NAN, NAN, NAN])
    with pytest.raises(ConfigError, match=r"is of HK\.1 .* rows are of HK\.2 and 1 more"):
        metrics.metrics(panel.replace({"code": {"HK.1": "HK.3"}}), 1, positions=positions)
    positions.attrs = {"market": "US"}
    with pytest.raises(ConfigError, match="of the market US by its attrs, and the rows are of HK"):
        metrics.days_to_cover(hk(3), 1, positions=positions)
    positions.attrs = {}
    with pytest.raises(ConfigError, match="takes positions= or one report by its parts, not both"):
        metrics.days_to_cover(whose, 1, positions=two, aggregated_short=5)


def test_days_and_positions_may_come_in_many_dtypes() -> None:
    expected = [NAN, NAN, 1.0]
    for day in ("2026-05-01", 20260501, dt.date(2026, 5, 1), pd.Timestamp("2026-05-01")):
        for value in (10, 10.0, np.float32(10), "10"):
            table = pd.DataFrame(
                {"as_of": [day], "published": ["2026-05-02"], "shares_short": value}
            )
            if isinstance(value, str):
                table["shares_short"] = pd.to_numeric(table["shares_short"])
            same(metrics.days_to_cover(hk(3), 1, positions=table), expected)


def test_whole_numbers_beside_missing_ones_are_days() -> None:
    table = pd.DataFrame({"as_of": [20260501, 20260508], "aggregated_short": [10, 20]})
    table["published"] = pd.Series([None, 20260512], dtype=object)  # the other: 2026-05-08
    frame = hk(14)
    answer = by_day(metrics.days_to_cover(frame, 1, positions=table), frame)
    assert answer == {"05-09": 1.0, "05-13": 2.0}
