"""``df.shortvol``: what a frame of daily short volume tells, beyond its columns.

Importing this module registers the accessor, and loads nothing but numpy and pandas.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

import pandas as pd

from intake_futu_short import checks, sessions
from intake_futu_short import metrics as functions  # the class has a method of that name

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ShortVolumeAccessor"]

P = ParamSpec("P")
R = TypeVar("R")


def _method(
    function: Callable[Concatenate[pd.DataFrame, P], R],
) -> Callable[Concatenate[ShortVolumeAccessor, P], R]:
    """Make a function of a frame a method of the frame's accessor, with its description."""

    @wraps(function)
    def method(self: ShortVolumeAccessor, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return function(self._frame, *args, **kwargs)

    return method


@pd.api.extensions.register_dataframe_accessor("shortvol")
class ShortVolumeAccessor:
    """Attributes, checks and metrics of daily short volume, as ``df.shortvol``.

    Works on the frame of one ticker, or of several that a column or index level ``code`` tells
    apart (a panel), with the rows in any order. The frame is never changed. A metric needs only
    the columns that it names, and one of those that tell the market: ``total_shares_short`` (US),
    ``short_sell_shares_traded`` or ``short_sell_turnover`` (HK). It answers a float64 Series in
    the frame's own index and order, named after the metric, unless it says otherwise.

    Ratios are fractions: 0.14 where the gateway's own columns say 14 (percent).

    The trading day is ``timestamp_str``, where that is missing ``timestamp`` in the market's time
    zone, and where both are missing the column or index level ``date``. A window of ``n`` days is
    ``n`` rows of the ticker; a session that the frame lacks is not counted.

    The methods are the functions of `intake_futu_short.metrics`, which takes plain Series too.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one market, with the columns of the gateway's documentation or some of them.

    Raises
    ------
    NotShortVolumeError
        When the frame holds no daily short volume, or that of two markets. It is an
        AttributeError, so ``hasattr(df, "shortvol")`` is False there.
    """

    # pandas 2 keeps an accessor with its frame and pandas 3 makes one at every access: what is
    # worked out here would be stale in the one and be wasted in the other.
    def __init__(self, frame: pd.DataFrame) -> None:
        sessions.market_of(frame)
        self._frame = frame

    @property
    def market(self) -> str:
        """``"US"`` or ``"HK"``, told by the columns."""
        return sessions.market_of(self._frame).name

    @property
    def code(self) -> str | None:
        """The ticker, such as ``"HK.00700"``; None for a panel of several and when unknown."""
        return sessions.code_of(self._frame)

    @property
    def next_key(self) -> str | None:
        """Cursor of the page after the frame's last, ``"-1"`` when there is none; from attrs."""
        return cast("str | None", self._frame.attrs.get("next_key"))

    @property
    def aggregated_short(self) -> int | None:
        """Open short position that HKEX reports, in shares; from attrs."""
        return cast("int | None", self._frame.attrs.get("aggregated_short"))

    @property
    def aggregated_short_ratio(self) -> float | None:
        """The open short position in percent of the gateway's share base; from attrs."""
        return cast("float | None", self._frame.attrs.get("aggregated_short_ratio"))

    @property
    def new_time_str(self) -> str | None:
        """As-of date of the open short position, ``YYYY-MM-DD``; from attrs."""
        return cast("str | None", self._frame.attrs.get("new_time_str"))

    aggregates = property(_method(functions.aggregates))
    aggregates_history = _method(functions.aggregates_history)

    def by_date(self) -> pd.DataFrame:
        """Copy the rows in ascending order, indexed by trading day.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``date`` (datetime64[ns], without time zone), a panel by ``code`` and
            ``date``. The frame's own index is not kept; columns named ``code`` and ``date`` become
            the index. Rows of the same day keep their order. ``attrs`` are kept.

        Raises
        ------
        NotShortVolumeError
            When no column or index level says the days.
        ConfigError
            When a row has no day, or one that cannot be read.

        Examples
        --------
        >>> from intake_futu_short import sample
        >>> df = sample.frame("US.AAPL")  # newest first
        >>> df.shortvol.by_date().loc["2024-09-30":, "volume"].head(2).tolist()
        [54793391, 63285048]
        """
        return sessions.by_date(self._frame)

    short_ratio = _method(functions.short_ratio)
    short_turnover_ratio = _method(functions.short_turnover_ratio)
    short_value = _method(functions.short_value)
    venue_share = _method(functions.venue_share)
    vwap = _method(functions.vwap)
    short_vwap = _method(functions.short_vwap)
    long_vwap = _method(functions.long_vwap)
    short_vwap_premium = _method(functions.short_vwap_premium)
    return_1d = _method(functions.return_1d)

    short_ratio_mean = _method(functions.short_ratio_mean)
    pooled_short_ratio = _method(functions.pooled_short_ratio)
    short_ratio_zscore = _method(functions.short_ratio_zscore)
    abnormal_short_ratio = _method(functions.abnormal_short_ratio)
    short_volume_surge = _method(functions.short_volume_surge)
    short_ratio_rank = _method(functions.short_ratio_rank)

    days_to_cover = _method(functions.days_to_cover)
    implied_shares = _method(functions.implied_shares)

    dollar_weighted_short_ratio = _method(functions.dollar_weighted_short_ratio)
    rank = _method(functions.rank)
    pivot = _method(functions.pivot)
    resample = _method(functions.resample)

    metrics = _method(functions.metrics)
    with_metrics = _method(functions.with_metrics)

    def check(self) -> pd.DataFrame:
        """List what does not add up.

        ``what`` is one of

        ``total_shares_short``
            US. It is not ``nasdaq_shares_short`` + ``nyse_shares_short``.
        ``short_percent``
            US. It is not 100 * ``total_shares_short`` / ``volume`` truncated to 3 decimals.
        ``daily_trade_avg_ratio``
            US. It is not the percentage of the 20 trading days' short shares in their volume
            truncated to 2 decimals. Looked at where the frame holds the whole window unbroken:
            each row's ``last_close_price`` is the ``close_price`` of the row before it, at most 5
            calendar days earlier. What this column means for HK is not known, so it is not checked
            there.
        ``last_close_price``
            It is not the ``close_price`` of the row before. Looked at where that row is at most 5
            calendar days earlier; after a longer gap the rows between are taken to be missing from
            the frame. A finding means that a price is wrong, that the two rows are of different
            adjustments, or that a session between them is missing.
        ``short_above_volume``
            More shares sold short (``reported``) than traded (``computed``).
        ``short_turnover_above_turnover``
            HK. More turnover sold short (``reported``) than traded (``computed``).
        ``duplicate_day``
            The ticker has ``reported`` rows of that day and not 1. Where days are compared with
            days, the first of them in the frame stands for all.

        Prices and percentages that differ in floating point only are equal. What a row or the
        frame lacks is not checked. Missing days are not looked for.

        Returns
        -------
        pandas.DataFrame
            A row a finding, by code and day: ``date`` (datetime64[ns]), ``code`` (missing when
            unknown), ``what``, ``reported``, ``computed`` and ``difference`` (reported - computed;
            float64, in the unit of the column). Without rows when all adds up.

        Raises
        ------
        NotShortVolumeError
            When no column or index level says the days.
        ConfigError
            When a row has no day, or one that cannot be read.
        """
        return checks.check(self._frame)
