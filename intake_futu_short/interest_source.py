"""The Intake driver ``futu_short_interest``: reported open short positions of tickers."""

from __future__ import annotations

from intake_futu_short.calls import SHORT_INTEREST
from intake_futu_short.paged_source import PagedSource

__all__ = ["FutuShortInterestSource"]


class FutuShortInterestSource(PagedSource):
    """Reported open short positions of a US or HK stock or fund, or of several of one market.

    A row is a report. Its day is the as-of date: in HK the last trading day of a week, whose
    positions above a threshold the Securities and Futures Commission (SFC) publishes; in the US a
    settlement date of FINRA, in the middle or at the end of a month. That the gateway's rows are
    these series is inferred from their dates.

    US columns are ``timestamp``, ``timestamp_str``, ``shares_short`` (shares), ``short_percent``
    (percent), ``avg_daily_share_volume`` (shares), ``days_to_cover`` (days), ``close_price`` and
    ``last_close_price``; HK columns ``timestamp``, ``timestamp_str``, ``aggregated_short``
    (shares), ``aggregated_short_ratio`` (percent), ``close_price`` and ``last_close_price``. A last
    column, ``published``, is not sent: it is the day on which the report became public, estimated
    by the publisher's rule. HK: the first Friday at least seven days after the as-of date. US: the
    eighth business day after it. If that is no business day, the next one is.

    Partitions, errors and arguments are those of `FutuShortSource`, with these differences:
    `start` and `end` are as-of dates; `warmup` counts reports; with a store, ``refresh="auto"``
    asks when a newer report can be public, and not within two hours of the last time. There are no
    aggregates: ``attrs`` hold ``code``, ``market`` and ``next_key``.

    References
    ----------
    Securities and Futures (Short Position Reporting) Rules (Cap. 571AJ), rule 6. FINRA Rule 4560.

    Examples
    --------
    >>> import intake
    >>> src = intake.open_futu_short_interest("HK.00700", gateway="sample://")
    >>> src.read()[["timestamp_str", "aggregated_short", "published"]].head(1)
      timestamp_str  aggregated_short  published
    0    2026-04-30          51480638 2026-05-08
    """

    name = "futu_short_interest"
    call = SHORT_INTEREST
