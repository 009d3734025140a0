"""A gateway on loopback that serves rows from files, for ``sample://``, for replay and for tests.

Clients talk to it as they talk to OpenD: over TCP, with the same frames and messages. `server` has
the sockets, and `responder` makes the answers.
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

from intake_futu_short import arguments, repr_table
from intake_futu_short.calls import SHORT_INTEREST, SHORT_VOLUME
from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError, GatewayError
from intake_futu_short.gateway.histories import History, read_histories, sample_histories
from intake_futu_short.gateway.request_log import Request
from intake_futu_short.gateway.responder import Responder
from intake_futu_short.gateway.server import Bounds, Server
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.dial import read_key
from intake_futu_short.wording import argument, either

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from typing_extensions import Self

    from intake_futu_short.calls import Call

__all__ = ["Gateway", "History", "Request", "read_histories", "sample_gateway", "sample_histories"]

# OpenD accepts this many.
MAX_CONNECTIONS = 128
# Mappings whose values are in memory, so that checking all of them costs nothing.
_AT_HAND = (dict, MappingProxyType, ChainMap, UserDict)
# How many connections may wait to be accepted. With more, a client tries again after a second.
BACKLOG = 1024


class Gateway:
    """Serves histories over the protocol of OpenD.

    Making a gateway does no I/O. It runs between `start` and `close`, or within ``with``. It can be
    started again after it was closed.

    Parameters
    ----------
    histories : mapping of str to History
        Histories by code. Every request looks its code up, so an entry may be replaced while the
        gateway runs. A lookup may take long, and several threads look up at once. The
        short-selling rank lists every ticker that has a row, even if its newest row is old. It
        therefore looks up all tickers, unless the mapping has versions
        (``gateway.newest.Versioned``), as the mapping of a store does.
    short_interest : mapping of str to History, optional
        Histories of short interest by code. The newest report of each also gives the rank its
        positions. None: there is no short interest.
    host : str
        A loopback address, unless `allow_remote`.
    port : int
        TCP port; 0 takes a free port at every start.
    limit : (int, float), optional
        Number of requests that are answered within a number of seconds, counted for each call for
        rows over all connections. Further requests are refused with OpenD's message. OpenD's own
        limit is ``(30, 30.0)``, and ``(60, 30.0)`` for the rank. None: no limit.
    latency_s : float
        Seconds by which each answer with rows is delayed. This does not delay other requests.
    max_connections : int
        How many connections are open at once. One more replaces the oldest connection without a
        handshake. If all have completed the handshake, the new one is closed.
    clock : callable
        Returns seconds that never go back, for `limit` and `requests`.
    rsa_key : str or path, optional
        File with the RSA private key (PEM) that encrypts every connection. It is read at every
        start. A client without the same key is turned away. None: nothing is encrypted.
    allow_remote : bool
        Also allow a `host` that is not loopback, such as ``"0.0.0.0"``. Everybody who can reach the
        port can then read everything, because the protocol has no password.
    aes_cbc : bool
        False: behave like an OpenD without AES_CBC, and give a client that asks for it FTAES_ECB.
    handshake_s : float
        Seconds after which a connection without a handshake is closed.
    idle_s : float
        Seconds after which a connection without a new request is closed. Clients of OpenD send a
        heartbeat every 8 to 10 seconds.

    Raises
    ------
    ConfigError
        When an argument cannot work, or the code of a history is not its key in the mapping. The
        values of a mapping of your own class are not checked, because reading them may load files.

    Examples
    --------
    >>> import intake
    >>> from intake_futu_short.gateway import Gateway, sample_histories
    >>> with Gateway(sample_histories()) as gateway:
    ...     df = intake.open_futu_short("US.AAPL", gateway=gateway.url).read()
    >>> len(df), len(gateway.requests)
    (29, 1)
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
        self._served: Mapping[Call, Mapping[str, History]] = served
        self.host = host
        self._wanted_port = port
        self._bounds = bounds
        self._responder = Responder(served, limit, clock, threading.Lock())
        self._rsa_key = arguments.rsa_key(rsa_key)
        self._aes_cbc = aes_cbc
        self._starting = threading.Lock()

    def __repr__(self) -> str:
        return repr_table.as_text(*self._shown())

    def _repr_html_(self) -> str:
        return repr_table.as_html(*self._shown())

    def _shown(self) -> tuple[str, dict[str, str]]:
        title = f"{type(self).__name__}: serves rows over the protocol of OpenD"
        if not hasattr(self, "_starting"):  # the last that is set
            return title, {"state": repr_table.REFUSED}
        facts = {"url": self.url, "runs": "no" if self._server is None else "yes"}
        for call, histories in self._served.items():
            # Another mapping may list a store to count what it has.
            if isinstance(histories, _AT_HAND):
                facts[call.title] = repr_table.counted(len(histories), "ticker")
        return title, facts

    @property
    def port(self) -> int:
        """TCP port on which the gateway listens; while it does not run, the port that was given."""
        server = self._server
        return self._wanted_port if server is None else server.port

    @property
    def url(self) -> str:
        """URL to pass as ``gateway=``, such as ``"opend://127.0.0.1:52431"``."""
        return str(GatewayURL(self.host, self.port, rsa_key=self._rsa_key))

    @property
    def requests(self) -> list[Request]:
        """Requests for rows in the order in which they arrived, over all runs.

        The gateway keeps the newest ones that fit into 32 MiB, about 100,000. Codes and cursors are
        cut after 256 characters.
        """
        return self._responder.requests

    def start(self) -> Self:
        """Start to listen. Does nothing if the gateway already runs.

        Raises
        ------
        GatewayError
            When the gateway cannot listen on the port.
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
        """Stop listening and close every connection. Does nothing the second time.

        Any thread may call this, and so may the garbage collector. In a forked child it only
        detaches the child; the parent's gateway goes on serving.
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
    """Make the gateway behind ``sample://``. It is not started yet.

    Parameters
    ----------
    rsa_key : str or path, optional
        As of `Gateway`.

    Returns
    -------
    Gateway
        On a free port of this machine, without a limit of requests.

    Examples
    --------
    >>> from intake_futu_short.gateway import sample_gateway
    >>> with sample_gateway() as gateway:
    ...     print(gateway.url.startswith("opend://127.0.0.1:"))
    True
    """
    return Gateway(_sample(SHORT_VOLUME), short_interest=_sample(SHORT_INTEREST), rsa_key=rsa_key)


