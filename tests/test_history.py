"""The rules of a refresh, over a gateway made of arithmetic and a store in memory."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from model_gateway import ModelGateway
from refreshed_ticker import HOUR_S, NOON, RefreshedTicker, as_read, first_days

from intake_futu_short.errors import (
    GatewayDisconnectedError,
    PaginationError,
    StoreError,
)

if TYPE_CHECKING:
    from intake_futu_short.opend.messages_pb2 import DailyShortVolume


def test_a_first_fill_takes_what_the_cursor_forces_and_writes_as_it_walks() -> None:
    ticker = RefreshedTicker(ModelGateway(1500))
    outcome = ticker.refresh("auto")
    assert (outcome.requests, outcome.new_rows, outcome.revised) == (31, 1500, 0)
    assert [len(saved.rows) for saved in ticker.memory.saves] == [*range(50, 1501, 50), 1500]
    assert [saved.is_complete for saved in ticker.memory.saves] == [False] * 30 + [True]
    assert ticker.held.walked_s == ticker.held.checked_s == NOON
    ticker.assert_fresh()


@pytest.mark.parametrize(("days", "requests"), [(0, 1), (1, 1), (40, 1), (49, 1), (60, 2)])
@pytest.mark.parametrize("cursor", ["day", "offset"])
def test_new_days_cost_as_few_requests_as_they_fill_pages(
    days: int, requests: int, cursor: str
) -> None:
    ticker = RefreshedTicker(ModelGateway(1500, cursor=cursor))
    ticker.refresh()
    ticker.gateway.add(days)
    outcome = ticker.refresh()
    assert (outcome.requests, outcome.new_rows, outcome.revised) == (requests, days, 0)
    ticker.assert_fresh()
    # The window of the gateway has moved on; what it no longer sends is kept as it was.
    oldest = as_read(ticker.held)[1500:].reset_index(drop=True)
    pd.testing.assert_frame_equal(oldest, ticker.gateway.frame(ticker.gateway.all[:days][::-1]))


def test_after_an_adjustment_everything_is_walked_once() -> None:
    ticker = RefreshedTicker(ModelGateway(1500))
    ticker.refresh()
    ticker.gateway.add(1)
    ticker.gateway.adjust(back=1)
    outcome = ticker.refresh()
    assert (outcome.requests, outcome.revised) == (31, 0)
    ticker.assert_fresh()
    assert ticker.refresh().requests == 1
    ticker.assert_fresh()


@pytest.mark.parametrize("days", [1, 49, 50, 51, 100])
def test_a_whole_history_of_any_length_costs_one_request(
    days: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "intake_futu_short")
    ticker = RefreshedTicker(ModelGateway(days))
    assert ticker.refresh().requests == days // 50 + 1
    ticker.now_s += HOUR_S
    assert ticker.refresh().requests == 1
    ticker.assert_fresh()
    # What one page holds whole was walked whole.
    assert ticker.held.walked_s == (NOON + HOUR_S if days < 50 else NOON)
    assert ticker.held.checked_s == NOON + HOUR_S
    # Where nothing differs, nothing is said.
    assert caplog.messages == []


def test_an_adjustment_is_logged_with_the_days_that_tell_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "intake_futu_short")
    ticker = RefreshedTicker(ModelGateway(120))
    ticker.refresh()
    ticker.gateway.adjust(back=10)
    ticker.refresh()
    # All but the last ten, of which the first has another last close.
    assert caplog.messages == ["US.A: prices of 111 days adjusted"]


def test_of_many_revised_days_five_are_named(caplog: pytest.LogCaptureFixture) -> None:
    ticker = RefreshedTicker(ModelGateway(60))
    ticker.refresh()
    days = [row["timestamp_str"] for row in ticker.gateway.rows[:7]][::-1]
    for number in (5, 7):
        for back in range(7 - number, 7):
            ticker.gateway.revise(back, "volume", number)
        assert ticker.refresh().revised == number
    said = "US.A: late revisions were taken over: " + ", ".join(days[:5])
    assert caplog.messages == [said, f"{said} and 2 more days"]


@pytest.mark.parametrize("back", [0, 1, 25, 49])
def test_an_adjustment_within_the_newest_page_is_seen_by_its_oldest_row(back: int) -> None:
    ticker = RefreshedTicker(ModelGateway(200))
    ticker.refresh()
    ticker.gateway.adjust(back=back)
    assert ticker.refresh().requests == 5
    ticker.assert_fresh()


def test_a_rewalk_replaces_what_is_held_in_one_write() -> None:
    ticker = RefreshedTicker(ModelGateway(500))
    ticker.refresh()
    ticker.gateway.adjust(back=10)
    ticker.memory.saves.clear()
    assert ticker.refresh().requests == 11
    (saved,) = ticker.memory.saves
    pd.testing.assert_frame_equal(as_read(saved), ticker.gateway.frame())
    assert saved.is_complete


def test_a_rewalk_ends_where_a_row_agrees() -> None:
    # The adjustment came in the middle of the first fill: rows older than the 100th have it.
    ticker = RefreshedTicker(ModelGateway(400))
    gateway = ticker.gateway
    gateway.before_answer = lambda: gateway.adjust(back=5) if len(gateway.asked) == 3 else None
    ticker.refresh()
    gateway.before_answer = lambda: None
    assert ticker.refresh().requests == 3
    ticker.assert_fresh()


@pytest.mark.parametrize("mode", ["always", "full"])
def test_an_interrupted_rewalk_leaves_what_was_held_and_is_walked_again(mode: str) -> None:
    ticker = RefreshedTicker(ModelGateway(1500, window=2000))
    ticker.refresh()
    before = ticker.held
    ticker.gateway.adjust(back=3)
    ticker.gateway.fails_after = 12
    with pytest.raises(GatewayDisconnectedError):
        ticker.refresh(mode)
    assert ticker.held is before
    # It does not count as a check either.
    ticker.gateway.fails_after = None
    ticker.gateway.add(2)
    ticker.now_s += 3 * HOUR_S
    assert ticker.refresh("auto").requests == 31
    ticker.assert_fresh()


def test_an_adjustment_taken_back_costs_one_request() -> None:
    ticker = RefreshedTicker(ModelGateway(500))
    ticker.refresh()
    before = [dict(row) for row in ticker.gateway.all]
    ticker.gateway.adjust(back=3)
    ticker.gateway.fails_after = 5
    with pytest.raises(GatewayDisconnectedError):
        ticker.refresh()
    ticker.gateway.fails_after = None
    ticker.gateway.all = before
    assert ticker.refresh().requests == 1
    ticker.assert_fresh()


def test_the_rows_before_the_gateways_window_lose_their_prices_to_an_adjustment() -> None:
    ticker = RefreshedTicker(ModelGateway(300, "HK", window=200))
    ticker.refresh()
    before = as_read(ticker.held)
    ticker.gateway.add(30)
    ticker.gateway.adjust(back=1, factor=0.5)
    assert ticker.refresh().requests == 5
    now = as_read(ticker.held)
    ticker.assert_fresh()
    assert len(now) == 230
    prices = ["open_price", "close_price", "last_close_price"]
    others = [name for name in before.columns if name not in prices]
    beyond = now[200:].reset_index(drop=True)
    held = before[170:].reset_index(drop=True)
    pd.testing.assert_frame_equal(beyond[others], held[others])
    assert beyond[prices].isna().all(axis=None)
    superseded = ticker.held.superseded
    assert superseded is not None
    pd.testing.assert_frame_equal(
        superseded[["timestamp_str", *prices]][::-1].reset_index(drop=True),
        held[["timestamp_str", *prices]],
    )
    # Another adjustment leaves these alone, and adds those that the window has left since.
    ticker.gateway.add(10)
    ticker.gateway.adjust(back=1, factor=0.5)
    ticker.refresh()
    ticker.assert_fresh()
    assert ticker.held.superseded is not None
    assert len(ticker.held.superseded) == 40
    pd.testing.assert_frame_equal(
        ticker.held.superseded[:30][["timestamp_str", *prices]],
        superseded[["timestamp_str", *prices]],
    )
    # Afterwards it costs one request again, and a full walk changes nothing.
    assert ticker.refresh().requests == 1
    assert ticker.refresh("full").requests == 5
    assert len(ticker.held.rows) == 240
    # A gateway with a longer memory sends them again.
    ticker.gateway.window = 220
    ticker.refresh("full")
    ticker.assert_fresh()
    assert ticker.held.superseded is not None
    assert len(ticker.held.superseded) == 20


def test_late_revisions_on_the_newest_page_are_taken_over_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ticker = RefreshedTicker(ModelGateway(300))
    ticker.refresh()
    ticker.gateway.revise(3, "volume", None)
    ticker.gateway.revise(5, "total_shares_short", 7)
    ticker.gateway.revise(7, "daily_trade_avg_ratio", 11.25)
    ticker.gateway.revise(9, "close_price", 1.5)  # not in the oldest common row: no adjustment
    outcome = ticker.refresh()
    assert (outcome.requests, outcome.revised) == (1, 4)
    ticker.assert_fresh()
    days = [ticker.gateway.rows[back]["timestamp_str"] for back in (9, 7, 5, 3)]
    assert f"US.A: late revisions were taken over: {', '.join(days)}" in caplog.text


def test_a_price_revised_in_the_oldest_common_row_costs_one_more_request() -> None:
    ticker = RefreshedTicker(ModelGateway(300))
    ticker.refresh()
    ticker.gateway.revise(49, "close_price", 1.5)
    outcome = ticker.refresh()
    assert (outcome.requests, outcome.revised) == (2, 1)
    ticker.assert_fresh()


@pytest.mark.parametrize(
    ("factor", "requests"), [(1 + 1e-12, 1), (1 - 5e-10, 1), (1 + 1e-8, 7), (1 - 1e-8, 7)]
)
def test_prices_are_compared_within_a_billionth(factor: float, requests: int) -> None:
    ticker = RefreshedTicker(ModelGateway(300))
    ticker.refresh()
    for row in ticker.gateway.all:
        row["close_price"] *= factor
        row["last_close_price"] *= factor
    assert ticker.refresh().requests == requests


def test_a_count_is_compared_to_the_last_share() -> None:
    ticker = RefreshedTicker(ModelGateway(60))
    ticker.gateway.revise(3, "volume", 2**62)
    ticker.refresh()
    ticker.gateway.revise(3, "volume", 2**62 + 1)  # the same number to a float
    assert ticker.refresh().revised == 1
    ticker.assert_fresh()


def test_a_revision_older_than_the_newest_page_is_seen_by_full() -> None:
    ticker = RefreshedTicker(ModelGateway(1500))
    ticker.refresh()
    ticker.gateway.revise(700, "volume", 4)
    ticker.gateway.revise(800, "last_close_price", 4.5)
    assert ticker.refresh("always").revised == 0
    ticker.now_s += 24 * HOUR_S
    outcome = ticker.refresh("full")
    assert (outcome.requests, outcome.revised, outcome.new_rows) == (31, 2, 0)
    assert ticker.held.walked_s == ticker.now_s
    ticker.assert_fresh()


def test_a_row_without_a_price_cannot_tell_the_adjustment() -> None:
    ticker = RefreshedTicker(ModelGateway(200))
    for back, price in ((49, None), (48, 0.0)):
        ticker.gateway.revise(back, "close_price", price)
        ticker.gateway.revise(back, "last_close_price", price)
    ticker.refresh()
    ticker.gateway.adjust(back=3)
    assert ticker.refresh().requests == 5
    ticker.assert_fresh()


def test_a_newest_page_without_any_price_leaves_older_prices_in_doubt() -> None:
    ticker = RefreshedTicker(ModelGateway(200))
    for back in range(50):
        ticker.gateway.revise(back, "close_price", None)
        ticker.gateway.revise(back, "last_close_price", None)
    ticker.refresh()
    ticker.gateway.adjust(back=3)
    assert ticker.refresh().requests == 5
    ticker.assert_fresh()


def test_a_ticker_that_never_has_prices_costs_one_request() -> None:
    ticker = RefreshedTicker(ModelGateway(200))
    for row in ticker.gateway.all:
        row["close_price"] = row["last_close_price"] = None
    ticker.refresh()
    assert ticker.refresh().requests == 1
    ticker.assert_fresh()


def test_missing_values_are_equal_to_missing_ones_and_to_nothing_else() -> None:
    ticker = RefreshedTicker(ModelGateway(200, "HK", missing=0.3))
    ticker.refresh()
    outcome = ticker.refresh()
    assert (outcome.requests, outcome.revised) == (1, 0)
    for back in range(5):
        ticker.gateway.revise(back, "shares_traded", None)
        ticker.gateway.revise(back, "turnover", None)
    ticker.refresh()
    for back in range(5):
        ticker.gateway.revise(back, "shares_traded", 0)
        ticker.gateway.revise(back, "turnover", 0.0)
    assert ticker.refresh().revised == 5
    ticker.assert_fresh()


def test_older_rows_are_asked_for_when_they_are_wanted() -> None:
    ticker = RefreshedTicker(ModelGateway(1000))
    assert ticker.refresh("auto", first_days(120)).requests == 3
    assert not ticker.held.is_complete
    assert ticker.refresh("auto", first_days(150)).requests == 0
    assert ticker.refresh("auto", first_days(151)).requests == 1 + 1
    assert ticker.refresh("auto").requests == 1 + 17
    ticker.assert_fresh()


def test_a_rewalk_goes_beyond_what_is_held_and_no_farther_than_it_must() -> None:
    ticker = RefreshedTicker(ModelGateway(1000))
    ticker.refresh("auto", first_days(150))
    ticker.gateway.adjust(back=4)
    # Only 50 rows are wanted; the 150 that are held must be of one adjustment all the same.
    assert ticker.refresh("always", first_days(50)).requests == 3
    assert not ticker.held.is_complete
    pd.testing.assert_frame_equal(as_read(ticker.held), ticker.gateway.frame()[:150])
    ticker.refresh()
    ticker.assert_fresh()


def test_a_rewalk_takes_in_the_oldest_row_that_is_held() -> None:
    ticker = RefreshedTicker(ModelGateway(1000))
    ticker.refresh("auto", first_days(100))
    # One more day: of what is held, the second page misses the oldest row alone.
    ticker.gateway.add(1)
    ticker.gateway.adjust(back=0)
    assert ticker.refresh("always", first_days(50)).requests == 3
    assert ticker.held.superseded is None
    pd.testing.assert_frame_equal(as_read(ticker.held), ticker.gateway.frame()[:150])


def test_auto_asks_nothing_for_two_hours() -> None:
    ticker = RefreshedTicker(ModelGateway(100))
    ticker.refresh("auto")
    ticker.gateway.add(1)
    for wait_s, counts in [(0, (0, 0, 0)), (2 * HOUR_S - 1, (0, 0, 0)), (2 * HOUR_S, (1, 1, 0))]:
        ticker.now_s = NOON + wait_s
        outcome = ticker.refresh("auto")
        assert (outcome.requests, outcome.new_rows, outcome.revised) == counts
    ticker.now_s = NOON - HOUR_S  # a clock that was set back says nothing
    assert ticker.refresh("auto").requests == 1


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
    ticker = RefreshedTicker(ModelGateway(20, market))
    ticker.now_s = pd.Timestamp("2018-01-26T18:00-05:00").timestamp()
    ticker.refresh("auto")
    ticker.now_s = pd.Timestamp(now).timestamp()
    assert ticker.refresh("auto").requests == requests
    assert ticker.refresh("always").requests == 1


@pytest.mark.parametrize("now", ["2018-01-26T17:00-05:00", "2018-01-25T20:00-05:00"])
def test_auto_asks_when_the_clock_is_behind_what_is_held(now: str) -> None:
    ticker = RefreshedTicker(ModelGateway(20))
    # An hour later than the one, a day later than the other; both after their day's session.
    ticker.now_s = pd.Timestamp("2018-01-26T18:00-05:00").timestamp()
    ticker.refresh("auto")
    ticker.now_s = pd.Timestamp(now).timestamp()
    assert ticker.refresh("auto").requests == 1
    ticker.put(replace(ticker.held, checked_s=None))
    assert ticker.refresh("auto").requests == (0 if "26T" in now else 1)


@pytest.mark.parametrize("mode", ["auto", "always", "full"])
def test_what_was_asked_for_since_is_not_asked_for_again(mode: str) -> None:
    ticker = RefreshedTicker(ModelGateway(120))
    ticker.now_s = NOON - 9 * HOUR_S
    ticker.refresh()
    asked_s = ticker.held.checked_s
    assert asked_s is not None
    ticker.now_s = NOON
    assert ticker.refresh(mode, since_s=asked_s).requests == 0
    assert ticker.refresh(mode, since_s=asked_s - 1).requests == 0
    assert ticker.refresh(mode, since_s=asked_s + 1).requests == (3 if mode == "full" else 1)


def test_a_full_walk_goes_on_with_older_rows_of_what_was_just_asked_for() -> None:
    ticker = RefreshedTicker(ModelGateway(300))
    ticker.refresh("full", first_days(100))
    assert ticker.held.is_complete  # a full walk leaves nothing out
    ticker = RefreshedTicker(ModelGateway(300))
    ticker.refresh("always", first_days(100))
    assert ticker.refresh("full", since_s=ticker.held.checked_s).requests == 5
    ticker.assert_fresh()


def test_never_takes_what_is_there_and_says_what_is_not() -> None:
    ticker = RefreshedTicker(ModelGateway(300))
    with pytest.raises(StoreError, match=r"dict:// holds nothing of US\.A; refresh='auto'"):
        ticker.refresh("never")
    ticker.refresh("auto", first_days(100))
    assert ticker.refresh("never", first_days(100)).requests == 0
    with pytest.raises(StoreError, match=r"holds US\.A back to 2018-10-08 only, and older rows"):
        ticker.refresh("never")
    ticker.put(replace(ticker.held, rows=ticker.held.rows[:0]))
    with pytest.raises(StoreError, match=r"holds US\.A back to no day at all only"):
        ticker.refresh("never")


def test_a_gateway_that_is_down_is_an_error_that_names_the_way_out() -> None:
    ticker = RefreshedTicker(ModelGateway(300))
    ticker.gateway.fails_after = 0
    with pytest.raises(GatewayDisconnectedError) as first:
        ticker.refresh("auto")
    assert "never" not in str(first.value)  # there is nothing to read
    ticker.gateway.fails_after = None
    ticker.refresh("auto")
    ticker.gateway.fails_after = 0
    ticker.now_s += 30 * HOUR_S
    with pytest.raises(
        GatewayDisconnectedError, match=r"holds 300 rows up to 2019-02-22: refresh='never'"
    ):
        ticker.refresh("auto")
    assert ticker.refresh("never").requests == 0


def test_every_new_report_of_open_positions_is_kept_and_the_last_is_the_current() -> None:
    ticker = RefreshedTicker(ModelGateway(60, "HK"))
    names = ["aggregated_short", "aggregated_short_ratio", "new_time_str"]
    first, second, third = (
        dict(zip(names, values, strict=True))
        for values in [
            (100, 0.5, "2026-04-17"), (120, 0.6, "2026-04-24"), (121, 0.61, "2026-04-24"),
        ]
    )  # fmt: skip
    for report in ({}, first, first, second, second, {}, second, third):
        ticker.gateway.aggregates = report
        ticker.now_s += 1.0
        ticker.refresh()
    nothing = dict.fromkeys(names)
    assert ticker.held.reports == tuple(
        {**report, "first_seen": NOON + seconds}
        for report, seconds in [(first, 2), (second, 4), (nothing, 6), (second, 7), (third, 8)]
    )


def test_a_ticker_without_rows_is_complete_and_may_get_some() -> None:
    ticker = RefreshedTicker(ModelGateway(0))
    assert ticker.refresh("auto").requests == 1
    assert ticker.held.is_complete
    assert ticker.refresh("auto").requests == 0
    ticker.gateway.add(70)
    ticker.now_s += 3 * HOUR_S
    assert ticker.refresh("auto").requests == 2
    ticker.assert_fresh()


@pytest.mark.parametrize("mode", ["always", "full"])
def test_a_gateway_that_forgot_a_ticker_takes_nothing_away(mode: str) -> None:
    ticker = RefreshedTicker(ModelGateway(300))
    ticker.refresh()
    before = as_read(ticker.held)
    ticker.gateway.all = []
    assert ticker.refresh(mode).requests == 1
    pd.testing.assert_frame_equal(as_read(ticker.held), before)


def test_a_gateway_that_forgot_a_ticker_before_it_was_read_whole_is_an_error() -> None:
    ticker = RefreshedTicker(ModelGateway(300))
    ticker.refresh("auto", first_days(100))
    before = as_read(ticker.held)
    ticker.gateway.all = []
    ticker.gateway.generation += 1
    with pytest.raises(PaginationError, match=r"US\.A from the model: .* leads nowhere any more"):
        ticker.refresh()
    assert len(ticker.gateway.asked) == 2
    pd.testing.assert_frame_equal(as_read(ticker.held), before)


def test_a_day_that_is_no_longer_sent_is_gone_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    ticker = RefreshedTicker(ModelGateway(200))
    ticker.refresh()
    del ticker.gateway.all[-5]
    outcome = ticker.refresh()
    assert (outcome.requests, outcome.revised) == (1, 1)
    assert "the gateway no longer sends 2018-10-" in caplog.text
    ticker.assert_fresh()


def test_a_gateway_that_lags_behind_takes_no_newer_row_away() -> None:
    ticker = RefreshedTicker(ModelGateway(200))
    ticker.refresh()
    before = as_read(ticker.held)
    newest = ticker.gateway.all.pop()
    assert ticker.refresh().requests == 1
    pd.testing.assert_frame_equal(as_read(ticker.held), before)
    # One that lags behind an adjustment, too, is followed; the newest row's prices are of neither.
    ticker.gateway.adjust(back=0, factor=2.0)
    ticker.refresh()
    now = as_read(ticker.held)
    assert now["timestamp_str"].tolist() == before["timestamp_str"].tolist()
    pd.testing.assert_frame_equal(now[1:].reset_index(drop=True), ticker.gateway.frame())
    assert now.loc[0, ["close_price", "last_close_price"]].isna().all()
    ticker.gateway.all.append(newest)
    ticker.refresh()
    ticker.assert_fresh()
    assert ticker.held.superseded is None


def test_a_history_shorter_than_a_page_may_grow_backwards() -> None:
    ticker = RefreshedTicker(ModelGateway(130, window=20))
    ticker.refresh()
    assert len(ticker.held.rows) == 20
    ticker.gateway.window = 1500
    assert ticker.refresh().requests == 3
    ticker.assert_fresh()


def test_a_longer_absence_than_the_window_leaves_old_rows_without_prices(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    ticker = RefreshedTicker(ModelGateway(100))
    ticker.refresh()
    ticker.gateway.add(1550)
    ticker.refresh()
    ticker.assert_fresh()
    old = as_read(ticker.held)[1500:]
    assert len(old) == 100
    assert old[["close_price", "last_close_price"]].isna().all(axis=None)
    assert ticker.refresh().requests == 1


def test_a_page_in_any_order_is_kept_by_day() -> None:
    ticker = RefreshedTicker(ModelGateway(120))

    def shuffle(s2c: DailyShortVolume.S2C) -> None:
        rows = list(s2c.us_items)
        del s2c.us_items[:]
        s2c.us_items.extend(rows[::2] + rows[1::2])

    ticker.gateway.alter = shuffle
    ticker.refresh()
    ticker.assert_fresh()
    assert ticker.refresh().requests == 1
    ticker.assert_fresh()


def test_a_row_missing_on_a_page_in_odd_order_is_looked_for_on_the_next_one() -> None:
    ticker = RefreshedTicker(ModelGateway(120))

    def reverse(s2c: DailyShortVolume.S2C) -> None:
        rows = list(s2c.us_items)
        del s2c.us_items[:]
        s2c.us_items.extend(rows[::-1])

    ticker.gateway.alter = reverse
    ticker.refresh()
    ticker.gateway.withdraw(3)
    outcome = ticker.refresh()
    assert (outcome.requests, outcome.revised) == (2, 1)
    ticker.assert_fresh()


def test_a_gateway_that_sends_the_oldest_rows_first_is_walked_to_the_end() -> None:
    gateway = ModelGateway(120, cursor="offset")
    oldest_first = gateway.all  # as `ModelGateway.rows` turns them
    ticker = RefreshedTicker(gateway)
    oldest_first.reverse()
    ticker.refresh()
    assert len(ticker.held.rows) == 120
    oldest_first.reverse()
    gateway.add(1)
    oldest_first.reverse()
    outcome = ticker.refresh()
    assert (outcome.requests, outcome.new_rows, outcome.revised) == (3, 1, 0)
    assert len(ticker.held.rows) == 121


def test_days_that_arrive_in_mid_walk_are_taken_at_the_next_refresh() -> None:
    ticker = RefreshedTicker(ModelGateway(300, cursor="offset"))
    gateway = ticker.gateway
    gateway.before_answer = lambda: gateway.add(1) if len(gateway.asked) in {2, 4} else None
    ticker.refresh()
    gateway.before_answer = lambda: None
    assert len(ticker.held.rows) == 300
    assert ticker.refresh().new_rows == 2
    ticker.assert_fresh()
