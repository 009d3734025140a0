"""Walks driven by scripted replies, without a gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intake_futu_short.calls import SHORT_VOLUME, Question, Reply, Ticker
from intake_futu_short.opend.messages_pb2 import DailyShortVolume
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from intake_futu_short.pages import Page
    from intake_futu_short.walk import Walk

AAPL = Ticker(Security.parse("US.AAPL"), SHORT_VOLUME)
TENCENT = Ticker(Security.parse("HK.00700"), SHORT_VOLUME)
# What one connection after another issues; any value does that equals itself alone.
HOME = "home"


def answer(*days: str, key: str | None, **attrs: Any) -> DailyShortVolume.S2C:
    """A US answer with a row a day."""
    s2c = DailyShortVolume.S2C(**attrs)
    for day in days:
        s2c.us_items.add(timestamp_str=day)
    if key is not None:
        s2c.next_key = key
    return s2c


def cursor_of(question: Question) -> str | None:
    """The cursor that a question asks with, as it goes over the wire."""
    c2s = DailyShortVolume.Request.FromString(question.body).c2s
    return str(c2s.next_key) if c2s.HasField("next_key") else None


def run(job: Generator[Question, Reply, Any], reply: Callable[[Question], Reply]) -> Any:
    """Answer what a generator asks, and return what it returns."""
    try:
        question = next(job)
        while True:
            question = job.send(reply(question))
    except StopIteration as end:
        return end.value


class Script:
    """Replies in a row, whatever is asked; questions and cursors are kept.

    An answer or an error alone comes from `HOME`, as if over one connection.
    """

    def __init__(self, *replies: DailyShortVolume.S2C | Exception | Reply) -> None:
        self.replies = [_reply(one) for one in replies]
        self.questions: list[Question] = []

    @property
    def cursors(self) -> list[str | None]:
        return [cursor_of(question) for question in self.questions]

    def __call__(self, question: Question) -> Reply:
        self.questions.append(question)
        return self.replies.pop(0)

    def run(self, job: Generator[Question, Reply, Any]) -> Any:
        return run(job, self)


def _reply(one: DailyShortVolume.S2C | Exception | Reply) -> Reply:
    if isinstance(one, Reply):
        return one
    if isinstance(one, Exception):
        return Reply(None, one, HOME)
    return Reply(one, None, HOME)


def answers(known: Mapping[str | None, DailyShortVolume.S2C]) -> Callable[[Question], Reply]:
    """Replies by the cursor asked with."""
    return lambda question: Reply(known[cursor_of(question)], None, HOME)


def next_page(walk: Walk, reply: Callable[[Question], Reply]) -> Page | None:
    page: Page | None = run(walk.next_page(), reply)
    return page


def days_of(walk: Walk, reply: Callable[[Question], Reply]) -> list[list[str]]:
    """Trading days of each page that is still to come."""
    pages = []
    while (page := next_page(walk, reply)) is not None:
        pages.append(list(page.days))
    return pages
