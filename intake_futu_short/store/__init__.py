"""The store keeps each ticker's history in its own Parquet file, on any fsspec file system.

::

    __init__.py        FutuShortStore
      selecting.py     its arguments → tickers, their files, a selection of rows
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

from intake_futu_short import arguments, repr_table, verifying
from intake_futu_short.calls import SHORT_VOLUME, Ticker, series
from intake_futu_short.errors import ConfigError, StoreError
from intake_futu_short.security import Security
from intake_futu_short.store import many as store_many
from intake_futu_short.store import paths as store_paths
from intake_futu_short.store import selecting, writing
from intake_futu_short.store.file_system import StoreFileSystem

if TYPE_CHECKING:
    import datetime as dt
    import os
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager

    import dask.dataframe as dd
    import pandas as pd

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

    Examples
    --------
    >>> from intake_futu_short import FutuShortStore, sync
    >>> _ = sync(["US.AAPL", "US.SAMPLE"], store="short", gateway="sample://")
    >>> store = FutuShortStore("short")
    >>> store.codes()
    ['US.AAPL', 'US.SAMPLE']
    >>> store.read("US.AAPL", start="2024-10-10", columns=["volume"])
          code timestamp_str    volume
    0  US.AAPL    2024-10-11  31759188
    1  US.AAPL    2024-10-10  28183544
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

        Returns
        -------
        list of str
            Empty if nothing is kept.

        Raises
        ------
        StoreError
            When the store cannot be read.
        """
        tables = selecting.tables(series(what), market)
        return [ticker.code for ticker in selecting.sizes(self._files, tables)]

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

        Examples
        --------
        >>> from intake_futu_short import FutuShortStore, sync
        >>> _ = sync(["US.AAPL", "US.SAMPLE"], store="short", gateway="sample://")
        >>> store = FutuShortStore("short")
        >>> len(store.read(market="US", start="2024-10-01", end="2024-10-11"))
        18

        The newest row that was known in the morning of 2024-10-11:

        >>> then = store.read("US.AAPL", as_of="2024-10-11T09:00-04:00")
        >>> then["timestamp_str"].iloc[0]
        '2024-10-10'
        """
        if aside and codes is None:
            raise ConfigError("aside=True reads the codes that are named, such as codes='US.X'")
        tickers, wanted = selecting.selection(
            self._files,
            series(what),
            codes,
            market,
            errors=errors,
            start=start,
            end=end,
            columns=columns,
            as_of=as_of,
        )
        sources = (
            selecting.sources_aside(self._files, tickers) if aside else selecting.sources(tickers)
        )
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

        Parameters
        ----------
        codes, market, start, end, columns, what, as_of, errors
            As in `read`.

        Returns
        -------
        dask.dataframe.DataFrame
            The columns of `read`.

        Raises
        ------
        ConfigError, StoreError, PanelError
            As in `read`. With ``errors="raise"`` a file that turns out to be damaged fails its
            task.
        ImportError
            When Dask is not installed (``pip install "dask[dataframe]" distributed``).

        Examples
        --------
        >>> from intake_futu_short import FutuShortStore, sync
        >>> _ = sync(["US.AAPL", "US.SAMPLE"], store="short", gateway="sample://")
        >>> ddf = FutuShortStore("short").to_dask(market="US", start="2024-10-10")
        >>> ddf.npartitions
        2
        >>> ddf.shortvol.short_ratio().compute().round(3).head(2).tolist()
        [0.149, 0.144]
        """
        tickers, wanted = selecting.selection(
            self._files,
            series(what),
            codes,
            market,
            errors=errors,
            start=start,
            end=end,
            columns=columns,
            as_of=as_of,
        )
        return store_many.to_dask(self._files, selecting.sources(tickers), wanted, errors)

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

        Examples
        --------
        A gateway that has corrected the newest volume of the sample:

        >>> from dataclasses import replace
        >>> from intake_futu_short import FutuShortStore, sync
        >>> from intake_futu_short.gateway import Gateway, sample_histories
        >>> apple = sample_histories()["US.AAPL"]
        >>> newest = {**apple.rows[0], "volume": 31_759_288}
        >>> corrected = replace(apple, rows=[newest, *apple.rows[1:]])

        >>> _ = sync("US.AAPL", store="revised", gateway="sample://")
        >>> with Gateway({"US.AAPL": corrected}) as gateway:
        ...     _ = sync("US.AAPL", "revised", gateway.url, refresh="always")
        >>> FutuShortStore("revised").revisions()[["code", "day", "column", "old", "new"]]
              code         day  column       old       new
        0  US.AAPL  2024-10-11  volume  31759188  31759288
        """
        arguments.errors(errors)
        tables = selecting.tables(series(what), market)
        if codes is not None:
            tickers = selecting.of_codes(codes, tables)
        else:
            tickers = list(selecting.kept_sizes(self._files, tables))
        return store_many.revisions(self._files, selecting.sources(tickers), errors)

    def verify(
        self,
        codes: str | Iterable[str] | None = None,
        market: str | None = None,
        *,
        what: str = SHORT_VOLUME.name,
    ) -> pd.DataFrame:
        """Read every file, and report whether it is sound and complete and whether its rows add up.

        Tickers are read one after another, so memory does not grow with their number.

        Parameters
        ----------
        codes : str or iterable of str, optional
            Which tickers, in the order wanted; None: all that are kept.
        market : {"HK", "US"}, optional
            None: both markets.
        what : {"short_volume", "short_interest"}
            Which series. Rows of short interest are not checked: no two values in them depend on
            one another.

        Returns
        -------
        pandas.DataFrame
            One row per ticker. ``code``; ``sound``, whether the file can be read and is undamaged;
            ``complete``, whether the store has the history to its end; ``rows``; ``findings``, how
            many findings ``df.shortvol.check()`` has; ``problem``, why the file is not sound, or
            the first findings in words, missing if there is no problem. For a file that is not
            sound the other columns are missing. ``findings`` is also missing if the rows cannot be
            checked.

        Raises
        ------
        ConfigError
            For an argument that cannot work.
        StoreError
            When nothing is kept, or the store as a whole cannot be read.

        Examples
        --------
        >>> from intake_futu_short import FutuShortStore, sync
        >>> _ = sync("US.AAPL", store="verified", gateway="sample://")
        >>> FutuShortStore("verified").verify()[["code", "sound", "rows", "findings"]]
              code  sound  rows  findings
        0  US.AAPL   True    29         0
        """
        return verifying.verify(self, codes, market, what=what)

    def set_aside(self, code: str, *, what: str = SHORT_VOLUME.name) -> str:
        """Move the history of a code to another file, so that the next sync starts a new one.

        Use this for a code that now belongs to another security: the rows of the two securities
        must not be joined. ``read(code, aside=True)`` reads what was set aside.

        Parameters
        ----------
        code : str
            Such as ``"US.AAPL"``.
        what : {"short_volume", "short_interest"}
            Which series. The other one stays where it is.

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

        Examples
        --------
        >>> from intake_futu_short import FutuShortStore, sync
        >>> _ = sync("US.AAPL", store="renamed", gateway="sample://")
        >>> store = FutuShortStore("renamed")
        >>> _ = store.set_aside("US.AAPL")
        >>> store.codes()
        []
        >>> len(store.read("US.AAPL", aside=True))
        29
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

        Examples
        --------
        >>> from intake_futu_short import FutuShortStore, sync
        >>> _ = sync("US.AAPL", store="kept", gateway="sample://")
        >>> FutuShortStore("kept").info()[["code", "rows", "first", "last", "complete"]]
              code  rows       first        last  complete
        0  US.AAPL    29  2024-09-03  2024-10-11      True
        """
        arguments.errors(errors)
        sizes = selecting.kept_sizes(self._files, selecting.tables(series(what), market))
        by_code = {ticker.code: size for ticker, size in sizes.items()}
        return store_many.info(self._files, by_code, selecting.sources(sizes), errors)
