"""A ticker's history in a store, brought up to date from a gateway by the rules of `history`."""

from __future__ import annotations

import copy
import datetime as dt
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from intake_futu_short import calendars
from intake_futu_short.errors import (
    GatewayDisconnectedError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    StoreError,
    sentence,
)
from intake_futu_short.history import joining
from intake_futu_short.history.freshness import is_current, newest_day
from intake_futu_short.history.refresh import Refresh
from intake_futu_short.kept import DAY
from intake_futu_short.pages import Walk

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from intake_futu_short.kept import Kept
    from intake_futu_short.pages import Fetch
    from intake_futu_short.security import Security

__all__ = ["Keeper", "Outcome", "Store"]

_GONE = (GatewayUnreachableError, GatewayDisconnectedError, GatewayTimeoutError)


class Store(Protocol):
    """Where histories are kept; `FutuShortStore` is one."""

    @property
    def url(self) -> str:
        """What it is called in messages."""

    def load(self, security: Security) -> Kept | None:
        """What is kept of a ticker; None when nothing is."""

    def save(self, security: Security, kept: Kept) -> Kept:
        """Keep it in place of what was kept; gives what is kept now."""

    def version(self, security: Security) -> str | None:
        """Text that changes with what is kept of a ticker; None when nothing is."""

    def locked(self, security: Security) -> AbstractContextManager[None]:
        """Be the one writer of a ticker, from `load` to `save`; a StoreError after a while."""


@dataclass(frozen=True)
class Outcome:
    """What a refresh came to.

    Attributes
    ----------
    kept : Kept
        What the store has now.
    requests : int
        Pages asked for.
    new_rows : int
        Rows that were not held before.
    revised : int
        Rows whose late revision was taken over.
    """

    kept: Kept
    requests: int = 0
    new_rows: int = 0
    revised: int = 0


class Keeper:
    """Keeps one ticker's history in a store up to date.

    Parameters
    ----------
    store : Store
        Where it is kept.
    security : Security
        Whose history.
    fetch : callable
        Takes a cursor (None for the newest page) and returns the gateway's answer.
    refresh : {"auto", "always", "full", "never"}
        When the gateway is asked, and for what.
    origin : str
        Who answers, for messages.
    clock : callable
        Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        security: Security,
        fetch: Fetch,
        *,
        refresh: str = "auto",
        origin: str = "the gateway",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.security = security
        self._fetch = fetch
        self._refresh = refresh
        self._origin = origin
        self._clock = clock

    def update(self, is_enough: Callable[[Kept], bool], since_s: float | None = None) -> Outcome:
        """Ask the gateway for what is missing, if anything can be, and keep it.

        Parameters
        ----------
        is_enough : callable
            Whether a history that is not complete holds all that is wanted.
        since_s : float, optional
            The newest page need not be asked for again if it was at this moment or later.

        Raises
        ------
        GatewayError, PaginationError
            When the gateway cannot be asked. What came before is kept.
        StoreError
            When the store cannot be read or written, or without a gateway lacks what is wanted.
        """
        # Without the lock first: what needs no writing waits for no writer, and needs no right to.
        kept = self.store.load(self.security)
        if self._refresh == "never":
            return self._as_it_is(kept, is_enough)
        if kept is not None and self._is_settled(kept, is_enough, since_s):
            return Outcome(kept)
        with ExitStack() as lock:
            self._enter_lock(lock, self.store.version(self.security))
            kept = self.store.load(self.security)
            if kept is not None and self._is_settled(kept, is_enough, since_s):
                return Outcome(kept)
            return self._asked(kept, is_enough, since_s)

    def _enter_lock(self, lock: ExitStack, version: str | None) -> None:
        """Wait for whoever writes the ticker, as long as what they write goes on changing.

        A walk writes every page; among many tickers within the gateway's limit it can take longer
        than a store waits.
        """
        try:
            lock.enter_context(self.store.locked(self.security))
        except StoreError:
            now = self.store.version(self.security)
            if now == version:
                raise
            self._enter_lock(lock, now)

    def _as_it_is(self, kept: Kept | None, is_enough: Callable[[Kept], bool]) -> Outcome:
        way_out = "refresh='auto' asks the gateway for the rest"
        if kept is None:
            raise StoreError(f"{self.store.url} holds nothing of {self.security}; {way_out}")
        if not is_enough(kept):
            oldest = kept.rows[DAY].iloc[0] if len(kept.rows) else "no day at all"
            raise StoreError(
                f"{self.store.url} holds {self.security} back to {oldest} only, and older rows "
                f"are asked for; {way_out}"
            )
        return Outcome(kept)

    def _is_settled(
        self, kept: Kept, is_enough: Callable[[Kept], bool], since_s: float | None
    ) -> bool:
        if self._is_known(kept, since_s):
            return is_enough(kept)
        return (
            self._refresh == "auto"
            and is_enough(kept)
            and is_current(kept, self._clock(), self._newest_session)
        )

    def _asked(
        self, kept: Kept | None, is_enough: Callable[[Kept], bool], since_s: float | None
    ) -> Outcome:
        requests = 0

        def fetch(cursor: str | None) -> Any:
            nonlocal requests
            requests += 1
            return self._fetch(cursor)

        refresh = Refresh(
            self.security,
            lambda cursor: Walk(fetch, self.security, origin=self._origin, cursor=cursor),
            lambda changed: self.store.save(self.security, changed),
            is_enough,
            self._clock(),
        )
        is_known = kept is not None and self._is_known(kept, since_s)
        try:
            now = refresh.run(
                kept, is_full=self._refresh == "full" and not is_known, newest_is_known=is_known
            )
        except _GONE as error:
            if kept is None or not len(kept.rows):
                raise
            own = copy.copy(error)
            own.args = (
                f"{sentence(error)} The store holds {len(kept.rows)} rows up to "
                f"{newest_day(kept.rows)}: refresh='never' reads them without a gateway",
            )
            raise own from error.__cause__
        before = joining.days_of(kept.rows) if kept is not None else np.array([], dtype="U10")
        new = np.setdiff1d(joining.days_of(now.rows), before, assume_unique=True)
        return Outcome(now, requests, len(new), len(refresh.revised))

    def _is_known(self, kept: Kept, since_s: float | None) -> bool:
        """Whether the newest page was asked for since, here or by another process."""
        checked_s = kept.checked_s
        return since_s is not None and checked_s is not None and checked_s >= since_s

    def _newest_session(self) -> str:
        now = dt.datetime.fromtimestamp(self._clock(), dt.timezone.utc)
        return calendars.newest_session(self.security.market, now).isoformat()
