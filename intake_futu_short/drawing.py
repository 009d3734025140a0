"""Puts short volume on matplotlib's axes: what `intake_futu_short.plotting` has worked out.

Colours are those of Okabe and Ito (2008, "Color Universal Design"), which people of every kind of
colour vision tell apart; lines differ in their style too. Legends stand above the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from intake_futu_short.security import HK, US

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from intake_futu_short.plotting import Ticker

__all__ = [
    "figure_of_one",
    "grid_of_tickers",
    "heat_map",
    "panels",
    "ratio_alone",
    "small_multiples",
]

ORANGE, SKY, GREEN, BLUE, VERMILION = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00"
GREY = "#C8C8C8"

# Lines are broken where a ticker has no row for longer than any holiday.
_LONGEST_CLOSURE = pd.Timedelta(days=12)
# With more days than this a dot a day is no longer told from its neighbours.
_MOST_DOTS = 70
_MOST_NAMES = 60
_SMALL = 8.0

RATIO = "Short ratio"
POOLED = "20-day pooled ratio"
MEAN = "Mean of the 20 trading days before"
BAND = "± 1 sd of them"
REPORTED = "daily_trade_avg_ratio, as the gateway sends it"


def figure_of_one(figure: Figure, ticker: Ticker) -> NDArray[Any]:
    """Stack the panels of one ticker on a new figure."""
    heights = [3, 3, 2][: 3 if len(ticker.positions) > 1 else 2]
    axes = figure.subplots(len(heights), squeeze=False, sharex=True, height_ratios=heights).ravel()
    _stack(list(axes), ticker)
    for above in axes[:-1]:
        above.xaxis.get_offset_text().set_visible(False)
    figure.suptitle(f"{_heading(ticker)}\n{_extent(ticker)}", x=0.01, ha="left", fontsize=11)
    figure.supxlabel("\n".join(_notes(ticker)), x=0.01, ha="left", fontsize=_SMALL - 0.5)
    return np.asarray(axes, dtype=object)


def panels(axes: Sequence[Axes], ticker: Ticker) -> None:
    """Price with short value, short ratio, and on a third Axes the reported open position."""
    _stack(axes, ticker)
    axes[0].set_title(_heading(ticker), loc="left", fontsize=10, pad=20)


def _stack(axes: Sequence[Axes], ticker: Ticker) -> None:
    _price(axes[0], ticker)
    _ratio(axes[1], ticker)
    _legend([axes[1]], columns=4)
    for ax in axes[2:]:
        _positions(ax, ticker)
    for ax in axes:
        _dates(ax, [ticker])


def ratio_alone(ax: Axes, ticker: Ticker) -> None:
    """Short ratio of one ticker."""
    _ratio(ax, ticker)
    _dates(ax, [ticker])
    _legend([ax], columns=2)
    rows = -(-len(ax.get_legend_handles_labels()[0]) // 2)
    ax.set_title(_heading(ticker), loc="left", fontsize=10, pad=8 + 12 * rows)


def grid_of_tickers(figure: Figure, tickers: Sequence[Ticker]) -> NDArray[Any]:
    """Small multiples on a new figure."""
    columns = 2 if len(tickers) <= 4 else 3
    rows = -(-len(tickers) // columns)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    axes, spare = grid[: len(tickers)], grid[len(tickers) :]
    small_multiples(list(axes), tickers)
    for ax in spare:
        ax.remove()
    # The lowest of each column says the dates, also where the last row is not full.
    for ax in axes[-columns:]:
        ax.xaxis.set_tick_params(labelbottom=True)
    for ax in axes[:-columns]:
        ax.xaxis.get_offset_text().set_visible(False)
    for i, ax in enumerate(axes):
        if i % columns:
            ax.set_ylabel("")
    newest = _newest(tickers)
    heading = (
        f"Daily short volume, {tickers[0].market.name}, {len(tickers)} tickers{_as_of(newest)}"
    )
    figure.suptitle(f"{heading}\nOne scale for all", x=0.01, ha="left", fontsize=11)
    handles = {h.get_label(): h for ax in axes for h in ax.get_legend_handles_labels()[0]}
    figure.legend(
        handles=list(handles.values()), loc="outside lower left", ncols=4, frameon=False,
        fontsize=_SMALL,
    )  # fmt: skip
    return np.asarray(axes, dtype=object)


def small_multiples(axes: Sequence[Axes], tickers: Sequence[Ticker]) -> None:
    """Short ratio of a ticker an Axes, all on the same scales."""
    newest = _newest(tickers)
    for ax, ticker in zip(axes, tickers, strict=True):
        _ratio(ax, ticker)
        _dates(ax, tickers)
        ended = ticker.newest != newest and ticker.newest is not None
        until = f", until {ticker.newest:%Y-%m-%d}" if ended else ""
        ax.set_title(f"{ticker.name}{until}", loc="left", fontsize=9)
    top = max((_top(ax) for ax in axes if ax.has_data()), default=1.0)
    for ax in axes:
        if ax.has_data():
            ax.set_ylim(0, top)
            ax.yaxis.set_major_formatter(_percent(top))


def heat_map(ax: Axes, tickers: Sequence[Ticker]) -> Axes:
    """Short ratio by date and ticker."""
    table = pd.DataFrame({i: t.days["short_ratio"] for i, t in enumerate(tickers)}).sort_index()
    newest = _newest(tickers)
    ax.set_title(
        f"Daily short ratio, {tickers[0].market.name}{_as_of(newest)}\nGrey: no row or no ratio",
        loc="left", fontsize=11,
    )  # fmt: skip
    _tick_names(ax, [ticker.name for ticker in tickers])
    ratios = table.to_numpy(dtype=np.float64)
    known = ratios[np.isfinite(ratios)]
    if not len(known):
        _say(ax, "no short ratio in these rows" if len(table) else "no rows")
        ax.tick_params(bottom=False, labelbottom=False)
        return ax
    edges, columns = _cells(pd.DatetimeIndex(table.index))
    cells = np.full((len(edges) - 1, len(tickers)), np.nan)
    cells[columns] = ratios
    # One outlier does not take the colours from all others.
    top = float(np.quantile(known, 0.995)) or 1.0
    ax.set_facecolor(GREY)
    mesh = ax.pcolormesh(
        edges, np.arange(len(tickers) + 1) - 0.5, np.ma.masked_invalid(cells.T),
        cmap="viridis", vmin=0, vmax=top, rasterized=True,
    )  # fmt: skip
    ax.set_ylim(len(tickers) - 0.5, -0.5)
    _date_axis(ax, table.index[0], table.index[-1] + pd.Timedelta(days=1), margin=0)
    above = bool(known.max() > top)
    bar = ax.get_figure().colorbar(  # type: ignore[union-attr] # drawn axes have a figure
        mesh, ax=ax, extend="max" if above else "neither", format=_percent(top), pad=0.02
    )
    bar.set_label("Short ratio (% of volume)" + ("; the top 0.5 % share a colour" * above))
    return ax


def _cells(days: pd.DatetimeIndex) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Edges of a heat map's columns, and which of them are days: those between are gaps."""
    begins = date2num(days.to_numpy())
    # Weekends and holidays belong to the day before; a longer time without rows shows.
    ends = np.append(begins[1:], begins[-1] + 1)
    far = ends - begins > _LONGEST_CLOSURE.days
    edges = np.sort(np.concatenate([begins, begins[far] + 1, ends[-1:]]))
    return edges, np.searchsorted(edges, begins)


