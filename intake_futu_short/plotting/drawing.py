"""Draws the results of `figure_data` on matplotlib's axes.

Colours are those of Okabe and Ito (2008, "Color Universal Design"), which people with any kind of
colour vision can tell apart. They also differ in grey print, where lines also differ in width.
Legends are above the data.
"""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any, cast

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from intake_futu_short.plotting import chart_parts as parts
from intake_futu_short.plotting.figure_data import heading_of, newest_day, source_of
from intake_futu_short.plotting.heat_map import heat_map
from intake_futu_short.plotting.shown import share_dates
from intake_futu_short.security import HK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from intake_futu_short.plotting.figure_data import Ticker
    from intake_futu_short.plotting.step import Step

__all__ = [
    "figure_of_many",
    "figure_of_one",
    "grid_of_tickers",
    "panels",
    "ratio_alone",
    "small_multiples",
]

SKY, GREEN, BLUE, ORANGE = "#56B4E9", "#009E73", "#0072B2", "#E69F00"
# Light, middle and dark in grey print.
BAND, DAILY, INK = ORANGE, SKY, BLUE

VALUE = "Short value: shares sold short x close (right scale)"
REPORTED = "daily_trade_avg_ratio, as the gateway sends it"


def figure_of_one(figure: Figure, ticker: Ticker) -> NDArray[Any]:
    """Stack the panels of one ticker on a new figure."""
    heights = [3, 3, 2][: 3 if len(ticker.positions) > 1 else 2]
    axes = figure.subplots(len(heights), squeeze=False, sharex=True, height_ratios=heights).ravel()
    _stack(list(axes), ticker)
    _title(figure, ticker.heading, ticker.extent)
    *notes, source = ticker.notes
    _foot(figure, [*notes, *_left_out(axes[1:2], ticker.step), source])
    return np.asarray(axes, dtype=object)


def _title(figure: Figure, *lines: str) -> None:
    size = min(11.0, 2 * parts.width(figure))
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=size)


def _foot(figure: Figure, notes: Sequence[str]) -> None:
    """Write notes below all axes."""
    figure.supxlabel(_wrapped(figure, notes), x=0.01, ha="left", fontsize=parts.SMALL - 0.5)


def _wrapped(figure: Figure, notes: Sequence[str]) -> str:
    return "\n".join(fill(note, int(parts.width(figure) * 17)) for note in notes)


def _left_out(axes: Iterable[Axes], step: Step) -> list[str]:
    """Note that single days are not drawn, if they are not."""
    names = {h.get_label() for ax in axes for h in ax.get_legend_handles_labels()[0]}
    if step.pooled not in names or step.ratio in names:
        return []
    return [f"The ratios of single {step.several} are not drawn: they would hide the rest."]


