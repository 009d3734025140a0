"""Short ratio by date and ticker, as colours."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.dates import date2num

from intake_futu_short.plotting import chart_parts as parts
from intake_futu_short.plotting.figure_data import newest_day

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from intake_futu_short.plotting.figure_data import Ticker
    from intake_futu_short.plotting.step import Step

__all__ = ["heat_map"]

_GREY = "#909090"
_MOST_NAMES = 60
_BAR_INCHES = 0.2  # across the scale of colours


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
        parts.write_across(ax, "no short ratio in these rows" if len(table) else "no rows")
        ax.tick_params(bottom=False, labelbottom=False)
        return ax
    edges, columns = _cells(pd.DatetimeIndex(table.index), step)
    cells = np.full((len(edges) - 1, len(tickers)), np.nan)
    cells[columns] = ratios
    # The scale ends at the 99.5 % quantile, so that one outlier does not fade all other colours.
    top = float(np.quantile(known, 0.995)) or 1.0
    # Gaps are hatched, because in grey print any grey is a colour of the scale.
    ax.patch.set(facecolor="white", edgecolor=_GREY, hatch="/////")
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
    characters = max(24, int(12 * (parts.inches(ax) + 1)))  # beyond the map, over its colours
    lines = [fill(text, characters) for text in (heading, key)]
    ax.set_title("\n".join(lines), loc="left", fontsize=11)


def _cells(days: pd.DatetimeIndex, step: Step) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Edges of a heat map's columns, and the positions of days among them; others are gaps."""
    begins = date2num(days.to_numpy())
    # A column covers the weekend or holiday after its day; a longer time without rows is a gap.
    ends = np.append(begins[1:], begins[-1] + step.days)
    far = ends - begins > parts.longest_gap(step).days
    edges = np.sort(np.concatenate([begins, begins[far] + step.days, ends[-1:]]))
    return edges, np.searchsorted(edges, begins)


def _tick_names(ax: Axes, names: Sequence[str]) -> None:
    """Name the rows of a heat map, as many as are readable."""
    every = -(-len(names) // _MOST_NAMES)
    ax.set_yticks(range(0, len(names), every), names[::every], fontsize=7)