def _price(ax: Axes, ticker: Ticker) -> None:
    """Closing price as a line, short value as bars on an axis of its own."""
    price, value = ticker.days["price"], ticker.days["short_value"]
    close = "Close" if ticker.price_column == "close_price" else "Close of the session before"
    if ticker.market is US:
        close += ", adjusted"
    ax.set_ylabel(f"{close}\n({ticker.currency})")
    if not price.notna().any() and not value.notna().any():
        _say(ax, "no prices in these rows" if len(price) else "no rows")
        return
    shown = [ax]
    if value.notna().any():
        unit, name = _unit(float(value.max()))
        what = "Short turnover" if ticker.market is HK else "Short shares x close"
        twin = ax.twinx()
        shown.append(twin)
        twin.bar(
            value.index, value / unit, width=0.9, color=SKY, linewidth=0, snap=len(value) <= 150,
            label=f"{what} (right scale)",
        )  # fmt: skip
        # The bars keep to the lower part, below most of the line.
        twin.set_ylim(0, float(value.max()) / unit * 2.5 or 1)
        twin.set_ylabel(f"{what}\n({name}{ticker.currency})")
        twin.yaxis.set_major_locator(MaxNLocator(5))
        twin.patch.set_visible(ax.patch.get_visible())
        ax.set_zorder(twin.get_zorder() + 1)
        ax.patch.set_visible(False)
    if price.notna().any():
        # What text is written in: it shows on dark styles too.
        _line(ax, price, color=mpl.rcParams["text.color"], linewidth=1.3, label=close)
    else:
        ax.tick_params(left=False, labelleft=False)
    _legend(shown, columns=2)


