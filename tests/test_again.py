"""Trying again: with what bounds, on which connection, and how it ends early."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
from second_gateway import (
    DAILY_SHORT_VOLUME,
    INIT_CONNECT,
    KEEP_ALIVE,
    PATIENCE_S,
    Exchange,
    History,
    SecondGateway,
    frame,
    make_rows,
    refusal_body,
)
from tenacity import wait_fixed

from intake_futu_short.errors import (
    GatewayDisconnectedError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    ProtocolError,
    ReplyError,
)
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.client import GatewayClient
from intake_futu_short.opend.retry_policy import RetryPolicy
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AAPL = Security.parse("US.AAPL")
HISTORIES = {"US.AAPL": History("US", make_rows("US", 23))}


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert [t for t in threading.enumerate() if t.name.startswith("intake-futu-short")] == []


def client_of(url: str, timeout: float = PATIENCE_S) -> GatewayClient:
    return GatewayClient(GatewayURL.parse(url), timeout=timeout)


def rows_of(client: GatewayClient) -> int:
    return len(client.daily_short_volume(AAPL).us_items)


def failing(first: int, last: int) -> Callable[[Exchange], None]:
    """Hang up instead of answering these requests for pages."""

    def script(exchange: Exchange) -> None:
        if exchange.query is not None and first <= exchange.number <= last:
            exchange.close()
        else:
            exchange.send(exchange.answer)

    return script


def hanging_up_after_the_handshake(exchange: Exchange) -> None:
    exchange.send(exchange.answer)
    exchange.close()


# -- bounds -------------------------------------------------------------------------------------


def test_every_time_that_a_page_is_asked_for_takes_a_slot_of_the_limit() -> None:
    waits = threading.Event()
    with SecondGateway(HISTORIES, failing(1, 2)) as gateway, ThreadPoolExecutor(1) as pool:
        url = GatewayURL.parse(f"{gateway.url}?limit=3/600")
        client = GatewayClient(url, timeout=PATIENCE_S, on_wait=lambda _: waits.set())
        with closing(client):
            assert rows_of(client) == 10
            assert not waits.is_set()
            fourth = pool.submit(client.daily_short_volume, AAPL)
            assert waits.wait(PATIENCE_S)
        with pytest.raises(GatewayDisconnectedError, match="closed here"):
            fourth.result(PATIENCE_S)
    assert len(gateway.queries) == 3


def test_the_pauses_grow_and_differ(policy: Callable[..., None]) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    policy(pause=RetryPolicy().pause, sleep=sleep, asks=7)
    with (
        SecondGateway(HISTORIES, failing(1, 14)) as gateway,
        closing(client_of(gateway.url)) as client,
    ):
        for _ in range(2):
            with pytest.raises(GatewayDisconnectedError, match="asked 7 times"):
                rows_of(client)
    for i, least in enumerate([0.25, 0.5, 1.0, 2.0, 4.0, 4.0]):
        assert least <= pauses[i] < least + 0.25
        assert least <= pauses[6 + i] < least + 0.25
    assert len(set(pauses)) == 12


@pytest.mark.parametrize("options", ["?limit=off", "?limit=30/0.2"])
def test_a_gateway_that_hangs_up_after_each_handshake_is_given_up(options: str) -> None:
    with (
        SecondGateway(HISTORIES, hanging_up_after_the_handshake) as gateway,
        closing(client_of(gateway.url + options)) as client,
        pytest.raises(GatewayDisconnectedError, match="asked 3 times"),
    ):
        client.daily_short_volume(AAPL)
    assert gateway.connections <= 6


def test_a_gateway_that_went_away_is_sought_for_its_time_and_found_by_the_next_request(
    policy: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    policy(reconnect_s=0.5, pause=wait_fixed(0.05))
    caplog.set_level(logging.INFO, "intake_futu_short")
    with SecondGateway(HISTORIES) as gateway:
        client = client_of(gateway.url)
        rows_of(client)
        port = gateway.port
    with closing(client):
        begin = time.monotonic()
        with pytest.raises(GatewayUnreachableError) as caught:
            rows_of(client)
        assert 0.3 < time.monotonic() - begin < 5
        assert "the connection was lost" in str(caught.value)
        assert "tries within 0.5 s made no new one" in str(caught.value)
        assert isinstance(caught.value.__cause__, GatewayUnreachableError)
        assert isinstance(caught.value.__cause__.__cause__, ConnectionRefusedError)
        assert "a new one is tried again in 0.1 s" in caplog.text
        with SecondGateway(HISTORIES, port=port):
            assert rows_of(client) == 10
    assert "connected to opend://127.0.0.1" in caplog.text


def test_a_gateway_that_comes_back_in_time_is_found(policy: Callable[..., None]) -> None:
    policy(pause=wait_fixed(0.02))
    with SecondGateway(HISTORIES) as gateway:
        client = client_of(gateway.url)
        rows_of(client)
        port = gateway.port
    with closing(client), ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(rows_of, client) for _ in range(4)]
        with SecondGateway(HISTORIES, port=port) as gateway:
            assert [future.result(PATIENCE_S) for future in waiting] == [10] * 4
            assert gateway.connections == 1  # one for all
    assert len(gateway.queries) == 4


def test_a_gateway_that_stops_answering_is_one_kind_of_error_for_all_who_wait() -> None:
    everybody = threading.Barrier(4, timeout=PATIENCE_S)

    def silent(exchange: Exchange) -> None:
        if exchange.query is None:
            exchange.send(exchange.answer)

    def ask(client: GatewayClient) -> None:
        everybody.wait()
        with pytest.raises(GatewayTimeoutError, match="asked 3 times"):
            client.daily_short_volume(AAPL)

    with (
        SecondGateway(HISTORIES, silent) as gateway,
        ThreadPoolExecutor(4) as pool,
        closing(client_of(gateway.url, timeout=0.5)) as client,
    ):
        list(pool.map(ask, [client] * 4))
    assert len(gateway.queries) == 12


def test_a_no_in_the_handshake_of_a_new_connection_is_final() -> None:
    def logged_out(exchange: Exchange) -> None:
        if exchange.proto_id == INIT_CONNECT and exchange.number == 2:
            exchange.send(frame(INIT_CONNECT, exchange.serial, refusal_body("请先登录")))
        else:
            exchange.send(exchange.answer)

    with (
        SecondGateway(HISTORIES, logged_out) as gateway,
        closing(client_of(gateway.url)) as client,
    ):
        rows_of(client)
        gateway.hang_up()
        with pytest.raises(ReplyError, match="请先登录"):
            rows_of(client)
        assert gateway.connections == 2


# -- ending early -------------------------------------------------------------------------------


class Pausing(logging.Handler):
    """Tells when a request begins a pause."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.begun = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if " again in " in record.getMessage():
            self.begun.set()


