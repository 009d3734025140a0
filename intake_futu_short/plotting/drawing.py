"""Puts short volume on matplotlib's axes: what `figure_data` has worked out.

Colours are those of Okabe and Ito (2008, "Color Universal Design"), which people of every kind of
colour vision tell apart; lines differ in their style too. Legends stand above the data.
"""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.dates import date2num
from matplotlib.ticker import MaxNLocator

from intake_futu_short.plotting import chart_parts as parts
from intake_futu_short.plotting.figure_data import heading_of, newest_day
from intake_futu_short.security import HK, US

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from intake_futu_short.plotting.figure_data import Step, Ticker

__all__ = [
    "figure_of_one",
    "grid_of_tickers",
    "heat_map",
    "panels",
    "ratio_alone",
    "small_multiples",
]

ORANGE, SKY, GREEN, BLUE, VERMILION = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00"
GREY = "#909090"

_MOST_NAMES = 60
_BAR_INCHES = 0.2  # across a heat map's scale of colours

RATIO = "Short ratio"
BAND = "± 1 sd of them"
REPORTED = "daily_trade_avg_ratio, as the gateway sends it"


def figure_of_one(figure: Figure, ticker: Ticker) -> NDArray[Any]:
    """Stack the panels of one ticker on a new figure."""
    heights = [3, 3, 2][: 3 if len(ticker.positions) > 1 else 2]
    axes = figure.subplots(len(heights), squeeze=False, sharex=True, height_ratios=heights).ravel()
    _stack(list(axes), ticker)
    for above in axes[:-1]:
        above.xaxis.get_offset_text().set_visible(False)
    _title(figure, ticker.heading, ticker.extent)
    notes = [fill(note, int(parts.width(figure) * 17)) for note in ticker.notes]
    figure.supxlabel("\n".join(notes), x=0.01, ha="left", fontsize=parts.SMALL - 0.5)
    return np.asarray(axes, dtype=object)


def _title(figure: Figure, *lines: str) -> None:
    size = min(11.0, 2 * parts.width(figure))
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=size)


def panels(axes: Sequence[Axes], ticker: Ticker) -> None:
    """Price with short value, short ratio, and on a third Axes the reported open position."""
    _stack(axes, ticker)
    axes[0].set_title(ticker.heading, loc="left", fontsize=10, pad=20)


def _stack(axes: Sequence[Axes], ticker: Ticker) -> None:
    _price(axes[0], ticker)
    _ratio(axes[1], ticker)
    parts.legend([axes[1]], columns=4)
    for ax in axes[2:]:
        _positions(ax, ticker)
    for ax in axes:
        parts.dates(ax, [ticker])