def _key_and_foot(figure: Figure, axes: Iterable[Axes], notes: Sequence[str]) -> float:
    """Draw a legend of all axes below them, with notes under it; return its share of the height.

    The constrained layout would put both in the same place, so it must leave the room free.
    """
    inches = float(figure.bbox.height / figure.dpi)
    text = _wrapped(figure, notes)
    figure.text(0.01, 0.05 / inches, text, va="bottom", fontsize=parts.SMALL - 0.5)
    room = 0.1 + 0.135 * (text.count("\n") + 1)
    handles = {h.get_label(): h for ax in axes for h in ax.get_legend_handles_labels()[0]}
    columns = parts.columns(parts.width(figure), 3)
    figure.legend(
        handles=list(handles.values()), loc="lower left", bbox_to_anchor=(0.01, room / inches),
        ncols=columns, frameon=False, fontsize=parts.SMALL, borderaxespad=0,
    )  # fmt: skip
    room += 0.1 + 0.17 * -(-len(handles) // columns)
    taken = room / inches
    cast("Any", figure.get_layout_engine()).set(rect=(0, taken, 1, 1 - taken))
    return taken


def panels(axes: Sequence[Axes], ticker: Ticker) -> None:
    """Price with short value, short ratio, and on a third Axes the reported open position."""
    _title_above(axes[0], ticker, _stack(axes, ticker))


def _title_above(ax: Axes, ticker: Ticker, rows: int) -> None:
    """Write the title of a user's Axes above a legend of `rows` rows."""
    ax.set_title(ticker.heading, loc="left", fontsize=10, pad=8 + 12 * rows)


def _stack(axes: Sequence[Axes], ticker: Ticker) -> int:
    rows = _price(axes[0], ticker)
    _ratio(axes[1], ticker)
    parts.legend([axes[1]], most=3)
    for ax in axes[2:]:
        _positions(ax, ticker)
    for ax in axes:
        parts.dates(ax, [ticker])
    return rows


def ratio_alone(ax: Axes, ticker: Ticker) -> Axes:
    """Short ratio of one ticker."""
    _ratio(ax, ticker)
    parts.dates(ax, [ticker])
    _title_above(ax, ticker, parts.legend([ax], most=2))
    return ax


def grid_of_tickers(figure: Figure, tickers: Sequence[Ticker]) -> NDArray[Any]:
    """Small multiples on a new figure."""
    columns = 2 if len(tickers) <= 4 else 3
    rows = -(-len(tickers) // columns)
    together = share_dates(tickers)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=together, sharey=True).ravel()
    axes, spare = grid[: len(tickers)], grid[len(tickers) :]
    small_multiples(list(axes), tickers)
    for ax in spare:
        ax.remove()
    # The lowest Axes of each column shows the dates, even if the last row is not full.
    for ax in axes[-columns:]:
        ax.xaxis.set_tick_params(labelbottom=True)
    # One name for the figure: beside each row it would be longer than a small row is high.
    names = dict.fromkeys(ax.get_ylabel().replace("\n", " ") for ax in axes)
    for ax in axes:
        ax.set_ylabel("")
    dates = "the same dates" if together else "each over its own dates"
    _title(figure, heading_of(tickers), f"One scale for all, {dates}")
    step = tickers[0].step
    notes = [tickers[0].ratio, step.meaning, *_left_out(axes, step)]
    taken = _key_and_foot(figure, axes, [*notes, source_of(tickers, positions=False)])
    middle = (taken + 1) / 2
    figure.supylabel("; ".join(names), y=middle, fontsize=mpl.rcParams["axes.labelsize"])
    return np.asarray(axes, dtype=object)


def small_multiples(axes: Sequence[Axes], tickers: Sequence[Ticker]) -> None:
    """Short ratio of one ticker per Axes, all on the same scale and, if they fit, dates."""
    newest, together = newest_day(tickers), share_dates(tickers)
    for ax, ticker in zip(axes, tickers, strict=True):
        _ratio(ax, ticker)
        parts.dates(ax, tickers if together else [ticker])
        ended = ticker.newest != newest and ticker.newest is not None
        until = f", until {ticker.newest:%Y-%m-%d}" if ended else ""
        ax.set_title(f"{ticker.name}{until}", loc="left", fontsize=9)
    top = max((parts.top(ax) for ax in axes if ax.has_data()), default=1.0)
    for ax in axes:
        if ax.has_data():
            ax.set_ylim(0, top)
            parts.percent(ax.yaxis)


def figure_of_many(figure: Figure, tickers: Sequence[Ticker]) -> Axes:
    """Heat map on a new figure."""
    ax = heat_map(figure.add_subplot(), tickers)
    _foot(figure, [tickers[0].ratio, source_of(tickers, positions=False)])
    return ax


def _price(ax: Axes, ticker: Ticker) -> int:
    """Draw the close as a line and short value as bars; return the legend's number of rows."""
    price, value = ticker.days[ticker.price_column], ticker.days["short_value"]
    of = "" if ticker.price_column == "close_price" else " of the session before"
    close = f"Close{of}, adjusted"
    ax.set_ylabel(f"{close}\n({ticker.currency})")
    if not price.notna().any() and not value.notna().any():
        parts.write_across(ax, "no prices in these rows" if len(price) else "no rows")
        return 0
    shown = [ax]
    if value.notna().any():
        unit, name = parts.unit(float(value.max()))
        what = "Short turnover" if ticker.market is HK else "Short value"
        label = f"{what} (right scale)" if ticker.market is HK else VALUE
        twin = ax.twinx()
        shown.append(twin)
        if parts.density(ax, len(value)) != "line":  # bars this slim would become a pattern
            area = parts.broken(value.to_frame("y"), ticker.step)["y"] / unit
            twin.fill_between(area.index, 0, area, step="mid", color=SKY, linewidth=0, label=label)
        else:
            twin.bar(
                value.index, value / unit, width=0.9 * ticker.step.days, color=SKY, linewidth=0,
                snap=len(value) <= 150, label=label,
            )  # fmt: skip
        # The scale keeps the bars in the lower part, below most of the line.
        twin.set_ylim(0, float(value.max()) / unit * 2.5 or 1)
        twin.set_ylabel(f"{what}\n({name}{ticker.currency})")
        twin.yaxis.set_major_locator(MaxNLocator(5))
        twin.patch.set_visible(ax.patch.get_visible())
        ax.set_zorder(twin.get_zorder() + 1)
        ax.patch.set_visible(False)
    if price.notna().any():
        # The colour of text, which is visible on dark styles too.
        parts.line(
            ax, price, ticker.step, color=mpl.rcParams["text.color"], linewidth=1.3, label=close
        )
    else:
        ax.tick_params(left=False, labelleft=False)
    return parts.legend(shown, most=2)


def _ratio(ax: Axes, ticker: Ticker) -> None:
    """Daily short ratio and pooled ratio, with the band of the days before behind them."""
    days, step = ticker.days, ticker.step
    known = days[["short_ratio", "pooled", "mean"]].notna().any()
    ax.set_ylabel("Short ratio\n(% of volume)")
    if not known.any():
        reported = days["daily_trade_avg_ratio"] / 100
        if not reported.notna().any():
            parts.write_across(ax, "no short ratio in these rows" if len(days) else "no rows")
            return
        parts.line(ax, reported, step, color=INK, linewidth=1.8, label=REPORTED)
        ax.set_ylabel("daily_trade_avg_ratio\n(%)")
    if known["short_ratio"]:
        ratio = days["short_ratio"]
        crowd = parts.density(ax, len(days))
        if crowd == "dots":
            ax.plot(ratio.index, ratio, ".", color=DAILY, markersize=2, label=step.ratio, zorder=2)
        elif crowd == "line":
            parts.line(ax, ratio, step, color=DAILY, linewidth=0.9, label=step.ratio, zorder=2)
    if known["pooled"]:
        parts.line(
            ax, days["pooled"], step, color=INK, linewidth=2.0, label=step.pooled, dots=False,
            zorder=3,
        )  # fmt: skip
    if known["mean"]:
        ends = parts.broken(days[["mean", "sd"]], step)
        ax.fill_between(
            ends.index, (ends["mean"] - ends["sd"]).clip(lower=0), ends["mean"] + ends["sd"],
            color=BAND, alpha=0.35, linewidth=0, label=step.band, zorder=1,
        )  # fmt: skip
    ax.set_ylim(0, parts.top(ax))
    parts.percent(ax.yaxis)


def _positions(ax: Axes, ticker: Ticker) -> None:
    """Open short positions, each from its publication until the next one's."""
    ax.set_ylabel("Open position\n(shares)")
    positions, days = ticker.positions, ticker.days.index
    known = positions.drop_duplicates("published", keep="last").set_index("published")
    shares = known["shares"].loc[: days[-1] if len(days) else None]
    if shares.empty or days.empty:
        parts.write_across(ax, "no reported open short position")
        return
    # The steps begin with the position known on the first day shown, and extend to the last day.
    ends = pd.DatetimeIndex([max(days[0], shares.index[0]), days[-1]])
    steps = shares.reindex(shares.index.union(ends), method="ffill").loc[ends[0] :]
    unit, name = parts.unit(float(steps.max()))
    what = f"Open short position published by {ticker.publisher}, from its publication on"
    ax.plot(
        steps.index, steps / unit, color=GREEN, drawstyle="steps-post", linewidth=1.6,
        label=f"{what}; newest: {ticker.newest_position}",
    )  # fmt: skip
    ax.set_ylabel(f"Open position\n({name}shares)")
    parts.legend([ax], most=1)
