"""The store: every ticker's history in a Parquet file of its own, on any fsspec file system."""

from __future__ import annotations

from collections.abc import Iterable
from threading import get_ident
from typing import TYPE_CHECKING, Any, Literal

from intake_futu_short import arguments
from intake_futu_short.calls import SHORT_VOLUME, Ticker
from intake_futu_short.errors import ConfigError, StoreError
from intake_futu_short.security import MARKETS, Security
from intake_futu_short.store import files as store_files
from intake_futu_short.store import paths as store_paths
from intake_futu_short.store import universe
from intake_futu_short.store.file_system import StoreFileSystem
from intake_futu_short.store.publishing import Seen, publish

if TYPE_CHECKING:
    import datetime as dt
    import os
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    import dask.dataframe as dd
    import pandas as pd

    from intake_futu_short.calls import Table
    from intake_futu_short.history.ticker_history import TickerHistory
    from intake_futu_short.security import Market

__all__ = ["FutuShortStore"]


class FutuShortStore:
    """Histories of tickers below a URL. Making one does no I/O.

    Parameters
    ----------
    url : str or path
        A local directory or a URL of fsspec, such as ``"s3://bucket/short"``. It need not exist.
    storage_options : mapping, optional
        What fsspec passes to the file system, credentials for instance; never shown.

    Raises
    ------
    ConfigError
        When the URL or the options cannot work, or what the protocol needs is not installed.
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._files = StoreFileSystem(url, storage_options)
        # By thread, because each saves what came of its own `load`.
        self._loaded: dict[tuple[int, str], Seen] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __getstate__(self) -> dict[str, Any]:
        # What threads here have loaded is nothing to another process, to which every task goes.
        return {**vars(self), "_loaded": {}}

    @property
    def url(self) -> str:
        """URL for people to read, without a password."""
        return self._files.url

    # -- one ticker -------------------------------------------------------------------------

    def load(self, ticker: Ticker) -> TickerHistory | None:
        """Read what is kept of a ticker; None when nothing is.

        Raises
        ------
        CorruptStoreError
            When its file is damaged or is none of the store's; the message names it.
        StoreError
            When the store cannot be read, or another version wrote the file.
        """
        path = store_paths.file_path(ticker)
        content = self._files.get(path)
        self._loaded[get_ident(), path] = Seen.of(content)
        if content is None:
            return None
        return store_files.decode(content, ticker, self._files.show(path))

    def version(self, ticker: Ticker) -> str | None:
        """What changes whenever something is published of a ticker; None when nothing is kept."""
        return self._files.version(store_paths.file_path(ticker))

    def save(self, ticker: Ticker, history: TickerHistory) -> TickerHistory:
        """Publish what is now known of a ticker: whole, or not at all.

        The caller holds the ticker's lock since it loaded (see `try_lock`). On a file system
        without locks another host may have published something meanwhile. The two histories are
        then merged, and no row of either is lost; `store.publishing` has the rule.

        Returns
        -------
        TickerHistory
            What was published.

        Raises
        ------
        StoreError
            When it cannot be written; what was kept before is then unchanged.
        """
        ours = (get_ident(), store_paths.file_path(ticker))
        seen = self._loaded.get(ours, Seen())
        history, self._loaded[ours] = publish(self._files, ticker, history, seen)
        return history

    def try_lock(self, ticker: Ticker) -> AbstractContextManager[None] | None:
        """Become the one writer of a ticker, from `load` to `save`; None while another one is.

        On a local disk this keeps out every other process of the host, and a process that dies
        lets go. An object store has no locks: only writers of this process are kept apart, and
        `save` takes in what another process has published meanwhile.

        Raises
        ------
        StoreError
            When the lock file cannot be made.
        """
        return self._files.try_lock(store_paths.writer_path(ticker))

    # -- many -------------------------------------------------------------------------------

    def codes(self, market: str | None = None) -> list[str]:
        """Codes of which something is kept, sorted.

        Parameters
        ----------
        market : {"HK", "US"}, optional
            None: of both.
        """
        markets = MARKETS.values() if market is None else [_market(market)]
        return sorted(ticker.code for m in markets for ticker, _ in self._sizes(m))

    def read(
        self,
        codes: str | Sequence[str] | None = None,
        market: str | None = None,
        start: str | dt.date | None = None,
        end: str | dt.date | None = None,
        columns: Sequence[str] | None = None,
        *,
        errors: Literal["raise", "warn"] = "raise",
    ) -> pd.DataFrame:
        """Read rows of many tickers of one market into a frame; no gateway is asked.

        Parameters
        ----------
        codes : str or sequence of str, optional
            None: every ticker of the market that the store has, sorted by code.
        market : {"HK", "US"}, optional
            Needed only where neither `codes` nor what is in the store tells it.
        start, end : str, date or Timestamp, optional
            First and last trading day, both inclusive.
        columns : sequence of str, optional
            Of the market's columns, in the order wanted. None: all. What is not wanted is not
            decoded.
        errors : {"raise", "warn"}
            Whether tickers that cannot be read are an error or are left out with a warning and
            named in ``attrs["failed"]``.

        Returns
        -------
        pandas.DataFrame
            ``code``, then the columns; a ticker after the other in the order of `codes`, each
            one's newest row first, on a RangeIndex. ``attrs`` holds ``market`` and, for HK,
            ``aggregates`` and ``aggregates_history``: the newest report of each ticker, and all
            that were seen (``df.shortvol.aggregates`` and ``aggregates_history()`` read them).

        Raises
        ------
        ConfigError
            For an argument that cannot work.
        StoreError
            When nothing is kept, or the store cannot be read.
        PanelError
            When tickers cannot be read, or are not in the store; its ``partial`` has the others.
        """
        tickers, wanted = self._wanted(codes, market, start, end, columns, errors=errors)
        return universe.read(self._files, tickers, wanted, errors)

    def to_dask(
        self,
        codes: str | Sequence[str] | None = None,
        market: str | None = None,
        start: str | dt.date | None = None,
        end: str | dt.date | None = None,
        columns: Sequence[str] | None = None,
        *,
        errors: Literal["raise", "warn"] = "raise",
    ) -> dd.DataFrame:
        """Give what `read` gives as a Dask DataFrame, a partition a ticker.

        Here only the ends of the files are read; each task reads its ticker's file, on whichever
        worker, from the store alone. A partition is a whole ticker, so metrics go through
        ``map_partitions``: ``ddf.map_partitions(lambda df: df.shortvol.metrics())``.

        Every partition bears the ``attrs`` of `read`, but no ``aggregates_history``. The index
        goes on from one partition to the next; with `start` or `end` it has gaps where rows are
        left out. Divisions are unknown.

        Parameters and errors are those of `read`.

        Raises
        ------
        ImportError
            When Dask is not installed (``pip install "intake-futu-short[dask]"``).
        """
        tickers, wanted = self._wanted(codes, market, start, end, columns, errors=errors)
        return universe.to_dask(self._files, tickers, wanted, errors)

    def info(
        self, market: str | None = None, errors: Literal["raise", "warn"] = "raise"
    ) -> pd.DataFrame:
        """Say what is kept, a row a ticker, sorted by code; only the ends of files are read.

        Parameters
        ----------
        market : {"HK", "US"}, optional
            None: of both.
        errors : {"raise", "warn"}
            As in `read`.

        Returns
        -------
        pandas.DataFrame
            ``code``; ``rows``; ``first`` and ``last`` trading day; ``complete``, whether it was
            walked to the end; ``checked``, when the gateway was last asked (UTC, NaT: never);
            ``size_bytes``.
        """
        arguments.errors(errors)
        markets = MARKETS.values() if market is None else [_market(market)]
        sizes = {ticker: size for m in markets for ticker, size in self._sizes(m)}
        tickers = sorted(sizes, key=_code)
        by_code = {ticker.code: size for ticker, size in sizes.items()}
        return universe.info(self._files, by_code, tickers, errors)

    def _sizes(self, market: Market) -> list[tuple[Ticker, int]]:
        """Every ticker of a market that has a file, and how long that is, in bytes."""
        found = self._files.find(store_paths.market_path(SHORT_VOLUME.table(market)))
        tickers = [(store_paths.ticker_at(path, SHORT_VOLUME), path) for path in found]
        return [(t, int(found[path]["size"])) for t, path in tickers if t is not None]

    def _wanted(
        self,
        codes: str | Sequence[str] | None,
        market: str | None,
        start: str | dt.date | None,
        end: str | dt.date | None,
        columns: Sequence[str] | None,
        *,
        errors: str,
    ) -> tuple[list[Ticker], universe.Selection]:
        """Check the arguments of a reading, and find out which tickers it means."""
        arguments.errors(errors)
        first, last = arguments.interval(start, end)
        named = None if market is None else _market(market)
        if codes is None:
            found, tickers = self._of_one_market(named)
        else:
            found, tickers = _of_codes(codes, named)
        table = SHORT_VOLUME.table(found)
        return tickers, universe.Selection(table, _columns(columns, table), first, last)

    def _of_one_market(self, named: Market | None) -> tuple[Market, list[Ticker]]:
        kept = {
            market.name: [ticker for ticker, _ in self._sizes(market)]
            for market in (MARKETS.values() if named is None else [named])
        }
        markets = [name for name in kept if kept[name]] if named is None else [named.name]
        if not markets:
            raise StoreError(f"{self.url}: nothing is kept there; sync some tickers first")
        if len(markets) > 1:
            raise ConfigError(
                f"{self.url} holds {' and '.join(markets)}, whose columns differ: name one of "
                "them, such as market='HK'"
            )
        return MARKETS[markets[0]], sorted(kept[markets[0]], key=_code)


def _code(ticker: Ticker) -> str:
    return ticker.code


def _of_codes(codes: str | Sequence[str], named: Market | None) -> tuple[Market, list[Ticker]]:
    given = _each("codes", codes, "['HK.00700']") if not isinstance(codes, str) else [codes]
    securities = list(dict.fromkeys(Security.parse(code) for code in given))
    markets = list(dict.fromkeys([*(s.market for s in securities), *([named] if named else [])]))
    if len(markets) != 1:
        raise ConfigError(
            "codes must name at least one ticker, all of one market; these are of "
            f"{' and '.join(m.name for m in markets) or 'none'}: read one market at a time"
        )
    return markets[0], [Ticker(security, SHORT_VOLUME) for security in securities]


def _market(name: object) -> Market:
    if not isinstance(name, str) or name not in MARKETS:
        raise ConfigError(f"market must be one of {', '.join(sorted(MARKETS))}, not {name!r}")
    return MARKETS[name]


def _columns(columns: Sequence[str] | None, table: Table) -> tuple[str, ...]:
    if columns is None:
        return tuple(table.column_names)
    if isinstance(columns, str):
        raise ConfigError(f"columns must be a list of names, such as [{columns!r}]")
    # The code is always there.
    given = _each("columns", columns, "['volume']")
    wanted: tuple[Any, ...] = tuple(name for name in given if name != "code")
    unknown = [name for name in wanted if name not in table.column_names]
    if unknown or len(set(wanted)) < len(wanted):
        raise ConfigError(
            f"columns must be names out of {', '.join(table.column_names)}, each once, not "
            f"{given!r}"
        )
    return wanted


def _each(name: str, values: object, example: str) -> list[object]:
    if not isinstance(values, Iterable):
        raise ConfigError(f"{name} must be a list, such as {example}, not {values!r}")
    return list(values)
