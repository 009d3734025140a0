"""Reads that are interrupted, closed, forked, shared by threads, or left by their process."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from asking import ask, days_in, days_of, one_page, opened, question
from deaf_port import deaf_port
from forking import unmeasured
from second_gateway import (
    INIT_CONNECT,
    PATIENCE_S,
    Exchange,
    SecondGateway,
    obliging,
    silent,
    silent_after_the_handshake,
)
from second_rows import History, make_rows

from intake_futu_short import OpenQuoteContext
from intake_futu_short.errors import GatewayDisconnectedError
from intake_futu_short.history.update import LOCKED
from intake_futu_short.reading import read
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from typing_extensions import Self

    from intake_futu_short.opend.ask import Gateways

ROWS = make_rows("US", 23)
HISTORIES = {
    "US.AAPL": History("US", ROWS),
    **{f"US.T{i}": History("US", make_rows("US", 3, seed=i)) for i in range(4)},
}
NEWEST_TEN = days_in(ROWS[:10])
# From the signal to the end; it is done within a tick of a quarter of a second.
SOON_S = 2.0

pytestmark = pytest.mark.usefixtures("no_thread_left")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")


# -- every wait ---------------------------------------------------------------------------------


@contextlib.contextmanager
def resolving(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Gateways, Callable[[], bool]]]:
    let_go, asked = threading.Event(), threading.Event()
    original = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        if host == "gateway.example":
            if kwargs.get("flags", 0) & socket.AI_NUMERICHOST:
                raise socket.gaierror
            asked.set()
            let_go.wait(PATIENCE_S)
            host = "127.0.0.1"
        return list(original(host, port, *args, **kwargs))

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with SecondGateway(HISTORIES) as gateway:
        yield opened(f"opend://gateway.example:{gateway.port}"), asked.is_set
        let_go.set()


@contextlib.contextmanager
def swallowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Gateways, Callable[[], bool]]]:
    with deaf_port() as port:
        gateways = opened(f"opend://127.0.0.1:{port}")
        yield gateways, lambda: gateways.lines[0]._dial is not None


def serving(
    script: Callable[[Exchange], None],
    has_come: Callable[[SecondGateway], bool],
    options: str = "",
) -> Callable[[Any], contextlib.AbstractContextManager[tuple[Gateways, Callable[[], bool]]]]:
    @contextlib.contextmanager
    def stage(_: object) -> Iterator[tuple[Gateways, Callable[[], bool]]]:
        with SecondGateway(HISTORIES, script) as gateway:
            yield opened(gateway.url + options), lambda: has_come(gateway)

    return stage


STAGES = {
    "for a resolver": resolving,
    "for a connection": swallowed,
    "for the handshake": serving(silent, lambda gateway: bool(gateway.init_connects)),
    "for an answer": serving(silent_after_the_handshake, lambda gateway: bool(gateway.queries)),
    "for the limit": serving(obliging, lambda gateway: len(gateway.queries) == 2, "?limit=2/600"),
}


def three_pages() -> dict[int, Any]:
    return {i: one_page(question()) for i in range(3)}


class Once(threading.Thread):
    """Acts as soon as a condition holds."""

    def __init__(self, condition: Callable[[], bool], act: Callable[[], None]) -> None:
        super().__init__()
        self._condition = condition
        self._act = act
        self.acted_at = 0.0
        self.start()

    def run(self) -> None:
        until = time.monotonic() + PATIENCE_S
        while not self._condition() and time.monotonic() < until:
            time.sleep(0.005)
        self.acted_at = time.monotonic()
        self._act()


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
@pytest.mark.parametrize("how", ["Ctrl-C", "stop"])
def test_a_read_that_waits_ends_at_once_and_can_be_begun_anew(
    stage: Any, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stage(monkeypatch) as (gateways, is_waiting):
        act = _thread.interrupt_main if how == "Ctrl-C" else gateways.stop
        thread = Once(is_waiting, act)
        with pytest.raises(
            KeyboardInterrupt if how == "Ctrl-C" else GatewayDisconnectedError
        ) as caught:
            read(three_pages(), gateways)
        ended = time.monotonic()
        thread.join()
        assert ended - thread.acted_at < SOON_S
        if how == "stop":
            assert "closed here" in str(caught.value)
            with pytest.raises(GatewayDisconnectedError, match="closed here"):
                ask(gateways)  # until it is closed
        gateways.close()
        assert all(line.wants() is None for line in gateways.lines)


def test_a_read_that_waits_for_a_lock_ends_at_once() -> None:
    tried = threading.Event()

    def locked() -> Generator[Any, Any, None]:
        while True:
            tried.set()
            yield LOCKED

    with SecondGateway(HISTORIES) as gateway:
        gateways = opened(gateway)
        thread = Once(tried.is_set, _thread.interrupt_main)
        with pytest.raises(KeyboardInterrupt):
            read({"": locked()}, gateways)
        thread.join()
        assert days_of(ask(gateways)) == NEWEST_TEN


def test_others_go_on_while_one_waits_for_its_lock() -> None:
    done = threading.Event()

    def locked() -> Generator[Any, Any, str]:
        while not done.is_set():
            yield LOCKED
        return "unlocked"

    def other() -> Generator[Any, Any, None]:
        yield question()
        yield question()
        done.set()

    with SecondGateway(HISTORIES) as gateway:
        results, failures = read({"locked": locked(), "other": other()}, opened(gateway))
    assert failures == {}
    assert results["locked"] == "unlocked"


def silent_once(exchange: Exchange) -> None:
    if exchange.proto_id == INIT_CONNECT or exchange.number > 1:
        exchange.send(exchange.answer)


def test_a_source_goes_on_where_it_was_interrupted() -> None:
    def script(exchange: Exchange) -> None:
        if exchange.query is None or exchange.number != 2:
            exchange.send(exchange.answer)

    with (
        SecondGateway(HISTORIES, script) as gateway,
        FutuShortSource("US.AAPL", gateway=gateway.url, num=10) as source,
    ):
        thread = Once(lambda: len(gateway.queries) == 2, _thread.interrupt_main)
        with pytest.raises(KeyboardInterrupt):
            source.read()
        thread.join()
        gateway.wait_until(lambda: not gateway.open_connections)
        assert source.read()["timestamp_str"].tolist() == days_in(ROWS)
    assert [query.next_key for query in gateway.queries] == [None, "10", "10", "20"]


def test_an_interrupt_while_the_connections_are_closed_leaves_nothing_in_flight() -> None:
    with SecondGateway(HISTORIES, silent_once) as gateway:
        gateways = opened(gateway)

        def interrupted() -> None:
            raise KeyboardInterrupt

        (line,) = gateways.lines
        closing, line.close = line.close, interrupted  # type: ignore[method-assign]  # a fault
        thread = Once(lambda: bool(gateway.queries), _thread.interrupt_main)
        with pytest.raises(KeyboardInterrupt):
            ask(gateways)
        thread.join()
        line.close = closing  # type: ignore[method-assign]  # a fault
        assert days_of(ask(gateways)) == NEWEST_TEN
        gateways.close()


def test_a_callback_can_neither_close_nor_read_what_calls_it_without_an_error() -> None:
    class Callback:
        def __init__(self, act: Callable[[], object]) -> None:
            self.act = act

        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: self.act()

    with SecondGateway(HISTORIES, obliging) as gateway:
        gateways = opened(gateway)

        class Display:
            act: Callable[[], object] = gateways.close

            def show(self, *_: object) -> None:
                self.act()

        display = Display()
        with pytest.raises(GatewayDisconnectedError, match="closed here"):
            read(three_pages(), gateways, display)  # type: ignore[arg-type]  # one that raises
        gateways.close()
        display.act = lambda: ask(gateways)
        with pytest.raises(RuntimeError, match="during a read"):
            read(three_pages(), gateways, display)  # type: ignore[arg-type]  # one that raises
        assert days_of(ask(gateways)) == NEWEST_TEN


# -- threads ------------------------------------------------------------------------------------


def test_threads_read_their_own_sources_at_the_same_time() -> None:
    everybody = threading.Barrier(4, timeout=PATIENCE_S)

    def together(exchange: Exchange) -> None:
        if exchange.proto_id == INIT_CONNECT:
            everybody.wait()
        exchange.send(exchange.answer)

    with SecondGateway(HISTORIES, together) as gateway, ThreadPoolExecutor(4) as pool:

        def rows(i: int) -> list[str]:
            with FutuShortSource(f"US.T{i}", gateway=gateway.url) as source:
                return list(source.read()["timestamp_str"])

        for i, days in enumerate(pool.map(rows, range(4))):
            assert days == days_in(HISTORIES[f"US.T{i}"].rows)
        assert gateway.connections == 4


def test_threads_that_read_one_source_ask_nothing_twice() -> None:
    with (
        SecondGateway(HISTORIES) as gateway,
        FutuShortSource("US.AAPL", gateway=gateway.url, num=10) as source,
        ThreadPoolExecutor(4) as pool,
    ):
        done = [pool.submit(source.read) for _ in range(3)]
        done.append(pool.submit(source.read_partition, 2))
        assert [len(future.result(PATIENCE_S)) for future in done] == [23, 23, 23, 3]
        assert len(gateway.queries) == 3


def test_threads_share_a_quote_context_and_its_connection() -> None:
    with (
        SecondGateway(HISTORIES) as gateway,
        OpenQuoteContext("127.0.0.1", gateway.port) as context,
        ThreadPoolExecutor(4) as pool,
    ):
        for ret, us_df, _ in pool.map(
            context.get_daily_short_volume, [f"US.T{i}" for i in range(4)]
        ):
            assert ret == 0
            assert len(us_df) == 3
        assert gateway.connections == 1


def test_closing_a_quote_context_ends_also_the_calls_that_queue_behind_the_first() -> None:
    with (
        SecondGateway(HISTORIES, silent_after_the_handshake) as gateway,
        ThreadPoolExecutor(4) as pool,
    ):
        context = OpenQuoteContext("127.0.0.1", gateway.port)
        calls = [pool.submit(context.get_daily_short_volume, "US.AAPL") for _ in range(4)]
        gateway.wait_until(lambda: bool(gateway.queries))
        context.close()
        for call in calls[:1]:
            ret, message, _ = call.result(PATIENCE_S)
            assert ret == -1
            assert "closed here" in str(message)
        # Those that come to their turn after the close ask anew, and are closed in their turn.
        while not all(call.done() for call in calls):
            context.close()
            time.sleep(0.01)


def test_closing_a_source_in_another_thread_ends_its_read() -> None:
    with (
        SecondGateway(HISTORIES, silent_after_the_handshake) as gateway,
        ThreadPoolExecutor(1) as pool,
    ):
        source = FutuShortSource("US.AAPL", gateway=gateway.url)
        reading = pool.submit(source.read)
        gateway.wait_until(lambda: bool(gateway.queries))
        begin = time.monotonic()
        source.close()
        assert time.monotonic() - begin < SOON_S
        with pytest.raises(GatewayDisconnectedError, match="closed here"):
            reading.result(PATIENCE_S)
        gateway.script = obliging
        assert len(source.read()) == 23
        source.close()


# -- processes ----------------------------------------------------------------------------------

HEAD = """
import gc, os, sys, threading
from intake_futu_short import FutuShortSource, OpenQuoteContext
def source_of(url):
    return FutuShortSource("US.AAPL", gateway=url, num=10, timeout=600)
