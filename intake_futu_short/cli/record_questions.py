"""The questions of a record: what only a live gateway can answer. Pure.

Their order is fixed, because some need an earlier answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intake_futu_short.calls import SHORT_INTEREST, SHORT_SELLING_RANK, SHORT_VOLUME
from intake_futu_short.opend.replies import text
from intake_futu_short.pages import END
from intake_futu_short.rank_requests import SORTS, request_body
from intake_futu_short.security import HK, US, Security

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intake_futu_short.calls import Call
    from intake_futu_short.security import Market

    # Contents of the answers so far, in the order of the questions; None for a missing answer.
    Answers = Sequence[Any]

__all__ = ["CODES", "Item", "items"]

CODES = ("US.AAPL", "HK.00700")

_RANK_ROWS = SHORT_SELLING_RANK.max_rows
_FAR_BEYOND = 1_000_000


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes
    ----------
    title : str
        The question in words.
    call : Call
        The call of the gateway.
    market : Market
        The market of the rows.
    body : callable
        Takes the contents of the answers so far and gives the body of the request; None when it
        needs an answer that did not come.
    """

    title: str
    call: Call
    market: Market
    body: Callable[[Answers], bytes | None]


def items(us: Security, hk: Security) -> list[Item]:
    """The questions in their order, about a ticker of each market; 15 at most."""
    volume, interest = SHORT_VOLUME, SHORT_INTEREST
    # No security has it: codes and plates are upper case and shorter.
    nobody, no_plate = Security(US, "NOSUCHCODE"), Security(US, "NOSUCHPLATE")
    return [
        _page(volume, us, "newest page", 2),
        _page(volume, us, "page after that of answer 1", 2, _cursor_of(0)),
        # Enough to recompute the gateway's average of 20 sessions.
        _page(volume, hk, "newest page", 25),
        _page(volume, us, f"next_key={END!r}", 2, lambda _: END),
        _page(volume, us, f"the cursor of answer 3, which is {hk}'s", 2, _cursor_of(2)),
        _page(volume, us, "next_key='no-such-cursor'", 2, lambda _: "no-such-cursor"),
        _page(volume, us, "newest page", 51),
        _page(volume, us, "newest page", 0),
        _page(volume, nobody, "newest page", 2),
        _page(interest, us, "newest page", 10),
        _page(interest, hk, "newest page", 10),
        _rank(US, "first rows", lambda _: 0),
        _rank(HK, "first rows", lambda _: 0),
        _rank(US, "rows beyond the last", _beyond(11)),
        _rank(US, f"plate {no_plate}", lambda _: 0, no_plate),
    ]


def _page(
    call: Call,
    security: Security,
    what: str,
    num: int,
    cursor: Callable[[Answers], str | None] | None = None,
) -> Item:
    def body(answers: Answers) -> bytes | None:
        if cursor is None:
            return call.request(security, None, num)
        next_key = cursor(answers)
        return None if next_key is None else call.request(security, next_key, num)

    title = f"{call.title} of {security}: {what}, num={num}"
    return Item(title, call, security.market, body)


def _cursor_of(number: int) -> Callable[[Answers], str | None]:
    def cursor(answers: Answers) -> str | None:
        answer = answers[number]
        key = "" if answer is None else text(answer.next_key)
        return None if key in {"", END} else key

    return cursor


def _rank(
    market: Market, what: str, offset: Callable[[Answers], int], plate: Security | None = None
) -> Item:
    call = SHORT_SELLING_RANK

    def body(answers: Answers) -> bytes:
        return request_body(
            market=market.number,
            sort_field=SORTS["short_ratio"],
            sort_dir=0,
            offset=offset(answers),
            count=_RANK_ROWS,
            plates=[] if plate is None else [plate],
        )

    title = f"{call.title} of {market.name} by short ratio: {what}, count={_RANK_ROWS}"
    return Item(title, call, market, body)


def _beyond(number: int) -> Callable[[Answers], int]:
    def offset(answers: Answers) -> int:
        answer = answers[number]
        return answer.all_count if answer is not None and answer.all_count else _FAR_BEYOND

    return offset
