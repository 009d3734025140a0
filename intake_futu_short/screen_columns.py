"""Columns of ``df.shortvol.latest()`` for people: which to show, their names and units. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

if TYPE_CHECKING:
    from intake_futu_short.security import Market

__all__ = ["Shown", "described", "shown"]


class _Kind(NamedTuple):
    """How a metric is shown; ``{n}`` stands for its window."""

    label: str
    short: str  # for a narrow heading
    unit: str
    factor: float
    decimals: int
    meaning: str


_VOLUME = _Kind("Volume", "volume", "mn", 1e-6, 1, "Shares traded in the newest session, millions.")
_KINDS = {
    "short_ratio": _Kind(
        "Short ratio", "short ratio", "%", 100, 1,
        "Shares sold short / volume, of the newest session.",
    ),
    "short_turnover_ratio": _Kind(
        "Turnover ratio", "turn. ratio", "%", 100, 1,
        "Turnover sold short / turnover, of the newest session.",
    ),
    "short_ratio_mean": _Kind(
        "Mean ratio, {n} sessions", "{n}-day mean", "%", 100, 1,
        "Mean short ratio of the {n} sessions that end with the newest.",
    ),
    "pooled_short_ratio": _Kind(
        "Pooled ratio, {n} sessions", "{n}-day pooled", "%", 100, 1,
        "All shares sold short / all volume of the {n} sessions that end with the newest.",
    ),
    "short_ratio_zscore": _Kind(
        "z-score, {n} sessions", "{n}-day z-score", "sd", 1, 2,
        "Short ratio less its mean of the {n} sessions before, in standard deviations of those.",
    ),
    "abnormal_short_ratio": _Kind(
        "Above usual, {n} sessions", "{n}-day abn.", "%", 100, 1,
        "Short ratio / its mean of the {n} sessions before, less 1.",
    ),
    "short_volume_surge": _Kind(
        "Short volume, times usual, {n} sessions", "{n}-day surge", "x", 1, 2,
        "Shares sold short / their mean of the {n} sessions before.",
    ),
    "short_ratio_rank": _Kind(
        "Percentile, {n} sessions", "{n}-day pctile", "%", 100, 0,
        "Percentile of the short ratio among those of the {n} sessions that end with the newest.",
    ),
    "days_to_cover": _Kind(
        "Days to cover, {n} sessions", "{n}-day cover", "days", 1, 1,
        "Reported open short position / mean volume of the {n} sessions that end with the newest.",
    ),
    "volume": _VOLUME,
    "shares_traded": _VOLUME,
}  # fmt: skip
_USUAL = [
    "short_ratio", "short_turnover_ratio", "short_ratio_mean_20", "short_ratio_zscore_20",
    "short_volume_surge_20", "short_ratio_rank_20", "days_to_cover_20", "volume", "shares_traded",
    "close_price",
]  # fmt: skip
_CLOSE = {
    "US": "Close, in USD, adjusted for later dividends and splits.",
    "HK": "Close, in HKD (counters in renminbi, 80000 to 89999: CNY), adjusted for later dividends "
    "and splits.",
}


@dataclass(frozen=True)
class Shown:
    """A column to show.

    Attributes
    ----------
    name : str
        Its name in the frame.
    label, short : str
        Its heading in words, and a short one for a narrow column.
    unit : str
        Unit of the numbers that `text` writes; ``""`` when there is none.
    meaning : str
        Its definition in a sentence; ``""`` when the name suffices.
    factor, decimals
        `text` multiplies by `factor` and rounds to so many decimals.
    """

    name: str
    label: str
    short: str
    unit: str
    meaning: str
    factor: float = 1.0
    decimals: int | None = None

    def text(self, value: object) -> str:
        """Write a value for people; a missing one is a dash."""
        if pd.isna(value):  # type: ignore[call-overload]  # a scalar of any kind
            return "-"
        if not isinstance(value, (int, float)) and not hasattr(value, "__float__"):
            return str(value)
        number, decimals = float(value) * self.factor, self.decimals
        if decimals is None:
            decimals = 0 if abs(number) >= 1000 or number.is_integer() else 4
        return f"{number:,.{decimals}f}"


def shown(frame: pd.DataFrame, by: str, market: Market) -> list[Shown]:
    """Choose and describe columns of ``df.shortvol.latest()``: `by`, then the usual ones.

    Empty columns are left out.
    """
    names = [name for name in dict.fromkeys([by, *_USUAL]) if name in frame]
    known = [name for name in names if name == by or frame[name].notna().any()]
    return [described(name, market) for name in known if name not in {"code", "date"}]


def described(name: str, market: Market) -> Shown:
    """Describe a column. An unknown column is shown under its own name."""
    if name == "close_price":
        unit = "USD" if market.name == "US" else "HKD"
        return Shown(name, "Close", "close", unit, _CLOSE[market.name], 1.0, 2)
    metric = re.fullmatch(r"(.+)_([0-9]+)", name)
    base, n = (metric[1], metric[2]) if metric else (name, "")
    kind = _KINDS.get(base)
    if kind is None:
        return Shown(name, name, name.replace("_", " "), "", "")
    label, short, meaning = (text.format(n=n) for text in (kind.label, kind.short, kind.meaning))
    return Shown(name, label, short, kind.unit, meaning, kind.factor, kind.decimals)
