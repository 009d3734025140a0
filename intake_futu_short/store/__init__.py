"""The store: every ticker's history in a Parquet file of its own, on any fsspec file system.

::

    __init__.py        FutuShortStore: arguments, and which tickers they mean
      many.py          many tickers: frames of rows, revisions, what is kept
      writing.py       one ticker: load, save beside other writers, set aside
        parquet.py     a history ↔ the bytes of a file   (pure)
                         footer.py its checksums, state.py what is beside the rows,
                         tables.py columns of Arrow ↔ pandas
        paths.py       a ticker ↔ the path of its file   (pure)
        file_system.py the files below a URL
                         urls.py which can be a store, local_disk.py, object_store.py,
                         process_lock.py where the kernel locks nothing
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from intake_futu_short import arguments, repr_table
from intake_futu_short.calls import SERIES, SHORT_VOLUME, Ticker, series
from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError, StoreError
from intake_futu_short.history.ticker_history import DAY, FIRST_SEEN
from intake_futu_short.security import MARKETS, Security
from intake_futu_short.store import many as store_many
from intake_futu_short.store import paths as store_paths
from intake_futu_short.store import writing
from intake_futu_short.store.file_system import StoreFileSystem

if TYPE_CHECKING:
    import datetime as dt
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    import dask.dataframe as dd
    import pandas as pd

    from intake_futu_short.calls import Call, Table
    from intake_futu_short.history.ticker_history import TickerHistory

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

    def __repr__(self) -> str:
        if not hasattr(self, "_files"):
            return repr_table.refused(self)
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        """URL for people to read, without a password."""
        return self._files.url

    # -- one ticker -------------------------------------------------------------------------

    def load(self, ticker: Ticker) -> TickerHistory | None:
        """Read what is kept of a ticker; None when nothing is.

        Its ``version`` tells `save` what a history was made from: `dataclasses.replace` keeps it.

        Raises
        ------
        CorruptStoreError
            When its file is damaged or is none of the store's; the message names it.
        StoreError
            When the store cannot be read, or another version wrote the file.
        """
        return writing.load(self._files, ticker)

    def version(self, ticker: Ticker) -> str | None:
        """What changes whenever something is saved of a ticker; None when nothing is kept."""
        return self._files.version(store_paths.file_path(ticker))

    def save(self, ticker: Ticker, history: TickerHistory) -> TickerHistory:
        """Keep what is now known of a ticker, in place of the version that it was made from.

        The caller holds the ticker's lock (see `try_lock`). If another process has saved something
        since the history was loaded, the two are merged, and no row of either is lost; where a
        store has neither locks nor conditional writes, as long as they don't save at the very same
        moment.

        Returns
        -------
        TickerHistory
            What is kept now, with its new version.

        Raises
        ------
        StoreError
            When it cannot be written; what was kept before is then unchanged.
        """
        return writing.save(self._files, ticker, history)

    def try_lock(self, ticker: Ticker) -> AbstractContextManager[None] | None:
        """Become the one writer of a ticker, from `load` to `save`; None while another one is.

        On a local disk this keeps out every other process, and one that dies lets go. An object
        store has no locks: only writers of this process are kept apart, and `save` takes in what
        another process has saved meanwhile.

        Raises
        ------
        StoreError
            When the lock file cannot be made.
        """
        return self._files.try_lock(store_paths.writer_path(ticker))

    # -- many -------------------------------------------------------------------------------

    def codes(self, market: str | None = None, *, what: str = SHORT_VOLUME.name) -> list[str]:
        """Codes of which something is kept, sorted.

        Parameters
        ----------
        market : {"HK", "US"}, optional
            None: of both.
        what : {"short_volume", "short_interest"}
            Which series.
        """
        tables = _tables(series(what), market)
        return sorted(ticker.code for table in tables for ticker, _ in self._sizes(table))

    def read(
        self,
        codes: str | Iterable[str] | None = None,
        market: str | None = None,
        start: str | dt.date | None = None,
        end: str | dt.date | None = None,
        columns: Iterable[str] | None = None,
        *,
        what: str = SHORT_VOLUME.name,
        as_of: str | dt.date | None = None,
        aside: bool = False,
        errors: Literal["raise", "warn"] = "raise",
    ) -> pd.DataFrame:
        """Read rows of many tickers of one market into a frame; no gateway is asked.

        Parameters
        ----------
        codes : str or iterable of str, optional
            None: every ticker of the market that the store has, sorted by code.
        market : {"HK", "US"}, optional
            Needed only where neither `codes` nor what is in the store tells it.
        start, end : str, date or Timestamp, optional
            First and last trading day, both inclusive.
        columns : iterable of str, optional
            Of the market's columns, in the order wanted, and perhaps ``first_seen`` (Unix seconds
            at which the store first saw a row; NaN for one that was public before the first
            fill). They come after ``code`` and ``timestamp_str``, which are always there. None: the
            market's columns. What is not wanted is not decoded.
        what : {"short_volume", "short_interest"}
            Which series.
        as_of : str, date or datetime, optional
            Only what the store had seen by then: the rows, with the values that were later revised
            or withdrawn as they were, and the reports. A time with a zone, such as
            ``"2026-01-02T18:00+08:00"``, or a date: the end of that day in the market. A row
            without ``first_seen`` counts as seen at 16:00 market time of its day, a report of short
            interest at that time of its publication. Prices are in today's adjustment.
        aside : bool
            Read what `set_aside` has put aside of `codes`, which must be named, instead of what is
            kept now. Of a code that was set aside more than once all of it, the newest first.
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
        if aside and codes is None:
            raise ConfigError("aside=True reads the codes that are named, such as codes='US.X'")
        tickers, wanted = self._wanted(
            series(what),
            codes,
            market,
            errors=errors,
            start=start,
            end=end,
            columns=columns,
            as_of=as_of,
        )
        sources = self._set_aside(tickers) if aside else _sources(tickers)
        return store_many.read(self._files, sources, wanted, errors)

    def to_dask(
        self,
        codes: str | Iterable[str] | None = None,
        market: str | None = None,
        start: str | dt.date | None = None,
        end: str | dt.date | None = None,
        columns: Iterable[str] | None = None,
        *,
        what: str = SHORT_VOLUME.name,
        as_of: str | dt.date | None = None,
        errors: Literal["raise", "warn"] = "raise",
    ) -> dd.DataFrame:
        """Give what `read` gives as a Dask DataFrame, a partition a ticker.

        Here only the ends of the files are read; each task reads its ticker's file, on whichever
        worker, from the store alone. A partition is a whole ticker, which
        ``ddf.shortvol.by_ticker()`` needs: it has every metric, such as
        ``ddf.shortvol.by_ticker().metrics()``. Columns that nothing uses are not read.

        Every partition bears the ``attrs`` of `read`, but no ``aggregates_history``. The index
        goes on from one partition to the next; with `start`, `end` or `as_of` it has gaps where
        rows are left out. Divisions are unknown.

        Parameters and errors are those of `read`.

        Raises
        ------
        ImportError
            When Dask is not installed (``pip install "dask[dataframe]" distributed``).
        """
        tickers, wanted = self._wanted(
            series(what),
            codes,
            market,
            errors=errors,
            start=start,
            end=end,
            columns=columns,
            as_of=as_of,
        )
        return store_many.to_dask(self._files, _sources(tickers), wanted, errors)

    def revisions(
        self,
        codes: str | Iterable[str] | None = None,
        market: str | None = None,
        *,
        what: str = SHORT_VOLUME.name,
        errors: Literal["raise", "warn"] = "raise",
    ) -> pd.DataFrame:
        """List what the gateway has revised since the store first saw it.

        Parameters
        ----------
        codes, market, what, errors
            As in `read`, but without either those of both markets are listed.

        Returns
        -------
        pandas.DataFrame
            ``code``; ``day``, the trading day of the row; ``column``, whose value was replaced, or
            ``"(row)"`` for a row that was withdrawn; ``old`` and ``new``, the numbers before and
            after, None for a missing one; ``seen``, when the new one was first seen (Unix seconds).
            Of a withdrawn row ``old`` is a dict of all its values. A ticker after the other, each
            in the order of ``seen``. Prices, which every dividend changes, are not listed.

        Raises
        ------
        ConfigError, StoreError, PanelError
            As in `read`.
        """
        arguments.errors(errors)
        call = series(what)
        tables = _tables(call, market)
        if codes is not None:
            tickers = _of_codes(call, codes, tables)
        else:
            tickers = sorted((t for each in tables for t, _ in self._sizes(each)), key=_code)
            if not tickers:
                raise self._nothing_kept(tables)
        return store_many.revisions(self._files, _sources(tickers), errors)

    def verify(
        self,
        codes: str | Iterable[str] | None = None,
        market: str | None = None,
        *,
        what: str = SHORT_VOLUME.name,
    ) -> pd.DataFrame:
        """Read every file, and say of each whether it is sound, complete, and adds up.

        `intake_futu_short.verifying.verify` describes the answer.
        """
        from intake_futu_short.verifying import verify  # noqa: PLC0415 - stands above this module

        return verify(self, codes, market, what=what)

    def set_aside(self, code: str, *, what: str = SHORT_VOLUME.name) -> str:
        """Move what is kept of a code to a file of its own; the next sync starts anew.

        This is for a code that now belongs to another security, whose rows must not be joined with
        those of the one before. ``read(code, aside=True)`` reads what was set aside.

        Returns
        -------
        str
            URL of the file.

        Raises
        ------
        ConfigError
            When it is no code.
        StoreError
            When nothing is kept of it, somebody is writing it, or the store cannot be written.
        """
        ticker = Ticker(Security.parse(code), series(what))
        if self.version(ticker) is None:  # before the lock, which would make a mistyped directory
            raise StoreError(f"{self.url} holds nothing of {ticker} that could be set aside")
        lock = self.try_lock(ticker)
        if lock is None:
            raise StoreError(
                f"{self.url}: {ticker} is being synced. Wait for that or end it, and try again"
            )
        with lock:
            return self._files.show(writing.set_aside(self._files, ticker))

    def info(
        self,
        market: str | None = None,
        errors: Literal["raise", "warn"] = "raise",
        *,
        what: str = SHORT_VOLUME.name,
    ) -> pd.DataFrame:
        """Say what is kept, a row a ticker, sorted by code; only the ends of files are read.

        Parameters
        ----------
        market : {"HK", "US"}, optional
            None: of both.
        errors : {"raise", "warn"}
            As in `read`.
        what : {"short_volume", "short_interest"}
            Which series.

        Returns
        -------
        pandas.DataFrame
            ``code``; ``rows``; ``first`` and ``last`` trading day; ``complete``, whether it was
            walked to the end; ``checked``, when the gateway was last asked (UTC, NaT: never);
            ``size_bytes``.

        Raises
        ------
        StoreError
            When nothing is kept, or the store cannot be read.
        PanelError
            When files of tickers cannot be read.
        """
        arguments.errors(errors)
        tables = _tables(series(what), market)
        sizes = {t: size for table in tables for t, size in self._sizes(table)}
        if not sizes:
            raise self._nothing_kept(tables)
        by_code = {ticker.code: size for ticker, size in sizes.items()}
        sources = _sources(sorted(sizes, key=_code))
        return store_many.info(self._files, by_code, sources, errors)

    def _sizes(self, table: Table) -> list[tuple[Ticker, int]]:
        """Every ticker of a market that has a file, and how long that is, in bytes."""
        found = self._files.find(store_paths.market_path(table))
        kept = []
        for path, size in found.items():
            ticker = store_paths.ticker_at(path, SERIES[table.call_name])
            if ticker is not None:
                kept.append((ticker, size))
            elif path.endswith(f"/{store_paths.FILE_NAME}"):
                # Left out it could be rows that are missing, of a listing that is wrong.
                raise StoreError(
                    f"{self._files.show(path)} lies where this store keeps no ticker. Move it out "
                    f"of the directory, or use another one as a store"
                )
        return kept

    def _nothing_kept(self, tables: Sequence[Table]) -> StoreError:
        what = f"no {SERIES[tables[0].call_name].title}"
        if len(tables) == 1:
            what += f" of {tables[0].market.name}"
        return StoreError(
            f"{self.url}: {what} is kept there. Is the path as it was when tickers were synced? "
            "If it is new, sync some tickers first"
        )

    def _wanted(
        self,
        call: Call,
        codes: str | Iterable[str] | None,
        market: str | None,
        *,
        errors: str,
        start: str | dt.date | None = None,
        end: str | dt.date | None = None,
        columns: Iterable[str] | None = None,
        as_of: str | dt.date | None = None,
    ) -> tuple[list[Ticker], store_many.Selection]:
        """Check the arguments of a reading, and find out which tickers it means."""
        arguments.errors(errors)
        first, last = arguments.interval(start, end)
        tables = _tables(call, market)
        if codes is None:
            table, tickers = self._of_one_market(tables)
        else:
            tickers = _of_codes(call, codes, tables)
            table = tickers[0].table
        return tickers, store_many.Selection(
            table,
            _columns(columns, table),
            first,
            last,
            arguments.moment("as_of", as_of, table.market),
        )

    def _set_aside(self, tickers: Sequence[Ticker]) -> list[tuple[Ticker, str]]:
        """Files that were set aside of tickers, of each the newest first."""
        sources: list[tuple[Ticker, str]] = []
        for ticker in tickers:
            paths = sorted(self._files.find(store_paths.aside_path(ticker)), reverse=True)
            if not paths:
                raise StoreError(f"{self.url}: nothing of {ticker} was set aside there")
            sources += [(ticker, path) for path in paths]
        return sources

    def _of_one_market(self, tables: Sequence[Table]) -> tuple[Table, list[Ticker]]:
        kept = [(table, [ticker for ticker, _ in self._sizes(table)]) for table in tables]
        kept = [(table, tickers) for table, tickers in kept if tickers]
        if not kept:
            raise self._nothing_kept(tables)
        if len(kept) > 1:
            markets = " and ".join(table.market.name for table, _ in kept)
            raise ConfigError(
                f"{self.url} holds {markets}, whose columns differ: name one of them, such as "
                "market='HK'"
            )
        [(table, tickers)] = kept
        return table, sorted(tickers, key=_code)


