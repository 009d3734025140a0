"""Frames to draw, and what was drawn of them: data and words, for pixels a person has to judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from frames import DATA
from matplotlib.collections import QuadMesh
from matplotlib.dates import num2date

import intake_futu_short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SAMPLE = Path(intake_futu_short.__file__).parent / "sample"
LABELS = [
    "Short ratio of each day",
    "20-day pooled ratio",
    "Mean ± 1 standard deviation of the 20 days before",
]
DAILY, POOLED, BAND = LABELS


def sample(code: str) -> Any:  # mypy takes shortvol for a column
    frame = pd.read_csv(SAMPLE / f"{code}.csv")
    frame.attrs.update(code=code, market=code[:2])
    aggregates = json.loads((SAMPLE / "aggregates.json").read_text())
    frame.attrs.update(aggregates.get(code, {}))
    return frame


def panel(n: int, rows: int = 60) -> Any:
    """Synthetic tickers US.T00, US.T01, …; each has a row less than the one before."""
    frame = sample("US.SAMPLE").iloc[:rows]
    frame.attrs.clear()
    return pd.concat([frame.iloc[i:].assign(code=f"US.T{i:02}") for i in range(n)])


def with_history(frame: Any) -> Any:
    code = frame.attrs["code"]
    history = [
        [code, "2026-06-05", 1781260000.0, 17_650_300, 0.88],
        [code, "2026-05-29", None, 17_000_000, 0.85],
        ["HK.00001", "2026-05-29", None, 1, 0.01],
        [code, "2026-05-22", None, None, None],
    ]
    changed = frame.copy()
    changed.attrs["aggregates_history"] = json.dumps(history)
    return changed


def real() -> Any:
    return pd.read_csv(DATA / "us_aapl_real.csv")


def drawn(figure: Any) -> Any:
    """The figure once it was laid out and drawn, which is where matplotlib warns.

    Without pixels, which take a third of the time; those that are saved have them.
    """
    figure.draw_without_rendering()
    return figure


def words(figure: Figure) -> str:
    """Everything written outside of the axes."""
    return "\n".join([figure.get_suptitle(), figure.get_supxlabel()])


def line(ax: Axes, label: str) -> pd.Series[float]:
    found = next(each for each in ax.lines if each.get_label() == label)
    x, y = (np.asarray(each, dtype=np.float64) for each in found.get_data(orig=False))
    days = pd.DatetimeIndex([f"{num2date(day, 'UTC'):%Y-%m-%d}" for day in x])
    return pd.Series(y, index=days)


def labels(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    texts = [] if legend is None else legend.get_texts()
    return [text.get_text().replace("\n", " ") for text in texts]  # long ones are wrapped


def band(ax: Axes, label: str = BAND) -> pd.DataFrame:
    """Lower and upper end of the band, by day."""
    (area,) = (each for each in ax.collections if each.get_label() == label)
    corners = np.concatenate([np.asarray(path.vertices) for path in area.get_paths()])
    days = pd.DatetimeIndex([f"{num2date(x, 'UTC'):%Y-%m-%d}" for x in corners[:, 0]])
    return pd.Series(corners[:, 1], days).groupby(level=0).agg(["min", "max"])


def ticks(ax: Axes) -> list[str]:
    """The dates under an Axes that are within it."""
    low, high = ax.get_xlim()
    pairs = zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
    return [text.get_text() for x, text in pairs if low <= x <= high]


def said(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def cells(ax: Axes) -> Any:
    (mesh,) = (each for each in ax.collections if isinstance(each, QuadMesh))
    return mesh.get_array()
