"""The loop that asks: what it sends, what it makes of what comes, and how it tries again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import selectors
import socket
import struct
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from asking import ask, days_in, days_of, one_page, opened, question, walk
from second_gateway import (
    INIT_CONNECT,
    KEEP_ALIVE,
    PATIENCE_S,
    Exchange,
    SecondGateway,
    frame,
    refusal_body,
)
from second_rows import DAILY_SHORT_VOLUME, History, make_rows

from intake_futu_short.errors import (
    GatewayDisconnectedError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    ProtocolError,
    RateLimitError,
    UnknownSecurityError,
)
from intake_futu_short.opend import line as line_module
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.ask import Gateways
from intake_futu_short.opend.line import Patience
from intake_futu_short.reading import read
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asking import Job

ROWS = make_rows("US", 23)
HISTORIES = {
    "US.AAPL": History("US", ROWS),
    "HK.00700": History("HK", make_rows("HK", 12), {"aggregatedShort": 51480638}),
    **{f"US.T{i}": History("US", make_rows("US", i + 1, seed=i)) for i in range(8)},
}
NEWEST_TEN = days_in(ROWS[:10])
TOO_FREQUENT = refusal_body("Get daily short volume is too frequent, request failed.")

pytestmark = pytest.mark.usefixtures("no_thread_left")


class Clock:
    """The monotonic clock, which can be set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


def by_clock(clock: Clock, *gateways: SecondGateway, timeout: float = PATIENCE_S) -> Gateways:
    urls = [GatewayURL.parse(f"{gateway.url}?limit=off") for gateway in gateways]
    return Gateways(urls, timeout=timeout, clock=clock)


def failing(first: int, last: int) -> Callable[[Exchange], None]:
    """Hang up instead of answering these requests for pages."""

    def script(exchange: Exchange) -> None:
        if exchange.query is not None and first <= exchange.number <= last:
            exchange.close()
        else:
            exchange.send(exchange.answer)

    return script


def reset(connection: socket.socket) -> None:
    # Closing with no time to linger sends a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def messages(log: pytest.LogCaptureFixture, words: str, level: int = logging.WARNING) -> list[str]:
    return [r.getMessage() for r in log.records if r.levelno >= level and words in r.getMessage()]


# -- asking -------------------------------------------------------------------------------------


def test_opening_connects_to_nothing() -> None:
    with SecondGateway(HISTORIES) as gateway:
        opened(gateway).close()
        assert gateway.connections == 0


def test_it_shakes_hands_without_encryption_and_without_notices() -> None:
    with SecondGateway(HISTORIES) as gateway:
        ask(opened(gateway))
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
    with SecondGateway(HISTORIES) as gateway:
        gateways = opened(gateway)
        first = ask(gateways)
        assert days_of(first) == NEWEST_TEN
        last = ask(gateways, "US.AAPL", first.next_key, 50)
        assert days_of(last) == days_in(ROWS[10:])
        assert last.next_key == "-1"
        page = ask(gateways, "HK.00700", None, 12)
        assert len(page.hk_items) == 12
        assert page.aggregated_short == 51480638
        assert gateway.connections == 1
    assert [(q.code, q.next_key, q.num) for q in gateway.queries] == [
        ("US.AAPL", None, None),
        ("US.AAPL", "10", 50),
        ("HK.00700", None, 12),
    ]


@pytest.mark.parametrize("cursor", ["offset", "timestamp"])
@pytest.mark.parametrize("number", [1, 49, 50, 51, 150])
def test_a_history_is_whole_whatever_its_cursors_are(cursor: str, number: int) -> None:
    rows = make_rows("HK", number)
    with (
        SecondGateway({"HK.00700": History("HK", rows)}, cursor=cursor) as gateway,
        FutuShortSource("HK.00700", gateway=gateway.url) as source,
    ):
        frame = source.read()
    assert frame["timestamp"].tolist() == [row["timestamp"] for row in rows]
    assert frame["shares_traded"].tolist() == [row["sharesTraded"] for row in rows]
    # A full last page has a cursor, and an empty page follows.
    assert len(gateway.queries) == number // 50 + 1


