"""Metrics of reported open positions, from the time when each was known: functions of a DataFrame.

A report counts as known from the day of its publication, or from the day on which a store first saw
it if that is earlier. Metrics use it from the next session on, until a newer one is known.
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
    """Reported open short position, in days of average volume.

    Reported open position / mean volume of the last ``n`` trading days (rows of the ticker),
    including the row's own. A report is used from the first session after it was known, until the
    next report is used. Before the first report the value is NaN.

    HK positions are the aggregated reportable short positions, that is those above a threshold,
    which the Securities and Futures Commission (SFC) publishes. The newest one comes with the rows
    in ``attrs``. US short interest (FINRA) does not come with the rows. To use all reports of
    either market, pass ``intake.open_futu_short_interest(code).read()`` as ``positions``.

    A report counts as known from the day of its publication, or from the day on which a store first
    saw it if that is earlier. The day of publication is the one given as ``published``, or else an
    estimate. HK: the first Friday at least seven days after the as-of date. US: the eighth business
    day after it. If that day is not a session, the next session counts. A second report for the
    same as-of date is a correction, and counts as known from when it was seen. Of all known
    reports, the one with the newest as-of date is used.

    A source and ``FutuShortStore.read`` give each report with its present values, so a value that
    was revised later counts as if it had been published that way. To avoid this, use
    ``aggregates_history(fill=True)`` of a source with a store (HK), which has each value from when
    it was seen, or ``read(as_of=...)`` and ``revisions`` of the store.

    Share counts are raw: a split between the as-of date and the row mixes shares of two sizes.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    n : int
        Trading days in the window, including the row's own day.
    min_periods : int, optional
        How many days of the window, 1 to ``n``, must have a volume. By default all ``n``.
    start : str or date, optional
        The first trading day to return. Windows also use the rows before it. By default
        ``attrs["start"]``; if there is none, all rows are returned.
    positions : pandas.DataFrame, optional
        One row per report, with the columns ``code`` (not needed for one ticker: its
        ``attrs["code"]`` counts), ``as_of`` or ``timestamp_str`` (as-of date), ``aggregated_short``
        or ``shares_short`` (position in shares), and if known ``published`` (day) and
        ``first_seen`` (Unix seconds). The frames that
        ``intake.open_futu_short_interest(...).read()``, ``FutuShortStore.read(...,
        what="short_interest")`` and `aggregates_history` return can be passed. Reports of tickers
        that have no rows are ignored. By default the reports of ``attrs["aggregates_history"]``,
        or else the one in ``attrs``.
    aggregated_short : int or mapping, optional
        One open position in shares, to use instead of that in ``attrs``. For a panel: a mapping by
        code.
    new_time_str : str, date or mapping, optional
        As-of date of that position. For a panel: a mapping by code.

    Returns
    -------
    pandas.Series
        ``days_to_cover_<n>``. NaN also for tickers without a report, for a report whose as-of date
        is not a day, and where the mean volume is 0.

    Raises
    ------
    NotShortVolumeError
        For a frame that `resample` made; when the column of the volume or of the day is missing;
        when nothing is passed, and ``attrs`` hold no report (for US tickers they never do) or it is
        not known which ticker that report belongs to.
    ConfigError
        When an argument is not valid, a ticker has a day twice, or a row has no day; when the
        ``attrs`` of ``positions`` name another ticker or market than the rows have.

    Warns
    -----
    PositionWarning
        When there are reports, and all of them are newer than the rows.

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
    [1.714, 1.7122, 1.6988, 1.7254]
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
    """Number of shares that the gateway's percentage of the open short position is based on.

    Position / (its percentage / 100), in shares. The gateway's documentation calls this base the
    shares outstanding in one place and the float in another. The result is only as precise as the
    decimals of the percentage: with 0.56, to within 1 %.

    A report is used from the first session after it was known, until the next one is used, as in
    `days_to_cover`. Earlier rows are NaN.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    positions : pandas.DataFrame, optional
        As for `days_to_cover`, with the position in percent as ``aggregated_short_ratio`` or
        ``short_percent``.
    aggregated_short : int or mapping, optional
        One open position in shares, to use instead of that in ``attrs``. For a panel: a mapping by
        code.
    aggregated_short_ratio : float or mapping, optional
        The same position in percent. For a panel: a mapping by code.
    new_time_str : str, date or mapping, optional
        As-of date of that position. For a panel: a mapping by code.

    Returns
    -------
    pandas.Series
        ``implied_shares``. NaN also for tickers without a report, for a report whose as-of date is
        not a day, and where the percentage is 0.

    Raises
    ------
    NotShortVolumeError
        When no column holds the day; when nothing is passed, and ``attrs`` hold no report (for US
        tickers they never do) or it is not known which ticker that report belongs to.
    ConfigError
        When an argument is not valid, a row has no day, or ``positions`` belong to other tickers.

    Warns
    -----
    PositionWarning
        When there are reports, and all of them are newer than the rows.

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
