"""A refresh beside other writers of the same ticker."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import fsspec
import pandas as pd
import pytest
from model_gateway import ModelGateway
from refreshed_ticker import HOUR_S, NOON, DictStore, RefreshedTicker, as_read, first_days

from intake_futu_short.errors import GatewayDisconnectedError, StoreError
from intake_futu_short.history import update
from intake_futu_short.history.ticker_history import ROW
from intake_futu_short.history.update import LOCKED, Updater
from intake_futu_short.store import FutuShortStore
from intake_futu_short.store import parquet as store_parquet
from intake_futu_short.store import paths as store_paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from intake_futu_short.calls import Ticker
    from intake_futu_short.history.ticker_history import TickerHistory


def published_by_others(ticker: Ticker, history: TickerHistory, url: str) -> None:
    """As another process publishes it, which no lock of this one keeps out."""
    file = f"{url}/{store_paths.file_path(ticker)}"
    fsspec.filesystem("memory").pipe(file, store_parquet.encode(ticker, history))


@pytest.mark.parametrize("times", [1, 2])
def test_another_writers_old_prices_do_not_mix_with_ours(times: int) -> None:
    url = f"memory://overtaken{times}"
    ticker = RefreshedTicker(ModelGateway(300))
    ticker.refresh()
    old = replace(ticker.held, checked_s=NOON - HOUR_S)
    store = FutuShortStore(url)
    ticker.store = store  # from here on
    gateway = ticker.gateway
    gateway.adjust(back=0)

    def meddle() -> None:
        if len(gateway.asked) in range(2, 2 * times + 1, 2):
            published_by_others(ticker.ticker, old, url)

    gateway.before_answer = meddle
    ticker.refresh()
    history = store.load(ticker.ticker)
    assert history is not None
    pd.testing.assert_frame_equal(as_read(history), gateway.frame())
    assert history.is_complete


def test_another_writer_who_does_not_let_up_is_an_error() -> None:
    ticker = RefreshedTicker(ModelGateway(300))
    ticker.refresh("auto", first_days(100))
    old = replace(ticker.held, checked_s=NOON - HOUR_S)
    store = FutuShortStore("memory://meddled")
    ticker.store = store  # from here on
    gateway = ticker.gateway
    gateway.adjust(back=0)
    gateway.before_answer = lambda: published_by_others(ticker.ticker, old, "memory://meddled")
    with pytest.raises(StoreError, match=r"US\.A: other writers .* let one process at a time"):
        ticker.refresh()
    assert gateway.asked.count(None) == 5
    assert store.load(ticker.ticker) is not None


def test_a_page_that_another_writer_published_meanwhile_is_taken_in() -> None:
    url = "memory://met"
    ticker = RefreshedTicker(ModelGateway(300))
    ticker.refresh("auto", first_days(200))
    farther = replace(ticker.held, checked_s=NOON - HOUR_S)
    ticker.store = FutuShortStore(url)
    gateway = ticker.gateway

    def meddle() -> None:
        if len(gateway.asked) == 1:
            published_by_others(ticker.ticker, farther, url)

    gateway.before_answer = meddle
    # The newest page, and from the other's cursor on.
    assert ticker.refresh().requests == 1 + 3
    history = ticker.store.load(ticker.ticker)
    assert history is not None
    pd.testing.assert_frame_equal(as_read(history), gateway.frame())


# -- one writer a ticker --------------------------------------------------------------------------


class Clock:
    """Seconds that pass only when told; in place of the module's own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 5_000.0
        monkeypatch.setattr(update, "time", SimpleNamespace(monotonic=lambda: self.now_s))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def hold(ticker: RefreshedTicker) -> Callable[[], None]:
    """Another writer takes the ticker; gives how it lets go."""
    lock = ticker.memory.try_lock(ticker.ticker)
    assert lock is not None
    held = ExitStack()
    held.enter_context(lock)
    return held.close


def test_a_ticker_that_another_one_writes_is_waited_for_and_said_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "intake_futu_short")
    ticker = RefreshedTicker(ModelGateway(120))
    let_go = hold(ticker)
    waits = 0

    def wait() -> None:
        nonlocal waits
        waits += 1
        clock.now_s += 0.25
        if waits == 4:
            let_go()

    ticker.while_locked = wait
    assert ticker.refresh().requests == 3
    assert waits == 4
    said = [r.getMessage() for r in caplog.records if "waiting" in r.getMessage()]
    assert said == ["US.A: waiting for another writer of dict://"]


def test_what_another_writer_brought_meanwhile_is_not_asked_for_again() -> None:
    ticker = RefreshedTicker(ModelGateway(330))
    other = RefreshedTicker(ModelGateway(330))
    other.store, other.memory = ticker.memory, ticker.memory
    let_go = hold(ticker)

    def come_to_an_end() -> None:
        let_go()
        other.refresh("auto")

    ticker.while_locked = come_to_an_end
    assert ticker.refresh("auto").requests == 0
    ticker.assert_fresh()


