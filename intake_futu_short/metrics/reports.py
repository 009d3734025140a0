"""Finds the reports of open positions, in a frame that the user passes or in ``attrs``. Pure.

`intake_futu_short.metrics.known` says which of them each row uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from intake_futu_short.errors import ConfigError, NotShortVolumeError, PositionWarning, warn
from intake_futu_short.metrics.aggregates import aggregates_history, as_of_days
from intake_futu_short.metrics.known import Asked, Reports, dated, known_at
from intake_futu_short.metrics.one_report import COLUMNS, of_one
from intake_futu_short.metrics.sessions import floats, labels_of, market_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Given", "known_positions", "reports_of", "used_reports"]

_DAYS = ("as_of", "timestamp_str")

# In the year 2200. Larger numbers are not seconds, but perhaps milliseconds.
_LAST_SECOND = 7.3e9
# How many codes a message names.
_MOST_CODES = 3


class Given(NamedTuple):
    """Reports that a user passes instead of those in ``attrs``.

    Attributes
    ----------
    positions : pandas.DataFrame or None
        One row per report.
    values : mapping of str to object
        The parts of one report by name. Each is a value, or a mapping by code, or None to take it
        from ``attrs``.
    """

    positions: pd.DataFrame | None
    values: Mapping[str, Any]


def known_positions(
    asked: Asked, given: Given, roles: Sequence[str], more: Sequence[str] = ()
) -> dict[str, NDArray[np.float64]]:
    """Find the report known at each row of a frame.

    Parameters
    ----------
    asked : Asked
        The rows, and the metric that needs reports.
    given : Given
        Reports that the user passed.
    roles : sequence of str
        Roles that the metric needs. Only those of `registry.POSITION_ROLES` matter here.
    more : sequence of str
        Roles that are added if the reports have them.

    Returns
    -------
    dict of str to numpy.ndarray
        By role, in the order of the frame; NaN where no report was known.

    Raises
    ------
    NotShortVolumeError
        When there are no reports with these roles, or it is not known to which ticker they belong.
    ConfigError
        When what was passed is not a report.
    """
    reports, places = used_reports(asked, given, roles, more)
    return {
        role: asked.sessions.to_rows(np.append(values, np.nan)[places])  # -1 is the last
        for role, values in reports.values.items()
    }


def used_reports(
    asked: Asked, given: Given, roles: Sequence[str], more: Sequence[str] = ()
) -> tuple[Reports, NDArray[np.intp]]:
    """Find reports, and the position of the one that each sorted row uses; -1 where none was known.

    Arguments and errors are those of `known_positions`.
    """
    reports = reports_of(asked, given, roles, more)
    places = known_at(asked.sessions, reports)
    _warn_of_newer(asked, reports, places)
    return reports, places


def reports_of(
    asked: Asked, given: Given, roles: Sequence[str], more: Sequence[str] = ()
) -> Reports:
    """Find the reports of a frame's tickers, whether or not they were known at any row.

    Arguments and errors are those of `known_positions`.
    """
    wanted = {role: role in roles for role in COLUMNS if role in {*roles, *more}}
    is_one_given = any(value is not None for value in given.values.values())
    if given.positions is not None:
        if is_one_given:
            raise ConfigError(
                f"{asked.metric} takes positions= or one report by its parts, not both"
            )
        return _of_frame(asked, given.positions, wanted, "positions")
    if not is_one_given and asked.frame.attrs.get("aggregates_history") not in {None, "[]"}:
        history = aggregates_history(asked.frame)
        return _of_frame(asked, history, wanted, "attrs['aggregates_history']")
    return of_one(asked, given.values, wanted)


def _warn_of_newer(asked: Asked, reports: Reports, places: NDArray[np.intp]) -> None:
    """Say when reports exist, but none was known at any row."""
    if not len(places) or not len(reports.ticker) or (places >= 0).any():
        return
    first = int(np.argmin(reports.known))
    warn(
        f"{asked.metric}: values from reported open positions are NaN everywhere. The report as "
        f"of {reports.as_of[first]} was known on {reports.known[first]} and is used from the next "
        f"session on, but the rows end on {str(asked.sessions.days.max())[:10]}",
        PositionWarning,
    )


# -- where reports come from ----------------------------------------------------------------------


def _of_frame(asked: Asked, positions: Any, roles: Mapping[str, bool], where: str) -> Reports:
    """Take reports from a frame with one row per report. `roles` says which roles are needed."""
    if not isinstance(positions, pd.DataFrame):
        raise ConfigError(
            f"{where} must be a DataFrame with one row per report, not {type(positions).__name__}"
        )
    market = market_of(asked.frame)
    if positions.attrs.get("market", market.name) != market.name:
        raise ConfigError(
            f"{asked.metric}: {where} is of the market {positions.attrs['market']} by its attrs, "
            f"and the rows are of {market.name}"
        )
    day_column = next((name for name in _DAYS if name in positions.columns), None)
    # A table of both markets has the columns of both.
    first = -1 if market.name == "US" else 1
    columns = {
        role: name
        for role in roles
        if (name := next((n for n in COLUMNS[role][::first] if n in positions.columns), None))
    }
    missing = [
        " or ".join(COLUMNS[role])
        for role, is_needed in roles.items()
        if is_needed and role not in columns
    ]
    if day_column is None:
        missing.append(" or ".join(_DAYS))
    if missing:
        raise ConfigError(f"{asked.metric}: {where} has no column {', and none '.join(missing)}")
    ticker = _tickers_of(asked, positions, where)
    days = _days(f"{where}: {day_column}", _objects(positions[day_column]))
    table = pd.DataFrame({"ticker": ticker, "as_of": days})
    for role, name in columns.items():
        table[role] = floats(f"{where}: {name}", positions[name])
    for name in ("published", "first_seen"):
        table[name] = _objects(positions[name]) if name in positions.columns else None
    # Drop reports of other tickers, and reports without a day: no row can use them.
    table = table[(table["ticker"] >= 0) & table["as_of"].notna()].reset_index(drop=True)
    table["published"] = _days(f"{where}: published", table["published"])
    table["first_seen"] = _moments(f"{where}: first_seen", table["first_seen"])
    return dated(table, list(columns), market)


def _objects(values: pd.Series[Any]) -> pd.Series[Any]:
    """Values unchanged. Otherwise whole numbers beside missing ones would become floats."""
    return pd.Series(values.tolist(), dtype=object)


def _days(name: str, values: pd.Series[Any]) -> pd.Series[Any]:
    """Read days in any of the accepted spellings; NaT if one is missing."""
    try:
        days = as_of_days(name, values.tolist(), errors="raise")
    except (OverflowError, TypeError) as error:
        raise ConfigError(f"{name} holds what is not a day like 2026-04-30: {error}") from error
    return pd.Series(days, index=values.index)


def _moments(name: str, values: pd.Series[Any]) -> pd.Series[float]:
    """Unix seconds; NaN if one is missing."""
    seconds = pd.Series(floats(name, values), index=values.index)
    if (seconds.abs() > _LAST_SECOND).any():
        raise ConfigError(f"{name} holds {seconds.abs().max():g}, which is not in Unix seconds")
    return seconds


def _tickers_of(asked: Asked, positions: pd.DataFrame, where: str) -> NDArray[np.intp]:
    """Position of each report's ticker among those of the frame; -1 if it is not there."""
    frame, sessions, metric = asked
    own, whose = frame.attrs.get("code"), labels_of(positions, "code")
    codes = sessions.tickers
    if codes is None:
        codes = pd.Index([own] * len(sessions.begins), dtype=object)
    if whose is None:
        told = positions.attrs.get("code")  # a frame of one ticker has its code here
        if told is None and len(codes) > 1:
            raise ConfigError(f"{metric} of a panel: {where} needs a column code")
        known = [own] if sessions.tickers is None else list(codes)
        _refuse_another(asked, told, [code for code in known if not pd.isna(code)], where)
        whose = pd.Index([own if told is None else told] * len(positions), dtype=object)
    if own is None and sessions.tickers is None:
        if whose.nunique() > 1:
            raise NotShortVolumeError(
                f"{metric} takes reports from {where} by code, and the frame does not say whose "
                "its rows are: add a column 'code'"
            )
        return np.full(len(positions), 0 if len(codes) else -1)
    if whose.isna().all():  # no code is known anywhere: the reports belong to the only ticker
        return np.full(len(positions), 0 if len(codes) else -1)
    return np.asarray(codes.get_indexer(whose))


def _refuse_another(asked: Asked, told: Any, codes: Sequence[Any], where: str) -> None:
    """Raise ConfigError if the reports are of the ticker `told`, and the rows are of others."""
    if told is None or not codes or told in codes:
        return
    others = f" and {len(codes) - 1} more" if len(codes) > 1 else ""
    wanted = repr([str(code) for code in codes]) if 1 < len(codes) <= _MOST_CODES else "codes"
    wanted = repr(str(codes[0])) if len(codes) == 1 else wanted
    raise ConfigError(
        f"{asked.metric}: {where} is of {told} by its attrs, and the rows are of "
        f"{codes[0]}{others}. Pass the reports of these tickers: "
        f"positions=intake.open_futu_short_interest({wanted}).read()"
    )
