"""A gateway on loopback that serves rows from files: ``sample://``, replay, tests.

Clients speak to it as to OpenD: over TCP, with the same frames and messages. `server` has the
sockets, `responder` decides what is answered.
"""

from __future__ import annotations

import ipaddress
import math
import socket
import threading
import time
from collections import ChainMap, UserDict
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from intake_futu_short import arguments
from intake_futu_short.calls import SHORT_INTEREST, SHORT_VOLUME
from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError, GatewayError
from intake_futu_short.gateway.histories import History, read_histories, sample_histories
from intake_futu_short.gateway.request_log import Request
from intake_futu_short.gateway.responder import Responder
from intake_futu_short.gateway.server import Bounds, Server
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.dial import read_key

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from typing_extensions import Self

    from intake_futu_short.calls import Call

__all__ = ["Gateway", "History", "Request", "read_histories", "sample_gateway", "sample_histories"]

# OpenD takes as many.
MAX_CONNECTIONS = 128
# Mappings that cost nothing to look through.
_AT_HAND = (dict, MappingProxyType, ChainMap, UserDict)
# Connections that wait to be taken. A client that finds no room tries again after a second.
BACKLOG = 1024


class Gateway:
    """Serves histories over the protocol of OpenD.

    Making one does no I/O. It runs between `start` and `close`, or within ``with``; then again
    after the next `start`.

    Parameters
    ----------
    histories : mapping of str to History
        By code. Looked up at every request: an entry may be replaced while the gateway runs. The
        lookup may take its time and runs in several threads at once. The short-selling rank lists
        every ticker that has a row, whatever the day of its newest one, and looks all of them up
        unless the mapping tells versions (`newest.Versioned`), as that of a store does.
    short_interest : mapping of str to History, optional
        The same with rows of short interest, whose newest gives the rank its positions. None:
        there are none of any security.
    host : str
        A loopback address, unless `allow_remote`.
    port : int
        TCP port; 0 takes a free one at every start.
    limit : (int, float), optional
        How many requests of each call for rows are answered within how many seconds, over all
        connections; the next is refused in OpenD's words. OpenD's own are ``(30, 30.0)``, and
        ``(60, 30.0)`` for the rank. None: no limit.
    latency_s : float
        Seconds by which each answer with rows is late; other requests do not wait for it.
    max_connections : int
        Connections at once. A further one takes the place of the oldest without a handshake; when
        all have shaken hands, it is closed.
    clock : callable
        Seconds that never go back, for `limit` and `requests`.
    rsa_key : str or path, optional
        File with the RSA private key (PEM) that encrypts every connection, read at every start; a
        client without the same key is turned away. None: nothing is encrypted.
    allow_remote : bool
        Allow another `host` too, such as ``"0.0.0.0"``. Everybody who reaches the port then reads
        everything: the protocol knows no password.
    aes_cbc : bool
        False: like an OpenD that does not know AES_CBC; a client that asks for it gets FTAES_ECB.
    handshake_s : float
        Seconds after which a connection without a handshake is closed.
    idle_s : float
        Seconds after which a connection without a further request is closed. Clients of OpenD send
        a heartbeat every 8 to 10 seconds.

    Raises
    ------
    ConfigError
        When an argument cannot work, or a history stands under the code of another. A mapping of
        the caller's own class is not looked through: it may load what it is asked for.
    """

    _server: Server | None = None

    def __init__(
        self,
        histories: Mapping[str, History],
        *,
        short_interest: Mapping[str, History] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        limit: tuple[int, float] | None = None,
        latency_s: float = 0.0,
        max_connections: int = MAX_CONNECTIONS,
        clock: Callable[[], float] = time.monotonic,
        rsa_key: str | os.PathLike[str] | None = None,
        allow_remote: bool = False,
        aes_cbc: bool = True,
        handshake_s: float = 5.0,
        idle_s: float = 60.0,
    ) -> None:
        positions = {} if short_interest is None else short_interest
        _check_histories("histories", histories, SHORT_VOLUME)
        _check_histories("short_interest", positions, SHORT_INTEREST)
        served = {SHORT_VOLUME: histories, SHORT_INTEREST: positions}
        _check_host(host, allow_remote=allow_remote)
        if type(port) is not int or not 0 <= port <= 65535:
            raise ConfigError(f"port must be a whole number from 0 to 65535, not {described(port)}")
        match limit:
            case None:
                pass
            case (count, seconds) if _is_at_least(count, 1) and _is_at_least(seconds, 1e-6):
                pass
            case _:
                raise ConfigError(
                    f"limit must be (requests, seconds), both above 0, not {described(limit)}"
                )
        bounds = Bounds(latency_s, max_connections, handshake_s, idle_s)
        for name, number in vars(bounds).items():
            least = 1 if name == "max_connections" else 0
            if not _is_at_least(number, least):
                raise ConfigError(
                    f"{name} must be a number, {least} or more, not {described(number)}"
                )
        self.host = host
        self._wanted_port = port
        self._bounds = bounds
        self._responder = Responder(served, limit, clock, threading.Lock())
        self._rsa_key = arguments.rsa_key(rsa_key)
        self._aes_cbc = aes_cbc
        self._starting = threading.Lock()

    @property
    def port(self) -> int:
        """TCP port it listens on; while it does not run, the one it was made with."""
        server = self._server
        return self._wanted_port if server is None else server.port

    @property
    def url(self) -> str:
        """What ``gateway=`` takes, such as ``"opend://127.0.0.1:52431"``."""
        return str(GatewayURL(self.host, self.port, rsa_key=self._rsa_key))

    @property
    def requests(self) -> list[Request]:
        """Requests for rows as they arrived, over all runs.

        Only the newest that fit into 32 MiB, about 100,000, are kept; codes and cursors are cut
        after 256 characters.
        """
        return self._responder.requests

    def start(self) -> Self:
        """Listen. Harmless when it runs already.

        Raises
        ------
        GatewayError
            When the port cannot be had.
        ConfigError
            When the RSA key cannot be used.
        """
        with self._starting:
            if self._server is None:
                key = None if self._rsa_key is None else read_key(self._rsa_key)
                family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
                try:
                    listening = socket.create_server(
                        (self.host, self._wanted_port), family=family, backlog=BACKLOG
                    )
                except (OSError, UnicodeError) as error:
                    raise GatewayError(f"cannot listen at {self.url}: {error}") from error
                self._server = Server(
                    listening, self._responder, self._bounds, key, aes_cbc=self._aes_cbc
                )
        return self

    def close(self) -> None:
        """Stop listening and close every connection. Harmless when done twice.

        Any thread may call it, also by garbage collection. In a forked child it lets go of the
        parent's gateway, which serves on.
        """
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def sample_gateway(rsa_key: str | os.PathLike[str] | None = None) -> Gateway:
    """Make the gateway behind ``sample://``, which does not run yet."""
    return Gateway(_sample(SHORT_VOLUME), short_interest=_sample(SHORT_INTEREST), rsa_key=rsa_key)


