"""Panels read over one connection: answers in any order, the limit, Ctrl-C, forks, what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from forking import unmeasured
from fsspec.callbacks import Callback
from panel_scene import CODES, histories, panel
from second_gateway import Exchange, SecondGateway, obliging
from second_rows import History, make_rows

from intake_futu_short.errors import GatewayDisconnectedError
from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.security import Security
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def gateway() -> Iterator[SecondGateway]:
    with SecondGateway(histories()) as server:
        yield server


def test_requests_of_tickers_are_in_flight_together_and_answered_in_any_order() -> None:
    held: list[Exchange] = []
    lock = threading.Lock()

    def all_at_once_backwards(exchange: Exchange) -> None:
        if exchange.query is None:
            obliging(exchange)
            return
        with lock:
            held.append(exchange)
            if len(held) == 20:  # nobody is answered before all have asked
                for one in reversed(held):
                    obliging(one)

    codes = [f"US.T{i}" for i in range(20)]
    known = {code: History("US", make_rows("US", 3, seed=i)) for i, code in enumerate(codes)}
    with SecondGateway(known, all_at_once_backwards) as gateway, panel(gateway, codes) as src:
        frame = src.read()
    assert gateway.connections == 1
    assert frame["code"].tolist() == [code for code in codes for _ in range(3)]
    assert frame["total_shares_short"].tolist() == [
        row["totalSharesShort"] for code in codes for row in known[code].rows
    ]


def test_a_panel_keeps_the_limit() -> None:
    aapl = sample_histories()["US.AAPL"]
    codes = [f"US.T{i}" for i in range(25)]
    served = {code: replace(aapl, security=Security.parse(code)) for code in codes}
    with Gateway(served, limit=(10, 0.5)) as gateway:
        with FutuShortSource(codes, gateway=f"{gateway.url}?limit=10/0.5") as src:
            assert len(src.read()) == 25 * 29
        assert len(gateway.requests) == 25


def test_a_read_leaves_no_thread_and_no_connection(gateway: SecondGateway) -> None:
    threads = set(threading.enumerate())
    src = panel(gateway)
    src.read()
    gateway.wait_until(lambda: not gateway.open_connections)
    # The gateway has a thread a connection, here, which is about to end.
    left = set(threading.enumerate()) - threads
    assert not [thread.name for thread in left if "process_request" not in thread.name]
    src.close()


@pytest.mark.parametrize("codes", [CODES, "US.A"])
def test_close_in_another_thread_ends_a_read_also_when_others_use_the_gateway(
    codes: Any, nothing_left_behind: None
) -> None:
    with SecondGateway(histories()) as gateway:
        url = f"{gateway.url}?limit=1/600"
        with FutuShortSource("US.A", gateway=url) as other, panel(gateway, codes) as src:
            other.read()
            errors: list[GatewayDisconnectedError] = []
            waits = threading.Event()

            def read() -> None:
                try:
                    src.read(callback=Callback(hooks={"waiting": lambda *_, **__: waits.set()}))
                except GatewayDisconnectedError as error:
                    errors.append(error)

            reader = threading.Thread(target=read)
            reader.start()
            assert waits.wait(30)
            src.close()
            reader.join(30)
            assert not reader.is_alive()
            assert len(errors) == 1
            assert len(other.read()) == 7


INTERRUPTED = """
import sys, threading
from intake_futu_short.source import FutuShortSource

other = FutuShortSource("US.A", gateway=sys.argv[1])
other.read()
source = FutuShortSource(["US.A", "US.B", "US.C"], gateway=sys.argv[1])
try:
    source.read()
except KeyboardInterrupt:
    print([t.name for t in threading.enumerate() if t is not threading.main_thread()])
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_a_read_at_once_and_leaves_no_thread_of_it() -> None:
    with SecondGateway(histories(), only_first) as gateway:
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, gateway.url],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        gateway.wait_until(lambda: len(gateway.queries) == 4)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("[]\n", "", 0)


def only_first(exchange: Exchange) -> None:
    if exchange.query is None or exchange.number == 1:
        obliging(exchange)


FORKED = """
import os, sys, threading
from intake_futu_short.source import FutuShortSource

source = FutuShortSource(["US.A", "US.B", "US.C"], gateway=sys.argv[1:], num=5)
reader = threading.Thread(target=source.read)
reader.start()
sys.stdin.readline()  # in the middle of the read
child = os.fork()
if not child:
    rows = len(source.read())
    source.close()
    os._exit(0 if rows == 24 else 1)
print("forked", flush=True)
reader.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(source.read()))
source.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("number", [1, 2])
def test_a_child_forked_in_the_middle_of_a_panel_reads_for_itself(number: int) -> None:
    holds, goes_on = threading.Event(), threading.Event()

    def hold_the_second(exchange: Exchange) -> None:
        if exchange.query is not None and exchange.number > 1:
            holds.set()
            assert goes_on.wait(30)
        obliging(exchange)

    with ExitStack() as stack:
        gateways = [
            stack.enter_context(SecondGateway(histories(), hold_the_second, cursor="timestamp"))
            for _ in range(number)
        ]
        process = subprocess.Popen(
            # Python 3.12 and newer warn of every fork of a process with threads.
            [sys.executable, "-W", "ignore", "-c", FORKED, *(gateway.url for gateway in gateways)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=unmeasured(),
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert holds.wait(30)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "forked\n"
        goes_on.set()
        out, err = process.communicate(timeout=60)
    assert (out.split(), err) == (["0", "24"], "")


LEFT = """
import sys, threading, time
from intake_futu_short.source import FutuShortSource

source = FutuShortSource(["US.A", "US.B", "US.C"], gateway=sys.argv[1], timeout=600)
threading.Thread(target=source.read, daemon=True).start()
sys.stdin.readline()
"""


def test_a_read_does_not_hold_the_process_open() -> None:
    with SecondGateway(histories(), only_first) as gateway:
        process = subprocess.Popen(
            [sys.executable, "-c", LEFT, gateway.url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        gateway.wait_until(lambda: len(gateway.queries) == 3)
        out, err = process.communicate("\n", timeout=30)
    assert (out, process.returncode) == ("", 0), err
