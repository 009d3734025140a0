"""Takes the single report of each ticker from ``attrs``, or from arguments. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError, NotShortVolumeError
from intake_futu_short.metrics.aggregates import as_of_days, by_code
from intake_futu_short.metrics.known import Reports, dated
from intake_futu_short.metrics.sessions import market_of

if TYPE_CHECKING:
    from intake_futu_short.metrics.known import Asked

__all__ = ["COLUMNS", "of_one"]

# Columns of each role in a frame of reports: HK's and US' names.
COLUMNS = {
    "position": ("aggregated_short", "shares_short"),
    "position_percent": ("aggregated_short_ratio", "short_percent"),
}


def of_one(asked: Asked, given: Mapping[str, Any], roles: Mapping[str, bool]) -> Reports:
    """Take the single report of each ticker from ``attrs``, or from arguments given instead."""
    names = {role: COLUMNS[role][0] for role in roles}
    needed = {"new_time_str", *(names[role] for role, is_needed in roles.items() if is_needed)}
    parts = {name: given.get(name) for name in [*names.values(), "new_time_str"]}
    values, missing = _values_by_ticker(asked, parts, needed)
    if missing:
        raise NotShortVolumeError(_lost(asked, missing, takes_parts=bool(given)))
    names = {role: name for role, name in names.items() if name in values}
    table = pd.DataFrame({"ticker": np.arange(len(asked.sessions.begins))})
    # If the gateway sent an as-of date that is not a day, only that ticker's values are NaN.
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
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ConfigError(f"{name} is not a number: {error}") from error


def _values_by_ticker(
    asked: Asked, given: Mapping[str, Any], needed: set[str]
) -> tuple[dict[str, list[Any]], list[str]]:
    """Values of each name, in the order of the sorted tickers; and the names that are missing."""
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
    return found, missing


def _given(tickers: list[Any], metric: str, name: str, value: Any) -> list[Any]:
    if isinstance(value, (Mapping, pd.Series)):
        return [value.get(code) for code in tickers]
    if len(tickers) > 1:
        raise ConfigError(
            f"{metric}: {name} of a panel is a mapping, code to value, not {described(value)}"
        )
    return [value] * len(tickers)


def _lost(asked: Asked, missing: list[str], *, takes_parts: bool) -> str:
    own, tickers = asked.frame.attrs.get("code"), asked.sessions.tickers
    codes = [own] if tickers is None else tickers.tolist()
    code = repr(str(codes[0])) if len(codes) == 1 and not pd.isna(codes[0]) else "codes"
    how = f"positions=intake.open_futu_short_interest({code}).read()"
    if market_of(asked.frame).name == "US":
        return (
            f"{asked.metric} of a US frame needs positions=: the gateway sends no open positions "
            f"beside US rows. Ask for the short interest: {how}. Any frame with one row per report "
            "will do: code, as_of or timestamp_str (the settlement date), shares_short, and for "
            "implied_shares short_percent"
        )
    is_panel = len(codes) > 1
    where = "attrs['aggregates']" if is_panel else "attrs"
    example = "{code: value, ...}" if is_panel else "..."
    parts = ", ".join(f"{name}={example}" for name in missing)
    return (
        f"{asked.metric} needs the open position reported beside the rows, and this frame has no "
        f"{' and no '.join(missing)} in {where}. pandas drops attrs when a frame goes through CSV, "
        "and when frames whose attrs differ are joined. Copy the attrs of the frame as it was "
        f"read, or pass a frame with one row per report: {how}"
        + (f"; or one report by its parts: {parts}" if takes_parts else "")
    )
