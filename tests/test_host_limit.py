"""The limit over the processes of a host, judged by a gateway that counts arrivals."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
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
    refusal_body,
)

from intake_futu_short.errors import GatewayDisconnectedError, RateLimitError
from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.opend import client as client_module
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.client import GatewayClient
from intake_futu_short.security import Security
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from pathlib import Path

AAPL = Security.parse("US.AAPL")
SAMPLE = sample_histories()

HEAD = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.client import GatewayClient
from intake_futu_short.security import Security

client, code = GatewayClient(GatewayURL.parse(sys.argv[1]), timeout=60), Security.parse("US.AAPL")

def ask(_=None):
    client.daily_short_volume(code)

print("ready", flush=True)
sys.stdin.readline()
"""
THREADS = """
with ThreadPoolExecutor(3) as pool:
    list(pool.map(ask, range(int(sys.argv[2]))))
client.close()
"""


class Asking:
    """A process that waits for `go` and then asks."""

    def __init__(self, script: str, url: str, *arguments: object) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", HEAD + script, url, *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.popen.stdout is not None
        assert self.popen.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()

    def finish(self) -> None:
        _, err = self.popen.communicate(timeout=PATIENCE_S)
        assert (self.popen.returncode, err) == (0, "")

    def kill(self) -> None:
        self.popen.kill()
        self.popen.communicate()


def arrivals(gateway: Gateway) -> list[float]:
    return [request.arrived_s for request in gateway.requests]


