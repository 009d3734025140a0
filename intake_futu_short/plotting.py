"""Figures of daily short volume: what ``df.shortvol.plot`` shows, and `save` for files.

What is drawn is worked out here, by day and ticker; `intake_futu_short.drawing` puts it on axes.
matplotlib, the extra ``[plot]``, is imported when a figure is asked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd

from intake_futu_short import metrics
from intake_futu_short.errors import ConfigError
from intake_futu_short.security import HK, US
from intake_futu_short.sessions import Sessions, market_of, numbers

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from intake_futu_short.security import Market

__all__ = ["Options", "Ticker", "plot", "save"]

WINDOW = 20
MOST_PANELS = 12
FORMATS = ("png", "pdf", "svg")
# Rows made up for trying things out; there are no such securities.
SYNTHETIC = ("HK.SAMPLE", "US.SAMPLE")
# HKEX gives its counters in renminbi the numbers from 80000 on.
_RENMINBI_COUNTER = r"HK\.8\d{4}"


@dataclass(frozen=True)
class Ticker:
    """What is drawn of one ticker.

    Attributes
    ----------
    code : str
        ``""`` when it is not known.
    market : Market
        Of all tickers of a frame.
    days : pandas.DataFrame
        The days shown, ascending: ``price``, ``short_value`` (amounts of money), ``short_ratio``,
        ``pooled``, ``mean``, ``sd``, ``reported_pooled`` (fractions); NaN where not known.
    positions : pandas.DataFrame
        Open short positions that HKEX reported, by as-of date, ascending: ``aggregated_short``
        (shares), ``aggregated_short_ratio`` (percent).
    newest : pandas.Timestamp or None
        As-of date: the newest day that the frame has of the ticker, shown or not.
    lacking : tuple of str
        Columns of the market that hold nothing on the days shown.
    price_column : str
        Where ``price`` comes from.
    """

    code: str
    market: Market
    days: pd.DataFrame
    positions: pd.DataFrame
    newest: pd.Timestamp | None
    lacking: tuple[str, ...]
    price_column: str

    @property
    def name(self) -> str:
        """The code, and whether its rows are made up."""
        return f"{self.code} (synthetic)" if self.code in SYNTHETIC else self.code

    @property
    def currency(self) -> str:
        """What its prices are in."""
        if self.market is US:
            return "USD"
        return "CNY" if pd.Series([self.code]).str.fullmatch(_RENMINBI_COUNTER)[0] else "HKD"


@dataclass(frozen=True)
class Options:
    """Which days of a frame are shown, and in which kind of figure; see `plot`."""

    kind: Literal["panels", "heatmap"] | None = None
    start: Any = None
    end: Any = None
    last: int | None = None

    def interval(self) -> tuple[str | None, str | None]:
        """``start`` and ``end`` as days, once all options are known to be right."""
        # It reads URLs too, whose code an import of the accessor need not load.
        from intake_futu_short import arguments  # noqa: PLC0415

        if self.kind not in {None, "panels", "heatmap"}:
            raise ConfigError(f"kind must be 'panels' or 'heatmap', not {self.kind!r}")
        if self.last is not None and (
            not isinstance(self.last, Integral) or isinstance(self.last, bool) or self.last < 1
        ):
            raise ConfigError(
                f"last must be a whole number of at least 1 (trading days), not {self.last!r}"
            )
        return arguments.interval(self.start, self.end)


def plot(
    frame: pd.DataFrame,
    options: Options = Options(),
    *,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """Draw a frame with pyplot, or on axes that are given; returns what was drawn on.

    `intake_futu_short.accessor` describes it to users.
    """
    tickers = _tickers(frame, options)
    drawing = _drawing()
    if ax is None:
        import matplotlib.pyplot as plt  # noqa: PLC0415 - see the module's docstring

        # Of pyplot, so that a notebook shows it; which backend that takes is the user's choice.
        figure = plt.figure(figsize=figsize or _figsize(tickers, options), layout="constrained")
        return _fill(drawing, figure, tickers, options)
    if figsize is not None:
        raise ConfigError("figsize is that of a new figure; with ax= the figure is there already")
    if hasattr(ax, "plot"):
        if _is_heat_map(tickers, options, default=len(tickers) > 1):
            drawing.heat_map(ax, tickers)
        else:
            drawing.ratio_alone(ax, _only(tickers))
        return ax
    axes = np.asarray(ax, dtype=object).ravel()
    if not len(axes) or not all(hasattr(each, "plot") for each in axes):
        raise ConfigError(f"ax must be one matplotlib Axes or several, not {ax!r}")
    if _is_heat_map(tickers, options):
        raise ConfigError(f"a heat map is drawn on one Axes, and ax= holds {len(axes)}")
    if len(tickers) > 1:
        if len(axes) != len(tickers):
            raise ConfigError(
                f"the frame has {len(tickers)} tickers and ax= {len(axes)} Axes: one each, or "
                "one Axes for a heat map"
            )
        drawing.small_multiples(axes, tickers)
    elif len(axes) in {2, 3}:
        drawing.panels(axes, tickers[0])
    else:
        raise ConfigError(
            f"ax= holds {len(axes)} Axes. One ticker is drawn on 1 (the short ratio), 2 (price, "
            "short ratio) or 3 (with the reported open short position)"
        )
    return axes


def save(
    frame: pd.DataFrame,
    path: str | os.PathLike[str],
    options: Options = Options(),
    *,
    figsize: tuple[float, float] | None = None,
    dpi: float = 150,
) -> Path:
    """Draw a frame into a file, without pyplot: no window, no display, no backend.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows as ``df.shortvol`` takes them.
    path : str or path
        File to write or replace; ``.png``, ``.pdf`` or ``.svg``.
    options : Options
        Which days and which kind of figure.
    figsize : (float, float), optional
        Width and height in inches.
    dpi : float
        Dots an inch of a PNG.

    Raises
    ------
    ConfigError
        For another kind of file, and as for ``df.shortvol.plot``.
    ImportError
        When matplotlib is not installed.
    OSError
        When the file cannot be written.
    """
    target = Path(path)
    if target.suffix.lower().lstrip(".") not in FORMATS:
        raise ConfigError(f"a figure is saved as {', '.join(FORMATS)} by its name, not {target}")
    tickers = _tickers(frame, options)
    drawing = _drawing()
    from matplotlib.figure import Figure  # noqa: PLC0415 - see the module's docstring

    figure = Figure(figsize=figsize or _figsize(tickers, options), layout="constrained")
    _fill(drawing, figure, tickers, options)
    figure.savefig(target, dpi=dpi)
    return target


def _drawing() -> ModuleType:
    try:
        from intake_futu_short import drawing  # noqa: PLC0415 - see the module's docstring
    except ImportError as error:
        raise ImportError(
            f"plots need matplotlib ({error}): pip install 'intake-futu-short[plot]'"
        ) from error
    return drawing


def _is_heat_map(
    tickers: Sequence[Ticker], options: Options, *, default: bool | None = None
) -> bool:
    if options.kind is None:
        return len(tickers) > MOST_PANELS if default is None else default
    return options.kind == "heatmap"


def _only(tickers: Sequence[Ticker]) -> Ticker:
    if len(tickers) > 1:
        raise ConfigError(
            f"the frame has {len(tickers)} tickers: panels take as many Axes, kind='heatmap' one"
        )
    return tickers[0]


def _figsize(tickers: Sequence[Ticker], options: Options) -> tuple[float, float]:
    if _is_heat_map(tickers, options):
        return 9.0, min(2.0 + 0.16 * max(len(tickers), 10), 20.0)
    return 9.0, 7.0


def _fill(
    drawing: ModuleType, figure: Figure, tickers: Sequence[Ticker], options: Options
) -> Axes | NDArray[Any]:
    """Draw on a new figure."""
    if _is_heat_map(tickers, options):
        return cast("Axes", drawing.heat_map(figure.add_subplot(), tickers))
    if len(tickers) > MOST_PANELS:
        raise ConfigError(
            f"{len(tickers)} tickers are too many for panels ({MOST_PANELS} at most): choose some, "
            "or kind='heatmap'"
        )
    if len(tickers) > 1:
        return cast("NDArray[Any]", drawing.grid_of_tickers(figure, tickers))
    return cast("NDArray[Any]", drawing.figure_of_one(figure, tickers[0]))


def _tickers(frame: pd.DataFrame, options: Options) -> list[Ticker]:
    """What is drawn, a ticker after the other by code; at least one, which may be empty."""
    first, last = options.interval()
    market = market_of(frame)
    sessions = Sessions.of(frame)
    sessions.refuse_repeated_days("plot")
    rows = _columns(frame.take(sessions.order), market, sessions)
    # Windows look back at days that are not shown.
    shown = np.ones(len(rows), dtype=bool)
    shown &= (sessions.days >= np.datetime64(first)) if first else True
    shown &= (sessions.days <= np.datetime64(last)) if last else True
    if options.last is not None and shown.any():
        days = np.unique(sessions.days[shown])
        shown &= sessions.days >= days[-min(options.last, len(days))]
    begins = np.unique(sessions.first) if len(rows) else np.zeros(1, dtype=np.intp)
    ends = np.append(begins[1:], len(rows))
    return [
        _ticker(
            frame,
            market,
            rows.iloc[begin:end],
            shown[begin:end],
            _code(frame, sessions.codes, begin),
        )
        for begin, end in zip(begins, ends, strict=True)
    ]


def _code(frame: pd.DataFrame, codes: pd.Index[Any] | None, row: int) -> str:
    code = frame.attrs.get("code") if codes is None or not len(codes) else codes[row]
    return "" if pd.isna(code) else str(code)


def _columns(rows: pd.DataFrame, market: Market, sessions: Sessions) -> pd.DataFrame:
    """Sorted rows → numbers by day, all tickers below each other, with the columns they need."""
    columns = {name: numbers(rows, name) for name in _measured(market)}
    table = pd.DataFrame({**columns, "date": sessions.days})
    # Sums and quotients that no window may mix over tickers.
    table["code"] = sessions.first
    short, _ = metrics.SHORT_AND_VOLUME[market.name]
    if market is HK:
        table["short_value"] = table["short_sell_turnover"]
    else:
        table["short_value"] = table[short] * table["close_price"]
    table["short_ratio"] = metrics.short_ratio(table)
    table["pooled"] = metrics.pooled_short_ratio(table, WINDOW)
    table["reported_pooled"] = table["daily_trade_avg_ratio"] / 100
    return table.set_index("date")


def _measured(market: Market) -> list[str]:
    """Columns of a market other than those that say the day."""
    return [column.name for column in market.columns if column.kind in {"count", "number"}]


def _ticker(
    frame: pd.DataFrame, market: Market, rows: pd.DataFrame, shown: NDArray[np.bool_], code: str
) -> Ticker:
    before = rows["short_ratio"].shift(1).rolling(WINDOW)
    rows = rows.assign(mean=before.mean(), sd=before.std(ddof=1))
    newest = rows.index[-1] if len(rows) else None
    days = rows[shown]
    lacking = tuple(name for name in _measured(market) if not days[name].notna().any())
    instead = "close_price" in lacking and "last_close_price" not in lacking
    price = "last_close_price" if instead else "close_price"
    kept = ["short_value", "short_ratio", "pooled", "mean", "sd", "reported_pooled"]
    return Ticker(
        code,
        market,
        days[kept].assign(price=days[price]),
        _positions(frame, code, newest),
        newest,
        lacking if len(days) else (),
        price,
    )


def _positions(frame: pd.DataFrame, code: str, newest: pd.Timestamp | None) -> pd.DataFrame:
    """Reported open short positions by as-of date, from attrs: the series, or the one value."""
    found = {day: values for day, values in _reported(frame.attrs, code) if day is not None}
    table = pd.DataFrame(
        list(found.values()),
        index=pd.to_datetime(list(found), format="%Y-%m-%d", errors="coerce"),
        columns=["aggregated_short", "aggregated_short_ratio"],
        dtype=np.float64,
    )
    known = table["aggregated_short"].notna().to_numpy() & table.index.notna()
    return table[known].sort_index()


def _reported(attrs: Any, code: str) -> Iterator[tuple[Any, tuple[Any, Any]]]:
    one = attrs
    if attrs.get("aggregates") is not None:
        one = json.loads(attrs["aggregates"]).get(code, {})
    elif attrs.get("code", code) != code:
        one = {}
    names = ("new_time_str", "aggregated_short", "aggregated_short_ratio")
    day, short, ratio = (one.get(name) for name in names)
    yield day, (short, ratio)
    for whose, since, shares, percent in json.loads(attrs.get("aggregates_history") or "[]"):
        if whose == code:
            yield since, (shares, percent)
