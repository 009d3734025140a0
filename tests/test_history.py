"""The rules of a refresh, over a gateway made of arithmetic and a store in memory."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import fsspec
import pandas as pd
import pytest
from model_gateway import DictStore, ModelGateway, as_read

from intake_futu_short.errors import (
    GatewayDisconnectedError,
    PaginationError,
    RateLimitError,
    ReplyError,
    StoreError,
)
from intake_futu_short.history.keeper import Keeper, Outcome
from intake_futu_short.pages import Aggregates
from intake_futu_short.security import Security
from intake_futu_short.store import FutuShortStore
from intake_futu_short.store import files as store_files
from intake_futu_short.store import paths as store_paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from intake_futu_short.kept import Kept
    from intake_futu_short.opend.messages_pb2 import DailyShortVolume

HOUR_S = 3600.0
NOON = 1_800_000_000.0  # years after the model's newest day


class Desk:
    """A ticker, its gateway, its store and a clock that stands still."""

    def __init__(self, gateway: ModelGateway) -> None:
        self.gateway = gateway
        self.store = DictStore()
        self.security = Security.parse(f"{gateway.market}.A")
        self.now_s = NOON

    def refresh(
        self, mode: str = "always", is_enough: Callable[[Kept], bool] = lambda k: k.is_complete
    ) -> Outcome:
        keeper = Keeper(
            self.store, self.security, self.gateway.fetch, refresh=mode, clock=lambda: self.now_s
        )
        self.gateway.asked.clear()
        outcome = keeper.update(is_enough)
        assert outcome.requests == len(self.gateway.asked)
        return outcome

    @property
    def kept(self) -> Kept:
        return self.store.kept[self.security.code]

    def assert_fresh(self) -> None:
        """What is held is what a fresh walk gives, on the days that it gives; and complete."""
        fresh = self.gateway.frame()
        pd.testing.assert_frame_equal(as_read(self.kept)[: len(fresh)], fresh)
        assert self.kept.is_complete
        assert self.kept.staged is None


def first_days(count: int) -> Callable[[Kept], bool]:
    return lambda kept: kept.is_complete or len(kept.rows) >= count


def test_a_first_fill_takes_what_the_cursor_forces_and_writes_as_it_walks() -> None:
    desk = Desk(ModelGateway(1500))
    outcome = desk.refresh("auto")
    assert (outcome.requests, outcome.new_rows, outcome.revised) == (31, 1500, 0)
    assert [len(kept.rows) for kept in desk.store.saves] == [*range(50, 1501, 50), 1500]
    assert [kept.is_complete for kept in desk.store.saves] == [False] * 30 + [True]
    assert desk.kept.walked_s == desk.kept.checked_s == NOON
    desk.assert_fresh()


@pytest.mark.parametrize(("days", "requests"), [(0, 1), (1, 1), (40, 1), (49, 1), (60, 2)])
@pytest.mark.parametrize("cursor", ["day", "offset"])
def test_new_days_cost_as_few_requests_as_they_fill_pages(
    days: int, requests: int, cursor: str
) -> None:
    desk = Desk(ModelGateway(1500, cursor=cursor))
    desk.refresh()
    desk.gateway.add(days)
    outcome = desk.refresh()
    assert (outcome.requests, outcome.new_rows, outcome.revised) == (requests, days, 0)
    desk.assert_fresh()
    # The window of the gateway has moved on; what it no longer sends is kept as it was.
    oldest = as_read(desk.kept)[1500:].reset_index(drop=True)
    pd.testing.assert_frame_equal(oldest, desk.gateway.frame(desk.gateway.all[:days][::-1]))


def test_after_an_adjustment_everything_is_walked_once() -> None:
    desk = Desk(ModelGateway(1500))
    desk.refresh()
    desk.gateway.add(1)
    desk.gateway.adjust(back=1)
    outcome = desk.refresh()
    assert (outcome.requests, outcome.revised) == (31, 0)
    desk.assert_fresh()
    assert desk.refresh().requests == 1
    desk.assert_fresh()


@pytest.mark.parametrize("back", [0, 1, 25, 49])
def test_an_adjustment_within_the_newest_page_is_seen_by_its_oldest_row(back: int) -> None:
    desk = Desk(ModelGateway(200))
    desk.refresh()
    desk.gateway.adjust(back=back)
    assert desk.refresh().requests == 5
    desk.assert_fresh()


def test_rows_of_two_adjustments_never_share_what_is_published() -> None:
    desk = Desk(ModelGateway(500))
    desk.refresh()
    before = as_read(desk.kept)
    desk.gateway.adjust(back=10)
    desk.store.saves.clear()
    desk.refresh()
    *during, last = desk.store.saves
    assert len(during) == 10
    for number, kept in enumerate(during, 1):
        pd.testing.assert_frame_equal(as_read(kept), before)
        assert kept.staged is not None
        assert len(kept.staged.rows) == 50 * number
    pd.testing.assert_frame_equal(as_read(last), desk.gateway.frame())
    assert last.staged is None


def test_a_rewalk_ends_where_a_row_agrees() -> None:
    # The adjustment came in the middle of the first fill: rows older than the 100th have it.
    desk = Desk(ModelGateway(400))
    gateway = desk.gateway
    gateway.before_answer = lambda: gateway.adjust(back=5) if len(gateway.asked) == 3 else None
    desk.refresh()
    gateway.before_answer = lambda: None
    assert desk.refresh().requests == 3
    desk.assert_fresh()


def test_an_interrupted_rewalk_goes_on_from_its_cursor() -> None:
    desk = Desk(ModelGateway(1500, window=2000))
    desk.refresh()
    desk.gateway.adjust(back=3)
    desk.gateway.fails_after = 12
    with pytest.raises(GatewayDisconnectedError):
        desk.refresh()
    desk.gateway.fails_after = None
    desk.gateway.add(2)
    desk.now_s += 100 * HOUR_S
    # The newest page, and the rest.
    assert desk.refresh("auto").requests == 1 + 31 - 12
    desk.assert_fresh()


def test_a_staged_walk_of_another_adjustment_is_dropped() -> None:
    desk = Desk(ModelGateway(500))
    desk.refresh()
    desk.gateway.adjust(back=3)
    desk.gateway.fails_after = 5
    with pytest.raises(GatewayDisconnectedError):
        desk.refresh()
    desk.gateway.fails_after = None
    desk.gateway.adjust(back=1)
    assert desk.refresh().requests == 11
    desk.assert_fresh()


def test_a_staged_walk_whose_cursor_is_refused_begins_anew() -> None:
    desk = Desk(ModelGateway(500))
    desk.refresh()
    desk.gateway.adjust(back=3)
    desk.gateway.fails_after = 5
    with pytest.raises(GatewayDisconnectedError):
        desk.refresh()
    desk.gateway.fails_after = None
    desk.gateway.generation += 1
    assert desk.refresh().requests == 12
    desk.assert_fresh()


def test_an_adjustment_taken_back_leaves_nothing_staged() -> None:
    desk = Desk(ModelGateway(500))
    desk.refresh()
    held = [dict(row) for row in desk.gateway.all]
    desk.gateway.adjust(back=3)
    desk.gateway.fails_after = 5
    with pytest.raises(GatewayDisconnectedError):
        desk.refresh()
    desk.gateway.fails_after = None
    desk.gateway.all = held
    assert desk.refresh().requests == 1
    desk.assert_fresh()


def test_the_rows_before_the_gateways_window_lose_their_prices_to_an_adjustment() -> None:
    desk = Desk(ModelGateway(300, "HK", window=200))
    desk.refresh()
    before = as_read(desk.kept)
    desk.gateway.add(30)
    desk.gateway.adjust(back=1, factor=0.5)
    assert desk.refresh().requests == 5
    now = as_read(desk.kept)
    desk.assert_fresh()
    assert len(now) == 230
    prices = ["open_price", "close_price", "last_close_price"]
    others = [name for name in before.columns if name not in prices]
    beyond = now[200:].reset_index(drop=True)
    held = before[170:].reset_index(drop=True)
    pd.testing.assert_frame_equal(beyond[others], held[others])
    assert beyond[prices].isna().all(axis=None)
    superseded = desk.kept.superseded
    assert superseded is not None
    pd.testing.assert_frame_equal(
        superseded[["timestamp_str", *prices]][::-1].reset_index(drop=True),
        held[["timestamp_str", *prices]],
    )
    # Another adjustment leaves these alone, and adds those that the window has left since.
    desk.gateway.add(10)
    desk.gateway.adjust(back=1, factor=0.5)
    desk.refresh()
    desk.assert_fresh()
    assert desk.kept.superseded is not None
    assert len(desk.kept.superseded) == 40
    pd.testing.assert_frame_equal(
        desk.kept.superseded[:30][["timestamp_str", *prices]],
        superseded[["timestamp_str", *prices]],
    )
    # Afterwards it costs one request again, and a full walk changes nothing.
    assert desk.refresh().requests == 1
    assert desk.refresh("full").requests == 5
    assert len(desk.kept.rows) == 240
    # A gateway with a longer memory sends them again.
    desk.gateway.window = 220
    desk.refresh("full")
    desk.assert_fresh()
    assert desk.kept.superseded is not None
    assert len(desk.kept.superseded) == 20


def test_late_revisions_on_the_newest_page_are_taken_over_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk(ModelGateway(300))
    desk.refresh()
    desk.gateway.revise(3, "volume", None)
    desk.gateway.revise(5, "total_shares_short", 7)
    desk.gateway.revise(7, "daily_trade_avg_ratio", 11.25)
    desk.gateway.revise(9, "close_price", 1.5)  # not in the oldest common row: no adjustment
    outcome = desk.refresh()
    assert (outcome.requests, outcome.revised) == (1, 4)
    desk.assert_fresh()
    days = [desk.gateway.rows[back]["timestamp_str"] for back in (9, 7, 5, 3)]
    assert f"US.A: late revisions were taken over: {', '.join(days)}" in caplog.text


def test_a_price_revised_in_the_oldest_common_row_costs_one_more_request() -> None:
    desk = Desk(ModelGateway(300))
    desk.refresh()
    desk.gateway.revise(49, "close_price", 1.5)
    outcome = desk.refresh()
    assert (outcome.requests, outcome.revised) == (2, 1)
    desk.assert_fresh()


@pytest.mark.parametrize(
    ("factor", "requests"), [(1 + 1e-12, 1), (1 - 5e-10, 1), (1 + 1e-8, 7), (1 - 1e-8, 7)]
)
def test_prices_are_compared_within_a_billionth(factor: float, requests: int) -> None:
    desk = Desk(ModelGateway(300))
    desk.refresh()
    for row in desk.gateway.all:
        row["close_price"] *= factor
        row["last_close_price"] *= factor
    assert desk.refresh().requests == requests


def test_a_count_is_compared_to_the_last_share() -> None:
    desk = Desk(ModelGateway(60))
    desk.gateway.revise(3, "volume", 2**62)
    desk.refresh()
    desk.gateway.revise(3, "volume", 2**62 + 1)  # the same number to a float
    assert desk.refresh().revised == 1
    desk.assert_fresh()


def test_a_revision_older_than_the_newest_page_is_seen_by_full() -> None:
    desk = Desk(ModelGateway(1500))
    desk.refresh()
    desk.gateway.revise(700, "volume", 4)
    desk.gateway.revise(800, "last_close_price", 4.5)
    assert desk.refresh("always").revised == 0
    desk.now_s += 24 * HOUR_S
    outcome = desk.refresh("full")
    assert (outcome.requests, outcome.revised, outcome.new_rows) == (31, 2, 0)
    assert desk.kept.walked_s == desk.now_s
    desk.assert_fresh()


def test_an_interrupted_full_walk_goes_on_while_it_is_fresh_only() -> None:
    for wait_h, requests in [(1, 1 + 31 - 12), (3, 31)]:
        desk = Desk(ModelGateway(1500))
        desk.refresh()
        desk.gateway.revise(700, "volume", 4)
        desk.gateway.fails_after = 12
        with pytest.raises(GatewayDisconnectedError):
            desk.refresh("full")
        desk.gateway.fails_after = None
        desk.now_s += wait_h * HOUR_S
        assert desk.refresh("full").requests == requests
        desk.assert_fresh()


def test_a_row_without_a_price_cannot_tell_the_adjustment() -> None:
    desk = Desk(ModelGateway(200))
    for back, price in ((49, None), (48, 0.0)):
        desk.gateway.revise(back, "close_price", price)
        desk.gateway.revise(back, "last_close_price", price)
    desk.refresh()
    desk.gateway.adjust(back=3)
    assert desk.refresh().requests == 5
    desk.assert_fresh()


def test_a_newest_page_without_any_price_leaves_older_prices_in_doubt() -> None:
    desk = Desk(ModelGateway(200))
    for back in range(50):
        desk.gateway.revise(back, "close_price", None)
        desk.gateway.revise(back, "last_close_price", None)
    desk.refresh()
    desk.gateway.adjust(back=3)
    assert desk.refresh().requests == 5
    desk.assert_fresh()


def test_a_ticker_that_never_has_prices_costs_one_request() -> None:
    desk = Desk(ModelGateway(200))
    for row in desk.gateway.all:
        row["close_price"] = row["last_close_price"] = None
    desk.refresh()
    assert desk.refresh().requests == 1
    desk.assert_fresh()


def test_missing_values_are_equal_to_missing_ones_and_to_nothing_else() -> None:
    desk = Desk(ModelGateway(200, "HK", missing=0.3))
    desk.refresh()
    outcome = desk.refresh()
    assert (outcome.requests, outcome.revised) == (1, 0)
    for back in range(5):
        desk.gateway.revise(back, "shares_traded", None)
        desk.gateway.revise(back, "turnover", None)
    desk.refresh()
    for back in range(5):
        desk.gateway.revise(back, "shares_traded", 0)
        desk.gateway.revise(back, "turnover", 0.0)
    assert desk.refresh().revised == 5
    desk.assert_fresh()


def test_an_interrupted_fill_asks_for_the_newest_page_and_goes_on_from_its_cursor() -> None:
    desk = Desk(ModelGateway(1500, window=2000))
    desk.gateway.fails_after = 17
    with pytest.raises(GatewayDisconnectedError):
        desk.refresh()
    assert len(desk.kept.rows) == 850
    cursor = desk.kept.cursor
    desk.gateway.fails_after = None
    desk.gateway.add(1)
    assert desk.refresh("auto").requests == 1 + 14
    assert desk.gateway.asked[:2] == [None, cursor]
    desk.assert_fresh()


@pytest.mark.parametrize("cursor", ["day", "offset"])
@pytest.mark.parametrize("days", [0, 1, 49, 50, 60, 130])
def test_an_interrupted_fill_connects_after_any_number_of_days(days: int, cursor: str) -> None:
    desk = Desk(ModelGateway(500, cursor=cursor))
    desk.gateway.fails_after = 4
    with pytest.raises(GatewayDisconnectedError):
        desk.refresh()
    desk.gateway.fails_after = None
    desk.gateway.add(days)
    desk.refresh()
    desk.assert_fresh()


def test_an_interrupted_walk_over_a_gap_is_gone_on_with() -> None:
    desk = Desk(ModelGateway(500))
    desk.refresh()
    desk.gateway.add(220)
    desk.gateway.fails_after = 3
    with pytest.raises(GatewayDisconnectedError):
        desk.refresh()
    assert len(desk.kept.rows) == 500
    desk.gateway.fails_after = None
    desk.gateway.add(5)
    outcome = desk.refresh()
    assert (outcome.requests, outcome.new_rows) == (3, 225)
    desk.assert_fresh()


@pytest.mark.parametrize("adjusted", [False, True])
def test_a_cursor_that_is_no_longer_taken_leads_to_a_new_walk(adjusted: bool) -> None:
    desk = Desk(ModelGateway(500))
    desk.gateway.fails_after = 4
    with pytest.raises(GatewayDisconnectedError):
        desk.refresh()
    desk.gateway.fails_after = None
    desk.gateway.generation += 1
    if adjusted:
        desk.gateway.adjust(back=2)
    # 11 for the walk; and one was refused, unless it was known to be of no use.
    assert desk.refresh().requests == (11 if adjusted else 12)
    desk.assert_fresh()


def test_a_cursor_that_leads_round_in_circles_leads_to_a_new_walk() -> None:
    desk = Desk(ModelGateway(200))
    desk.gateway.fails_after = 2
    with pytest.raises(GatewayDisconnectedError):
        desk.refresh()
    desk.gateway.fails_after = None
    cursor = desk.kept.cursor
    asked = desk.gateway.asked

    def circle(s2c: DailyShortVolume.S2C) -> None:
        if asked[-1] == cursor and asked.count(cursor) == 1:
            s2c.next_key = cursor or ""

    desk.gateway.alter = circle
    desk.refresh()
    desk.assert_fresh()


def test_rows_of_another_adjustment_behind_a_cursor_lead_to_a_new_walk() -> None:
    # The adjustment comes between the newest page and the next; the offset lets them overlap.
    desk = Desk(ModelGateway(300, cursor="offset"))
    desk.gateway.fails_after = 2
    with pytest.raises(GatewayDisconnectedError):
        desk.refresh()
    desk.gateway.fails_after = None
    desk.gateway.add(3)
    gateway = desk.gateway
    gateway.before_answer = lambda: gateway.adjust(back=60) if len(gateway.asked) == 2 else None
    desk.refresh()
    desk.assert_fresh()


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
    desk = Desk(ModelGateway(500))
    if adjusted:
        desk.refresh()
        desk.gateway.adjust(back=0)
    desk.gateway.fails_after = 4
    with pytest.raises(GatewayDisconnectedError):
        desk.refresh()
    desk.gateway.fails_after = None
    walk = desk.kept.staged or desk.kept
    cursors = [walk.cursor, walk.cursor_before][:forgotten]

    def forget(s2c: DailyShortVolume.S2C) -> None:
        asked = desk.gateway.asked
        if asked[-1] in cursors and asked.count(asked[-1]) == 1:
            s2c.Clear()
            s2c.next_key = "-1"

    desk.gateway.alter = forget
    assert desk.refresh().requests == requests
    desk.assert_fresh()
    assert desk.kept.superseded is None


@pytest.mark.parametrize("cursor", ["day", "offset"])
@pytest.mark.parametrize("before", ["nothing", "prices", "everything"])
def test_a_walk_interrupted_before_the_empty_page_at_the_end_asks_for_the_last_page_again(
    before: str, cursor: str
) -> None:
    desk = Desk(ModelGateway(500, cursor=cursor))
    if before != "nothing":
        desk.refresh()
    if before == "prices":
        desk.gateway.adjust(back=0)
    mode = "full" if before == "everything" else "always"
    desk.gateway.fails_after = 10
    with pytest.raises(GatewayDisconnectedError):
        desk.refresh(mode)
    assert len((desk.kept.staged or desk.kept).rows) == 500
    desk.gateway.fails_after = None
    # The newest page, nothing behind the cursor, the last page, nothing behind it.
    assert desk.refresh(mode).requests == 4
    desk.assert_fresh()


def test_a_refusal_that_is_not_of_the_cursor_is_an_error() -> None:
    desk = Desk(ModelGateway(200))
    desk.gateway.fails_after = 2
    with pytest.raises(GatewayDisconnectedError):
        desk.refresh()
    desk.gateway.fails_after = None

    def refuse() -> None:
        if desk.gateway.asked[-1] is not None:
            raise RateLimitError("too frequent", ret_type=-1, err_code=0, message="")

    desk.gateway.before_answer = refuse
    with pytest.raises(RateLimitError):
        desk.refresh()
    assert len(desk.kept.rows) == 100


def test_older_rows_are_asked_for_when_they_are_wanted() -> None:
    desk = Desk(ModelGateway(1000))
    assert desk.refresh("auto", first_days(120)).requests == 3
    assert not desk.kept.is_complete
    assert desk.refresh("auto", first_days(150)).requests == 0
    assert desk.refresh("auto", first_days(151)).requests == 1 + 1
    assert desk.refresh("auto").requests == 1 + 17
    desk.assert_fresh()


def test_a_rewalk_goes_beyond_what_is_held_and_no_farther_than_it_must() -> None:
    desk = Desk(ModelGateway(1000))
    desk.refresh("auto", first_days(150))
    desk.gateway.adjust(back=4)
    # Only 50 rows are wanted; the 150 that are held must be of one adjustment all the same.
    assert desk.refresh("always", first_days(50)).requests == 3
    assert not desk.kept.is_complete
    pd.testing.assert_frame_equal(as_read(desk.kept), desk.gateway.frame()[:150])
    desk.refresh()
    desk.assert_fresh()


def test_auto_asks_nothing_for_two_hours() -> None:
    desk = Desk(ModelGateway(100))
    desk.refresh("auto")
    desk.gateway.add(1)
    for wait_s, requests in [(0, 0), (2 * HOUR_S - 1, 0), (2 * HOUR_S, 1)]:
        desk.now_s = NOON + wait_s
        assert desk.refresh("auto").requests == requests
    desk.now_s = NOON - HOUR_S  # a clock that was set back says nothing
    assert desk.refresh("auto").requests == 1


@pytest.mark.parametrize(
    ("market", "now", "requests"),
    [
        # The model's newest day is Friday, 2018-01-26.
        ("US", "2018-01-27T12:00-05:00", 0),
        ("US", "2018-01-29T15:59-05:00", 0),
        ("US", "2018-01-29T16:01-05:00", 1),
        ("HK", "2018-01-28T12:00+08:00", 0),
        ("HK", "2018-01-29T15:59+08:00", 0),
        ("HK", "2018-01-29T16:11+08:00", 1),
    ],
)
def test_auto_asks_nothing_while_no_newer_session_can_be_over(
    market: str, now: str, requests: int
) -> None:
    desk = Desk(ModelGateway(20, market))
    desk.now_s = pd.Timestamp("2018-01-26T18:00-05:00").timestamp()
    desk.refresh("auto")
    desk.now_s = pd.Timestamp(now).timestamp()
    assert desk.refresh("auto").requests == requests
    assert desk.refresh("always").requests == 1


def test_auto_goes_on_with_what_was_staged_however_fresh() -> None:
    desk = Desk(ModelGateway(300))
    desk.refresh()
    desk.gateway.adjust(back=3)
    desk.gateway.fails_after = 3
    with pytest.raises(GatewayDisconnectedError):
        desk.refresh()
    desk.gateway.fails_after = None
    assert desk.refresh("auto").requests == 1 + 4
    desk.assert_fresh()


def test_never_takes_what_is_there_and_says_what_is_not() -> None:
    desk = Desk(ModelGateway(300))
    with pytest.raises(StoreError, match=r"dict:// holds nothing of US\.A; refresh='auto'"):
        desk.refresh("never")
    desk.refresh("auto", first_days(100))
    assert desk.refresh("never", first_days(100)).requests == 0
    with pytest.raises(StoreError, match=r"holds US\.A back to 2018-10-08 only, and older rows"):
        desk.refresh("never")


def test_a_gateway_that_is_down_is_an_error_that_names_the_way_out() -> None:
    desk = Desk(ModelGateway(300))
    desk.gateway.fails_after = 0
    with pytest.raises(GatewayDisconnectedError) as first:
        desk.refresh("auto")
    assert "never" not in str(first.value)  # there is nothing to read
    desk.gateway.fails_after = None
    desk.refresh("auto")
    desk.gateway.fails_after = 0
    desk.now_s += 30 * HOUR_S
    with pytest.raises(
        GatewayDisconnectedError, match=r"holds 300 rows up to 2019-02-22: refresh='never'"
    ):
        desk.refresh("auto")
    assert desk.refresh("never").requests == 0


def test_every_new_report_of_open_positions_is_kept_and_the_last_is_the_current() -> None:
    desk = Desk(ModelGateway(60, "HK"))
    reports = [(None, None, None), (100, 0.5, "2026-04-17"), (100, 0.5, "2026-04-17"),
               (120, 0.6, "2026-04-24"), (121, 0.61, "2026-04-24")]  # fmt: skip
    for short, ratio, day in reports:
        values = {"aggregated_short": short, "aggregated_short_ratio": ratio, "new_time_str": day}
        desk.gateway.aggregates = {k: v for k, v in values.items() if v is not None}
        desk.refresh()
    assert desk.kept.aggregates == (
        Aggregates(100, 0.5, "2026-04-17"),
        Aggregates(120, 0.6, "2026-04-24"),
        Aggregates(121, 0.61, "2026-04-24"),
    )


def test_a_ticker_without_rows_is_complete_and_may_get_some() -> None:
    desk = Desk(ModelGateway(0))
    assert desk.refresh("auto").requests == 1
    assert desk.kept.is_complete
    assert desk.refresh("auto").requests == 0
    desk.gateway.add(70)
    desk.now_s += 3 * HOUR_S
    assert desk.refresh("auto").requests == 2
    desk.assert_fresh()


@pytest.mark.parametrize("mode", ["always", "full"])
def test_a_gateway_that_forgot_a_ticker_takes_nothing_away(mode: str) -> None:
    desk = Desk(ModelGateway(300))
    desk.refresh()
    before = as_read(desk.kept)
    desk.gateway.all = []
    assert desk.refresh(mode).requests == 1
    pd.testing.assert_frame_equal(as_read(desk.kept), before)


def test_a_gateway_that_forgot_a_ticker_before_it_was_read_whole_is_an_error() -> None:
    desk = Desk(ModelGateway(300))
    desk.refresh("auto", first_days(100))
    before = as_read(desk.kept)
    desk.gateway.all = []
    desk.gateway.generation += 1
    with pytest.raises(PaginationError, match="sends no rows any more"):
        desk.refresh()
    pd.testing.assert_frame_equal(as_read(desk.kept), before)


def test_a_day_that_is_no_longer_sent_is_gone_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(ModelGateway(200))
    desk.refresh()
    del desk.gateway.all[-5]
    outcome = desk.refresh()
    assert (outcome.requests, outcome.revised) == (1, 1)
    assert "the gateway no longer sends 2018-10-" in caplog.text
    desk.assert_fresh()


def test_a_gateway_that_lags_behind_takes_no_newer_row_away() -> None:
    desk = Desk(ModelGateway(200))
    desk.refresh()
    before = as_read(desk.kept)
    newest = desk.gateway.all.pop()
    assert desk.refresh().requests == 1
    pd.testing.assert_frame_equal(as_read(desk.kept), before)
    # One that lags behind an adjustment, too, is followed; the newest row's prices are of neither.
    desk.gateway.adjust(back=0, factor=2.0)
    desk.refresh()
    now = as_read(desk.kept)
    assert now["timestamp_str"].tolist() == before["timestamp_str"].tolist()
    pd.testing.assert_frame_equal(now[1:].reset_index(drop=True), desk.gateway.frame())
    assert now.loc[0, ["close_price", "last_close_price"]].isna().all()
    desk.gateway.all.append(newest)
    desk.refresh()
    desk.assert_fresh()
    assert desk.kept.superseded is None


def test_a_history_shorter_than_a_page_may_grow_backwards() -> None:
    desk = Desk(ModelGateway(130, window=20))
    desk.refresh()
    assert len(desk.kept.rows) == 20
    desk.gateway.window = 1500
    assert desk.refresh().requests == 3
    desk.assert_fresh()


def test_a_longer_absence_than_the_window_leaves_old_rows_without_prices(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    desk = Desk(ModelGateway(100, window=100))
    desk.refresh()
    desk.gateway.add(150)
    desk.refresh()
    desk.assert_fresh()
    old = as_read(desk.kept)[100:]
    assert len(old) == 100
    assert old[["close_price", "last_close_price"]].isna().all(axis=None)
    assert desk.refresh().requests == 1


def test_a_page_in_any_order_is_kept_by_day() -> None:
    desk = Desk(ModelGateway(120))

    def shuffle(s2c: DailyShortVolume.S2C) -> None:
        rows = list(s2c.us_items)
        del s2c.us_items[:]
        s2c.us_items.extend(rows[::2] + rows[1::2])

    desk.gateway.alter = shuffle
    desk.refresh()
    desk.assert_fresh()
    assert desk.refresh().requests == 1
    desk.assert_fresh()


def test_days_that_arrive_in_mid_walk_are_taken_at_the_next_refresh() -> None:
    desk = Desk(ModelGateway(300, cursor="offset"))
    gateway = desk.gateway
    gateway.before_answer = lambda: gateway.add(1) if len(gateway.asked) in {2, 4} else None
    desk.refresh()
    gateway.before_answer = lambda: None
    assert len(desk.kept.rows) == 300
    assert desk.refresh().new_rows == 2
    desk.assert_fresh()


def published_by_others(desk: Desk, kept: Kept, url: str) -> None:
    """As another process publishes it, which no lock of this one keeps out."""
    file = f"{url}/{store_paths.file_path(desk.security)}"
    fsspec.filesystem("memory").pipe(file, store_files.encode(desk.security, kept))


@pytest.mark.parametrize("times", [1, 2])
def test_another_writers_old_prices_do_not_mix_with_ours(times: int) -> None:
    url = f"memory://overtaken{times}"
    desk = Desk(ModelGateway(300))
    desk.refresh()
    old = replace(desk.kept, checked_s=NOON - HOUR_S)
    store = FutuShortStore(url)
    desk.store = store  # type: ignore[assignment]  # the real one from here on
    gateway = desk.gateway
    gateway.adjust(back=0)

    def meddle() -> None:
        if len(gateway.asked) in range(2, 2 * times + 1, 2):
            published_by_others(desk, old, url)

    gateway.before_answer = meddle
    desk.refresh()
    kept = store.load(desk.security)
    assert kept is not None
    pd.testing.assert_frame_equal(as_read(kept), gateway.frame())
    assert (kept.is_complete, kept.staged) == (True, None)


def test_another_writer_who_does_not_let_up_is_an_error() -> None:
    desk = Desk(ModelGateway(300))
    desk.refresh("auto", first_days(100))
    old = replace(desk.kept, checked_s=NOON - HOUR_S)
    store = FutuShortStore("memory://meddled")
    desk.store = store  # type: ignore[assignment]  # the real one from here on
    desk.gateway.adjust(back=0)
    desk.gateway.before_answer = lambda: published_by_others(desk, old, "memory://meddled")
    with pytest.raises(StoreError, match="let one process at a time"):
        desk.refresh()
    assert store.load(desk.security) is not None


def test_a_history_without_a_cursor_is_walked_anew() -> None:
    desk = Desk(ModelGateway(300))
    desk.refresh("auto", first_days(100))
    desk.store.save(desk.security, replace(desk.kept, cursor=None))
    assert desk.refresh().requests == 7
    desk.assert_fresh()


def test_a_refusal_in_the_middle_of_a_new_walk_is_an_error() -> None:
    desk = Desk(ModelGateway(300))

    def expire() -> None:
        if len(desk.gateway.asked) == 4:
            desk.gateway.generation += 1

    desk.gateway.before_answer = expire
    with pytest.raises(ReplyError, match="invalid nextKey"):
        desk.refresh()
    assert len(desk.kept.rows) == 150
    desk.gateway.before_answer = lambda: None
    assert desk.refresh().requests == 8
    desk.assert_fresh()


def test_a_writer_who_makes_progress_is_waited_for_and_one_who_hangs_is_not() -> None:
    desk = Desk(ModelGateway(330))
    other = Desk(ModelGateway(330))
    other.store = desk.store
    waits = 0

    def hold() -> None:
        """Another writer comes on by two pages while the store's policy ends, three times."""
        nonlocal waits
        waits += 1
        desk.store.before_lock = lambda: None
        if waits <= 3:
            other.refresh("auto", first_days(100 * waits))
            desk.store.before_lock = hold
            raise StoreError("held for ten minutes")

    desk.store.before_lock = hold
    assert desk.refresh("auto").requests == 2  # the newest page, and the last one
    assert waits == 4
    desk.assert_fresh()

    def hang() -> None:
        raise StoreError("held for ten minutes")

    desk.store.before_lock = hang
    with pytest.raises(StoreError, match="held for ten minutes"):
        desk.refresh()
