"""The short-selling rank of a market: requests for it, and the rows received. Pure.

The gateway gives the rank in parts of at most 35 rows, and the list can change between two parts. A
ticker that moves down across the end of a part then comes twice, and one that moves up is missing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from intake_futu_short import schema
from intake_futu_short.calls import SHORT_SELLING_RANK, Question
from intake_futu_short.errors import ConfigError, PaginationError, ProtocolError, RankWarning, warn
from intake_futu_short.opend.replies import ADVICE
from intake_futu_short.partitions import Extent
from intake_futu_short.rank_requests import SORTS, request_body
from intake_futu_short.repr_table import counted
from intake_futu_short.security import Security
from intake_futu_short.wording import either

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from intake_futu_short.calls import Table
    from intake_futu_short.partitions import Job, Run
    from intake_futu_short.security import Market

__all__ = ["RankedParts", "Ranking"]

ROWS_A_PART = SHORT_SELLING_RANK.max_rows
# Parts that are asked for together: as many as the gateway's limit allows at once.
PARTS_AT_ONCE = SHORT_SELLING_RANK.limit.requests


@dataclass(frozen=True)
class Ranking:
    """A request for the rank.

    Attributes
    ----------
    market : Market
        The market of the tickers.
    sort : str
        One of `SORTS`.
    descending : bool
        Whether the highest come first.
    rows : int
        The largest number of rows.
    plates : tuple of str
        Codes of plates that the tickers must be in; empty for all tickers.
    """

    market: Market
    sort: str
    descending: bool
    rows: int
    plates: tuple[str, ...]

    @property
    def parts(self) -> int:
        """Number of requests for all rows."""
        return -(-self.rows // ROWS_A_PART)

    @property
    def table(self) -> Table:
        """The columns."""
        return SHORT_SELLING_RANK.table(self.market)

    def __str__(self) -> str:
        return f"{self.market.name} {SHORT_SELLING_RANK.title}"

    def size(self, number: int) -> int:
        """How many rows part `number` is asked for."""
        return min(ROWS_A_PART, self.rows - number * ROWS_A_PART)

    def question(self, number: int) -> Question:
        """Ask for part `number`, from 0."""
        offset = number * ROWS_A_PART
        count = self.size(number)
        body = request_body(
            market=self.market.number,
            sort_field=SORTS[self.sort],
            sort_dir=0 if self.descending else 1,
            offset=offset,
            count=count,
            plates=map(Security.parse, self.plates),
        )
        words = f"{self} (rows {offset + 1} to {offset + count})"
        return Question(SHORT_SELLING_RANK, body, words)


@dataclass(frozen=True)
class _Part:
    """Rows of one answer, without tickers that an earlier part had."""

    rows: Sequence[Any]
    codes: Sequence[str]
    received: int
    all_count: int | None
    asked: str

    @property
    def repeated(self) -> int:
        return self.received - len(self.rows)


class RankedParts:
    """The parts of a rank, read as far as needed. Each is asked for once.

    Parameters
    ----------
    ranking : Ranking
        The request.
    run : callable
        Runs generators together.
    clock : callable
        Returns Unix seconds.
    """

    def __init__(self, ranking: Ranking, run: Run, clock: Callable[[], float]) -> None:
        self.ranking = ranking
        self._run = run
        self._clock = clock
        self._came: dict[int, tuple[Any, str]] = {}  # answers that are not looked at yet
        self._parts: dict[int, _Part] = {}
        self._seen: set[str] = set()
        self._told = 0  # number of repeated rows in earlier warnings
        self._is_told = False  # whether a warning told what the finished rank lacks

    # -- what is known ------------------------------------------------------------------------

    @property
    def is_finished(self) -> bool:
        """Whether all parts were asked for."""
        return all(number in self._parts for number in range(self._end))

    @property
    def number(self) -> int | None:
        """How many parts there are, as soon as an answer tells; None before."""
        return self._end if self.is_finished or self._is_bounded else None

    @property
    def sizes(self) -> Sequence[int]:
        """Rows of each part known so far."""
        return [len(part.rows) for part in self._known]

    @property
    def extent(self) -> Extent:
        """Number of rows received. They have no days."""
        return Extent(sum(self.sizes))

    @property
    def _known(self) -> list[_Part]:
        end = self._end
        return [self._parts[number] for number in sorted(self._parts) if number < end]

    @property
    def _is_bounded(self) -> bool:
        return bool(self._counts) or any(map(self._is_short, self._parts))

    @property
    def _counts(self) -> list[int]:
        """Numbers of tickers according to the answers, without those that rows contradict."""
        reached = max(
            (n * ROWS_A_PART + part.received for n, part in self._parts.items() if part.received),
            default=0,
        )
        counts = (part.all_count for part in self._parts.values())
        return [count for count in counts if count is not None and count >= reached]

    def _is_short(self, number: int) -> bool:
        """Whether a part is the last by its number of rows, and its count does not contradict."""
        part = self._parts[number]
        reached = number * ROWS_A_PART + part.received
        return part.received < self.ranking.size(number) and reached >= (part.all_count or 0)

    @property
    def _end(self) -> int:
        """Number of parts, as far as answers tell."""
        end = min([self.ranking.parts, *(-(-count // ROWS_A_PART) for count in self._counts)])
        least = 0
        for number, part in self._parts.items():
            if not part.received:
                end = min(end, number)
                continue
            least = max(least, number + 1)
            if self._is_short(number):
                end = min(end, number + 1)
        return max(end, least)

    # -- reading ------------------------------------------------------------------------------

    def get(self, number: int) -> pd.DataFrame | None:
        """Part `number`, asking for it alone if need be; None when there are fewer."""
        if number < self._end and number not in self._parts:
            self._ask([number])
            self._tell()
        if number >= self._end:
            return None
        part = self._parts[number]
        return self._framed([part], part)

    def load(self) -> None:
        """Ask for all missing parts that are known to exist."""
        while missing := self._missing(PARTS_AT_ONCE if self._is_bounded else 1):
            self._ask(missing)
        self._tell()

    def frame(self) -> pd.DataFrame:
        """Every row, in the order of the rank; asks for what is missing."""
        self.load()
        return self._framed(self._known, self._first)

    def attributes(self) -> dict[str, Any]:
        """Attributes of the whole, as far as it was read."""
        return self._attributes(self._first, self._known)

    @property
    def _first(self) -> _Part | None:
        """The part that was asked for first, even if it was empty."""
        return min(self._parts.values(), key=lambda part: part.asked, default=None)

    def _framed(self, parts: Sequence[_Part], of: _Part | None) -> pd.DataFrame:
        rows = [row for part in parts for row in part.rows]
        codes = [code for part in parts for code in part.codes]
        frame = schema.ranked(rows, codes, self.ranking.table)
        frame.attrs.update(self._attributes(of, parts))
        return frame

    def _attributes(self, of: _Part | None, parts: Sequence[_Part]) -> dict[str, Any]:
        return {
            "market": self.ranking.market.name,
            "sort": self.ranking.sort,
            "descending": self.ranking.descending,
            "plates": list(self.ranking.plates) or None,
            "all_count": None if of is None else of.all_count,
            "asked": None if of is None else of.asked,
            "repeated": sum(part.repeated for part in parts),
        }

    def _missing(self, most: int) -> list[int]:
        """The first parts that were not asked for, at most so many."""
        # Not a list of all: `rows` may be far beyond what the gateway has.
        numbers = (number for number in range(self._end) if number not in self._parts)
        return list(islice(numbers, most))

    def _ask(self, numbers: Sequence[int]) -> None:
        failures = self._run({str(number): self._asking(number) for number in numbers})
        # In rank order, not order of arrival, so that a repeated ticker keeps its upper row.
        for number in sorted(self._came):
            answer, asked = self._came.pop(number)
            self._parts[number] = self._part(number, answer, asked)
        for error in failures.values():
            raise error

    def _asking(self, number: int) -> Job:
        reply = yield self.ranking.question(number)
        if reply.error is not None:
            raise reply.error
        moment = dt.datetime.fromtimestamp(self._clock(), dt.timezone.utc)
        self._came[number] = reply.answer, moment.isoformat(timespec="milliseconds")

    def _part(self, number: int, answer: Any, asked: str) -> _Part:
        words = self.ranking.question(number).text
        # Some servers send more rows than asked for. The surplus comes again with the next part.
        items = list(answer.items)[: self.ranking.size(number)]
        codes = [
            _code(item, self.ranking.market, f"{words}, row {i}") for i, item in enumerate(items)
        ]
        kept: dict[str, Any] = {}
        for code, item in zip(codes, items, strict=True):
            if code not in self._seen:
                kept.setdefault(code, item)
        if len(items) == ROWS_A_PART and not kept:
            raise PaginationError(
                f"{words}: all {len(items)} rows came before. This gateway does not go on from an "
                f"offset: read no more than rows={ROWS_A_PART}"
            )
        self._seen.update(kept)
        all_count = answer.all_count if answer.HasField("all_count") else None
        return _Part([*kept.values()], [*kept], len(items), all_count, asked)

    # -- what may be missing --------------------------------------------------------------------

    def _tell(self) -> None:
        """Warn once of tickers that may be missing."""
        notes: list[str] = []
        repeated = sum(part.repeated for part in self._parts.values())
        if repeated > self._told:
            self._told = repeated
            notes.append(f"{counted(repeated, 'row')} came twice and stayed where they came first")
        if self.is_finished and not self._is_told:
            self._is_told = True
            counts = [part.all_count for part in self._parts.values() if part.all_count is not None]
            least, most = min(counts, default=0), max(counts, default=0)
            if least != most:
                notes.append(f"the gateway counted {least:,} to {most:,} tickers meanwhile")
            came, wanted = sum(self.sizes) + repeated, min(self.ranking.rows, least)
            if came < wanted:
                notes.append(
                    f"the gateway counts {least:,} tickers and gave {came:,} of the {wanted:,} "
                    "that were asked for"
                )
        if notes:
            warn(
                f"{self.ranking}: {'; '.join(notes)}. A list that moves while it is asked for in "
                "parts may lack tickers that moved up; "
                f"{either(f'rows={ROWS_A_PART}', f'--top {ROWS_A_PART}')} or fewer are one part",
                RankWarning,
            )


def _code(item: Any, market: Market, where: str) -> str:
    if not item.HasField("security"):
        raise ProtocolError(f"{where} names no security. {ADVICE}")
    symbol = item.security.code
    if not isinstance(symbol, str):
        raise ProtocolError(f"{where} has a code that is no UTF-8: {symbol!r}. {ADVICE}")
    if item.security.market != market.number:
        raise ProtocolError(
            f"{where} is {symbol!r} of the market {item.security.market}, not of {market.number} "
            f"({market.name}). {ADVICE}"
        )
    try:
        return Security.known(f"{market.name}.{symbol}").code
    except ConfigError as error:
        raise ProtocolError(f"{where} has the code {symbol!r}, which is none. {ADVICE}") from error
