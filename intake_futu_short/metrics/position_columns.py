"""Adds reported open positions to the rows as columns, by an as-of join. Pure.

`intake_futu_short.metrics.known` has the rule that says which report a row uses. The metrics use
the same rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from intake_futu_short.errors import ConfigError
from intake_futu_short.metrics.known import Asked
from intake_futu_short.metrics.registry import POSITION_ROLES
from intake_futu_short.metrics.reports import Given, used_reports
from intake_futu_short.metrics.sessions import Sessions, refuse_periods

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["with_positions"]

_NAME = "with_positions()"
# The first whole number that an Int64 does not hold.
_TOO_LARGE = 2.0**63


def with_positions(frame: pd.DataFrame, positions: pd.DataFrame | None = None) -> pd.DataFrame:
    """Copy the frame, and add the open short position that was known at each row.

    A report is used from the first session after it was known, until the next one is used. The
    description of `days_to_cover` says when a report counts as known. Rows before the first report
    have no position.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    positions : pandas.DataFrame, optional
        As for `days_to_cover`, such as ``intake.open_futu_short_interest(code).read()``. By default
        the reports in ``attrs``, which HK rows have.

    Returns
    -------
    pandas.DataFrame
        The frame with its index and ``attrs``, and with four more columns. Each of them replaces a
        column that already has its name:

        ``position``
            Reported open short position, in shares (Int64).
        ``position_ratio``
            The same as a fraction of the gateway's share base (float64): the percentage in the
            report, divided by 100. NaN if the report has none.
        ``position_as_of``
            As-of date of the report (datetime64[ns]).
        ``position_age_days``
            Calendar days from that date to the day of the row (Int64).

        All four are missing where no report was known. If a report has no number of shares, only
        ``position`` is missing.

    Raises
    ------
    NotShortVolumeError
        For a frame that `resample` made; when no column holds the day; when no report is passed,
        and ``attrs`` hold none (for US tickers they never do) or it is not known which ticker that
        report belongs to.
    ConfigError
        When `positions` are not reports, or belong to another ticker; when a row has no day.

    Warns
    -----
    PositionWarning
        When there are reports, and all of them are newer than the rows.

    Examples
    --------
    >>> import pandas as pd, intake_futu_short
    >>> df = pd.DataFrame({
    ...     "timestamp_str": ["2026-06-15", "2026-06-12"],
    ...     "short_sell_shares_traded": [300, 200],
    ... })
    >>> interest = pd.DataFrame({
    ...     "timestamp_str": ["2026-06-05"],  # published on 2026-06-12
    ...     "aggregated_short": [17650300],
    ...     "aggregated_short_ratio": [0.88],
    ... })
    >>> df.shortvol.with_positions(interest).iloc[:, 2:]
       position  position_ratio position_as_of  position_age_days
    0  17650300          0.0088     2026-06-05                 10
    1      <NA>             NaN            NaT               <NA>
    """
    refuse_periods(frame, _NAME)
    sessions = Sessions.of(frame)
    asked, given = Asked(frame, sessions, _NAME), Given(positions, {})
    reports, places = used_reports(asked, given, POSITION_ROLES[:1], POSITION_ROLES)
    # Position -1 means no report, and finds the missing value that is appended at the end.
    found = {role: np.append(values, np.nan)[places] for role, values in reports.values.items()}
    percent = found.get("position_percent", np.full(len(places), np.nan))
    as_of = np.append(reports.as_of, np.datetime64("NaT", "D"))[places]
    age = (sessions.days.astype("datetime64[D]") - as_of).astype(np.int64)
    columns: dict[str, Any] = {
        "position": _shares(sessions.to_rows(found["position"])),
        "position_ratio": sessions.to_rows(percent) / 100.0,
        "position_as_of": sessions.to_rows(as_of.astype("datetime64[ns]")),
        "position_age_days": pd.arrays.IntegerArray(
            sessions.to_rows(np.where(places < 0, 0, age)), sessions.to_rows(places < 0)
        ),
    }
    return frame.assign(**columns)


def _shares(values: NDArray[np.float64]) -> pd.arrays.IntegerArray:
    """Counts of shares, missing where NaN."""
    missing = np.isnan(values)
    whole = np.where(missing, 0.0, values)
    wrong = (whole != np.floor(whole)) | (np.abs(whole) >= _TOO_LARGE)
    if wrong.any():
        raise ConfigError(
            f"{_NAME}: positions holds a position of {whole[wrong][0]!s} shares, which is no count"
        )
    return pd.arrays.IntegerArray(whole.astype(np.int64), missing)
