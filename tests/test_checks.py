from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from frames import DATA, FINDINGS, days, real, us

from intake_futu_short import checks, sessions

# --- check


def found(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
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


def test_the_documented_rows_add_up() -> None:
    frame = pd.read_csv(DATA / "hk_00700_documented.csv")
    assert found(frame.assign(short_sell_shares_traded=None)) == []


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
    assert found(us([323], [1000], short_percent=32.299)) == [
        ("2026-01-01", "short_percent", 32.299, 32.3)
    ]


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
    one = changed(3, "nyse_shares_short", 0)
    assert checks.check(one)["code"].isna().all()
    one.attrs["code"] = "US.AAPL"
    assert checks.check(one)["code"].tolist() == ["US.AAPL"]
    panel = pd.concat(
        [one.assign(code="US.Z"), one.assign(code="US.B"), real().assign(code="US.C")]
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
    assert found(frame.assign(daily_trade_avg_ratio=99.0)) == []
