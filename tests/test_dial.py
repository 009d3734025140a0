"""Connecting: names that are resolved or not, addresses that answer or not, each in its time."""

from __future__ import annotations

import errno
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from asking import ask, days_in, days_of, opened
from deaf_port import deaf_port
from second_gateway import PATIENCE_S, SecondGateway, silent
from second_rows import History, make_rows

from intake_futu_short import OpenQuoteContext
from intake_futu_short.errors import GatewayTimeoutError, GatewayUnreachableError
from intake_futu_short.opend import dial as dial_module
from intake_futu_short.opend import line as line_module
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.dial import Dial, host_at
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS = make_rows("US", 10)
HISTORIES = {"US.AAPL": History("US", ROWS)}
NAME = "gateway.example"


@pytest.fixture(autouse=True)
def _no_thread_left(no_thread_left: None) -> None:
    pass


@pytest.fixture
def swallower() -> Iterator[int]:
    """A port that takes no connection and refuses none."""
    with deaf_port() as port:
        yield port


@pytest.fixture
def refuser() -> Iterator[int]:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what `NAME` resolves to: ports of 127.0.0.1, or what a function does."""
    original = socket.getaddrinfo

    def change(*ports: int, act: Callable[[], None] = lambda: None) -> None:
        def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
            if host != NAME or kwargs.get("flags", 0) & socket.AI_NUMERICHOST:
                return list(original(host, port, *args, **kwargs))
            act()
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", p)) for p in ports]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return change


def our_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("intake-futu-short")]


# -- in time ------------------------------------------------------------------------------------


def test_a_gateway_that_is_down_is_an_error_that_says_where_we_looked_and_what_to_start(
    refuser: int,
) -> None:
    begin = time.monotonic()
    with pytest.raises(GatewayUnreachableError) as caught:
        ask(opened(f"opend://127.0.0.1:{refuser}"))
    assert time.monotonic() - begin < 5
    assert f"opend://127.0.0.1:{refuser} (127.0.0.1: " in str(caught.value)
    assert "US.AAPL (newest page)" in str(caught.value)
    assert "Start OpenD, log in" in str(caught.value)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_no_step_of_connecting_gets_more_than_five_seconds() -> None:
    assert line_module.CONNECT_S == 5.0


@pytest.mark.parametrize("where", ["swallowed", "in the handshake"])
def test_a_gateway_that_does_not_answer_is_given_up_in_time(
    where: str, swallower: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "CONNECT_S", 0.3)
    with SecondGateway(HISTORIES, silent) as gateway:
        url = f"opend://127.0.0.1:{swallower}" if where == "swallowed" else gateway.url
        begin = time.monotonic()
        expected = GatewayUnreachableError if where == "swallowed" else GatewayTimeoutError
        with pytest.raises(expected) as caught:
            ask(opened(url, timeout=600))
        assert 0.3 <= time.monotonic() - begin < 5
        assert url in str(caught.value)
        says = "no answer in time" if where == "swallowed" else "handshake within 0.3 s"
        assert says in str(caught.value)


def test_a_resolver_that_hangs_is_waited_for_no_longer(
    names: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "CONNECT_S", 0.3)
    let_go = threading.Event()
    names(act=lambda: assert_waited(let_go))
    try:
        with OpenQuoteContext(NAME) as context:
            begin = time.monotonic()
            ret, message, _ = context.get_daily_short_volume("US.AAPL")
            assert time.monotonic() - begin < 5
        assert ret == -1
        assert f"'{NAME}' was not resolved in time" in str(message)
        assert our_threads() == ["intake-futu-short-dns"]
    finally:
        let_go.set()


def assert_waited(event: threading.Event) -> None:
    assert event.wait(PATIENCE_S)


def test_a_name_that_does_not_resolve_is_named(names: Callable[..., None]) -> None:
    def fail() -> None:
        raise socket.gaierror(-2, "Name or service not known")

    names(act=fail)
    with pytest.raises(GatewayUnreachableError, match=f"'{NAME}' does not resolve: .*not known"):
        ask(opened(f"opend://{NAME}:1"))


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "no..dots"])
def test_a_name_that_cannot_be_one_is_named(host: str) -> None:
    with pytest.raises(GatewayUnreachableError, match="does not resolve"):
        ask(opened(f"opend://{host}:1"))


# -- which addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_literal_addresses_and_localhost_start_no_thread(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SecondGateway(HISTORIES) as gateway:  # which has threads of its own
        gateways = opened(f"opend://{host}:{gateway.port}")

        class NoThread:
            def __init__(self, *_: Any, **__: Any) -> None:
                raise AssertionError("a thread is started")

        with monkeypatch.context() as patch:
            patch.setattr(dial_module, "threading", NoThread)
            dial = Dial(gateways.lines[0].url, 0.0, 5.0)
        dial.close()
        assert days_of(ask(gateways)) == days_in(ROWS)


def test_the_only_thread_of_a_read_is_the_resolver_s(
    names: Callable[..., None],
) -> None:
    during: list[list[str]] = []

    class Callback:
        """Called on from within the read."""

        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: during.append(our_threads())

    with SecondGateway(HISTORIES) as gateway:
        names(gateway.port)
        for host, threads in ((NAME, ["intake-futu-short-dns"]), ("127.0.0.1", [])):
            during.clear()
            with FutuShortSource("US.AAPL", gateway=f"opend://{host}:{gateway.port}") as source:
                source.read(callback=Callback())
            assert during
            assert all(seen in ([], threads) for seen in during)


@pytest.mark.parametrize("first", ["swallower", "refuser"])
def test_a_later_address_is_tried_when_an_earlier_one_does_not_answer(
    first: str,
    names: Callable[..., None],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line_module, "CONNECT_S", 1.0)
    bad: int = request.getfixturevalue(first)
    with SecondGateway(HISTORIES) as gateway:
        names(bad, bad, gateway.port)
        assert days_of(ask(opened(f"opend://{NAME}:{gateway.port}"))) == days_in(ROWS)


def test_an_error_lists_what_each_address_said(
    names: Callable[..., None], swallower: int, refuser: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "CONNECT_S", 0.3)
    names(swallower, refuser)
    with pytest.raises(GatewayUnreachableError) as caught:
        ask(opened(f"opend://{NAME}:1"))
    said = str(caught.value)
    refused = f"[Errno {errno.ECONNREFUSED}]"
    assert f"(127.0.0.1: no answer in time; 127.0.0.1: {refused}" in said


def sock_of(dial: Dial) -> socket.socket | None:
    wanted = dial.wants()
    return None if wanted is None else wanted[0]


def test_each_address_gets_an_equal_share_of_the_time_that_is_left(
    names: Callable[..., None], swallower: int
) -> None:
    names(swallower, swallower, swallower, swallower)
    dial = Dial(GatewayURL.parse(f"opend://{NAME}:1"), 100.0, 104.0)
    until = time.monotonic() + PATIENCE_S
    while sock_of(dial) is None:
        assert dial.advance(100.0, 0) is None
        assert time.monotonic() < until
    for i in range(1, 5):
        assert dial.wait_s(100.0) == pytest.approx(i)
        sock = sock_of(dial)
        if i < 4:
            assert dial.advance(100.0 + i, 0) is None
            assert sock is not None
            assert sock.fileno() == -1  # given up, and closed
    with pytest.raises(GatewayUnreachableError):
        dial.advance(104.0, 0)
    assert sock_of(dial) is None


def test_what_is_connected_at_the_last_moment_is_connected() -> None:
    with SecondGateway(HISTORIES) as gateway:
        dial = Dial(GatewayURL.parse(gateway.url), 0.0, 1.0)
        assert dial.advance(0.0, 0) is None
        connecting = sock_of(dial)
        assert connecting is not None
        with selectors.DefaultSelector() as selector:
            selector.register(connecting, selectors.EVENT_WRITE)
            assert selector.select(PATIENCE_S)
        sock = dial.advance(50.0, selectors.EVENT_WRITE)
        assert sock is not None
        with sock:
            assert host_at(sock) == "127.0.0.1"
        assert host_at(sock) == "gone"


def test_an_attempt_that_is_dropped_leaves_no_socket(swallower: int) -> None:
    dial = Dial(GatewayURL.parse(f"opend://127.0.0.1:{swallower}"), 0.0, 1.0)
    dial.advance(0.0, 0)
    sock = sock_of(dial)
    dial.close()
    assert sock is not None
    assert sock.fileno() == -1
