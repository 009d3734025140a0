"""The cursor walk: answers of the gateway → pages, complete, no trading day twice. Pure.

A walk consists of generators. Each yields a `Question` and is sent the `Reply`. The caller decides
which gateway to ask, and when.
"""

from __future__ import annotations

import datetime as dt
import logging
from itertools import chain, pairwise
from operator import ge, gt
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from intake_futu_short.described import described
from intake_futu_short.errors import (
    PaginationError,
    ProtocolError,
    QuoteRightError,
    RateLimitError,
    ReplyError,
)
from intake_futu_short.opend.replies import ADVICE
from intake_futu_short.pages import END, Page, misdated, newest_first, page_of, pick

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from intake_futu_short.calls import Question, Reply, Ticker

__all__ = ["Page", "Walk", "newest_possible"]

# A walk would never end if a gateway kept sending new cursors but no new rows.
# One such page is ordinary (the last one, or rows moved by a new trading day).
MAX_STALE_PAGES = 10

# Refusals that do not depend on the cursor.
_NO_MATTER_OF_THE_CURSOR = (RateLimitError, QuoteRightError)
_NEVER = "9999-12-31"
# Days that a row may be ahead of this host's date: time zones differ, and clocks are a little off.
_DAYS_AHEAD = 7

_log = logging.getLogger(__name__)


