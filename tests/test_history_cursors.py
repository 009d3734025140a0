"""Walks that were interrupted, and cursors that a gateway does not know: what is asked again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from model_gateway import ModelGateway
from refreshed_ticker import RefreshedTicker, as_read, first_days

from intake_futu_short.errors import (
    GatewayDisconnectedError,
    PaginationError,
    RateLimitError,
    ReplyError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from intake_futu_short.opend.messages_pb2 import DailyShortVolume


def interrupted(days: int, answers: int, cursor: str = "day") -> RefreshedTicker:
    """A ticker whose first fill broke off after so many pages."""
    ticker = RefreshedTicker(ModelGateway(days, cursor=cursor))
    ticker.gateway.fails_after = answers
    with pytest.raises(GatewayDisconnectedError):
        ticker.refresh()
    ticker.gateway.fails_after = None
    return ticker


# -- a first fill that broke off -----------------------------------------------------------------


def test_an_interrupted_fill_asks_for_the_newest_page_and_goes_on_from_its_cursor() -> None:
    ticker = interrupted(1500, 17)
    assert len(ticker.held.rows) == 850
    cursor = ticker.held.cursor
    ticker.gateway.window = 2000
    ticker.gateway.add(1)
    assert ticker.refresh("auto").requests == 1 + 14
    assert ticker.gateway.asked[:2] == [None, cursor]
    ticker.assert_fresh()


@pytest.mark.parametrize("cursor", ["day", "offset"])
@pytest.mark.parametrize("days", [0, 1, 49, 50, 60, 130])
def test_an_interrupted_fill_connects_after_any_number_of_days(days: int, cursor: str) -> None:
    ticker = interrupted(500, 4, cursor)
    ticker.gateway.add(days)
    ticker.refresh()
    ticker.assert_fresh()


def test_an_interrupted_walk_over_a_gap_is_walked_again() -> None:
    ticker = RefreshedTicker(ModelGateway(500))
    ticker.refresh()
    ticker.gateway.add(220)
    ticker.gateway.fails_after = 3
    with pytest.raises(GatewayDisconnectedError):
        ticker.refresh()
    assert len(ticker.held.rows) == 500
    ticker.gateway.fails_after = None
    ticker.gateway.add(5)
    outcome = ticker.refresh()
    assert (outcome.requests, outcome.new_rows) == (5, 225)
    ticker.assert_fresh()


@pytest.mark.parametrize("refuses", [True, False])
@pytest.mark.parametrize("adjusted", [False, True])
def test_a_saved_cursor_that_leads_nowhere_leads_to_a_new_walk(
    refuses: bool, adjusted: bool
) -> None:
    ticker = interrupted(500, 4)
    ticker.gateway.generation += 1
    ticker.gateway.refuses_unknown = refuses
    if adjusted:
        ticker.gateway.adjust(back=2)
    # 11 for the walk; and one in vain, unless the cursor was known to be of no use.
    assert ticker.refresh().requests == (11 if adjusted else 12)
    ticker.assert_fresh()
    assert ticker.held.superseded is None


def test_the_empty_page_at_the_end_is_believed_only_with_the_page_before_it() -> None:
    ticker = interrupted(500, 10)
    assert len(ticker.held.rows) == 500
    assert not ticker.held.is_complete
    # The newest page, nothing behind the saved cursor, and all the others.
    assert ticker.refresh().requests == 1 + 1 + 10
    ticker.assert_fresh()


def test_a_saved_cursor_that_is_lost_is_logged_with_its_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "intake_futu_short")
    ticker = interrupted(500, 4)
    ticker.gateway.generation += 1
    ticker.refresh()
    (said,) = (r.getMessage() for r in caplog.records if "walked again" in r.getMessage())
    assert said.startswith("US.A: walked again from the newest page: ")
    assert "(invalid nextKey)" in said


def test_a_cursor_that_leads_round_in_circles_leads_to_a_new_walk() -> None:
    ticker = interrupted(200, 2)
    cursor = ticker.held.cursor
    asked = ticker.gateway.asked

    def circle(s2c: DailyShortVolume.S2C) -> None:
        if asked[-1] == cursor and asked.count(cursor) == 1:
            s2c.next_key = cursor or ""

    ticker.gateway.alter = circle
    # The newest page, two pages of the circle's one, and all the others.
    assert ticker.refresh().requests == 1 + 1 + 4
    ticker.assert_fresh()


def test_a_new_walk_that_goes_round_in_circles_is_an_error() -> None:
    ticker = RefreshedTicker(ModelGateway(200))

    def circle(s2c: DailyShortVolume.S2C) -> None:
        if len(ticker.gateway.asked) == 3:
            s2c.next_key = ticker.gateway.asked[1] or ""

    ticker.gateway.alter = circle
    with pytest.raises(PaginationError, match="came a second time"):
        ticker.refresh()
    assert len(ticker.gateway.asked) == 3
    assert len(ticker.held.rows) == 150


def test_rows_of_another_adjustment_behind_a_cursor_lead_to_a_new_walk() -> None:
    # The adjustment comes between the newest page and the next; the offset lets them overlap.
    ticker = interrupted(300, 2, "offset")
    gateway = ticker.gateway
    gateway.add(3)
    gateway.before_answer = lambda: gateway.adjust(back=60) if len(gateway.asked) == 2 else None
    assert ticker.refresh().requests == 1 + 1 + 7
    ticker.assert_fresh()
    assert ticker.held.superseded is None


def test_a_late_revision_behind_a_cursor_is_taken_over_and_counted() -> None:
    # With three more days the offset lets three rows overlap; the newest of them was revised.
    ticker = interrupted(300, 2, "offset")
    ticker.gateway.add(3)
    ticker.gateway.revise(100, "close_price", 1.5)
    outcome = ticker.refresh()
    assert (outcome.requests, outcome.new_rows, outcome.revised) == (1 + 5, 203, 1)
    ticker.assert_fresh()


def test_a_refusal_that_is_not_of_the_cursor_is_an_error() -> None:
    ticker = interrupted(200, 2)

    def refuse() -> None:
        if ticker.gateway.asked[-1] is not None:
            raise RateLimitError("too frequent", ret_type=-1, err_code=0, message="")

    ticker.gateway.before_answer = refuse
    with pytest.raises(RateLimitError):
        ticker.refresh()
    assert len(ticker.held.rows) == 100


def test_a_history_without_a_cursor_is_walked_anew() -> None:
    ticker = RefreshedTicker(ModelGateway(300))
    ticker.refresh("auto", first_days(100))
    ticker.put(replace(ticker.held, cursor=None))
    assert ticker.refresh().requests == 7
    ticker.assert_fresh()


def test_a_refusal_on_the_connection_that_issued_the_cursor_is_an_error() -> None:
    ticker = RefreshedTicker(ModelGateway(300))

    def expire() -> None:
        if len(ticker.gateway.asked) == 4:
            ticker.gateway.generation += 1

    ticker.gateway.before_answer = expire
    with pytest.raises(ReplyError, match="invalid nextKey"):
        ticker.refresh()
    assert len(ticker.held.rows) == 150
    ticker.gateway.before_answer = lambda: None
    assert ticker.refresh().requests == 8
    ticker.assert_fresh()


# -- a connection that is another one in mid-walk -----------------------------------------------

HELD_BEFORE = ["nothing", "other prices", "another full walk"]


def begun(held: str, cursor: str = "day") -> tuple[RefreshedTicker, str]:
    """A ticker that will be walked to its end by eleven requests, and how it is refreshed."""
    ticker = RefreshedTicker(ModelGateway(500, cursor=cursor))
    if held != "nothing":
        ticker.refresh()
    if held == "other prices":
        ticker.gateway.adjust(back=0)
    return ticker, "full" if held == "another full walk" else "always"


def reconnecting(ticker: RefreshedTicker, at: int, also: Callable[[], None]) -> None:
    """The question of this number, from 1, goes over a new connection."""

    def reconnect() -> None:
        if len(ticker.gateway.asked) == at:
            ticker.gateway.connection += 1
            also()

    ticker.gateway.before_answer = reconnect


@pytest.mark.parametrize("held", HELD_BEFORE)
def test_another_connection_that_knows_the_cursors_changes_nothing(held: str) -> None:
    ticker, mode = begun(held)
    reconnecting(ticker, 4, lambda: None)
    assert ticker.refresh(mode).requests == 11
    ticker.assert_fresh()


@pytest.mark.parametrize("held", HELD_BEFORE)
def test_a_cursor_in_doubt_is_replaced_by_that_of_the_page_before(held: str) -> None:
    ticker, mode = begun(held)
    reconnecting(ticker, 4, lambda: None)
    asked = ticker.gateway.asked

    def forget(s2c: DailyShortVolume.S2C) -> None:
        if len(asked) == 4:
            s2c.Clear()
            s2c.next_key = "-1"

    ticker.gateway.alter = forget
    assert ticker.refresh(mode).requests == 11 + 2
    # In doubt, then the page before it, then that page's cursor, which happens to be the same.
    assert asked[3:6] == [asked[3], asked[2], asked[3]]
    ticker.assert_fresh()


@pytest.mark.parametrize("held", HELD_BEFORE)
@pytest.mark.parametrize("refuses", [True, False])
def test_behind_the_newest_page_any_gateway_can_go_on(held: str, refuses: bool) -> None:
    ticker, mode = begun(held)
    gateway = ticker.gateway

    def forget() -> None:
        gateway.generation += 1

    gateway.refuses_unknown = refuses
    reconnecting(ticker, 2, forget)
    assert ticker.refresh(mode).requests == 11 + 2
    assert gateway.asked[:4] == [None, "0/2019-09-23", None, "1/2019-09-23"]
    ticker.assert_fresh()


@pytest.mark.parametrize("held", HELD_BEFORE)
@pytest.mark.parametrize("refuses", [True, False])
@pytest.mark.parametrize("at", [3, 6, 11])
def test_a_lost_cursor_leads_to_a_new_walk_in_which_nothing_is_missing(
    held: str, refuses: bool, at: int
) -> None:
    ticker, mode = begun(held)
    gateway = ticker.gateway

    def forget() -> None:
        gateway.generation += 1

    gateway.refuses_unknown = refuses
    reconnecting(ticker, at, forget)
    # The pages until then, the cursor and the one before it in vain, and all anew.
    assert ticker.refresh(mode).requests == at - 1 + 2 + 11
    assert gateway.asked[at + 1] is None
    ticker.assert_fresh()
    assert ticker.held.superseded is None


@pytest.mark.parametrize("held", HELD_BEFORE)
def test_the_end_over_another_connection_is_confirmed_by_the_page_before(held: str) -> None:
    ticker, mode = begun(held)
    reconnecting(ticker, 11, lambda: None)
    assert ticker.refresh(mode).requests == 11 + 2
    ticker.assert_fresh()


def test_days_that_came_before_the_new_connection_are_left_to_the_next_refresh() -> None:
    ticker, _ = begun("nothing", "offset")
    gateway = ticker.gateway

    def go_on() -> None:
        gateway.add(3)
        gateway.generation += 1

    before = gateway.frame()
    reconnecting(ticker, 2, go_on)
    ticker.refresh()
    pd.testing.assert_frame_equal(as_read(ticker.held), before)
    assert ticker.held.is_complete
    gateway.before_answer = lambda: None
    assert ticker.refresh().new_rows == 3
    ticker.assert_fresh()


def test_gateways_that_lose_every_cursor_are_an_error_that_keeps_what_came() -> None:
    ticker = RefreshedTicker(ModelGateway(500))
    gateway = ticker.gateway

    def forget() -> None:
        if gateway.asked[-2:].count(None) == 0:  # the second cursor in a row
            gateway.generation += 1
            gateway.connection += 1

    gateway.before_answer = forget
    with pytest.raises(PaginationError, match=r"US\.A from the model: .* leads nowhere any more"):
        ticker.refresh()
    # Five times: two pages, a cursor in vain, and the page before it in vain.
    assert len(gateway.asked) == 5 * 4
    assert gateway.asked.count(None) == 5
    assert len(ticker.held.rows) == 100
    gateway.before_answer = lambda: None
    ticker.refresh()
    ticker.assert_fresh()


def test_the_newest_page_just_asked_for_is_asked_again_only_when_the_cursor_is_lost() -> None:
    ticker = RefreshedTicker(ModelGateway(300))
    ticker.refresh("auto", first_days(50))
    asked_s = ticker.held.checked_s
    assert ticker.refresh("auto", first_days(100), asked_s).requests == 1
    ticker.gateway.generation += 1
    # The saved cursor in vain, and all of it.
    assert ticker.refresh("auto", first_days(150), asked_s).requests == 1 + 3
    assert ticker.gateway.asked[1] is None
    assert ticker.refresh("auto", since_s=asked_s).requests == 4
    ticker.assert_fresh()
