"""Pieces that the charts share: lines with gaps, date axes, legends, labels of numbers."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, DayLocator, date2num
from matplotlib.ticker import FuncFormatter, MaxNLocator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.dates import DateLocator
    from matplotlib.figure import Figure, SubFigure

    from intake_futu_short.plotting.figure_data import Step, Ticker

__all__ = [
    "MOST_DOTS",
    "SMALL",
    "WIDE",
    "broken",
    "date_axis",
    "dates",
    "legend",
    "line",
    "longest_gap",
    "percent",
    "say",
    "top",
    "unit",
    "width",
]

# Days, longer than any holiday.
_LONGEST_CLOSURE = 12
# With more days than this a dot a day is no longer told from its neighbours.
MOST_DOTS = 70
SMALL = 8.0  # size of type in points
# With fewer days than this each has its date.
_DAYS_EACH = 6
# Inches of an axis on which nine dates would run into each other.
_NARROW = 3.0
# Inches of a figure in which four names of lines stand beside each other.
WIDE = 7.5


def longest_gap(step: Step) -> pd.Timedelta:
    """From a row to the next where none is missing: lines are broken where it is longer."""
    return pd.Timedelta(days=_LONGEST_CLOSURE + step.days - 1)


def line(
    ax: Axes, values: pd.Series[float], step: Step, *, dots: bool = True, **style: Any
) -> None:
    """Draw a line, broken at gaps; days between gaps, which make no line, as dots."""
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
    """Let an Axes reach over the days of all tickers, with a grid."""
    days = [t.days.index for t in tickers if len(t.days)]
    if not days:
        ax.tick_params(bottom=False, labelbottom=False)
        return
    date_axis(ax, min(d[0] for d in days), max(d[-1] for d in days))
    ax.grid(visible=True, linewidth=0.5, alpha=0.4)
    ax.set_axisbelow(True)


def date_axis(ax: Axes, first: pd.Timestamp, last: pd.Timestamp, margin: float = 0.7) -> None:
    """Days from first to last, at least a week, under dates that say no more than they must."""
    begin, end = date2num(first.to_pydatetime()), date2num(last.to_pydatetime())
    if margin:  # a whole bar at each end
        margin = max(margin, (end - begin) * 0.015, (6 - end + begin) / 2)
    ax.set_xlim(begin - margin, end + margin)
    # Days are naive: no time zone of the user's settings moves them.
    locator: DateLocator
    if end - begin + 2 * margin < _DAYS_EACH:
        locator = DayLocator(tz="UTC")  # the automatic one would go on to hours
    elif width(ax.figure) * ax.get_position().width < _NARROW:
        locator = AutoDateLocator(tz="UTC", minticks=2, maxticks=5)
    else:
        locator = AutoDateLocator(tz="UTC", minticks=3, maxticks=9)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz="UTC"))


def width(figure: Figure | SubFigure) -> float:
    """Inches from left to right."""
    return float(figure.bbox.width / figure.dpi)


def legend(axes: Sequence[Axes], *, columns: int) -> None:
    """Names of the lines, above the first of some axes that lie on each other."""
    handles = [handle for ax in axes for handle in ax.get_legend_handles_labels()[0]]
    if handles:
        room = width(axes[0].figure)
        characters = max(20, int((room - 1.6) * 17))  # about 17 an inch, beside the scales
        axes[0].legend(
            handles, [fill(str(handle.get_label()), characters) for handle in handles],
            loc="lower left", bbox_to_anchor=(0, 1), ncols=columns if room >= WIDE else 2,
            frameon=False, fontsize=SMALL, borderaxespad=0.2, columnspacing=1.2,
        )  # fmt: skip


def say(ax: Axes, text: str) -> None:
    """Write into an Axes that has nothing to show."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=11)
    # The ticks themselves may be shared with other axes.
    ax.tick_params(left=False, labelleft=False)


def top(ax: Axes) -> float:
    """Upper end of a scale that begins at 0, with some air above the data."""
    return float(ax.dataLim.ymax) * 1.06 or 1.0


def unit(most: float) -> tuple[float, str]:
    """What large numbers are divided by, and its name with a blank."""
    for size, name in ((1e10, "billion"), (1e5, "million"), (1e3, "thousand")):
        if most >= size:
            return {"billion": 1e9, "million": 1e6, "thousand": 1e3}[name], f"{name} "
    return 1.0, ""


def percent(axis: Axis) -> None:
    """Label fractions as percent, at steps that need no rounding."""
    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda fraction, _: f"{100 * fraction:.6g}%"))
