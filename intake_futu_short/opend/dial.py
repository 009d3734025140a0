"""Connects to a gateway without blocking: every step is an event with a deadline."""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intake_futu_short.described import described_path
from intake_futu_short.errors import ConfigError, GatewayUnreachableError
from intake_futu_short.opend.address import ENVIRONMENT_VARIABLE, SAMPLE_URL
from intake_futu_short.opend.cipher import RsaKey
from intake_futu_short.wording import argument, keyword

if TYPE_CHECKING:
    from intake_futu_short.opend.address import GatewayURL

    Address = tuple[socket.AddressFamily, Any]  # the family, and the argument of connect()

__all__ = ["Dial", "host_at", "read_key"]

# Error codes of connect() while the connection is being made; Windows has its own.
_UNDER_WAY = {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", -1)}
LOOK_AGAIN_S = 0.02
# A key of 2048 bits takes 1.7 KB. A much larger file is not a key.
_MAX_KEY_BYTES = 2**16

_log = logging.getLogger(__name__)
_warned_of: dict[Path, object] = {}


class Dial:
    """One attempt to connect to a gateway, over each of its addresses in turn.

    The constructor starts the attempt. `advance` continues it as far as possible and never waits.

    Parameters
    ----------
    url : GatewayURL
        Where the gateway listens.
    now, deadline : float
        Seconds of one clock: the present time, and the time at which the attempt is given up.
    """

    def __init__(self, url: GatewayURL, now: float, deadline: float) -> None:
        self._url = url
        self._deadline = deadline
        self._span_s = deadline - now
        self._lookup: _Lookup | None = None
        self._addresses = _addresses_without_resolver(url)
        if self._addresses is None:
            self._lookup = _Lookup(url)
        self._failures: list[str] = []
        self._cause: Exception | None = None
        self._sock: socket.socket | None = None
        self._sock_deadline = now

    def wants(self) -> tuple[socket.socket, int] | None:
        """Socket to watch, and for which events of ``selectors``; None while resolving."""
        return None if self._sock is None else (self._sock, selectors.EVENT_WRITE)

    def wait_s(self, now: float) -> float:
        """Seconds until there is something to do, even without an event of the socket."""
        if self._sock is not None:
            return self._sock_deadline - now
        # The resolver's thread cannot wake the loop, so look again soon.
        return LOOK_AGAIN_S if self._addresses is None else 0.0

    def advance(self, now: float, ready: int) -> socket.socket | None:
        """Go on, and return the socket once it is connected.

        Parameters
        ----------
        now : float
            Seconds of the clock of the deadline.
        ready : int
            Events of ``selectors`` that came for the socket.

        Raises
        ------
        GatewayUnreachableError
            When no address took the connection in time.
        """
        if self._addresses is None:
            self._addresses = self._resolved(now)
            if self._addresses is None:
                return None
        if self._sock is not None and (ready & selectors.EVENT_WRITE or now >= self._sock_deadline):
            number = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if ready and not number:
                connected, self._sock = self._sock, None
                return connected
            self._fail(OSError(number, os.strerror(number)) if number else None)
        while self._sock is None:
            if not self._addresses:
                raise _unreachable(self._url, "; ".join(self._failures)) from self._cause
            self._connect(self._addresses.pop(0), now)
        return None

    def close(self) -> None:
        """Give the attempt up."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _resolved(self, now: float) -> list[Address] | None:
        """Addresses of the host; None while they are looked up."""
        result = None if self._lookup is None else self._lookup.result
        if isinstance(result, Exception):
            why = f"{self._url.host!r} does not resolve: {result}"
            raise _unreachable(self._url, why) from result
        if result is None and now >= self._deadline:
            raise _unreachable(self._url, f"{self._url.host!r} was not resolved in time")
        return result

    def _connect(self, address: Address, now: float) -> None:
        family, place = address
        self._place = str(place[0])
        try:
            self._sock = _Socket(family, socket.SOCK_STREAM)
            self._sock.setblocking(False)
            # A request is smaller than a packet and must be sent at once.
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number = self._sock.connect_ex(place)
        except OSError as error:  # the system has no such family, or no route
            self._fail(error)
            return
        if number and number not in _UNDER_WAY:
            self._fail(OSError(number, os.strerror(number)))
            return
        if now >= self._deadline and not self._failures:
            self._deadline = now + self._span_s  # the delay was here, not at the gateway
        # Each address gets a share of the time, since one may drop packets silently.
        share = (self._deadline - now) / (len(self._addresses or ()) + 1)
        self._sock_deadline = now + share

    def _fail(self, error: OSError | None) -> None:
        self._cause = error or TimeoutError()
        why = "no answer in time" if error is None else str(error)
        self._failures.append(f"{self._place}: {why}")
        self.close()


class _Socket(socket.socket):
    """A socket that garbage collection closes without a warning.

    Objects in a reference cycle are finalized in any order, so the owner may close it too late.
    """

    __slots__ = ()

    def __del__(self) -> None:
        self.close()


class _Lookup:
    """Resolves a host name in a thread, because a resolver can hang for minutes.

    Attributes
    ----------
    result : list of Address, Exception or None
        The addresses or the error; None until either is known.
    """

    def __init__(self, url: GatewayURL) -> None:
        self.result: list[Address] | Exception | None = None
        self._url = url
        # A daemon thread, so that neither a read nor the end of the process waits for it.
        threading.Thread(target=self._run, name="intake-futu-short-dns", daemon=True).start()

    def _run(self) -> None:
        try:
            entries = socket.getaddrinfo(self._url.host, self._url.port, type=socket.SOCK_STREAM)
            self.result = [(entry[0], entry[4]) for entry in entries]
        except (OSError, UnicodeError) as error:  # IDNA refuses some labels
            self.result = error


def _addresses_without_resolver(url: GatewayURL) -> list[Address] | None:
    """Addresses of a literal address or of this host; None for any other name."""
    if url.host.lower() == "localhost":
        return [
            (socket.AF_INET, ("127.0.0.1", url.port)),
            (socket.AF_INET6, ("::1", url.port, 0, 0)),
        ]
    try:
        entries = socket.getaddrinfo(
            url.host, url.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except (OSError, UnicodeError):
        return None
    return [(entry[0], entry[4]) for entry in entries]


def _unreachable(url: GatewayURL, why: str) -> GatewayUnreachableError:
    return GatewayUnreachableError(
        f"no gateway answers at {url} ({why}). Start OpenD, log in, and compare the port with "
        f"its settings; {keyword('gateway')} or ${ENVIRONMENT_VARIABLE} name another one. Without "
        f"OpenD, {argument('gateway', SAMPLE_URL)} serves examples"
    )


def host_at(sock: socket.socket) -> str:
    """Address of the other end; always the same one if that is this host."""
    try:
        peer, own = sock.getpeername()[0], sock.getsockname()[0]
    except OSError:  # closed already, which the next read finds
        return "gone"
    return "127.0.0.1" if peer == own else str(peer).removeprefix("::ffff:")


def read_key(path: str) -> RsaKey:
    """Read an RSA key, and warn once if everybody on the host can read its file.

    Parameters
    ----------
    path : str
        Path of the PEM file; ``~`` is the home directory.

    Raises
    ------
    ConfigError
        When the file cannot be read or holds no usable key, or ``cryptography`` is missing.
    """
    shown = described_path(path)
    try:
        file = Path(path).expanduser()
        with file.open("rb") as opened:
            is_public = bool(os.fstat(opened.fileno()).st_mode & stat.S_IROTH)
            key = RsaKey(opened.read(_MAX_KEY_BYTES))
    except (OSError, RuntimeError, ValueError) as error:  # ~ of an unknown user, a NUL in a path
        # The error's own text quotes the path.
        why = (isinstance(error, OSError) and error.strerror) or error
        raise ConfigError(f"{argument('rsa_key')} {shown}: {why}") from (
            error if shown == repr(path) else None
        )
    # On Windows this bit is always set; permissions are elsewhere.
    if is_public and os.name == "posix":
        # setdefault is atomic. A lock could be held by another thread when a child is forked.
        mine = object()
        if _warned_of.setdefault(file, mine) is mine:
            _log.warning(
                "everybody on this host can read the RSA key %s: chmod 600 leaves it to its owner",
                file,
            )
    return key
