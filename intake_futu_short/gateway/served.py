"""A store as a gateway sees it: code → `History`, loaded when it is first asked for."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intake_futu_short.errors import ConfigError, StoreError
from intake_futu_short.gateway.histories import History
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from intake_futu_short.kept import Kept
    from intake_futu_short.store import FutuShortStore

__all__ = ["StoredHistories"]

# 1,500 rows as the gateway wants them take about 2 MB.
_MAX_LOADED = 200
# How long a file counts as unchanged: asking an object store takes longer than answering.
_LOOK_AGAIN_S = 1.0


@dataclass
class _Loaded:
    version: str
    looked_s: float
    history: History


class StoredHistories(Mapping[str, History]):
    """Histories of a store by code. A ticker synced meanwhile is loaded anew.

    Parameters
    ----------
    store : FutuShortStore
        Where they are kept.
    clock : callable
        Seconds that never go back.
    """

    # Looking one up may take as long as an object store does.
    blocks = True

    def __init__(self, store: FutuShortStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()

    def __getitem__(self, code: str) -> History:
        """History of a ticker.

        Raises
        ------
        KeyError
            When nothing is kept of it.
        StoreError
            When what is kept cannot be served: it is damaged, or not complete, and a client would
            take what there is of it for the whole.
        """
        try:
            security = Security.parse(code)
        except ConfigError as error:
            raise KeyError(code) from error
        now_s = self._clock()
        loaded = self._loaded.get(code)
        if loaded is None or now_s - loaded.looked_s >= _LOOK_AGAIN_S:
            # Looked up before loading: what is published in between is then loaded once too often.
            version = self._store.version(security)
            if loaded is not None and loaded.version == version:
                loaded.looked_s = now_s
            else:
                loaded = _Loaded(version or "", now_s, self._load(security))
        self._loaded[code] = loaded
        self._loaded.move_to_end(code)
        if len(self._loaded) > _MAX_LOADED:
            self._loaded.popitem(last=False)
        return loaded.history

    def __iter__(self) -> Iterator[str]:
        return iter(self._store.codes())

    def __len__(self) -> int:
        return len(self._store.codes())

    def _load(self, security: Security) -> History:
        kept = self._store.load(security)
        if kept is None:
            raise KeyError(security.code)
        if not kept.is_complete:
            raise StoreError(
                f"what {self._store.url} keeps of {security} is not complete yet: sync it first"
            )
        try:
            return _history(security, kept)
        except ConfigError as error:
            raise StoreError(f"what {self._store.url} keeps cannot be served: {error}") from error


def _history(security: Security, kept: Kept) -> History:
    columns = {name: _values(kept.rows[name]) for name in kept.rows.columns}
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    latest = kept.aggregates[-1].as_dict() if kept.aggregates else {}
    return History(security, rows[::-1], **latest)  # type: ignore[arg-type]  # names fit values


def _values(column: pd.Series[Any]) -> list[int | float | str | None]:
    """Plain values, with None for a missing one."""
    pairs = zip(column.tolist(), column.isna(), strict=True)
    return [None if is_missing else value for value, is_missing in pairs]
