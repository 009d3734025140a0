"""The faults that a walk of 31 pages must survive, each with what may come of it."""

from __future__ import annotations

import asyncio
import random
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fault_proxy import Act, Reply, pass_on
from second_gateway import MODULES, SecondGateway, frame, official, refusal_body
from second_rows import DAILY_SHORT_VOLUME, FIELDS_OF, SHORT_INTEREST, History, Row, make_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PAGE_ROWS = 50
# 30 full pages, and an empty one that only says that there are no more.
ROWS_OF = {call: make_rows("US", 1500, call=call) for call in (DAILY_SHORT_VOLUME, SHORT_INTEREST)}
PAGES = 31
PLACES = (1, 2, 16, 31)
NEW_DAY: Row = {"timestamp": 1781841600, "timestampStr": "2026-06-19"}


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Attributes
    ----------
    act
        What the proxy does to the answers of the page; by default it passes them on.
    answer
        What the gateway itself answers instead, given itself and the page's cursor.
    always
        The proxy: each time that the page is asked for, not the first time only. The gateway: at
        all later pages too.
    everywhere
        To every frame of the walk, whatever page.
    places
        At which pages; by default `PLACES`.
    error
        Name of the error that must come of it; None: the history must be whole.
    timeout_s
        Seconds for each answer. A read that must wait for it takes a short one.
    patience
        Bounds of trying again that differ from those of the other faults.
    """

    act: Act = pass_on
    answer: Callable[[Tricky, str | None], bytes] | None = None
    always: bool = False
    everywhere: bool = False
    places: tuple[int, ...] = PLACES
    error: str | None = None
    timeout_s: float = 5.0
    patience: tuple[tuple[str, float], ...] = ()


# -- what the proxy does ------------------------------------------------------------------------


async def reset_before(reply: Reply) -> None:
    reply.reset()


async def reset_during(reply: Reply) -> None:
    await reply.send(reply.data[: len(reply.data) // 2])
    reply.reset()


async def reset_after(reply: Reply) -> None:
    await reply.send(reply.data)
    reply.reset()


async def cut(reply: Reply) -> None:
    await reply.send(reply.data[: len(reply.data) // 2])
    reply.close()


async def crumbs(reply: Reply) -> None:
    for i in range(len(reply.data)):
        await reply.send(reply.data[i : i + 1])


async def nothing(_: Reply) -> None:
    pass


def instead(body: bytes, **wrong: Any) -> Act:
    """A frame with this body; `wrong` spoils its header."""

    async def act(reply: Reply) -> None:
        await reply.send(frame(reply.proto_id, reply.serial, body, **wrong))

    return act


async def noise(reply: Reply) -> None:
    await reply.send(random.Random(1).randbytes(64) + reply.data)


async def two_gib(reply: Reply) -> None:
    await reply.send(frame(reply.proto_id, reply.serial, b"", length=2**31) + reply.data)


async def foreign_serial(reply: Reply) -> None:
    await reply.send(frame(reply.proto_id, reply.serial + 1_000_000, reply.data[44:]))


async def among_pushes(reply: Reply) -> None:
    push = frame(1003, 0, b'{"connStatus": 1}', body_format=1)
    await reply.send(push + frame(3005, reply.serial, bytes(20_000)) + reply.data + push)


class Shuffled:
    """Holds answers to pages back until there are two, or no second one comes, and turns them."""

    def __init__(self) -> None:
        self._held: list[Reply] = []

    async def __call__(self, reply: Reply) -> None:
        if reply.proto_id not in FIELDS_OF:
            await pass_on(reply)
            return
        self._held.append(reply)
        if len(self._held) == 2:
            await self._let_go()
        else:
            reply.proxy.later(self._let_go, 0.05)

    async def _let_go(self) -> None:
        while self._held:
            await pass_on(self._held.pop())


async def restart(reply: Reply) -> None:
    reply.proxy.hang_up()
    reply.proxy.later(reply.proxy.listen, 0.3)


async def gone(reply: Reply) -> None:
    reply.proxy.hang_up()


def slow(seconds: float) -> Act:
    async def act(reply: Reply) -> None:
        await asyncio.sleep(seconds)
        await reply.send(reply.data)

    return act


async def dead_line(_: Reply) -> None:
    # This line passes nothing on any more; a new one does.
    await asyncio.Event().wait()


# -- what the gateway itself does ---------------------------------------------------------------


class Tricky(SecondGateway):
    """A gateway that at one page of a call does what the live one might."""

    def __init__(
        self,
        fault: Fault,
        place: int,
        histories: Mapping[str, History],
        call: int = DAILY_SHORT_VOLUME,
    ) -> None:
        super().__init__()
        self.call = call
        self.served = self.histories if call == DAILY_SHORT_VOLUME else self.short_interest
        self.served.update(histories)
        self._fault = fault
        self._cursors: list[str | None] = []
        self._place = place
        self.tricks = 0
        self._page_lock = threading.Lock()

    def _page(
        self,
        proto_id: int,
        history: History | None,
        code: str,
        next_key: str | None,
        num: int | None,
    ) -> bytes:
        assert proto_id == self.call
        with self._page_lock:
            if next_key not in self._cursors:
                self._cursors.append(next_key)
            page = self._cursors.index(next_key) + 1
            here = page >= self._place if self._fault.always else page == self._place
            if self._fault.answer is not None and here and code == "US.AAPL":
                self.tricks += 1
                return self._fault.answer(self, next_key)
            return super()._page(proto_id, history, code, next_key, num)

    def right(self, next_key: str | None) -> bytes:
        history = self.served["US.AAPL"]
        return super()._page(self.call, history, "US.AAPL", next_key, PAGE_ROWS)

    def response(self, rows: Sequence[Row], next_key: str) -> bytes:
        messages = official(MODULES[self.call])
        answer = messages.Response(retType=0, s2c=messages.S2C(nextKey=next_key))
        for row in rows:
            answer.s2c.usItemList.add(**row)
        return bytes(answer.SerializeToString())


def empty_page(gateway: Tricky, next_key: str | None) -> bytes:
    # "0050" is where "50" is, and another cursor.
    return gateway.response([], "000" + (next_key or "0"))


def last_row_repeated(gateway: Tricky, next_key: str | None) -> bytes:
    rows = ROWS_OF[gateway.call]
    begin = int(next_key or 0)
    end = min(begin + PAGE_ROWS, len(rows))
    return gateway.response(rows[begin:end], str(end - 1) if end - 1 > begin else "-1")


def new_day(gateway: Tricky, next_key: str | None) -> bytes:
    rows = ROWS_OF[gateway.call]
    if next_key is not None:  # else it came before the walk, and the first page has it anyway
        gateway.served["US.AAPL"] = History("US", [{**rows[0], **NEW_DAY}, *rows])
    return gateway.right(next_key)


def same_cursor(gateway: Tricky, next_key: str | None) -> bytes:
    begin = int(next_key or 0)
    return gateway.response(ROWS_OF[gateway.call][begin : begin + PAGE_ROWS], next_key or "0")


UNDECODABLE = b"\x08\x00\x22\x7f\x0a"
NO_S2C = b"\x08\x00"
TOO_FREQUENT = refusal_body("获取每日卖空频率太高，请求失败，每30秒最多30次。")  # noqa: RUF001 - its words
SILENT_S = 0.25

FAULTS: dict[str, Fault] = {
    "no fault": Fault(),
    "reset before the reply": Fault(reset_before),
    "reset during the reply": Fault(reset_during),
    "reset after the reply": Fault(reset_after),
    "reset before the reply, always": Fault(
        reset_before, always=True, error="GatewayDisconnectedError"
    ),
    "reply cut in the middle": Fault(cut),
    "every reply byte by byte": Fault(crumbs, everywhere=True),
    "no answer": Fault(nothing, timeout_s=SILENT_S),
    "no answer, always": Fault(
        nothing, always=True, error="GatewayTimeoutError", timeout_s=SILENT_S
    ),
    "wrong SHA-1": Fault(instead(NO_S2C, sha1=bytes(20))),
    "wrong SHA-1, always": Fault(
        instead(NO_S2C, sha1=bytes(20)), always=True, error="ProtocolError"
    ),
    "undecodable body": Fault(instead(UNDECODABLE)),
    "undecodable body, always": Fault(instead(UNDECODABLE), always=True, error="ProtocolError"),
    "64 random bytes between frames": Fault(noise),
    "a length of 2 GiB": Fault(two_gib),
    "a foreign serial number": Fault(foreign_serial, timeout_s=SILENT_S),
    "replies out of order": Fault(Shuffled(), everywhere=True),
    "pushes between all replies": Fault(among_pushes, everywhere=True),
    "an empty page with a cursor": Fault(answer=empty_page),
    "the last row repeated": Fault(answer=last_row_repeated),
    "a new trading day in mid-walk": Fault(answer=new_day),
    "the same cursor for ever": Fault(answer=same_cursor, always=True, error="PaginationError"),
    "success without s2c": Fault(instead(NO_S2C)),
    "success without s2c, always": Fault(instead(NO_S2C), always=True, error="ProtocolError"),
    "too frequent": Fault(instead(TOO_FREQUENT)),
    "gateway restarted": Fault(restart),
    "gateway gone for good": Fault(
        gone, error="GatewayUnreachableError", patience=(("reconnect_s", 0.5),)
    ),
    "gateway slow": Fault(slow(0.5), places=(1, 16)),
    "heartbeat unanswered": Fault(dead_line, timeout_s=60.0, patience=(("silence_s", 0.5),)),
}
