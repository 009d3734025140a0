"""Base class of the Intake drivers for tickers: their partitions are the gateway's pages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from intake_futu_short import arguments, schema
from intake_futu_short.calls import Ticker
from intake_futu_short.gateway_source import GatewaySource
from intake_futu_short.history.update import Updater
from intake_futu_short.partitions import Panel, WalkedTicker
from intake_futu_short.security import Security
from intake_futu_short.store import FutuShortStore
from intake_futu_short.stored import Slices, StoredTicker, lazy_parts, read_part
from intake_futu_short.walk import Walk, newest_possible

if TYPE_CHECKING:
    import datetime as dt
    import os
    from collections.abc import Iterable, Mapping

    import dask.dataframe as dd
    import pandas as pd
    from fsspec.callbacks import Callback

    from intake_futu_short.partitions import TickerPartitions

__all__ = ["PagedSource"]


class PagedSource(GatewaySource["TickerPartitions | Panel"]):
    """Tickers as a source whose partitions are the pages of one of the gateway's calls.

    A subclass names the `call` and documents the arguments.
    """

    def __init__(  # noqa: PLR0917 - the public signature, in its documented order
        self,
        code: str | Iterable[str],
        start: str | dt.date | None = None,
        end: str | dt.date | None = None,
        warmup: int = 0,
        num: int = arguments.MAX_ROWS_A_PAGE,
        gateway: str | Iterable[str] | None = None,
        store: str | os.PathLike[str] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        refresh: str = "auto",
        max_pages: int | None = None,
        rsa_key: str | os.PathLike[str] | None = None,
        timeout: float = arguments.DEFAULT_TIMEOUT_S,
        errors: str = "raise",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        first, last = arguments.interval(start, end)
        given: dict[str, Any] = {
            "code": arguments.codes(code),
            "start": first,
            "end": last,
            "warmup": arguments.warmup(warmup, first),
            "num": arguments.rows_a_page(num),
            "gateway": arguments.gateways(gateway),
            "store": arguments.store(store),
            "storage_options": arguments.storage_options(storage_options),
            "refresh": arguments.refresh(refresh, arguments.store(store)),
            "max_pages": arguments.pages(max_pages),
            "rsa_key": arguments.rsa_key(rsa_key),
            "timeout": arguments.seconds(timeout),
            "errors": arguments.errors(errors),
        }
        self._is_panel = isinstance(given["code"], list)
        codes = given["code"] if self._is_panel else [given["code"]]
        self._tickers = [Ticker(Security.parse(one), self.call) for one in codes]
        if self._is_panel:
            self._counted = len(codes)
        self._store: FutuShortStore | None = None
        if given["store"] is not None:
            self._store = FutuShortStore(given["store"], given["storage_options"])
        self._stored: list[StoredTicker] = []
        dtype = schema.dtypes(self._tickers[0].table, panel=self._is_panel)
        super().__init__(given, metadata, dtype)

    # -- reading ----------------------------------------------------------------------------

    def read(self, *, callback: Callback | None = None) -> pd.DataFrame:
        """Read every page into one frame.

        Returns
        -------
        pandas.DataFrame
            One row per trading day, or per report; newest first, on a RangeIndex. ``attrs`` holds
            ``code``, ``market`` and the last page's ``next_key``. For short volume in HK it also
            holds the newest page's ``aggregated_short`` (shares), ``aggregated_short_ratio``
            (percent) and ``new_time_str``. With `warmup` it also holds ``start``.

            The tickers of a panel follow one another in the order of `code`. The ``attrs`` of a
            panel hold ``market``, for short volume in HK ``aggregates`` (JSON, by code), and with
            ``errors="warn"`` the codes left out as ``failed``.

        Raises
        ------
        GatewayError
            When the gateway cannot be reached or refuses; the class of the error says why.
        PaginationError
            When the gateway's cursor loops.
        PanelError
            When some tickers of a panel failed, for whatever reason.
        """
        return super().read(callback=callback)

    def to_dask(self, *, callback: Callback | None = None) -> dd.DataFrame:
        """Give the pages as a Dask DataFrame, one partition per page.

        This call asks the gateway for all pages; the workers never contact it. Without a store
        the partitions carry their rows. With a store the workers read the rows from it when a
        partition is computed, so they must be able to reach the store. Every partition has the
        ``attrs`` of `read`, and the index continues from one partition to the next. ``compute()``
        therefore gives the same frame as `read`.

        Raises
        ------
        ImportError
            When Dask is not installed (``pip install "dask[dataframe]" distributed``).
        """
        from intake_futu_short.dask import carried, dask_frame  # noqa: PLC0415 - heavy, optional

        with self._alone():
            partitions = self._load(callback)
            whole = partitions.frame()
            parts = lazy_parts(self._stored, partitions.attributes(), is_panel=self._is_panel)
            # Without rows there is nothing for a worker to read.
            if not parts:
                return carried(whole, partitions.sizes)
            return dask_frame(read_part, parts, whole.iloc[:0])

    # -- the rows ---------------------------------------------------------------------------

    def _new_partitions(self) -> TickerPartitions | Panel:
        tickers = [self._ticker(ticker) for ticker in self._tickers]
        self._stored = [one for one in tickers if isinstance(one, StoredTicker)]
        if self._is_panel:
            return Panel(tickers, self._run, warns=self._arguments["errors"] == "warn")
        return tickers[0]

    def _forget(self) -> None:
        super()._forget()
        self._stored = []

    def _store_url(self) -> str | None:
        return None if self._store is None else self._store.url

    def _ticker(self, ticker: Ticker) -> TickerPartitions:
        num, origin = self._arguments["num"], self._gateways.origin
        bounds = {name: self._arguments[name] for name in ("start", "end", "max_pages")}
        bounds["warmup"] = self._arguments["warmup"] or 0
        if self._store is None:
            newest = newest_possible(time.time())
            walk = Walk(ticker, num=num, origin=origin, newest_possible=newest, **bounds)
            start = self._arguments["start"] if self._arguments["warmup"] else None
            return WalkedTicker(walk, ticker, self._run, start)
        refresh = self._arguments["refresh"] or "auto"
        updater = Updater(self._store, ticker, num=num, refresh=refresh, origin=origin)
        return StoredTicker(updater, Slices(num, **bounds), self._run)

    def _name(self) -> str:
        first = str(self._tickers[0])
        return f"the panel of {len(self._tickers)} tickers" if self._is_panel else first