def is_kept(times: list[float], number: int, seconds: float) -> bool:
    pairs = zip(times, times[number:], strict=False)
    return all(later - first > seconds for first, later in pairs)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_processes_of_several_threads_together_are_never_refused(number: int) -> None:
    with Gateway(SAMPLE, limit=(10, 0.5)) as gateway:
        url = f"{gateway.url}?limit=10/0.5"
        processes = [Asking(THREADS, url, 40 // number) for _ in range(number)]
        for process in processes:
            process.go()
        for process in processes:
            process.finish()
    # What is refused is asked again: none was.
    assert len(gateway.requests) == 40
    assert is_kept(arrivals(gateway), 10, 0.5)


def test_the_limit_holds_when_a_process_is_killed_and_another_starts_at_once() -> None:
    with Gateway(SAMPLE, limit=(10, 1.0), latency_s=0.05) as gateway:
        url = f"{gateway.url}?limit=10/1"
        victim, heir = Asking(THREADS, url, 1000), Asking(THREADS, url, 15)
        victim.go()
        deadline = time.monotonic() + PATIENCE_S
        while len(gateway.requests) < 15:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        victim.kill()
        asked = len(gateway.requests)
        heir.go()
        # A slot of the dead process counts until a window after its deadline of 60 s, which nobody
        # waits for here: with at most three of ten in flight the others are free.
        heir.finish()
    assert len(gateway.requests) - asked in {15, 16}  # the victim's last may arrive after it
    assert is_kept(arrivals(gateway), 10, 1.0)


def test_the_stricter_limit_of_two_processes_holds() -> None:
    with Gateway(SAMPLE, limit=(5, 0.5)) as gateway:
        strict = Asking(THREADS, f"{gateway.url}?limit=5/0.5", 10)
        lax = Asking(THREADS, f"{gateway.url}?limit=30/0.5", 10)
        strict.go()
        deadline = time.monotonic() + PATIENCE_S
        while not gateway.requests:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        lax.go()
        strict.finish()
        lax.finish()
    assert len(gateway.requests) == 20
    assert is_kept(arrivals(gateway), 5, 0.5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child_and_its_parent_count_together() -> None:
    script = """
for _ in range(3):
    ask()
child = os.fork()
for _ in range(6):
    ask()
if child == 0:
    os._exit(0)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""
    with Gateway(SAMPLE, limit=(5, 0.5)) as gateway:
        process = Asking(script, f"{gateway.url}?limit=5/0.5")
        process.go()
        process.popen.communicate(timeout=PATIENCE_S)
        assert process.popen.returncode == 0
    assert len(gateway.requests) == 15
    assert is_kept(arrivals(gateway), 5, 0.5)


def test_names_of_one_gateway_count_together() -> None:
    with Gateway(SAMPLE, limit=(4, 0.5)) as gateway, ThreadPoolExecutor(2) as pool:
        urls = [f"opend://{host}:{gateway.port}?limit=4/0.5" for host in ("127.0.0.1", "localhost")]

        def ask(url: str) -> None:
            with closing(GatewayClient(GatewayURL.parse(url))) as client:
                for _ in range(6):
                    client.daily_short_volume(AAPL)

        list(pool.map(ask, urls))
    assert len(gateway.requests) == 12


def test_a_client_is_told_that_it_waits_and_how_long() -> None:
    told: list[tuple[str, float]] = []

    def listen(seconds: float) -> None:
        told.append((threading.current_thread().name, seconds))

    with Gateway(SAMPLE, limit=(2, 0.5)) as gateway:
        url = GatewayURL.parse(f"{gateway.url}?limit=2/0.5")
        with closing(GatewayClient(url, on_wait=listen)) as client:
            client.daily_short_volume(AAPL)
            client.daily_short_volume(AAPL)
            assert told == []
            client.daily_short_volume(AAPL)
    assert {name for name, _ in told} == {"intake-futu-short"}
    assert 0 < told[0][1] <= 0.5


def test_what_was_asked_before_close_counts_on() -> None:
    with Gateway(SAMPLE, limit=(2, 0.5)) as gateway:
        for _ in range(5):
            with closing(GatewayClient(GatewayURL.parse(f"{gateway.url}?limit=2/0.5"))) as client:
                client.daily_short_volume(AAPL)
    assert len(gateway.requests) == 5


def test_without_a_limit_nothing_is_written(cache: Path) -> None:
    with Gateway(SAMPLE) as gateway:
        with closing(GatewayClient(GatewayURL.parse(f"{gateway.url}?limit=off"))) as client:
            client.daily_short_volume(AAPL)
        with closing(FutuShortSource("US.AAPL", gateway="sample://")) as source:
            source.read()
    assert list(cache.iterdir()) == []


# -- "too frequent" all the same ----------------------------------------------------------------


class TooFrequent:
    """Refuses some of the requests for a page, by their number from 1."""

    def __init__(self, refused: range) -> None:
        self.refused = refused

    def __call__(self, exchange: Exchange) -> None:
        if exchange.proto_id == DAILY_SHORT_VOLUME and exchange.number in self.refused:
            words = "获取每日卖空频率太高，请求失败，每30秒最多30次。"  # noqa: RUF001 - its words
            body = refusal_body(words)
            exchange.send(frame(DAILY_SHORT_VOLUME, exchange.serial, body))
        else:
            exchange.send(exchange.answer)


HISTORIES = {"US.AAPL": History("US", make_rows("US", 25))}


def test_a_page_refused_as_too_frequent_is_asked_again_after_a_window() -> None:
    with SecondGateway(HISTORIES, TooFrequent(range(2, 4))) as gateway:
        url = f"{gateway.url}?limit=30/0.2"
        with closing(FutuShortSource("US.AAPL", gateway=url, num=10)) as source:
            assert len(source.read()) == 25
    assert [query.next_key for query in gateway.queries] == [None, "10", "10", "10", "20"]
    times = [query.arrived for query in gateway.queries]
    assert min(times[2] - times[1], times[3] - times[2]) >= 0.2


def test_a_gateway_that_always_refuses_is_given_up() -> None:
    told: list[float] = []
    with SecondGateway(HISTORIES, TooFrequent(range(1, 1000))) as gateway:
        url = GatewayURL.parse(f"{gateway.url}?limit=30/0.05")
        with (
            closing(GatewayClient(url, on_wait=told.append)) as client,
            pytest.raises(RateLimitError, match=r"US\.AAPL"),
        ):
            client.daily_short_volume(AAPL)
    assert len(told) >= 9  # the waits after a refusal are told too
    assert len(gateway.queries) == client_module.ASKED_AT_MOST == 10


def test_without_a_limit_a_refusal_is_final() -> None:
    with SecondGateway(HISTORIES, TooFrequent(range(1, 2))) as gateway:
        url = GatewayURL.parse(f"{gateway.url}?limit=off")
        with closing(GatewayClient(url)) as client, pytest.raises(RateLimitError):
            client.daily_short_volume(AAPL)
    assert len(gateway.queries) == 1


def test_closing_ends_the_wait_for_the_limit_also_when_others_go_on() -> None:
    waits = threading.Event()
    with SecondGateway(HISTORIES) as gateway, SecondGateway(HISTORIES) as other:
        url = GatewayURL.parse(f"{gateway.url}?limit=1/600")
        limited = GatewayClient(url, on_wait=lambda _: waits.set())
        with closing(GatewayClient(GatewayURL.parse(other.url))) as going_on:
            going_on.daily_short_volume(AAPL)
            limited.daily_short_volume(AAPL)
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(limited.daily_short_volume, AAPL)
                assert waits.wait(PATIENCE_S)
                limited.close()
                with pytest.raises(GatewayDisconnectedError, match="closed here"):
                    waiting.result(timeout=PATIENCE_S)