source = source_of(sys.argv[1])
"""


class Process:
    """A script of its own process that reads from a gateway."""

    def __init__(self, script: str, url: str, *options: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", *options, "-c", HEAD + script, url],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=unmeasured(),
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.popen.kill()
        self.popen.wait()
        for stream in (self.popen.stdout, self.popen.stderr):
            assert stream is not None
            stream.close()

    def finish(self) -> tuple[int, str, str]:
        """Return code, stdout and stderr."""
        out, err = self.popen.communicate(timeout=PATIENCE_S)
        return self.popen.returncode, out, err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("print(len(source.read()))", "23"),
        ("print(len(source.read_partition(0)))", "10"),
        ("source.read_partition(0); source = None; gc.collect(); print('gone')", "gone"),
        (
            "context = OpenQuoteContext('127.0.0.1', int(sys.argv[1].rpartition(':')[2]))\n"
            "print(len(context.get_daily_short_volume('US.AAPL')[1]))",
            "10",
        ),
    ],
    ids=["read", "unfinished", "dropped", "quote context"],
)
def test_a_process_that_never_closed_exits_without_a_warning(script: str, expected: str) -> None:
    with SecondGateway(HISTORIES) as gateway, Process(script, gateway.url) as process:
        assert process.finish() == (0, f"{expected}\n", "")


def test_a_process_whose_read_failed_exits() -> None:
    script = """
