"""Connections of sources, counted where they are served: who keeps one, and until when."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from second_gateway import Exchange, SecondGateway, obliging, silent_after_the_handshake
from second_rows import History, make_rows

from intake_futu_short.errors import GatewayDisconnectedError
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = make_rows("US", 25)
DAYS = [str(row["timestampStr"]) for row in ROWS]


@pytest.fixture
def gateway() -> Iterator[SecondGateway]:
    known = {"US.A": History("US", ROWS), "US.B": History("US", ROWS[:3])}
    with SecondGateway(known) as server:
        yield server


def source_of(gateway: SecondGateway, code: Any = "US.A", **arguments: Any) -> FutuShortSource:
    url = f"{gateway.url}?limit=off"
    return FutuShortSource(code, gateway=url, **{"num": 10, **arguments})


def all_closed(gateway: SecondGateway) -> None:
    gateway.wait_until(lambda: not gateway.open_connections)


def test_sources_that_were_read_keep_no_connection_and_no_thread(gateway: SecondGateway) -> None:
    threads = set(threading.enumerate())
    kept = []
    for _ in range(500):
        kept.append(source_of(gateway, "US.B"))
        assert len(kept[-1].read()) == 3
        gateway.wait_until(lambda: len(gateway.open_connections) <= 1)
    all_closed(gateway)
    assert gateway.connections == 500
    left = set(threading.enumerate()) - threads
    assert not [thread.name for thread in left if "process_request" not in thread.name]
    assert len(gateway.queries) == len(kept) == 500


@pytest.mark.parametrize("method", ["read", "discover", "to_dask"])
def test_a_call_that_finishes_the_walk_closes_its_connection(
    gateway: SecondGateway, method: str
) -> None:
    src = source_of(gateway)
    src.read_partition(0)
    getattr(src, method)()
    all_closed(gateway)
    assert gateway.connections == 1
    assert len(gateway.queries) == 3


def test_an_unfinished_walk_keeps_its_one_connection_until_close(gateway: SecondGateway) -> None:
    src = source_of(gateway)
    for number in (0, 1, 0):
        src.read_partition(number)
        assert len(gateway.open_connections) == 1
    assert gateway.connections == 1
    src.close()
    all_closed(gateway)
    assert len(src.read()) == 25
    all_closed(gateway)
    assert gateway.connections == 2


@pytest.mark.parametrize("code", ["US.A", ["US.A", "US.B"]])
def test_an_unfinished_walk_keeps_its_one_connection_until_the_walk_ends(
    gateway: SecondGateway, code: Any
) -> None:
    src = source_of(gateway, code)
    chunks = src.read_chunked()
    assert len(next(chunks)) == 10
    assert len(next(chunks)) == 10
    assert len(gateway.open_connections) == 1
    assert sum(map(len, chunks)) == (5 if code == "US.A" else 8)
    all_closed(gateway)
    assert gateway.connections == 1
    src.close()


def test_a_partition_past_the_end_ends_the_walk_and_closes_the_connection(
    gateway: SecondGateway,
) -> None:
    src = source_of(gateway)
    with pytest.raises(IndexError):
        src.read_partition(3)
    all_closed(gateway)


def test_the_newest_page_alone_is_asked_over_a_connection_that_stays() -> None:
    with SecondGateway({"HK.00001": History("HK", make_rows("HK", 25))}) as gateway:
        src = source_of(gateway, "HK.00001")
        src.aggregates()
        assert len(gateway.open_connections) == 1
        src.close()
        all_closed(gateway)


@pytest.mark.parametrize("code", ["US.A", ["US.A", "US.B"]])
def test_an_unfinished_source_that_is_dropped_closes_its_connection_without_a_warning(
    gateway: SecondGateway, code: Any
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(20):
            src = source_of(gateway, code)
            src.read_partition(0)
            assert gateway.open_connections
            del src
            gc.collect()
            all_closed(gateway)
    assert [str(warning.message) for warning in caught] == []
    assert gateway.connections == 20


@pytest.mark.parametrize("code", ["US.A", ["US.A", "US.B"]])
@pytest.mark.parametrize("method", ["read", "discover", "to_dask", "aggregates", "read_partition"])
def test_close_from_another_thread_ends_a_read_in_about_a_tick(
    gateway: SecondGateway, method: str, code: Any
) -> None:
    if method == "aggregates":
        gateway.histories = {"HK.A": History("HK", make_rows("HK", 3))}
        code = "HK.A" if code == "US.A" else ["HK.A", "HK.B"]
    gateway.script = silent_after_the_handshake
    src = source_of(gateway, code, timeout=600)
    raised: list[BaseException] = []

    def read() -> None:
        try:
            getattr(src, method)(*([0] if method == "read_partition" else []))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test looks at it
            raised.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    gateway.wait_until(lambda: bool(gateway.queries))
    began = time.monotonic()
    src.close()
    took_s = time.monotonic() - began
    reader.join(30)
    assert not reader.is_alive()
    assert [type(error) for error in raised] == [GatewayDisconnectedError]
    assert took_s < 2.0  # a tick is a quarter of a second; without one it would be 600
    all_closed(gateway)
    gateway.script = obliging
    if method != "aggregates":
        assert len(src.read_partition(0)) == 10
        src.close()


def test_a_source_closed_in_mid_walk_begins_anew(gateway: SecondGateway) -> None:
    src = source_of(gateway)
    src.read_partition(1)
    src.close()
    gateway.histories["US.A"] = History("US", ROWS[3:])
    assert src.read()["timestamp_str"].tolist() == DAYS[3:]
    src.close()


FORKED = """
import gc, os, sys
from intake_futu_short.source import FutuShortSource

