"""A proxy between a client and a gateway that spoils what passes, as networks and gateways do.

It knows frames, and which answer belongs to which page; it knows nothing of the package. One event
loop in one thread; every connection of a client gets one of its own to the gateway.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from second_gateway import HEADER, MODULES, PATIENCE_S, official
from second_rows import FIELDS_OF

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Reply:
    """One whole frame from the gateway, on its way to the client."""

    data: bytes
    proto_id: int
    serial: int
    line: Line
    proxy: FaultProxy

    async def send(self, data: bytes) -> None:
        self.line.to_client.write(data)
        await self.line.to_client.drain()

    def close(self) -> None:
        self.line.to_client.close()

    def reset(self) -> None:
        # Closing with no time to linger sends a reset.
        linger = struct.pack("ii", 1, 0)
        sock = self.line.to_client.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.line.to_client.transport.abort()


Act = Callable[[Reply], Awaitable[None]]


async def pass_on(reply: Reply) -> None:
    await reply.send(reply.data)


@dataclass(eq=False)
class Line:
    """A client's connection and the one to the gateway that answers it."""

    to_client: asyncio.StreamWriter
    to_gateway: asyncio.StreamWriter
    pages: dict[int, tuple[int, int]]  # serial → which page, and for which time


class FaultProxy:
    """Listens on a free port of 127.0.0.1, as a context manager.

    Parameters
    ----------
    gateway_port
        Where the gateway listens.
    act
        What becomes of an answer that is to be spoiled.
    page
        Which page's answers are spoiled, from 1 in the order in which they are first asked for;
        None spoils every frame.
    always
        Whether it is spoiled each time that it is asked for, or only the first time.

    Attributes
    ----------
    spoiled
        How many answers were.
    """

    def __init__(
        self, gateway_port: int, act: Act = pass_on, page: int | None = 1, *, always: bool = False
    ) -> None:
        self._gateway_port = gateway_port
        self._act = act
        self._page = page
        self._always = always
        self._asked: dict[bytes, list[int]] = {}  # cursor → page, times
        self._lines: set[Line] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._started = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._main(),))
        self.port = 0
        self.spoiled = 0

    @property
    def url(self) -> str:
        return f"opend://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def hang_up(self) -> None:
        """Stop listening and close every connection; to be called on the loop."""
        self._server.close()
        for line in self._lines:
            line.to_client.close()

    async def listen(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def later(self, what: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Do something in a while, whatever becomes of the connection."""

        async def wait_and_do() -> None:
            await asyncio.sleep(seconds)
            await what()

        task = asyncio.get_running_loop().create_task(wait_and_do())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        await self.listen()
        self._started.set()
        await self._stop.wait()
        for task in self._tasks:
            task.cancel()
        self.hang_up()
        while self._lines:  # noqa: ASYNC110 - each ends in its next turns
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # lets go of the sockets

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        gateway, to_gateway = await asyncio.open_connection("127.0.0.1", self._gateway_port)
        line = Line(to_client, to_gateway, {})
        pumps = [
            asyncio.ensure_future(p) for p in (self._up(client, line), self._down(gateway, line))
        ]
        self._lines.add(line)
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            to_client.close()
            to_gateway.close()
            self._lines.discard(line)

    async def _up(self, client: asyncio.StreamReader, line: Line) -> None:
        async for proto_id, serial, data in _frames(client):
            if proto_id in FIELDS_OF:
                line.pages[serial] = self._count(proto_id, data)
            line.to_gateway.write(data)
            await line.to_gateway.drain()

    async def _down(self, gateway: asyncio.StreamReader, line: Line) -> None:
        async for proto_id, serial, data in _frames(gateway):
            page, times = line.pages.pop(serial, (0, 0))
            spoil = self._page is None or (page == self._page and (self._always or times == 1))
            reply = Reply(data, proto_id, serial, line, self)
            self.spoiled += spoil
            await (self._act if spoil else pass_on)(reply)

    def _count(self, proto_id: int, frame: bytes) -> tuple[int, int]:
        messages: Any = official(MODULES[proto_id])
        c2s = messages.Request.FromString(frame[HEADER.size :]).c2s
        cursor = f"{c2s.security.code} {c2s.nextKey}".encode()
        asked = self._asked.setdefault(cursor, [len(self._asked) + 1, 0])
        asked[1] += 1
        return asked[0], asked[1]


async def _frames(stream: asyncio.StreamReader) -> AsyncIterator[tuple[int, int, bytes]]:
    """Protocol id, serial number and all bytes of each frame, until the stream ends."""
    try:
        while True:
            head = await stream.readexactly(HEADER.size)
            _, _, proto_id, _, _, serial, length, _, _ = HEADER.unpack(head)
            yield proto_id, serial, head + await stream.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return
