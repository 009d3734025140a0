"""Small lines of the short ratio, as the path data of SVG. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from intake_futu_short.metrics import short_ratio
from intake_futu_short.metrics.sessions import Sessions, code_of
from intake_futu_short.metrics.trailing import band

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["HEIGHT", "SESSIONS", "WIDTH", "WINDOW", "Sparkline", "sparklines"]

# Sessions that a line spans, and sessions before each one from which its band is computed.
SESSIONS = 60
WINDOW = 20
# The box around the paths, and the margin in it for strokes and the dot.
WIDTH, HEIGHT = 168, 40
_EDGE = 4


@dataclass(frozen=True)
class Sparkline:
    """The drawing of one ticker: data of SVG paths in a box of `WIDTH` by `HEIGHT`.

    Attributes
    ----------
    line, band : str
        The ratio of each session, and the mean of the sessions before it ± one standard deviation.
        ``""`` when there is nothing to draw.
    dot : tuple of float or None
        Place of the newest ratio.
    newest, low, high : float
        The newest ratio and the edges of its band, as fractions; NaN where unknown.
    bottom, top : float
        The scale: the fractions at the bottom and at the top of the box.
    """

    line: str
    band: str
    dot: tuple[float, float] | None
    newest: float
    low: float
    high: float
    bottom: float
    top: float


def sparklines(
    frame: pd.DataFrame, codes: Collection[str], newest: int = SESSIONS
) -> dict[str, Sparkline]:
    """Draw the short ratio of some tickers over the `newest` sessions of the frame, by code.

    All tickers share the same sessions. The line of a ticker that lags behind ends early, and a
    missing session is a gap. Each ticker has a scale of its own. A ticker without a code is ``""``.
    """
    sessions = Sessions.of(frame)
    span = np.unique(sessions.days)[-newest:]
    ends = sessions.begins + sessions.lengths
    begins = np.maximum(sessions.begins, ends - newest - WINDOW)
    names = _names(frame, sessions)
    wanted = [ticker for ticker, name in enumerate(names) if name in codes]
    if not wanted:
        return {}
    rows = np.concatenate([np.arange(begins[i], ends[i]) for i in wanted])
    recent = frame.take(sessions.order[rows])
    mean, sd = (np.asarray(values) for values in band(recent, WINDOW))
    lines = np.array([np.asarray(short_ratio(recent)), mean - sd, mean + sd])
    cuts = np.cumsum((ends - begins)[wanted])[:-1]
    parts = zip(np.split(lines, cuts, axis=1), np.split(sessions.days[rows], cuts), strict=True)
    return {
        names[ticker]: _sparkline(part, days, span)
        for ticker, (part, days) in zip(wanted, parts, strict=True)
    }


def _names(frame: pd.DataFrame, sessions: Sessions) -> list[str]:
    """The code of each ticker."""
    codes = [code_of(frame)] if sessions.tickers is None else sessions.tickers
    return ["" if pd.isna(code) else str(code) for code in codes]


def _sparkline(
    lines: Floats, days: NDArray[np.datetime64], span: NDArray[np.datetime64]
) -> Sparkline:
    """Draw the ratio and its band on the days within the span."""
    is_shown = days >= span[0]
    places = np.searchsorted(span, days[is_shown])
    laid = np.full((3, len(span)), np.nan)
    laid[:, places] = lines[:, is_shown]
    ratio, low, high = laid

    known = laid[np.isfinite(laid)]
    bottom, top = (known.min(), known.max()) if len(known) else (np.nan, np.nan)
    x = np.linspace(_EDGE, WIDTH - _EDGE, len(span)) if len(span) > 1 else np.array([WIDTH / 2])

    def y(values: Floats) -> Floats:
        # A constant ratio is drawn through the middle.
        share = (values - bottom) / (top - bottom) if top > bottom else values * 0 + 0.5
        answer: Floats = HEIGHT - _EDGE - share * (HEIGHT - 2 * _EDGE)
        return answer

    last = int(places[-1]) if len(places) else 0
    dot = (round(float(x[last]), 1), round(float(y(ratio)[last]), 1))
    return Sparkline(
        _line(x, y(ratio)),
        _band(x, y(low), y(high)),
        dot if np.isfinite(ratio[last]) else None,
        float(ratio[last]),
        float(low[last]),
        float(high[last]),
        float(bottom),
        float(top),
    )


def _line(x: Floats, y: Floats) -> str:
    """A line through the known points, with a gap at each unknown one."""
    # A lone point becomes a line of length 0; round line caps draw it as a dot.
    return "".join(
        f"M{_points(x[run], y[run])}" + ("h0" if run.stop - run.start == 1 else "")
        for run in _runs(np.isfinite(y))
    )


def _band(x: Floats, low: Floats, high: Floats) -> str:
    """The area between two lines, with a gap where either is unknown."""
    return "".join(
        f"M{_points(x[run], high[run])}L{_points(x[run][::-1], low[run][::-1])}Z"
        for run in _runs(np.isfinite(low) & np.isfinite(high))
        if run.stop - run.start > 1
    )


def _runs(known: NDArray[np.bool_]) -> list[slice]:
    """Unbroken stretches."""
    edges = np.flatnonzero(np.diff(known, prepend=False, append=False))
    return [slice(int(begin), int(end)) for begin, end in list(pairwise(edges))[::2]]


def _points(x: Floats, y: Floats) -> str:
    return "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
