"""Saves one day after the other of a ticker, in child processes that may be killed at any moment.

Each line of standard input is a JSON object: ``url`` and ``options`` of the store, the ``days`` to
save, and ``log``, a file in which every day stands once it was saved.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mortal import fork_on_demand
from store_rows import TENCENT, hk_rows, locked

from intake_futu_short import FutuShortStore
from intake_futu_short.history.ticker_history import TickerHistory

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["FIRST", "add", "days_kept", "rows"]

# A day that all have tells that the prices of two writers are of one adjustment.
FIRST = "1980-01-02"


def rows(days: Sequence[str]) -> pd.DataFrame:
    prices = ["open_price", "close_price", "last_close_price"]
    return hk_rows(days).assign(**dict.fromkeys(prices, 600.0))


def add(store: FutuShortStore, *days: str) -> None:
    """Save more days of a ticker, and lose none."""
    with locked(store, TENCENT):
        kept = store.load(TENCENT) or TickerHistory(rows([FIRST]))
        all_days = sorted({*kept.rows["timestamp_str"], *days})
        store.save(TENCENT, replace(kept, rows=rows(all_days)))


def days_kept(store: FutuShortStore) -> list[str]:
    kept = store.load(TENCENT)
    return [] if kept is None else kept.rows["timestamp_str"].tolist()


def _write(given: dict[str, Any]) -> None:
    store = FutuShortStore(given["url"], given["options"])
    log = os.open(given["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for day in given["days"]:
        add(store, day)
        os.write(log, f"{day}\n".encode())


if __name__ == "__main__":
    fork_on_demand(_write)