@pytest.fixture
def pausing() -> Iterator[Pausing]:
    handler = Pausing()
    logger = logging.getLogger("intake_futu_short")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.mark.parametrize("is_gone", [False, True], ids=["between asks", "between connections"])
def test_closing_ends_a_pause_at_once(
    is_gone: bool, policy: Callable[..., None], pausing: Pausing
) -> None:
    policy(pause=wait_fixed(600), reconnect_s=6000)
    with SecondGateway(HISTORIES, failing(2, 2)) as gateway:
        client = client_of(gateway.url)
        rows_of(client)
        if is_gone:
            gateway.__exit__(None, None, None)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(rows_of, client)
            assert pausing.begun.wait(PATIENCE_S)
            client.close()
            with pytest.raises(GatewayDisconnectedError, match="closed here"):
                waiting.result(PATIENCE_S)


def test_ctrl_c_ends_a_pause_at_once() -> None:
    script = """
import logging, sys
from tenacity import wait_fixed
from intake_futu_short.opend import client as client_module
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.retry_policy import RetryPolicy
from intake_futu_short.opend.session import Sessions
from intake_futu_short.security import Security

logging.basicConfig(stream=sys.stdout, format="%(levelname)s")
client_module._sessions = Sessions(client_module._connect, RetryPolicy(pause=wait_fixed(600)))
client = client_module.GatewayClient(GatewayURL.parse(sys.argv[1]))
try:
    client.daily_short_volume(Security.parse("US.AAPL"))
except KeyboardInterrupt:
    print(len(client.daily_short_volume(Security.parse("US.AAPL")).us_items))
client.close()
"""
    with (
        SecondGateway(HISTORIES, failing(1, 1)) as gateway,
        subprocess.Popen(
            [sys.executable, "-u", "-c", script, gateway.url], stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "WARNING\n"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, out) == (0, "10\n")


# -- which connection ---------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


def test_after_a_night_s_sleep_the_next_request_makes_a_new_connection(
    policy: Callable[..., None],
) -> None:
    # The monotonic clock stood still meanwhile, and nothing told that the connection is dead.
    wall = Clock()
    policy(wall_clock=wall)
    with SecondGateway(HISTORIES) as gateway, closing(client_of(gateway.url)) as client:
        rows_of(client)
        wall.now += 32
        rows_of(client)
        assert gateway.connections == 1
        wall.now += 8 * 3600
        rows_of(client)
    assert [query.connection for query in gateway.queries] == [1, 1, 2]


def test_a_clock_that_is_set_back_does_no_harm(policy: Callable[..., None]) -> None:
    wall = Clock()
    policy(wall_clock=wall)
    with SecondGateway(HISTORIES) as gateway, closing(client_of(gateway.url)) as client:
        rows_of(client)
        wall.now -= 8 * 3600
        rows_of(client)
        assert gateway.connections == 1


def test_a_connection_without_heartbeats_is_given_up_while_nobody_asks(
    policy: Callable[..., None],
) -> None:
    def silent(exchange: Exchange) -> None:
        if exchange.proto_id != KEEP_ALIVE:
            exchange.send(exchange.answer)

    policy(silence_s=0.3)
    with SecondGateway(HISTORIES, silent) as gateway, closing(client_of(gateway.url)) as client:
        rows_of(client)
        gateway.wait_until(lambda: not gateway.open_connections)
        assert gateway.keep_alives
        rows_of(client)
    assert [query.connection for query in gateway.queries] == [1, 2]


def test_a_slow_answer_is_waited_for_as_long_as_heartbeats_are_answered(
    policy: Callable[..., None],
) -> None:
    policy(silence_s=0.9)

    def slow(exchange: Exchange) -> None:
        if exchange.query is not None:
            held.append(exchange)
        else:
            exchange.send(exchange.answer)
            if held and len(gateway.keep_alives) > 4:  # more than the silence allows
                held[0].send(held.pop().answer)

    held: list[Exchange] = []
    with SecondGateway(HISTORIES, slow) as gateway, closing(client_of(gateway.url)) as client:
        assert rows_of(client) == 10
        assert gateway.connections == 1


@pytest.mark.parametrize("is_push", [True, False])
def test_a_timeout_keeps_a_connection_only_when_something_whole_came(is_push: bool) -> None:
    def script(exchange: Exchange) -> None:
        if exchange.query is None or exchange.number > 1:
            exchange.send(exchange.answer)
        elif is_push:
            exchange.send(frame(1003, 0, b"push"))
        else:
            exchange.send(frame(1003, 0, b"push") + exchange.answer[:100])

    with (
        SecondGateway(HISTORIES, script) as gateway,
        closing(client_of(gateway.url, timeout=0.5)) as client,
    ):
        assert rows_of(client) == 10
        assert gateway.connections == (1 if is_push else 2)


def test_a_length_of_two_gib_is_not_waited_for_and_nothing_piles_up() -> None:
    def flooding(exchange: Exchange) -> None:
        if exchange.proto_id != DAILY_SHORT_VOLUME:
            exchange.send(exchange.answer)
            return
        with suppress(OSError):
            exchange.connection.sendall(frame(3248, exchange.serial, b"", length=2**31))
            for _ in range(200):
                exchange.connection.sendall(bytes(2**20))

    with (
        SecondGateway(HISTORIES, flooding) as gateway,
        closing(client_of(gateway.url)) as client,
    ):
        tracemalloc.start()
        try:
            with pytest.raises(ProtocolError, match="2147483648 bytes"):
                rows_of(client)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(gateway.queries) == 3
    assert peak < 16 * 2**20