@cache  # reading the files takes longer than all else at a start
def _sample(call: Call) -> Mapping[str, History]:
    return sample_histories(call)


def _check_histories(name: str, histories: object, call: Call) -> None:
    if not isinstance(histories, Mapping):
        raise ConfigError(f"{name} must map codes to History objects, not {described(histories)}")
    # Another mapping may load what it is asked for.
    for code, history in histories.items() if isinstance(histories, _AT_HAND) else ():
        security = getattr(history, "security", None)
        if security is not None and history.call is not call:
            raise ConfigError(
                f"{name} takes histories of {call.title}, and has under {described(code)} one of "
                f"{history.call.title}"
            )
        if str(security) != code:
            raise ConfigError(
                f"{name} has under {described(code)} what is not the History of it, "
                f"but of {security}"
            )


def _check_host(host: object, *, allow_remote: bool) -> None:
    """Raise a ConfigError for what is no host, and for one that others reach unless allowed."""
    if allow_remote:
        GatewayURL.of(host, 1)
        return
    try:
        is_loopback = isinstance(host, str) and ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not is_loopback:
        raise ConfigError(
            "host must be a loopback address such as '127.0.0.1', "
            f"not {described(host)}: this gateway "
            "asks nobody for a password. allow_remote=True (--allow-remote of futu-short serve) "
            "listens there all the same"
        )


def _is_at_least(number: object, least: float) -> bool:
    return isinstance(number, (int, float)) and least <= number < math.inf
