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
    code : str or iterable of str
        ``"US.<symbol>"`` or ``"HK.<symbol>"``, such as ``"HK.00700"``. Several, of one
        market, make a panel, which has a first column ``code``; a code named twice is read once.
        Any iterable is a list of them: a column, an array, a set (sorted).
    start, end : str, date or Timestamp, optional
        First and last trading day wanted, both inclusive, in the market's own calendar:
        ``"2026-01-02"``, ``"20260102"``, ``"2026/01/02"`` or a date object.
    warmup : int, default 0
        So many trading days (rows of a ticker) before `start` are returned as well, for windows to
        look back on; fewer where the history begins later. ``attrs["start"]`` is `start` then, and
        windowed metrics answer from that day on. Needs `start`.
    num : int, default 50
        Rows a page, 1 to 50.
    gateway : str or iterable of str, optional
        ``"opend://HOST:PORT"``, or ``"sample://"`` for the examples that come with the package.
        None takes the environment variable ``FUTU_OPEND``, else ``opend://127.0.0.1:11111``.
        Several share the work, each within its own limit; one that is down is left out.
    store : str or path, optional
        Directory, or URL of fsspec, where the history is kept (a `FutuShortStore`): each read asks
        the gateway only for what is new. None keeps nothing.
    storage_options : dict, optional
        What fsspec passes to the file system. ``yaml()`` writes names and ``***`` for values, and
        so for a password of `store`: a catalog leaves secrets to the environment or to fsspec's
        configuration. Pickles hold them.
    refresh : {"auto", "always", "full", "never"}, default "auto"
        With a store, when the gateway is asked: when there can be anything new (not within two
        hours, nor while the newest row held is of the newest session); at every first read; for
        all of the history, which shows late revisions of old rows; or never, which reads the store
        alone and needs no gateway.
    max_pages : int, optional
        Read no more than the newest so many pages, those of `warmup` included.
    rsa_key : str or path, optional
        File with the RSA private key (PEM) that OpenD is set to; the connection is then encrypted.
        The path is what ``yaml()`` and ``repr`` print. Needs the package ``cryptography``.
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
    call = SHORT_VOLUME
    _past_reports: pd.DataFrame | None = None  # what filled the history, kept until `close`

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

    def aggregates_history(self, fill: bool = False) -> pd.DataFrame:
        """Reported open short positions of HK tickers, each that the store has seen.

        Asks for the newest page if no page was read yet. Without a store there is the one of now.

        Parameters
        ----------
        fill : bool
            Ask for the past too: the short interest of each ticker, a request for every 50 reports
            (a year has about 52), and over a store none while nothing can be new. A store keeps it
            as ``short_interest``; a value that was replaced since has a row of its own. A report
            that comes both ways counts once, as first seen by either; where both tell different
            shares of a day, the one that was seen last counts, that of the short interest where the
            store saw neither arrive.

        Returns
        -------
        pandas.DataFrame
            As ``df.shortvol.aggregates_history()`` gives it.

        Raises
        ------
        ConfigError
            When US tickers are to be filled: beside their rows nothing is reported.
        GatewayError, PanelError, StoreError
            As `read`.
        """
        if fill and not self._tickers[0].table.attrs:
            code = self._arguments["code"]
            raise ConfigError(
                "aggregates_history(fill=True) is of HK tickers: the gateway sends no open "
                "positions beside US rows. Their series is the short interest: "
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
        # All of it, in whole pages, whatever this source is to show.
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
