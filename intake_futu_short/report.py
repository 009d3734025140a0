"""A screen of many tickers as a single HTML page that loads no other file."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from intake_futu_short import sparklines
from intake_futu_short.metrics import latest
from intake_futu_short.metrics.newest import BEHIND
from intake_futu_short.metrics.registry import WINDOWS
from intake_futu_short.metrics.sessions import Sessions, market_of
from intake_futu_short.screen_columns import shown
from intake_futu_short.security import SYNTHETIC
from intake_futu_short.store.urls import shown as url_shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import jinja2

    from intake_futu_short.screen_columns import Shown
    from intake_futu_short.sparklines import Sparkline

__all__ = ["screen_html"]

_TEMPLATE = "screen.html.jinja"
_MARKETS = {"US": "United States", "HK": "Hong Kong"}


@dataclass(frozen=True)
class _Row:
    """A ticker as the page shows it. Each of ``cells`` is a pair: sort key and shown text."""

    code: str
    is_synthetic: bool
    day: str
    behind: int
    line: Sparkline | None
    line_text: str
    cells: list[tuple[str, str]]


def screen_html(
    panel: pd.DataFrame,
    by: str = "short_ratio_zscore_20",
    n: int | None = 20,
    *,
    windows: int | Iterable[int] = WINDOWS,
    ascending: bool = False,
    positions: pd.DataFrame | None = None,
    store: str | None = None,
    made: dt.datetime | None = None,
    older: Mapping[str, str] | None = None,
    failures: Mapping[str, object] | None = None,
    sessions: int = sparklines.SESSIONS,
) -> str:
    """Write the table of ``df.shortvol.latest()`` as one page of HTML.

    The page loads nothing, neither from the network nor from files. A click on a heading sorts the
    table; without JavaScript the table is complete too, but cannot be sorted. For each ticker the
    page draws the short ratio of the newest `sessions` of the panel, over a band: the mean of the
    20 sessions before each, plus and minus one standard deviation. `panel` should therefore also
    hold the 20 sessions before those.

    Parameters
    ----------
    panel : pandas.DataFrame
        Rows of one ticker or of several, as ``df.shortvol`` takes them.
    by, n, windows, ascending, positions
        As for ``df.shortvol.latest()``.
    store : str, optional
        URL of the store that the rows came from. The page shows it without a password.
    made : datetime.datetime, optional
        Time that the page gives as its own; by default now.
    older : mapping of str to str, optional
        Tickers that are left out of `panel` because they have no recent row, with the newest day of
        each.
    failures : mapping of str to object, optional
        Tickers that could not be read, with the reason for each.
    sessions : int, default 60
        How many sessions the lines span.

    Returns
    -------
    str
        The HTML document. Write it to a file in UTF-8.

    Raises
    ------
    NotShortVolumeError, ConfigError
        As for ``df.shortvol.latest()``.

    Examples
    --------
    >>> from pathlib import Path
    >>> from intake_futu_short import FutuShortStore
    >>> from intake_futu_short.report import screen_html
    >>> panel = FutuShortStore("short-history").read(market="US")  # doctest: +SKIP
    >>> Path("screen.html").write_text(screen_html(panel), "utf-8")  # doctest: +SKIP
    """
    market = market_of(panel)
    everyone = latest(panel, by, None, windows=windows, ascending=ascending, positions=positions)
    table = everyone.head(len(everyone) if n is None else n).copy()
    table["code"] = table["code"].astype(object).where(table["code"].notna(), "")
    columns = shown(table, by, market)
    moment = made or dt.datetime.now(dt.timezone.utc)
    lines = sparklines.sparklines(panel, set(table["code"]), sessions) if len(table) else {}
    return _template().render(
        market=market.name,
        place=_MARKETS[market.name],
        as_of=_day(everyone["date"].max()),
        made=f"{moment.astimezone(dt.timezone.utc):%Y-%m-%d %H:%M} UTC",
        store=None if store is None else url_shown(store),
        tickers=len(everyone),
        by=by,
        ascending=ascending,
        columns=columns,
        numbers={one.name for one in columns if is_numeric_dtype(table[one.name])},
        rows=[_row(values, columns, lines) for values in table.to_dict("records")],
        box=sparklines,
        sessions=min(sessions, len(np.unique(Sessions.of(panel).days))),
        older=dict(older or {}),
        failures={code: str(error) for code, error in (failures or {}).items()},
    )


@cache
def _template() -> jinja2.Template:
    import jinja2  # noqa: PLC0415 - slow to import, and metrics do not need it

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string((files("intake_futu_short") / _TEMPLATE).read_text("utf-8"))


def _row(values: dict[Any, Any], columns: list[Shown], lines: dict[str, Sparkline]) -> _Row:
    line = lines.get(values["code"])
    return _Row(
        values["code"],
        values["code"] in SYNTHETIC,
        _day(values["date"]),
        values[BEHIND],
        None if line is None or not line.line else line,
        "" if line is None else _described(line),
        [
            ("" if pd.isna(values[column.name]) else str(values[column.name]),
             column.text(values[column.name]))
            for column in columns
        ],
    )  # fmt: skip


def _described(line: Sparkline) -> str:
    """A sparkline in words, for screen readers."""
    if pd.isna(line.newest):
        return "Short ratio, no newest value"
    text = f"Short ratio {line.newest:.1%}"
    if pd.notna(line.low):
        text += f"; mean ± 1 sd of the 20 sessions before: {line.low:.1%} to {line.high:.1%}"
    return text


def _day(day: Any) -> str:
    return "" if pd.isna(day) else f"{day:%Y-%m-%d}"
