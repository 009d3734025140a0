"""Reads the rows and columns that a screen of a store needs."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.errors import ConfigError, NotShortVolumeError, PanelError, StoreError
from intake_futu_short.metrics.columns import ROLES
from intake_futu_short.metrics.newest import latest, rows_needed
from intake_futu_short.metrics.registry import WINDOWS
from intake_futu_short.security import MARKETS, Security
from intake_futu_short.wording import argument, either

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intake_futu_short.store import FutuShortStore

__all__ = ["Recent", "recent_rows"]

# A ticker without a session in this many days is left out of a screen.
_GONE = dt.timedelta(days=60)
# Extra days for holidays. To start too early costs little.
_HOLIDAYS = dt.timedelta(days=21)


@dataclass(frozen=True)
class Recent:
    """The newest rows of a market's stored tickers.

    Attributes
    ----------
    rows : pandas.DataFrame
        A panel, as `FutuShortStore.read` gives it, with the columns that metrics need.
    since : str
        A day. Tickers without a row on it or later are not in `rows`.
    older : dict of str to str
        Those tickers, with the newest stored day of each.
    failures : dict of str to Exception
        Tickers that could not be read.
    """

    rows: pd.DataFrame
    since: str
    older: dict[str, str]
    failures: dict[str, Exception]


def recent_rows(
    store: FutuShortStore,
    market: str | None = None,
    by: str = "short_ratio_zscore_20",
    sessions: int = 1,
) -> Recent:
    """Read the rows that a screen by a metric needs. No gateway is asked.

    Every ticker has as many rows as the windows need, or all of its rows if the store has fewer. If
    trading in a ticker was halted, its rows may be older than those of the others. The metrics are
    therefore the same as those of the whole histories.

    Parameters
    ----------
    store : FutuShortStore
        The store to read.
    market : {"HK", "US"}, optional
        Needed only if the store holds both.
    by : str
        The metric or column to sort tickers by.
    sessions : int
        For how many of the newest sessions the metrics are needed.

    Raises
    ------
    ConfigError
        When `market` is not a market, or is not given and the store holds both.
    StoreError
        When nothing is kept, or the store cannot be read.
    PanelError
        When no ticker can be read.
    """
    kept, failures = _kept(store, market)
    name = _one_market(store, [*kept["code"], *failures])
    _refuse_unknown(by, name)
    needed = rows_needed(by, WINDOWS) + sessions - 1
    newest = dt.date.fromisoformat(kept["last"].max())
    since = newest - _GONE
    start = min(since, newest - dt.timedelta(days=needed * 7 // 5) - _HOLIDAYS)
    is_older = kept["last"] < since.isoformat()
    older = dict(zip(kept["code"][is_older], kept["last"][is_older], strict=True))
    columns = _columns(name, by)

    codes = kept["code"][~is_older].tolist()
    rows = _read(store, codes, columns, start.isoformat(), failures)
    if failures.keys() >= set(codes):
        raise PanelError(PanelError.summary(failures, len(failures)), failures, rows)
    stored = dict(zip(kept["code"], kept["rows"], strict=True))
    there = rows["code"].value_counts().to_dict()
    short = [code for code in codes if there.get(code, needed) < min(needed, stored[code])]
    if short:
        whole = _read(store, short, columns, None, failures)
        whole = whole.groupby("code", sort=False).head(needed)
        attrs, rows.attrs, whole.attrs = rows.attrs, {}, {}
        rows = pd.concat([rows[~rows["code"].isin(short)], whole], ignore_index=True)
        rows.attrs = attrs
    return Recent(rows, since.isoformat(), older, dict(sorted(failures.items())))


def _kept(store: FutuShortStore, market: str | None) -> tuple[pd.DataFrame, dict[str, Exception]]:
    """Information on the stored tickers with rows, and the errors of those that cannot be read."""
    try:
        kept, failures = store.info(market), {}
    except PanelError as error:
        if error.partial is None or not len(error.partial):
            raise
        kept, failures = error.partial, error.failures
    kept = kept[kept["rows"] > 0]
    if not len(kept):
        raise StoreError(f"{store.url}: there are no rows of any ticker. Sync some tickers first")
    return kept, dict(failures)


def _one_market(store: FutuShortStore, codes: Sequence[str]) -> str:
    names = sorted({Security.known(code).market.name for code in codes})
    if len(names) > 1:
        raise ConfigError(
            f"{store.url} holds {' and '.join(names)}, whose columns differ: name the market, "
            f"such as {either(repr(names[0]), f'--market {names[0]}')}"
        )
    return names[0]


def _refuse_unknown(by: str, market: str) -> None:
    """Raise ConfigError if `by` is not a metric, before the rows of a market are read."""
    nothing = pd.DataFrame(columns=SHORT_VOLUME.table(MARKETS[market]).column_names)
    try:
        latest(nothing, by)
    except NotShortVolumeError:
        pass  # the stored rows may have the column
    except ConfigError as error:
        raise ConfigError(f"{argument('by')}: {error}") from error


def _columns(market: str, by: str) -> list[str]:
    table = SHORT_VOLUME.table(MARKETS[market])
    return [name for name in table.column_names if name in {*ROLES[market].values(), by}]


def _read(
    store: FutuShortStore,
    codes: Sequence[str],
    columns: Sequence[str],
    start: str | None,
    failures: dict[str, Exception],
) -> pd.DataFrame:
    """Rows of the tickers that can be read; the errors of the others go to `failures`."""
    try:
        return store.read(codes, start=start, columns=columns)
    except PanelError as error:
        if error.partial is None:
            raise
        failures |= error.failures
        return error.partial
