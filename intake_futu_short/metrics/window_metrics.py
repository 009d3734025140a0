"""The engine of windowed metrics: computes several metrics and windows in one pass. Pure.

`intake_futu_short.metrics.trailing` describes the metrics.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from intake_futu_short.metrics.columns import whole_number
from intake_futu_short.metrics.windows import (
    Totals,
    before,
    blocks,
    last_known_before,
    quotient,
    sliding_ranks,
    spreads,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intake_futu_short.metrics.columns import Columns
    from intake_futu_short.metrics.registry import Recipe
    from intake_futu_short.metrics.sessions import Sessions
    from intake_futu_short.metrics.windows import Block, Floats

__all__ = ["BlockWindows", "trailing", "window", "window_sums"]

# Rows: 16 years of trading days, more than a gateway keeps.
_ABSURD = 4096


class BlockWindows:
    """A block's values and the statistics of their windows, each computed once.

    Parameters
    ----------
    block : Block
        Laid out for the longest of the windows.
    laid : dict of str to numpy.ndarray
        Its values by role.
    least : dict of int to int
        For each length of a window, ascending, how many of its values must be known.
    """

    def __init__(self, block: Block, laid: dict[str, Floats], least: dict[int, int]) -> None:
        self._block, self._laid, self._least = block, laid, least
        self._totals = Totals(least)
        self._means: dict[tuple[str, int], Floats] = {}
        self._pools: dict[int, Floats] = {}

    def __getitem__(self, role: str) -> Floats:
        return self._laid[role]

    @cached_property
    def ratio(self) -> Floats:
        """Short shares / volume."""
        return quotient(self["short"], self["volume"])

    def mean(self, role: str, n: int) -> Floats:
        """Mean of the ``n`` values that end at each; NaN for too few. `role` may be ``"ratio"``."""
        if (role, n) not in self._means:
            sums, days = self._sums_of_ratio if role == "ratio" else self._totals.of(self[role])
            for m, few in self._least.items():
                self._means[role, m] = quotient(sums[m], _enough(days[m], days[m], few))
        return self._means[role, n]

    def pooled_ratio(self, n: int) -> Floats:
        """ΣS / ΣV over the days of each window on which both are known."""
        if not self._pools:
            short, volume = self["short"], self["volume"]
            parts, days = self._totals.of(np.where(np.isnan(volume), np.nan, short))
            wholes, _ = self._totals.of(np.where(np.isnan(short), np.nan, volume))
            for m, few in self._least.items():
                self._pools[m] = quotient(parts[m], _enough(wholes[m], days[m], few))
        return self._pools[n]

    def score(self, n: int) -> Floats:
        """(r - mean) / sd, of the ``n`` ratios before each."""
        mean, deviation = self._spreads[n]
        return quotient(self.ratio - self._last - mean, deviation)

    def deviation_before(self, n: int) -> Floats:
        """Standard deviation (ddof 1) of the ``n`` ratios before each."""
        return self._spreads[n][1]

    def rank(self, n: int) -> Floats:
        """Percentile of each ratio in the window that ends at it."""
        _, days = self._sums_of_ratio
        counted = np.where(np.isnan(self.ratio), np.nan, days[n])
        return quotient(self._ranks[n], _enough(counted, days[n], self._least[n]))

    @cached_property
    def _sums_of_ratio(self) -> tuple[dict[int, Floats], dict[int, Floats]]:
        return self._totals.of(self.ratio)

    @cached_property
    def _last(self) -> Floats:
        return last_known_before(self.ratio)

    @cached_property
    def _spreads(self) -> dict[int, tuple[Floats, Floats]]:
        _, days = self._sums_of_ratio
        past = {n: before(count) for n, count in days.items()}
        found = spreads(self.ratio, self._last, self._least, past, self._block.pad)
        return {n: (mean, deviation) for n, mean, deviation in found}

    @cached_property
    def _ranks(self) -> dict[int, Floats]:
        return dict(sliding_ranks(self.ratio, list(self._least), self._block.pad))


def _enough(values: Floats, days: Floats, few: int) -> Floats:
    return np.where(days >= few, values, np.nan)


def trailing(
    columns: Columns,
    sessions: Sessions,
    recipes: Mapping[str, Recipe],
    ns: Sequence[int],
    min_periods: int | None,
) -> dict[str, Floats]:
    """Compute several metrics for several windows in one pass.

    Parameters
    ----------
    columns, sessions
        Columns and sorted sessions of the same frame.
    recipes : mapping of str to Recipe
        Recipes of windowed metrics by name, for the frame's market.
    ns : sequence of int
        Lengths of the windows, in sessions.
    min_periods : int or None
        How many values every window must have; None requires all.

    Returns
    -------
    dict of str to numpy.ndarray
        Values in the order of the frame, by name and ``n``, such as ``short_ratio_mean_20``.
    """
    names = [f"{name}_{n}" for n in ns for name in recipes]
    longest = int(sessions.lengths.max(initial=0))
    # A window longer than every history has no result if it must be full; otherwise it holds all
    # rows. It is shortened only if it is absurdly long: its length decides the order of additions,
    # and later rows must not change the last digit of a result.
    wanted = {n: min(n, max(longest, _ABSURD)) for n in ns if (min_periods or n) <= longest}
    if not wanted:
        return {name: np.full(len(sessions.order), np.nan) for name in names}
    least = {n: min_periods or n for n in sorted(set(wanted.values()))}
    roles = {role for recipe in recipes.values() for role in recipe.roles}
    held = {(name, n): np.empty(len(sessions.order)) for name in recipes for n in least}
    for block in blocks(sessions.begins, sessions.lengths, max(least)):
        places = sessions.order[block.rows]
        laid = {role: block.lay(columns[role][places]) for role in roles}
        windows = BlockWindows(block, laid, least)
        # The squares of a user's own prices and counts may overflow.
        with np.errstate(over="ignore", invalid="ignore"):
            for (name, n), values in held.items():
                block.put_rows(recipes[name].compute(windows, n), values[block.rows])
    found: dict[str, Floats] = {}
    # One at a time, which uses the cache better; each array is used again for the next result.
    spare = np.empty(len(sessions.order))
    for (name, n), values in held.items():
        spare[sessions.order] = values
        one, *others = (f"{name}_{m}" for m in ns if wanted.get(m) == n)
        found |= {one: spare, **{other: spare.copy() for other in others}}
        spare = values
    return {
        name: found[name] if name in found else np.full(len(sessions.order), np.nan)
        for name in names
    }


def window_sums(sessions: Sessions, values: Floats, n: int) -> tuple[Floats, Floats]:
    """Sum and count the known values among the last ``n`` sorted values of each ticker.

    A ticker's first windows are shorter. Sums of whole numbers are exact up to 2**53.
    """
    sums, counts = np.empty(len(values)), np.empty(len(values))
    for block in blocks(sessions.begins, sessions.lengths, n):
        totals, days = Totals([n]).of(block.lay(values[block.rows]))
        block.put_rows(totals[n], sums[block.rows])
        block.put_rows(days[n], counts[block.rows])
    return sums, counts


def window(n: Any, min_periods: Any) -> tuple[int, int | None]:
    """Check the length of a window and how many of its days must be known."""
    n = whole_number("n", n, 1, None)
    return n, None if min_periods is None else whole_number("min_periods", min_periods, 1, n)
