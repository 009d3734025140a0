"""The partitions of a source. Each is read only when it is needed, and only once.

A ticker's partitions come from a walk or from a store. The partitions of a panel are those of its
tickers, one after the other.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from intake_futu_short import schema
from intake_futu_short.errors import ProtocolError, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping, Sequence

    import pandas as pd

    from intake_futu_short.calls import Reply, Ticker
    from intake_futu_short.pages import Page
    from intake_futu_short.walk import Walk

    Job = Generator[Any, Reply, Any]
    # Runs generators together, and returns the errors of those that failed, by code.
    Run = Callable[[Mapping[str, Job]], Mapping[str, Exception]]

__all__ = ["Extent", "Panel", "Partitions", "TickerPartitions", "WalkedTicker"]


class Extent(NamedTuple):
    """How much was read: rows, and the first and last of their days."""

    rows: int = 0
    first: str | None = None
    last: str | None = None


class Partitions(Protocol):
    """The partitions of a source, read as far as they were needed."""

    @property
    def is_finished(self) -> bool:
        """Whether all partitions are known."""

    @property
    def sizes(self) -> Sequence[int]:
        """Rows of each partition known so far."""

    @property
    def extent(self) -> Extent:
        """How much was read so far."""

    def get(self, number: int) -> pd.DataFrame | None:
        """Partition `number` (from 0), reading on if need be; None when there are fewer."""

    def load(self) -> None:
        """Read to the end."""

    def frame(self) -> pd.DataFrame:
        """Every row, with the attributes of the whole; reads to the end."""

    def attributes(self) -> dict[str, Any]:
        """Attributes of the whole, as far as it was read."""


class TickerPartitions(ABC):
    """Partitions of one ticker.

    Parameters
    ----------
    ticker : Ticker
        Whose rows.
    run : callable
        Runs generators.
    start : str, optional
        The first day asked for, if rows before it are wanted too. Frames have it in ``attrs``.
    """

    def __init__(self, ticker: Ticker, run: Run, start: str | None = None) -> None:
        self.ticker = ticker
        self.start = start
        self._run = run

    @property
    @abstractmethod
    def is_finished(self) -> bool:
        """Whether all partitions are known."""

    @property
    @abstractmethod
    def sizes(self) -> Sequence[int]:
        """Rows of each partition known so far."""

    @property
    @abstractmethod
    def extent(self) -> Extent:
        """How many rows of which days were read so far."""

    @abstractmethod
    def reach(self, number: int | None) -> Job:
        """Read on until partition `number` is known, or there are fewer; None reads to the end."""

    @abstractmethod
    def look(self) -> Job:
        """Ask for the newest page if nothing has been read yet."""

    @abstractmethod
    def known(self, number: int) -> pd.DataFrame | None:
        """Partition `number`, which was reached; None when there are fewer."""

    @abstractmethod
    def known_frame(self) -> pd.DataFrame:
        """Every row read so far, with the attributes of the whole."""

    @abstractmethod
    def attributes(self) -> dict[str, Any]:
        """Attributes of the whole, as far as it was read."""

    def get(self, number: int) -> pd.DataFrame | None:
        """Partition `number`, 0 or more; None when there are fewer."""
        self._do(self.reach(number))
        return self.known(number)

    def load(self) -> None:
        """Read to the end."""
        if not self.is_finished:
            self._do(self.reach(None))

    def frame(self) -> pd.DataFrame:
        """Every row, with the attributes of the whole; reads to the end."""
        self.load()
        return self.known_frame()

    def aggregates(self) -> dict[str, Any]:
        """Newest values that the gateway sends beside the rows. Asks for one page at most."""
        self._do(self.look())
        return self.known_aggregates()

    def known_aggregates(self) -> dict[str, Any]:
        """Values that the gateway sent beside the rows, as far as read."""
        attrs = self.attributes()
        # A market without such values gets the other market's names, with None.
        tables = self.ticker.call.tables.values()
        return {name: attrs.get(name) for table in tables for name in table.attr_names}

    def _do(self, job: Job) -> None:
        for error in self._run({self.ticker.code: job}).values():
            raise error


class WalkedTicker(TickerPartitions):
    """The pages of one ticker, walked; a partition is a page."""

    def __init__(self, walk: Walk, ticker: Ticker, run: Run, start: str | None = None) -> None:
        super().__init__(ticker, run, start)
        self._walk = walk

    @property
    def is_finished(self) -> bool:
        """Whether the walk has come to its end."""
        return self._walk.is_finished

    @property
    def sizes(self) -> Sequence[int]:
        """Rows of each page walked so far."""
        return [len(page.rows) for page in self._walk.pages]

    @property
    def extent(self) -> Extent:
        """How many rows of which days were walked so far."""
        days = [day for page in self._walk.pages for day in page.days]
        return Extent(len(days), min(days, default=None), max(days, default=None))

    def reach(self, number: int | None) -> Job:
        """Walk on until page `number` is there, or to the end."""
        while number is None or len(self._walk.pages) <= number:
            if (yield from self._walk.next_page()) is None:
                return

    def look(self) -> Job:
        """Ask for the newest page if no page was asked for."""
        yield from self._walk.look()

    def known(self, number: int) -> pd.DataFrame | None:
        """Page `number`, with its own cursor and values in ``attrs``."""
        if number >= len(self._walk.pages):
            return None
        page: Page = self._walk.pages[number]
        frame = self._framed([page])
        frame.attrs.update(schema.attributes(self.ticker, page.next_key, page.attrs, self.start))
        return frame

    def known_frame(self) -> pd.DataFrame:
        """Rows of every page walked so far in one frame."""
        frame = self._framed(self._walk.pages)
        frame.attrs.update(self.attributes())
        return frame

    def attributes(self) -> dict[str, Any]:
        """Attributes of the whole, as far as it was walked."""
        return schema.attributes(self.ticker, self._walk.next_key, self._walk.attrs, self.start)

    def _framed(self, pages: Sequence[Page]) -> pd.DataFrame:
        table = self.ticker.table
        try:
            return schema.with_published(schema.to_frame(pages, table), table)
        except ProtocolError as error:
            raise ProtocolError(f"{self.ticker}: {error}") from error.__cause__


class Panel:
    """Partitions of several tickers, ticker by ticker.

    Parameters
    ----------
    tickers : sequence of TickerPartitions
        In the order of the rows; at least one, all of one market and one call.
    run : callable
        Runs generators together. It raises at once an error that concerns all of them.
    warns : bool
        True leaves a ticker that fails out for good, with a warning. False raises an error once the
        others are read.
    """

    def __init__(self, tickers: Sequence[TickerPartitions], run: Run, *, warns: bool) -> None:
        self._tickers = {one.ticker.code: one for one in tickers}
        self._table = tickers[0].ticker.table
        self._start = tickers[0].start
        self._run = run
        self._warns = warns
        self._left_out: set[str] = set()
        # Tickers whose partitions were handed out. They stay, so that partition numbers stay.
        self._given: set[str] = set()

    @property
    def is_finished(self) -> bool:
        """Whether all partitions of all tickers are known."""
        return all(ticker.is_finished for ticker in self._read().values())

    @property
    def sizes(self) -> Sequence[int]:
        """Rows of each partition whose number is known so far."""
        sizes: list[int] = []
        for ticker in self._read().values():
            sizes += ticker.sizes
            if not ticker.is_finished:
                break
        return sizes

    @property
    def extent(self) -> Extent:
        """How many rows of which days were read so far, of all tickers together."""
        read = [one for one in (t.extent for t in self._read().values()) if one.rows]
        first = min((one.first for one in read if one.first), default=None)
        last = max((one.last for one in read if one.last), default=None)
        return Extent(sum(one.rows for one in read), first, last)

    def get(self, number: int) -> pd.DataFrame | None:
        """Partition `number` with its column ``code``. Reads no later ticker."""
        for code, ticker in self._read().items():
            if not ticker.is_finished:
                failures = self._run({code: ticker.reach(number)})
                if failures:
                    self._settle(failures)
                    continue
            part = ticker.known(number)
            if part is not None:
                self._given.add(code)
                panel = schema.with_code([part], [code])
                panel.attrs.update(part.attrs)
                return panel
            number -= len(ticker.sizes)
        return None

    def load(self) -> None:
        """Read every ticker to its end, several at a time."""
        # Finished tickers are included, because the progress display counts all of them.
        self._settle(self._run({c: ticker.reach(None) for c, ticker in self._read().items()}))

    def frame(self) -> pd.DataFrame:
        """Every ticker's rows in one frame."""
        if not self.is_finished:
            self.load()
        return self._frame(self._left_out if self._warns else None)

    def attributes(self) -> dict[str, Any]:
        """``market``, ``aggregates`` in JSON, and ``failed`` when failures only warn."""
        return self._attributes(self._read(), self._left_out if self._warns else None)

    def aggregates(self) -> dict[str, Any]:
        """Newest values that the gateway sends beside the rows, by code."""
        if self._table.attrs:
            self._settle(self._run({c: ticker.look() for c, ticker in self._read().items()}))
        return {code: ticker.known_aggregates() for code, ticker in self._read().items()}

    def _read(self) -> dict[str, TickerPartitions]:
        return {c: ticker for c, ticker in self._tickers.items() if c not in self._left_out}

    def _settle(self, failures: Mapping[str, Exception]) -> None:
        """Raise an error for the tickers that failed, or warn and leave them out."""
        failures = {code: failures[code] for code in self._tickers if code in failures}
        if self._warns:
            left_out = {c: error for c, error in failures.items() if c not in self._given}
            self._left_out |= left_out.keys()
            settle(left_out, len(self._tickers), None, warns=True, advice="")
            failures = {c: error for c, error in failures.items() if c in self._given}
        if failures:
            advice = (
                "This error's `failures` has every error, its `partial` the others' rows; reading "
                "again asks for what is missing, and errors='warn' does without it."
            )
            partial = self._frame(failures)
            settle(failures, len(self._tickers), partial, warns=False, advice=advice)

    def _frame(self, failed: Collection[str] | None) -> pd.DataFrame:
        """Rows of the tickers read so far; `failed` are codes for the attributes."""
        read = {code: ticker for code, ticker in self._read().items() if ticker.is_finished}
        frames = [ticker.known_frame() for ticker in read.values()]
        # Without tickers the frame still has its columns.
        frame = schema.with_code(
            frames or [schema.with_published(schema.to_frame([], self._table), self._table)],
            [*read] if frames else [""],
        )
        # concat() keeps one ticker's attrs when there is only one; a panel has its own.
        frame.attrs.clear()
        frame.attrs.update(self._attributes(read, failed))
        return frame

    def _attributes(
        self, tickers: Mapping[str, TickerPartitions], failed: Collection[str] | None
    ) -> dict[str, Any]:
        attrs: dict[str, Any] = {"market": self._table.market.name}
        if self._table.attrs:
            # A string, because pandas deep-copies attributes at every operation.
            attrs["aggregates"] = json.dumps({c: t.known_aggregates() for c, t in tickers.items()})
            # With a store, every report that was seen, as rows that begin with the code.
            told = [ticker.attributes().get("aggregates_history") for ticker in tickers.values()]
            if any(told):
                attrs["aggregates_history"] = json.dumps(
                    [row for rows in told for row in json.loads(rows or "[]")]
                )
        if self._start is not None:
            attrs["start"] = self._start
        if failed is not None:
            attrs["failed"] = [code for code in self._tickers if code in failed]
        return attrs
