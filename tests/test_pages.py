from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from intake_futu_short import pages
from intake_futu_short.errors import GatewayTimeoutError, PaginationError, ProtocolError
from intake_futu_short.opend.messages_pb2 import DailyShortVolume
from intake_futu_short.opend.replies import CursorRefusedError
from intake_futu_short.pages import Aggregates, Walk
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

AAPL = Security.parse("US.AAPL")
TENCENT = Security.parse("HK.00700")


def answer(*days: str, key: str | None, **aggregates: Any) -> DailyShortVolume.S2C:
    s2c = DailyShortVolume.S2C(**aggregates)
    for day in days:
        s2c.us_items.add(timestamp_str=day)
    if key is not None:
        s2c.next_key = key
    return s2c


class Script:
    """Answers in a row, whatever the cursor; the cursors are kept."""

    def __init__(self, *answers: DailyShortVolume.S2C | Exception) -> None:
        self.answers = list(answers)
        self.cursors: list[str | None] = []

    def __call__(self, cursor: str | None) -> DailyShortVolume.S2C:
        self.cursors.append(cursor)
        result = self.answers.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def days_of(walk: Walk) -> list[list[str]]:
    pages = []
    while (page := walk.next_page()) is not None:
        pages.append(list(page.days))
    return pages


@pytest.mark.parametrize("end", ["-1", "", None])
def test_a_walk_ends_at_minus_one_at_an_empty_key_and_at_none(end: str | None) -> None:
    script = Script(answer("2026-06-18", key="a"), answer("2026-06-17", key=end))
    walk = Walk(script, AAPL)
    assert days_of(walk) == [["2026-06-18"], ["2026-06-17"]]
    assert script.cursors == [None, "a"]
    assert walk.is_finished
    assert walk.next_key == ("" if end == "" else "-1")


def test_an_empty_last_page_is_no_page() -> None:
    script = Script(answer("2026-06-18", key="a"), answer(key="-1"))
    assert days_of(Walk(script, AAPL)) == [["2026-06-18"]]


def test_an_empty_page_in_the_middle_is_passed_over() -> None:
    script = Script(answer("2026-06-18", key="a"), answer(key="b"), answer("2026-06-17", key="-1"))
    assert days_of(Walk(script, AAPL)) == [["2026-06-18"], ["2026-06-17"]]


def test_start_ends_the_walk_after_an_empty_page_too() -> None:
    script = Script(answer("2026-06-18", key="a"), answer(key="b"), answer("2026-06-17", key="c"))
    assert days_of(Walk(script, AAPL, start="2026-06-17")) == [["2026-06-18"], ["2026-06-17"]]
    assert script.cursors == [None, "a", "b"]


def test_a_history_without_rows_has_no_pages() -> None:
    assert days_of(Walk(Script(answer(key="-1")), AAPL)) == []


def test_a_row_that_comes_again_stays_where_it_first_appeared() -> None:
    # A new trading day in mid-walk moves every row one place on.
    script = Script(
        answer("2026-06-18", "2026-06-17", key="a"),
        answer("2026-06-17", "2026-06-16", key="b"),
        answer("2026-06-16", key="-1"),
    )
    assert days_of(Walk(script, AAPL)) == [["2026-06-18", "2026-06-17"], ["2026-06-16"]]


REFUSED = CursorRefusedError("a: no", ret_type=-1, err_code=0, message="no")


def test_a_refused_cursor_begins_the_walk_anew_behind_what_it_has() -> None:
    script = Script(
        answer("2026-06-18", "2026-06-16", key="a"),
        REFUSED,
        # A new day, and one that the other gateway did not have: complete as of the first page.
        answer("2026-06-19", "2026-06-18", "2026-06-17", key="a"),
        answer("2026-06-16", "2026-06-15", key="b"),
        REFUSED,
        answer("2026-06-19", "2026-06-14", key="-1"),
    )
    walk = Walk(script, AAPL)
    assert days_of(walk) == [["2026-06-18", "2026-06-16"], ["2026-06-15"], ["2026-06-14"]]
    assert script.cursors == [None, "a", None, "a", "b", None]
    assert walk.next_key == "-1"


