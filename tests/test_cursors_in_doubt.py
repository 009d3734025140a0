"""A cursor that not its issuer answers with nothing: the page before it decides. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from walked import AAPL, Script, answer, cursor_of, days_of, next_page, run

from intake_futu_short.calls import Reply
from intake_futu_short.errors import (
    GatewayTimeoutError,
    PaginationError,
    QuoteRightError,
    RateLimitError,
    ReplyError,
    UnknownSecurityError,
)
from intake_futu_short.walk import Walk

if TYPE_CHECKING:
    from intake_futu_short.calls import Question
    from intake_futu_short.opend.messages_pb2 import DailyShortVolume

REFUSED = ReplyError("invalid nextKey", ret_type=-1, err_code=0, message="invalid nextKey")


def sends(issuer: object, *days: str, key: str | None) -> Reply:
    return Reply(answer(*days, key=key), None, issuer)


def refuses(issuer: object, error: Exception = REFUSED) -> Reply:
    return Reply(None, error, issuer)


def issuers(script: Script) -> list[object]:
    return [question.issuer for question in script.questions]


@pytest.mark.parametrize(
    "doubtful",
    [
        sends("B", key="-1"),
        sends("B", key=""),
        sends("B", key=None),
        sends("B", key="x"),
        refuses("B"),
        refuses("B", UnknownSecurityError("no", ret_type=-1, err_code=0, message="no")),
    ],
    ids=["end", "empty key", "no key", "another cursor", "refused", "unknown"],
)
def test_known_rows_on_the_page_before_let_the_walk_go_on_with_its_cursor(doubtful: Reply) -> None:
    script = Script(
        sends("A", "2026-06-18", "2026-06-17", key="a1"),
        sends("A", "2026-06-16", "2026-06-15", key="a2"),
        doubtful,
        sends("B", "2026-06-16", "2026-06-15", key="b2"),
        sends("B", "2026-06-12", "2026-06-11", key="b3"),
        sends("B", "2026-06-10", key="-1"),
    )
    walk = Walk(AAPL)
    assert days_of(walk, script) == [
        ["2026-06-18", "2026-06-17"], ["2026-06-16", "2026-06-15"],
        ["2026-06-12", "2026-06-11"], ["2026-06-10"],
    ]  # fmt: skip
    assert script.cursors == [None, "a1", "a2", "a1", "b2", "b3"]
    # The page before is asked of whoever did not know the cursor.
    assert issuers(script) == [None, "A", "A", "B", "B", "B"]
    assert walk.is_finished
    assert not walk.is_lost


def test_the_newest_page_is_the_page_before_the_first_cursor() -> None:
    script = Script(
        sends("A", "2026-06-18", key="a1"), sends("B", key="-1"),
        sends("B", "2026-06-18", key="b1"), sends("B", "2026-06-17", key="-1"),
    )  # fmt: skip
    assert days_of(Walk(AAPL, num=1), script) == [["2026-06-18"], ["2026-06-17"]]
    assert script.cursors == [None, "a1", None, "b1"]
    assert script.questions[2].body == script.questions[0].body


def test_a_reconnect_before_the_empty_last_page_ends_the_walk_without_an_error() -> None:
    script = Script(
        sends("A", "2026-06-18", key="1"), sends("A", "2026-06-17", key="2"),
        sends("A again", key="-1"),
        sends("A again", "2026-06-17", key="2"), sends("A again", key="-1"),
    )  # fmt: skip
    walk = Walk(AAPL)
    assert days_of(walk, script) == [["2026-06-18"], ["2026-06-17"]]
    assert script.cursors == [None, "1", "2", "1", "2"]
    assert walk.is_finished
    assert walk.next_key == "-1"


def test_the_page_before_may_be_the_last_one_by_now() -> None:
    script = Script(
        sends("A", "2026-06-18", key="1"), sends("B", key="-1"), sends("B", "2026-06-18", key="-1")
    )
    walk = Walk(AAPL)
    assert days_of(walk, script) == [["2026-06-18"]]
    assert walk.is_finished


def test_the_same_cursor_may_come_again_with_the_page_before_and_lead_on() -> None:
    script = Script(
        sends("A", "2026-06-18", key="1"), refuses("B"), sends("B", "2026-06-18", key="1"),
        sends("B", "2026-06-17", key="2"), sends("B", "2026-06-16", key="-1"),
    )  # fmt: skip
    assert days_of(Walk(AAPL), script) == [["2026-06-18"], ["2026-06-17"], ["2026-06-16"]]
    assert script.cursors == [None, "1", None, "1", "2"]


def test_an_older_cursor_that_comes_with_the_page_before_is_a_loop() -> None:
    script = Script(
        sends("A", "2026-06-18", key="1"), sends("A", "2026-06-17", key="2"),
        sends("B", key="-1"), sends("B", "2026-06-17", key="1"),
    )  # fmt: skip
    walk = Walk(AAPL)
    next_page(walk, script)
    next_page(walk, script)
    with pytest.raises(PaginationError, match="'1' came a second time, after 2 pages"):
        next_page(walk, script)
    assert not walk.is_lost


@pytest.mark.parametrize(
    "page_before",
    [
        sends("B", "2020-01-02", key="b2"),
        sends("B", key="b2"),
        sends("B", key="-1"),
        refuses("B"),
    ],
    ids=["other rows", "no rows", "the end", "refused"],
)
@pytest.mark.parametrize(
    ("doubtful", "why"),
    [(sends("B", key="-1"), "no row is behind it"), (refuses("B"), "invalid nextKey")],
)
def test_a_page_before_that_is_not_the_same_loses_the_cursor(
    doubtful: Reply, why: str, page_before: Reply
) -> None:
    script = Script(
        sends("A", "2026-06-18", key="a1"), sends("A", "2026-06-17", key="a2"),
        doubtful, page_before,
    )  # fmt: skip
    walk = Walk(AAPL, origin="opend://a or opend://b")
    next_page(walk, script)
    next_page(walk, script)
    assert not walk.is_lost
    with pytest.raises(PaginationError) as caught:
        next_page(walk, script)
    assert str(caught.value).startswith(
        f"US.AAPL from opend://a or opend://b: the cursor 'a2' leads nowhere any more ({why}), and"
    )
    assert "close the source and read again" in str(caught.value)
    assert walk.is_lost
    assert not walk.is_finished
    assert walk.next_key == "a2"
    assert [page.days for page in walk.pages] == [["2026-06-18"], ["2026-06-17"]]


@pytest.mark.parametrize("doubtful", [sends("B", key="-1"), sends("B", key="x"), refuses("B")])
def test_a_kept_cursor_that_leads_nowhere_is_lost_since_nobody_knows_the_page_before(
    doubtful: Reply,
) -> None:
    walk, script = Walk(AAPL, cursor="kept"), Script(doubtful)
    with pytest.raises(PaginationError, match="the cursor 'kept' leads nowhere any more"):
        next_page(walk, script)
    assert walk.is_lost
    assert script.cursors == ["kept"]


def test_a_walk_from_a_kept_cursor_asks_it_again_when_the_next_one_is_in_doubt() -> None:
    script = Script(
        sends("A", "2026-06-17", key="a"), sends("B", key="-1"),
        sends("B", "2026-06-17", key="b"), sends("B", "2026-06-16", key="-1"),
    )  # fmt: skip
    assert days_of(Walk(AAPL, cursor="kept"), script) == [["2026-06-17"], ["2026-06-16"]]
    assert script.cursors == ["kept", "a", "kept", "b"]


NO_MATTER_OF_THE_CURSOR = [
    RateLimitError("too frequent", ret_type=-1, err_code=0, message="too frequent"),
    QuoteRightError("no right", ret_type=-1, err_code=0, message="no right"),
    GatewayTimeoutError("late"),
]


@pytest.mark.parametrize("error", NO_MATTER_OF_THE_CURSOR, ids=["rate", "right", "late"])
def test_an_error_that_is_no_matter_of_the_cursor_is_no_doubt(error: Exception) -> None:
    script = Script(
        sends("A", "2026-06-18", key="a1"), refuses("B", error), sends("B", "2026-06-17", key="-1")
    )
    walk = Walk(AAPL)
    next_page(walk, script)
    with pytest.raises(type(error)) as caught:
        next_page(walk, script)
    assert caught.value is error
    assert not walk.is_lost
    assert days_of(walk, script) == [["2026-06-17"]]
    assert script.cursors == [None, "a1", "a1"]


@pytest.mark.parametrize("error", NO_MATTER_OF_THE_CURSOR, ids=["rate", "right", "late"])
def test_an_error_at_the_page_before_leaves_the_walk_where_it_was(error: Exception) -> None:
    script = Script(
        sends("A", "2026-06-18", key="a1"), sends("B", key="-1"), refuses("B", error),
        sends("B", key="-1"), sends("B", "2026-06-18", key="b1"),
        sends("B", "2026-06-17", key="-1"),
    )  # fmt: skip
    walk = Walk(AAPL)
    next_page(walk, script)
    with pytest.raises(type(error)) as caught:
        next_page(walk, script)
    assert caught.value is error
    assert not walk.is_lost
    assert days_of(walk, script) == [["2026-06-17"]]
    assert script.cursors == [None, "a1", None, "a1", None, "b1"]


def test_an_empty_page_of_the_issuer_is_none_in_doubt() -> None:
    script = Script(
        sends("A", "2026-06-18", key="1"), sends("A", key="2"), sends("A", "2026-06-17", key="-1")
    )
    assert days_of(Walk(AAPL), script) == [["2026-06-18"], ["2026-06-17"]]
    assert script.cursors == [None, "1", "2"]


def test_rows_of_another_connection_are_none_in_doubt() -> None:
    script = Script(sends("A", "2026-06-18", key="1"), sends("B", "2026-06-17", key="-1"))
    assert days_of(Walk(AAPL), script) == [["2026-06-18"], ["2026-06-17"]]


def test_behind_an_empty_page_the_last_page_with_rows_is_the_page_before() -> None:
    script = Script(
        sends("A", "2026-06-18", key="1"), sends("A", "2026-06-17", key="2"), sends("A", key="3"),
        sends("B", key="-1"),
        sends("B", "2026-06-17", key="2"),  # the cursors are the same ones
        sends("B", key="3"), sends("B", "2026-06-16", key="-1"),
    )  # fmt: skip
    walk = Walk(AAPL)
    assert days_of(walk, script) == [["2026-06-18"], ["2026-06-17"], ["2026-06-16"]]
    assert script.cursors == [None, "1", "2", "3", "1", "2", "3"]
    assert walk.is_finished


def test_behind_a_page_of_nothing_but_repeats_that_page_is_the_page_before() -> None:
    script = Script(
        sends("A", "2026-06-18", key="1"), sends("A", "2026-06-18", key="2"), refuses("B"),
        sends("B", "2026-06-18", key="3"), sends("B", "2026-06-17", key="-1"),
    )  # fmt: skip
    assert days_of(Walk(AAPL), script) == [["2026-06-18"], ["2026-06-17"]]
    assert script.cursors == [None, "1", "2", "1", "3"]


def test_a_new_trading_day_on_the_newest_page_asked_again_does_not_get_out_of_order() -> None:
    script = Script(
        sends("A", "2026-06-18", "2026-06-17", key="a"), sends("B", key="-1"),
        sends("B", "2026-06-19", "2026-06-18", key="b"),
        sends("B", "2026-06-17", "2026-06-16", key="c"), sends("B", "2026-06-15", key="-1"),
    )  # fmt: skip
    walk = Walk(AAPL)
    assert days_of(walk, script) == [["2026-06-18", "2026-06-17"], ["2026-06-16"], ["2026-06-15"]]
    assert [row.timestamp_str for page in walk.pages for row in page.rows] == [
        "2026-06-18", "2026-06-17", "2026-06-16", "2026-06-15",
    ]  # fmt: skip


def test_the_page_asked_again_is_known_by_the_rows_that_it_had_last() -> None:
    # A new day with each doubt, until none of the rows that it had first is left on the page.
    script = Script(
        sends("A", "2026-06-18", "2026-06-17", key="a"), sends("B", key="-1"),
        sends("B", "2026-06-19", "2026-06-18", key="b"), sends("C", key="-1"),
        sends("C", "2026-06-22", "2026-06-19", key="c"),
        sends("C", "2026-06-18", "2026-06-17", key="d"), sends("C", "2026-06-16", key="-1"),
    )  # fmt: skip
    assert days_of(Walk(AAPL), script) == [["2026-06-18", "2026-06-17"], ["2026-06-16"]]


def test_older_rows_on_the_page_asked_again_are_the_next_page() -> None:
    # The other gateway does not have the newest day yet.
    script = Script(
        sends("A", "2026-06-18", "2026-06-17", key="a"), sends("B", key="-1"),
        sends("B", "2026-06-17", "2026-06-16", key="b"), sends("B", "2026-06-15", key="-1"),
    )  # fmt: skip
    walk = Walk(AAPL)
    assert days_of(walk, script) == [["2026-06-18", "2026-06-17"], ["2026-06-16"], ["2026-06-15"]]
    assert walk.pages[1].next_key == "b"


def test_a_second_doubt_behind_the_page_asked_again_asks_it_once_more() -> None:
    script = Script(
        sends("A", "2026-06-18", "2026-06-17", key="a"), refuses("B"),
        sends("B", "2026-06-17", "2026-06-16", key="a"), refuses("C"),
        sends("C", "2026-06-16", "2026-06-15", key="a"), sends("C", "2026-06-12", key="-1"),
    )  # fmt: skip
    assert days_of(Walk(AAPL), script) == [
        ["2026-06-18", "2026-06-17"], ["2026-06-16"], ["2026-06-15"], ["2026-06-12"],
    ]  # fmt: skip
    assert script.cursors == [None, "a", None, "a", None, "a"]


def test_older_rows_on_the_page_asked_again_may_be_the_last_ones() -> None:
    script = Script(
        sends("A", "2026-06-18", "2026-06-17", key="a"), sends("B", key="-1"),
        sends("B", "2026-06-17", "2026-06-16", key="-1"),
    )  # fmt: skip
    walk = Walk(AAPL)
    assert days_of(walk, script) == [["2026-06-18", "2026-06-17"], ["2026-06-16"]]
    assert walk.is_finished


def test_rows_that_are_not_wanted_are_known_on_the_page_asked_again() -> None:
    script = Script(
        sends("A", "2026-06-18", key="a"), sends("B", key="-1"), sends("B", "2026-06-18", key="b"),
        sends("B", "2026-06-17", key="-1"),
    )  # fmt: skip
    assert days_of(Walk(AAPL, end="2026-06-17"), script) == [["2026-06-17"]]


def test_start_ends_the_walk_on_the_page_asked_again_too() -> None:
    script = Script(
        sends("A", "2026-06-18", "2026-06-17", key="a"), refuses("B"),
        sends("B", "2026-06-17", "2026-06-16", key="b"),
    )  # fmt: skip
    walk = Walk(AAPL, start="2026-06-16")
    assert days_of(walk, script) == [["2026-06-18", "2026-06-17"], ["2026-06-16"]]
    assert walk.is_finished


def test_one_doubt_after_another_on_the_way_is_none_too_many_while_rows_come() -> None:
    days = [f"2026-06-{day:02}" for day in range(28, 8, -1)]
    replies = [sends(0, days[0], key="c0")]
    for number, (known, day) in enumerate(pairwise(days), start=1):
        replies += [
            sends(number, key="-1"), sends(number, known, key=f"d{number}"),
            sends(number, day, key=f"c{number}"),
        ]  # fmt: skip
    replies.append(sends(number, key="-1"))
    assert days_of(Walk(AAPL), Script(*replies)) == [[day] for day in days]


def test_doubt_again_and_again_is_an_error_in_the_end() -> None:
    asked: list[str | None] = []

    def never_the_same_connection(question: Question) -> Reply:
        asked.append(cursor_of(question))
        assert len(asked) < 100
        page: DailyShortVolume.S2C = answer(key="-1")
        if asked[-1] is None:
            page = answer("2026-06-18", key="1")
        return Reply(page, None, len(asked))

    walk = Walk(AAPL)
    assert next_page(walk, never_the_same_connection) is not None
    with pytest.raises(PaginationError, match=r"US\.AAPL .*10 pages in a row brought no new"):
        next_page(walk, never_the_same_connection)
    assert asked == [None] + ["1", None] * 10


def test_an_offset_that_another_gateway_takes_for_its_own_goes_on_without_a_doubt() -> None:
    days = [f"2026-06-{day:02}" for day in range(28, 18, -1)]

    def either(question: Question) -> Reply:
        begin = int(cursor_of(question) or 0)
        key = str(begin + 3) if begin + 3 < len(days) else "-1"
        return Reply(answer(*days[begin : begin + 3], key=key), None, begin)

    walk = Walk(AAPL)
    run(walk.load(), either)
    assert [day for page in walk.pages for day in page.days] == days