@cache  # reading the files is the slowest part of a start
def _sample(call: Call) -> Mapping[str, History]:
    return sample_histories(call)


def _check_histories(name: str, histories: object, call: Call) -> None:
    if not isinstance(histories, Mapping):
        raise ConfigError(f"{name} must map codes to History objects, not {described(histories)}")
    # Another kind of mapping may load a file for each value.
    for code, history in histories.items() if isinstance(histories, _AT_HAND) else ():
        security = getattr(history, "security", None)
        if security is not None and history.call is not call:
            raise ConfigError(
                f"{name} takes histories of {call.title}, but under {described(code)} it has one "
                f"of {history.call.title}"
            )
        if str(security) != code:
            raise ConfigError(
                f"{name} has under {described(code)} what is not the History of it, "
                f"but of {security}"
            )


def _check_host(host: object, *, allow_remote: bool) -> None:
    """Raise a ConfigError for an invalid host, or a host that is not loopback unless allowed."""
    if allow_remote:
        GatewayURL.of(host, 1)
        return
    try:
        is_loopback = isinstance(host, str) and ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not is_loopback:
        python = "allow_remote=True (--allow-remote of futu-short serve)"
        raise ConfigError(
            f"{argument('host')} must be a loopback address such as '127.0.0.1', "
            f"not {described(host)}: this gateway asks nobody for a password. "
            f"To listen there all the same, set {either(python, '--allow-remote')}"
        )


def _is_at_least(number: object, least: float) -> bool:
    return isinstance(number, (int, float)) and least <= number < math.inf