def test_each_gets_its_own_answer_when_they_come_in_reverse() -> None:
    held: list[Exchange] = []

    def reverse(exchange: Exchange) -> None:
        if exchange.query is None:
            exchange.send(exchange.answer)
            return
        held.append(exchange)
        if len(held) == 8:
            # In one piece, too: a read may bring many frames.
            exchange.send(b"".join(late.answer for late in reversed(held)))

    codes = [f"US.T{i}" for i in range(8)]
    with SecondGateway(HISTORIES, reverse) as gateway:
        results, failures = read({c: one_page(question(c)) for c in codes}, opened(gateway))
        assert gateway.connections == 1
    assert failures == {}
    assert [len(results[code].us_items) for code in codes] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_pushes_between_the_answers_do_no_harm() -> None:
    def pushing(exchange: Exchange) -> None:
        exchange.send(frame(1003, 1, b'{"a": 1}', body_format=1))
        exchange.send(frame(1003, exchange.serial, bytes(100_000)))
        exchange.send(exchange.answer)
        exchange.send(frame(1003, 0, b""))

    with SecondGateway(HISTORIES, pushing) as gateway:
        gateways = opened(gateway)
        assert days_of(ask(gateways)) == days_of(ask(gateways)) == NEWEST_TEN


def test_an_answer_in_crumbs_is_put_together() -> None:
    def crumbling(exchange: Exchange) -> None:
        for i in range(len(exchange.answer)):
            exchange.send(exchange.answer[i : i + 1])

    with SecondGateway(HISTORIES, crumbling) as gateway:
        assert days_of(ask(opened(gateway))) == NEWEST_TEN