try:
    source.read()
except ConnectionError as error:
    print(type(error).__name__)
"""

    def closing_at_once(exchange: Exchange) -> None:
        exchange.close()

    with (
        SecondGateway(HISTORIES, closing_at_once) as gateway,
        Process(script, gateway.url) as process,
    ):
        assert process.finish() == (0, "GatewayDisconnectedError\n", "")


def test_a_resolver_that_hangs_keeps_no_process_alive() -> None:
    script = """
import socket, time
original = socket.getaddrinfo
def getaddrinfo(host, *args, **kwargs):
    if host != "gateway.example" or kwargs.get("flags"):
        return original(host, *args, **kwargs)
    time.sleep(600)
socket.getaddrinfo = getaddrinfo
source = FutuShortSource("US.AAPL", gateway="opend://gateway.example", timeout=0.2)
try:
    source.read()
except ConnectionError as error:
    print("not resolved in time" in str(error))
"""
    with Process(script, "opend://127.0.0.1") as process:
        assert process.finish() == (0, "True\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "has_come"),
    [
        (silent, lambda gateway: bool(gateway.init_connects)),
        (silent_after_the_handshake, lambda gateway: bool(gateway.queries)),
    ],
    ids=["in the handshake", "for an answer"],
)
def test_ctrl_c_ends_the_process_with_one_traceback(
    script: Callable[[Exchange], None], has_come: Callable[[SecondGateway], bool]
) -> None:
    with (
        SecondGateway(HISTORIES, script) as gateway,
        Process("source.read()", gateway.url) as process,
    ):
        gateway.wait_until(lambda: has_come(gateway))
        process.popen.send_signal(signal.SIGINT)
        code, out, err = process.finish()
    assert code == -signal.SIGINT
    assert out == ""
    assert err.endswith("KeyboardInterrupt\n")
    assert err.count("Traceback") == 1


def test_ctrl_c_ends_a_wait_for_the_limit_and_the_next_read_goes_on() -> None:
    script = """
