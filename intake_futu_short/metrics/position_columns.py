"""Reported open positions as columns beside the rows: an as-of join. A function of a DataFrame.

`intake_futu_short.metrics.known` has the rule by which a report is used, here as in the metrics.
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
    """Copy the frame with the open short position that was known at each row as further columns.

    A report is used from the first session after it was known until the next one is, as in
    `days_to_cover`, whose description says when it counts as known. Earlier rows have none.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    positions : pandas.DataFrame, optional
        As of `days_to_cover`, such as ``intake.open_futu_short_interest(code).read()``. By default
        the reports that ``attrs`` hold, which those of HK rows do.

    Returns
    -------
    pandas.DataFrame
        The frame's rows, index and ``attrs``; its columns, then four more, each of which takes the
        place of a column that has its name:

        ``position``
            Reported open short position, in shares (Int64).
        ``position_ratio``
            The same as a fraction of the gateway's share base (float64): the percentage that is
            sent, divided by 100. NaN where none is.
        ``position_as_of``
            The day whose position it is (datetime64[ns]).
        ``position_age_days``
            Calendar days from that day to the row's (Int64).

        Missing where no report was known; of a report without a number the position alone is.

    Warns
    -----
    PositionWarning
        When there are reports, and all of them are newer than the rows.

    Raises
    ------
    NotShortVolumeError
        On what `resample` gave; when nothing says the day; when ``attrs`` have no report (of US
        tickers they never do), or are not known to be of these tickers, and none is passed.
    ConfigError
        When `positions` are not reports, or those of another ticker; when a row has no day.

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
    # What is behind the last report is found at -1.
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
