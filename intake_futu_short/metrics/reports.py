"""Where reports of open positions come from: a frame of the user's, or ``attrs``. Pure.

`intake_futu_short.metrics.known` says which of them is used at each row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from intake_futu_short.errors import ConfigError, NotShortVolumeError, PositionWarning, warn
from intake_futu_short.metrics.aggregates import aggregates_history, as_of_days, by_code
from intake_futu_short.metrics.known import Reports, dated, known_at
from intake_futu_short.metrics.sessions import floats, labels_of, market_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from intake_futu_short.metrics.sessions import Sessions
    from intake_futu_short.security import Market

__all__ = ["Asked", "Given", "known_positions"]

# Columns of each role in a frame of reports: HK's and US' names.
_COLUMNS = {
    "position": ("aggregated_short", "shares_short"),
    "position_percent": ("aggregated_short_ratio", "short_percent"),
}
_DAYS = ("as_of", "timestamp_str")

# In the year 2200. What is later is no seconds: milliseconds, say.
_LAST_SECOND = 7.3e9


class Given(NamedTuple):
    """What a user passes instead of what ``attrs`` have.

    Attributes
    ----------
    positions : pandas.DataFrame or None
        A row a report.
    values : mapping of str to object
        One report: what it is made of, each by name a value or a mapping by code; None takes it
        from ``attrs``.
    """

    positions: pd.DataFrame | None
    values: Mapping[str, Any]


class Asked(NamedTuple):
    """Rows whose reports are asked for.

    Attributes
    ----------
    frame, sessions
        Of the same rows.
    metric : str
        Who asks; for messages.
    """

    frame: pd.DataFrame
    sessions: Sessions
    metric: str


def known_positions(
    asked: Asked, given: Given, roles: Sequence[str], more: Sequence[str] = ()
) -> dict[str, NDArray[np.float64]]:
    """Find the report known at each row of a frame.

    Parameters
    ----------
    asked : Asked
        Of what.
    given : Given
        Where reports are, other than in ``attrs``.
    roles : sequence of str
        What it needs; out of `registry.POSITION_ROLES` and others, which are left alone.
    more : sequence of str
        What it takes too if it is there.

    Returns
    -------
    dict of str to numpy.ndarray
        By role, in the order of the frame; NaN where no report was known.

    Raises
    ------
    NotShortVolumeError
        When there are no reports with these roles, or it is not known whose they are.
    ConfigError
        When they are not reports.
    """
    wanted = {role: role in roles for role in _COLUMNS if role in {*roles, *more}}
    is_one_given = any(value is not None for value in given.values.values())
    if given.positions is not None:
        if is_one_given:
            raise ConfigError(
                f"{asked.metric} takes positions= or one report by its parts, not both"
            )
        reports = _of_frame(asked, given.positions, wanted, "positions")
    elif not is_one_given and asked.frame.attrs.get("aggregates_history") not in {None, "[]"}:
        history = aggregates_history(asked.frame)
        reports = _of_frame(asked, history, wanted, "attrs['aggregates_history']")
    else:
        reports = _of_one(asked, given.values, wanted)
    places = known_at(asked.sessions, reports)
    _warn_of_newer(asked, reports, places)
    return {
        role: asked.sessions.to_rows(np.append(values, np.nan)[places])  # -1 is the last
        for role, values in reports.values.items()
    }


def _warn_of_newer(asked: Asked, reports: Reports, places: NDArray[np.intp]) -> None:
    """Say when reports exist, but none was known at any row."""
    if not len(places) or not len(reports.ticker) or (places >= 0).any():
        return
    first = int(np.argmin(reports.known))
    warn(
        f"{asked.metric}: what is made of reported open positions is NaN everywhere. The report as "
        f"of {reports.as_of[first]} was known on {reports.known[first]} and is used from the next "
        f"session on; the rows end on {str(asked.sessions.days.max())[:10]}",
        PositionWarning,
    )


# -- where reports come from ----------------------------------------------------------------------


def _of_frame(asked: Asked, positions: Any, roles: Mapping[str, bool], where: str) -> Reports:
    """Take reports of a frame that has a row for each; of the roles some must be there."""
    if not isinstance(positions, pd.DataFrame):
        raise ConfigError(
            f"{where} must be a DataFrame with a row a report, not {type(positions).__name__}"
        )
    day_column = next((name for name in _DAYS if name in positions.columns), None)
    columns = {
        role: name
        for role in roles
        if (name := next((n for n in _COLUMNS[role] if n in positions.columns), None))
    }
    missing = [
        " or ".join(_COLUMNS[role])
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
    # What is of other tickers, or of no day, is known of none of the rows.
    table = table[(table["ticker"] >= 0) & table["as_of"].notna()].reset_index(drop=True)
    table["published"] = _days(f"{where}: published", table["published"])
    table["first_seen"] = _moments(f"{where}: first_seen", table["first_seen"])
    return dated(table, list(columns), market_of(asked.frame))


def _objects(values: pd.Series[Any]) -> pd.Series[Any]:
    """Values as they are: whole numbers beside missing ones would become floats."""
    return pd.Series(values.tolist(), dtype=object)


def _days(name: str, values: pd.Series[Any]) -> pd.Series[Any]:
    """Days however they are written; NaT for what is missing."""
    try:
        days = as_of_days(name, values.tolist(), errors="raise")
    except (OverflowError, TypeError) as error:
        raise ConfigError(f"{name} holds what is not a day like 2026-04-30: {error}") from error
    return pd.Series(days, index=values.index)


def _moments(name: str, values: pd.Series[Any]) -> pd.Series[float]:
    """Unix seconds; NaN for what is missing."""
    seconds = pd.Series(floats(name, values), index=values.index)
    if (seconds.abs() > _LAST_SECOND).any():
        raise ConfigError(f"{name} holds {seconds.abs().max():g}, which is no Unix seconds")
    return seconds


def _tickers_of(asked: Asked, positions: pd.DataFrame, where: str) -> NDArray[np.intp]:
    """Place of each report's ticker among those of the frame; -1 for one that is not there."""
    frame, sessions, metric = asked
    own, whose = frame.attrs.get("code"), labels_of(positions, "code")
    codes = sessions.tickers
    if codes is None:
        codes = pd.Index([own] * len(sessions.begins), dtype=object)
    if whose is None:
        if len(codes) > 1:
            raise ConfigError(f"{metric} of a panel: {where} needs a column code")
        told = positions.attrs.get("code", own)  # a frame of one ticker's says whose it is
        whose = pd.Index([told] * len(positions), dtype=object)
    if own is None and sessions.tickers is None:
        if whose.nunique() > 1:
            raise NotShortVolumeError(
                f"{metric} takes reports from {where} by code, and the frame does not say whose "
                "its rows are: add a column 'code'"
            )
        return np.full(len(positions), 0 if len(codes) else -1)
    if whose.isna().all():  # nobody says whose they are: they are of the only ticker
        return np.full(len(positions), 0 if len(codes) else -1)
    return np.asarray(codes.get_indexer(whose))


