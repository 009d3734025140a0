from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from second_gateway import (
    DAILY_SHORT_VOLUME,
    PATIENCE_S,
    Exchange,
    History,
    SecondGateway,
    frame,
    make_rows,
    obliging,
    silent,
    silent_after_the_handshake,
)

from intake_futu_short.errors import (
    FutuShortError,
    GatewayDisconnectedError,
    GatewayTimeoutError,
    GatewayUnreachableError,
)
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.client import GatewayClient
from intake_futu_short.security import Security
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

AAPL = Security.parse("US.AAPL")
TENCENT = Security.parse("HK.00700")
ROWS = make_rows("US", 23)
HISTORIES = {
    "US.AAPL": History("US", ROWS),
    "HK.00700": History("HK", make_rows("HK", 12), {"aggregatedShort": 51480638}),
    **{f"US.T{i}": History("US", make_rows("US", i + 1, seed=i)) for i in range(8)},
}
NEWEST_TEN = [row["timestampStr"] for row in ROWS[:10]]


def client_of(gateway: SecondGateway, timeout: float = PATIENCE_S) -> GatewayClient:
    return GatewayClient(GatewayURL.parse(gateway.url), timeout=timeout)


def newest_days(client: GatewayClient) -> list[str]:
    return [item.timestamp_str for item in client.daily_short_volume(AAPL).us_items]


