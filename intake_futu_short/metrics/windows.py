"""Sums, ranks and deviations over windows of rows: arithmetic on arrays. Pure.

Rows of several tickers are computed in blocks that fit into a processor's cache. In a block, each
ticker's rows come oldest first, after as many missing values (NaN) as the longest window has rows.
A window is therefore a shift of the entire block and never reaches into another ticker.

Running sums are never subtracted. A result depends only on the values in its window, to the last
bit, and a large value leaves no rounding error once it has left the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "Block",
    "Totals",
    "are_counts",
    "before",
    "blocks",
    "last_known_before",
    "quotient",
    "sliding_ranks",
    "spreads",
]

# Values in a block: 256 kB in float64, so that a handful of them stay in the cache.
_BLOCK = 1 << 15

# Above this a float may no longer hold a count exactly.
_EXACT = 2.0**53


@dataclass(frozen=True)
class Block:
    """Whole tickers one after the other, each preceded by ``pad`` missing values.

    Attributes
    ----------
    rows : slice
        The block's part of the sorted rows.
    places : numpy.ndarray
        Position of each of these rows in the block.
    pad : int
        Missing values before each ticker.
    size : int
        Values in the block.
    """

    rows: slice
    places: NDArray[np.intp]
    pad: int
    size: int

    def lay(self, values: Floats) -> Floats:
        """Put the values of the block's rows at their places, with NaN between tickers."""
        laid = np.full(self.size, np.nan)
        laid[self.places] = values
        return laid

    def put_rows(self, laid: Floats, values: Floats) -> None:
        """Copy the results at the block's rows into `values`; NaN where one has overflowed."""
        np.take(laid, self.places, out=values, mode="clip")  # "raise" would make a copy
        infinite = np.isinf(values)
        if infinite.any():
            values[infinite] = np.nan


def blocks(begins: NDArray[np.intp], lengths: NDArray[np.intp], pad: int) -> Iterator[Block]:
    """Cut sorted rows into blocks of whole tickers.

    Parameters
    ----------
    begins, lengths : numpy.ndarray
        Position of each ticker's first row, and its number of rows.
    pad : int
        Length of the longest window that will be used.
    """
    ends = np.cumsum(lengths + pad)
    start = 0
    while start < len(begins):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _BLOCK, side="right")))
        rows = slice(int(begins[start]), int(begins[stop - 1] + lengths[stop - 1]))
        tickers = np.repeat(np.arange(1, stop - start + 1), lengths[start:stop])
        places = np.arange(rows.stop - rows.start) + pad * tickers
        yield Block(rows, places, pad, int(ends[stop - 1] - done))
        start = stop