def test_a_walk_begun_anew_may_pass_over_as_many_pages_as_it_has_and_no_more() -> None:
    # One page a day: the second walk finds nothing new on the first thirty.
    days = [f"2026-{month:02}-{day:02}" for month in (6, 5) for day in range(28, 0, -1)]
    known = [answer(day, key=f"k{i}") for i, day in enumerate(days[:30])]
    anew = [answer(day, key=f"n{i}") for i, day in enumerate(days)]
    walk = Walk(Script(*known, REFUSED, *anew, answer(key="-1")), AAPL)
    assert days_of(walk) == [[day] for day in days]
    idle = [answer(days[0], key=f"n{i}") for i in range(100)]
    with pytest.raises(PaginationError, match="pages in a row brought no new trading day"):
        days_of(Walk(Script(*known, REFUSED, *idle), AAPL))


def test_a_walk_begins_three_times_at_most_and_three_more_when_it_is_read_again() -> None:
    script = Script(
        answer("2026-06-18", key="a"), REFUSED,
        answer("2026-06-18", key="b"), REFUSED,
        answer("2026-06-18", key="c"), REFUSED,
        answer("2026-06-18", key="d"), answer("2026-06-17", key="-1"),
    )  # fmt: skip
    walk = Walk(script, AAPL)
    assert walk.next_page() is not None
    with pytest.raises(CursorRefusedError):
        walk.next_page()
    assert script.cursors == [None, "a", None, "b", None, "c"]
    assert days_of(walk) == [["2026-06-17"]]


def test_a_walk_that_gets_farther_begins_as_often_as_it_must() -> None:
    days = [f"2026-06-{day:02}" for day in range(18, 10, -1)]
    script = Script()
    for known in range(len(days)):
        script.answers += [answer(day, key=day) for day in days[: known + 1]]
        script.answers.append(REFUSED)
    script.answers.append(answer(*days, key="-1"))
    assert days_of(Walk(script, AAPL)) == [[day] for day in days]


def test_a_refused_cursor_of_an_earlier_walk_is_an_error_for_who_kept_it() -> None:
    walk = Walk(Script(REFUSED), AAPL, cursor="kept")
    with pytest.raises(CursorRefusedError):
        walk.next_page()
    assert walk.next_key == "kept"


def test_a_walk_begun_anew_keeps_its_first_aggregates() -> None:
    item = DailyShortVolume.HkItem(timestamp_str="2026-06-18")
    script = Script(
        DailyShortVolume.S2C(hk_items=[item], next_key="a", aggregated_short=1),
        REFUSED,
        DailyShortVolume.S2C(hk_items=[item], aggregated_short=2),
    )
    walk = Walk(script, TENCENT)
    days_of(walk)
    assert walk.aggregates == Aggregates(1)


def test_a_row_twice_on_one_page_counts_once() -> None:
    script = Script(answer("2026-06-18", "2026-06-18", "2026-06-17", key="-1"))
    assert days_of(Walk(script, AAPL)) == [["2026-06-18", "2026-06-17"]]


def test_a_cursor_that_comes_back_is_an_error_after_its_page() -> None:
    script = Script(
        answer("2026-06-18", key="a"), answer("2026-06-17", key="b"), answer("2026-06-16", key="a")
    )
    walk = Walk(script, AAPL)
    for _ in range(3):
        assert walk.next_page() is not None
    for _ in range(2):  # and stays one
        with pytest.raises(PaginationError, match="'a' came a second time, after 3 pages"):
            walk.next_page()
    assert len(script.cursors) == 3