def our_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("intake-futu-short")]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Every client of these tests is closed at the end, and with it the thread."""
    assert our_threads() == []
    yield
    assert our_threads() == []


# -- asking -------------------------------------------------------------------------------------


def test_making_a_client_connects_to_nothing() -> None:
    with SecondGateway(HISTORIES) as gateway:
        client_of(gateway).close()
        assert gateway.connections == 0


def test_it_shakes_hands_without_encryption_and_without_notices() -> None:
    with SecondGateway(HISTORIES) as gateway, closing(client_of(gateway)) as client:
        client.daily_short_volume(AAPL)
        (hello,) = gateway.init_connects
    assert hello.clientID == "intake-futu-short"
    assert hello.clientVer == 300
    assert hello.HasField("packetEncAlgo")  # absent would mean an encryption
    assert hello.packetEncAlgo == -1
    assert hello.HasField("recvNotify")
    assert hello.recvNotify is False
    assert hello.pushProtoFmt == 0
    assert hello.programmingLanguage == "Python"


def test_it_gets_the_page_that_it_asks_for() -> None:
    with SecondGateway(HISTORIES) as gateway, closing(client_of(gateway)) as client:
        first = client.daily_short_volume(AAPL)
        assert [item.timestamp_str for item in first.us_items] == NEWEST_TEN
        last = client.daily_short_volume(AAPL, first.next_key, 50)
        assert [item.timestamp_str for item in last.us_items] == [
            row["timestampStr"] for row in ROWS[10:]
        ]
        assert last.next_key == "-1"
        page = client.daily_short_volume(TENCENT, None, 12)
        assert len(page.hk_items) == 12
        assert page.aggregated_short == 51480638
    assert [(q.code, q.next_key, q.num) for q in gateway.queries] == [
        ("US.AAPL", None, None),
        ("US.AAPL", "10", 50),
        ("HK.00700", None, 12),
    ]


def test_a_host_name_is_resolved() -> None:
    with SecondGateway(HISTORIES) as gateway:
        # Where localhost is ::1 first, that address refuses and the next one answers.
        url = GatewayURL.of("localhost", gateway.port)
        with closing(GatewayClient(url, timeout=PATIENCE_S)) as client:
            assert newest_days(client) == NEWEST_TEN


def test_pushes_between_the_answers_do_no_harm() -> None:
    def pushing(exchange: Exchange) -> None:
        exchange.send(frame(1003, 1, b'{"a": 1}', body_format=1))
        exchange.send(frame(1003, exchange.serial, bytes(100_000)))
        exchange.send(exchange.answer)
        exchange.send(frame(1003, 0, b""))

    with SecondGateway(HISTORIES, pushing) as gateway, closing(client_of(gateway)) as client:
        assert newest_days(client) == newest_days(client) == NEWEST_TEN


def test_an_answer_in_crumbs_is_put_together() -> None:
    def crumbling(exchange: Exchange) -> None:
        for i in range(len(exchange.answer)):
            exchange.send(exchange.answer[i : i + 1])

    with SecondGateway(HISTORIES, crumbling) as gateway, closing(client_of(gateway)) as client:
        assert newest_days(client) == NEWEST_TEN


@pytest.mark.parametrize("cursor", ["offset", "timestamp"])
@pytest.mark.parametrize("number", [1, 49, 50, 51, 150])
def test_a_history_is_whole_whatever_its_cursors_are(cursor: str, number: int) -> None:
    rows = make_rows("HK", number)
    with (
        SecondGateway({"HK.00700": History("HK", rows)}, cursor=cursor) as gateway,
        closing(FutuShortSource("HK.00700", gateway=gateway.url)) as source,
    ):
        frame = source.read()
    assert frame["timestamp"].tolist() == [row["timestamp"] for row in rows]
    assert frame["shares_traded"].tolist() == [row["sharesTraded"] for row in rows]
    # A full last page has a cursor, and an empty page follows.
    assert len(gateway.queries) == number // 50 + 1


# -- sharing ------------------------------------------------------------------------------------


def test_clients_of_one_gateway_share_one_connection() -> None:
    with SecondGateway(HISTORIES) as gateway:
        with closing(client_of(gateway)) as one, closing(client_of(gateway)) as two:
            assert newest_days(one) == newest_days(two) == NEWEST_TEN
            assert len(our_threads()) == 1
        assert gateway.connections == 1


def test_clients_of_two_gateways_share_the_thread() -> None:
    with SecondGateway(HISTORIES) as gateway, SecondGateway(HISTORIES) as other:
        with closing(client_of(gateway)) as one, closing(client_of(other)) as two:
            assert newest_days(one) == newest_days(two) == NEWEST_TEN
            assert len(our_threads()) == 1
        assert (gateway.connections, other.connections) == (1, 1)


def test_the_connection_ends_with_the_last_client() -> None:
    with SecondGateway(HISTORIES) as gateway:
        one, two = client_of(gateway), client_of(gateway)
        newest_days(one)
        newest_days(two)
        one.close()
        one.close()  # counts once
        assert newest_days(two) == NEWEST_TEN
        assert gateway.connections == 1
        two.close()
        gateway.wait_until(lambda: not gateway.open_connections)


def test_a_client_works_again_after_close() -> None:
    with SecondGateway(HISTORIES) as gateway, closing(client_of(gateway)) as client:
        newest_days(client)
        client.close()
        assert our_threads() == []
        assert newest_days(client) == NEWEST_TEN
        assert gateway.connections == 2


class Reversed:
    """Keeps `number` answers back and sends them in reverse."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.held: list[Exchange] = []

    def __call__(self, exchange: Exchange) -> None:
        if exchange.proto_id != DAILY_SHORT_VOLUME:
            exchange.send(exchange.answer)
            return
        self.held.append(exchange)
        if len(self.held) == self.number:
            for late in reversed(self.held):
                late.send(late.answer)


def test_threads_share_the_connection_and_get_each_its_own_answer() -> None:
    with SecondGateway(HISTORIES, Reversed(8)) as gateway, ThreadPoolExecutor(8) as pool:
        with closing(client_of(gateway)) as one, closing(client_of(gateway)) as two:
            clients = [one, two] * 4

            def number_of_rows(i: int) -> int:
                page = clients[i].daily_short_volume(Security.parse(f"US.T{i}"))
                return len(page.us_items)

            assert list(pool.map(number_of_rows, range(8))) == [1, 2, 3, 4, 5, 6, 7, 8]
        assert gateway.connections == 1


def test_a_running_event_loop_is_no_obstacle() -> None:
    async def in_a_notebook(client: GatewayClient) -> list[str]:
        return newest_days(client)

    with SecondGateway(HISTORIES) as gateway, closing(client_of(gateway)) as client:
        assert asyncio.run(in_a_notebook(client)) == NEWEST_TEN