class Walk:
    """Asks for one page after another, newest first, as far as the caller goes on.

    An error leaves the walk where it was, and the next call asks for the same page again.

    Rows of impossible days are left out, and a warning names them. If every row of the newest page
    has such a day, this host's clock must be wrong, and none is left out. Rows that came in another
    order are sorted within their page.

    Parameters
    ----------
    ticker : Ticker
        Whose rows.
    num : int, optional
        Rows per page; None leaves it to the gateway.
    origin : str
        Who answers, for messages.
    start, end : str, optional
        First and last trading day wanted, ``YYYY-MM-DD``. Pages older than `start` needs are not
        asked for. Rows newer than `end` must be walked through.
    warmup : int
        How many of the newest rows before `start` are wanted too.
    max_pages : int, optional
        How many pages to return.
    cursor : str, optional
        Where an earlier walk left off; None begins with the newest page.
    newest_possible : str, optional
        The last trading day that a row can have, ``YYYY-MM-DD`` (see `newest_possible`); None
        accepts every day. With a `cursor`, the clock counts as right: the walk that saved the
        cursor has judged it.

    Attributes
    ----------
    is_lost : bool
        Whether no gateway takes the cursor any more. The walk cannot go on then.
    """

    def __init__(
        self,
        ticker: Ticker,
        *,
        num: int | None = None,
        origin: str = "the gateway",
        start: str | None = None,
        end: str | None = None,
        warmup: int = 0,
        max_pages: int | None = None,
        cursor: str | None = None,
        newest_possible: str | None = None,
    ) -> None:
        self._ticker = ticker
        self._table = ticker.table
        self._num = num
        self._asked_for = f"{ticker} from {origin}"
        self._start = start
        self._end = end
        self._warmup = warmup
        self._max_pages = max_pages
        self._newest_possible = newest_possible or _NEVER
        # Only the newest page can show that the clock is wrong.
        trusts_clock = None if cursor is None else True
        self._progress = _Progress(next_key=cursor, trusts_clock=trusts_clock)
        self.is_lost = False

    @property
    def pages(self) -> Sequence[Page]:
        """The pages with rows so far."""
        return self._progress.pages

    @property
    def is_finished(self) -> bool:
        """Whether every page that can have wanted rows was read."""
        return self._progress.is_finished

    @property
    def is_newest_first(self) -> bool:
        """Whether answers go from newer to older days, as far as is known.

        If one answer's own rows are in another order, only a second answer can tell.
        """
        days = [each for each in self._progress.days if each]
        return all(max(older) <= min(newer) for newer, older in pairwise(days)) and (
            len(days) > 1 or all(all(map(ge, each, each[1:])) for each in days)
        )

    @property
    def attrs(self) -> Mapping[str, Any]:
        """Values beside the rows of the newest answer; all None before the first answer."""
        return self._progress.attrs or dict.fromkeys(self._table.attr_names)

    @property
    def next_key(self) -> str | None:
        """Cursor of the last answer; before the first, the one it was given."""
        return self._progress.next_key

    def load(self) -> Generator[Question, Reply, None]:
        """Walk to the end."""
        while (yield from self.next_page()) is not None:
            pass

    def next_page(self) -> Generator[Question, Reply, Page | None]:
        """Walk on to the next page with rows and return it, or None at the end.

        Raises
        ------
        GatewayError
            The error that came instead of an answer.
        PaginationError
            When a cursor comes back, the pages bring nothing new, or the cursor is lost.
        ProtocolError
            When a row has no trading day, or belongs to another market.
        """
        while not self.is_finished:
            page = yield from self._step()
            if page.days:
                return page
        return None

    def look(self) -> Generator[Question, Reply, None]:
        """Ask for the newest page, even if its rows are not wanted, unless a page was asked for."""
        if self.next_key is None:
            yield from self._step()

    def _step(self) -> Generator[Question, Reply, Page]:
        """Ask for the next page, and return its rows that are new and wanted."""
        self.is_lost = False
        self._refuse_to_loop()
        now = self._progress
        reply = yield self._ticker.question(now.next_key, self._num, now.issuer)
        answered = self._answer(reply)
        if now.next_key is not None and reply.issuer != now.issuer and not answered.days:
            # Either this is the end, or the gateway does not know the cursor.
            page, progress = yield from self._ask_page_before(reply)
        elif reply.error is not None:
            raise reply.error
        else:
            page, progress = self._take(answered, reply.issuer)
        self._warn(now, progress)
        # One assignment, so that an interruption leaves the page taken either whole or not at all.
        self._progress = progress
        return page

    def _ask_page_before(
        self, doubtful: Reply
    ) -> Generator[Question, Reply, tuple[Page, _Progress]]:
        """Repeat the page before a doubtful cursor, to get a cursor that the gateway knows.

        Parameters
        ----------
        doubtful : Reply
            An answer without rows, or a refusal, from a connection that did not issue the cursor.
        """
        now = self._progress
        why = "no row is behind it" if doubtful.error is None else str(doubtful.error)
        if not now.known_days:  # the cursor is an earlier walk's, so the page before is unknown
            raise self._lost(why)
        reply = yield self._ticker.question(now.known_key, self._num, doubtful.issuer)
        answered = self._answer(reply)
        if not set(now.known_days).intersection(answered.days):
            raise self._lost(why)
        # Rows newer than the known ones are left to the next walk.
        older = [i for i, day in enumerate(answered.days) if day < now.oldest]
        page, progress = self._take(pick(answered, older), reply.issuer)
        return page, progress._replace(
            known_key=now.known_key,
            known_days=answered.days,
            # The walk is back at that page, so cursors that came after it may come again.
            asked=now.known_asked,
            known_asked=now.known_asked,
        )

    def _lost(self, why: str) -> PaginationError:
        self.is_lost = True
        return PaginationError(
            f"{self._asked_for}: the cursor {described(self.next_key)} leads nowhere any more "
            f"({why}), and the page before it cannot be found again. The gateway that issued it is "
            "gone or was started again: close the source and read again"
        )

    def _refuse_to_loop(self) -> None:
        now = self._progress
        if now.next_key in now.asked:
            raise PaginationError(
                f"{self._asked_for}: the cursor {described(now.next_key)} came a second time, "
                f"after {len(now.asked) + 1} pages; the history would never end. {ADVICE}"
            )
        if now.stale >= MAX_STALE_PAGES:
            raise PaginationError(
                f"{self._asked_for}: {now.stale} pages in a row brought no new trading day, and "
                f"there are still cursors (the last is {described(now.next_key)}). {ADVICE}"
            )

    def _answer(self, reply: Reply) -> Page:
        """The page of an answer; an empty one for a refusal that the cursor may have caused."""
        if isinstance(reply.error, ReplyError) and not isinstance(
            reply.error, _NO_MATTER_OF_THE_CURSOR
        ):
            return Page([], [], END, {})
        if reply.error is not None:
            raise reply.error
        try:
            return page_of(reply.answer, self._ticker)
        except ProtocolError as error:
            raise ProtocolError(f"{self._asked_for}: {error}. {ADVICE}") from error.__cause__

    def _take(self, answered: Page, issuer: object) -> tuple[Page, _Progress]:
        """The new and wanted rows of an answer, and the walk's progress after it."""
        before = self._progress
        asked = before.asked if before.next_key is None else before.asked | {before.next_key}
        trusts_clock = before.trusts_clock
        if trusts_clock is None and answered.days:
            trusts_clock = min(answered.days) <= self._newest_possible
        possible = self._only_possible(answered) if trusts_clock else answered
        left_out = before.left_out
        if possible is not answered:
            left_out |= {day for day in answered.days if day > self._newest_possible}
        fresh = _only_new(newest_first(possible), before)
        wanted = self._only_wanted(fresh, before.pages)
        pages = (*before.pages, wanted) if wanted.days else before.pages
        is_new = fresh.days or left_out != before.left_out
        return wanted, _Progress(
            pages=pages,
            next_key=answered.next_key,
            issuer=issuer,
            known_key=before.next_key if answered.days else before.known_key,
            known_days=possible.days or answered.days or before.known_days,
            known_asked=asked if answered.days else before.known_asked,
            asked=asked,
            days=(*before.days, possible.days),
            oldest=min((before.oldest, *possible.days)),
            stale=0 if is_new else before.stale + 1,
            attrs=before.attrs or answered.attrs,
            is_finished=(
                answered.next_key in {"", END}
                or len(pages) == self._max_pages
                or self._is_past_start(possible, before.oldest, pages)
            ),
            trusts_clock=trusts_clock,
            left_out=left_out,
            misdated=before.misdated or misdated(wanted, self._table),
        )

    def _only_possible(self, page: Page) -> Page:
        if max(page.days, default="") <= self._newest_possible:
            return page
        return pick(page, [i for i, d in enumerate(page.days) if d <= self._newest_possible])

    def _warn(self, before: _Progress, now: _Progress) -> None:
        """Log what is odd about an answer, once per walk."""
        later = f"dated more than {_DAYS_AHEAD} days after this host's date"
        if now.left_out != before.left_out:
            days = _first_days(sorted(now.left_out - before.left_out, reverse=True))
            _log.warning(
                "%s: the gateway sent rows %s, which are left out: %s", self._ticker, later, days
            )
        if now.trusts_clock is False and before.trusts_clock is None:
            _log.warning(
                "%s: every row of an answer is %s, the newest %s. The clock of this host must be "
                "wrong, and the rows are kept", self._ticker, later, max(now.days[-1]),
            )  # fmt: skip
        if now.misdated and not before.misdated:
            _log.warning(
                "%s: the gateway sent rows whose timestamp is of another day than their "
                "timestamp_str, which counts as the day: %s. df.shortvol.check() lists them all",
                self._ticker, _first_days(now.misdated),
            )  # fmt: skip

    def _is_past_start(self, page: Page, oldest: str, pages: Sequence[Page]) -> bool:
        """Whether no older page can have a wanted day."""
        if self._start is None or not page.days or min(page.days) > self._start:
            return False
        if self._warmup and len(self._days_before_start(pages)) < self._warmup:
            return False
        # Rows that are not newest first prove nothing about later pages.
        return all(map(ge, page.days, page.days[1:])) and page.days[-1] <= oldest

    def _days_before_start(self, pages: Sequence[Page]) -> list[str]:
        start = self._start or ""
        return [day for page in pages for day in page.days if day < start]

    def _only_wanted(self, page: Page, pages: Sequence[Page]) -> Page:
        """Keep only wanted rows of the new `page` that comes after `pages`."""
        start, end = self._start or "", self._end or _NEVER
        if start <= min(page.days, default=start) and max(page.days, default=end) <= end:
            return page
        keep = [i for i, day in enumerate(page.days) if start <= day <= end]
        if self._warmup:
            # Pages may come in any order, so count the newer rows before `start`.
            known = self._days_before_start(pages)
            for i, day in enumerate(page.days):
                if day < start and sum(day < other for other in known) < self._warmup:
                    keep.append(i)
                    known.append(day)
        return pick(page, keep)


