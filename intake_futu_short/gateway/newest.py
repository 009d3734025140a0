"""The newest rows of all tickers of a market, for the rank; read again only when they change.

A gateway may serve thousands of stored tickers, and a client pages through the rank. So the values
computed for a ticker are cached while its rows stay the same.
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

# Seconds before a store is asked again about a market,
_LOOK_AGAIN_S = 1.0
# and how many times as long as the last asking took. The longer pause counts.
_PAUSES = 20

_log = logging.getLogger(__name__)


@runtime_checkable
class Versioned(Protocol):
    """A mapping that can tell whether a history has changed without loading it."""

    def version(self, code: str) -> str | None:
        """Text that changes whenever a history does; None when there is none."""

    def newest(self, code: str, rows: int) -> History | None:
        """Load a history with only its `rows` newest rows; None when there is none."""


class _AtHand:
    """Histories in memory. A changed history is another object."""

    def __init__(self, histories: Mapping[str, History]) -> None:
        self._histories = histories

    def version(self, code: str) -> ref[History] | None:
        history = self._histories.get(code)
        # A weak reference, so that histories which a lazy mapping loads can be freed.
        return None if history is None else ref(history)

    def newest(self, code: str, _rows: int) -> History | None:
        return self._histories.get(code)


@dataclass
class _Seen:
    """The last values of a ticker, and what went wrong while reading them."""

    versions: list[Version]
    ranked: Ranked | None
    complaint: str


@dataclass
class _Market:
    lock: threading.Lock = field(default_factory=threading.Lock)  # guards the rest
    seen: dict[str, _Seen] = field(default_factory=dict)
    good_until_s: float = float("-inf")


class NewestRows:
    """The rank's values of every ticker of a market; threads may share it.

    Histories in memory are checked at every request, so that a replaced one counts at once. A
    store's histories (`Versioned`) are asked for their versions at most once a second and for a
    twentieth of the time at most, and only changed ones are loaded. Meanwhile, other requests for
    the same market wait. If a client gives up, the values read so far stay cached.

    Parameters
    ----------
    histories, short_interest : mapping of str to History
        Histories by code. A ticker is ranked when it is in `histories`.
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

        Tickers that cannot be read are left out, and the log says why, once.

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
        # A copy, since another thread may add a ticker meanwhile. It is made of an iterator, since
        # list(mapping) asks for the length first, which lists a store once more.
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
        # Rows that could not be read are tried again, since the network may have failed.
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
