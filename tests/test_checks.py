from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from frames import DATA, FINDINGS, days, real, us
from hypothesis import given
from hypothesis import strategies as st

import intake_futu_short
from intake_futu_short import checks
from intake_futu_short.metrics import sessions

SAMPLE = Path(intake_futu_short.__file__).parent / "sample"

CALENDAR = {"missing_day", "no_session"}


def everything(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Findings as tuples (day, what, reported, computed), once their form is right."""
    findings = checks.check(frame)
    assert list(findings) == FINDINGS
    assert findings["date"].dtype == "datetime64[ns]"
    assert findings["code"].dtype == findings["what"].dtype == pd.Series(["text"]).dtype
    for number in FINDINGS[3:]:
        assert findings[number].dtype == np.float64
    assert isinstance(findings.index, pd.RangeIndex)
    np.testing.assert_array_equal(
        findings["difference"], findings["reported"] - findings["computed"]
    )
    return [
        (f"{day:%Y-%m-%d}", *rest)
        for day, *rest in findings[["date", "what", "reported", "computed"]].itertuples(index=False)
    ]


def found(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Findings other than those of the calendar: the days of these frames are made up."""
    return [finding for finding in everything(frame) if finding[1] not in CALENDAR]


def of_calendar(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [finding for finding in everything(frame) if finding[1] in CALENDAR]


def changed(row: int, column: str, value: float) -> pd.DataFrame:
    """The real rows with one value changed."""
    frame = real()
    frame[column] = [value if i == row else old for i, old in enumerate(frame[column])]
    return frame


def test_the_real_rows_add_up() -> None:
    frame = real()
    assert found(frame) == []
    total = frame["nasdaq_shares_short"] + frame["nyse_shares_short"]
    assert total.tolist() == frame["total_shares_short"].tolist()
    assert found(frame.sample(frac=1, random_state=7)) == []
    assert found(sessions.by_date(frame)) == []


def test_the_documented_rows_have_nothing_to_check_and_that_is_said() -> None:
    frame = pd.read_csv(DATA / "hk_00700_documented.csv").assign(short_sell_shares_traded=None)
    # Their counts, turnovers and closes are empty.
    nothing = [("2026-05-08", "nothing_to_check", 0.0, 10.0)]
    assert found(frame) == nothing
    assert found(frame.assign(close_price=None, shares_traded=None)) == nothing
    assert found(frame.assign(close_price=frame["last_close_price"].shift(1))) == []  # newest first
    assert found(frame.iloc[:0]) == []
    known = hk(3, code="HK.1")
    both = pd.concat([frame.assign(code="HK.2"), known, frame.assign(code="HK.3")])
    findings = checks.check(both)
    empty = findings[findings["what"] == "nothing_to_check"]
    assert empty["code"].tolist() == ["HK.2", "HK.3"]


@pytest.mark.parametrize("dtype", ["float32", "Float32", "float[pyarrow]"])
def test_columns_of_less_precision_are_compared_with_theirs(dtype: str) -> None:
    kind = pd.api.types.pandas_dtype(dtype)
    frames = [real(), pd.read_csv(SAMPLE / "HK.SAMPLE.csv"), pd.read_csv(SAMPLE / "US.SAMPLE.csv")]
    for frame in frames:
        columns = [name for name in frame if name != "timestamp_str"]
        floats = frame.astype(dict.fromkeys(columns, "float32"))
        assert found(floats.astype(dict.fromkeys(columns, kind))) == []
        prices = [name for name in frame if str(name).endswith(("price", "percent", "ratio"))]
        assert found(frame.astype(dict.fromkeys(prices, kind))) == []
    wrong = changed(2, "short_percent", 13.866).astype({"short_percent": kind})
    (finding,) = found(wrong)
    assert finding[:2] == ("2026-06-16", "short_percent")
    dear = changed(2, "close_price", 999.0)
    assert len(found(dear.astype({"close_price": kind, "last_close_price": kind}))) == 1
    total = changed(3, "nasdaq_shares_short", 5_875_914)
    counts = ["total_shares_short", "nasdaq_shares_short", "nyse_shares_short"]
    assert len(found(total.astype(dict.fromkeys(counts, "float32")))) == 1


def test_a_timestamp_of_another_day_than_the_string() -> None:
    frame = real()
    assert frame.loc[[2, 3], "timestamp_str"].tolist() == ["2026-06-16", "2026-06-15"]
    midnight = 1781582400  # date -d '2026-06-16 00:00 -0400' +%s
    for timestamp in (midnight, midnight + 86_399):
        assert found(changed(2, "timestamp", timestamp)) == []
    for timestamp in (midnight - 1, midnight + 86_400, 0, -1, 2**62):
        assert found(changed(2, "timestamp", timestamp)) == [
            ("2026-06-16", "timestamp", float(timestamp), float(midnight))
        ]
    assert found(changed(2, "timestamp", float("nan"))) == []


def test_a_day_of_23_or_25_hours_ends_at_the_next_midnight() -> None:
    # New York's clocks were set forward on Sunday 2026-03-08, and back on 2026-11-01.
    for day, midnight, hours in [("2026-03-08", 1772946000, 23), ("2026-11-01", 1793505600, 25)]:
        row = us([1], [2]).assign(timestamp_str=day)
        last = midnight + hours * 3600 - 1
        assert found(row.assign(timestamp=last)) == []
        assert found(row.assign(timestamp=last + 1)) == [
            (day, "timestamp", float(last + 1), float(midnight))
        ]


def test_timestamps_that_a_user_has_made_something_else_of_are_not_looked_at() -> None:
    frame = real()
    moments = pd.to_datetime(frame["timestamp"] + 86_400, unit="s", utc=True)
    assert found(frame.assign(timestamp=moments)) == []
    assert found(frame.assign(timestamp=frame["timestamp"].astype(str))) == []
    assert found(frame.drop(columns="timestamp_str").assign(timestamp=frame["timestamp"])) == []


def test_when_rows_were_first_seen_is_not_checked() -> None:
    assert found(real().assign(first_seen=1781600000.5)) == []


def test_a_total_that_is_not_the_sum_of_the_venues() -> None:
    assert found(changed(3, "nasdaq_shares_short", 5865914)) == [
        ("2026-06-15", "total_shares_short", 7910302.0, 7910301.0)
    ]


@pytest.mark.parametrize("value", [13.864, 13.8634, 13.862, 0.0])
def test_a_short_percent_that_is_not_truncated_from_the_counts(value: float) -> None:
    assert found(changed(2, "short_percent", value)) == [
        ("2026-06-16", "short_percent", value, 13.863)
    ]


def test_a_difference_of_representation_alone_is_no_finding() -> None:
    assert found(changed(2, "short_percent", np.nextafter(13.863, 0))) == []
    assert found(changed(30, "daily_trade_avg_ratio", np.nextafter(17.23, 99))) == []
    assert found(changed(30, "last_close_price", np.nextafter(224.090145897, 999))) == []


def test_percentages_are_truncated_in_whole_numbers() -> None:
    # In floats 100 * 323 / 1000 * 1000 is 32299.999999999996.
    assert found(us([323], [1000], short_percent=32.3)) == []
    assert found(us([323, None], [1000, 9], short_percent=32.3)) == []


def test_what_truncation_in_floats_takes_from_a_whole_decimal_is_no_finding() -> None:
    assert found(us([323], [1000], short_percent=32.299)) == []
    assert found(us([323.0, 0.5], [1000.0, 1.25], short_percent=[32.299, 39.999])) == []
    for wrong in (32.298, 32.301):
        assert found(us([323], [1000], short_percent=wrong)) == [
            ("2026-01-01", "short_percent", wrong, 32.3)
        ]
    assert len(found(us([0], [1000], short_percent=-0.001))) == 1
    # 32.3003 cut off is 32.3 also in floats.
    assert found(us([323_003], [1_000_000], short_percent=32.299)) == [
        ("2026-01-01", "short_percent", 32.299, 32.3)
    ]
    flat = us([19] * 20, [100] * 20, close_price=5.0, last_close_price=5.0)
    assert found(flat.assign(daily_trade_avg_ratio=18.99)) == []
    assert len(found(flat.assign(daily_trade_avg_ratio=18.98))) == 1


def test_a_daily_trade_avg_ratio_that_is_not_that_of_its_20_days() -> None:
    assert found(changed(30, "daily_trade_avg_ratio", 17.24)) == [
        ("2024-10-09", "daily_trade_avg_ratio", 17.24, 17.23)
    ]


def test_a_window_that_is_not_whole_is_not_checked() -> None:
    for row in (0, 14, 27, 38, 56):
        assert found(changed(row, "daily_trade_avg_ratio", 99.0)) == []
    frame = changed(33, "volume", np.nan)
    frame["daily_trade_avg_ratio"] = frame["daily_trade_avg_ratio"].where(frame.index > 33, 99.0)
    assert found(frame) == []


def test_prices_that_meet_by_chance_do_not_close_a_long_gap() -> None:
    frame = changed(27, "last_close_price", 225.856901709)
    assert frame.loc[28, "close_price"] == 225.856901709
    assert found(frame) == []


def test_a_missing_session_shows_as_the_last_close_of_the_day_after() -> None:
    # Without Wednesday 2024-10-02 the row of Thursday follows on that of Tuesday.
    frame = real().drop(index=35)
    assert found(frame) == [("2024-10-03", "last_close_price", 225.092630937, 224.526872053)]


def test_after_a_missing_stretch_the_last_close_is_not_compared() -> None:
    assert found(real().drop(index=[33, 34, 35, 36, 37])) == []


def test_closes_are_compared_over_at_most_five_days() -> None:
    frame = hk(2, last_close_price=[10.0, 9.0])
    near = frame.assign(timestamp_str=["2026-01-01", "2026-01-06"])
    assert found(near) == [("2026-01-06", "last_close_price", 9.0, 10.0)]
    assert found(frame.assign(timestamp_str=["2026-01-01", "2026-01-07"])) == []


def test_a_short_count_above_the_volume() -> None:
    assert found(us([5, 7, 6], [5, 6, None])) == [("2026-01-02", "short_above_volume", 7.0, 6.0)]


def test_a_repeated_day_is_found_once_and_disturbs_no_window() -> None:
    frame = real()
    assert found(pd.concat([frame, frame.iloc[[30, 30, 50]]])) == [
        ("2024-09-11", "duplicate_day", 2.0, 1.0),
        ("2024-10-09", "duplicate_day", 3.0, 1.0),
    ]


def test_the_surplus_rows_of_a_day_are_checked_by_themselves() -> None:
    wrong = changed(30, "nyse_shares_short", 1).iloc[[30]]
    assert found(pd.concat([real(), wrong])) == [
        ("2024-10-09", "duplicate_day", 2.0, 1.0),
        ("2024-10-09", "total_shares_short", 6159839.0, 4538876.0),
    ]


def hk(n: int, **columns: Any) -> pd.DataFrame:
    given = {
        "timestamp_str": days(n),
        "shares_traded": 100,
        "turnover": 1000.0,
        "short_sell_shares_traded": 10,
        "short_sell_turnover": 99.5,
        "open_price": 10.0,
        "close_price": 10.0,
        "last_close_price": 10.0,
        "daily_trade_avg_ratio": 55.5,
    }
    return pd.DataFrame({**given, **columns})


def test_the_unverified_average_of_hk_is_not_checked() -> None:
    assert found(hk(25)) == []


def test_hk_turnover_prices_and_counts_are_checked() -> None:
    frame = hk(
        3,
        short_sell_turnover=[99.5, 1000.5, None],
        short_sell_shares_traded=[101, 10, 10],
        last_close_price=[9.0, 10.0, 10.1],
    )
    assert found(frame) == [
        ("2026-01-01", "short_above_volume", 101.0, 100.0),
        ("2026-01-02", "short_turnover_above_turnover", 1000.5, 1000.0),
        ("2026-01-03", "last_close_price", 10.1, 10.0),
    ]


def test_findings_name_the_ticker() -> None:
    one = changed(3, "nyse_shares_short", 0).iloc[:14]
    assert checks.check(one)["code"].isna().all()
    one.attrs["code"] = "US.AAPL"
    assert checks.check(one)["code"].tolist() == ["US.AAPL"]
    panel = pd.concat(
        [one.assign(code="US.Z"), one.assign(code="US.B"), real().iloc[:14].assign(code="US.C")]
    )
    assert checks.check(panel)["code"].tolist() == ["US.B", "US.Z"]
    assert found(panel) == [("2026-06-15", "total_shares_short", 7910302.0, 5865915.0)] * 2
    assert checks.check(sessions.by_date(panel))["code"].tolist() == ["US.B", "US.Z"]


def test_rows_of_one_ticker_do_not_follow_on_those_of_another() -> None:
    # Each alone lacks a whole window; the prices would join them.
    flat = us([1] * 19, [10] * 19, close_price=5.0, last_close_price=5.0)
    later = flat.assign(timestamp_str=days(19, "2026-01-20"))
    panel = pd.concat([flat.assign(code="US.A"), later.assign(code="US.B")])
    assert found(panel.assign(daily_trade_avg_ratio=99.0)) == []
    joined = pd.concat([flat, later]).assign(daily_trade_avg_ratio=10.0)
    assert found(joined) == []
    assert len(found(joined.assign(daily_trade_avg_ratio=99.0))) == 19


def test_what_the_frame_lacks_is_not_checked() -> None:
    frame = real().drop(columns=["nyse_shares_short", "close_price", "volume"])
    nothing = [("2026-06-18", "nothing_to_check", 0.0, 57.0)]
    assert found(frame.assign(daily_trade_avg_ratio=99.0)) == nothing


# --- exact arithmetic

counts = st.integers(0, 2**53 - 1) | st.integers(0, 2_000_000)


@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=30))
def test_truncation_is_that_of_whole_numbers(rows: list[tuple[int, int]]) -> None:
    """Also beyond what 64 bits hold: a count times 10**5."""
    short, volume = (list(numbers) for numbers in zip(*rows, strict=True))
    below = [1000 * 100 * s // v / 1000 if v else np.nan for s, v in rows]
    assert [
        f for f in found(us(short, volume, short_percent=below)) if f[1] == "short_percent"
    ] == []
    above = [(1000 * 100 * s // v + 1) / 1000 if v else np.nan for s, v in rows]
    wrong = found(us(short, volume, short_percent=above))
    expected = [
        (day, reported, computed)
        for day, reported, computed in zip(days(len(rows)), above, below, strict=True)
        # Beyond this the last decimal is noise.
        if abs(reported - computed) > 1e-9 * abs(computed)
    ]
    assert [(f[0], f[2], f[3]) for f in wrong if f[1] == "short_percent"] == expected


@given(
    st.lists(
        st.tuples(st.floats(0, 1e12, allow_subnormal=False), st.floats(1e-3, 1e12)),
        min_size=1,
        max_size=10,
    )
)
def test_counts_that_are_not_whole_are_truncated_exactly_too(
    rows: list[tuple[float, float]],
) -> None:
    short, volume = (list(numbers) for numbers in zip(*rows, strict=True))
    cut = [floor(Fraction(s) / Fraction(v) * 100_000) / 1000 for s, v in rows]
    assert [f for f in found(us(short, volume, short_percent=cut)) if f[1] == "short_percent"] == []


# --- the calendar


def stretch() -> pd.DataFrame:
    """29 real rows of sessions in a row, 2024-09-03 to 2024-10-11."""
    return pd.read_csv(SAMPLE / "US.AAPL.csv")


@pytest.mark.parametrize("name", ["US.AAPL", "US.SAMPLE", "HK.SAMPLE"])
def test_whole_histories_are_clean(name: str) -> None:
    frame = pd.read_csv(SAMPLE / f"{name}.csv")
    assert everything(frame) == []
    assert everything(frame.sample(frac=1, random_state=3)) == []


def test_a_session_without_a_row_is_missing() -> None:
    # The frame is newest first: Wednesday 2024-10-02 and Friday 2024-09-13.
    assert of_calendar(stretch().drop(index=[7, 20])) == [
        ("2024-09-13", "missing_day", 0.0, 1.0),
        ("2024-10-02", "missing_day", 0.0, 1.0),
    ]


def test_what_lies_before_the_first_row_or_after_the_last_is_not_missing() -> None:
    assert everything(stretch().iloc[5:20]) == []
    assert everything(stretch().iloc[[4]]) == []
    assert everything(stretch().iloc[:0]) == []


def test_between_the_stretches_of_the_real_rows_whole_months_are_missing() -> None:
    # Counted on the exchange's own holiday pages: 14 + 17 October-November 2024 to the 25th;
    # of 2024-12-17 to 2026-05-29 the 362 sessions.
    missing = of_calendar(real())
    autumn = [f for f in missing if f[0] < "2024-12-01"]
    assert len(autumn) == 31
    assert (autumn[0][0], autumn[-1][0]) == ("2024-10-14", "2024-11-25")
    assert len(missing) == 31 + 362


@pytest.mark.parametrize("day", ["2024-09-02", "2024-09-07", "2024-09-15"])
def test_a_row_of_a_day_without_a_session(day: str) -> None:
    # Labor Day, a Saturday, a Sunday.
    one = stretch().iloc[[0]].assign(timestamp_str=day)
    assert of_calendar(pd.concat([stretch(), one])) == [(day, "no_session", 1.0, 0.0)]


def test_a_repeated_day_without_a_session_is_counted() -> None:
    one = stretch().iloc[[0]].assign(timestamp_str="2024-09-07")
    findings = everything(pd.concat([stretch(), one, one]))
    assert ("2024-09-07", "duplicate_day", 2.0, 1.0) in findings
    assert ("2024-09-07", "no_session", 2.0, 0.0) in findings


def test_a_repeated_day_hides_no_missing_one() -> None:
    frame = pd.concat([stretch().drop(index=7), stretch().iloc[[6, 8]]])
    assert of_calendar(frame) == [("2024-10-02", "missing_day", 0.0, 1.0)]


def test_days_are_missing_of_the_ticker_that_lacks_them() -> None:
    whole, gap = stretch().assign(code="US.Z"), stretch().drop(index=[7]).assign(code="US.B")
    findings = checks.check(pd.concat([whole, gap, stretch().iloc[20:].assign(code="US.C")]))
    missing = findings[findings["what"] == "missing_day"]
    assert missing["code"].tolist() == ["US.B"]
    assert missing["date"].tolist() == [pd.Timestamp("2024-10-02")]


def test_findings_are_in_the_order_of_their_days() -> None:
    frame = stretch().drop(index=[7, 20]).assign(nyse_shares_short=0)
    findings = checks.check(frame)
    assert findings["date"].is_monotonic_increasing
    assert set(findings["what"]) >= {"missing_day", "total_shares_short"}


def test_days_that_no_calendar_reaches_are_not_looked_at() -> None:
    # A timestamp of 0 is the year 1970; between it and the others nothing is missing.
    stray = stretch().iloc[[0]]
    for day in ("1970-01-01", "1999-12-31", "2050-01-03", "2262-04-10"):
        assert of_calendar(pd.concat([stretch(), stray.assign(timestamp_str=day)])) == []
        assert of_calendar(stray.assign(timestamp_str=day)) == []


def test_without_the_package_days_are_not_looked_for() -> None:
    code = (
        "import sys; sys.modules['exchange_calendars'] = None\n"
        "import pandas as pd, intake_futu_short\n"
        f"frame = pd.read_csv({str(SAMPLE / 'US.AAPL.csv')!r}).drop(index=[7, 20])\n"
        "print(sorted(set(frame.shortvol.check()['what'])))"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (result.stdout.strip(), result.stderr) == ("['last_close_price']", "")


def test_asking_the_calendar_says_nothing() -> None:
    code = (
        "import pandas as pd, intake_futu_short\n"
        f"frame = pd.read_csv({str(SAMPLE / 'HK.SAMPLE.csv')!r})\n"
        "print(len(frame.shortvol.check()))"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (result.stdout.strip(), result.stderr) == ("0", "")
