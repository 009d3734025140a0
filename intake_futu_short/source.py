"""The Intake driver ``futu_short``: daily short volume of tickers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intake_futu_short import schema
from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.errors import ConfigError
from intake_futu_short.history.ticker_history import FIRST_SEEN
from intake_futu_short.interest_source import FutuShortInterestSource
from intake_futu_short.metrics.aggregates import aggregates_history, with_past, with_replaced
from intake_futu_short.paged_source import PagedSource

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FutuShortSource"]


class FutuShortSource(PagedSource):
    """Daily short volume of one US or HK stock or fund, or of several of one market (a panel).

    Partition *i* is the gateway's *i*-th page, newest first. The partitions of a panel are the
    pages of its first ticker, then those of the second, and so on.

    Making a source, entering ``with source:`` and reading an attribute do no I/O. `read_partition`
    asks for pages only as far as the one wanted. `discover`, `read` and `to_dask` ask for all
    pages, several tickers at a time. The source keeps each page that it has read until `close`.

    A read that takes a while shows a progress bar if standard error is a terminal, and in a
    notebook. `read`, `discover` and `to_dask` also take ``callback=``, one of
    ``fsspec.callbacks``, which replaces the bar. It counts the pages of one ticker, or the tickers
    of a panel (its size is then their number). When the gateway's limit makes the read wait, the
    callback's hook ``"waiting"`` is called with ``seconds`` and ``until``.

    Parameters
    ----------
    code : str or iterable of str
        ``"US.<symbol>"`` or ``"HK.<symbol>"``, such as ``"HK.00700"``. Several codes of one
        market make a panel, whose first column is ``code``. A code given twice is read once.
        Any iterable will do: a list, a column, an array, or a set (which is sorted).
    start, end : str, date or Timestamp, optional
        First and last trading day to read, both inclusive, as dates of the market:
        ``"2026-01-02"``, ``"20260102"``, ``"2026/01/02"`` or a date object.
    warmup : int, default 0
        Number of trading days (rows of each ticker) before `start` to return as well, so that
        windowed metrics have days to look back on. There are fewer if the history begins later.
        ``attrs["start"]`` is then `start`, and windowed metrics answer from that day on.
        Needs `start`.
    num : int, default 50
        Rows per page, 1 to 50.
    gateway : str or iterable of str, optional
        ``"opend://HOST:PORT"``, or ``"sample://"`` for the examples that come with the package.
        None takes the environment variable ``FUTU_OPEND``, or ``opend://127.0.0.1:11111`` if it is
        not set. Several gateways share the work, each within its own limit. A gateway that is down
        is left out.
    store : str or path, optional
        Directory or fsspec URL where the history is kept (a `FutuShortStore`). Each read then asks
        the gateway only for what is new. None keeps nothing.
    storage_options : dict, optional
        Options that fsspec passes to the file system. ``yaml()`` writes their names, with ``***``
        in place of the values and of a password in `store`. A catalog should therefore leave
        secrets to the environment or to fsspec's configuration. A pickle contains the secrets.
    refresh : {"auto", "always", "full", "never"}, default "auto"
        When a source with a store asks the gateway. ``"auto"``: when there can be something new,
        but not within two hours of the last time, and not if the store already has the row of the
        newest session. ``"always"``: at the first read. ``"full"``: at the first read, and for the
        whole history, which finds late revisions of old rows. ``"never"``: not at all; the read
        uses the store alone and needs no gateway.
    max_pages : int, optional
        Read at most this many pages, the newest ones. The pages of `warmup` count too.
    rsa_key : str or path, optional
        File with the RSA private key (PEM) that OpenD is set to. The connection is then encrypted.
        ``yaml()`` and ``repr`` print the path. Needs the package ``cryptography``.
    timeout : float, default 12
        Seconds to wait for each answer. Connecting takes 5 seconds at most.
    errors : {"raise", "warn"}, default "raise"
        What to do if some tickers of a panel fail, once the others are read: raise a `PanelError`,
        or give a `PanelWarning` and name them in ``attrs["failed"]``. An error of the gateway as a
        whole, or of a single `code`, is raised as it is.
    metadata : dict, optional
        Kept with the source. `discover` returns a copy of it, with what the gateway says of the
        ticker added.

    Attributes
    ----------
    dtype : dict of str to str
        Name of each column's dtype; known without I/O.
    npartitions : int or None
        Number of pages; None until all pages have been read.
    shape : tuple of int or None
        Number of rows and columns; None until all pages have been read.

    Raises
    ------
    ConfigError
        For an argument that cannot work, before any I/O.

    Examples
    --------
    >>> import intake
    >>> src = intake.open_futu_short("US.AAPL", start="2024-10-09", gateway="sample://")
    >>> src.read()[["timestamp_str", "total_shares_short", "volume"]]
      timestamp_str  total_shares_short    volume
    0    2024-10-11             4746547  31759188
    1    2024-10-10             4046985  28183544
    2    2024-10-09             6159839  33591091

    Two tickers are a panel:

    >>> panel = intake.open_futu_short(["US.AAPL", "US.SAMPLE"], gateway="sample://")
    >>> panel.read()["code"].value_counts(sort=False).to_dict()
    {'US.AAPL': 29, 'US.SAMPLE': 1500}
    """

    name = "futu_short"
    call = SHORT_VOLUME
    _past_reports: pd.DataFrame | None = None  # what filled the history, kept until `close`

    def aggregates(self) -> dict[str, Any]:
        """Get the newest reported open short position of an HK ticker.

        This asks for the newest page if no page was read yet.

        Returns
        -------
        dict
            ``aggregated_short`` (shares), ``aggregated_short_ratio`` (percent) and
            ``new_time_str``. A value that the gateway does not send is None; for US all three are.
            For a panel: a dict of such dicts by code.
        """
        with self._alone():
            aggregates = self._open().aggregates()
            self._close_connections()
            return aggregates

    def aggregates_history(self, fill: bool = False) -> pd.DataFrame:
        """Get every reported open short position of HK tickers that the store has seen.

        This asks for the newest page if no page was read yet. Without a store there is only the
        newest report.

        Parameters
        ----------
        fill : bool
            Ask for past reports too, that is for the short interest of each ticker. This takes one
            request for every 50 reports (a year has about 52). With a store it takes none while
            there can be nothing new. The store keeps the reports as ``short_interest``. A value
            that was replaced later has a row of its own.

            The same report may come with the daily rows and with the short interest. It then
            counts once, as first seen by either. If the two give different numbers of shares for
            the same day, the one that was seen last counts. If the store saw neither arrive, the
            short interest counts.

        Returns
        -------
        pandas.DataFrame
            As ``df.shortvol.aggregates_history()`` gives it.

        Raises
        ------
        ConfigError
            When ``fill`` is given for US tickers: the gateway sends no reports with their rows.
        GatewayError, PanelError, StoreError
            As `read`.

        Examples
        --------
        >>> import intake
        >>> src = intake.open_futu_short("HK.SAMPLE", gateway="sample://")
        >>> src.aggregates_history(fill=True)[["as_of", "aggregated_short"]].head(2)
               as_of  aggregated_short
        0 2020-05-15          15542973
        1 2020-05-22          15015098
        """
        if fill and not self._tickers[0].table.attrs:
            code = self._arguments["code"]
            raise ConfigError(
                "aggregates_history(fill=True) works for HK tickers only: the gateway sends no "
                "open positions beside US rows. Read the short interest of US tickers instead: "
                f"intake.open_futu_short_interest({code!r}).read()"
            )
        with self._alone():
            partitions = self._open()
            partitions.aggregates()
            self._close_connections()
            frame = schema.to_frame([], self._tickers[0].table)
            frame.attrs.update(partitions.attributes())
        history = aggregates_history(frame)
        if not fill:
            return history
        reports = self._past_reports
        if reports is None:
            reports = self._past()
            if "failed" not in reports.attrs:
                self._past_reports = reports
        return with_past(history, reports)

    def _forget(self) -> None:
        super()._forget()
        self._past_reports = None

    def _past(self) -> pd.DataFrame:
        """Short interest of the tickers, with ``code`` and, from a store, ``first_seen``."""
        # The whole history in full pages, whatever part of it this source shows.
        others = {"start", "end", "warmup", "num", "max_pages"}
        given = {name: self._arguments[name] for name in self._arguments.keys() - others}
        with FutuShortInterestSource(**given) as source:
            frame = source.read()
        if not self._is_panel:
            frame = schema.with_code([frame], [self._arguments["code"]])
        codes = frame["code"].unique().tolist()
        if self._store is None or not codes:
            return frame
        call = FutuShortInterestSource.call
        columns = [*call.table(self._tickers[0].table.market).frame_names, FIRST_SEEN]
        reports = self._store.read(codes, what=call.name, columns=columns)
        reports = with_replaced(reports, self._store.revisions(codes, what=call.name))
        if "failed" in frame.attrs:
            reports.attrs["failed"] = frame.attrs["failed"]
        return reports
