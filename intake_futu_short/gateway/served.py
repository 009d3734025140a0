"""A store's histories for a gateway: code → `History`, loaded when first asked for."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intake_futu_short.calls import SHORT_VOLUME, Ticker
from intake_futu_short.errors import ConfigError, StoreError
from intake_futu_short.gateway.histories import History
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from intake_futu_short.calls import Call
    from intake_futu_short.history.ticker_history import TickerHistory
    from intake_futu_short.store import FutuShortStore

__all__ = ["StoredHistories"]

# 1,500 rows take about 2 MB.
_MAX_LOADED = 200
# Seconds a file counts as unchanged: asking an object store takes longer than answering.
_LOOK_AGAIN_S = 1.0


@dataclass(frozen=True)
class _Loaded:
    version: str | None
    looked_s: float
    history: History


class StoredHistories(Mapping[str, History]):
    """Histories of a store by code. A ticker synced meanwhile is loaded again.

    Threads may share it. A slow load delays only the thread that needs it.

    Parameters
    ----------
    store : FutuShortStore
        The store to read.
    clock : callable
        Seconds that never go back.
    call : Call
        The call that the rows answer.
    """

    def __init__(
        self,
        store: FutuShortStore,
        clock: Callable[[], float] = time.monotonic,
        *,
        call: Call = SHORT_VOLUME,
    ) -> None:
        self._store = store
        self._call = call
        self._clock = clock
        self._lock = threading.Lock()  # never held while the store is read
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()

    def __getitem__(self, code: str) -> History:
        """History of a ticker.

        Raises
        ------
        KeyError
            When the store has no history of the ticker.
        StoreError
            When its file is damaged or incomplete. A client would take an incomplete history for
            the whole.
        """
        try:
            security = Security.known(code)
        except ConfigError as error:
            raise KeyError(code) from error
        now_s = self._clock()
        with self._lock:
            loaded = self._loaded.get(code)
        if loaded is None or now_s - loaded.looked_s >= _LOOK_AGAIN_S:
            # Read before loading, so that a file that changes in between is loaded again.
            version = self._store.version(Ticker(security, self._call))
            is_same = loaded is not None and loaded.version == version
            history = loaded.history if loaded and is_same else self._load(security)
            if history is None:
                raise KeyError(code)
            loaded = _Loaded(version, now_s, history)
        with self._lock:
            self._loaded[code] = loaded
            self._loaded.move_to_end(code)
            if len(self._loaded) > _MAX_LOADED:
                self._loaded.popitem(last=False)
        return loaded.history

    def __iter__(self) -> Iterator[str]:
        return iter(self._store.codes(what=self._call.name))

    def __len__(self) -> int:
        return len(self._store.codes(what=self._call.name))

    def version(self, code: str) -> str | None:
        """Text that changes whenever a ticker is synced; None when the store does not have it.

        Raises
        ------
        StoreError
            When the store cannot be read.
        """
        return self._store.version(Ticker(Security.known(code), self._call))

    def newest(self, code: str, rows: int) -> History | None:
        """Load a history with only its `rows` newest rows. It is not cached.

        Making a history of all rows of a ticker takes ten times as long.

        Returns
        -------
        History or None
            None when the store holds nothing of the ticker.

        Raises
        ------
        StoreError
            When its file is damaged or incomplete.
        """
        return self._load(Security.known(code), rows)

    def _load(self, security: Security, newest: int | None = None) -> History | None:
        stored = self._store.load(Ticker(security, self._call))
        if stored is None:
            return None
        if not stored.is_complete:
            raise StoreError(
                f"the history of {security} in {self._store.url} is not complete yet: sync it first"
            )
        try:
            return _history(Ticker(security, self._call), stored, newest)
        except ConfigError as error:
            raise StoreError(
                f"the history in {self._store.url} cannot be served: {error}"
            ) from error


def _history(ticker: Ticker, stored: TickerHistory, newest: int | None) -> History:
    table = ticker.table
    kept = stored.rows if newest is None else stored.rows.tail(newest)
    columns = {name: _values(kept[name]) for name in table.column_names}
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    report = stored.reports[-1] if stored.reports else {}
    attrs: dict[str, Any] = {name: report.get(name) for name in table.attr_names}
    return History(ticker.security, rows[::-1], **attrs, call=ticker.call)


def _values(column: pd.Series[Any]) -> list[int | float | str | None]:
    """Plain values, with None for a missing one."""
    pairs = zip(column.tolist(), column.isna(), strict=True)
    return [None if is_missing else value for value, is_missing in pairs]
