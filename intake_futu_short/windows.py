"""Sums, ranks and deviations over windows of rows: arithmetic on arrays. Pure.

Rows of several tickers are worked on in blocks that fit into a processor's cache. In a block each
ticker's rows, oldest first, stand behind as many missing values (NaN) as the longest window is
long, so that a window is a shift of the entire block and never reaches into another ticker.

Nothing is computed by subtracting running sums: an answer depends on the values in its window
alone, bit by bit, and a large value leaves no rounding behind once it has left the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Block", "blocks", "quotient", "scores", "sliding_ranks", "sliding_sum", "sum_and_days"]

# Values in a block: 256 kB in float64, so that a handful of them stay in the cache.
_BLOCK = 1 << 15


@dataclass(frozen=True)
class Block:
    """Whole tickers, one after the other, each behind ``pad`` missing values.

    Attributes
    ----------
    rows : slice
        The block's part of the sorted rows.
    places : numpy.ndarray
        Where each of these rows stands in the block.
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
        """Lay values of the block's rows out."""
        laid = np.full(self.size, np.nan)
        laid[self.places] = values
        return laid

    def of_rows(self, laid: Floats) -> Floats:
        """Values at the block's rows; NaN for what has overflowed."""
        values = laid[self.places]
        values[np.isinf(values)] = np.nan
        return values


def blocks(begins: NDArray[np.intp], lengths: NDArray[np.intp], pad: int) -> Iterator[Block]:
    """Cut sorted rows into blocks of whole tickers.

    Parameters
    ----------
    begins, lengths : numpy.ndarray
        Position of each ticker's first row, and its number of rows.
    pad : int
        Length of the longest window that is going to be asked for.
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
    quotients = np.full(len(part), np.nan)
    np.divide(part, whole, out=quotients, where=whole > 0)
    return quotients


def before(laid: Floats) -> Floats:
    """Move values on by a row: at each row what the row before it had."""
    moved = np.empty_like(laid)
    moved[:1] = np.nan
    moved[1:] = laid[:-1]
    return moved


def sliding_sum(laid: Floats, n: int) -> Floats:
    """Sum the ``n`` values that end at each one; meaningless before the ``n``-th.

    Sums of 1, 2, 4, … values are made of each other, and the window is put together of them.
    """
    total: Floats | None = None
    covered, size, part = 0, 1, laid
    while True:
        if n & size:
            if total is None:
                total = part.copy()
            else:
                total[covered:] += part[: len(part) - covered]
            covered += size
        if covered == n:
            return total if total is not None else part
        longer = part.copy()
        longer[size:] += part[: len(part) - size]
        part, size = longer, 2 * size


def sum_and_days(laid: Floats, n: int) -> tuple[Floats, Floats]:
    """Sum what is there of the ``n`` values that end at each one, and say how many those are."""
    missing = np.isnan(laid)
    return (
        sliding_sum(np.where(missing, 0.0, laid), n),
        sliding_sum((~missing).astype(np.float64), n),
    )


def sliding_ranks(laid: Floats, ns: Sequence[int], pad: int) -> Iterator[tuple[int, Floats]]:
    """Rank each value among the ``n`` that end at it, equal ones at their average rank.

    Gives ``n`` and the ranks, from 1 on, for each of ``ns`` in ascending order. Missing values are
    not counted; the rank of one is meaningless.
    """
    now = laid[pad:]
    # A value below counts twice and an equal one once, the value itself among these: that is
    # twice the rank, less 1.
    twice = np.zeros(len(now), dtype=np.min_scalar_type(2 * ns[-1] + 1))
    for k in range(ns[-1]):
        past = laid[pad - k : len(laid) - k]
        twice += (past < now).view(np.uint8)
        twice += (past <= now).view(np.uint8)
        if k + 1 in ns:
            ranks = np.full(len(laid), np.nan)
            ranks[pad:] = (twice + 1.0) / 2
            yield k + 1, ranks


def scores(
    laid: Floats, least: Mapping[int, int], days: Mapping[int, Floats], pad: int
) -> Iterator[tuple[int, Floats]]:
    """Standard scores of each value against the ``n`` before it, itself not among them.

    Gives ``n`` and (value - mean) / sd for each ``n`` of ``least`` in ascending order.

    Parameters
    ----------
    laid : numpy.ndarray
        The values of a block.
    least : mapping of int to int
        By ``n``, how many values before must be there, in ascending order.
    days : mapping of int to numpy.ndarray
        By ``n``, how many of the ``n`` values before each one are there.
    pad : int
        Missing values before each ticker.
    """
    last = _last_known_before(laid)[pad:]
    # Differences from a value of the window itself: of equal values they are exactly 0, and so is
    # the deviation; of values that are nearly equal they are exact.
    first_moment, second_moment = np.zeros_like(last), np.zeros_like(last)
    skips = any(few < n for n, few in least.items())
    longest = max(least)
    for k in range(1, longest + 1):
        difference = laid[pad - k : len(laid) - k] - last
        if skips:
            np.copyto(difference, 0.0, where=np.isnan(difference))
        first_moment += difference
        difference *= difference
        second_moment += difference
        if k not in least:
            continue
        count = days[k][pad:]
        enough = (count >= least[k]) & (count > 1)
        mean = np.divide(first_moment, count, out=np.full_like(last, np.nan), where=enough)
        squares = second_moment - first_moment * mean
        scale = np.sqrt(np.divide(squares, count - 1, out=np.zeros_like(last), where=squares > 0))
        answer = np.full(len(laid), np.nan)
        answer[pad:] = quotient(laid[pad:] - last - mean, scale)
        yield k, answer


def _last_known_before(laid: Floats) -> Floats:
    """At each value the last one before it that is not missing."""
    places = np.where(np.isnan(laid), 0, np.arange(len(laid)))
    return before(laid[np.maximum.accumulate(places)])
