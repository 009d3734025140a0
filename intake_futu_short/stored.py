"""Partitions of one ticker's stored history, which is refreshed only as far as it is read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from intake_futu_short import schema
from intake_futu_short.errors import StoreError
from intake_futu_short.history import join
from intake_futu_short.history.ticker_history import days_of, newest_day
from intake_futu_short.partitions import Extent, TickerPartitions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from intake_futu_short.calls import Ticker
    from intake_futu_short.history.ticker_history import TickerHistory
    from intake_futu_short.history.update import Store, Updater
    from intake_futu_short.partitions import Job, Run

__all__ = ["Part", "Slices", "StoredTicker", "lazy_parts", "read_part"]


@dataclass(frozen=True)
class Slices:
    """Cuts a stored history into partitions: the pages that the gateway would send.

    A page is `num` rows, counted from the newest row. Rows outside of `start` and `end` are left
    out, and so are pages without any other row.

    Attributes
    ----------
    num : int
        Rows per page.
    start, end : str or None
        First and last trading day wanted, ``YYYY-MM-DD``.
    warmup : int
        How many of the newest rows before `start` are wanted too.
    max_pages : int or None
        The largest number of partitions.
    """

    num: int = 50
    start: str | None = None
    end: str | None = None
    warmup: int = 0
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
            Whether the history has no older days.

        Returns
        -------
        list of (int, int)
            Begin and end of each partition that is certainly whole, counted from the newest row.
        bool
            Whether these are all partitions.
        """
        rows = len(days)
        first = 0 if self.end is None else rows - int(days.searchsorted(self.end, side="right"))
        before_start = 0 if self.start is None else int(days.searchsorted(self.start))
        last = rows - max(0, before_start - self.warmup)
        pages = range(first // self.num, -(-last // self.num)) if first < last else range(0)
        cut = [(max(first, p * self.num), min(last, (p + 1) * self.num)) for p in pages]
        reaches_start = self.start is not None and rows > 0 and bool(days[0] <= self.start)
        is_finished = is_complete or (reaches_start and before_start >= self.warmup)
        if not is_finished and cut and (pages[-1] + 1) * self.num > rows:
            cut.pop()  # older rows may belong to it
        if self.max_pages is not None and len(cut) >= self.max_pages:
            return cut[: self.max_pages], True
        return cut, is_finished


class StoredTicker(TickerPartitions):
    """One ticker's stored rows, in partitions that match the gateway's pages.

    The newest page is asked for once. Older rows are asked for when they are first needed.
    """

    def __init__(self, updater: Updater, slices: Slices, run: Run) -> None:
        super().__init__(updater.ticker, run, slices.start if slices.warmup else None)
        self._updater = updater
        self._slices = slices
        self._history: TickerHistory | None = None
        self._given = 0  # rows up to the end of the last partition that was handed out
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

    @property
    def extent(self) -> Extent:
        """Number of rows in the known partitions, and their days."""
        cut, days = self._cut, self._days
        if not cut:
            return Extent()
        return Extent(sum(self.sizes), str(days[-cut[-1][1]]), str(days[-1 - cut[0][0]]))

    def reach(self, number: int | None) -> Job:
        """Bring the history up to date until partition `number` is known, or to its end.

        Raises
        ------
        StoreError
            When the rows of an earlier partition have changed in the store since it was given.
        """
        return self._update(
            lambda cut, is_finished: is_finished or (number is not None and len(cut) > number)
        )

    def look(self) -> Job:
        """Ask for the newest page if nothing has been read yet."""
        if self._history is None:
            yield from self._update(lambda _cut, _is_finished: True)

    def known(self, number: int) -> pd.DataFrame | None:
        """Partition `number`, with the attributes of the whole as known so far."""
        if number >= len(self._cut):
            return None
        begin, end = self._cut[number]
        self._given = max(self._given, end)
        return self._rows(begin, end)

    def known_frame(self) -> pd.DataFrame:
        """Every row of the known partitions, with the attributes of the whole."""
        return self._rows(self._cut[0][0], self._cut[-1][1]) if self._cut else self._rows(0, 0)

    def attributes(self) -> dict[str, Any]:
        """Attributes of the whole, as known so far."""
        history = self._history
        seen = () if history is None else history.reports
        next_key = "-1" if history is not None and history.is_complete else None
        attrs = schema.attributes(self.ticker, next_key, seen[-1] if seen else None, self.start)
        if self.ticker.table.attrs:
            attrs["aggregates_history"] = schema.reports(
                {self.ticker.code: seen}, self.ticker.table
            )
        return attrs

    def parts(self) -> list[Part]:
        """Arguments with which `read_part` reads each known partition from the store."""
        days = self._days[::-1]
        return [
            Part(
                self._updater.store,
                self.ticker,
                first=str(days[end - 1]),
                last=str(days[begin]),
                size=end - begin,
            )
            for begin, end in self._cut
        ]

    def _update(self, is_enough: Callable[[list[tuple[int, int]], bool], bool]) -> Job:
        """Read on until `is_enough` is content with the known partitions."""
        if self._history is not None and is_enough(self._cut, self._is_finished):
            return

        def covers(history: TickerHistory) -> bool:
            days = self._days_of(history)
            return is_enough(*self._slices.of(days, is_complete=history.is_complete))

        outcome = yield from self._updater.update(covers, self._asked_s)
        history = outcome.history
        if self._history is not None and self._given:
            self._refuse_other_rows(self._history, history)
        if outcome.requests:
            self._asked_s = history.checked_s
        if self._history is None:
            self._as_of = newest_day(history.rows)
        self._history, self._days = history, self._days_of(history)
        self._cut, self._is_finished = self._slices.of(self._days, is_complete=history.is_complete)

    def _refuse_other_rows(self, given: TickerHistory, history: TickerHistory) -> None:
        """Raise when the history has changed so that it does not fit partitions already given."""
        comparison = join.compare(given.rows, history.rows, self.ticker.table)
        days, days_now = self._days[-self._given :], self._days_of(history)[-self._given :]
        if comparison.is_same_basis is False:
            what = f"the prices of {self.ticker} in {self._updater.store.url} were adjusted"
        elif not np.array_equal(days, days_now) or {
            *comparison.revised, *comparison.repriced
        }.intersection(days):  # fmt: skip
            what = f"rows of {self.ticker} in {self._updater.store.url} were revised or withdrawn"
        else:
            return
        raise StoreError(
            f"{what} since this source gave its first partition, and rows of both do not go "
            "together: close() it and read again"
        )

    def _days_of(self, history: TickerHistory) -> NDArray[np.str_]:
        """Days up to the newest one of the first answer. Newer days would shift the partitions."""
        days = days_of(history.rows)
        return days if self._as_of is None else days[days <= self._as_of]

    def _rows(self, begin: int, end: int) -> pd.DataFrame:
        table = self.ticker.table
        if self._history is None:
            return schema.with_published(schema.to_frame([], table), table)
        last = len(self._days) - 1
        columns = self._history.rows[table.column_names]
        rows = columns.take(np.arange(last - begin, last - end, -1)).reset_index(drop=True)
        rows = schema.with_published(rows, table)
        rows.attrs.update(self.attributes())
        return rows


@dataclass(frozen=True)
class Part:
    """A partition of a stored history.

    Attributes
    ----------
    store : Store
        The store that holds it.
    ticker : Ticker
        The ticker of its rows.
    first, last : str
        Its oldest and newest trading day, ``YYYY-MM-DD``.
    size : int
        Number of its rows.
    offset : int
        Number of rows in the partitions before it.
    is_panel : bool
        Whether its frame has a column ``code``.
    attrs : mapping
        Attributes of its frame.
    """

    store: Store
    ticker: Ticker
    first: str
    last: str
    size: int
    offset: int = 0
    is_panel: bool = False
    attrs: Mapping[str, Any] = field(default_factory=dict)


def lazy_parts(
    tickers: Iterable[StoredTicker], attrs: Mapping[str, Any], *, is_panel: bool
) -> list[Part]:
    """Partitions of fully read tickers, in order, for Dask's workers to read."""
    parts = [part for ticker in tickers if ticker.is_finished for part in ticker.parts()]
    offsets = accumulate([part.size for part in parts], initial=0)
    return [
        replace(part, offset=offset, is_panel=is_panel, attrs=attrs)
        for part, offset in zip(parts, offsets, strict=False)
    ]


def read_part(part: Part) -> pd.DataFrame:
    """Read a partition from the store, newest row first. Runs in any process.

    Raises
    ------
    StoreError
        When its rows are no longer there.
    """
    history = part.store.load(part.ticker)
    rows = schema.to_frame([], part.ticker.table)
    if history is not None:
        rows = history.rows[part.ticker.table.column_names]
    days = days_of(rows)
    begin, end = days.searchsorted(part.first), days.searchsorted(part.last, side="right")
    if end - begin != part.size:
        raise StoreError(
            f"{part.store.url} holds {end - begin} rows of {part.ticker} from {part.first} to "
            f"{part.last}, and held {part.size} when to_dask() was called: call it again"
        )
    frame = schema.with_published(rows.iloc[begin:end][::-1], part.ticker.table)
    if part.is_panel:
        frame = schema.with_code([frame], [part.ticker.code])
    frame.index = pd.RangeIndex(part.offset, part.offset + part.size)
    frame.attrs.clear()
    frame.attrs.update(part.attrs)
    return frame
