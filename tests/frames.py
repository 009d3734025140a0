"""Frames that the tests of sessions, metrics and checks share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

DATA = Path(__file__).parent / "data"
FINDINGS = ["date", "code", "what", "reported", "computed", "difference"]


def real() -> pd.DataFrame:
    """57 days of US.AAPL, newest first, in three unbroken stretches."""
    return pd.read_csv(DATA / "us_aapl_real.csv")


def hand() -> pd.DataFrame:
    """Two made-up tickers with the answers beside them."""
    answers = ["short_ratio", "pooled_short_ratio_3", "pooled_short_ratio_3_of_any"]
    frame = pd.read_csv(DATA / "hand_panel.csv", dtype=dict.fromkeys(answers, str))
    # Older pandas reads floats from text with an error in the last place; Python does not.
    return frame.assign(**{name: [float(text) for text in frame[name]] for name in answers})


def days(n: int, first: str = "2026-01-01") -> list[str]:
    return [f"{day:%Y-%m-%d}" for day in pd.date_range(first, periods=n)]


def us(short: list[Any], volume: list[Any], **more: Any) -> pd.DataFrame:
    """A frame as pandas makes it of a list of dicts, ascending from 2026-01-01."""
    rows = [
        {"timestamp_str": day, "total_shares_short": s, "volume": v}
        for day, s, v in zip(days(len(short)), short, volume, strict=True)
    ]
    return pd.DataFrame(rows).assign(**more)


def same(answer: pd.Series[float], expected: list[float], index: Any = None) -> None:
    """The answer is float64 and has these values, exactly; NaN where NaN is expected."""
    assert answer.dtype == np.float64
    np.testing.assert_array_equal(answer.to_numpy(), np.array(expected, dtype=np.float64))
    if index is not None:
        pd.testing.assert_index_equal(answer.index, index)


def truncated(value: float, decimals: int) -> float:
    scale = 10.0**decimals
    return math.floor(round(value * scale, 6)) / scale
