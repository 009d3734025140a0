"""Where partitions begin and end among the rows of a history. Pure.

A partition is a page of the gateway: so many rows, counted from the newest, of which those outside
of `start` and `end` are left out; a page left empty is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Slices"]


@dataclass(frozen=True)
class Slices:
    """What is wanted of a history, in partitions.

    Attributes
    ----------
    num : int
        Rows a page.
    start, end : str or None
        First and last trading day wanted, ``YYYY-MM-DD``.
    max_pages : int or None
        How many partitions at most.
    """

    num: int = 50
    start: str | None = None
    end: str | None = None
    max_pages: int | None = None

    def of(
        self, days: NDArray[np.str_], *, is_complete: bool
    ) -> tuple[list[tuple[int, int]], bool]:
        """Cut a history.

        Parameters
        ----------
        days : numpy.ndarray
            Its trading days, ascending.
        is_complete : bool
            Whether there are no older ones than these.

        Returns
        -------
        list of (int, int)
            Begin and end of each partition that is known whole, counted from the newest row.
        bool
            Whether these are all.
        """
        rows = len(days)
        first = 0 if self.end is None else rows - int(days.searchsorted(self.end, side="right"))
        last = rows if self.start is None else rows - int(days.searchsorted(self.start))
        pages = range(first // self.num, -(-last // self.num)) if first < last else range(0)
        cut = [(max(first, p * self.num), min(last, (p + 1) * self.num)) for p in pages]
        reaches_start = self.start is not None and rows > 0 and bool(days[0] <= self.start)
        is_finished = is_complete or reaches_start
        if not is_finished and cut and (pages[-1] + 1) * self.num > rows:
            cut.pop()  # older rows may belong to it
        if self.max_pages is not None and len(cut) >= self.max_pages:
            return cut[: self.max_pages], True
        return cut, is_finished
