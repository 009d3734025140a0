"""One ticker of a store, brought up to date from a gateway: load, lock, refresh, save."""

from __future__ import annotations

import copy
import datetime as dt
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from intake_futu_short import calendars
from intake_futu_short.errors import (
    GatewayDisconnectedError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    StoreError,
    sentence,
)
from intake_futu_short.history.refresh import Refresh
from intake_futu_short.history.ticker_history import DAY, days_of, newest_day
from intake_futu_short.walk import Walk, newest_possible
from intake_futu_short.wording import argument

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from intake_futu_short.calendars import Report
    from intake_futu_short.calls import Question, Reply, Ticker
    from intake_futu_short.history.ticker_history import TickerHistory

__all__ = ["FRESH_S", "LOCKED", "Outcome", "Store", "Updater"]

# A check is not repeated within this many seconds.
FRESH_S = 2 * 60 * 60
# A writer is taken to be stuck if its file has not changed for this many seconds.
LOCK_PATIENCE_S = 600.0

_GONE = (GatewayUnreachableError, GatewayDisconnectedError, GatewayTimeoutError)

_log = logging.getLogger(__name__)


class _Locked:
    """What a generator yields while another writer holds its ticker: try again in a tick."""


LOCKED = _Locked()


class Store(Protocol):
    """Where histories are kept; `FutuShortStore` is one."""

    @property
    def url(self) -> str:
        """Its name in messages."""

    def load(self, ticker: Ticker) -> TickerHistory | None:
        """The stored history of a ticker; None when there is none."""

    def save(self, ticker: Ticker, history: TickerHistory) -> TickerHistory:
        """Replace the stored history, and return the one that is stored now.

        That is `history` with a new `version`. If another writer saved after `history` was loaded,
        the two are merged.
        """

    def version(self, ticker: Ticker) -> str | None:
        """Text that changes whenever a ticker's stored history does; None when there is none.

        It is found without reading the file. It is not `TickerHistory.version`.
        """

    def try_lock(self, ticker: Ticker) -> AbstractContextManager[None] | None:
        """Become a ticker's only writer until the context ends; None while another one is."""


@dataclass(frozen=True)
class Outcome:
    """The result of an update.

    Attributes
    ----------
    history : TickerHistory
        The history that is stored now.
    requests : int
        Number of pages asked for.
    new_rows : int
        Number of rows not held before, including rows that another writer saved meanwhile.
    revised : int
        Number of rows that the gateway has revised or withdrawn.
    """

    history: TickerHistory
    requests: int = 0
    new_rows: int = 0
    revised: int = 0


def _now_s() -> float:
    return time.time()  # looked up when it is called: tests and tools may have another