def test_what_another_writer_saved_just_before_the_lock_is_not_written_over() -> None:
    ticker = RefreshedTicker(ModelGateway(60))
    ticker.refresh()
    before = ticker.held
    ticker.gateway.add(1)
    ticker.refresh()
    saved_by_the_other = ticker.held
    ticker.gateway.withdraw(0)
    ticker.gateway.add(1)
    loads = iter([before])
    store = ticker.memory

    class Overtaken(DictStore):
        def load(self, one: Ticker) -> TickerHistory | None:
            return next(loads, None) or super().load(one)

    store.__class__ = Overtaken
    ticker.refresh()
    gone = saved_by_the_other.rows["timestamp_str"].iloc[-1]
    assert [(one.day, one.column) for one in ticker.held.revisions] == [(gone, ROW)]


def test_a_writer_that_makes_progress_is_waited_for_however_long(clock: Clock) -> None:
    ticker = RefreshedTicker(ModelGateway(330))
    other = RefreshedTicker(ModelGateway(330))
    other.store, other.memory = ticker.memory, ticker.memory
    let_go = hold(ticker)
    waits = 0

    def go_on() -> None:
        """It comes on by two pages in every ten minutes but one tick."""
        nonlocal waits, let_go
        waits += 1
        clock.now_s += 599.75
        let_go()
        if waits <= 3:
            other.refresh("auto", first_days(100 * waits))
            let_go = hold(ticker)

    ticker.while_locked = go_on
    assert ticker.refresh("auto").requests == 2  # the newest page, and the last one
    assert waits == 4
    ticker.assert_fresh()


@pytest.mark.parametrize("has_file", [False, True])
def test_a_writer_that_writes_nothing_for_ten_minutes_is_an_error(
    clock: Clock, has_file: bool
) -> None:
    ticker = RefreshedTicker(ModelGateway(120))
    if has_file:
        ticker.refresh()
    let_go = hold(ticker)
    began_s = clock.now_s
    update = Updater(ticker.store, ticker.ticker, refresh="always").update(lambda _: True)
    assert next(update) is LOCKED
    for wait_s in (0.25, 599.0, 599.75):
        clock.now_s = began_s + wait_s
        assert next(update) is LOCKED
    clock.now_s = began_s + 600.0
    with pytest.raises(
        StoreError,
        match=r"dict://: another process has held the lock of US\.A for 600 s without writing",
    ):
        next(update)
    # It took nothing away from the one who holds it.
    assert ticker.memory.locked == {"US.A"}
    let_go()


def test_the_first_save_of_the_other_writer_is_progress_too(clock: Clock) -> None:
    ticker = RefreshedTicker(ModelGateway(120))
    let_go = hold(ticker)
    update = Updater(ticker.store, ticker.ticker, refresh="always").update(lambda _: True)
    assert next(update) is LOCKED
    clock.now_s += 599.0
    assert next(update) is LOCKED
    other = RefreshedTicker(ModelGateway(120))
    other.refresh()
    ticker.memory.save(ticker.ticker, other.held)
    for _ in range(2):
        clock.now_s += 599.0 / 2
        assert next(update) is LOCKED
    update.close()
    let_go()


@pytest.mark.parametrize("how", ["interrupted", "failed", "closed"])
def test_however_a_refresh_ends_it_lets_go_of_its_ticker(how: str) -> None:
    ticker = RefreshedTicker(ModelGateway(120))

    def interrupt() -> None:
        assert ticker.memory.locked == {"US.A"}
        raise KeyboardInterrupt

    if how == "interrupted":
        ticker.gateway.before_answer = interrupt
        with pytest.raises(KeyboardInterrupt):
            ticker.refresh()
    elif how == "failed":
        ticker.gateway.fails_after = 1
        with pytest.raises(GatewayDisconnectedError):
            ticker.refresh()
        assert len(ticker.held.rows) == 50
    else:
        questions = Updater(ticker.store, ticker.ticker).update(lambda _: False)
        next(questions)
        assert ticker.memory.locked == {"US.A"}
        questions.close()
    assert not ticker.memory.locked


@pytest.mark.parametrize(
    ("mode", "since_s"), [("auto", None), ("never", None), ("always", NOON), ("full", NOON)]
)
def test_what_needs_no_gateway_needs_no_lock(mode: str, since_s: float | None) -> None:
    ticker = RefreshedTicker(ModelGateway(120))
    ticker.refresh()
    let_go = hold(ticker)
    update = Updater(ticker.store, ticker.ticker, refresh=mode, clock=lambda: NOON)
    with pytest.raises(StopIteration) as end:
        next(update.update(lambda held: held.is_complete, since_s))
    assert end.value.value.requests == 0
    let_go()


def test_who_finds_nobody_there_does_not_look_who_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    ticker = RefreshedTicker(ModelGateway(120))

    def look(_ticker: Ticker) -> str | None:
        pytest.fail("a request of an object store, for nothing")

    monkeypatch.setattr(ticker.memory, "version", look)
    assert ticker.refresh().requests == 3
