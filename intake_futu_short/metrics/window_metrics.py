"""Several metrics of several windows in one go. Pure.

`intake_futu_short.metrics.trailing` describes the metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from intake_futu_short.metrics.columns import Columns, whole_number
from intake_futu_short.metrics.windows import (
    Totals,
    are_counts,
    before,
    blocks,
    quotient,
    scores,
    sliding_ranks,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from intake_futu_short.metrics.sessions import Sessions
    from intake_futu_short.metrics.windows import Block, Floats

__all__ = ["KINDS", "Pool", "pool", "trailing", "window"]

# Rows, 16 years of days: more than a gateway has.
_ABSURD = 4096

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
    names = [f"{kind}_{n}" for n in ns for kind in kinds]
    longest = int(sessions.lengths.max(initial=0))
    # A window that must be full is nowhere in shorter histories; one that need not be holds all of
    # them. It is cut down to that only if it is absurdly long: the order in which values are added
    # follows from its length, and the last digit of an answer must not change with later rows.
    wanted = {n: min(n, max(longest, _ABSURD)) for n in ns if (min_periods or n) <= longest}
    if not wanted:
        return {name: np.full(len(sessions.order), np.nan) for name in names}
    least = {n: min_periods or n for n in sorted(set(wanted.values()))}
    roles = {role for k in kinds for role in KINDS.get(k, _VOLUME)[columns.market]}
    held = {(kind, n): np.empty(len(sessions.order)) for kind in kinds for n in least}
    for block in blocks(sessions.begins, sessions.lengths, max(least)):
        places = sessions.order[block.rows]
        laid = {role: block.lay(columns[role][places]) for role in roles}
        # Prices and counts of a user's own may be beyond what squares of floats can be.
        with np.errstate(over="ignore", invalid="ignore"):
            for metric, values in _of_block(block, laid, kinds, least):
                if metric in held:
                    block.put_rows(values, held[metric][block.rows])
    found: dict[str, Floats] = {}
    # One after the other, which is kinder to the cache than all at once; what held the sorted
    # values of one takes up the next.
    spare = np.empty(len(sessions.order))
    for (kind, n), values in held.items():
        spare[sessions.order] = values
        one, *others = (f"{kind}_{m}" for m in ns if wanted.get(m) == n)
        found |= {one: spare, **{other: spare.copy() for other in others}}
        spare = values
    return {
        name: found[name] if name in found else np.full(len(sessions.order), np.nan)
        for name in names
    }


def _of_block(
    block: Block, laid: dict[str, Floats], kinds: Collection[str], least: dict[int, int]
) -> Iterator[tuple[tuple[str, int], Floats]]:
    totals = Totals(least)
    if not _OF_RATIOS.isdisjoint(kinds):
        ratio = quotient(laid["short"], laid["volume"])
        yield from _of_ratios(block, ratio, totals, kinds, least)
    if "pooled_short_ratio" in kinds:
        short, volume = laid["short"], laid["volume"]
        parts, days = totals.of(np.where(np.isnan(volume), np.nan, short))
        wholes, _ = totals.of(np.where(np.isnan(short), np.nan, volume))
        for n, few in least.items():
            yield ("pooled_short_ratio", n), quotient(parts[n], _enough(wholes[n], days[n], few))
    if "short_volume_surge" in kinds:
        for n, usual in _means(*totals.of(laid["short"]), least):
            yield ("short_volume_surge", n), quotient(laid["short"], before(usual))
    if "mean_volume" in kinds:
        for n, usual in _means(*totals.of(laid["volume"]), least):
            yield ("mean_volume", n), usual


def _of_ratios(
    block: Block,
    ratio: Floats,
    totals: Totals,
    kinds: Collection[str],
    least: dict[int, int],
) -> Iterator[tuple[tuple[str, int], Floats]]:
    sums, days = totals.of(ratio)
    for n, mean in _means(sums, days, least):
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
            counted = np.where(known, days[n], np.nan)
            yield ("short_ratio_rank", n), quotient(ranks, _enough(counted, days[n], least[n]))


def _means(
    sums: dict[int, Floats], days: dict[int, Floats], least: dict[int, int]
) -> Iterator[tuple[int, Floats]]:
    for n, few in least.items():
        yield n, quotient(sums[n], _enough(days[n], days[n], few))


def _enough(values: Floats, days: Floats, few: int) -> Floats:
    return np.where(days >= few, values, np.nan)


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
        sessions.window_sum(_whole_counts(np.where(both, short, 0.0)), n),
        sessions.window_sum(_whole_counts(np.where(both, volume, 0.0)), n),
        sessions.window_sum(both.astype(np.int64), n),
    )


def _whole_counts(values: NDArray[Any]) -> NDArray[Any]:
    """Counts as integers, whose sums are exact; floats that are no counts as they are."""
    return values.astype(np.int64) if are_counts(values) else values


def window(n: Any, min_periods: Any) -> tuple[int, int | None]:
    """Check the length of a window and how many of its days must be there."""
    n = whole_number("n", n, 1, None)
    return n, None if min_periods is None else whole_number("min_periods", min_periods, 1, n)
