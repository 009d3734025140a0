"""Metrics of reported open positions, each used from when it was known: functions of a DataFrame.

A report counts as known from the day of its publication, or from the day on which a store first saw
it if that is earlier; metrics use it from the next session on, until a newer one is known.
`intake_futu_short.metrics` lists the functions; each is a method of ``df.shortvol`` too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intake_futu_short.metrics.answers import by_window, daily
from intake_futu_short.metrics.columns import Columns, answer
from intake_futu_short.metrics.known import Asked
from intake_futu_short.metrics.registry import METRICS, Recipe, metric
from intake_futu_short.metrics.reports import Given, known_positions
from intake_futu_short.metrics.sessions import Sessions
from intake_futu_short.metrics.windows import quotient

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from intake_futu_short.metrics.window_metrics import BlockWindows

__all__ = ["days_to_cover", "implied_shares"]


def _base(shares: NDArray[np.float64], percent: NDArray[np.float64]) -> NDArray[np.float64]:
    return quotient(100.0 * shares, percent)


def _cover(windows: BlockWindows, n: int) -> NDArray[np.float64]:
    return quotient(windows["position"], windows.mean("volume", n))


_BASE = Recipe(("position", "position_percent"), _base)
_COVER = Recipe(("position", "volume"), _cover)


@metric(
    "reported position / mean V of the n days that end at the row",
    {"US": _COVER, "HK": _COVER},
    has_window=True,
    is_of_days=True,
)
def days_to_cover(
    frame: pd.DataFrame,
    n: int = 20,
    *,
    min_periods: int | None = None,
    start: Any = None,
    positions: pd.DataFrame | None = None,
    aggregated_short: Any = None,
    new_time_str: Any = None,
) -> pd.Series[float]:
    """Days of usual volume that the reported open short position amounts to.

    Reported open position / mean volume of the ``n`` trading days, that is rows of the ticker, that
    end at the row. A report is used from the first session after it was known until the next report
    is; before the first one the answer is NaN.

    HK positions are the aggregated reportable short positions that the Securities and Futures
    Commission (SFC) publishes, those above a threshold. The newest comes with the rows in
    ``attrs``. US short interest (FINRA) does not. The series of either market is what
    ``intake.open_futu_short_interest(code).read()`` gives: pass it as ``positions``.

    A report counts as known from the day of its publication: the day given as ``published``, else
    an estimate (HK: the first Friday at least seven days after the as-of date; US: the eighth
    business day after it; the next session where that is none); or, if that is earlier, from the
    day on which a store first saw it. Another report of an as-of date that had one is a correction,
    known from when it was seen. Of the reports known, that of the newest as-of date counts.
    A source and ``FutuShortStore.read`` give a report as it reads now: a value that was revised
    since counts as if published so. ``aggregates_history(fill=True)`` of a source with a store (HK)
    has each value from when it was seen; ``read(as_of=...)`` and ``revisions`` have those of then.

    Share counts are raw: a split between the as-of date and the row mixes shares of two sizes.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    n : int
        Trading days in the window, the row's own included.
    min_periods : int, optional
        How many days of the window, 1 to ``n``, must have a volume. By default all ``n``.
    start : str or date, optional
        The first trading day to answer for; windows look back at the rows before it. By default
        ``attrs["start"]``, and without that all rows are answered for.
    positions : pandas.DataFrame, optional
        A row a report: ``code`` (not needed for one ticker, whose ``attrs["code"]`` counts), as-of
        date ``as_of`` or ``timestamp_str``, position ``aggregated_short`` or ``shares_short``
        (shares), and if known ``published`` (day) and ``first_seen`` (Unix seconds). What
        ``intake.open_futu_short_interest(...).read()``, ``FutuShortStore.read(...,
        what="short_interest")`` and `aggregates_history` give is one. Reports of tickers that the
        rows are not of are left out. By default those of ``attrs["aggregates_history"]``, or else
        the one in ``attrs``.
    aggregated_short : int or mapping, optional
        One open position in shares, of a panel by code, instead of that of ``attrs``.
    new_time_str : str, date or mapping, optional
        Its as-of date, of a panel by code.

    Returns
    -------
    pandas.Series
        ``days_to_cover_<n>``. NaN also of tickers of which nothing is reported or whose as-of date
        is not a day, and where the mean volume is 0.

    Warns
    -----
    PositionWarning
        When there are reports, and all of them are newer than the rows.

    Raises
    ------
    NotShortVolumeError
        On what `resample` gave; when the volume or what says the day is missing; when ``attrs``
        have no report (of US tickers they never do), or are not known to be of these tickers, and
        nothing is passed instead.
    ConfigError
        When an argument is no such value, a ticker has a day twice, or a row has no day; when
        ``positions`` are by their ``attrs`` those of another ticker or market than the rows.

    References
    ----------
    Hong, Li, Ni, Scheinkman and Yan (2015), "Days to Cover and Stock Returns", NBER Working
    Paper 21166. Securities and Futures (Short Position Reporting) Rules (Cap. 571AJ), rule 6.
    FINRA Rule 4560.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("HK.SAMPLE")  # as of 2026-06-05, published on 2026-06-12
    >>> df.shortvol.days_to_cover(20).dropna().round(4).tolist()
    [2.1582, 2.2351, 2.3033, 2.3693]
    >>> df.set_index("timestamp_str").shortvol.days_to_cover(20).last_valid_index()
    '2026-06-15'
    """
    given = Given(positions, {"aggregated_short": aggregated_short, "new_time_str": new_time_str})

    def known(sessions: Sessions, name: str) -> dict[str, NDArray[np.float64]]:
        return known_positions(Asked(frame, sessions, name), given, _COVER.roles)

    return by_window(frame, "days_to_cover", n, min_periods, start=start, known=known)


@metric(
    "reported position / (its percentage / 100)",
    {"US": _BASE, "HK": _BASE},
)
def implied_shares(
    frame: pd.DataFrame,
    *,
    positions: pd.DataFrame | None = None,
    aggregated_short: Any = None,
    aggregated_short_ratio: Any = None,
    new_time_str: Any = None,
) -> pd.Series[float]:
    """Shares that the gateway relates the reported open short position to.

    Position / (its percentage / 100), in shares. The gateway's documents call this base the shares
    outstanding and the float. It is as precise as the percentage's decimals: with 0.56 to within
    1 %.

    A report is used from the first session after it was known until the next one is, as in
    `days_to_cover`; earlier rows are NaN.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    positions : pandas.DataFrame, optional
        As of `days_to_cover`, with the position in percent as ``aggregated_short_ratio`` or
        ``short_percent``.
    aggregated_short : int or mapping, optional
        One open position in shares, of a panel by code, instead of that of ``attrs``.
    aggregated_short_ratio : float or mapping, optional
        The same in percent, of a panel by code.
    new_time_str : str, date or mapping, optional
        Its as-of date, of a panel by code.

    Returns
    -------
    pandas.Series
        ``implied_shares``. NaN also of tickers of which nothing is reported or whose as-of date is
        no day, and where the percentage is 0.

    Warns
    -----
    PositionWarning
        When there are reports, and all of them are newer than the rows.

    Raises
    ------
    NotShortVolumeError
        When nothing says the day; when ``attrs`` have no report (of US tickers they never do), or
        are not known to be of these tickers, and nothing is passed instead.
    ConfigError
        When an argument is no such value, a row has no day, or ``positions`` are of others.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("HK.SAMPLE")
    >>> df.shortvol.implied_shares().head(1).round(-6).tolist()
    [2006000000.0]
    """
    values = {
        "aggregated_short": aggregated_short,
        "aggregated_short_ratio": aggregated_short_ratio,
        "new_time_str": new_time_str,
    }
    name, columns, sessions = "implied_shares", Columns(frame), Sessions.of(frame)
    asked = Asked(frame, sessions, name)
    columns.know(known_positions(asked, Given(positions, values), _BASE.roles))
    return answer(frame, name, daily(columns, METRICS[name]))
