"""One ticker over a store: kept rows in partitions, brought up to date as far as they are read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from intake_futu_short import table
from intake_futu_short.errors import StoreError
from intake_futu_short.history import joining
from intake_futu_short.history.freshness import newest_day
from intake_futu_short.pages import Aggregates
from intake_futu_short.security import AGGREGATE_NAMES, Security

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from intake_futu_short.history.keeper import Keeper, Store
    from intake_futu_short.history.slices import Slices
    from intake_futu_short.kept import Kept

__all__ = ["Part", "StoredTicker", "lazy_parts", "read_part"]


class StoredTicker:
    """One ticker's rows over a store, in the partitions in which the gateway would send them.

    Nothing is read before it is called for. What was refreshed once is not asked for again; older
    rows than were wanted so far are.
    """

    def __init__(self, keeper: Keeper, slices: Slices) -> None:
        self._keeper = keeper
        self._security = keeper.security
        self._slices = slices
        self._kept: Kept | None = None
        self._has_given = False
        self._asked_s: float | None = None
        self._as_of: str | None = None
        self._days: NDArray[np.str_] = np.array([], dtype="U10")
        self._cut: list[tuple[int, int]] = []
        self._is_finished = False

    @property
    def is_finished(self) -> bool:
        """Whether all partitions are known."""
        return self._is_finished

    @property
    def sizes(self) -> Sequence[int]:
        """Rows of each partition known so far."""
        return [end - begin for begin, end in self._cut]

    def get(self, number: int) -> pd.DataFrame | None:
        """Partition `number`, with the attributes of the whole as far as it is known.

        Raises
        ------
        StoreError
            When prices were adjusted since an earlier one was given.
        """
        self._read(lambda cut, is_finished: is_finished or len(cut) > number)
        if number >= len(self._cut):
            return None
        self._has_given = True
        return self._rows(*self._cut[number])

    def load(self) -> None:
        """Read to the end."""
        self._read(lambda _, is_finished: is_finished)

    def frame(self) -> pd.DataFrame:
        """Every row, with the attributes of the whole."""
        self.load()
        return self._rows(self._cut[0][0], self._cut[-1][1]) if self._cut else self._rows(0, 0)

    def attributes(self) -> dict[str, Any]:
        """Attributes of the whole, as far as it was read."""
        kept = self._kept
        seen = () if kept is None else kept.aggregates
        attrs = table.attributes(
            self._security,
            "-1" if kept is not None and kept.is_complete else None,
            seen[-1] if seen else Aggregates(),
        )
        if self._security.market.has_aggregates:
            attrs["aggregates_history"] = table.reports({self._security.code: seen})
        return attrs

    def aggregates(self) -> dict[str, Any]:
        """Aggregates of the newest answer; asks for one page at most."""
        if self._kept is None:
            self._read(lambda _cut, _is_finished: True)
        return {name: self.attributes().get(name) for name in AGGREGATE_NAMES}

    def parts(self) -> list[Part]:
        """What `read_part` needs to read each known partition from the store."""
        days = self._days[::-1]
        return [
            Part(
                self._keeper.store,
                self._security.code,
                first=str(days[end - 1]),
                last=str(days[begin]),
                size=end - begin,
            )
            for begin, end in self._cut
        ]

    def _read(self, is_enough: Callable[[list[tuple[int, int]], bool], bool]) -> None:
        """Read on until enough is known of the partitions."""
        if self._kept is not None and is_enough(self._cut, self._is_finished):
            return

        def covers(kept: Kept) -> bool:
            return is_enough(*self._slices.of(self._days_of(kept), is_complete=kept.is_complete))

        outcome = self._keeper.update(covers, self._asked_s)
        kept = outcome.kept
        if self._kept is not None and self._has_given:
            self._refuse_other_prices(self._kept, kept)
        if outcome.requests:
            self._asked_s = kept.checked_s
        if self._kept is None:
            self._as_of = newest_day(kept.rows)
        self._kept, self._days = kept, self._days_of(kept)
        self._cut, self._is_finished = self._slices.of(self._days, is_complete=kept.is_complete)

    def _refuse_other_prices(self, given: Kept, kept: Kept) -> None:
        """Partitions once given do not change, so that those of other prices don't fit."""
        if joining.compare(given.rows, kept.rows, self._security.market).is_same_basis is False:
            raise StoreError(
                f"the prices of {self._security} in {self._keeper.store.url} were adjusted since "
                "this source gave its first partition, and rows of both do not go together: "
                "close() it and read again"
            )

    def _days_of(self, kept: Kept) -> NDArray[np.str_]:
        """Days up to the newest of the first answer: later ones would move the partitions."""
        days = joining.days_of(kept.rows)
        return days if self._as_of is None else days[days <= self._as_of]

    def _rows(self, begin: int, end: int) -> pd.DataFrame:
        assert self._kept is not None  # noqa: S101 - callers have read
        last = len(self._days) - 1
        rows = self._kept.rows.take(np.arange(last - begin, last - end, -1))
        rows = rows.reset_index(drop=True)
        rows.attrs.update(self.attributes())
        return rows


@dataclass(frozen=True)
class Part:
    """A partition that lies in a store.

    Attributes
    ----------
    store : Store
        Which.
    code : str
        Whose.
    first, last : str
        Its oldest and newest trading day.
    size : int
        Rows.
    offset : int
        Rows of the partitions before it.
    is_panel : bool
        Whether its frame has a column ``code``.
    attrs : mapping
        What its frame bears.
    """

    store: Store
    code: str
    first: str
    last: str
    size: int
    offset: int = 0
    is_panel: bool = False
    attrs: Mapping[str, Any] = field(default_factory=dict)


def lazy_parts(
    tickers: Iterable[StoredTicker], attrs: Mapping[str, Any], *, is_panel: bool
) -> list[Part]:
    """Partitions of tickers that were read to the end, in their order, to be read in workers."""
    parts = [part for ticker in tickers if ticker.is_finished for part in ticker.parts()]
    offsets = accumulate([part.size for part in parts], initial=0)
    return [
        replace(part, offset=offset, is_panel=is_panel, attrs=attrs)
        for part, offset in zip(parts, offsets, strict=False)
    ]


def read_part(part: Part) -> pd.DataFrame:
    """Read a partition from the store, newest row first, wherever this runs.

    Raises
    ------
    StoreError
        When its rows are no longer there.
    """
    security = Security.parse(part.code)
    kept = part.store.load(security)
    rows = table.to_frame([], security.market) if kept is None else kept.rows
    days = joining.days_of(rows)
    begin, end = days.searchsorted(part.first), days.searchsorted(part.last, side="right")
    if end - begin != part.size:
        raise StoreError(
            f"{part.store.url} holds {end - begin} rows of {part.code} from {part.first} to "
            f"{part.last}, and held {part.size} when to_dask() was called: call it again"
        )
    frame = rows.iloc[begin:end][::-1]
    if part.is_panel:
        frame = table.with_code([frame], [part.code])
    frame.index = pd.RangeIndex(part.offset, part.offset + part.size)
    frame.attrs.clear()
    frame.attrs.update(part.attrs)
    return frame