def test_the_limit_holds_over_clients_and_threads() -> None:
    with SecondGateway(HISTORIES) as gateway, ThreadPoolExecutor(4) as pool:
        url = GatewayURL.parse(f"{gateway.url}?limit=4/0.5")
        with (
            closing(GatewayClient(url, timeout=PATIENCE_S)) as one,
            closing(GatewayClient(url, timeout=PATIENCE_S)) as two,
        ):
            list(pool.map(newest_days, [one, two] * 6))
    arrived = sorted(query.arrived for query in gateway.queries)
    assert len(arrived) == 12
    assert min(later - first for first, later in zip(arrived, arrived[4:], strict=False)) >= 0.5


# -- keeping the connection ---------------------------------------------------------------------


def test_heartbeats_go_out_while_the_connection_is_idle() -> None:
    with SecondGateway(HISTORIES, keep_alive_interval=1) as gateway:
        with closing(client_of(gateway)) as client:
            newest_days(client)
            gateway.wait_until(lambda: len(gateway.keep_alives) >= 2)
            assert newest_days(client) == NEWEST_TEN
        assert gateway.connections == 1
    assert abs(gateway.keep_alives[0].time - time.time()) < 3600


def test_an_idle_connection_that_the_gateway_closed_is_made_anew() -> None:
    with SecondGateway(HISTORIES) as gateway, closing(client_of(gateway)) as client:
        newest_days(client)
        gateway.hang_up()
        assert newest_days(client) == NEWEST_TEN
        assert gateway.connections == len(gateway.init_connects) == 2


def test_a_late_answer_is_skipped_and_a_connection_that_lives_is_kept() -> None:
    held: list[Exchange] = []
    asked = threading.Barrier(2, timeout=PATIENCE_S)

    def late_once(exchange: Exchange) -> None:
        if exchange.query is not None and exchange.number == 1:
            held.append(exchange)
            asked.wait()
        elif exchange.query is not None and exchange.number == 3:  # the same page again
            held[0].send(held[0].answer)
            exchange.send(exchange.answer)
        else:
            exchange.send(exchange.answer)

    with (
        SecondGateway(HISTORIES, late_once) as gateway,
        ThreadPoolExecutor(1) as pool,
        closing(client_of(gateway, timeout=1.0)) as client,
    ):
        hasty = pool.submit(client.daily_short_volume, TENCENT)
        asked.wait()
        assert newest_days(client) == NEWEST_TEN  # so the connection is known to live
        assert len(hasty.result(PATIENCE_S).hk_items) == 10
        assert gateway.connections == 1
    assert [query.code for query in gateway.queries] == ["HK.00700", "US.AAPL", "HK.00700"]


def test_a_connection_on_which_nothing_came_is_not_trusted_again() -> None:
    def dead_once(exchange: Exchange) -> None:
        if exchange.query is None or exchange.number > 1:
            exchange.send(exchange.answer)

    with (
        SecondGateway(HISTORIES, dead_once) as gateway,
        closing(client_of(gateway, timeout=0.5)) as client,
    ):
        assert newest_days(client) == NEWEST_TEN
    assert [query.connection for query in gateway.queries] == [1, 2]


def test_all_who_wait_when_the_gateway_goes_away_share_one_new_connection() -> None:
    everybody = threading.Barrier(8, timeout=PATIENCE_S)

    def going(exchange: Exchange) -> None:
        if exchange.query is None or exchange.number > 8:
            exchange.send(exchange.answer)
        elif exchange.number == 8:
            exchange.close()

    def ask(client: GatewayClient) -> list[str]:
        everybody.wait()
        return newest_days(client)

    with (
        SecondGateway(HISTORIES, going) as gateway,
        ThreadPoolExecutor(8) as pool,
        closing(client_of(gateway)) as client,
    ):
        assert list(pool.map(ask, [client] * 8)) == [NEWEST_TEN] * 8
        assert gateway.connections == len(gateway.init_connects) == 2
    assert len(gateway.queries) == 16