def _code(ticker: Ticker) -> str:
    return ticker.code


def _sources(tickers: Iterable[Ticker]) -> list[tuple[Ticker, str]]:
    return [(ticker, store_paths.file_path(ticker)) for ticker in tickers]


def _of_codes(call: Call, codes: object, tables: Sequence[Table]) -> list[Ticker]:
    """The tickers named, which must be of one market; of that of `tables`, where it is one."""
    securities = [Security.parse(code) for code in arguments.any_codes(codes)]
    named = [table.market for table in tables] if len(tables) == 1 else []
    markets = list(dict.fromkeys([*(security.market for security in securities), *named]))
    if len(markets) != 1 or not securities:
        raise ConfigError(
            "codes must name at least one ticker, all of one market; these are of "
            f"{' and '.join(m.name for m in markets) or 'none'}: read one market at a time"
        )
    return [Ticker(security, call) for security in securities]


def _tables(call: Call, market: object) -> list[Table]:
    """What a call gives for the market of that name; for each market where none is named."""
    if market is None:
        return list(call.tables.values())
    if not isinstance(market, str) or market not in MARKETS:
        raise ConfigError(
            f"market must be one of {', '.join(sorted(MARKETS))}, not {described(market)}"
        )
    return [call.table(MARKETS[market])]


def _columns(columns: Iterable[str] | None, table: Table) -> tuple[str, ...]:
    if columns is None:
        return tuple(table.frame_names)
    given = arguments.listed(columns)
    if given is None:
        raise ConfigError(f"columns must be a list of names, such as ['volume'], not {columns!r}")
    # The code is always there, and so is the day.
    wanted: tuple[Any, ...] = tuple(name for name in given if name not in ("code", DAY))
    known = [*table.frame_names, FIRST_SEEN]
    if any(name not in known for name in wanted) or len(set(wanted)) < len(wanted):
        raise ConfigError(
            f"columns must be names out of {', '.join(known)}, each once, not "
            f"{', '.join(map(described, given[:5]))}"
        )
    return (DAY, *wanted)
