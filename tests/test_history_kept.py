"""What a refresh keeps of what cannot be fetched again, and what it does not believe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from model_gateway import ModelGateway
from refreshed_ticker import HOUR_S, NOON, RefreshedTicker, as_read, first_days

from intake_futu_short.errors import GatewayDisconnectedError, StoreError
from intake_futu_short.history import join
from intake_futu_short.history.ticker_history import Revision


def day(ticker: RefreshedTicker, back: int) -> str:
    return str(ticker.gateway.all[-1 - back]["timestamp_str"])


def first_seen(ticker: RefreshedTicker) -> list[float | None]:
    """Newest first."""
    return [None if np.isnan(at) else at for at in ticker.held.rows["first_seen"][::-1]]


# -- when rows were first seen --------------------------------------------------------------------


def test_new_rows_bear_the_moment_and_those_of_a_first_fill_none() -> None:
    ticker = RefreshedTicker(ModelGateway(120))
    ticker.refresh()
    assert first_seen(ticker) == [None] * 120
    for _ in range(2):
        ticker.now_s += HOUR_S
        ticker.gateway.add(1)
        ticker.refresh()
    one, two = NOON + HOUR_S, NOON + 2 * HOUR_S
    assert first_seen(ticker) == [two, one, *[None] * 120]
    # Neither an adjustment nor a full walk makes them newer.
    ticker.now_s += HOUR_S
    ticker.gateway.adjust(back=0)
    ticker.refresh("full")
    assert first_seen(ticker) == [two, one, *[None] * 120]
    assert ticker.held.adjusted_s == NOON + 3 * HOUR_S
    assert ticker.held.revisions == ()


def test_a_fill_that_goes_on_later_gives_older_rows_no_moment() -> None:
    ticker = RefreshedTicker(ModelGateway(120))
    ticker.refresh("auto", first_days(50))
    ticker.gateway.add(2)
    ticker.now_s += 3 * HOUR_S
    ticker.refresh()
    assert first_seen(ticker) == [NOON + 3 * HOUR_S] * 2 + [None] * 120
    assert ticker.held.adjusted_s is None


# -- revisions ------------------------------------------------------------------------------------


def test_replaced_counts_are_recorded_and_prices_are_not() -> None:
    ticker = RefreshedTicker(ModelGateway(60))
    ticker.gateway.revise(2, "volume", 5)
    ticker.gateway.revise(1, "short_percent", None)
    ticker.refresh()
    ticker.now_s += 1.0
    ticker.gateway.revise(2, "volume", None)
    ticker.gateway.revise(1, "short_percent", 2.5)
    ticker.gateway.revise(0, "close_price", 1.0)
    assert ticker.refresh().revised == 3
    first: tuple[Revision, ...] = (
        Revision(day(ticker, 2), "volume", 5, None, NOON + 1.0),
        Revision(day(ticker, 1), "short_percent", None, 2.5, NOON + 1.0),
    )
    assert ticker.held.revisions == first
    ticker.now_s += 1.0
    ticker.gateway.revise(2, "volume", 0)
    ticker.refresh()
    last = Revision(day(ticker, 2), "volume", None, 0, NOON + 2.0)
    assert ticker.held.revisions == (*first, last)


def test_a_withdrawn_row_is_recorded_and_is_new_when_it_comes_again() -> None:
    ticker = RefreshedTicker(ModelGateway(60))
    ticker.refresh()
    ticker.gateway.add(5)
    ticker.now_s += HOUR_S
    ticker.refresh()
    gone = day(ticker, 3)
    row = ticker.gateway.withdraw(3)
    ticker.now_s += HOUR_S
    assert ticker.refresh().revised == 1
    (record,) = ticker.held.revisions
    assert record.old == {**row, "first_seen": NOON + HOUR_S}
    assert record._replace(old=None) == Revision(gone, "(row)", None, None, NOON + 2 * HOUR_S)
    ticker.gateway.put_back(row)
    ticker.now_s += HOUR_S
    assert ticker.refresh().new_rows == 1
    ticker.assert_fresh()
    assert first_seen(ticker)[:5] == [NOON + hours * HOUR_S for hours in (1, 1, 1, 3, 1)]
    assert ticker.held.revisions == (record,)


# -- moments --------------------------------------------------------------------------------------


def test_a_check_counts_from_its_answer_and_rows_from_when_they_are_judged() -> None:
    ticker = RefreshedTicker(ModelGateway(120))
    ticker.refresh()
    ticker.gateway.add(1)
    ticker.gateway.adjust(back=0)

    def wait() -> None:
        ticker.now_s += 40.0  # the limit lets nothing out before

    ticker.gateway.before_answer = wait
    ticker.refresh()
    held = ticker.held
    assert (held.checked_s, held.walked_s, held.adjusted_s) == (NOON + 40, NOON + 120, NOON + 120)
    assert first_seen(ticker)[:2] == [NOON + 120.0, None]


# -- rows of days to come -------------------------------------------------------------------------


def with_row_of(ticker: RefreshedTicker, *days: str) -> None:
    """As if an earlier version had stored rows of other days."""
    last = ticker.held.rows[-1:]
    more = [last.assign(timestamp_str=day) for day in days]
    ticker.put(replace(ticker.held, rows=join.in_order([ticker.held.rows, *more])))


def test_rows_of_days_to_come_are_dropped_at_the_next_refresh_that_asks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ticker = RefreshedTicker(ModelGateway(120))
    ticker.now_s = pd.Timestamp("2018-06-20T08:00-04:00").timestamp()  # the same date here
    ticker.refresh()
    fresh = as_read(ticker.held)
    with_row_of(ticker, "2018-06-27", "2018-06-28", "2099-01-02")
    assert ticker.refresh("never").requests == 0
    assert len(ticker.held.rows) == 123
    outcome = ticker.refresh("auto")  # the clock is behind the newest row
    assert (outcome.requests, outcome.new_rows, outcome.revised) == (1, 0, 2)
    assert caplog.messages == ["US.A: dropped rows of days to come: 2018-06-28, 2099-01-02"]
    # A day a week ahead may be: another time zone, or a clock that is wrong.
    assert as_read(ticker.held)["timestamp_str"][0] == "2018-06-27"
    pd.testing.assert_frame_equal(as_read(ticker.held)[1:].reset_index(drop=True), fresh)
    assert [(one.day, one.column, one.seen_s) for one in ticker.held.revisions] == [
        ("2018-06-28", "(row)", ticker.now_s), ("2099-01-02", "(row)", ticker.now_s),
    ]  # fmt: skip


def test_where_every_row_is_of_a_day_to_come_the_clock_is_wrong() -> None:
    ticker = RefreshedTicker(ModelGateway(120))
    ticker.refresh()
    ticker.now_s = pd.Timestamp("2001-01-01T20:00-05:00").timestamp()
    assert ticker.refresh("auto").requests == 1
    ticker.assert_fresh()
    assert ticker.held.revisions == ()


# -- a code that belongs to another security ------------------------------------------------------


def reused(days: int, *, held: int = 80, gap: int = 5) -> RefreshedTicker:
    """A ticker whose gateway has only so many days, all newer than those held."""
    ticker = RefreshedTicker(ModelGateway(held))
    ticker.refresh()
    ticker.gateway.add(gap + days)
    del ticker.gateway.all[:-days]
    return ticker


@pytest.mark.parametrize(("days", "requests"), [(10, 1), (50, 2), (1449, 29)])
@pytest.mark.parametrize("mode", ["auto", "always", "full"])
def test_a_whole_history_that_is_all_newer_and_short_is_not_joined(
    days: int, requests: int, mode: str
) -> None:
    ticker = reused(days)
    before = ticker.held
    first, last = day(ticker, days - 1), day(ticker, 0)
    ticker.now_s += 3 * HOUR_S
    with pytest.raises(StoreError) as caught:
        ticker.refresh(mode)
    assert str(caught.value) == (
        "dict:// holds US.A from 2018-01-01 to 2018-04-20 (80 rows), and the gateway's whole "
        f"history of it is from {first} to {last} ({days} rows): the code may belong to another "
        "security now. Nothing was changed. If it does, "
        "FutuShortStore('dict://').set_aside('US.A'), or on the command line futu-short set-aside "
        "US.A --store dict://, moves the stored rows to a file of their own, and the next sync "
        "starts anew. If the gateway's history is cut short for a while, wait and sync again"
    )
    assert len(ticker.gateway.asked) == requests
    assert ticker.held is before


def test_a_whole_history_of_the_windows_length_is_joined() -> None:
    ticker = reused(1450)
    assert ticker.refresh().requests == 30
    assert len(ticker.held.rows) == 1530


def test_a_common_day_or_an_older_one_is_of_the_same_security() -> None:
    ticker = RefreshedTicker(ModelGateway(80))
    ticker.refresh()
    ticker.gateway.add(20)
    del ticker.gateway.all[:79]
    ticker.refresh()
    assert len(ticker.held.rows) == 100


def test_a_first_fill_that_broke_off_is_not_joined_either() -> None:
    ticker = RefreshedTicker(ModelGateway(80))
    ticker.gateway.fails_after = 1
    with pytest.raises(GatewayDisconnectedError):
        ticker.refresh()
    ticker.gateway.fails_after = None
    before = ticker.held
    ticker.gateway.add(20)
    del ticker.gateway.all[:-10]
    with pytest.raises(StoreError, match="another security"):
        ticker.refresh()
    assert ticker.held is before