def ratio_alone(ax: Axes, ticker: Ticker) -> None:
    """Short ratio of one ticker."""
    _ratio(ax, ticker)
    parts.dates(ax, [ticker])
    parts.legend([ax], columns=2)
    rows = -(-len(ax.get_legend_handles_labels()[0]) // 2)
    ax.set_title(ticker.heading, loc="left", fontsize=10, pad=8 + 12 * rows)


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
    # Beside each row a name would be longer than the row of a small figure is high.
    names = dict.fromkeys(ax.get_ylabel().replace("\n", " ") for ax in axes)
    figure.supylabel("; ".join(names), fontsize=mpl.rcParams["axes.labelsize"])
    for ax in axes:
        ax.set_ylabel("")
    _title(figure, heading_of(tickers), "One scale for all")
    handles = {h.get_label(): h for ax in axes for h in ax.get_legend_handles_labels()[0]}
    figure.legend(
        handles=list(handles.values()), loc="outside lower left", frameon=False,
        ncols=4 if parts.width(figure) >= parts.WIDE else 2,
        fontsize=parts.SMALL,
    )  # fmt: skip
    return np.asarray(axes, dtype=object)


def small_multiples(axes: Sequence[Axes], tickers: Sequence[Ticker]) -> None:
    """Short ratio of a ticker an Axes, all on the same scales."""
    newest = newest_day(tickers)
    for ax, ticker in zip(axes, tickers, strict=True):
        _ratio(ax, ticker)
        parts.dates(ax, tickers)
        ended = ticker.newest != newest and ticker.newest is not None
        until = f", until {ticker.newest:%Y-%m-%d}" if ended else ""
        ax.set_title(f"{ticker.name}{until}", loc="left", fontsize=9)
    top = max((parts.top(ax) for ax in axes if ax.has_data()), default=1.0)
    for ax in axes:
        if ax.has_data():
            ax.set_ylim(0, top)
            parts.percent(ax.yaxis)


def heat_map(ax: Axes, tickers: Sequence[Ticker]) -> Axes:
    """Short ratio by date and ticker."""
    table = pd.DataFrame({i: t.days["short_ratio"] for i, t in enumerate(tickers)}).sort_index()
    step = tickers[0].step
    ratio = "Daily short ratio" if step.name == "day" else f"Short ratio by {step.name}"
    heading = f"{ratio}, {tickers[0].market.name}{step.as_of(newest_day(tickers))}"
    _heat_map_title(ax, heading)
    _tick_names(ax, [ticker.name for ticker in tickers])
    ratios = table.to_numpy(dtype=np.float64)
    known = ratios[np.isfinite(ratios)]
    if not len(known):
        parts.say(ax, "no short ratio in these rows" if len(table) else "no rows")
        ax.tick_params(bottom=False, labelbottom=False)
        return ax
    edges, columns = _cells(pd.DatetimeIndex(table.index), step)
    cells = np.full((len(edges) - 1, len(tickers)), np.nan)
    cells[columns] = ratios
    # One outlier does not take the colours from all others.
    top = float(np.quantile(known, 0.995)) or 1.0
    # Hatched, for in grey print any grey is a colour of the scale.
    ax.patch.set(facecolor="white", edgecolor=GREY, hatch="/////")
    mesh = ax.pcolormesh(
        edges, np.arange(len(tickers) + 1) - 0.5, np.ma.masked_invalid(cells.T),
        cmap="viridis", vmin=0, vmax=top, rasterized=True,
    )  # fmt: skip
    ax.set_ylim(len(tickers) - 0.5, -0.5)
    parts.date_axis(ax, table.index[0], table.index[-1] + pd.Timedelta(days=step.days), margin=0)
    above = bool(known.max() > top)
    figure = ax.figure
    slim = max(20.0, figure.bbox.height / figure.dpi / _BAR_INCHES)
    bar = figure.colorbar(
        mesh, ax=ax, extend="max" if above else "neither", extendfrac=1 / slim, aspect=slim,
        pad=0.02,
    )  # fmt: skip
    parts.percent(bar.ax.yaxis)
    bar.set_label("Short ratio (% of volume)")
    if above:  # above the map there is room for it; along a short bar there is not
        _heat_map_title(ax, heading, "the top 0.5 % share a colour")
    return ax


def _heat_map_title(ax: Axes, heading: str, *more: str) -> None:
    key = "; ".join(["Hatched: no row or no ratio", *more])
    ax.set_title(f"{heading}\n{key}", loc="left", fontsize=11)


def _cells(days: pd.DatetimeIndex, step: Step) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Edges of a heat map's columns, and which of them are days: those between are gaps."""
    begins = date2num(days.to_numpy())
    # Weekends and holidays belong to the day before; a longer time without rows shows.
    ends = np.append(begins[1:], begins[-1] + step.days)
    far = ends - begins > parts.longest_gap(step).days
    edges = np.sort(np.concatenate([begins, begins[far] + step.days, ends[-1:]]))
    return edges, np.searchsorted(edges, begins)


def _price(ax: Axes, ticker: Ticker) -> None:
    """Closing price as a line, short value as bars on an axis of its own."""
    price, value = ticker.days["price"], ticker.days["short_value"]
    close = "Close" if ticker.price_column == "close_price" else "Close of the session before"
    if ticker.market is US:
        close += ", adjusted"
    ax.set_ylabel(f"{close}\n({ticker.currency})")
    if not price.notna().any() and not value.notna().any():
        parts.say(ax, "no prices in these rows" if len(price) else "no rows")
        return
    shown = [ax]
    if value.notna().any():
        unit, name = parts.unit(float(value.max()))
        what = "Short turnover" if ticker.market is HK else "Short shares x close"
        twin = ax.twinx()
        shown.append(twin)
        twin.bar(
            value.index, value / unit, width=0.9 * ticker.step.days, color=SKY, linewidth=0,
            snap=len(value) <= 150, label=f"{what} (right scale)",
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
        parts.line(
            ax, price, ticker.step, color=mpl.rcParams["text.color"], linewidth=1.3, label=close
        )
    else:
        ax.tick_params(left=False, labelleft=False)
    parts.legend(shown, columns=2)


def _ratio(ax: Axes, ticker: Ticker) -> None:
    """Short ratio of the day, its band, and the pooled ratio."""
    days = ticker.days
    known = days[["short_ratio", "pooled", "mean"]].notna().any()
    ax.set_ylabel("Short ratio\n(% of volume)")
    if not known.any():
        if not days["reported_pooled"].notna().any():
            parts.say(ax, "no short ratio in these rows" if len(days) else "no rows")
            return
        parts.line(
            ax, days["reported_pooled"], ticker.step, color=VERMILION, linewidth=1.6, label=REPORTED
        )
        ax.set_ylabel("daily_trade_avg_ratio\n(%)")
    if known["short_ratio"]:
        width = 0.9 if len(days) <= 4 * parts.MOST_DOTS else 0.5
        parts.line(ax, days["short_ratio"], ticker.step, color=BLUE, linewidth=width, label=RATIO)
    if known["pooled"]:
        parts.line(
            ax, days["pooled"], ticker.step, color=VERMILION, linewidth=1.8, linestyle="-.",
            label=ticker.step.pooled, dots=False, zorder=3,
        )  # fmt: skip
    if known["mean"]:
        parts.line(
            ax, days["mean"], ticker.step, color=ORANGE, linewidth=1.2, linestyle="--",
            label=ticker.step.mean, dots=False,
        )  # fmt: skip
        band = parts.broken(days[["mean", "sd"]], ticker.step)
        ax.fill_between(
            band.index, (band["mean"] - band["sd"]).clip(lower=0), band["mean"] + band["sd"],
            color=ORANGE, alpha=0.25, linewidth=0, label=BAND, zorder=1,
        )  # fmt: skip
    ax.set_ylim(0, parts.top(ax))
    parts.percent(ax.yaxis)


def _positions(ax: Axes, ticker: Ticker) -> None:
    """Open short positions that the SFC published."""
    shares = ticker.positions["aggregated_short"]
    if shares.empty:
        ax.set_ylabel("Open position\n(shares)")
        parts.say(ax, "no reported open short position")
        return
    unit, name = parts.unit(float(shares.max()))
    ax.plot(
        shares.index, shares / unit, color=GREEN, drawstyle="steps-post", marker="o",
        markersize=3 if len(shares) <= parts.MOST_DOTS else 0,
        label=ticker.newest_position,
    )  # fmt: skip
    ax.set_ylabel(f"Open position\n({name}shares)")
    parts.legend([ax], columns=1)


def _tick_names(ax: Axes, names: Sequence[str]) -> None:
    """Names of the rows of a heat map, as many as can be read."""
    every = -(-len(names) // _MOST_NAMES)
    ax.set_yticks(range(0, len(names), every), names[::every], fontsize=7)
