"""Reports of open positions, each with the time at which it was first seen. Pure."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from intake_futu_short.history.ticker_history import FIRST_SEEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    Reports = tuple[Mapping[str, Any], ...]

__all__ = ["extended", "merged"]


def extended(known: Reports, attrs: Mapping[str, Any], now_s: float) -> Reports:
    """The known reports, plus the present one unless it equals the last or is empty."""
    last = known[-1] if known else dict.fromkeys(attrs)
    if all(last.get(name) == value for name, value in attrs.items()):
        return known
    return (*known, {**attrs, FIRST_SEEN: now_s})


def merged(earlier: Reports, later: Reports) -> Reports:
    """Every report of two writers, in the order in which they first came.

    A report that came again after a different one is listed twice, because it was current twice.
    The last report is the later writer's current one.
    """
    every: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for reports in (earlier, later):
        came: list[Any] = []
        for one in reports:
            came.append(_said(one))
            key = (_said(one), came.count(_said(one)))
            every[key] = min(every.get(key, one), one, key=_first_seen)
    united = sorted(every.values(), key=_first_seen)
    if later and _said(united[-1]) != _said(later[-1]):
        again_s = max(_first_seen(united[-1]), _first_seen(later[-1]))
        united.append({**later[-1], FIRST_SEEN: again_s})
    return tuple(next(same) for _, same in groupby(united, _said))


def _said(report: Mapping[str, Any]) -> frozenset[tuple[str, Any]]:
    return frozenset((name, value) for name, value in report.items() if name != FIRST_SEEN)


def _first_seen(report: Mapping[str, Any]) -> float:
    moment: float | None = report.get(FIRST_SEEN)
    return 0.0 if moment is None else moment