def test_new_cursors_without_new_rows_are_an_error_in_the_end() -> None:
    script = Script(*(answer("2026-06-18", key=str(i)) for i in range(100)))
    walk = Walk(script, AAPL)
    assert walk.next_page() is not None
    with pytest.raises(PaginationError, match="10 pages in a row brought no new trading day"):
        walk.next_page()
    assert len(script.cursors) == 11


def test_a_failed_page_is_asked_for_again_and_nothing_else() -> None:
    script = Script(
        answer("2026-06-18", key="a"),
        GatewayTimeoutError("late"),
        answer("2026-06-17", key="-1"),
    )
    walk = Walk(script, AAPL)
    assert walk.next_page() is not None
    with pytest.raises(GatewayTimeoutError):
        walk.next_page()
    assert days_of(walk) == [["2026-06-17"]]
    assert script.cursors == [None, "a", "a"]


def test_a_damaged_page_is_asked_for_again_and_nothing_else() -> None:
    script = Script(
        answer("2026-06-18", key="a"), answer("soon", key="b"), answer("2026-06-17", key="-1")
    )
    walk = Walk(script, AAPL)
    assert walk.next_page() is not None
    with pytest.raises(ProtocolError, match="'soon'"):
        walk.next_page()
    assert days_of(walk) == [["2026-06-17"]]
    assert script.cursors == [None, "a", "a"]


@pytest.mark.parametrize(
    ("start", "pages", "asked"),
    [
        ("2026-06-17", [["2026-06-18", "2026-06-17"]], 1),  # no older row can be wanted
        ("2026-06-16", [["2026-06-18", "2026-06-17"], ["2026-06-16"]], 2),
        ("2026-06-19", [], 1),
        ("2026-01-01", [["2026-06-18", "2026-06-17"], ["2026-06-16", "2026-06-15"]], 2),
    ],
)
def test_start_ends_the_walk_as_soon_as_older_pages_cannot_matter(
    start: str, pages: list[list[str]], asked: int
) -> None:
    script = Script(
        answer("2026-06-18", "2026-06-17", key="a"), answer("2026-06-16", "2026-06-15", key="-1")
    )
    assert days_of(Walk(script, AAPL, start=start)) == pages
    assert len(script.cursors) == asked


def test_rows_in_another_order_than_newest_first_never_end_a_walk_early() -> None:
    script = Script(
        answer("2025-12-30", "2025-12-31", key="a"), answer("2026-01-02", "2026-01-05", key="-1")
    )
    walk = Walk(script, AAPL, start="2026-01-01")
    assert days_of(walk) == [["2026-01-02", "2026-01-05"]]


def test_an_interruption_at_any_line_loses_nothing() -> None:
    answers = {
        None: answer("2026-06-18", "2026-06-17", key="a"),
        "a": answer("2026-06-17", "2026-06-16", key="b"),
        "b": answer("2026-06-15", key="-1"),
    }
    lines = 0

    def interrupt_at(line: int) -> Callable[..., Any]:
        seen = 0

        def trace(frame: FrameType, event: str, _argument: object) -> Callable[..., Any] | None:
            nonlocal seen, lines
            if frame.f_code.co_filename != pages.__file__:
                return None
            if event == "line":
                seen += 1
                lines = max(lines, seen)
                if seen == line:
                    raise KeyboardInterrupt
            return trace

        return trace

    line = 0
    while line <= lines:
        line += 1
        walk = Walk(answers.__getitem__, AAPL)
        before = sys.gettrace()  # coverage's
        sys.settrace(interrupt_at(line))
        try:
            days_of(walk)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        days_of(walk)
        assert [day for page in walk.pages for day in page.days] == [
            "2026-06-18", "2026-06-17", "2026-06-16", "2026-06-15",
        ]  # fmt: skip
    assert lines > 50


def test_end_cuts_newer_rows_and_pages_left_empty_are_none() -> None:
    script = Script(
        answer("2026-06-18", "2026-06-17", key="a"),
        answer("2026-06-16", "2026-06-15", key="b"),
        answer("2026-06-12", key="-1"),
    )
    walk = Walk(script, AAPL, end="2026-06-15")
    assert days_of(walk) == [["2026-06-15"], ["2026-06-12"]]


