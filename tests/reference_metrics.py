"""Metrics by the book: one row after the other, in fractions, by the definitions alone.

Slow and obvious. A row is a dict of ``code``, ``day`` (a number) and values of which a missing one
is None; an answer that does not exist is NaN.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

Row = dict[str, Any]
NAN = math.nan


def over(part: Any, whole: Any) -> Any:
    """The quotient of floats; None where there is none."""
    if part is None or whole is None or whole <= 0:
        return None
    return float(part) / float(whole)


def ratio(row: Row) -> float | None:
    found: float | None = over(row["short"], row["volume"])
    return found


def upto(rows: list[Row], row: Row, n: int) -> list[Row]:
    """The ticker's last ``n`` rows up to this one."""
    same = [r for r in rows if r["code"] == row["code"] and r["day"] <= row["day"]]
    return sorted(same, key=lambda r: int(r["day"]))[-n:]


def until(rows: list[Row], row: Row, n: int) -> list[Row]:
    """The ticker's last ``n`` rows before this one."""
    same = [r for r in rows if r["code"] == row["code"] and r["day"] < row["day"]]
    return sorted(same, key=lambda r: int(r["day"]))[-n:]


def mean(values: list[Any], least: int) -> Fraction | None:
    known = [Fraction(v) for v in values if v is not None]
    return sum(known, Fraction(0)) / len(known) if len(known) >= least else None


def short_ratio_mean(rows: list[Row], row: Row, n: int, least: int) -> float:
    found = mean([ratio(r) for r in upto(rows, row, n)], least)
    return NAN if found is None else float(found)


def pooled_short_ratio(rows: list[Row], row: Row, n: int, least: int) -> float:
    window = upto(rows, row, n)
    both = [r for r in window if r["short"] is not None and r["volume"] is not None]
    volume = sum(Fraction(r["volume"]) for r in both)
    if len(both) < least or volume <= 0:
        return NAN
    return float(sum(Fraction(r["short"]) for r in both) / volume)


def short_ratio_zscore(rows: list[Row], row: Row, n: int, least: int) -> float:
    today = ratio(row)
    past = [ratio(r) for r in until(rows, row, n)]
    known = [Fraction(r) for r in past if r is not None]
    usual = mean(past, least)
    if today is None or usual is None or len(known) < 2:
        return NAN
    variance = sum((r - usual) ** 2 for r in known) / (len(known) - 1)
    if variance == 0:
        return NAN
    # The root of the squared score, so that a tiny variance does not vanish in a float.
    score = Fraction(today) - usual
    return math.copysign(math.sqrt(score**2 / variance), score)


def abnormal_short_ratio(rows: list[Row], row: Row, n: int, least: int) -> float:
    today = ratio(row)
    usual = mean([ratio(r) for r in until(rows, row, n)], least)
    if today is None or usual is None or usual <= 0:
        return NAN
    return float(Fraction(today) / usual - 1)


def short_volume_surge(rows: list[Row], row: Row, n: int, least: int) -> float:
    usual = mean([r["short"] for r in until(rows, row, n)], least)
    if row["short"] is None or usual is None or usual <= 0:
        return NAN
    return float(Fraction(row["short"]) / usual)


def percentile(value: float, among: list[float]) -> float:
    """Average rank among values of which it is one, by their number."""
    ranks = [i for i, other in enumerate(sorted(among), start=1) if other == value]
    return float(Fraction(sum(ranks), len(ranks)) / len(among))


def short_ratio_rank(rows: list[Row], row: Row, n: int, least: int) -> float:
    today = ratio(row)
    known = [r for r in map(ratio, upto(rows, row, n)) if r is not None]
    return NAN if today is None or len(known) < least else percentile(today, known)


def mean_volume(rows: list[Row], row: Row, n: int, least: int) -> float:
    found = mean([r["volume"] for r in upto(rows, row, n)], least)
    return NAN if found is None else float(found)


def rank_by_date(rows: list[Row], row: Row) -> float:
    today = ratio(row)
    known = [ratio(r) for r in rows if r["day"] == row["day"]]
    return NAN if today is None else percentile(today, [r for r in known if r is not None])


WINDOWED = {
    "short_ratio_mean": short_ratio_mean,
    "pooled_short_ratio": pooled_short_ratio,
    "short_ratio_zscore": short_ratio_zscore,
    "abnormal_short_ratio": abnormal_short_ratio,
    "short_volume_surge": short_volume_surge,
    "short_ratio_rank": short_ratio_rank,
}
