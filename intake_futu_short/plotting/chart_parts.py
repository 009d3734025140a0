"""Pieces that the charts share: lines with gaps, date axes, legends, labels of numbers."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from matplotlib.dates import (
    MO,
    DayLocator,
    MonthLocator,
    RRuleLocator,
    WeekdayLocator,
    YearLocator,
    date2num,
    num2date,
)
from matplotlib.ticker import FuncFormatter, MaxNLocator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure, SubFigure

    from intake_futu_short.plotting.figure_data import Ticker
    from intake_futu_short.plotting.step import Step

__all__ = [
    "MOST_DOTS",
    "SMALL",
    "broken",
    "columns",
    "date_axis",
    "dates",
    "density",
    "inches",
    "legend",
    "line",
    "longest_gap",
    "percent",
    "top",
    "unit",
    "width",
    "write_across",
]

# Days; no holiday closes a market for longer.
_LONGEST_CLOSURE = 12
# With more days than this, dots of neighbouring days run together.
MOST_DOTS = 70
# Days per inch of an axis above which a daily line fills the whole area, and above which dots do.
_MOST_TURNS, _MOST_SPECKS = 90, 300
SMALL = 8.0  # size of type in points
# Inches of an axis for each date under it.
_TICK = 0.6
_MONTH = 28.0
# Widths in inches: from the first on, a legend is one row; from the second on, it has two columns.
_WIDE, _MIDDLE = 7.5, 6.0
# Inches for the scales beside an Axes.
_SCALES = 1.9


def longest_gap(step: Step) -> pd.Timedelta:
    """Longest time between rows without a missing row. Lines are broken at longer gaps."""
    return pd.Timedelta(days=_LONGEST_CLOSURE + step.days - 1)


def line(
    ax: Axes, values: pd.Series[float], step: Step, *, dots: bool = True, **style: Any
) -> None:
    """Draw a line, broken at gaps. A single day between two gaps is a dot."""
    drawn = broken(values.to_frame("y"), step)["y"]
    known = drawn.notna().to_numpy()
    beside = np.concatenate([[False], known, [False]])
    alone = known & ~beside[:-2] & ~beside[2:]
    few = dots and int(known.sum()) <= MOST_DOTS
    ax.plot(drawn.index, drawn, marker="o" if few else None, markersize=3, **style)
    if alone.any() and not few:
        ax.plot(drawn.index[alone], drawn[alone], "o", color=style["color"], markersize=2)


def broken(days: pd.DataFrame, step: Step) -> pd.DataFrame:
    """Put an empty row into each gap in which rows are missing."""
    index = pd.DatetimeIndex(days.index)
    gaps = np.flatnonzero(np.diff(index.to_numpy()) > longest_gap(step).to_timedelta64())
    return days.reindex(index.append(index[gaps] + pd.Timedelta(days=1)).sort_values())


def dates(ax: Axes, tickers: Sequence[Ticker]) -> None:
    """Set an Axes' dates to the days of all tickers, with a grid."""
    days = [t.days.index for t in tickers if len(t.days)]
    if not days:
        ax.tick_params(bottom=False, labelbottom=False)
        return
    date_axis(ax, min(d[0] for d in days), max(d[-1] for d in days))
    ax.grid(visible=True, linewidth=0.5, alpha=0.4)
    ax.set_axisbelow(True)


def date_axis(ax: Axes, first: pd.Timestamp, last: pd.Timestamp, margin: float = 0.7) -> None:
    """Set dates from first to last, at least a week, with ticks that name month and year."""
    begin, end = date2num(first.to_pydatetime()), date2num(last.to_pydatetime())
    if margin:  # a whole bar at each end
        margin = max(margin, (end - begin) * 0.015, (6 - end + begin) / 2)
    ax.set_xlim(begin - margin, end + margin)
    most = max(2, int(inches(ax) / _TICK))
    # Days are naive: no time zone of the user's settings moves them.
    locators: dict[float, RRuleLocator | YearLocator] = {
        **{n: DayLocator(interval=n, tz="UTC") for n in (1, 2, 4)},
        **{7 * n: WeekdayLocator(MO, interval=n, tz="UTC") for n in (1, 2)},
        **{30.4 * n: MonthLocator(range(1, 13, n), tz="UTC") for n in (1, 2, 3, 6)},
        **{365.25 * n: YearLocator(n, tz="UTC") for n in (1, 2, 3, 5, 10)},
    }
    apart = next((apart for apart in locators if end - begin <= apart * most), 3652.5)
    ax.xaxis.set_major_locator(locators[apart])
    ax.xaxis.set_major_formatter(FuncFormatter(_day if apart < _MONTH else _month))


def _day(x: float, _: int | None = None) -> str:
    day = num2date(x, "UTC")
    return f"{day.day} {day:%b}\n{day:%Y}"


def _month(x: float, _: int | None = None) -> str:
    return f"{num2date(x, 'UTC'):%b\n%Y}"


def density(ax: Axes, days: int) -> Literal["line", "dots", "none"]:
    """How to draw so many days on an Axes without hiding what is behind them."""
    an_inch = days / inches(ax)
    return "line" if an_inch <= _MOST_TURNS else "dots" if an_inch <= _MOST_SPECKS else "none"


def inches(ax: Axes) -> float:
    """Estimate the width of an Axes in inches before the layout is done."""
    return width(ax.figure) * float(ax.get_position().width)


def width(figure: Figure | SubFigure) -> float:
    """Width of a figure in inches."""
    return float(figure.bbox.width / figure.dpi)


def columns(room: float, most: int) -> int:
    """Columns of a legend, at most `most`, for a width of `room` inches."""
    return most if room >= _WIDE else min(most, 2 if room >= _MIDDLE else 1)


def legend(axes: Sequence[Axes], *, most: int) -> int:
    """Draw one legend above axes that lie on each other, and return its number of rows."""
    handles = [handle for ax in axes for handle in ax.get_legend_handles_labels()[0]]
    if not handles:
        return 0
    wide = inches(axes[0])
    beside = columns(wide + _SCALES, most)
    names = [fill(str(handle.get_label()), max(20, int(wide * 17))) for handle in handles]
    axes[0].legend(
        handles, names, loc="lower left", bbox_to_anchor=(0, 1), ncols=beside, frameon=False,
        fontsize=SMALL, borderaxespad=0.2, columnspacing=1.2,
    )  # fmt: skip
    return -(-len(handles) // beside)


def write_across(ax: Axes, text: str) -> None:
    """Write a text into an empty Axes."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=11)
    # The ticks themselves may be shared with other axes.
    ax.tick_params(left=False, labelleft=False)


def top(ax: Axes) -> float:
    """Upper end of a scale that begins at 0, with some air above the data."""
    return float(ax.dataLim.ymax) * 1.06 or 1.0


def unit(most: float) -> tuple[float, str]:
    """Divisor for large numbers, and its name followed by a space."""
    for size, name in ((1e10, "billion"), (1e5, "million"), (1e3, "thousand")):
        if most >= size:
            return {"billion": 1e9, "million": 1e6, "thousand": 1e3}[name], f"{name} "
    return 1.0, ""


def percent(axis: Axis) -> None:
    """Label fractions as percent, at steps that need no rounding."""
    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda fraction, _: f"{100 * fraction:.6g}%"))
