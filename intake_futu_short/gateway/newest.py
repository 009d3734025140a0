"""The newest rows of all tickers of a market, as the rank needs them: read once, then when changed.

A gateway may serve thousands of tickers of a store, and a client pages through the rank: what was
worked out of a ticker is kept as long as its rows are the same.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable
from weakref import ref

from intake_futu_short.errors import StoreError
from intake_futu_short.gateway.ranked import NEWEST_ROWS, Ranked, ranked
from intake_futu_short.security import MARKETS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from intake_futu_short.gateway.histories import History
    from intake_futu_short.security import Market

    Version = ref[History] | str | None
    T = TypeVar("T")

__all__ = ["NewestRows", "Versioned"]

# Seconds for which what a store said of a market is not asked again.
_LOOK_AGAIN_S = 1.0
# Nor for so many times as long as asking took.
_PAUSES = 20

_log = logging.getLogger(__name__)


@runtime_checkable
class Versioned(Protocol):
    """A mapping of histories that can tell whether one changed without loading it."""

    def version(self, code: str) -> str | None:
        """What changes whenever a history does; None when there is none."""

    def newest(self, code: str, rows: int) -> History | None:
        """Load a history with so many of its newest rows only; None when there is none."""


class _AtHand:
    """Histories that cost nothing to look at: another object is another history."""

    def __init__(self, histories: Mapping[str, History]) -> None:
        self._histories = histories

    def version(self, code: str) -> ref[History] | None:
        history = self._histories.get(code)
        # Weak: to hold everything that another mapping loads would take the memory of all of it.
        return None if history is None else ref(history)

    def newest(self, code: str, _rows: int) -> History | None:
        return self._histories.get(code)


@dataclass
class _Seen:
    """What was last seen of a ticker, and why it is not all."""

    versions: list[Version]
    ranked: Ranked | None
    complaint: str


@dataclass
class _Market:
    lock: threading.Lock = field(default_factory=threading.Lock)  # guards the rest
    seen: dict[str, _Seen] = field(default_factory=dict)
    good_until_s: float = float("-inf")


class NewestRows:
    """What the rank says of every ticker of a market; threads may share it.

    Histories that lie at hand are looked at every time, so that the answer is right at once when
    one is replaced. Those that are `Versioned`, a store's, are asked for their versions, at most
    once a second and for a twentieth of the time at most; only changed ones are loaded. Who asks
    for the same market meanwhile waits, and nobody else. Who gives up has lost nothing: what was
    read stays.

    Parameters
    ----------
    histories, short_interest : mapping of str to History
        By code. A ticker is ranked when it is among the first.
    clock : callable
        Seconds that never go back.
    """

    def __init__(
        self,
        histories: Mapping[str, History],
        short_interest: Mapping[str, History],
        clock: Callable[[], float],
    ) -> None:
        self._codes = histories
        self._both: list[Versioned | _AtHand] = [
            each if isinstance(each, Versioned) else _AtHand(each)
            for each in (histories, short_interest)
        ]
        self._clock = clock
        self._markets = {name: _Market() for name in MARKETS}

    def of(self, market: Market) -> list[Ranked]:
        """Every ticker of a market that has rows, in no particular order.

        What cannot be read is left out, and the log says why, once.

        Raises
        ------
        StoreError
            When the codes cannot be listed.
        """
        state = self._markets[market.name]
        with state.lock:
            begun_s = self._clock()
            if begun_s >= state.good_until_s:
                self._look(f"{market.name}.", state.seen)
                if not all(isinstance(each, _AtHand) for each in self._both):
                    now_s = self._clock()
                    pause_s = max(_LOOK_AGAIN_S, _PAUSES * (now_s - begun_s))
                    state.good_until_s = now_s + pause_s
            return [seen.ranked for seen in state.seen.values() if seen.ranked is not None]

    def _look(self, prefix: str, seen: dict[str, _Seen]) -> None:
        # A list, since another thread may add a ticker meanwhile; of an iterator, since one of the
        # mapping begins by asking how many there are, for which a store is listed once more.
        codes = [code for code in list(iter(self._codes)) if code.startswith(prefix)]
        for code in seen.keys() - codes:
            del seen[code]
        for code in codes:
            seen[code] = self._see(code, seen.get(code))

    def _see(self, code: str, before: _Seen | None) -> _Seen:
        complaints: list[str] = []

        def told(ask: Callable[[], T]) -> T | None:
            try:
                return ask()
            except StoreError as error:
                complaints.append(str(error))
                return None

        versions = [told(partial(each.version, code)) for each in self._both]
        # What could not be read is tried again: it may have been the network.
        is_whole = not complaints and before is not None and not before.complaint
        if before and is_whole and all(map(_is_same, before.versions, versions)):
            return before
        history, interest = (told(partial(each.newest, code, NEWEST_ROWS)) for each in self._both)
        complaint = "; ".join(dict.fromkeys(complaints))
        if complaint and (before is None or before.complaint != complaint):
            _log.warning("the rank lacks what cannot be read of %a: %s", code, complaint)
        return _Seen(versions, None if history is None else ranked(history, interest), complaint)


def _is_same(before: Version, now: Version) -> bool:
    if isinstance(before, ref) and isinstance(now, ref):
        return before() is not None and before() is now()
    return before == now