def test_max_pages_counts_the_pages_returned() -> None:
    script = Script(
        answer("2026-06-18", key="a"), answer("2026-06-17", key="b"), answer("2026-06-16", key="c")
    )
    walk = Walk(script, AAPL, end="2026-06-17", max_pages=1)
    assert days_of(walk) == [["2026-06-17"]]
    assert script.cursors == [None, "a"]
    assert walk.next_key == "b"


def test_each_page_has_its_own_aggregates_and_the_walk_the_newest() -> None:
    newest = Aggregates(51_480_638, 0.56, "2026-04-30")
    first = DailyShortVolume.S2C(next_key="a", **newest.as_dict())  # type: ignore[arg-type]  # none is None
    first.hk_items.add(timestamp_str="2026-05-08")
    second = DailyShortVolume.S2C(next_key="-1", new_time_str="2026-04-24")
    second.hk_items.add(timestamp_str="2026-05-07")
    walk = Walk(Script(first, second), TENCENT)
    pages = [walk.next_page(), walk.next_page()]
    assert [page.aggregates for page in pages if page] == [
        newest,
        Aggregates(None, None, "2026-04-24"),
    ]
    assert walk.aggregates == newest


def test_us_answers_have_no_aggregates() -> None:
    walk = Walk(Script(answer("2026-06-18", key="-1", aggregated_short=5)), AAPL)
    page = walk.next_page()
    assert page is not None
    assert page.aggregates == walk.aggregates == Aggregates(None, None, None)


def test_a_missing_day_is_the_timestamps_in_the_market() -> None:
    us = DailyShortVolume.S2C(next_key="-1")
    us.us_items.add(timestamp=1781755200)
    hk = DailyShortVolume.S2C(next_key="-1")
    hk.hk_items.add(timestamp=1778169600)
    assert days_of(Walk(Script(us), AAPL)) == [["2026-06-18"]]
    assert days_of(Walk(Script(hk), TENCENT)) == [["2026-05-08"]]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({}, "neither timestamp nor timestamp_str"),
        ({"volume": 5}, "neither timestamp nor timestamp_str"),
        ({"timestamp_str": "2026-13-01"}, "'2026-13-01'"),
        ({"timestamp_str": "20260618"}, "'20260618'"),
        ({"timestamp_str": "2026-W25-4"}, "'2026-W25-4'"),
        ({"timestamp": 2**62}, str(2**62)),
    ],
)
def test_a_row_without_a_trading_day_is_an_error(row: dict[str, Any], says: str) -> None:
    s2c = DailyShortVolume.S2C(next_key="-1")
    s2c.us_items.add(**row)
    with pytest.raises(ProtocolError, match=says) as caught:
        Walk(Script(s2c), AAPL).next_page()
    assert "US.AAPL" in str(caught.value)


def test_rows_of_another_market_are_an_error() -> None:
    with pytest.raises(ProtocolError, match="1 rows of another market"):
        Walk(Script(answer("2026-06-18", key="-1")), TENCENT).next_page()


def test_a_cursor_that_is_no_text_is_an_error() -> None:
    broken = DailyShortVolume.S2C.FromString(b"\x1a\x02\xff\xfe")  # field 3, two bytes of no UTF-8
    with pytest.raises(ProtocolError, match="next_key is not UTF-8"):
        Walk(Script(broken), AAPL).next_page()


@pytest.mark.parametrize("ratio", [float("nan"), float("inf")])
def test_a_ratio_that_is_no_number_is_none(ratio: float) -> None:
    s2c = DailyShortVolume.S2C(next_key="-1", aggregated_short=1, aggregated_short_ratio=ratio)
    walk = Walk(Script(s2c), TENCENT)
    walk.next_page()
    assert walk.aggregates == Aggregates(1)
