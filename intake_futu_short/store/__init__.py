"""The store keeps each ticker's history in its own Parquet file, on any fsspec file system.

::

    __init__.py        FutuShortStore: arguments, and which tickers they mean
      many.py          many tickers: frames of rows, revisions, what is kept
      writing.py       one ticker: load, save beside other writers, set aside
        parquet.py     a history ↔ the bytes of a file   (pure)
                         footer.py its checksums, state.py what is beside the rows,
                         tables.py columns of Arrow ↔ pandas
        paths.py       a ticker ↔ the path of its file   (pure)
        file_system.py the files below a URL
                         urls.py which URLs can be a store, local_disk.py, object_store.py,
                         process_lock.py for file systems without locks
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
    """Stored histories of tickers. Making a store object does no I/O.

    Parameters
    ----------
    url : str or path
        A local directory or an fsspec URL, such as ``"s3://bucket/short"``. It need not exist yet.
    storage_options : mapping, optional
        Options that fsspec passes to the file system, such as credentials. They are never shown.

    Raises
    ------
    ConfigError
        When the URL or the options cannot work, or a package that the protocol needs is not
        installed.
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

    def _repr_html_(self) -> str:
        facts = {"state": repr_table.REFUSED}
        if hasattr(self, "_files"):
            place = "a local directory" if self._files.is_local else "reached through fsspec"
            facts = {"url": self.url, "place": place}
        return repr_table.as_html(f"{type(self).__name__}: histories of tickers", facts)

    @property
    def url(self) -> str:
        """URL of the store without its password, for people to read."""
        return self._files.url

    # -- one ticker -------------------------------------------------------------------------

    def load(self, ticker: Ticker) -> TickerHistory | None:
        """Read the history of a ticker; None when there is none.

        Its ``version`` tells `save` which stored state the history was made from.
        `dataclasses.replace` keeps it.

        Raises
        ------
        CorruptStoreError
            When the ticker's file is damaged, or was not written by a store. The message names it.
        StoreError
            When the store cannot be read, or another version wrote the file.
        """
        return writing.load(self._files, ticker)

    def version(self, ticker: Ticker) -> str | None:
        """Version of a ticker's file, which changes at every save; None when there is no file."""
        return self._files.version(store_paths.file_path(ticker))

    def save(self, ticker: Ticker, history: TickerHistory) -> TickerHistory:
        """Save the history of a ticker, in place of the version that it was made from.

        The caller must hold the ticker's lock (see `try_lock`). If another process has saved the
        ticker since this history was loaded, the two histories are merged, and no row of either is
        lost. On a store that has neither locks nor conditional writes this does not hold for two
        processes that save at the very same moment.

        Returns
        -------
        TickerHistory
            The history as it is now stored, with its new version.

        Raises
        ------
        StoreError
            When the file cannot be written. The stored history is then unchanged.
        """
        return writing.save(self._files, ticker, history)

    def try_lock(self, ticker: Ticker) -> AbstractContextManager[None] | None:
        """Lock a ticker for writing, from `load` to `save`; None while another writer holds it.

        On a local disk the lock keeps out every other process. If the process that holds it dies,
        the lock is released. An object store has no locks: there the lock only keeps apart the
        threads of this process, and `save` merges what another process has saved meanwhile.

        Raises
        ------
        StoreError
            When the lock file cannot be made.
        """
        return self._files.try_lock(store_paths.writer_path(ticker))

    # -- many tickers -----------------------------------------------------------------------

    def codes(self, market: str | None = None, *, what: str = SHORT_VOLUME.name) -> list[str]:
        """List the codes that have a history in the store, sorted.

        Parameters
        ----------
        market : {"HK", "US"}, optional
            None: both markets.
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
        """Read rows of many tickers of one market into a frame. No gateway is asked.

        Parameters
        ----------
        codes : str or iterable of str, optional
            None: every ticker of the market that the store has, sorted by code.
        market : {"HK", "US"}, optional
            Needed only if `codes` is not given and the store holds both markets.
        start, end : str, date or Timestamp, optional
            First and last trading day, both inclusive.
        columns : iterable of str, optional
            Columns of the market to read, in this order. ``first_seen`` can be among them: the Unix
            seconds at which the store first saw the row, NaN if the row was public before the first
            fill. ``code`` and ``timestamp_str`` always come first. None: all columns of the market,
            without ``first_seen``. Other columns are not decoded, which saves time.
        what : {"short_volume", "short_interest"}
            Which series.
        as_of : str, date or datetime, optional
            Read only what the store had seen by this moment: the rows and reports that it had, with
            the values that they had then, even if they were later revised or withdrawn. Either a
            time with a zone, such as ``"2026-01-02T18:00+08:00"``, or a date, which means the end
            of that day in the market. A row without ``first_seen`` counts as seen on its own day
            at 16:00 market time, a report of short interest on its publication day at 16:00. Prices
            are in today's adjustment all the same.
        aside : bool
            Read the histories that `set_aside` has put aside, instead of the current ones. This
            needs `codes`. If a code was set aside more than once, all of its histories are read,
            the newest first.
        errors : {"raise", "warn"}
            Whether tickers that cannot be read raise an error, or are left out with a warning and
            named in ``attrs["failed"]``.

        Returns
        -------
        pandas.DataFrame
            ``code``, then the columns. The tickers follow one another in the order of `codes`, each
            with its newest row first, on a RangeIndex. ``attrs`` holds ``market``. For HK it also
            holds the newest report of each ticker (``aggregates``) and all reports that were seen
            (``aggregates_history``); ``df.shortvol.aggregates`` and ``aggregates_history()`` read
            these.

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
        """Give what `read` gives as a Dask DataFrame, one partition per ticker.

        This call reads only the ends of the files. Each task later reads its ticker's file, on any
        worker, and needs only the store. Because a partition is a whole ticker,
        ``ddf.shortvol.by_ticker()`` can be used: it has every metric, such as
        ``ddf.shortvol.by_ticker().metrics()``. Columns that nothing uses are not read.

        Every partition has the ``attrs`` of `read`, except ``aggregates_history``. The index
        continues from one partition to the next. With `start`, `end` or `as_of` it has gaps where
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
        """List the values that the gateway has revised since the store first saw them.

        Parameters
        ----------
        codes, market, what, errors
            As in `read`; but with neither `codes` nor `market`, both markets are listed.

        Returns
        -------
        pandas.DataFrame
            ``code``; ``day``, the trading day of the row; ``column``, the column whose value was
            replaced, or ``"(row)"`` if the whole row was withdrawn; ``old`` and ``new``, the value
            before and after, None if missing; ``seen``, when the new value was first seen (Unix
            seconds). For a withdrawn row ``old`` is a dict of all its values. The tickers follow
            one another, each in the order of ``seen``. Prices are not listed, because every
            dividend changes them.

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
        """Read every file, and report whether it is sound and complete and whether its rows add up.

        `intake_futu_short.verifying.verify` describes the result.
        """
        from intake_futu_short.verifying import verify  # noqa: PLC0415 - stands above this module

        return verify(self, codes, market, what=what)

    def set_aside(self, code: str, *, what: str = SHORT_VOLUME.name) -> str:
        """Move the history of a code to another file, so that the next sync starts a new one.

        Use this for a code that now belongs to another security: the rows of the two securities
        must not be joined. ``read(code, aside=True)`` reads what was set aside.

        Returns
        -------
        str
            URL of the file.

        Raises
        ------
        ConfigError
            When `code` is not a code.
        StoreError
            When the store has no history of it, a sync is writing it, or the store cannot be
            written.
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
        """List the stored tickers, sorted by code. Only the ends of the files are read.

        Parameters
        ----------
        market : {"HK", "US"}, optional
            None: both markets.
        errors : {"raise", "warn"}
            As in `read`.
        what : {"short_volume", "short_interest"}
            Which series.

        Returns
        -------
        pandas.DataFrame
            ``code``; ``rows``; ``first`` and ``last`` trading day; ``complete``, whether the store
            has the history to its end; ``checked``, when the gateway was last asked (UTC, NaT:
            never); ``size_bytes``.

        Raises
        ------
        StoreError
            When nothing is kept, or the store cannot be read.
        PanelError
            When the files of some tickers cannot be read.
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
        """Every ticker of a market that has a file, and the size of the file in bytes."""
        found = self._files.find(store_paths.market_path(table))
        kept = []
        for path, size in found.items():
            ticker = store_paths.ticker_at(path, SERIES[table.call_name])
            if ticker is not None:
                kept.append((ticker, size))
            elif path.endswith(f"/{store_paths.FILE_NAME}"):
                # Skipping it could hide missing rows: the listing itself may be wrong.
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
            f"{self.url}: {what} is kept there. Is this the path that the tickers were synced to? "
            "If the store is new, sync some tickers first"
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
        """Check the arguments of a read, and find out which tickers it means."""
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
        """Files of tickers that were set aside; for each ticker the newest first."""
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
    """The tickers named. All must be of one market: the one of `tables` if there is only one."""
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
    """The table of a call for the market of that name, or its tables for all markets if None."""
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