import logging
logging.basicConfig(stream=sys.stdout, level="INFO", format="%(message).7s")
source = source_of(sys.argv[1] + "?limit=2/600")
try:
    source.read()
except KeyboardInterrupt:
    source.close()
    print(len(source_of(sys.argv[1] + "?limit=off").read()), threading.active_count(), flush=True)
"""
    with SecondGateway(HISTORIES) as gateway, Process(script, gateway.url) as process:
        assert process.popen.stdout is not None
        assert process.popen.stdout.readline() == "waiting\n"
        process.popen.send_signal(signal.SIGINT)
        assert process.finish() == (0, "23 1\n", "")


@forks
@pytest.mark.slow
@pytest.mark.parametrize("ending", ["gc.collect()", "source.close()", "os._exit(0)"])
def test_a_forked_child_and_its_parent_each_go_on(ending: str) -> None:
    script = f"""
source.read_partition(0)
child = os.fork()
if child == 0:
    assert len(source.read_partition(1)) == 10
    {ending}
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert len(source.read()) == 23
source.close()
"""
    with SecondGateway(HISTORIES) as gateway, Process(script, gateway.url) as process:
        assert process.finish() == (0, "", "")
    assert [(q.next_key, q.connection) for q in gateway.queries] == [
        (None, 1), ("10", 2), ("10", 1), ("20", 1),
    ]  # fmt: skip


@forks
@pytest.mark.slow
@pytest.mark.parametrize("ending", ["source.close()", "source = None; gc.collect()", "pass"])
def test_a_forked_child_that_asks_nothing_leaves_its_parent_alone(ending: str) -> None:
    script = f"""
source.read_partition(0)
child = os.fork()
if child == 0:
    {ending}
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert len(source.read_partition(1)) == 10
source.close()
"""
    with SecondGateway(HISTORIES) as gateway, Process(script, gateway.url) as process:
        assert process.finish() == (0, "", "")
    assert [query.connection for query in gateway.queries] == [1, 1]


@forks
def test_a_child_forked_while_another_thread_reads_goes_on() -> None:
    script = """
import warnings
warnings.filterwarnings("ignore", "This process", DeprecationWarning)
reader = threading.Thread(target=source.read)
reader.start()
sys.stdin.readline()
child = os.fork()
if child == 0:
    assert len(source.read()) == 23
    os._exit(0)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
reader.join()
"""
    held: list[Exchange] = []

    def held_once(exchange: Exchange) -> None:
        if exchange.query is not None and exchange.number == 1:
            held.append(exchange)
        elif exchange.query is not None and exchange.query.next_key == "20" and held:
            exchange.send(exchange.answer)
            held[0].send(held.pop().answer)
        else:
            exchange.send(exchange.answer)

    with SecondGateway(HISTORIES, held_once) as gateway:
        process = subprocess.Popen(
            [sys.executable, "-c", HEAD + script, gateway.url],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=unmeasured(),
        )  # fmt: skip
        with process:
            gateway.wait_until(lambda: bool(held))
            _, err = process.communicate("\n", timeout=PATIENCE_S)
            assert (process.returncode, err) == (0, "")
    assert {query.connection for query in gateway.queries} == {1, 2}
