"""The period that a row of a figure covers, and the texts that depend on it. Pure."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from intake_futu_short.metrics.sessions import RESAMPLED

__all__ = ["WINDOW", "Step"]

WINDOW = 20
_PERIODS = {"W": "week", "M": "month", "Q": "quarter", "Y": "year"}


class Step(NamedTuple):
    """The period of a row: a trading day, or the period that `resample` summed."""

    name: str = "day"
    several: str = "trading days"
    days: float = 1.0

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Step:
        """Tell by attrs."""
        if RESAMPLED not in frame.attrs:
            return cls()
        offset = pd.tseries.frequencies.to_offset(frame.attrs[RESAMPLED])
        # W-FRI is a week, BME and MS are months. WOM-1MON, a Monday of each month, is neither.
        alias = offset.freqstr.partition("-")[0].removeprefix("B").rstrip("ES")
        name = _PERIODS.get(alias, "period")
        some = pd.Timestamp("2026-01-01") + offset
        return cls(name, f"{name}s", (some + offset - some) / pd.Timedelta(days=1))

    @property
    def title(self) -> str:
        """Beginning of a title, for the middle of a line."""
        return "daily short volume" if self.name == "day" else f"short volume by {self.name}"

    @property
    def ratio(self) -> str:
        """Name of the ratio of a single row."""
        return f"Short ratio of each {self.name}"

    @property
    def pooled(self) -> str:
        """Name of the ratio of a window's sums."""
        return f"{WINDOW}-{self.name} pooled ratio"

    @property
    def meaning(self) -> str:
        """Definition of the pooled ratio."""
        return f"Pooled: Σ short / Σ volume of the last {WINDOW} {self.several}."

    @property
    def band(self) -> str:
        """Name of the range that rows are compared with."""
        return f"Mean ± 1 standard deviation of the {WINDOW} {self.name}s before"

    def as_of(self, newest: pd.Timestamp | None) -> str:
        """Words that end a title."""
        if newest is None:
            return ""
        return f", {'as of' if self.name == 'day' else f'newest {self.name}'} {newest:%Y-%m-%d}"