def quotient(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    """Quotients, NaN where ``whole`` is not above 0, or either is missing."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        quotients: Floats = np.divide(part, whole)
    # Dividing all and then blanking some is several times faster than dividing some.
    np.copyto(quotients, np.nan, where=~(whole > 0))
    return quotients


def are_counts(values: NDArray[Any]) -> bool:
    """Whether all are whole numbers that a float holds exactly. A missing value is not one."""
    return bool(np.all(values == np.floor(values)) and np.all(np.abs(values) < _EXACT))


def before(laid: Floats) -> Floats:
    """Shift values by one row, so that each row has the value of the row before it."""
    moved = np.empty_like(laid)
    moved[:1] = np.nan
    moved[1:] = laid[:-1]
    return moved


def sliding_sums(laid: Floats, ns: Collection[int]) -> dict[int, Floats]:
    """Sum the ``n`` values that end at each one, for each ``n``; meaningless before the ``n``-th.

    Sums of 1, 2, 4, … values are built by doubling, and each window is a sum of some of these.
    """
    totals: dict[int, Floats] = {}
    covered = dict.fromkeys(ns, 0)
    size, part = 1, laid
    while True:
        for n in ns:
            if not n & size:
                continue
            if covered[n]:
                totals[n][covered[n] :] += part[: -covered[n]]
            else:
                totals[n] = part.copy()
            covered[n] += size
        if 2 * size > max(ns):
            return totals
        longer = np.empty_like(part)
        longer[:size] = part[:size]
        np.add(part[size:], part[:-size], out=longer[size:])
        part, size = longer, 2 * size


class Totals:
    """Sums and numbers of known values over windows of a block.

    Parameters
    ----------
    ns : collection of int
        Lengths of the windows.
    """

    def __init__(self, ns: Collection[int]) -> None:
        self._ns = ns
        self._counted: list[tuple[NDArray[np.bool_], dict[int, Floats]]] = []

    def of(self, laid: Floats) -> tuple[dict[int, Floats], dict[int, Floats]]:
        """Sum and count the known values among the ``n`` that end at each one."""
        missing = np.isnan(laid)
        return sliding_sums(np.where(missing, 0.0, laid), self._ns), self._days(missing)

    def _days(self, missing: NDArray[np.bool_]) -> dict[int, Floats]:
        # Columns of a block mostly lack the same days, or none, and then share one count.
        for mask, days in self._counted:
            if np.array_equal(mask, missing):
                return days
        days = sliding_sums((~missing).astype(np.float64), self._ns)
        self._counted.append((missing, days))
        return days


def sliding_ranks(laid: Floats, ns: Sequence[int], pad: int) -> Iterator[tuple[int, Floats]]:
    """Rank each value among the ``n`` that end at it; equal values get their average rank.

    Yields ``n`` and the ranks, from 1 on, for each of ``ns`` in ascending order. Missing values are
    not counted, and their own ranks are meaningless.
    """
    now = laid[pad:]
    # Each smaller value adds 2, each equal one (itself included) adds 1. The sum is twice the rank,
    # less 1.
    twice = np.zeros(len(now), dtype=np.min_scalar_type(2 * ns[-1] + 1))
    for k in range(ns[-1]):
        past = laid[pad - k : len(laid) - k]
        twice += (past < now).view(np.uint8)
        twice += (past <= now).view(np.uint8)
        if k + 1 in ns:
            ranks = np.full(len(laid), np.nan)
            ranks[pad:] = (twice + 1.0) / 2
            yield k + 1, ranks


def spreads(
    laid: Floats, last: Floats, least: Mapping[int, int], days: Mapping[int, Floats], pad: int
) -> Iterator[tuple[int, Floats, Floats]]:
    """Mean and standard deviation (ddof 1) of the ``n`` values before each one.

    Yields ``n``, the mean less `last`, and the deviation for each ``n`` of ``least`` in ascending
    order; NaN where too few values are known.

    Parameters
    ----------
    laid : numpy.ndarray
        The values of a block.
    last : numpy.ndarray
        Result of `last_known_before` for `laid`.
    least : mapping of int to int
        For each ``n``, ascending, how many of the ``n`` values must be known.
    days : mapping of int to numpy.ndarray
        For each ``n``, how many of the ``n`` values before each one are known.
    pad : int
        Missing values before each ticker.
    """
    base = last[pad:]
    # Moments are taken of differences from a value of the window itself. Equal values have a
    # difference, and so a deviation, of exactly 0; differences of nearly equal values are exact.
    first_moment, second_moment = np.zeros_like(base), np.zeros_like(base)
    skips = any(few < n for n, few in least.items())
    difference = np.empty_like(base)
    for k in range(1, max(least) + 1):
        np.subtract(laid[pad - k : len(laid) - k], base, out=difference)
        if skips:
            np.copyto(difference, 0.0, where=np.isnan(difference))
        first_moment += difference
        difference *= difference
        second_moment += difference
        if k not in least:
            continue
        count = days[k][pad:]
        mean, scale = np.empty_like(laid), np.empty_like(laid)
        mean[:pad], scale[:pad] = np.nan, np.nan
        with np.errstate(divide="ignore", invalid="ignore"):
            np.divide(first_moment, count, out=mean[pad:])
            # Rounding can make a variance near 0 negative; its root is then NaN.
            variance = (second_moment - first_moment * mean[pad:]) / (count - 1)
            np.sqrt(variance, out=scale[pad:])
        np.copyto(scale[pad:], np.nan, where=count < least[k])
        yield k, mean, scale


def last_known_before(laid: Floats) -> Floats:
    """For each value, the last known value before it."""
    places = np.where(np.isnan(laid), 0, np.arange(len(laid)))
    return before(laid[np.maximum.accumulate(places)])