class _Progress(NamedTuple):
    """How far a walk has come."""

    pages: tuple[Page, ...] = ()
    next_key: str | None = None
    issuer: object = None  # of the answer with next_key
    known_key: str | None = None  # the cursor with which the last answer with rows was asked for
    known_days: Sequence[str] = ()  # of that answer
    known_asked: frozenset[str] = frozenset()  # the cursors asked with until then
    asked: frozenset[str] = frozenset()
    days: tuple[Sequence[str], ...] = ()  # of every answer, also those not wanted, as they came
    oldest: str = _NEVER
    stale: int = 0
    attrs: Mapping[str, Any] = MappingProxyType({})
    is_finished: bool = False
    trusts_clock: bool | None = None  # None before the first row
    left_out: frozenset[str] = frozenset()  # impossible days
    misdated: Sequence[str] = ()  # days on the first page whose timestamps are of other days


def _only_new(page: Page, before: _Progress) -> Page:
    """Leave out trading days that came before: a new trading day in mid-walk shifts the rows."""
    if all(map(gt, (before.oldest, *page.days), page.days)):
        return page  # all older: the ordinary case, faster than looking for repeats
    known = set(chain.from_iterable(before.days))
    keep = []
    for i, day in enumerate(page.days):
        if day not in known:
            known.add(day)
            keep.append(i)
    return pick(page, keep)


def _first_days(days: Sequence[str]) -> str:
    more = f" and {len(days) - 5} more days" if len(days) > 5 else ""
    return ", ".join(days[:5]) + more


def newest_possible(now_s: float) -> str:
    """The last trading day that a row can have at a time (Unix seconds), by this host's date."""
    today = dt.date.fromtimestamp(now_s)  # noqa: DTZ012 - the host's own date is meant
    return (today + dt.timedelta(days=_DAYS_AHEAD)).isoformat()
