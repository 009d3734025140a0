"""``futu-short doctor``: from the installed packages to one answered request, a finding a step.

Takes one request of the gateway's limit, and counts it like any other.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib.metadata
import os
import platform
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intake_futu_short import arguments
from intake_futu_short.errors import (
    ConfigError,
    FutuShortError,
    GatewayDisconnectedError,
    GatewayTimeoutError,
    GatewayUnreachableError,
)
from intake_futu_short.gateway.shared_sample import SharedSample
from intake_futu_short.opend import key_file, replies
from intake_futu_short.opend.address import DEFAULT_URL, ENVIRONMENT_VARIABLE, GatewayURL
from intake_futu_short.opend.client import CONNECT_TIMEOUT_S, host_at
from intake_futu_short.opend.connection import (
    DAILY_SHORT_VOLUME,
    Answer,
    Connection,
    Failed,
    Ready,
)
from intake_futu_short.opend.messages_pb2 import DailyShortVolume
from intake_futu_short.opend.slot_file import BusyError, SlotFile
from intake_futu_short.opend.turns import Turns
from intake_futu_short.pages import Walk
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intake_futu_short.opend.limiter import Limit

__all__ = ["Finding", "examine"]

NEEDED = ("intake-futu-short", "intake", "pandas", "protobuf", "fsspec")
# Distribution → the extra that brings it.
OPTIONAL = {"dask": "dask", "cryptography": "encryption", "matplotlib": "plot"}


@dataclass(frozen=True)
class Finding:
    """What one step found.

    Attributes
    ----------
    step : str
        What was looked at.
    state : {"ok", "failed", "not tried"}
        A step is not tried when one that it needs failed.
    text : str
        What was found and, when it failed, what to do.
    """

    step: str
    state: str
    text: str


def examine(
    gateway: str | None = None, code: str = "HK.00700", rsa_key: str | None = None
) -> Iterator[Finding]:
    """Look at everything a read needs, in order; each finding comes as soon as it is there.

    Parameters
    ----------
    gateway : str, optional
        As ``gateway=`` of a source.
    code : str
        The ticker that the one request asks for.
    rsa_key : str, optional
        Path of the key, as ``rsa_key=`` of a source.
    """
    with ExitStack() as opened:
        yield from _Examination(gateway, code, rsa_key, opened).run()


class _Examination:
    def __init__(
        self, gateway: str | None, code: str, rsa_key: str | None, opened: ExitStack
    ) -> None:
        self._given = gateway
        self._rsa_key = rsa_key
        self._security = Security.parse(code)
        self._opened = opened
        self._url: GatewayURL | None = None  # as the user means it
        self._address: GatewayURL | None = None  # where that is; the sample has a port too
        self._socket: socket.socket | None = None
        self._connection: Connection | None = None  # once hands are shaken
        self._newest = ""  # trading day

    def run(self) -> Iterator[Finding]:
        steps: list[tuple[str, Callable[[], str], Callable[[], object]]] = [
            ("versions", self._versions, lambda: True),
            ("gateway", self._gateway, lambda: True),
            ("connection", self._connect, lambda: self._url),
            ("handshake", self._greet, lambda: self._socket),
            ("request", self._ask, lambda: self._connection),
            ("limit", self._limit, lambda: self._address),
            ("clock", self._clock, lambda: True),
        ]
        for name, step, needs in steps:
            if not needs():
                yield Finding(name, "not tried", "needs what failed above")
                continue
            try:
                yield Finding(name, "ok", step())
            except (FutuShortError, ImportError, OSError) as error:
                yield Finding(name, "failed", str(error))

    def _versions(self) -> str:
        found = [f"Python {platform.python_version()}"]
        found += [f"{name} {importlib.metadata.version(name)}" for name in NEEDED]
        found += [_version(name, extra) for name, extra in OPTIONAL.items()]
        return ", ".join(found)

    def _gateway(self) -> str:
        given, origin = arguments.gateways(self._given), "given"
        if given is None:
            given = arguments.gateways(os.environ.get(ENVIRONMENT_VARIABLE))
            origin = f"from ${ENVIRONMENT_VARIABLE}"
        if given is None:
            given, origin = DEFAULT_URL, f"the default; ${ENVIRONMENT_VARIABLE} is not set"
        if isinstance(given, list):
            raise ConfigError(
                f"{len(given)} gateways are named ({', '.join(given)}; {origin}): look at one at a "
                "time, which --gateway names"
            )
        self._url = GatewayURL.parse(given).with_rsa_key(arguments.rsa_key(self._rsa_key))
        return f"{self._url} ({origin})"

    def _connect(self) -> str:
        assert self._url is not None  # noqa: S101 - run() sees to it
        address = self._url
        if address.is_sample:
            sample = SharedSample(address.rsa_key)
            self._opened.callback(sample.close)
            address = sample.address
        try:
            self._socket = self._opened.enter_context(
                socket.create_connection((address.host, address.port), CONNECT_TIMEOUT_S)
            )
        except OSError as error:
            raise GatewayUnreachableError(
                f"no TCP connection to {address.host}, port {address.port}: {error}. Start OpenD, "
                f"log in, and compare host and port with its settings (api_ip, api_port)"
            ) from error
        self._address = address
        return f"{address.host}, port {address.port} takes connections"

    def _greet(self) -> str:
        assert self._address is not None  # noqa: S101 - run() sees to it
        path = self._address.rsa_key
        key = None if path is None else key_file.read(path)
        connection = Connection(str(self._address), key, self._address.algorithm)
        connection.open()
        ready = self._exchange(
            connection, CONNECT_TIMEOUT_S,
            "to the handshake. Is it OpenD's API port, and OpenD logged in? It must be set to the "
            "RSA key that rsa_key= names here, or to none",
        )  # fmt: skip
        assert isinstance(ready, Ready)  # noqa: S101 - nothing else comes first
        self._connection = connection
        how = "not encrypted" if key is None else f"encrypted with the key in {path}"
        return f"server version {ready.server_version}, {how}"

    def _ask(self) -> str:
        assert self._address is not None  # noqa: S101 - run() sees to it
        if self._address.limit is None:
            return self._ask_now()
        return asyncio.run(self._ask_in_turn(self._address.limit))

    async def _ask_in_turn(self, limit: Limit) -> str:
        turns = Turns(*self._counted_by(), str(self._url))
        slot = await turns.take(limit, arguments.DEFAULT_TIMEOUT_S)
        try:
            return self._ask_now()
        finally:
            await turns.end(slot)

    def _ask_now(self) -> str:
        assert self._connection is not None  # noqa: S101 - run() sees to it
        request = DailyShortVolume.Request()
        request.c2s.security.market = self._security.market.number
        request.c2s.security.code = self._security.symbol
        request.c2s.num = 1
        began = time.monotonic()
        self._connection.request(DAILY_SHORT_VOLUME, request.SerializeToString())
        answer = self._exchange(
            self._connection, arguments.DEFAULT_TIMEOUT_S,
            f"for {self._security}. OpenD may be busy or cut off from its servers",
        )  # fmt: skip
        assert isinstance(answer, Answer)  # noqa: S101 - it is shaken hands already
        took_ms = 1000 * (time.monotonic() - began)
        asked = f"{self._security} from {self._url}"
        answered = replies.decode(DailyShortVolume.Response, answer.body, asked).s2c
        text = f"{self._security} answered in {took_ms:.0f} ms"
        if not answered.us_items and not answered.hk_items:
            return f"{text}, without rows"
        walk = Walk(lambda _: answered, self._security, origin=str(self._url))
        walk.next_page()
        self._newest = walk.pages[0].days[0]
        return f"{text}, newest trading day {self._newest}"

    def _exchange(self, connection: Connection, timeout: float, what: str) -> Ready | Answer:
        """Send what waits to be sent; the first thing that comes of it."""
        assert self._socket is not None  # noqa: S101 - run() sees to it
        ends = time.monotonic() + timeout
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(connection.data_to_send())
            while not (events := connection.events_received()):
                self._socket.settimeout(max(ends - time.monotonic(), 0.001))
                if data := self._socket.recv(65536):
                    connection.receive_data(data)
                else:
                    connection.receive_eof()
        except TimeoutError as error:
            raise GatewayTimeoutError(f"no answer within {timeout:g} s {what}") from error
        except OSError as error:
            raise GatewayDisconnectedError(f"the connection broke ({error})") from error
        first = events[0]
        if isinstance(first, Failed):
            raise first.error
        return first

    def _counted_by(self) -> tuple[str, int]:
        """Address and port by which requests are counted, as the client names them."""
        assert self._address is not None  # noqa: S101 - run() sees to it
        assert self._socket is not None  # noqa: S101 - tells mypy that it is open
        return host_at(self._socket), self._address.port

    def _limit(self) -> str:
        assert self._address is not None  # noqa: S101 - run() sees to it
        limit = self._address.limit
        if limit is None:
            return "not counted here (limit=off, or the sample)"
        file = SlotFile(*self._counted_by(), time.monotonic)
        try:
            with file.visit():
                pass
        except BusyError:
            pass  # others use it, so it works
        except OSError as error:
            raise FutuShortError(
                f"{file.path} cannot be written ({error}), so each process counts for itself and "
                "several together may ask too often: make the directory writable, or set "
                "XDG_CACHE_HOME to one that is"
            ) from error
        return f"{limit} counted for all processes in {file.path}"

    def _clock(self) -> str:
        now = dt.datetime.now().astimezone()
        text = f"{now:%Y-%m-%d %H:%M:%S %Z}"
        # A day begins somewhere up to fourteen hours before it does here.
        if self._newest > (now + dt.timedelta(hours=14)).date().isoformat():
            raise FutuShortError(
                f"this computer's clock says {text}, which is before the newest trading day, "
                f"{self._newest}: set it, since it decides whether a stored history is up to date"
            )
        return text


def _version(name: str, extra: str) -> str:
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return f"no {name} (extra [{extra}])"
