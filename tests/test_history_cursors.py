"""Walks that were interrupted: where they go on, and when they must begin anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from model_gateway import ModelGateway
from refreshed_ticker import RefreshedTicker, first_days

from intake_futu_short.errors import (
    GatewayDisconnectedError,
    RateLimitError,
    ReplyError,
)

if TYPE_CHECKING:
    from intake_futu_short.opend.messages_pb2 import DailyShortVolume


def test_an_interrupted_fill_asks_for_the_newest_page_and_goes_on_from_its_cursor() -> None:
    ticker = RefreshedTicker(ModelGateway(1500, window=2000))
    ticker.gateway.fails_after = 17
    with pytest.raises(GatewayDisconnectedError):
        ticker.refresh()
    assert len(ticker.kept.rows) == 850
    cursor = ticker.kept.cursor
    ticker.gateway.fails_after = None
    ticker.gateway.add(1)
    assert ticker.refresh("auto").requests == 1 + 14
    assert ticker.gateway.asked[:2] == [None, cursor]
    ticker.assert_fresh()


@pytest.mark.parametrize("cursor", ["day", "offset"])
@pytest.mark.parametrize("days", [0, 1, 49, 50, 60, 130])
def test_an_interrupted_fill_connects_after_any_number_of_days(days: int, cursor: str) -> None:
    ticker = RefreshedTicker(ModelGateway(500, cursor=cursor))
    ticker.gateway.fails_after = 4
    with pytest.raises(GatewayDisconnectedError):
        ticker.refresh()
    ticker.gateway.fails_after = None
    ticker.gateway.add(days)
    ticker.refresh()
    ticker.assert_fresh()


def test_an_interrupted_walk_over_a_gap_is_gone_on_with() -> None:
    ticker = RefreshedTicker(ModelGateway(500))
    ticker.refresh()
    ticker.gateway.add(220)
    ticker.gateway.fails_after = 3
    with pytest.raises(GatewayDisconnectedError):
        ticker.refresh()
    assert len(ticker.kept.rows) == 500
    ticker.gateway.fails_after = None
    ticker.gateway.add(5)
    outcome = ticker.refresh()
    assert (outcome.requests, outcome.new_rows) == (3, 225)
    ticker.assert_fresh()


@pytest.mark.parametrize("adjusted", [False, True])
def test_a_cursor_that_is_no_longer_taken_leads_to_a_new_walk(adjusted: bool) -> None:
    ticker = RefreshedTicker(ModelGateway(500))
    ticker.gateway.fails_after = 4
    with pytest.raises(GatewayDisconnectedError):
        ticker.refresh()
    ticker.gateway.fails_after = None
    ticker.gateway.generation += 1
    if adjusted:
        ticker.gateway.adjust(back=2)
    # 11 for the walk; and one was refused, unless it was known to be of no use.
    assert ticker.refresh().requests == (11 if adjusted else 12)
    ticker.assert_fresh()


def test_a_cursor_that_leads_round_in_circles_leads_to_a_new_walk() -> None:
    ticker = RefreshedTicker(ModelGateway(200))
    ticker.gateway.fails_after = 2
    with pytest.raises(GatewayDisconnectedError):
        ticker.refresh()
    ticker.gateway.fails_after = None
    cursor = ticker.kept.cursor
    asked = ticker.gateway.asked

    def circle(s2c: DailyShortVolume.S2C) -> None:
        if asked[-1] == cursor and asked.count(cursor) == 1:
            s2c.next_key = cursor or ""

    ticker.gateway.alter = circle
    ticker.refresh()
    ticker.assert_fresh()


def test_rows_of_another_adjustment_behind_a_cursor_lead_to_a_new_walk() -> None:
    # The adjustment comes between the newest page and the next; the offset lets them overlap.
    ticker = RefreshedTicker(ModelGateway(300, cursor="offset"))
    ticker.gateway.fails_after = 2
    with pytest.raises(GatewayDisconnectedError):
        ticker.refresh()
    ticker.gateway.fails_after = None
    ticker.gateway.add(3)
    gateway = ticker.gateway
    gateway.before_answer = lambda: gateway.adjust(back=60) if len(gateway.asked) == 2 else None
    ticker.refresh()
    ticker.assert_fresh()


@pytest.mark.parametrize("adjusted", [False, True])
@pytest.mark.parametrize(
    ("forgotten", "requests"),
    # The newest page, the cursor in vain, and from the page before it to the end; or the cursors
    # in vain, and everything anew.
    [(1, 1 + 1 + 8), (2, 1 + 2 + 10)],
)
def test_a_forgotten_cursor_that_is_met_with_nothing_is_not_taken_for_the_end(
    adjusted: bool, forgotten: int, requests: int
) -> None:
    ticker = RefreshedTicker(ModelGateway(500))
    if adjusted:
        ticker.refresh()
        ticker.gateway.adjust(back=0)
    ticker.gateway.fails_after = 4
    with pytest.raises(GatewayDisconnectedError):
        ticker.refresh()
    ticker.gateway.fails_after = None
    walk = ticker.kept.staged or ticker.kept
    cursors = [walk.cursor, walk.cursor_before][:forgotten]

    def forget(s2c: DailyShortVolume.S2C) -> None:
        asked = ticker.gateway.asked
        if asked[-1] in cursors and asked.count(asked[-1]) == 1:
            s2c.Clear()
            s2c.next_key = "-1"

    ticker.gateway.alter = forget
    assert ticker.refresh().requests == requests
    ticker.assert_fresh()
    assert ticker.kept.superseded is None


@pytest.mark.parametrize("cursor", ["day", "offset"])
@pytest.mark.parametrize("before", ["nothing", "prices", "everything"])
def test_a_walk_interrupted_before_the_empty_page_at_the_end_asks_for_the_last_page_again(
    before: str, cursor: str
) -> None:
    ticker = RefreshedTicker(ModelGateway(500, cursor=cursor))
    if before != "nothing":
        ticker.refresh()
    if before == "prices":
        ticker.gateway.adjust(back=0)
    mode = "full" if before == "everything" else "always"
    ticker.gateway.fails_after = 10
    with pytest.raises(GatewayDisconnectedError):
        ticker.refresh(mode)
    assert len((ticker.kept.staged or ticker.kept).rows) == 500
    ticker.gateway.fails_after = None
    # The newest page, nothing behind the cursor, the last page, nothing behind it.
    assert ticker.refresh(mode).requests == 4
    ticker.assert_fresh()


def test_a_refusal_that_is_not_of_the_cursor_is_an_error() -> None:
    ticker = RefreshedTicker(ModelGateway(200))
    ticker.gateway.fails_after = 2
    with pytest.raises(GatewayDisconnectedError):
        ticker.refresh()
    ticker.gateway.fails_after = None

    def refuse() -> None:
        if ticker.gateway.asked[-1] is not None:
            raise RateLimitError("too frequent", ret_type=-1, err_code=0, message="")

    ticker.gateway.before_answer = refuse
    with pytest.raises(RateLimitError):
        ticker.refresh()
    assert len(ticker.kept.rows) == 100


def test_a_history_without_a_cursor_is_walked_anew() -> None:
    ticker = RefreshedTicker(ModelGateway(300))
    ticker.refresh("auto", first_days(100))
    ticker.store.save(ticker.security, replace(ticker.kept, cursor=None))
    assert ticker.refresh().requests == 7
    ticker.assert_fresh()


def test_a_refusal_in_the_middle_of_a_new_walk_is_an_error() -> None:
    ticker = RefreshedTicker(ModelGateway(300))

    def expire() -> None:
        if len(ticker.gateway.asked) == 4:
            ticker.gateway.generation += 1

    ticker.gateway.before_answer = expire
    with pytest.raises(ReplyError, match="invalid nextKey"):
        ticker.refresh()
    assert len(ticker.kept.rows) == 150
    ticker.gateway.before_answer = lambda: None
    assert ticker.refresh().requests == 8
    ticker.assert_fresh()