source = FutuShortSource("US.A", gateway=sys.argv[1], num=10)
assert len(source.read_partition(0)) == 10
child = os.fork()
if not child:
    if sys.argv[2] == "reads":
        assert len(source.read()) == 25
    elif sys.argv[2] == "closes":
        source.close()
    else:
        del source
        gc.collect()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert len(source.read_partition(1)) == 10
print(len(source.read()))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("child", ["reads", "closes", "drops"])
def test_a_forked_child_never_uses_the_connection_of_its_parent(
    gateway: SecondGateway, child: str
) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKED, f"{gateway.url}?limit=off", child],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (result.stdout, result.stderr) == ("25\n", "")
    asked = {number: [q.next_key for q in gateway.queries if q.connection == number]
             for number in range(1, gateway.connections + 1)}  # fmt: skip
    parents = {1: [None, "10", "20"]}
    assert asked == ({**parents, 2: ["10", "20"]} if child == "reads" else parents)
    all_closed(gateway)


FORKED_SAMPLE = """
import os
from intake_futu_short.source import FutuShortSource

source = FutuShortSource("US.AAPL", gateway="sample://", num=10)
first = source.read_partition(0)
child = os.fork()
if not child:
    rows = len(source.read())
    source.close()
    os._exit(0 if rows == 29 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert len(source.read_partition(1)) == 10  # the sample serves the parent on
print(len(source.read()))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_has_a_sample_of_its_own_and_leaves_the_parents_running() -> None:
    result = subprocess.run(
        # Python 3.12 and newer warn of every fork of a process with threads.
        [sys.executable, "-W", "ignore", "-c", FORKED_SAMPLE],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (result.stdout, result.stderr) == ("29\n", "")


def test_a_walk_goes_on_over_a_new_connection_when_the_gateway_hung_up(
    gateway: SecondGateway,
) -> None:
    def hang_up_behind_the_first(exchange: Exchange) -> None:
        obliging(exchange)
        if exchange.query is not None and exchange.number == 1:
            exchange.close()

    gateway.script = hang_up_behind_the_first
    src = source_of(gateway)
    first = src.read_partition(0)
    rest = [src.read_partition(number) for number in (1, 2)]
    assert [day for part in (first, *rest) for day in part["timestamp_str"]] == DAYS
    assert gateway.connections == 2
    all_closed(gateway)


class _Hold:
    """A script that answers nothing while it is held."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.goes_on.set()

    def __call__(self, exchange: Exchange) -> None:
        assert self.goes_on.wait(30)
        obliging(exchange)


def test_two_threads_of_one_source_use_its_one_connection(gateway: SecondGateway) -> None:
    gateway.script = hold = _Hold()
    src = source_of(gateway, num=5)
    src.read_partition(0)
    hold.goes_on.clear()
    lengths: dict[int, int] = {}
    threads = [
        threading.Thread(target=lambda i=i: lengths.update({i: len(src.read_partition(i))}))
        for i in range(1, 5)
    ]
    for thread in threads:
        thread.start()
    hold.goes_on.set()
    for thread in threads:
        thread.join(30)
    assert lengths == dict.fromkeys(range(1, 5), 5)
    assert gateway.connections == 1
    src.close()