@pytest.mark.parametrize("step", [13, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
def test_a_connection_that_ends_after_any_byte_costs_no_row(
    is_reset: bool, step: int, patience: Callable[..., None]
) -> None:
    """Of a stream of a handshake and three pages; a first handshake is not tried again."""
    patience(pause_s=lambda _: 0.0)
    rows = ROWS[:3]
    ends_at = 0
    sent = 0

    def ending(exchange: Exchange) -> None:
        nonlocal sent
        part = exchange.answer[: ends_at - sent] if sent < ends_at else exchange.answer
        sent += len(part)
        exchange.send(part)
        if sent == ends_at:
            sent += 1  # once
            if is_reset:
                reset(exchange.connection)
            else:
                exchange.close()

    with SecondGateway({"US.AAPL": History("US", rows)}) as gateway:
        handshake = whole = 0

        def measuring(exchange: Exchange) -> None:
            nonlocal handshake, whole
            handshake = handshake or len(exchange.answer)
            whole += len(exchange.answer)
            exchange.send(exchange.answer)

        gateway.script = measuring
        jobs = {"": walk("US.AAPL", 1)}
        read(jobs, opened(f"{gateway.url}?limit=off"))
        gateway.script = ending
        for ends_at in range(1, whole, step):
            sent = 0
            gateways = opened(f"{gateway.url}?limit=off")
            results: dict[str, Any] = {}
            with contextlib.suppress(GatewayDisconnectedError):
                results, _ = read({"": walk("US.AAPL", 1)}, gateways)
            gateways.close()
            assert results == ({"": days_in(rows)} if ends_at >= handshake else {})
        gateway.complaints.clear()  # of a socket that the script closed


def test_what_was_answered_before_the_end_stays_answered() -> None:
    """Also when the end is found in the same step as the answer."""
    has_ended = threading.Event()
    is_busy = threading.Event()

    def busy() -> Job:
        yield question("US.T0")
        is_busy.set()
        assert has_ended.wait(PATIENCE_S)
        return len((yield question("US.T7")).answer.us_items)

    def held(exchange: Exchange) -> None:
        if exchange.query is not None and exchange.number == 2:
            assert is_busy.wait(PATIENCE_S)
            # A read takes so much at a time, and goes on when it was as much.
            size = 2**16 - len(exchange.answer) - len(frame(1003, 0, b""))
            exchange.send(exchange.answer + frame(1003, 0, bytes(size)))
            reset(exchange.connection)
            has_ended.set()
        else:
            exchange.send(exchange.answer)

    with SecondGateway(HISTORIES, held) as gateway:
        jobs = {"busy": busy(), "other": one_page(question("US.AAPL"))}
        results, failures = read(jobs, opened(gateway))
        gateway.complaints.clear()  # of a socket that the script closed
    assert failures == {}
    assert results["busy"] == 8
    assert days_of(results["other"]) == NEWEST_TEN
    assert [query.code for query in gateway.queries] == ["US.T0", "US.AAPL", "US.T7"]


# -- a caller that takes its time ---------------------------------------------------------------


def test_answers_that_came_while_the_caller_was_busy_came_in_time() -> None:
    clock = Clock()
    is_busy, is_sent = threading.Event(), threading.Event()

    def script(exchange: Exchange) -> None:
        if exchange.query is not None and exchange.number == 2:
            assert is_busy.wait(PATIENCE_S)
        exchange.send(exchange.answer)
        if exchange.query is not None and exchange.number == 2:
            is_sent.set()

    def busy() -> Job:
        yield question("US.T0")
        is_busy.set()
        assert is_sent.wait(PATIENCE_S)
        clock.ahead += 20.0

    with SecondGateway(HISTORIES, script) as gateway:
        jobs = {"busy": busy(), "other": one_page(question("US.AAPL"))}
        results, failures = read(jobs, by_clock(clock, gateway, timeout=10.0))
        assert gateway.connections == 1
    assert failures == {}
    assert days_of(results["other"]) == NEWEST_TEN
    assert len(gateway.queries) == 2


@pytest.mark.parametrize("number", [0, 1])
def test_so_did_the_handshake_of_another_gateway(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    is_busy, is_sent = threading.Event(), threading.Event()

    def late(exchange: Exchange) -> None:
        if exchange.proto_id == INIT_CONNECT:
            assert is_busy.wait(PATIENCE_S)
        exchange.send(exchange.answer)
        is_sent.set()

    def busy() -> Job:
        yield question("US.T0")
        is_busy.set()
        assert is_sent.wait(PATIENCE_S)
        clock.ahead += 20.0
        yield question("US.T0")
        yield question("US.T0")

    with SecondGateway(HISTORIES) as prompt, SecondGateway(HISTORIES, late) as other:
        order = (prompt, other) if number else (other, prompt)
        gateways = by_clock(clock, *order)
        _, failures = read({"": busy()}, gateways)
        gateways.close()
        assert other.connections == 1
    assert failures == {}
    assert messages(caplog, "") == []


def test_a_caller_who_is_busy_first_leaves_the_gateway_its_time() -> None:
    clock = Clock()

    def busy() -> Job:
        clock.ahead += 20.0
        return days_of((yield question()).answer)

    with SecondGateway(HISTORIES) as gateway:
        results, _ = read({"": busy()}, by_clock(clock, gateway))
    assert results[""] == NEWEST_TEN


def test_a_caller_who_is_busy_for_long_does_not_lose_the_connection() -> None:
    clock = Clock()

    def busy() -> Job:
        for _ in range(3):
            yield question()
            clock.ahead += 100.0  # heartbeats were due, and their silence would be too long

    with SecondGateway(HISTORIES) as gateway:
        read({"": busy()}, by_clock(clock, gateway))
        assert gateway.connections == 1


# -- heartbeats and silence ---------------------------------------------------------------------


def answering_after(beats: int, gateway: Callable[[], SecondGateway]) -> Callable[..., None]:
    """Answer a question once so many heartbeats have come."""
    held: list[Exchange] = []

    def script(exchange: Exchange) -> None:
        if exchange.query is not None:
            held.append(exchange)
            return
        exchange.send(exchange.answer)
        if held and len(gateway().keep_alives) >= beats:
            held[0].send(held.pop().answer)

    return script


def test_heartbeats_go_out_while_an_answer_is_waited_for() -> None:
    script = answering_after(2, lambda: gateway)
    with SecondGateway(HISTORIES, script, keep_alive_interval=1) as gateway:
        assert days_of(ask(opened(gateway))) == NEWEST_TEN
        assert gateway.connections == 1
    assert abs(gateway.keep_alives[0].time - time.time()) < 3600


def test_a_slow_answer_is_waited_for_as_long_as_heartbeats_are_answered(
    patience: Callable[..., None],
) -> None:
    patience(silence_s=0.6)
    with SecondGateway(HISTORIES, answering_after(5, lambda: gateway)) as gateway:
        assert days_of(ask(opened(gateway))) == NEWEST_TEN
        assert gateway.connections == 1


def test_a_connection_on_which_heartbeats_stay_unanswered_is_given_up(
    patience: Callable[..., None],
) -> None:
    def silent_once(exchange: Exchange) -> None:
        is_first = gateway.connections == 1
        if not (is_first and (exchange.query or exchange.proto_id == KEEP_ALIVE)):
            exchange.send(exchange.answer)

    patience(silence_s=0.3)
    with SecondGateway(HISTORIES, silent_once) as gateway:
        assert days_of(ask(opened(gateway))) == NEWEST_TEN
    assert [query.connection for query in gateway.queries] == [1, 2]


# -- late, and too late -------------------------------------------------------------------------


def test_a_late_answer_is_skipped_and_a_connection_that_lives_is_kept() -> None:
    clock = Clock()
    held: list[Exchange] = []

    def late_once(exchange: Exchange) -> None:
        if exchange.query is not None and exchange.number == 1:
            held.append(exchange)
            return
        if exchange.query is not None and exchange.query.code == "HK.00700":  # once more
            held[0].send(held[0].answer)
        exchange.send(exchange.answer)

    def going_on() -> Job:
        for _ in range(20):
            clock.ahead += 0.05
            yield question("US.AAPL")

    with SecondGateway(HISTORIES, late_once) as gateway:
        jobs = {"late": one_page(question("HK.00700")), "other": going_on()}
        results, failures = read(jobs, by_clock(clock, gateway, timeout=0.5))
        assert gateway.connections == 1
    assert failures == {}
    assert len(results["late"].hk_items) == 10
    assert [query.code for query in gateway.queries].count("HK.00700") == 2


@pytest.mark.parametrize("sent", ["nothing", "a push", "half an answer"])
def test_a_timeout_keeps_a_connection_only_when_something_whole_came(sent: str) -> None:
    def script(exchange: Exchange) -> None:
        if exchange.query is None or exchange.number > 1:
            exchange.send(exchange.answer)
        elif sent != "nothing":
            half = exchange.answer[:100] if sent == "half an answer" else b""
            exchange.send(frame(1003, 0, b"push") + half)

    with SecondGateway(HISTORIES, script) as gateway:
        assert days_of(ask(opened(gateway, timeout=0.5))) == NEWEST_TEN
        assert gateway.connections == (1 if sent == "a push" else 2)


def test_a_gateway_that_stops_answering_is_one_error_for_each_who_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    codes = [f"US.T{i}" for i in range(4)]

    def answered_once(code: str) -> Job:
        yield question("US.AAPL")
        return (yield from one_page(question(code)))

    def script(exchange: Exchange) -> None:
        if exchange.query is None or exchange.query.code == "US.AAPL":
            exchange.send(exchange.answer)

    with SecondGateway(HISTORIES, script) as gateway:
        jobs = {code: answered_once(code) for code in codes}
        _, failures = read(jobs, opened(gateway, timeout=0.5))
    assert list(failures) == codes
    assert len({id(error) for error in failures.values()}) == 4  # a traceback each
    for code, error in failures.items():
        assert type(error) is GatewayTimeoutError
        assert str(error).startswith(f"{code} (newest page)")
        assert "asked 3 times" in str(error)
        assert gateway.url in str(error)
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
        assert str(again) == str(error)
    assert len(gateway.queries) == 16
    # What was lost together is worth a warning once.
    assert len(messages(caplog, "is asked for again")) <= 4


def test_nobody_waits_for_a_length_of_two_gib_and_nothing_piles_up() -> None:
    def flooding(exchange: Exchange) -> None:
        if exchange.proto_id != DAILY_SHORT_VOLUME:
            exchange.send(exchange.answer)
            return
        with contextlib.suppress(OSError):
            exchange.connection.sendall(frame(3248, exchange.serial, b"", length=2**31))
            for _ in range(200):
                exchange.connection.sendall(bytes(2**20))

    with SecondGateway(HISTORIES, flooding) as gateway:
        tracemalloc.start()
        try:
            with pytest.raises(ProtocolError, match="2147483648 bytes"):
                ask(opened(gateway))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(gateway.queries) == 3
    assert peak < 16 * 2**20


def test_a_flood_of_pushes_does_not_put_a_deadline_off() -> None:
    def flooding(exchange: Exchange) -> None:
        if exchange.query is None:
            exchange.send(exchange.answer)
            return
        with contextlib.suppress(OSError):
            while not gateway.closing.is_set():
                exchange.connection.sendall(flood)

    flood = frame(1003, 0, bytes(2**20))
    with (
        SecondGateway(HISTORIES, flooding) as gateway,
        pytest.raises(GatewayTimeoutError, match="asked 3 times"),
    ):
        ask(opened(gateway, timeout=0.3))


# -- lost and found -----------------------------------------------------------------------------


def test_all_who_wait_when_the_gateway_goes_away_share_one_new_connection() -> None:
    codes = [f"US.T{i}" for i in range(8)]

    def going(exchange: Exchange) -> None:
        if exchange.query is None or exchange.number > 8:
            exchange.send(exchange.answer)
        elif exchange.number == 8:
            exchange.close()

    with SecondGateway(HISTORIES, going) as gateway:
        results, failures = read({c: one_page(question(c)) for c in codes}, opened(gateway))
        assert gateway.connections == len(gateway.init_connects) == 2
    assert failures == {}
    assert [len(results[code].us_items) for code in codes] == list(range(1, 9))
    assert len(gateway.queries) == 16


def test_every_time_that_a_page_is_asked_for_takes_a_slot_of_the_limit() -> None:
    with SecondGateway(HISTORIES, failing(1, 2)) as gateway:
        gateways = opened(f"{gateway.url}?limit=3/0.4")
        ask(gateways)
        ask(gateways)
    arrived = [query.arrived for query in gateway.queries]
    assert len(arrived) == 4
    assert arrived[3] - arrived[0] >= 0.4


def test_the_pauses_grow_and_differ() -> None:
    pauses = [[Patience().pause_s(tries) for tries in range(1, 7)] for _ in range(2)]
    for ones in pauses:
        for pause, least in zip(ones, [0.25, 0.5, 1.0, 2.0, 4.0, 4.0], strict=True):
            assert least <= pause < least + 0.25
    assert pauses[0] != pauses[1]


def test_a_pause_is_made_before_each_further_time(patience: Callable[..., None]) -> None:
    patience(pause_s=lambda tries: 0.2 * tries)
    with SecondGateway(HISTORIES, failing(1, 2)) as gateway:
        ask(opened(gateway))
    first, second, third = (query.arrived for query in gateway.queries)
    assert second - first >= 0.2
    assert third - second >= 0.4


@pytest.mark.parametrize("options", ["?limit=off", "?limit=30/0.2"])
def test_a_gateway_that_hangs_up_after_each_handshake_is_given_up(
    options: str, patience: Callable[..., None]
) -> None:
    def hanging_up(exchange: Exchange) -> None:
        exchange.send(exchange.answer)
        exchange.close()

    patience(reconnect_s=0.5)
    with (
        SecondGateway(HISTORIES, hanging_up) as gateway,
        pytest.raises(GatewayDisconnectedError, match=gateway.url),
    ):
        ask(opened(gateway.url + options))


def test_a_gateway_that_went_away_is_sought_for_its_time_and_found_by_the_next_read(
    patience: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    patience(reconnect_s=0.5, pause_s=lambda _: 0.1)
    caplog.set_level(logging.INFO, "intake_futu_short")
    gateway = SecondGateway(HISTORIES)

    def leaving() -> Job:
        yield question()
        gateway.__exit__(None, None, None)
        return (yield from one_page(question()))

    with gateway:
        gateways = opened(gateway)
        with pytest.raises(GatewayUnreachableError) as caught:
            read({"": leaving()}, gateways)
    assert "the connection was lost" in str(caught.value)
    assert "tries within 0.5 s made no new one" in str(caught.value)
    assert "US.AAPL (newest page)" in str(caught.value)
    assert isinstance(caught.value.__cause__, GatewayUnreachableError)
    assert isinstance(caught.value.__cause__.__cause__, ConnectionRefusedError)
    assert "a new one is tried again in 0.1 s" in caplog.text
    with SecondGateway(HISTORIES, port=gateway.port):
        assert days_of(ask(gateways)) == NEWEST_TEN


def test_a_gateway_that_comes_back_in_time_is_found() -> None:
    gone = SecondGateway(HISTORIES)
    codes = [f"US.T{i}" for i in range(4)]

    def leaving() -> Job:
        yield question()
        gone.__exit__(None, None, None)
        back.append(stack.enter_context(SecondGateway(HISTORIES, port=gone.port)))

    back: list[SecondGateway] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(gone)
        jobs: dict[str, Job] = {"": leaving(), **{c: one_page(question(c)) for c in codes}}
        results, failures = read(jobs, opened(gone))
        assert failures == {}
        assert [len(results[code].us_items) for code in codes] == [1, 2, 3, 4]
        assert back[0].connections <= 1  # one for all that were not answered before


# -- the limit ----------------------------------------------------------------------------------


def test_the_limit_holds_over_reads_and_threads() -> None:
    with SecondGateway(HISTORIES) as gateway, ThreadPoolExecutor(4) as pool:

        def several() -> None:
            gateways = opened(f"{gateway.url}?limit=4/0.5")
            jobs = {i: one_page(question()) for i in range(3)}
            read(jobs, gateways)
            gateways.close()

        for done in [pool.submit(several) for _ in range(4)]:
            done.result(PATIENCE_S)
    arrived = sorted(query.arrived for query in gateway.queries)
    assert len(arrived) == 12
    assert min(later - first for first, later in zip(arrived, arrived[4:], strict=False)) >= 0.5


def test_waiting_for_the_limit_is_logged_once_and_costs_next_to_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    selected = 0

    class Counting(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[Any]:
            nonlocal selected
            selected += 1
            return list(super().select(timeout))

    monkeypatch.setattr(selectors, "DefaultSelector", Counting)
    caplog.set_level(logging.INFO, "intake_futu_short")
    with SecondGateway(HISTORIES) as gateway:
        jobs = {i: one_page(question()) for i in range(4)}
        read(jobs, opened(f"{gateway.url}?limit=2/1"))
    (said,) = messages(caplog, "waiting", logging.INFO)
    assert said.endswith(f"{gateway.url}?limit=2/1 allows 2 requests in 1 seconds")
    assert selected < 60


def refusing(first: int, last: int) -> Callable[[Exchange], None]:
    def script(exchange: Exchange) -> None:
        if exchange.query is not None and first <= exchange.number <= last:
            exchange.send(frame(exchange.proto_id, exchange.serial, TOO_FREQUENT))
        else:
            exchange.send(exchange.answer)

    return script


def test_too_frequent_closes_the_window_for_all_and_is_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with SecondGateway(HISTORIES, refusing(2, 2)) as gateway:

        def two() -> Job:
            yield question("US.T0")
            return (yield from one_page(question("US.T1")))

        gateways = opened(f"{gateway.url}?limit=9/0.5")
        results, failures = read({"": two()}, gateways)
        refused = gateway.queries[1].arrived
        ask(opened(f"{gateway.url}?limit=9/0.5"))
    assert failures == {}
    assert len(results[""].us_items) == 2
    assert [query.code for query in gateway.queries] == ["US.T0", "US.T1", "US.T1", "US.AAPL"]
    assert gateway.queries[2].arrived - refused >= 0.5
    assert len(messages(caplog, "requests are too frequent")) == 1


def test_another_read_waits_too_when_one_was_too_frequent() -> None:
    waits = threading.Event()

    def script(exchange: Exchange) -> None:
        refusing(1, 1)(exchange)
        if exchange.query is not None:
            waits.set()

    url: list[str] = []
    with SecondGateway(HISTORIES, script) as gateway, ThreadPoolExecutor(1) as pool:
        url.append(f"{gateway.url}?limit=9/0.5")
        first = pool.submit(lambda: ask(opened(url[0])))
        assert waits.wait(PATIENCE_S)
        first.result(PATIENCE_S)
        ask(opened(url[0]))
    first_at, *later = (query.arrived for query in gateway.queries)
    assert min(later) - first_at >= 0.5


def test_ten_times_too_frequent_is_an_error() -> None:
    with SecondGateway(HISTORIES, refusing(1, 99)) as gateway:
        with pytest.raises(RateLimitError, match="Wait 30 seconds"):
            ask(opened(f"{gateway.url}?limit=9/0.05"))
        assert len(gateway.queries) == 10


def test_without_a_limit_too_frequent_is_an_error_at_once() -> None:
    with SecondGateway(HISTORIES, refusing(1, 99)) as gateway:
        with pytest.raises(RateLimitError, match="too frequent"):
            ask(opened(f"{gateway.url}?limit=off"))
        assert len(gateway.queries) == 1


def test_what_one_gateway_refused_as_too_frequent_another_is_asked() -> None:
    with SecondGateway(HISTORIES, refusing(1, 99)) as busy, SecondGateway(HISTORIES) as free:
        gateways = opened(f"{busy.url}?limit=9/600", f"{free.url}?limit=9/600")
        jobs = {i: one_page(question()) for i in range(4)}
        results, failures = read(jobs, gateways)
        gateways.close()
    assert failures == {}
    assert len(results) == 4
    assert len(free.queries) == 4


def test_a_no_is_no_reason_to_ask_again() -> None:
    with SecondGateway(HISTORIES) as gateway:
        with pytest.raises(UnknownSecurityError, match=r"US\.NOPE \(newest page\) from opend://"):
            ask(opened(gateway), "US.NOPE")
        assert len(gateway.queries) == 1


# -- which connection ---------------------------------------------------------------------------


def test_a_connection_is_used_again_for_half_a_minute() -> None:
    clock = Clock()
    with SecondGateway(HISTORIES) as gateway:
        gateways = by_clock(clock, gateway)
        for idle_s in (0.0, 29.0, 31.0, 5.0):
            clock.ahead += idle_s
            ask(gateways)
        gateways.close()
        gateway.wait_until(lambda: not gateway.open_connections)
    assert [query.connection for query in gateway.queries] == [1, 1, 2, 2]
    assert gateway.keep_alives == []


def test_after_a_night_s_sleep_a_new_connection_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    # The monotonic clock stood still meanwhile, and nothing told that the connection is dead.
    wall = 1e9

    class Time:
        monotonic, sleep = time.monotonic, time.sleep

        @staticmethod
        def time() -> float:
            return wall

    monkeypatch.setattr(line_module, "time", Time)
    with SecondGateway(HISTORIES) as gateway:
        gateways = opened(gateway)
        for passed_s in (0, 8 * 3600, 10, -8 * 3600):
            wall += passed_s
            ask(gateways)
    assert [query.connection for query in gateway.queries] == [1, 2, 2, 2]


def test_a_connection_that_the_gateway_closed_meanwhile_is_made_anew_without_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with SecondGateway(HISTORIES) as gateway:
        gateways = opened(gateway)
        ask(gateways)
        with gateway._changed:
            held = list(gateway.open_connections.values())
        for connection in held:
            connection.shutdown(socket.SHUT_RDWR)
        gateway.wait_until(lambda: not gateway.open_connections)
        assert days_of(ask(gateways)) == NEWEST_TEN
        assert gateway.connections == len(gateway.init_connects) == 2
        assert len(gateway.queries) == 2
    assert messages(caplog, "") == []


def test_what_was_only_being_connected_at_the_end_of_a_read_is_no_loss_in_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    let_go = threading.Event()

    def late(exchange: Exchange) -> None:
        if exchange.proto_id == INIT_CONNECT and exchange.number == 1:
            assert let_go.wait(PATIENCE_S)
        exchange.send(exchange.answer)

    def both(number: int) -> Iterator[tuple[int, Job]]:
        return ((i, one_page(question())) for i in range(number))

    with SecondGateway(HISTORIES) as prompt, SecondGateway(HISTORIES, late) as other:
        gateways = by_clock(clock, prompt, other)
        read(dict(both(1)), gateways)
        let_go.set()
        clock.ahead += 20
        read(dict(both(8)), gateways)
        gateways.close()
    assert messages(caplog, "") == []


def test_more_than_a_thousand_open_files_are_no_obstacle() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1400
    if before[1] != resource.RLIM_INFINITY and before[1] < wanted:
        pytest.skip(f"this system allows {before[1]} open files at most")
    if before[0] != resource.RLIM_INFINITY and before[0] < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, before[1]))
    files: list[int] = []
    try:
        with SecondGateway(HISTORIES) as gateway:
            files += [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
            gateways = opened(gateway)
            assert days_of(ask(gateways)) == NEWEST_TEN
            (own,) = (line.wants() for line in gateways.lines)
            assert own is not None
            assert own[0].fileno() > 1024
            gateways.close()
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


# -- where it runs ------------------------------------------------------------------------------


def test_a_running_event_loop_is_no_obstacle() -> None:
    async def in_a_notebook() -> list[str]:
        return days_of(ask(opened(gateway)))

    with SecondGateway(HISTORIES) as gateway:
        assert asyncio.run(in_a_notebook()) == NEWEST_TEN


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="policies are deprecated")
def test_an_event_loop_policy_of_somebody_else_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> asyncio.AbstractEventLoop:
        raise AssertionError("nobody needs an event loop")

    monkeypatch.setattr(asyncio, "new_event_loop", refuse)
    monkeypatch.setattr(asyncio, "get_event_loop_policy", refuse)
    with (
        SecondGateway(HISTORIES) as gateway,
        FutuShortSource("US.AAPL", gateway=gateway.url) as source,
    ):
        assert len(source.read()) == 23