@dataclass(frozen=True)
class Updater:
    """Keeps one ticker's history in a store up to date.

    Parameters
    ----------
    store : Store
        The store of the history.
    ticker : Ticker
        The ticker of the history.
    num : int, optional
        Rows per page; None leaves it to the gateway.
    refresh : {"auto", "always", "full", "never"}
        When the gateway is asked, and for what.
    origin : str
        The gateways, for messages.
    clock : callable
        Returns Unix seconds.
    """

    store: Store
    ticker: Ticker
    num: int | None = None
    refresh: str = "auto"
    origin: str = "the gateway"
    clock: Callable[[], float] = _now_s

    def update(
        self, is_enough: Callable[[TickerHistory], bool], since_s: float | None = None
    ) -> Generator[Question | _Locked, Reply, Outcome]:
        """Ask the gateway for rows that may be missing, and save them.

        Parameters
        ----------
        is_enough : callable
            Takes an incomplete history and returns whether it has all rows wanted.
        since_s : float, optional
            Unix seconds. The newest page is not asked for again if it was asked for since then.

        Raises
        ------
        GatewayError, PaginationError
            When the gateway cannot be asked. Rows that came before are kept.
        StoreError
            When the store cannot be read or written, or lacks wanted rows and no gateway is asked.
        """
        # Load without the lock first. A read that writes nothing needs neither to wait for a writer
        # nor the right to write.
        held = self.store.load(self.ticker)
        if self.refresh == "never":
            return self._as_it_is(held, is_enough)
        if held is not None and self._is_settled(held, is_enough, since_s):
            return Outcome(held)
        with (yield from self._lock()):
            # Another writer may have saved before the lock was taken. Its rows must not be
            # overwritten, and they may be all that is wanted.
            held = self.store.load(self.ticker)
            if held is not None and self._is_settled(held, is_enough, since_s):
                return Outcome(held)
            return (yield from self._ask(held, is_enough, since_s))

    def _lock(self) -> Generator[_Locked, object, AbstractContextManager[None]]:
        """Take the lock. Wait for the process that holds it as long as it goes on writing."""
        version: str | None = None
        since: float | None = None
        while (lock := self.store.try_lock(self.ticker)) is None:
            now, now_version = time.monotonic(), self.store.version(self.ticker)
            if since is None:
                _log.info("%s: waiting for another writer of %s", self.ticker, self.store.url)
            if since is None or now_version != version:
                version, since = now_version, now
            if now - since >= LOCK_PATIENCE_S:
                raise StoreError(
                    f"{self.store.url}: another process has held the lock of {self.ticker} for "
                    f"{LOCK_PATIENCE_S:g} s without writing anything. Wait for it or end it; the "
                    "lock ends with its process"
                )
            yield LOCKED
        return lock

    def _as_it_is(
        self, held: TickerHistory | None, is_enough: Callable[[TickerHistory], bool]
    ) -> Outcome:
        way_out = f"{argument('refresh', 'auto')} asks the gateway for the rest"
        if held is None:
            raise StoreError(f"{self.store.url} holds nothing of {self.ticker}; {way_out}")
        if not is_enough(held):
            oldest = held.rows[DAY].iloc[0] if len(held.rows) else "no day at all"
            raise StoreError(
                f"{self.store.url} holds {self.ticker} back to {oldest} only, and older rows "
                f"are asked for; {way_out}"
            )
        return Outcome(held)

    def _is_settled(
        self,
        held: TickerHistory,
        is_enough: Callable[[TickerHistory], bool],
        since_s: float | None,
    ) -> bool:
        """Whether there is nothing to ask for."""
        if self._is_known(held, since_s):
            return is_enough(held)
        return self.refresh == "auto" and is_enough(held) and self._is_current(held)

    def _is_known(self, held: TickerHistory, since_s: float | None) -> bool:
        """Whether the newest page was asked for since, here or by another process."""
        return since_s is not None and held.checked_s is not None and held.checked_s >= since_s

    def _is_current(self, held: TickerHistory) -> bool:
        """Whether the gateway can hardly have anything newer."""
        now_s, checked_s, newest = self.clock(), held.checked_s, newest_day(held.rows)
        if (checked_s or 0.0) > now_s or (newest or "") > self.ticker.market.day(int(now_s)):
            return False  # the clock is behind, and tells no age
        if checked_s is not None and now_s - checked_s < FRESH_S:
            return True
        now = dt.datetime.fromtimestamp(now_s, dt.timezone.utc)
        if self.ticker.table.are_reports:
            report = calendars.newest_report(self.ticker.market, now)
            return _has_report(newest or "", report, checked_s or 0.0, now_s)
        return newest == calendars.newest_session(self.ticker.market, now).isoformat()

    def _walk_from(self, cursor: str | None, held: TickerHistory | None) -> Walk:
        newest: str | None = newest_possible(self.clock())
        if cursor is not None and held is not None and (held.rows[DAY].iloc[:1] > newest).any():
            newest = None  # all rows held are later: the clock was found to be wrong
        return Walk(
            self.ticker,
            num=self.num,
            origin=self.origin,
            cursor=cursor,
            newest_possible=newest,
        )

    def _ask(
        self,
        held: TickerHistory | None,
        is_enough: Callable[[TickerHistory], bool],
        since_s: float | None,
    ) -> Generator[Question, Reply, Outcome]:
        refresh = Refresh(
            self.ticker,
            walk_from=lambda cursor: self._walk_from(cursor, held),
            save=lambda changed: self.store.save(self.ticker, changed),
            is_enough=is_enough,
            clock=self.clock,
            store_url=self.store.url,
        )
        is_known = held is not None and self._is_known(held, since_s)
        questions = refresh.run(
            held, is_full=self.refresh == "full" and not is_known, newest_is_known=is_known
        )
        try:
            now, requests = yield from _counted(questions)
        except _GONE as error:
            if held is None or not len(held.rows):
                raise
            own = copy.copy(error)
            own.args = (
                f"{sentence(error)} The store holds {len(held.rows)} rows up to "
                f"{newest_day(held.rows)}: {argument('refresh', 'never')} reads them without a "
                "gateway",
            )
            raise own from error.__cause__
        before = days_of(held.rows) if held is not None else np.array([], dtype="U10")
        new = np.setdiff1d(days_of(now.rows), before, assume_unique=True)
        return Outcome(now, requests, len(new), len(refresh.revised))


def _has_report(newest: str, report: Report, checked_s: float, now_s: float) -> bool:
    """Whether `report` is held already, or it is too early to ask for it again."""
    if newest >= report.since.isoformat():
        return True
    if checked_s < report.public_s:
        return False
    if newest < report.since_before.isoformat():
        # The previous report is missing too. Most small HK companies have none, or not every week.
        return True
    # The report is late. It is asked for again once it is 1.5 times as late as at the last check.
    return now_s - checked_s < (checked_s - report.public_s) / 2


def _counted(
    questions: Generator[Question, Reply, TickerHistory],
) -> Generator[Question, Reply, tuple[TickerHistory, int]]:
    """Result of a generator, and the number of questions that it asked."""
    requests = 0
    try:
        question = next(questions)
        while True:
            requests += 1
            question = questions.send((yield question))
    except StopIteration as end:
        return end.value, requests
    finally:
        questions.close()
