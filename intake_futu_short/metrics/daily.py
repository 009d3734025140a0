"""Metrics of each day by itself: pure functions of a DataFrame.

They do not use the days of the rows, so days may be missing or come twice.
`intake_futu_short.metrics` lists the functions; each is a method of ``df.shortvol`` too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intake_futu_short.metrics.answers import by_day
from intake_futu_short.metrics.registry import Recipe, metric
from intake_futu_short.metrics.windows import quotient

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = [
    "long_vwap",
    "return_1d",
    "short_ratio",
    "short_turnover_ratio",
    "short_value",
    "short_vwap",
    "short_vwap_premium",
    "venue_share",
    "vwap",
]


def _product(short: NDArray[np.float64], close: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return short * close


def _long_vwap(
    turnover: NDArray[np.float64],
    short_turnover: NDArray[np.float64],
    volume: NDArray[np.float64],
    short: NDArray[np.float64],
) -> NDArray[np.float64]:
    return quotient(turnover - short_turnover, volume - short)


def _premium(
    short_turnover: NDArray[np.float64],
    short: NDArray[np.float64],
    turnover: NDArray[np.float64],
    volume: NDArray[np.float64],
) -> NDArray[np.float64]:
    return quotient(quotient(short_turnover, short), quotient(turnover, volume)) - 1


def _return(close: NDArray[np.float64], last_close: NDArray[np.float64]) -> NDArray[np.float64]:
    return quotient(close, last_close) - 1


_RATIO = Recipe(("short", "volume"), quotient)
_RETURN = Recipe(("close", "last_close"), _return)


@metric("S / V", {"US": _RATIO, "HK": _RATIO})
def short_ratio(frame: pd.DataFrame) -> pd.Series[float]:
    """Short shares / volume of each day, a fraction: S / V.

    NaN where either is missing or the volume is 0. For US tickers the short shares are those of
    Nasdaq and NYSE only. The ratio is therefore far below one that counts all venues, and cannot be
    compared with FINRA's.

    Returns
    -------
    pandas.Series
        ``short_ratio``.

    Raises
    ------
    NotShortVolumeError
        When a column is missing: ``total_shares_short`` and ``volume`` (US),
        ``short_sell_shares_traded`` and ``shares_traded`` (HK).

    References
    ----------
    Diether, Lee and Werner (2009), "Short-Sale Strategies and Return Predictability", Review
    of Financial Studies 22(2): the variable *relss*.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL")  # real rows, newest first
    >>> df.shortvol.short_ratio().head(3).round(5).tolist()
    [0.14945, 0.14359, 0.18338]
    """
    return by_day(frame, "short_ratio")


@metric("ST / T", {"HK": Recipe(("short_turnover", "turnover"), quotient)})
def short_turnover_ratio(frame: pd.DataFrame) -> pd.Series[float]:
    """Short turnover / turnover of each day, a fraction: ST / T; HK only.

    NaN where either is missing or the turnover is 0. The Hong Kong press calls this the short
    selling ratio.

    Returns
    -------
    pandas.Series
        ``short_turnover_ratio``.

    Raises
    ------
    NotShortVolumeError
        On a US frame, and when ``short_sell_turnover`` or ``turnover`` is missing.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("HK.SAMPLE")
    >>> df.shortvol.short_turnover_ratio().head(3).round(5).tolist()
    [0.11071, 0.1073, 0.10433]
    """
    return by_day(frame, "short_turnover_ratio")


@metric(
    "HK: ST; US: S · close",
    {
        "US": Recipe(("short", "close"), _product),
        "HK": Recipe(("short_turnover",), np.copy),
    },
)
def short_value(frame: pd.DataFrame) -> pd.Series[float]:
    """Value of the shares sold short each day, in the currency of the price.

    HK: the short turnover ST that the exchange reports. US: short shares times the closing price,
    S · close. This is an estimate, because the prices of the single trades are not known. NaN where
    a part is missing.

    US prices are adjusted for later dividends and splits, but share counts are raw. For days before
    a split or a dividend the US value is therefore too low, and for days before a reverse split too
    high, by the same factor as the prices. This is not corrected.

    Returns
    -------
    pandas.Series
        ``short_value``.

    Raises
    ------
    NotShortVolumeError
        When a column is missing: ``total_shares_short`` and ``close_price`` (US),
        ``short_sell_turnover`` (HK).

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("HK.SAMPLE")
    >>> df.shortvol.short_value().head(3).tolist()
    [82655905.0, 54028555.0, 79135015.0]
    """
    return by_day(frame, "short_value")


@metric("nasdaq / total", {"US": Recipe(("nasdaq", "short"), quotient)})
def venue_share(frame: pd.DataFrame) -> pd.Series[float]:
    """Nasdaq's part of the short shares, a fraction: nasdaq / total; US only.

    ``nasdaq_shares_short`` / ``total_shares_short``; the rest is NYSE's. NaN where either is
    missing or no shares were sold short. It is not documented which parts of these venues the
    gateway counts.

    Returns
    -------
    pandas.Series
        ``venue_share``.

    Raises
    ------
    NotShortVolumeError
        On an HK frame, and when ``nasdaq_shares_short`` or ``total_shares_short`` is missing.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL")
    >>> df.shortvol.venue_share().head(3).round(5).tolist()
    [0.75933, 0.77103, 0.73685]
    """
    return by_day(frame, "venue_share")


@metric("T / V", {"HK": Recipe(("turnover", "volume"), quotient)})
def vwap(frame: pd.DataFrame) -> pd.Series[float]:
    """Average price of all shares traded each day: T / V; HK only.

    The volume-weighted average price, turnover / volume, in the currency of the price. NaN where
    either is missing or the volume is 0. Turnover and shares are as traded: unlike the price
    columns, they are not adjusted for later dividends and splits.

    Returns
    -------
    pandas.Series
        ``vwap``.

    Raises
    ------
    NotShortVolumeError
        On a US frame, and when ``turnover`` or ``shares_traded`` is missing.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("HK.SAMPLE")
    >>> df.shortvol.vwap().head(3).round(4).tolist()
    [79.0784, 79.4982, 78.3946]
    """
    return by_day(frame, "vwap")


@metric("ST / S", {"HK": Recipe(("short_turnover", "short"), quotient)})
def short_vwap(frame: pd.DataFrame) -> pd.Series[float]:
    """Average price of the shares sold short each day: ST / S; HK only.

    Short turnover / short shares, in the currency of the price, as traded. NaN where either is
    missing or no shares were sold short.

    Returns
    -------
    pandas.Series
        ``short_vwap``.

    Raises
    ------
    NotShortVolumeError
        On a US frame, and when ``short_sell_turnover`` or ``short_sell_shares_traded`` is missing.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("HK.SAMPLE")
    >>> df.shortvol.short_vwap().head(3).round(4).tolist()
    [79.4386, 79.4654, 78.4758]
    """
    return by_day(frame, "short_vwap")


@metric(
    "(T - ST) / (V - S)",
    {"HK": Recipe(("turnover", "short_turnover", "volume", "short"), _long_vwap)},
)
def long_vwap(frame: pd.DataFrame) -> pd.Series[float]:
    """Average price of the shares not sold short each day: (T - ST) / (V - S); HK only.

    In the currency of the price, as traded. NaN where a part is missing, where all shares were sold
    short, and where more shares were sold short than traded (an error in the row).

    Returns
    -------
    pandas.Series
        ``long_vwap``.

    Raises
    ------
    NotShortVolumeError
        On a US frame, and when one of ``turnover``, ``short_sell_turnover``, ``shares_traded`` and
        ``short_sell_shares_traded`` is missing.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("HK.SAMPLE")
    >>> df.shortvol.long_vwap().head(3).round(4).tolist()
    [79.0338, 79.5021, 78.3852]
    """
    return by_day(frame, "long_vwap")


@metric(
    "short_vwap / vwap - 1",
    {"HK": Recipe(("short_turnover", "short", "turnover", "volume"), _premium)},
)
def short_vwap_premium(frame: pd.DataFrame) -> pd.Series[float]:
    """How far the price of short sales was above the price of all trades, a fraction; HK only.

    `short_vwap` / `vwap` - 1. It is 0.01 if the shares sold short fetched 1 % more than the average
    price of the day, and negative if they fetched less. NaN where either is NaN or ``vwap`` is 0.

    Returns
    -------
    pandas.Series
        ``short_vwap_premium``.

    Raises
    ------
    NotShortVolumeError
        On a US frame, and when one of ``turnover``, ``short_sell_turnover``, ``shares_traded`` and
        ``short_sell_shares_traded`` is missing.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("HK.SAMPLE")
    >>> df.shortvol.short_vwap_premium().head(3).round(6).tolist()
    [0.004556, -0.000412, 0.001036]
    """
    return by_day(frame, "short_vwap_premium")


@metric("close / last_close - 1", {"US": _RETURN, "HK": _RETURN})
def return_1d(frame: pd.DataFrame) -> pd.Series[float]:
    """Return of each day, a fraction: close / last close - 1.

    It uses the row's own ``close_price`` and ``last_close_price``, so it needs no other row, and
    gaps between rows do no harm. NaN where either is missing or the last close is not above 0. Both
    prices have the same adjustment, so a dividend or split between them causes no jump.

    Returns
    -------
    pandas.Series
        ``return_1d``.

    Raises
    ------
    NotShortVolumeError
        When ``close_price`` or ``last_close_price`` is missing.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL")
    >>> df.shortvol.return_1d().head(3).round(5).tolist()
    [-0.00651, -0.00218, 0.0167]
    """
    return by_day(frame, "return_1d")
