"""``futu-short doctor``: checks each step from the installed packages to one answered request.

Takes one request of the gateway's limit, and counts it like any other.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from intake_futu_short import arguments
from intake_futu_short.calls import SHORT_VOLUME, Ticker
from intake_futu_short.errors import (
    ConfigError,
    FutuShortError,
    GatewayDisconnectedError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    QuoteRightError,
    UnknownSecurityError,
    sentence,
)
from intake_futu_short.gateway import sample_gateway
from intake_futu_short.opend import replies
from intake_futu_short.opend.address import DEFAULT_URL, ENVIRONMENT_VARIABLE, GatewayURL
from intake_futu_short.opend.connection import Answer, Connection, Failed, Ready
from intake_futu_short.opend.dial import host_at, read_key
from intake_futu_short.opend.limit import HostLimit
from intake_futu_short.opend.line import CONNECT_S
from intake_futu_short.optional import CRYPTOGRAPHY, DASK, EXCHANGE_CALENDARS, MATPLOTLIB
from intake_futu_short.pages import page_of
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


__all__ = ["DEFAULT_CODE", "Finding", "examine"]

# The ticker that is asked for when none is named.
DEFAULT_CODE = "US.AAPL"

NEEDED = ("intake-futu-short", "intake", "pandas", "protobuf", "fsspec")
OPTIONAL = {
    "dask": DASK,
    "cryptography": CRYPTOGRAPHY,
    "matplotlib": MATPLOTLIB,
    "exchange_calendars": EXCHANGE_CALENDARS,
}


@dataclass(frozen=True)
class Finding:
    """What one step found.

    Attributes
    ----------
    step : str
        What was checked.
    state : {"ok", "failed", "not tried"}
        "not tried" when a step that it needs failed.
    text : str
        What was found and, after a failure, what to do.
    """

    step: str
    state: str
    text: str


def examine(
    gateway: str | None = None,
    code: str | None = None,
    rsa_key: str | None = None,
    *,
    asks: bool = True,
) -> Iterator[Finding]:
    """Check all that a read needs, in order, and yield each finding as soon as it is known.

    Parameters
    ----------
    gateway : str, optional
        As ``gateway=`` of a source.
    code : str, optional
        The ticker of the one request; by default `DEFAULT_CODE`, which a healthy gateway need not
        know.
    rsa_key : str, optional
        Path of the key, as ``rsa_key=`` of a source.
    asks : bool
        Whether the request is made; False leaves its step out.
    """
    with ExitStack() as opened:
        yield from _Examination(gateway, code, rsa_key, opened).run(asks=asks)


class _Examination:
    def __init__(
        self, gateway: str | None, code: str | None, rsa_key: str | None, opened: ExitStack
    ) -> None:
        self._given = gateway
        self._rsa_key = rsa_key
        self._is_code_given = code is not None
        self._ticker = Ticker(Security.parse(code or DEFAULT_CODE), SHORT_VOLUME)
        self._opened = opened
        self._url: GatewayURL | None = None  # as the user means it
        self._address: GatewayURL | None = None  # where that is; the sample has a port too
        self._socket: socket.socket | None = None
        self._connection: Connection | None = None  # once hands are shaken
        self._newest = ""  # trading day

    def run(self, *, asks: bool) -> Iterator[Finding]:
        steps: list[tuple[str, Callable[[], str], Callable[[], object]]] = [
            ("versions", self._versions, lambda: True),
            ("gateway", self._gateway, lambda: True),
            ("connection", self._connect, lambda: self._url),
            ("handshake", self._greet, lambda: self._socket),
            *([("request", self._ask, lambda: self._connection)] if asks else []),
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
        found += [_version(name, package.install) for name, package in OPTIONAL.items()]
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
            gateway = self._opened.enter_context(sample_gateway(address.rsa_key))
            address = replace(GatewayURL.parse(gateway.url), limit="off")
        try:
            self._socket = self._opened.enter_context(
                socket.create_connection((address.host, address.port), CONNECT_S)
            )
        except (OSError, UnicodeError) as error:  # IDNA refuses some labels
            raise GatewayUnreachableError(
                f"no TCP connection to {address.host}, port {address.port}: {error}. Start OpenD, "
                f"log in, and compare host and port with its settings (api_ip, api_port)"
            ) from error
        self._address = address
        return f"{address.host}, port {address.port} takes connections"

    def _greet(self) -> str:
        assert self._address is not None  # noqa: S101 - run() sees to it
        path = self._address.rsa_key
        key = None if path is None else read_key(path)
        connection = Connection(str(self._address), key, self._address.algorithm)
        connection.open()
        ready = self._exchange(
            connection, CONNECT_S,
            "to the handshake. Is it OpenD's API port, and OpenD logged in? It must be set to the "
            "RSA key that --rsa-key names here, or to none",
        )  # fmt: skip
        assert isinstance(ready, Ready)  # noqa: S101 - nothing else comes first
        self._connection = connection
        how = "not encrypted" if key is None else f"encrypted with the key in {path}"
        return f"server version {ready.server_version}, {how}"

    def _ask(self) -> str:
        limit = self._counted()
        if limit is None:
            return self._ask_now()
        while (taken := limit.take(arguments.DEFAULT_TIMEOUT_S))[1] is None:
            time.sleep(min(taken[0], 0.25))
        try:
            return self._ask_now()
        finally:
            limit.end(taken[1])
            limit.close()

    def _ask_now(self) -> str:
        assert self._connection is not None  # noqa: S101 - run() sees to it
        ticker = self._ticker
        began = time.monotonic()
        self._connection.request(ticker.call.proto_id, ticker.question(None, 1).body)
        answer = self._exchange(
            self._connection, arguments.DEFAULT_TIMEOUT_S,
            f"for {ticker}. OpenD may be busy or cut off from its servers",
        )  # fmt: skip
        assert isinstance(answer, Answer)  # noqa: S101 - the handshake is done
        took_ms = 1000 * (time.monotonic() - began)
        asked = f"{ticker} from {self._url}"
        try:
            answered = replies.decode(ticker.call.messages.Response, answer.body, asked).s2c
        except UnknownSecurityError as error:
            if self._is_code_given:
                raise
            return (
                f"the gateway answered in {took_ms:.0f} ms, and does not know {ticker} "
                f"({error.message!r}). Name a ticker that it knows with --code"
            )
        except QuoteRightError as error:
            if self._is_code_given:
                raise
            raise FutuShortError(
                f"{sentence(error)} A ticker of a market that the account has the right for can be "
                "named with --code"
            ) from error
        text = f"{ticker} answered in {took_ms:.0f} ms"
        days = page_of(answered, ticker).days
        if not days:
            return f"{text}, without rows"
        self._newest = days[0]
        return f"{text}, newest trading day {self._newest}"

    def _exchange(self, connection: Connection, timeout: float, what: str) -> Ready | Answer:
        """Send what is queued, and return the first event that follows."""
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

    def _counted(self) -> HostLimit | None:
        """The counter of requests that a read would use; None when they are not counted."""
        assert self._address is not None  # noqa: S101 - run() sees to it
        assert self._socket is not None  # noqa: S101 - tells mypy that it is open
        call = self._ticker.call
        limit = self._address.limit_of(call.limit)
        if limit is None:
            return None
        place = f"{host_at(self._socket)}:{self._address.port}"
        return HostLimit(place, call.name, limit, name=str(self._url))

    def _limit(self) -> str:
        assert self._address is not None  # noqa: S101 - run() sees to it
        limit = self._address.limit_of(self._ticker.call.limit)
        counted = self._counted()
        if limit is None or counted is None:
            return "not counted here (limit=off, or the sample)"
        try:
            file = counted.locate()
        except OSError as error:
            raise FutuShortError(
                f"the count of requests cannot be kept in a file ({error}), so each process counts "
                "for itself and several together may ask too often: make the user's cache "
                "directory writable, or set XDG_CACHE_HOME to one that is"
            ) from error
        finally:
            counted.close()
        return f"{limit} counted for all processes in {file}"

    def _clock(self) -> str:
        now = dt.datetime.now().astimezone()
        text = f"{now:%Y-%m-%d %H:%M:%S %Z}"
        # East of here a day begins up to fourteen hours earlier.
        if self._newest > (now + dt.timedelta(hours=14)).date().isoformat():
            raise FutuShortError(
                f"this computer's clock says {text}, which is before the newest trading day, "
                f"{self._newest}: set it, since it decides whether a stored history is up to date"
            )
        return text


def _version(name: str, install: str) -> str:
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return f"no {name} ({install})"
