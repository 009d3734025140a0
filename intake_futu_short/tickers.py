"""One ticker's partitions: walked, or over a store."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from intake_futu_short.history.keeper import Keeper
from intake_futu_short.history.slices import Slices
from intake_futu_short.history.stored import StoredTicker
from intake_futu_short.pages import Walk
from intake_futu_short.partitions import WalkedTicker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intake_futu_short.fetcher import Fetcher
    from intake_futu_short.security import Security
    from intake_futu_short.store import FutuShortStore

__all__ = ["open_ticker"]


def open_ticker(
    security: Security,
    fetcher: Fetcher,
    store: FutuShortStore | None,
    arguments: Mapping[str, Any],
) -> WalkedTicker | StoredTicker:
    """Give a ticker's partitions; nothing is asked or read yet.

    Parameters
    ----------
    security : Security
        Whose.
    fetcher : Fetcher
        The way to the gateway.
    store : FutuShortStore or None
        Where its history is kept.
    arguments : mapping of str to value
        ``num``, ``start``, ``end``, ``max_pages`` and ``refresh``, as a source has them.
    """
    fetch = partial(fetcher.fetch, security)
    bounds = {name: arguments[name] for name in ("start", "end", "max_pages")}
    if store is None:
        return WalkedTicker(Walk(fetch, security, origin=fetcher.origin, **bounds), security)
    refresh = arguments["refresh"] or "auto"
    keeper = Keeper(store, security, fetch, refresh=refresh, origin=fetcher.origin)
    return StoredTicker(keeper, Slices(arguments["num"], **bounds))