def _ratio(ax: Axes, ticker: Ticker) -> None:
    """Short ratio of the day, its band, and the pooled ratio."""
    days = ticker.days
    known = days[["short_ratio", "pooled", "mean"]].notna().any()
    ax.set_ylabel("Short ratio\n(% of volume)")
    if not known.any():
        if not days["reported_pooled"].notna().any():
            _say(ax, "no short ratio in these rows" if len(days) else "no rows")
            return
        _line(ax, days["reported_pooled"], color=VERMILION, linewidth=1.6, label=REPORTED)
        ax.set_ylabel("daily_trade_avg_ratio\n(%)")
    if known["short_ratio"]:
        width = 0.9 if len(days) <= 4 * _MOST_DOTS else 0.5
        _line(ax, days["short_ratio"], color=BLUE, linewidth=width, label=RATIO)
    if known["pooled"]:
        _line(
            ax, days["pooled"], color=VERMILION, linewidth=1.8, linestyle="-.", label=POOLED,
            dots=False, zorder=3,
        )  # fmt: skip
    if known["mean"]:
        _line(
            ax, days["mean"], color=ORANGE, linewidth=1.2, linestyle="--", label=MEAN, dots=False,
        )  # fmt: skip
        band = _broken(days[["mean", "sd"]])
        ax.fill_between(
            band.index, (band["mean"] - band["sd"]).clip(lower=0), band["mean"] + band["sd"],
            color=ORANGE, alpha=0.25, linewidth=0, label=BAND, zorder=1,
        )  # fmt: skip
    ax.set_ylim(0, _top(ax))
    ax.yaxis.set_major_formatter(_percent(_top(ax)))


def _top(ax: Axes) -> float:
    """Upper end of a scale that begins at 0, with some air above the data."""
    return float(ax.dataLim.ymax) * 1.06 or 1.0


def _positions(ax: Axes, ticker: Ticker) -> None:
    """Open short positions that HKEX reported."""
    shares = ticker.positions["aggregated_short"]
    if shares.empty:
        ax.set_ylabel("Open position\n(shares)")
        _say(ax, "no reported open short position")
        return
    unit, name = _unit(float(shares.max()))
    ax.plot(
        shares.index, shares / unit, color=GREEN, drawstyle="steps-post", marker="o",
        markersize=3 if len(shares) <= _MOST_DOTS else 0,
        label=f"Open short position reported by HKEX{_newest_position(ticker)}",
    )  # fmt: skip
    ax.set_ylabel(f"Open position\n({name}shares)")
    _legend([ax], columns=1)


def _newest_position(ticker: Ticker) -> str:
    day, newest = ticker.positions.index[-1], ticker.positions.iloc[-1]
    text = f": {newest['aggregated_short']:,.0f} shares"
    if pd.notna(newest["aggregated_short_ratio"]):
        text += f", {newest['aggregated_short_ratio']:g} % of the gateway's share base"
    return f"{text}, as of {day:%Y-%m-%d}"


def _line(ax: Axes, values: pd.Series[float], *, dots: bool = True, **style: Any) -> None:
    """Draw a line, broken at gaps; days between gaps, which make no line, as dots."""
    broken = _broken(values.to_frame("y"))["y"]
    known = broken.notna().to_numpy()
    beside = np.concatenate([[False], known, [False]])
    alone = known & ~beside[:-2] & ~beside[2:]
    few = dots and int(known.sum()) <= _MOST_DOTS
    ax.plot(broken.index, broken, marker="o" if few else None, markersize=3, **style)
    if alone.any() and not few:
        ax.plot(broken.index[alone], broken[alone], "o", color=style["color"], markersize=2)


def _broken(days: pd.DataFrame) -> pd.DataFrame:
    """Put an empty row into each gap that is longer than a holiday."""
    index = pd.DatetimeIndex(days.index)
    gaps = np.flatnonzero(np.diff(index.to_numpy()) > _LONGEST_CLOSURE.to_timedelta64())
    return days.reindex(index.append(index[gaps] + pd.Timedelta(days=1)).sort_values())