def _of_one(asked: Asked, given: Mapping[str, Any], roles: Mapping[str, bool]) -> Reports:
    """Take the one report of each ticker that ``attrs``, or arguments in their place, have."""
    names = {role: _COLUMNS[role][0] for role in roles}
    needed = {"new_time_str", *(names[role] for role, is_needed in roles.items() if is_needed)}
    parts = {name: given.get(name) for name in [*names.values(), "new_time_str"]}
    values = _values_by_ticker(asked, parts, needed)
    names = {role: name for role, name in names.items() if name in values}
    table = pd.DataFrame({"ticker": np.arange(len(asked.sessions.begins))})
    # One that the gateway has sent and that is not a day costs that ticker's answers only.
    strict = given.get("new_time_str") is not None
    try:
        table["as_of"] = as_of_days(
            "new_time_str", values["new_time_str"], errors="raise" if strict else "coerce"
        )
    except TypeError as error:
        raise ConfigError(f"new_time_str is not a day like 2026-04-30: {error}") from error
    for role, name in names.items():
        table[role] = _numbers(name, values[name])
    table = table.dropna(subset="as_of").reset_index(drop=True)
    table["published"] = pd.Series(pd.NaT, index=table.index, dtype="datetime64[ns]")
    table["first_seen"] = np.nan
    return dated(table, list(names), market_of(asked.frame))


def _numbers(name: str, values: list[Any]) -> list[float]:
    try:
        return [np.nan if pd.isna(value) else float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} is not a number: {error}") from error


def _values_by_ticker(
    asked: Asked, given: Mapping[str, Any], needed: set[str]
) -> dict[str, list[Any]]:
    """Values of each name, a ticker after the other as in the sorted rows."""
    frame, sessions, metric = asked
    codes, own = sessions.tickers, frame.attrs.get("code")
    tickers = [own] * len(sessions.begins) if codes is None else codes.tolist()
    reported = by_code(frame)
    found: dict[str, list[Any]] = {}
    missing = []
    for name, value in given.items():
        if value is not None:
            found[name] = _given(tickers, metric, name, value)
        elif reported is not None:
            if codes is None and own is None and tickers:
                raise NotShortVolumeError(
                    f"{metric} takes {name} from attrs['aggregates'] by code, and the frame "
                    f"does not say whose its rows are: add a column 'code', or pass {name}=..."
                )
            found[name] = [reported.get(code, {}).get(name) for code in tickers]
        elif name in frame.attrs and len(tickers) <= 1:
            if own is not None and tickers not in ([], [own]):
                raise NotShortVolumeError(
                    f"{metric} takes {name} from attrs, which are of {own}, and the rows are "
                    f"of {tickers[0]}: pass {name}=..."
                )
            found[name] = [frame.attrs[name]] * len(tickers)
        elif name in needed:
            missing.append(name)
    if missing:
        raise NotShortVolumeError(_lost(market_of(frame), metric, missing, len(tickers) > 1))
    return found


def _given(tickers: list[Any], metric: str, name: str, value: Any) -> list[Any]:
    if isinstance(value, (Mapping, pd.Series)):
        return [value.get(code) for code in tickers]
    if len(tickers) > 1:
        raise ConfigError(f"{metric}: {name} of a panel is a mapping, code to value, not {value!r}")
    return [value] * len(tickers)


def _lost(market: Market, metric: str, missing: list[str], panel: bool) -> str:
    if market.name == "US":
        return (
            f"{metric} of a US frame needs positions=: the gateway sends no open positions beside "
            "US rows. Pass a frame with a row a report: code, as_of or timestamp_str (the "
            "settlement date), shares_short, and for implied_shares short_percent"
        )
    where = "attrs['aggregates']" if panel else "attrs"
    example = "{code: value, ...}" if panel else "..."
    return (
        f"{metric} needs the open position reported beside the rows, and this frame has no "
        f"{' and no '.join(missing)} in {where}. pandas drops attrs when a frame goes through CSV, "
        "and when frames whose attrs differ are joined. Take them from the frame as it was read "
        "(its attrs), or pass positions=, a frame with a row a report, or one report by its parts: "
        f"{', '.join(f'{name}={example}' for name in missing)}"
    )
