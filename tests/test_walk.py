"""The cursor walk, pure: what becomes of scripted replies."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from walked import AAPL, TENCENT, Script, answer, answers, days_of, next_page

from intake_futu_short import walk as walk_module
from intake_futu_short.calls import Question, Reply
from intake_futu_short.errors import (
    GatewayTimeoutError,
    PaginationError,
    ProtocolError,
    ReplyError,
)
from intake_futu_short.opend.messages_pb2 import DailyShortVolume
from intake_futu_short.pages import Page, page_of
from intake_futu_short.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


@pytest.mark.parametrize("end", ["-1", "", None])
def test_a_walk_ends_at_minus_one_at_an_empty_key_and_at_none(end: str | None) -> None:
    script = Script(answer("2026-06-18", key="a"), answer("2026-06-17", key=end))
    walk = Walk(AAPL)
    assert walk.next_key is None
    assert not walk.is_finished
    assert days_of(walk, script) == [["2026-06-18"], ["2026-06-17"]]
    assert script.cursors == [None, "a"]
    assert walk.is_finished
    assert walk.next_key == ("" if end == "" else "-1")


def test_a_walk_that_is_finished_asks_nothing_more() -> None:
    walk, script = Walk(AAPL), Script(answer("2026-06-18", key="-1"))
    assert days_of(walk, script) == [["2026-06-18"]]
    assert next_page(walk, script) is None
    assert script.cursors == [None]


def test_loading_walks_to_the_end_and_keeps_every_page() -> None:
    walk, script = Walk(AAPL), Script(answer("2026-06-18", key="a"), answer("2026-06-17", key="-1"))
    assert script.run(walk.load()) is None
    assert [page.days for page in walk.pages] == [["2026-06-18"], ["2026-06-17"]]
    assert walk.is_finished


def test_a_question_names_the_security_the_cursor_and_the_rows_a_page() -> None:
    script = Script(answer("2026-06-18", key="a"), answer("2026-06-17", key="-1"))
    days_of(Walk(AAPL, num=7), script)
    requests = [DailyShortVolume.Request.FromString(q.body).c2s for q in script.questions]
    assert [(r.security.market, r.security.code, r.num) for r in requests] == [(11, "AAPL", 7)] * 2
    assert [question.text for question in script.questions] == [
        "US.AAPL (newest page)", "US.AAPL (page after 'a')",
    ]  # fmt: skip
    assert [question.call.proto_id for question in script.questions] == [3248, 3248]


def test_without_a_number_the_gateway_decides_how_many_rows_make_a_page() -> None:
    script = Script(answer("2026-06-18", key="-1"))
    days_of(Walk(AAPL), script)
    request = DailyShortVolume.Request.FromString(script.questions[0].body).c2s
    assert not request.HasField("num")
    assert not request.HasField("next_key")


def test_a_cursor_is_asked_of_whoever_issued_it() -> None:
    script = Script(
        Reply(answer("2026-06-18", key="a"), None, "A"),
        Reply(answer("2026-06-17", key="b"), None, "B"),
        Reply(answer("2026-06-16", key="-1"), None, "B"),
    )
    days_of(Walk(AAPL), script)
    assert [question.issuer for question in script.questions] == [None, "A", "B"]


def test_a_page_is_the_rows_as_they_came_with_their_cursor() -> None:
    sent = answer("2026-06-18", "2026-06-17", key="a")
    page = next_page(Walk(AAPL), Script(sent))
    assert page == Page(list(sent.us_items), ["2026-06-18", "2026-06-17"], "a", {})


def test_an_empty_last_page_is_no_page() -> None:
    script = Script(answer("2026-06-18", key="a"), answer(key="-1"))
    walk = Walk(AAPL)
    assert days_of(walk, script) == [["2026-06-18"]]
    assert len(walk.pages) == 1


def test_an_empty_page_in_the_middle_is_passed_over() -> None:
    script = Script(answer("2026-06-18", key="a"), answer(key="b"), answer("2026-06-17", key="-1"))
    assert days_of(Walk(AAPL), script) == [["2026-06-18"], ["2026-06-17"]]


def test_start_ends_the_walk_after_an_empty_page_too() -> None:
    script = Script(answer("2026-06-18", key="a"), answer(key="b"), answer("2026-06-17", key="c"))
    assert days_of(Walk(AAPL, start="2026-06-17"), script) == [["2026-06-18"], ["2026-06-17"]]
    assert script.cursors == [None, "a", "b"]


def test_a_history_without_rows_has_no_pages() -> None:
    assert days_of(Walk(AAPL), Script(answer(key="-1"))) == []


def test_a_row_that_comes_again_stays_where_it_first_appeared() -> None:
    # A new trading day in mid-walk moves every row one place on.
    script = Script(
        answer("2026-06-18", "2026-06-17", key="a"),
        answer("2026-06-17", "2026-06-16", key="b"),
        answer("2026-06-16", key="-1"),
    )
    walk = Walk(AAPL)
    assert days_of(walk, script) == [["2026-06-18", "2026-06-17"], ["2026-06-16"]]
    assert [[row.timestamp_str for row in page.rows] for page in walk.pages] == [
        ["2026-06-18", "2026-06-17"], ["2026-06-16"],
    ]  # fmt: skip
    assert walk.pages[1].next_key == "b"


def test_a_row_that_was_not_wanted_is_known_all_the_same() -> None:
    script = Script(
        answer("2026-06-18", key="a"), answer("2026-06-18", key="b"), answer("2026-06-17", key="-1")
    )
    walk = Walk(AAPL, end="2026-06-17")
    assert days_of(walk, script) == [["2026-06-17"]]


def test_a_row_twice_on_one_page_counts_once() -> None:
    script = Script(answer("2026-06-18", "2026-06-18", "2026-06-17", key="-1"))
    assert days_of(Walk(AAPL), script) == [["2026-06-18", "2026-06-17"]]


def test_a_row_that_was_left_out_may_come_late() -> None:
    script = Script(
        answer("2026-06-18", "2026-06-16", key="a"), answer("2026-06-17", "2026-06-15", key="-1")
    )
    assert days_of(Walk(AAPL), script) == [
        ["2026-06-18", "2026-06-16"],
        ["2026-06-17", "2026-06-15"],
    ]


def test_a_cursor_that_comes_back_is_an_error_after_its_page() -> None:
    script = Script(
        answer("2026-06-18", key="a"), answer("2026-06-17", key="b"), answer("2026-06-16", key="a")
    )
    walk = Walk(AAPL, origin="opend://there")
    for _ in range(3):
        assert next_page(walk, script) is not None
    for _ in range(2):  # and stays one
        with pytest.raises(
            PaginationError,
            match=r"^US\.AAPL from opend://there: the cursor 'a' came a second time, after 3 pages",
        ):
            next_page(walk, script)
    assert len(script.cursors) == 3
    assert not walk.is_lost


def test_new_cursors_without_new_rows_are_an_error_in_the_end() -> None:
    script = Script(*(answer("2026-06-18", key=str(i)) for i in range(100)))
    walk = Walk(AAPL)
    assert next_page(walk, script) is not None
    with pytest.raises(
        PaginationError,
        match=r"US\.AAPL from the gateway: 10 pages in a row brought no new trading day, and "
        r"there are still cursors \(the last is '10'\)",
    ):
        next_page(walk, script)
    assert len(script.cursors) == 11
    assert not walk.is_lost


def test_empty_pages_from_the_beginning_on_are_counted_too() -> None:
    script = Script(*(answer(key=str(i)) for i in range(100)))
    with pytest.raises(PaginationError, match="10 pages in a row"):
        next_page(Walk(AAPL), script)
    assert len(script.cursors) == 10


def test_nine_pages_without_a_new_row_are_none_too_many_and_a_new_one_counts_anew() -> None:
    stale = [answer("2026-06-18", key=f"a{i}") for i in range(9)]
    again = [answer(key=f"b{i}") for i in range(9)]
    script = Script(
        answer("2026-06-18", key="a"), *stale, answer("2026-06-17", key="b"), *again,
        answer("2026-06-16", key="-1"),
    )  # fmt: skip
    assert days_of(Walk(AAPL), script) == [["2026-06-18"], ["2026-06-17"], ["2026-06-16"]]


def test_rows_outside_of_the_interval_are_new_rows_all_the_same() -> None:
    days = [f"2026-06-{day:02}" for day in range(28, 0, -1)]
    script = Script(*(answer(day, key=day) for day in days[:-1]), answer(days[-1], key="-1"))
    assert days_of(Walk(AAPL, end="2026-06-02"), script) == [["2026-06-02"], ["2026-06-01"]]


def test_a_failed_page_is_asked_for_again_and_nothing_else() -> None:
    late = GatewayTimeoutError("late")
    script = Script(answer("2026-06-18", key="a"), late, answer("2026-06-17", key="-1"))
    walk = Walk(AAPL)
    assert next_page(walk, script) is not None
    with pytest.raises(GatewayTimeoutError) as caught:
        next_page(walk, script)
    assert caught.value is late
    assert days_of(walk, script) == [["2026-06-17"]]
    assert script.cursors == [None, "a", "a"]


def test_a_refusal_of_the_newest_page_is_the_refusal() -> None:
    no = ReplyError("no", ret_type=-1, err_code=0, message="no")
    with pytest.raises(ReplyError) as caught:
        next_page(Walk(AAPL), Script(no))
    assert caught.value is no


def test_a_refusal_by_the_connection_that_issued_the_cursor_is_the_refusal() -> None:
    no = ReplyError("no", ret_type=-1, err_code=0, message="no")
    walk, script = Walk(AAPL), Script(answer("2026-06-18", key="a"), no)
    next_page(walk, script)
    with pytest.raises(ReplyError) as caught:
        next_page(walk, script)
    assert caught.value is no
    assert not walk.is_lost
    assert script.cursors == [None, "a"]


def test_a_damaged_page_is_asked_for_again_and_nothing_else() -> None:
    script = Script(
        answer("2026-06-18", key="a"), answer("soon", key="b"), answer("2026-06-17", key="-1")
    )
    walk = Walk(AAPL)
    assert next_page(walk, script) is not None
    with pytest.raises(ProtocolError, match="'soon'"):
        next_page(walk, script)
    assert days_of(walk, script) == [["2026-06-17"]]
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
    assert days_of(Walk(AAPL, start=start), script) == pages
    assert len(script.cursors) == asked


def test_rows_in_another_order_than_newest_first_never_end_a_walk_early() -> None:
    script = Script(
        answer("2025-12-30", "2025-12-31", key="a"), answer("2026-01-02", "2026-01-05", key="-1")
    )
    walk = Walk(AAPL, start="2026-01-01")
    assert days_of(walk, script) == [["2026-01-05", "2026-01-02"]]


def test_pages_in_another_order_than_newest_first_never_end_a_walk_early() -> None:
    # Each page is newest first in itself, but the second is newer than the first.
    script = Script(
        answer("2025-12-29", "2025-12-28", key="a"),
        answer("2026-01-05", "2025-12-31", key="b"),
        answer("2026-01-02", key="-1"),
    )
    walk = Walk(AAPL, start="2025-12-31", end="2026-01-31")
    # The first page alone looked like the end of what is wanted.
    assert days_of(walk, script) == []
    later = Walk(AAPL, start="2025-12-20")
    script = Script(
        answer("2025-12-22", key="a"), answer("2026-01-05", "2025-12-31", key="b"),
        answer("2025-12-24", "2025-12-19", key="c"), answer("2025-12-18", key="-1"),
    )  # fmt: skip
    assert days_of(later, script) == [["2025-12-22"], ["2026-01-05", "2025-12-31"], ["2025-12-24"]]
    assert script.cursors == [None, "a", "b"]


def test_a_day_that_is_older_than_start_on_a_page_behind_older_ones_proves_nothing() -> None:
    script = Script(
        answer("2026-06-18", "2026-06-16", key="a"),
        answer("2026-06-12", "2026-06-15", key="b"),  # not newest first
        answer("2026-06-14", "2026-06-13", key="c"),  # not older than what came
        answer("2026-06-11", key="d"),
    )
    walk = Walk(AAPL, start="2026-06-13")
    assert days_of(walk, script) == [
        ["2026-06-18", "2026-06-16"], ["2026-06-15"], ["2026-06-14", "2026-06-13"],
    ]  # fmt: skip
    assert script.cursors == [None, "a", "b", "c"]


def test_a_page_in_order_ends_the_walk_though_its_oldest_day_came_before() -> None:
    script = Script(
        answer("2026-06-16", "2026-06-18", key="a"), answer("2026-06-17", "2026-06-16", key="b")
    )
    walk = Walk(AAPL, start="2026-06-16")
    assert days_of(walk, script) == [["2026-06-18", "2026-06-16"], ["2026-06-17"]]
    assert walk.is_finished


def test_equal_days_next_to_each_other_are_newest_first_still() -> None:
    script = Script(answer("2026-06-18", "2026-06-17", "2026-06-17", key="a"))
    assert days_of(Walk(AAPL, start="2026-06-17"), script) == [["2026-06-18", "2026-06-17"]]


def test_an_interruption_at_any_line_loses_nothing() -> None:
    known = {
        None: answer("2026-06-18", "2026-06-17", key="a"),
        "a": answer("2026-06-17", "2026-06-16", key="b"),
        "b": answer("2026-06-15", key="-1"),
    }
    lines = 0

    def interrupt_at(line: int) -> Callable[..., Any]:
        seen = 0

        def trace(frame: FrameType, event: str, _argument: object) -> Callable[..., Any] | None:
            nonlocal seen, lines
            if frame.f_code.co_filename != walk_module.__file__:
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
        walk = Walk(AAPL)
        before = sys.gettrace()  # coverage's
        sys.settrace(interrupt_at(line))
        try:
            days_of(walk, answers(known))
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        days_of(walk, answers(known))
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
    walk = Walk(AAPL, end="2026-06-15")
    assert days_of(walk, script) == [["2026-06-15"], ["2026-06-12"]]
    assert len(walk.pages) == 2


def test_start_and_end_are_wanted_themselves_and_nothing_beside_them() -> None:
    script = Script(answer("2026-06-18", "2026-06-17", "2026-06-16", "2026-06-15", key="-1"))
    walk = Walk(AAPL, start="2026-06-16", end="2026-06-17")
    assert days_of(walk, script) == [["2026-06-17", "2026-06-16"]]
    assert [row.timestamp_str for row in walk.pages[0].rows] == ["2026-06-17", "2026-06-16"]


def test_max_pages_counts_the_pages_returned() -> None:
    script = Script(
        answer("2026-06-18", key="a"), answer("2026-06-17", key="b"), answer("2026-06-16", key="c")
    )
    walk = Walk(AAPL, end="2026-06-17", max_pages=1)
    assert days_of(walk, script) == [["2026-06-17"]]
    assert script.cursors == [None, "a"]
    assert walk.next_key == "b"
    assert walk.is_finished


def test_a_walk_goes_on_where_an_earlier_one_left_off() -> None:
    walk, script = Walk(AAPL, cursor="kept"), Script(answer("2026-06-17", key="-1"))
    assert walk.next_key == "kept"
    assert days_of(walk, script) == [["2026-06-17"]]
    assert script.cursors == ["kept"]


NOTHING = {"aggregated_short": None, "aggregated_short_ratio": None, "new_time_str": None}


def test_each_page_has_its_own_attributes_and_the_walk_the_newest() -> None:
    newest: dict[str, Any] = {
        "aggregated_short": 51_480_638, "aggregated_short_ratio": 0.56,
        "new_time_str": "2026-04-30",
    }  # fmt: skip
    first = DailyShortVolume.S2C(next_key="a", **newest)
    first.hk_items.add(timestamp_str="2026-05-08")
    second = DailyShortVolume.S2C(next_key="-1", new_time_str="2026-04-24")
    second.hk_items.add(timestamp_str="2026-05-07")
    walk, script = Walk(TENCENT), Script(first, second)
    assert walk.attrs == NOTHING
    pages = [next_page(walk, script), next_page(walk, script)]
    assert [page.attrs for page in pages if page] == [
        newest, {**NOTHING, "new_time_str": "2026-04-24"},
    ]  # fmt: skip
    assert walk.attrs == newest


def test_the_newest_answer_is_heard_also_when_it_has_no_rows_or_says_nothing() -> None:
    walk = Walk(TENCENT)
    script = Script(
        DailyShortVolume.S2C(next_key="a"), DailyShortVolume.S2C(next_key="-1", aggregated_short=5)
    )
    assert days_of(walk, script) == []
    assert walk.attrs == NOTHING


def test_zero_is_an_attribute() -> None:
    walk = Walk(TENCENT)
    s2c = DailyShortVolume.S2C(next_key="-1", aggregated_short=0, aggregated_short_ratio=0.0)
    days_of(walk, Script(s2c))
    assert walk.attrs == {**NOTHING, "aggregated_short": 0, "aggregated_short_ratio": 0.0}


def test_us_answers_have_no_attributes() -> None:
    walk = Walk(AAPL)
    page = next_page(walk, Script(answer("2026-06-18", key="-1", aggregated_short=5)))
    assert page is not None
    assert page.attrs == walk.attrs == {}


def test_a_missing_day_is_the_timestamps_in_the_market() -> None:
    us = DailyShortVolume.S2C(next_key="-1")
    us.us_items.add(timestamp=1781755200)
    us.us_items.add(timestamp_str="2026-06-17")
    hk = DailyShortVolume.S2C(next_key="-1")
    hk.hk_items.add(timestamp=1778169600)
    assert days_of(Walk(AAPL), Script(us)) == [["2026-06-18", "2026-06-17"]]
    assert days_of(Walk(TENCENT), Script(hk)) == [["2026-05-08"]]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({}, "a row has neither timestamp nor timestamp_str"),
        ({"volume": 5}, "a row has neither timestamp nor timestamp_str"),
        ({"timestamp_str": "2026-13-01"}, "row 1 has the trading day '2026-13-01'"),
        ({"timestamp_str": "20260618"}, "'20260618'; YYYY-MM-DD is expected"),
        ({"timestamp_str": "2026-W25-4"}, "'2026-W25-4'"),
        ({"timestamp": 2**62}, f"a row has the timestamp {2**62}"),
    ],
)
def test_a_row_without_a_trading_day_is_an_error(row: dict[str, Any], says: str) -> None:
    s2c = answer("2026-06-19", key="-1")
    s2c.us_items.add(**row)
    with pytest.raises(ProtocolError, match=says) as caught:
        next_page(Walk(AAPL, origin="opend://there"), Script(s2c))
    assert str(caught.value).startswith("US.AAPL from opend://there: ")


def test_a_day_that_is_no_text_is_an_error() -> None:
    s2c = DailyShortVolume.S2C(next_key="-1")
    # Field 2, two bytes of no UTF-8.
    s2c.us_items.append(DailyShortVolume.UsItem.FromString(b"\x12\x02\xff\xfe"))
    with pytest.raises(ProtocolError, match="row 0 has the trading day b"):
        next_page(Walk(AAPL), Script(s2c))


def test_rows_of_another_market_are_an_error() -> None:
    with pytest.raises(ProtocolError, match=r"HK\.00700 from the gateway: 2 rows of another"):
        next_page(Walk(TENCENT), Script(answer("2026-06-18", "2026-06-17", key="-1")))


def test_rows_of_another_market_beside_its_own_do_not_matter() -> None:
    s2c = answer("2026-06-18", key="-1")
    s2c.hk_items.add(timestamp_str="2026-06-18")
    assert days_of(Walk(AAPL), Script(s2c)) == [["2026-06-18"]]


def test_a_cursor_that_is_no_text_is_an_error() -> None:
    broken = DailyShortVolume.S2C.FromString(b"\x1a\x02\xff\xfe")  # field 3, two bytes of no UTF-8
    with pytest.raises(ProtocolError, match="next_key is not UTF-8"):
        next_page(Walk(AAPL), Script(broken))


@pytest.mark.parametrize("ratio", [float("nan"), float("inf")])
def test_a_ratio_that_is_no_number_is_none(ratio: float) -> None:
    s2c = DailyShortVolume.S2C(next_key="-1", aggregated_short=1, aggregated_short_ratio=ratio)
    walk = Walk(TENCENT)
    next_page(walk, Script(s2c))
    assert walk.attrs == {**NOTHING, "aggregated_short": 1}


def test_the_days_of_an_answer_are_read_without_a_walk() -> None:
    s2c = answer("2026-06-18", "2026-06-18", key="a")
    s2c.us_items.add(timestamp=1781755200)
    assert page_of(s2c, AAPL).days == ["2026-06-18"] * 3
    with pytest.raises(ProtocolError, match="3 rows of another market"):
        page_of(s2c, TENCENT)


def test_a_walk_yields_questions_and_nothing_else() -> None:
    asked = next(Walk(AAPL).next_page())
    assert isinstance(asked, Question)
