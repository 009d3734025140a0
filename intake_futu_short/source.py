"""The Intake driver: tickers as a source whose partitions are the gateway's pages."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import threading
import time
from operator import index
from typing import TYPE_CHECKING, Any

from intake.source.base import DataSource, Schema

import intake_futu_short.accessor  # noqa: F401 - df.shortvol on what is read, also without the package
from intake_futu_short import __version__, arguments, progress, repr_table, schema, source_repr
from intake_futu_short.calls import SHORT_VOLUME, Ticker
from intake_futu_short.history.update import Updater
from intake_futu_short.metrics.aggregates import aggregates_history
from intake_futu_short.partitions import Panel, WalkedTicker
from intake_futu_short.reading import gateway_urls, open_gateways, read
from intake_futu_short.security import Security
from intake_futu_short.store import FutuShortStore
from intake_futu_short.stored import Slices, StoredTicker, lazy_parts, read_part
from intake_futu_short.walk import Walk, newest_possible

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping, Sequence

    import dask.dataframe as dd
    import pandas as pd
    from fsspec.callbacks import Callback
    from typing_extensions import Self

    from intake_futu_short.partitions import Job, TickerPartitions
    from intake_futu_short.progress import Display

__all__ = ["FutuShortSource"]


class FutuShortSource(DataSource):  # type: ignore[misc]  # Intake has no types
    """Daily short volume of a US or HK stock or fund, or of several of one market: a panel.

    Partition *i* is the gateway's *i*-th page, newest first. Making a source, ``with source:`` and
    every attribute do no I/O; `read_partition` walks only as far as it must; `discover`, `read`
    and `to_dask` walk to the end, several tickers at a time. A page walked is kept until `close`.
    The partitions of a panel are the pages of its first ticker, then those of the next.

    A read that takes longer shows a bar when standard error is a terminal, or in a notebook.
    `read`, `discover` and `to_dask` take ``callback=``, one of ``fsspec.callbacks``, which is then
    told instead: pages of one ticker, tickers of a panel (with their number as its size). A wait
    for the gateway's limit calls its hook ``"waiting"`` with ``seconds`` and ``until``.

    Parameters
    ----------
    code : str or list of str
        ``"US.<symbol>"`` or ``"HK.<symbol>"``, such as ``"HK.00700"``. A list, of one market,
        makes a panel, which has a first column ``code``; a code named twice is read once.
    start, end : str, date or Timestamp, optional
        First and last trading day wanted, both inclusive, in the market's own calendar:
        ``"2026-01-02"``, ``"20260102"``, ``"2026/01/02"`` or a date object.
    warmup : int, default 0
        So many trading days (rows of a ticker) before `start` are returned as well, for windows to
        look back on; fewer where the history begins later. ``attrs["start"]`` is `start` then, and
        windowed metrics answer from that day on. Needs `start`.
    num : int, default 50
        Rows a page, 1 to 50.
    gateway : str or list of str, optional
        ``"opend://HOST:PORT"``, or ``"sample://"`` for the examples that come with the package.
        None takes the environment variable ``FUTU_OPEND``, else ``opend://127.0.0.1:11111``.
        Several share the work, each within its own limit; one that is down is left out.
    store : str or path, optional
        Directory, or URL of fsspec, where the history is kept (a `FutuShortStore`): each read asks
        the gateway only for what is new. None keeps nothing.
    storage_options : dict, optional
        What fsspec passes to the file system. ``yaml()`` prints it (``repr`` its names only):
        leave secrets to the environment or to the file system's own files.
    refresh : {"auto", "always", "full", "never"}, default "auto"
        With a store, when the gateway is asked: when there can be anything new (not within two
        hours, nor while the newest row held is of the newest session); at every first read; for
        all of the history, which shows late revisions of old rows; or never, which reads the store
        alone and needs no gateway.
    max_pages : int, optional
        Read no more than the newest so many pages, those of `warmup` included.
    rsa_key : str or path, optional
        File with the RSA private key (PEM) that OpenD is set to; the connection is then encrypted.
        The path is what ``yaml()`` and ``repr`` print. Needs the extra ``[encryption]``.
    timeout : float, default 12
        Seconds to wait for each answer; a connection gets 5 seconds at most.
    errors : {"raise", "warn"}, default "raise"
        What a ticker of a panel that fails does once the others are read: a `PanelError`, or a
        `PanelWarning`, and ``attrs["failed"]`` names it. An error of the gateway as a whole, or of
        a single `code`, is raised as it is.
    metadata : dict, optional
        Kept beside the data; `discover` adds what the gateway says of the ticker to a copy.

    Attributes
    ----------
    dtype : dict of str to str
        Name of each column's dtype; known without I/O.
    npartitions : int or None
        Pages; None until the walk has reached its end.
    shape : tuple of int or None
        Rows and columns; None until then.

    Raises
    ------
    ConfigError
        For an argument that cannot work, before any I/O.
    """

    name = "futu_short"
    version = __version__
    container = "dataframe"
    partition_access = True

    def __init__(  # noqa: PLR0917 - the public signature, in its documented order
        self,
        code: str | Sequence[str],
        start: str | dt.date | None = None,
        end: str | dt.date | None = None,
        warmup: int = 0,
        num: int = arguments.MAX_ROWS_A_PAGE,
        gateway: str | Sequence[str] | None = None,
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
        urls = [url.with_rsa_key(given["rsa_key"]) for url in gateway_urls(given["gateway"])]
        self._is_panel = isinstance(given["code"], list)
        codes = given["code"] if self._is_panel else [given["code"]]
        self._tickers = [Ticker(Security.parse(one), SHORT_VOLUME) for one in codes]
        self._table = self._tickers[0].table
        self._arguments = given
        self._given_metadata = arguments.metadata(metadata)
        super().__init__(storage_options={}, metadata=copy.deepcopy(self._given_metadata))
        # Intake prints, pickles, compares and copies sources by these.
        self._captured_init_args = ()
        self._captured_init_kwargs = {k: v for k, v in given.items() if v is not None}
        if self._given_metadata:
            self._captured_init_kwargs["metadata"] = self._given_metadata

        self._locks: dict[int, threading.RLock] = {}  # by process
        self._process = os.getpid()
        self._gateways = open_gateways(urls, given["timeout"])
        self._display: Display | None = None
        self._partitions: TickerPartitions | Panel | None = None
        self._store: FutuShortStore | None = None
        if given["store"] is not None:
            self._store = FutuShortStore(given["store"], given["storage_options"])
        self._stored: list[StoredTicker] = []
        self.dtype = schema.dtypes(self._table, panel=self._is_panel)
        self.npartitions = None

    # -- reading ----------------------------------------------------------------------------

    def read(self, *, callback: Callback | None = None) -> pd.DataFrame:
        """Read every page into one frame.

        Returns
        -------
        pandas.DataFrame
            A row a trading day, newest first, on a RangeIndex. ``attrs`` holds ``code``,
            ``market``, the last page's ``next_key`` and, for HK, the newest page's
            ``aggregated_short`` (shares), ``aggregated_short_ratio`` (percent) and
            ``new_time_str``; with `warmup` also ``start``.
            A panel has its tickers one below the other, in the order of `code`;
            its ``attrs`` hold ``market``, for HK ``aggregates`` (JSON, by code), and with
            ``errors="warn"`` the codes left out as ``failed``.

        Raises
        ------
        GatewayError
            When the gateway cannot be asked or answers no; the subclass says why.
        PaginationError
            When the gateway's cursor loops.
        PanelError
            When some tickers of a panel failed, for whatever reason.
        """
        with self._alone():
            return self._load(callback).frame()

    def read_partition(self, i: int) -> pd.DataFrame:
        """Read one page, walking no farther than it.

        Parameters
        ----------
        i : int
            0 is the newest.

        Returns
        -------
        pandas.DataFrame
            As `read` gives it, with the page's own ``next_key`` and aggregates in ``attrs``.

        Raises
        ------
        IndexError
            When there are fewer pages.
        """
        number = index(i)
        part = self._partition(number) if number >= 0 else None
        if part is None:
            known = f"has {self.npartitions} partitions" if number >= 0 else "counts from 0"
            raise IndexError(f"partition {number} is out of range: {self._name()} {known}")
        return part

    def read_chunked(self) -> Iterator[pd.DataFrame]:
        """Yield the pages one by one, each as soon as it is there."""
        number = 0
        while (part := self._partition(number)) is not None:
            yield part
            number += 1

    def discover(self, *, callback: Callback | None = None) -> dict[str, Any]:
        """Walk to the end, and say what there is.

        Returns
        -------
        dict
            ``dtype``, ``shape``, ``npartitions`` (exact) and ``metadata``, which holds the same
            values as ``read().attrs``.
        """
        with self._alone():
            self._load(callback)
            info: dict[str, Any] = super().discover()
        # What a caller does to it must not change the source.
        return copy.deepcopy(info)

    def to_dask(self, *, callback: Callback | None = None) -> dd.DataFrame:
        """Give the pages as a Dask DataFrame, a partition a page.

        The walk happens here, once, where the gateway is; workers do not contact it. Without a
        store the partitions carry their rows; over a store they are read from it when they are
        computed, so it must be where the workers can reach it. Every partition bears the
        ``attrs`` of `read`, and the index goes on from one to the next, so that ``compute()`` gives
        what `read` gives.

        Raises
        ------
        ImportError
            When Dask is not installed (``pip install "intake-futu-short[dask]"``).
        """
        from intake_futu_short.dask import carried, dask_frame  # noqa: PLC0415 - heavy, optional

        with self._alone():
            partitions = self._load(callback)
            whole = partitions.frame()
            parts = lazy_parts(self._stored, partitions.attributes(), is_panel=self._is_panel)
            # Without rows there is nothing that a worker could read.
            if not parts:
                return carried(whole, partitions.sizes)
            return dask_frame(read_part, parts, whole.iloc[:0])

    def aggregates(self) -> dict[str, Any]:
        """Reported open short position of an HK ticker, as of now.

        Asks for the newest page if no page was read yet.

        Returns
        -------
        dict
            ``aggregated_short`` (shares), ``aggregated_short_ratio`` (percent) and
            ``new_time_str``; None where the gateway sends none, all three for US. Of a panel a
            dict of such dicts by code.
        """
        with self._alone():
            aggregates = self._open().aggregates()
            self._close_connections()
            return aggregates

    def aggregates_history(self) -> pd.DataFrame:
        """Reported open short positions of HK tickers, each that the store has seen.

        Asks for the newest page if no page was read yet. Without a store there is the one of now.

        Returns
        -------
        pandas.DataFrame
            As ``df.shortvol.aggregates_history()`` gives it.
        """
        with self._alone():
            partitions = self._open()
            partitions.aggregates()
            self._close_connections()
            frame = schema.to_frame([], self._table)
            frame.attrs.update(partitions.attributes())
        return aggregates_history(frame)

    # -- Intake's hooks ---------------------------------------------------------------------

    def _get_schema(self) -> Schema:
        with self._alone():
            partitions = self._open()
            if not partitions.is_finished:
                partitions.load()
            self._close_connections()
        return Schema(
            dtype=self.dtype,
            shape=(sum(partitions.sizes), len(self.dtype)),
            npartitions=len(partitions.sizes),
            extra_metadata=partitions.attributes(),
        )

    def _get_partition(self, i: int) -> pd.DataFrame:
        return self.read_partition(i)

    def _close(self) -> None:
        # Before the lock: a read that another thread is in ends with this.
        if self._process == os.getpid():
            self._gateways.stop()
        with self._alone():
            self._gateways.close()
            self._partitions = None
            self._stored = []
            self._schema = None
            self.npartitions = None
            self.shape = None
            self.metadata = copy.deepcopy(self._given_metadata)

    def __enter__(self) -> Self:
        # Intake would load the metadata here, which means walking every page.
        return self

    # -- a source is a value that its arguments describe -------------------------------------

    def __repr__(self) -> str:
        return repr_table.as_text(*self._shown())

    def _repr_html_(self) -> str:
        return repr_table.as_html(*self._shown())

    # Intake's own, which notebooks prefer, would print yaml().
    _ipython_display_ = None

    def _shown(self) -> tuple[str, dict[str, str]]:
        """Title and facts. No lock: another thread may be at a long read."""
        title = f"{type(self).__name__}: daily short volume"
        if not hasattr(self, "_stored"):  # the last that is set: a debugger may look before
            return title, {"state": "not made, its arguments were refused"}
        store_url = None if self._store is None else self._store.url
        return title, source_repr.facts(
            self._arguments, self._gateways.origin, store_url, self._partitions
        )

    def _yaml(self) -> dict[str, Any]:
        given = {k: v for k, v in self._captured_init_kwargs.items() if k != "metadata"}
        # Where a catalog lay is Intake's note for this process; it is of no use to others.
        metadata = {k: v for k, v in self._given_metadata.items() if k != "catalog_dir"}
        return {
            "sources": {
                self.name: {
                    "driver": self.classname,
                    "description": self.description or "",
                    "metadata": metadata,
                    "args": given,
                }
            }
        }

    def __getstate__(self) -> dict[str, Any]:
        return {
            "args": (),
            "kwargs": self._captured_init_kwargs,
            "name": self.name,
            "description": self.description,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["kwargs"])  # type: ignore[misc]  # how Intake rebuilds its sources
        self.name = state["name"]
        self.description = state["description"]

    def _value(self) -> tuple[str, str]:
        """What it is compared by: two that differ in nothing but an order are the same."""
        return self.classname, json.dumps(self._arguments, sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FutuShortSource) and self._value() == other._value()

    def __hash__(self) -> int:
        return hash(self._value())

    def __dask_tokenize__(self) -> object:
        return self._value()

    # -- the rows ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Alone at the walk. A forked child, whose parent may hold its own lock, has another."""
        with self._locks.setdefault(os.getpid(), threading.RLock()):
            self._process = os.getpid()
            yield

    def _partition(self, number: int) -> pd.DataFrame | None:
        """Partition `number`, reading on if need be; None when there are fewer."""
        with self._alone():
            partitions = self._open()
            part = partitions.get(number)
            if partitions.is_finished:
                self._load_metadata()
            self._close_connections()
            return part

    def _load(self, callback: Callback | None = None) -> TickerPartitions | Panel:
        """Read to the end, from where on the shape is known."""
        partitions = self._open()
        tickers = len(self._tickers) if self._is_panel else None
        try:
            with progress.shown(callback, tickers) as self._display:
                partitions.load()
        finally:
            self._display = None
            self._gateways.close()
        self._load_metadata()
        return partitions

    def _close_connections(self) -> None:
        """Close the connections, unless pages are missing that may be asked for over them."""
        if self._partitions is None or self._partitions.is_finished:
            self._gateways.close()

    def _run(self, jobs: Mapping[str, Job]) -> dict[str, Exception]:
        _, failures = read(jobs, self._gateways, self._display)
        return failures

    def _open(self) -> TickerPartitions | Panel:
        if self._partitions is None:
            tickers = [self._ticker(ticker) for ticker in self._tickers]
            self._stored = [one for one in tickers if isinstance(one, StoredTicker)]
            warns = self._arguments["errors"] == "warn"
            self._partitions = (
                Panel(tickers, self._run, warns=warns) if self._is_panel else tickers[0]
            )
        return self._partitions

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