def _dates(ax: Axes, tickers: Sequence[Ticker]) -> None:
    days = [t.days.index for t in tickers if len(t.days)]
    if not days:
        ax.tick_params(bottom=False, labelbottom=False)
        return
    _date_axis(ax, min(d[0] for d in days), max(d[-1] for d in days))
    ax.grid(visible=True, linewidth=0.5, alpha=0.4)
    ax.set_axisbelow(True)


def _date_axis(ax: Axes, first: pd.Timestamp, last: pd.Timestamp, margin: float = 0.7) -> None:
    """Days from first to last, at least a week, under dates that say no more than they must."""
    begin, end = date2num(first.to_pydatetime()), date2num(last.to_pydatetime())
    if margin:  # a whole bar at each end
        margin = max(margin, (end - begin) * 0.015, (6 - end + begin) / 2)
    ax.set_xlim(begin - margin, end + margin)
    # Days are naive: no time zone of the user's settings moves them.
    locator = AutoDateLocator(tz="UTC", minticks=3, maxticks=9)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz="UTC"))


def _legend(axes: Sequence[Axes], *, columns: int) -> None:
    """Names of the lines, above the first of some axes that lie on each other."""
    handles = [handle for ax in axes for handle in ax.get_legend_handles_labels()[0]]
    if handles:
        axes[0].legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns,
            frameon=False, fontsize=_SMALL, borderaxespad=0.2, columnspacing=1.2,
        )  # fmt: skip


def _tick_names(ax: Axes, names: Sequence[str]) -> None:
    """Names of the rows of a heat map, as many as can be read."""
    every = -(-len(names) // _MOST_NAMES)
    ax.set_yticks(range(0, len(names), every), names[::every], fontsize=7)


def _say(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=11)
    # The ticks themselves may be shared with other axes.
    ax.tick_params(left=False, labelleft=False)


def _unit(most: float) -> tuple[float, str]:
    """What large numbers are divided by, and its name with a blank."""
    for size, name in ((1e10, "billion"), (1e5, "million"), (1e3, "thousand")):
        if most >= size:
            return {"billion": 1e9, "million": 1e6, "thousand": 1e3}[name], f"{name} "
    return 1.0, ""


def _percent(top: float) -> FuncFormatter | PercentFormatter:
    """Fractions as percent, with decimals where the scale is fine."""
    return PercentFormatter(1.0, decimals=0 if top > 0.05 else 1 if top > 0.005 else 2)


def _heading(ticker: Ticker) -> str:
    name = ticker.name or f"{ticker.market.name}, code unknown"
    return f"{name}: daily short volume{_as_of(ticker.newest)}"


def _newest(tickers: Sequence[Ticker]) -> pd.Timestamp | None:
    return max((t.newest for t in tickers if t.newest is not None), default=None)


def _as_of(newest: pd.Timestamp | None) -> str:
    return "" if newest is None else f", as of {newest:%Y-%m-%d}"


def _extent(ticker: Ticker) -> str:
    days = ticker.days.index
    market = {"US": "US market", "HK": "Hong Kong market"}[ticker.market.name]
    if not len(days):
        return f"{market}, no rows"
    if len(days) == 1:
        return f"{market}, one trading day, {days[0]:%Y-%m-%d}"
    return f"{market}, {len(days):,} trading days, {days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}"


def _notes(ticker: Ticker) -> list[str]:
    """What a reader of the figure must know and the axes do not say."""
    notes = []
    if ticker.days["short_ratio"].notna().any():
        notes.append(
            "Short ratio: shares sold short / volume. Pooled: Σ short / Σ volume of the 20 trading "
            "days that end there."
        )
        if not ticker.days["mean"].notna().any():
            notes.append("Of fewer days there is no pooled ratio, and no mean of 20 days before.")
    if len(ticker.positions) == 1:
        notes.append(f"Open short position reported by HKEX{_newest_position(ticker)}.")
    if ticker.market is US and len(ticker.days):
        notes.append(
            "Short shares are those of Nasdaq and NYSE only. Prices are adjusted for later "
            "dividends and splits, share counts are as traded."
        )
    if ticker.lacking:
        notes.append(f"Not in these rows: {', '.join(ticker.lacking)}.")
    return notes
