"""The cursor walk: answers of the gateway → pages, complete, no trading day twice. Pure."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from math import isfinite
from operator import ge, gt
from typing import TYPE_CHECKING, Any

from intake_futu_short.errors import PaginationError, ProtocolError
from intake_futu_short.opend.replies import ADVICE, CursorRefusedError
from intake_futu_short.security import AGGREGATE_NAMES, US

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intake_futu_short.opend.messages_pb2 import DailyShortVolume
    from intake_futu_short.security import Market, Security

    Item = DailyShortVolume.UsItem | DailyShortVolume.HkItem
    Fetch = Callable[[str | None], DailyShortVolume.S2C]

__all__ = ["END", "Aggregates", "Page", "Walk"]

END = "-1"
# A gateway that goes on handing out new cursors and no new rows would keep a walk going for ever.
# One such page is ordinary (the last one, or rows moved by a new trading day).
MAX_STALE_PAGES = 10
# Without a new trading day. As often as a page is asked for: cursors that die with every
# connection would else never end a walk.
BEGINNINGS_AT_MOST = 3

_NEVER = "9999-12-31"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Aggregates:
    """The reported open short position that HK answers carry beside the rows.

    Attributes
    ----------
    aggregated_short : int or None
        Shares.
    aggregated_short_ratio : float or None
        Percent of the shares the gateway takes as its base.
    new_time_str : str or None
        As-of date, ``YYYY-MM-DD``.
    """

    aggregated_short: int | None = None
    aggregated_short_ratio: float | None = None
    new_time_str: str | None = None

    def as_dict(self) -> dict[str, int | float | str | None]:
        """By name, in the order of the documentation."""
        return {name: getattr(self, name) for name in AGGREGATE_NAMES}


@dataclass(frozen=True)
class Page:
    """What is new and wanted of one answer.

    Attributes
    ----------
    rows : sequence of messages
        As they came, newest first.
    days : sequence of str
        Trading day of each row, ``YYYY-MM-DD``.
    next_key : str
        The cursor that came with the answer; ``"-1"`` when there was none.
    aggregates : Aggregates
        All None for US.
    """

    rows: Sequence[Item]
    days: Sequence[str]
    next_key: str
    aggregates: Aggregates


class Walk:
    """Asks for page after page, newest first, as far as it is called on.

    An error of `fetch` leaves the walk where it was: the next call asks for the same page again. A
    `CursorRefusedError` alone lets the walk begin anew, twice at most without getting farther: the
    pages it has stay as they are, and it goes on with what is older than all of them.

    Parameters
    ----------
    fetch : callable
        Takes a cursor (None for the newest page) and returns the answer.
    security : Security
        Whose rows.
    origin : str
        Who answers, for messages.
    start, end : str, optional
        First and last trading day wanted, ``YYYY-MM-DD``. Older pages than `start` needs are not
        asked for; newer rows than `end` have to be walked through.
    max_pages : int, optional
        How many pages to return.
    cursor : str, optional
        Where an earlier walk left off; None begins with the newest page.
    """

    def __init__(
        self,
        fetch: Fetch,
        security: Security,
        *,
        origin: str = "the gateway",
        start: str | None = None,
        end: str | None = None,
        max_pages: int | None = None,
        cursor: str | None = None,
    ) -> None:
        self._fetch = fetch
        self._market = security.market
        self._asked_for = f"{security} from {origin}"
        self._start = start
        self._end = end
        self._max_pages = max_pages
        self._progress = _Progress(next_key=cursor)

    @property
    def pages(self) -> Sequence[Page]:
        """The pages with rows so far."""
        return self._progress.pages

    @property
    def is_finished(self) -> bool:
        """Whether every page that can matter is there."""
        return self._progress.is_finished

    @property
    def aggregates(self) -> Aggregates:
        """Aggregates of the newest answer."""
        return self._progress.aggregates or Aggregates()

    @property
    def next_key(self) -> str | None:
        """Cursor of the last answer; before the first, the one it was given."""
        return self._progress.next_key

    def next_page(self) -> Page | None:
        """Walk on to the next page with rows and return it, or None at the end.

        Raises
        ------
        PaginationError
            When a cursor comes back, or the pages bring nothing new.
        ProtocolError
            When a row has no trading day, or is of another market.
        """
        while not self.is_finished:
            self._refuse_to_loop()
            try:
                answer = self._fetch(self.next_key)
            except CursorRefusedError as error:
                self._begin_anew(error)
                continue
            page, progress = self._take(answer)
            # One assignment: an interruption finds the page taken whole or not at all.
            self._progress = progress
            if page.days:
                return page
        return None

    def _begin_anew(self, error: CursorRefusedError) -> None:
        now = self._progress
        if not now.days:
            raise error  # the cursor is not this walk's own, nor is what came before it
        is_last = now.beginnings == BEGINNINGS_AT_MOST
        # Whoever reads again after the error may find a gateway that keeps its cursors.
        self._progress = now.anew(beginnings=1 if is_last else now.beginnings + 1)
        if is_last:
            raise error
        _log.info(
            "%s: the cursor %r is no longer taken (%s), so that the walk begins anew, behind the "
            "%d pages that it has",
            self._asked_for, now.next_key, error.message, len(now.pages),
        )  # fmt: skip

    def _refuse_to_loop(self) -> None:
        now = self._progress
        if now.next_key in now.asked:
            raise PaginationError(
                f"{self._asked_for}: the cursor {now.next_key!r} came a second time, after "
                f"{len(now.asked) + 1} pages; the history would never end. {ADVICE}"
            )
        if now.stale >= MAX_STALE_PAGES:
            raise PaginationError(
                f"{self._asked_for}: {now.stale} pages in a row brought no new trading day, and "
                f"there are still cursors (the last is {now.next_key!r}). {ADVICE}"
            )

    def _take(self, answer: DailyShortVolume.S2C) -> tuple[Page, _Progress]:
        try:
            rows = _rows(answer, self._market)
            days = _days(rows, self._market)
            next_key = _text(answer, "next_key")
            aggregates = _aggregates(answer, self._market)
        except ProtocolError as error:
            raise ProtocolError(f"{self._asked_for}: {error}. {ADVICE}") from error.__cause__
        before = self._progress
        page = Page(rows, days, END if next_key is None else next_key, aggregates)
        fresh = _only_new(page, before)
        if before.older_than != _NEVER:
            fresh = _pick(fresh, [i for i, d in enumerate(fresh.days) if d < before.older_than])
        wanted = self._only_wanted(fresh)
        pages = (*before.pages, wanted) if wanted.days else before.pages
        return wanted, _Progress(
            pages=pages,
            next_key=page.next_key,
            asked=before.asked if before.next_key is None else before.asked | {before.next_key},
            days=(*before.days, page.days),
            oldest=min((before.oldest, *page.days)),
            stale=0 if fresh.days else before.stale + 1,
            aggregates=before.aggregates or aggregates,
            older_than=before.older_than,
            beginnings=1 if fresh.days else before.beginnings,
            is_finished=(
                page.next_key in {"", END}
                or len(pages) == self._max_pages
                or self._is_past_start(page, before.oldest)
            ),
        )

    def _is_past_start(self, page: Page, oldest: str) -> bool:
        """Whether no older page can hold a day that is wanted."""
        if self._start is None or not page.days or min(page.days) > self._start:
            return False
        # Rows in another order than newest first prove nothing of the pages to come.
        return all(map(ge, page.days, page.days[1:])) and page.days[-1] <= oldest

    def _only_wanted(self, page: Page) -> Page:
        start, end = self._start or "", self._end or _NEVER
        if start <= min(page.days, default=start) and max(page.days, default=end) <= end:
            return page
        return _pick(page, [i for i, day in enumerate(page.days) if start <= day <= end])


@dataclass(frozen=True)
class _Progress:
    """How far a walk has come."""

    pages: tuple[Page, ...] = ()
    next_key: str | None = None
    asked: frozenset[str] = frozenset()
    days: tuple[Sequence[str], ...] = ()  # of every answer, also those not wanted
    oldest: str = _NEVER
    stale: int = 0
    aggregates: Aggregates | None = None
    older_than: str = _NEVER
    beginnings: int = 1
    is_finished: bool = False

    def anew(self, beginnings: int) -> _Progress:
        """Where a walk stands that has to begin again, with what it has."""
        return replace(
            self,
            next_key=None,
            asked=frozenset(),
            # As many pages as were walked may come that bring nothing new.
            stale=-len(self.asked) - 1,
            older_than=self.oldest,
            beginnings=beginnings,
        )


def _only_new(page: Page, before: _Progress) -> Page:
    """Leave out trading days that came before: a new day in mid-walk moves the rows on."""
    if all(map(gt, (before.oldest, *page.days), page.days)):
        return page  # older and older: the ordinary case, and quicker than looking for repeats
    known = set(chain.from_iterable(before.days))
    keep = []
    for i, day in enumerate(page.days):
        if day not in known:
            known.add(day)
            keep.append(i)
    return _pick(page, keep)


def _pick(page: Page, keep: Sequence[int]) -> Page:
    rows, days = [page.rows[i] for i in keep], [page.days[i] for i in keep]
    return replace(page, rows=rows, days=days)


def _rows(answer: DailyShortVolume.S2C, market: Market) -> Sequence[Item]:
    own: Sequence[Item] = answer.us_items
    other: Sequence[Item] = answer.hk_items
    if market is not US:
        own, other = other, own
    if other and not own:
        raise ProtocolError(f"{len(other)} rows of another market came")
    # Protobuf makes the object of a row anew at every access, unless somebody holds it.
    return list(own)


def _days(rows: Sequence[Item], market: Market) -> list[str]:
    days = [row.timestamp_str for row in rows]
    if not all(map(_is_day, days)):
        for i, (row, day) in enumerate(zip(rows, days, strict=True)):
            if not day:
                days[i] = _day_of_timestamp(row, market)
            elif not _is_day(day):
                raise ProtocolError(f"row {i} has the trading day {day!r}; YYYY-MM-DD is expected")
    return days


@lru_cache(maxsize=2**14)  # a market's days come again with every ticker
def _is_day(day: Any) -> bool:
    # Bytes, which are no UTF-8, and ISO's other spellings of ten characters are no day here.
    try:
        dt.date.fromisoformat(day)
    except (TypeError, ValueError):
        return False
    return bool(day[4] == day[7] == "-")


def _day_of_timestamp(row: Item, market: Market) -> str:
    if not row.HasField("timestamp"):
        raise ProtocolError("a row has neither timestamp nor timestamp_str")
    try:
        return market.day(row.timestamp)
    except (ValueError, OverflowError, OSError) as error:
        raise ProtocolError(f"a row has the timestamp {row.timestamp}") from error


def _aggregates(answer: DailyShortVolume.S2C, market: Market) -> Aggregates:
    if not market.has_aggregates:
        return Aggregates()
    ratio = answer.aggregated_short_ratio
    # NaN and infinities become None: attributes are JSON, which has neither.
    has_ratio = answer.HasField("aggregated_short_ratio") and isfinite(ratio)
    return Aggregates(
        answer.aggregated_short if answer.HasField("aggregated_short") else None,
        ratio if has_ratio else None,
        _text(answer, "new_time_str"),
    )


def _text(answer: DailyShortVolume.S2C, field: str) -> str | None:
    if not answer.HasField(field):
        return None
    value = getattr(answer, field)
    if not isinstance(value, str):
        raise ProtocolError(f"{field} is not UTF-8: {value!r}")
    return value