def test_all_who_wait_learn_that_the_gateway_went_away() -> None:
    everybody = threading.Barrier(3, timeout=PATIENCE_S)

    def going(exchange: Exchange) -> None:
        if exchange.query is None:
            exchange.send(exchange.answer)
        elif exchange.number % 3 == 0:
            exchange.close()

    def ask(client: GatewayClient) -> FutuShortError:
        everybody.wait()
        with pytest.raises(GatewayDisconnectedError, match="closed the connection") as caught:
            client.daily_short_volume(AAPL)
        return caught.value

    with (
        SecondGateway(HISTORIES, going) as gateway,
        ThreadPoolExecutor(3) as pool,
        closing(client_of(gateway)) as client,
    ):
        errors = list(pool.map(ask, [client] * 3))
    assert len({id(error) for error in errors}) == 3  # a traceback each
    assert all("asked 3 times" in str(error) for error in errors)
    assert len(gateway.queries) == 9


def test_threads_that_meet_a_silent_gateway_do_not_wait_for_each_other() -> None:
    with (
        SecondGateway(HISTORIES, silent) as gateway,
        ThreadPoolExecutor(12) as pool,
        closing(client_of(gateway, timeout=1.0)) as client,
    ):
        begin = time.monotonic()
        waiting = [pool.submit(client.daily_short_volume, AAPL) for _ in range(12)]
        for future in waiting:
            with pytest.raises(GatewayTimeoutError, match="handshake within 1 s"):
                future.result(timeout=PATIENCE_S)
        assert time.monotonic() - begin < 6  # one after another would be 12


def test_threads_that_find_nobody_all_fail() -> None:
    with SecondGateway() as gateway:
        url = GatewayURL.parse(gateway.url)

    def ask(client: GatewayClient) -> None:
        with pytest.raises(GatewayUnreachableError):
            client.daily_short_volume(AAPL)

    with ThreadPoolExecutor(4) as pool, closing(GatewayClient(url)) as client:
        list(pool.map(ask, [client] * 4))


class Heard(logging.Handler):
    """Tells when the client has logged a message that begins so."""

    def __init__(self, beginning: str) -> None:
        super().__init__()
        self._beginning = beginning
        self._event = threading.Event()
        self._logger = logging.getLogger("intake_futu_short.opend.turns")
        self.wait = self._event.wait

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(self._beginning):
            self._event.set()

    def __enter__(self) -> Self:
        self._logger.addHandler(self)
        self._logger.setLevel(logging.INFO)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(logging.NOTSET)


STAGES: dict[str, tuple[Callable[[Exchange], None], str]] = {
    "in the handshake": (silent, ""),
    "for an answer": (silent_after_the_handshake, ""),
    "for the limit": (obliging, "?limit=1/600"),
}


@pytest.mark.usefixtures("nothing_left_behind")
@pytest.mark.parametrize(("script", "options"), STAGES.values(), ids=STAGES)
def test_a_request_that_waits_when_its_client_is_closed_ends_with_an_error(
    script: Callable[[Exchange], None], options: str
) -> None:
    with SecondGateway(HISTORIES, script) as gateway, ThreadPoolExecutor(1) as pool:
        client = GatewayClient(GatewayURL.parse(gateway.url + options), timeout=PATIENCE_S)
        if options:
            newest_days(client)
        with Heard("waiting") as heard:
            waiting = pool.submit(client.daily_short_volume, AAPL)
            if script is silent:
                gateway.wait_until(lambda: len(gateway.init_connects) == 1)
            elif script is silent_after_the_handshake:
                gateway.wait_until(lambda: len(gateway.queries) == 1)
            else:
                assert heard.wait(PATIENCE_S)
        client.close()
        with pytest.raises(GatewayDisconnectedError, match="closed"):
            waiting.result(timeout=PATIENCE_S)


def test_the_client_is_the_only_module_of_the_protocol_with_a_socket() -> None:
    folder = Path(sys.modules["intake_futu_short.opend"].__path__[0])
    users = [p.name for p in folder.glob("*.py") if "import socket" in p.read_text("utf-8")]
    assert users == ["client.py"]
