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
from typing import TYPE_CHECKING, NamedTuple, TypeVar

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
    from collections.abc import Callable, Generator, Iterator

__all__ = ["DEFAULT_CODE", "Finding", "examine"]

T = TypeVar("T")

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


class _Endpoint(NamedTuple):
    """Where the gateway listens, and a socket connected to it. The sample has a port too."""

    address: GatewayURL
    sock: socket.socket


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
    """The steps, each of which returns its finding's text and what later steps need."""

    def __init__(
        self, gateway: str | None, code: str | None, rsa_key: str | None, opened: ExitStack
    ) -> None:
        self._given = gateway
        self._rsa_key = rsa_key
        self._is_code_given = code is not None
        self._ticker = Ticker(Security.parse(code or DEFAULT_CODE), SHORT_VOLUME)
        self._opened = opened

    def run(self, *, asks: bool) -> Iterator[Finding]:
        yield from _step("versions", self._versions)
        url = yield from _step("gateway", self._gateway)
        endpoint = yield from _step("connection", self._connect, url)
        connection = yield from _step("handshake", self._greet, endpoint)
        newest = None
        if asks:
            newest = yield from _step("request", self._ask, endpoint, connection, url)
        yield from _step("limit", self._limit, endpoint, url)
        yield from _step("clock", self._clock, newest or "")

    def _versions(self) -> tuple[str, None]:
        found = [f"Python {platform.python_version()}"]
        found += [f"{name} {importlib.metadata.version(name)}" for name in NEEDED]
        found += [_version(name, package.install) for name, package in OPTIONAL.items()]
        return ", ".join(found), None

    def _gateway(self) -> tuple[str, GatewayURL]:
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
        url = GatewayURL.parse(given).with_rsa_key(arguments.rsa_key(self._rsa_key))
        return f"{url} ({origin})", url

    def _connect(self, url: GatewayURL) -> tuple[str, _Endpoint]:
        address = url
        if address.is_sample:
            gateway = self._opened.enter_context(sample_gateway(address.rsa_key))
            address = replace(GatewayURL.parse(gateway.url), limit="off")
        try:
            sock = self._opened.enter_context(
                socket.create_connection((address.host, address.port), CONNECT_S)
            )
        except (OSError, UnicodeError) as error:  # IDNA refuses some labels
            raise GatewayUnreachableError(
                f"no TCP connection to {address.host}, port {address.port}: {error}. Start OpenD, "
                f"log in, and compare host and port with its settings (api_ip, api_port)"
            ) from error
        return f"{address.host}, port {address.port} takes connections", _Endpoint(address, sock)

    def _greet(self, endpoint: _Endpoint) -> tuple[str, Connection]:
        address = endpoint.address
        path = address.rsa_key
        key = None if path is None else read_key(path)
        connection = Connection(str(address), key, address.algorithm)
        connection.open()
        ready = _exchange(
            endpoint.sock, connection, CONNECT_S,
            "to the handshake. Is it OpenD's API port, and OpenD logged in? It must be set to the "
            "RSA key that --rsa-key names here, or to none",
        )  # fmt: skip
        assert isinstance(ready, Ready)  # noqa: S101 - nothing else comes first
        how = "not encrypted" if key is None else f"encrypted with the key in {path}"
        return f"server version {ready.server_version}, {how}", connection

    def _ask(self, endpoint: _Endpoint, connection: Connection, url: GatewayURL) -> tuple[str, str]:
        limit = self._counted(endpoint, url)
        if limit is None:
            return self._ask_now(endpoint, connection, url)
        while (taken := limit.take(arguments.DEFAULT_TIMEOUT_S))[1] is None:
            time.sleep(min(taken[0], 0.25))
        try:
            return self._ask_now(endpoint, connection, url)
        finally:
            limit.end(taken[1])
            limit.close()

    def _ask_now(
        self, endpoint: _Endpoint, connection: Connection, url: GatewayURL
    ) -> tuple[str, str]:
        ticker = self._ticker
        began = time.monotonic()
        connection.request(ticker.call.proto_id, ticker.question(None, 1).body)
        answer = _exchange(
            endpoint.sock, connection, arguments.DEFAULT_TIMEOUT_S,
            f"for {ticker}. OpenD may be busy or cut off from its servers",
        )  # fmt: skip
        assert isinstance(answer, Answer)  # noqa: S101 - the handshake is done
        took_ms = 1000 * (time.monotonic() - began)
        asked = f"{ticker} from {url}"
        try:
            answered = replies.decode(ticker.call.messages.Response, answer.body, asked).s2c
        except UnknownSecurityError as error:
            if self._is_code_given:
                raise
            return (
                f"the gateway answered in {took_ms:.0f} ms, and does not know {ticker} "
                f"({error.message!r}). Name a ticker that it knows with --code"
            ), ""
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
            return f"{text}, without rows", ""
        return f"{text}, newest trading day {days[0]}", days[0]

    def _counted(self, endpoint: _Endpoint, url: GatewayURL) -> HostLimit | None:
        """The counter of requests that a read would use; None when they are not counted."""
        call = self._ticker.call
        limit = endpoint.address.limit_of(call.limit)
        if limit is None:
            return None
        place = f"{host_at(endpoint.sock)}:{endpoint.address.port}"
        return HostLimit(place, call.name, limit, name=str(url))

    def _limit(self, endpoint: _Endpoint, url: GatewayURL) -> tuple[str, None]:
        counted = self._counted(endpoint, url)
        if counted is None:
            return "not counted here (limit=off, or the sample)", None
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
        limit = endpoint.address.limit_of(self._ticker.call.limit)
        return f"{limit} counted for all processes in {file}", None

    def _clock(self, newest: str) -> tuple[str, None]:
        now = dt.datetime.now().astimezone()
        text = f"{now:%Y-%m-%d %H:%M:%S %Z}"
        # East of here a day begins up to fourteen hours earlier.
        if newest > (now + dt.timedelta(hours=14)).date().isoformat():
            raise FutuShortError(
                f"this computer's clock says {text}, which is before the newest trading day, "
                f"{newest}: set it, since it decides whether a stored history is up to date"
            )
        return text, None


def _step(
    name: str, do: Callable[..., tuple[str, T]], *needs: object
) -> Generator[Finding, None, T | None]:
    """Yield what a step found, and return what it made; None when it failed or was not tried."""
    if None in needs:
        yield Finding(name, "not tried", "needs what failed above")
        return None
    try:
        text, made = do(*needs)
    except (FutuShortError, ImportError, OSError) as error:
        yield Finding(name, "failed", str(error))
        return None
    yield Finding(name, "ok", text)
    return made


def _exchange(
    sock: socket.socket, connection: Connection, timeout: float, what: str
) -> Ready | Answer:
    """Send what is queued, and return the first event that follows."""
    ends = time.monotonic() + timeout
    try:
        sock.settimeout(timeout)
        sock.sendall(connection.data_to_send())
        while not (events := connection.events_received()):
            sock.settimeout(max(ends - time.monotonic(), 0.001))
            if data := sock.recv(65536):
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


def _version(name: str, install: str) -> str:
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return f"no {name} ({install})"
