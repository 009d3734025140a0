"""What is no gateway at all: nothing there, or a server of another kind."""

from __future__ import annotations

import http.server
import socket
import struct
import threading
import time
from contextlib import AbstractContextManager, closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from intake_futu_short.errors import (
    FutuShortError,
    GatewayDisconnectedError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    ProtocolError,
)
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT_S = 0.5
# Far beyond every deadline there is: a guard against hangs only.
GUARD_S = 20.0

pytestmark = pytest.mark.usefixtures("no_thread_left")


@contextmanager
def nothing_listens() -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens: the port refuses, and nobody else gets it
        yield f"opend://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def no_such_host() -> Iterator[str]:
    yield "opend://no-such-host.invalid:11111"


@contextmanager
def silent_server() -> Iterator[str]:
    """Connections are taken by the system, and nobody ever looks at them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"opend://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def running(server: http.server.ThreadingHTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"opend://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


def http_server() -> AbstractContextManager[str]:
    return running(http.server.ThreadingHTTPServer(("127.0.0.1", 0), QuietHandler))


@contextmanager
def resetting_server() -> Iterator[str]:
    """Takes each connection and resets it at the first byte."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                connection.recv(1)
                # Closing with no time to linger sends a reset.
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                connection.close()
                if closing_down.is_set():
                    return

        closing_down = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        address = listener.getsockname()
        yield f"opend://127.0.0.1:{address[1]}"
        closing_down.set()
        socket.create_connection(address).close()
        thread.join()


SERVERS: dict[str, tuple[Callable[[], AbstractContextManager[str]], type[FutuShortError], str]] = {
    "nothing listens": (nothing_listens, GatewayUnreachableError, "Start OpenD, log in"),
    "no such host": (no_such_host, GatewayUnreachableError, "resolve"),
    "silent": (silent_server, GatewayTimeoutError, "Is it OpenD's API port, and is OpenD logged"),
    "HTTP": (http_server, ProtocolError, "this is not the OpenD protocol"),
    "reset": (resetting_server, GatewayDisconnectedError, "127.0.0.1"),
}


@pytest.mark.parametrize(("server", "error", "words"), SERVERS.values(), ids=SERVERS)
def test_what_is_no_gateway_is_told_by_its_error(
    server: Callable[[], AbstractContextManager[str]], error: type[FutuShortError], words: str
) -> None:
    with server() as url:
        begin = time.monotonic()
        with closing(FutuShortSource("US.AAPL", gateway=url, timeout=TIMEOUT_S)) as source:
            with pytest.raises(error) as caught:
                source.read()
            assert time.monotonic() - begin < GUARD_S
            assert type(caught.value) is error
            assert url in str(caught.value)
            assert words in str(caught.value)


def test_an_unreachable_gateway_keeps_its_cause_and_says_how_to_do_without() -> None:
    with nothing_listens() as url, closing(FutuShortSource("US.AAPL", gateway=url)) as source:
        with pytest.raises(GatewayUnreachableError) as caught:
            source.read()
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)
        assert "FUTU_OPEND" in str(caught.value)
        assert "sample://" in str(caught.value)
