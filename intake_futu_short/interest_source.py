"""The Intake driver ``futu_short_interest``: reported open short positions of tickers."""

from __future__ import annotations

from intake_futu_short.calls import SHORT_INTEREST
from intake_futu_short.paged_source import PagedSource

__all__ = ["FutuShortInterestSource"]


class FutuShortInterestSource(PagedSource):
    """Reported open short positions of one US or HK stock or fund, or of several of one market.

    Each row is a report, and its day is the as-of date. In HK that is the last trading day of a
    week: the Securities and Futures Commission (SFC) publishes the positions above a threshold on
    that day. In the US it is a settlement date of FINRA, in the middle or at the end of a month.
    The gateway does not say that its rows are these series; this is inferred from their dates.

    US columns are ``timestamp``, ``timestamp_str``, ``shares_short`` (shares), ``short_percent``
    (percent), ``avg_daily_share_volume`` (shares), ``days_to_cover`` (days), ``close_price`` and
    ``last_close_price``; HK columns ``timestamp``, ``timestamp_str``, ``aggregated_short``
    (shares), ``aggregated_short_ratio`` (percent), ``close_price`` and ``last_close_price``. The
    last column, ``published``, does not come from the gateway. It is the day on which the report
    became public, estimated by the publisher's rule. HK: the first Friday at least seven days after
    the as-of date. US: the eighth business day after the as-of date. If that day is not a business
    day, ``published`` is the next business day.

    Partitions, errors and arguments are those of `FutuShortSource`, with these differences. `start`
    and `end` are as-of dates, and `warmup` counts reports. With a store, ``refresh="auto"`` asks
    when a newer report can be public, but not within two hours of the last time. There are no
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
