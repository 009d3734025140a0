"""Single pages, asked for as a walk asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from second_gateway import PATIENCE_S, SecondGateway

from intake_futu_short.calls import SHORT_VOLUME, Question, Reply, Ticker
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.reading import open_gateways, read
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from intake_futu_short.opend.ask import Gateways

    Job = Generator[Question, Reply, Any]


def opened(*served: SecondGateway | str, timeout: float = PATIENCE_S) -> Gateways:
    """Gateways, by their URLs; nothing is connected yet."""
    urls = [one if isinstance(one, str) else one.url for one in served]
    return open_gateways([GatewayURL.parse(url) for url in urls], timeout)


def question(
    code: str = "US.AAPL",
    next_key: str | None = None,
    num: int | None = None,
    issuer: object = None,
) -> Question:
    return Ticker(Security.parse(code), SHORT_VOLUME).question(next_key, num, issuer)


def one_page(wanted: Question) -> Job:
    reply = yield wanted
    if reply.error is not None:
        raise reply.error
    return reply.answer


def ask(gateways: Gateways, *args: Any, **kwargs: Any) -> Any:
    """The answer to one question, whose error is raised."""
    results, failures = read({"": one_page(question(*args, **kwargs))}, gateways)
    for error in failures.values():
        raise error
    return results[""]


def walk(code: str, num: int | None = None) -> Job:
    """Days of every page, the cursors taken as they come."""
    days: list[str] = []
    key, issuer = None, None
    while key != "-1":
        reply = yield question(code, key, num, issuer)
        if reply.error is not None:
            raise reply.error
        days += days_of(reply.answer)
        key, issuer = reply.answer.next_key, reply.issuer
    return days


def days_of(answer: Any) -> list[str]:
    return [item.timestamp_str for item in (*answer.us_items, *answer.hk_items)]


def days_in(rows: Iterable[Any]) -> list[str]:
    """Trading days of rows as the second gateway has them."""
    return [row["timestampStr"] for row in rows]
