"""Rows as no gateway should send them: of impossible days, out of order, of two days at once."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any

import pytest
from walked import AAPL, TENCENT, Script, answer, days_of, next_page

from intake_futu_short.calls import Reply
from intake_futu_short.errors import PaginationError
from intake_futu_short.opend.messages_pb2 import DailyShortVolume
from intake_futu_short.walk import Walk, newest_possible

if TYPE_CHECKING:
    from intake_futu_short.calls import Ticker

POSSIBLE = "2026-06-25"


def walk(ticker: Ticker = AAPL, **bounds: Any) -> Walk:
    return Walk(ticker, newest_possible=POSSIBLE, **bounds)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert {r.levelno for r in caplog.records} <= {logging.WARNING}
    return [record.getMessage() for record in caplog.records]


# --- impossible days


def test_a_row_can_be_of_seven_days_after_today_at_most() -> None:
    assert newest_possible(dt.datetime(2026, 6, 18).astimezone().timestamp()) == POSSIBLE
    assert (
        newest_possible(dt.datetime(2026, 12, 28, 23, 59).astimezone().timestamp()) == "2027-01-04"
    )


def test_a_row_of_an_impossible_day_is_left_out_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = Script(
        answer("2099-01-02", "2026-06-25", "2026-06-18", key="a"), answer("2026-06-17", key="-1")
    )
    walked = walk()
    assert days_of(walked, script) == [["2026-06-25", "2026-06-18"], ["2026-06-17"]]
    assert [[row.timestamp_str for row in page.rows] for page in walked.pages] == [
        ["2026-06-25", "2026-06-18"], ["2026-06-17"],
    ]  # fmt: skip
    assert told(caplog) == [
        "US.AAPL: the gateway sent rows dated more than 7 days after this host's date, which are "
        "left out: 2099-01-02"
    ]


def test_without_a_date_every_day_is_possible(caplog: pytest.LogCaptureFixture) -> None:
    assert days_of(Walk(AAPL), Script(answer("2099-01-02", "2026-06-18", key="-1"))) == [
        ["2099-01-02", "2026-06-18"]
    ]
    assert told(caplog) == []


def test_each_impossible_day_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    script = Script(
        answer("2099-01-02", "2026-06-18", key="a"),
        answer("2099-01-02", "2026-06-17", key="b"),
        answer("2099-01-02", "2088-01-02", "2026-06-16", key="-1"),
    )
    assert days_of(walk(), script) == [["2026-06-18"], ["2026-06-17"], ["2026-06-16"]]
    assert [text.rpartition(": ")[2] for text in told(caplog)] == ["2099-01-02", "2088-01-02"]


def test_of_many_impossible_days_the_first_are_named(caplog: pytest.LogCaptureFixture) -> None:
    days = [f"2099-01-{day:02}" for day in range(9, 1, -1)]
    assert days_of(walk(), Script(answer(*days, "2026-06-18", key="-1"))) == [["2026-06-18"]]
    [text] = told(caplog)
    assert text.endswith(
        "left out: 2099-01-09, 2099-01-08, 2099-01-07, 2099-01-06, 2099-01-05 and 3 more days"
    )


def test_where_every_row_is_impossible_the_clock_is_wrong_and_all_are_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = Script(
        answer("2026-07-15", "2026-07-14", key="a"),
        answer("2026-06-26", "2026-06-25", key="b"),  # which the clock reaches
        answer("2026-06-24", key="-1"),
    )
    assert days_of(walk(), script) == [
        ["2026-07-15", "2026-07-14"], ["2026-06-26", "2026-06-25"], ["2026-06-24"],
    ]  # fmt: skip
    assert told(caplog) == [
        "US.AAPL: every row of an answer is dated more than 7 days after this host's date, the "
        "newest 2026-07-15. The clock of this host must be wrong, and the rows are kept"
    ]


def test_behind_a_cursor_the_clock_counts_as_right(caplog: pytest.LogCaptureFixture) -> None:
    script = Script(answer("2099-01-02", key="b"), answer("2026-06-17", key="-1"))
    assert days_of(walk(cursor="a"), script) == [["2026-06-17"]]
    [text] = told(caplog)
    assert text.endswith("left out: 2099-01-02")


def test_an_empty_answer_proves_nothing_of_the_clock() -> None:
    script = Script(answer(key="a"), answer("2099-01-02", "2026-06-18", key="-1"))
    assert days_of(walk(), script) == [["2026-06-18"]]


def test_a_page_that_is_all_left_out_is_passed_over() -> None:
    # The clock is right, as the page before has shown.
    script = Script(
        answer("2026-06-18", key="a"), answer("2099-01-02", key="b"), answer("2026-06-17", key="-1")
    )
    assert days_of(walk(), script) == [["2026-06-18"], ["2026-06-17"]]
    assert script.cursors == [None, "a", "b"]


def test_pages_that_are_all_left_out_do_not_count_as_stale() -> None:
    odd = [answer(f"2099-01-{i + 1:02}", key=f"b{i}") for i in range(20)]
    script = Script(answer("2026-06-18", key="a"), *odd, answer("2026-06-17", key="-1"))
    assert days_of(walk(), script) == [["2026-06-18"], ["2026-06-17"]]
    same = [answer("2099-01-02", key=f"b{i}") for i in range(20)]
    with pytest.raises(PaginationError, match="10 pages in a row"):
        days_of(walk(), Script(answer("2026-06-18", key="a"), *same))


def test_a_page_that_is_all_left_out_does_not_put_its_cursor_in_doubt() -> None:
    script = Script(
        Reply(answer("2026-06-18", key="a"), None, "A"),
        Reply(answer("2099-01-02", key="b"), None, "B"),  # not empty: B knows the cursor
        Reply(answer("2026-06-17", key="-1"), None, "B"),
    )
    assert days_of(walk(), script) == [["2026-06-18"], ["2026-06-17"]]
    assert script.cursors == [None, "a", "b"]


def test_the_page_before_a_cursor_in_doubt_is_known_by_its_impossible_rows_too() -> None:
    script = Script(
        Reply(answer("2026-06-18", key="a"), None, "A"),
        Reply(answer("2099-01-02", key="b"), None, "A"),
        Reply(answer(key="-1"), None, "B"),
        Reply(answer("2099-01-02", key="c"), None, "B"),
        Reply(answer("2026-06-17", key="-1"), None, "B"),
    )
    assert days_of(walk(), script) == [["2026-06-18"], ["2026-06-17"]]
    assert script.cursors == [None, "a", "b", "a", "c"]


def test_an_impossible_row_neither_hides_nor_makes_the_end_of_what_is_wanted() -> None:
    # Out of its place, the impossible row does not make the others' order doubtful.
    script = Script(answer("2026-06-18", "2099-01-02", "2026-06-17", key="a"))
    assert days_of(walk(start="2026-06-17"), script) == [["2026-06-18", "2026-06-17"]]
    script = Script(
        answer("2099-01-02", "2026-06-18", key="a"), answer("2026-06-17", "2026-06-16", key="b")
    )
    assert days_of(walk(start="2026-06-17", end="2026-06-17"), script) == [["2026-06-17"]]
    assert script.cursors == [None, "a"]


# --- the order of rows


def test_rows_of_a_page_are_sorted_newest_first() -> None:
    script = Script(
        answer("2026-06-16", "2026-06-18", "2026-06-17", key="a"),
        answer("2026-06-12", "2026-06-15", key="-1"),
    )
    walked = walk()
    assert days_of(walked, script) == [
        ["2026-06-18", "2026-06-17", "2026-06-16"], ["2026-06-15", "2026-06-12"],
    ]  # fmt: skip
    assert [row.timestamp_str for row in walked.pages[0].rows] == [
        "2026-06-18", "2026-06-17", "2026-06-16",
    ]  # fmt: skip


def test_of_a_day_twice_on_a_page_out_of_order_the_first_row_stays() -> None:
    s2c = answer(key="-1")
    for day, volume in [("2026-06-17", 1), ("2026-06-18", 2), ("2026-06-17", 3), ("2026-06-18", 4)]:
        s2c.us_items.add(timestamp_str=day, volume=volume)
    page = next_page(walk(), Script(s2c))
    assert page is not None
    assert page.days == ["2026-06-18", "2026-06-17"]
    assert [row.volume for row in page.rows] == [2, 1]


def test_nothing_moves_from_page_to_page() -> None:
    script = Script(
        answer("2026-06-15", "2026-06-16", key="a"), answer("2026-06-17", "2026-06-18", key="-1")
    )
    assert days_of(walk(), script) == [["2026-06-16", "2026-06-15"], ["2026-06-18", "2026-06-17"]]


def test_a_history_sent_oldest_first_is_walked_to_its_end_whatever_start_is() -> None:
    script = Script(
        answer("2025-12-30", "2025-12-31", key="a"),
        answer("2026-01-02", "2026-01-05", key="b"),
        answer("2026-01-06", "2026-01-07", key="-1"),
    )
    assert days_of(walk(start="2026-01-01"), script) == [
        ["2026-01-05", "2026-01-02"], ["2026-01-07", "2026-01-06"],
    ]  # fmt: skip


# --- a timestamp of another day

JUNE_18 = 1781755200  # midnight in New York


def us(*rows: tuple[str, int], key: str = "-1") -> DailyShortVolume.S2C:
    s2c = DailyShortVolume.S2C(next_key=key)
    for day, timestamp in rows:
        s2c.us_items.add(timestamp_str=day, timestamp=timestamp)
    return s2c


def test_the_string_is_the_day_and_the_timestamp_is_named_once_a_ticker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = Script(
        us(("2026-06-18", JUNE_18 - 1), ("2026-06-17", JUNE_18), key="a"),
        us(("2026-06-16", 2**62), ("2026-06-15", -1)),
    )
    walked = walk()
    assert days_of(walked, script) == [["2026-06-18", "2026-06-17"], ["2026-06-16", "2026-06-15"]]
    assert [row.timestamp for page in walked.pages for row in page.rows] == [
        JUNE_18 - 1, JUNE_18, 2**62, -1,
    ]  # fmt: skip
    assert told(caplog) == [
        "US.AAPL: the gateway sent rows whose timestamp is of another day than their "
        "timestamp_str, which counts as the day: 2026-06-18, 2026-06-17. df.shortvol.check() lists "
        "them all"
    ]


def test_a_timestamp_within_its_day_is_of_that_day(caplog: pytest.LogCaptureFixture) -> None:
    script = Script(us(("2026-06-18", JUNE_18 + 86_399), ("2026-06-17", JUNE_18 - 86_400)))
    assert days_of(walk(), script) == [["2026-06-18", "2026-06-17"]]
    s2c = DailyShortVolume.S2C(next_key="-1")
    s2c.hk_items.add(timestamp=1778169600 + 57_600, timestamp_str="2026-05-08")
    s2c.hk_items.add(timestamp_str="2026-05-07")
    s2c.hk_items.add(timestamp=1778083200 - 86_399)
    assert days_of(walk(TENCENT), Script(s2c)) == [["2026-05-08", "2026-05-07", "2026-05-06"]]
    assert told(caplog) == []


def test_a_timestamp_of_a_row_that_is_not_wanted_is_not_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = Script(us(("2026-06-18", 0), ("2026-06-17", JUNE_18 - 86_400)))
    assert days_of(walk(end="2026-06-17"), script) == [["2026-06-17"]]
    assert told(caplog) == []
