"""Several metrics of several windows in one go. Pure.

`intake_futu_short.trailing` describes the metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from intake_futu_short.columns import Columns, whole_number
from intake_futu_short.windows import (
    before,
    blocks,
    quotient,
    scores,
    sliding_ranks,
    sum_and_days,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from intake_futu_short.sessions import Sessions
    from intake_futu_short.windows import Block, Floats

__all__ = ["KINDS", "Pool", "pool", "trailing", "whole_counts", "window"]

# Above this a float is no longer sure to hold a count as it is.
_EXACT = 2.0**53

_BOTH: dict[str, tuple[str, ...]] = {"US": ("short", "volume"), "HK": ("short", "volume")}

# By name: what a metric is made of in each market; in the order in which `metrics` gives them.
KINDS: dict[str, dict[str, tuple[str, ...]]] = {
    "short_ratio_mean": _BOTH,
    "pooled_short_ratio": _BOTH,
    "short_ratio_zscore": _BOTH,
    "abnormal_short_ratio": _BOTH,
    "short_volume_surge": {"US": ("short",), "HK": ("short",)},
    "short_ratio_rank": _BOTH,
}
_VOLUME = {"US": ("volume",), "HK": ("volume",)}
_OF_RATIOS = {"short_ratio_mean", "short_ratio_zscore", "abnormal_short_ratio", "short_ratio_rank"}


def trailing(
    columns: Columns,
    sessions: Sessions,
    kinds: Collection[str],
    ns: Sequence[int],
    min_periods: int | None,
) -> dict[str, Floats]:
    """Compute several metrics for several windows in one go.

    Parameters
    ----------
    columns, sessions
        Of the same frame.
    kinds : collection of str
        Out of `KINDS`, and ``mean_volume``.
    ns : sequence of int
        Lengths of the windows.
    min_periods : int or None
        For all of them; None asks for the whole window.

    Returns
    -------
    dict of str to numpy.ndarray
        Values in the order of the frame, by name and ``n``, such as ``short_ratio_mean_20``.
    """
    rows = len(sessions.order)
    found = {f"{kind}_{n}": np.full(rows, np.nan) for n in ns for kind in kinds}
    longest = int(sessions.lengths.max(initial=0))
    # A window that is longer than every history holds all of it; one that must be full is nowhere.
    wanted = {n: min(n, longest) for n in ns if (min_periods or n) <= longest}
    if not wanted:
        return found
    least = {n: min_periods or n for n in sorted(set(wanted.values()))}
    roles = {role for k in kinds for role in KINDS.get(k, _VOLUME)[columns.market]}
    for block in blocks(sessions.begins, sessions.lengths, max(least)):
        places = sessions.order[block.rows]
        laid = {role: block.lay(columns[role][places]) for role in roles}
        # Prices and counts of a user's own may be beyond what squares of floats can be.
        with np.errstate(over="ignore", invalid="ignore"):
            answers = dict(_of_block(block, laid, kinds, least))
        for n, held in wanted.items():
            for kind in kinds:
                found[f"{kind}_{n}"][places] = block.of_rows(answers[kind, held])
    return found


def _of_block(
    block: Block, laid: dict[str, Floats], kinds: Collection[str], least: dict[int, int]
) -> Iterator[tuple[tuple[str, int], Floats]]:
    if not _OF_RATIOS.isdisjoint(kinds):
        yield from _of_ratios(block, quotient(laid["short"], laid["volume"]), kinds, least)
    for n, few in least.items():
        if "pooled_short_ratio" in kinds:
            short, volume = laid["short"], laid["volume"]
            both, days = sum_and_days(np.where(np.isnan(volume), np.nan, short), n)
            whole, _ = sum_and_days(np.where(np.isnan(short), np.nan, volume), n)
            yield ("pooled_short_ratio", n), np.where(days >= few, quotient(both, whole), np.nan)
        if "short_volume_surge" in kinds:
            usual = before(_mean(*sum_and_days(laid["short"], n), few))
            yield ("short_volume_surge", n), quotient(laid["short"], usual)
        if "mean_volume" in kinds:
            yield ("mean_volume", n), _mean(*sum_and_days(laid["volume"], n), few)


def _of_ratios(
    block: Block, ratio: Floats, kinds: Collection[str], least: dict[int, int]
) -> Iterator[tuple[tuple[str, int], Floats]]:
    days = {}
    for n, few in least.items():
        total, days[n] = sum_and_days(ratio, n)
        mean = _mean(total, days[n], few)
        yield ("short_ratio_mean", n), mean
        if "abnormal_short_ratio" in kinds:
            yield ("abnormal_short_ratio", n), quotient(ratio, before(mean)) - 1
    if "short_ratio_zscore" in kinds:
        past_days = {n: before(count) for n, count in days.items()}
        for n, score in scores(ratio, least, past_days, block.pad):
            yield ("short_ratio_zscore", n), score
    if "short_ratio_rank" in kinds:
        known = ~np.isnan(ratio)
        for n, ranks in sliding_ranks(ratio, list(least), block.pad):
            enough = known & (days[n] >= least[n])
            yield ("short_ratio_rank", n), quotient(ranks, np.where(enough, days[n], np.nan))


def _mean(total: Floats, days: Floats, few: int) -> Floats:
    means = np.full(len(total), np.nan)
    np.divide(total, days, out=means, where=days >= few)
    return means


class Pool(NamedTuple):
    """Sums over the window that ends at each sorted row, and its days that have both counts."""

    short: NDArray[Any]
    volume: NDArray[Any]
    days: NDArray[np.int64]


def pool(
    sessions: Sessions, short: NDArray[np.float64], volume: NDArray[np.float64], n: int
) -> Pool:
    """ΣS and ΣV of each window over its days that have both counts, and how many those are."""
    both = np.isfinite(short) & np.isfinite(volume)
    return Pool(
        sessions.window_sum(whole_counts(np.where(both, short, 0.0)), n),
        sessions.window_sum(whole_counts(np.where(both, volume, 0.0)), n),
        sessions.window_sum(both.astype(np.int64), n),
    )


def whole_counts(values: NDArray[Any]) -> NDArray[Any]:
    """Counts as integers, whose sums are exact; floats that are no counts as they are."""
    if np.all(values == np.floor(values)) and np.all(np.abs(values) < _EXACT):
        return values.astype(np.int64)
    return values


def window(n: Any, min_periods: Any) -> tuple[int, int | None]:
    """Check the length of a window and how many of its days must be there."""
    n = whole_number("n", n, 1, None)
    return n, None if min_periods is None else whole_number("min_periods", min_periods, 1, n)
