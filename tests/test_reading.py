"""Which generator is asked for first, and which are begun."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING, Any

import pytest
from asking import opened, question, walk
from second_gateway import Exchange, SecondGateway
from second_rows import History, make_rows

from intake_futu_short.errors import GatewayDisconnectedError
from intake_futu_short.history.update import LOCKED
from intake_futu_short.progress import Tally, shown
from intake_futu_short.quote_context import OpenQuoteContext
from intake_futu_short.reading import read
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from asking import Job

CODES = [f"US.T{i}" for i in range(70)]
HISTORIES = {code: History("US", make_rows("US", 120)) for code in CODES}


@pytest.fixture
def gateway() -> Iterator[SecondGateway]:
    with SecondGateway(HISTORIES) as server:
        yield server


def test_no_more_than_32_are_begun_and_the_oldest_goes_first(gateway: SecondGateway) -> None:
    unfinished: set[str] = set()
    most = 0

    def counted(code: str) -> Job:
        nonlocal most
        unfinished.add(code)
        most = max(most, len(unfinished))
        result = yield from walk(code, 50)
        unfinished.remove(code)
        return result

    gateways = opened(f"{gateway.url}?limit=30/0.2")
    results, failures = read({code: counted(code) for code in CODES}, gateways)
    gateways.close()
    assert failures == {}
    assert [len(days) for days in results.values()] == [120] * 70
    assert 30 <= most <= 32
    # Thirty pages go out at once; then tickers that were begun go on before new ones begin.
    asked = [query.code for query in gateway.queries]
    assert sorted(asked[:30]) == sorted(CODES[:30])
    assert asked.index("US.T40") >= 60


def test_an_interruption_finds_the_count_of_tickers_up_to_date() -> None:
    held: list[bytes] = []

    def all_at_once(exchange: Exchange) -> None:
        if exchange.query is None:
            exchange.send(exchange.answer)
            return
        held.append(exchange.answer)
        if len(held) == 4:
            # Then nothing is shown between the first answer and the interruption.
            exchange.send(b"".join(held))

    def asks(code: str) -> Job:
        yield question(code, num=1)

    def interrupted(code: str) -> Job:
        yield question(code, num=1)
        raise KeyboardInterrupt

    tally = Tally(shows_bar=False)
    jobs = {code: asks(code) for code in CODES[:3]} | {CODES[3]: interrupted(CODES[3])}
    with SecondGateway(HISTORIES, all_at_once) as gateway:
        gateways = opened(gateway)
        with shown(tally, len(jobs)) as display, pytest.raises(KeyboardInterrupt):
            read(jobs, gateways, display)
        gateways.close()
    assert tally.done == 3


def test_tickers_that_wait_for_another_writer_leave_the_others_their_places(
    gateway: SecondGateway,
) -> None:
    done: list[str] = []

    def waits(code: str) -> Generator[Any, Any, None]:
        while len(done) < 30:
            yield LOCKED
        done.append(code)

    def asks(code: str) -> Job:
        yield question(code)
        done.append(code)

    jobs: dict[str, Any] = {code: waits(code) for code in CODES[:40]}
    jobs |= {code: asks(code) for code in CODES[40:]}
    gateways = opened(f"{gateway.url}?limit=off")
    _, failures = read(jobs, gateways)
    gateways.close()
    assert failures == {}
    assert set(done[:30]) == set(CODES[40:])


def test_one_that_fails_to_end_does_not_keep_the_others_from_it(gateway: SecondGateway) -> None:
    ended: list[int] = []

    def stubborn(number: int) -> Job:
        try:
            yield question(CODES[number])
            raise RuntimeError("a bug")
        finally:
            ended.append(number)
            if number == 1:
                raise OSError("the lock cannot be released")

    gateways = opened(f"{gateway.url}?limit=off")
    with pytest.raises((RuntimeError, OSError)):
        read({number: stubborn(number) for number in range(4)}, gateways)
    assert sorted(ended) == [0, 1, 2, 3]


def test_the_newest_report_costs_one_page_also_when_its_rows_are_not_wanted(
    gateway: SecondGateway,
) -> None:
    with FutuShortSource("US.T0", gateway=gateway.url, end="2020-01-01", num=5) as src:
        src.aggregates()
        assert len(gateway.queries) == 1


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no alarm")
def test_a_source_closed_by_a_signal_in_mid_read_can_be_read_again(gateway: SecondGateway) -> None:
    src = FutuShortSource("US.T0", gateway=f"{gateway.url}?limit=1/0.3", num=50)
    context = OpenQuoteContext(port=gateway.port)

    def close(*_: object) -> None:
        src.close()
        context.close()

    before = signal.signal(signal.SIGALRM, close)
    try:
        src.read_partition(0)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(GatewayDisconnectedError, match="closed here"):
            src.read_partition(1)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(src.read_partition(0)) == 50
    src.close()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system stops no processes")
def test_answers_that_came_while_the_process_was_stopped_came_in_time() -> None:
    script = """
        import sys
        from intake_futu_short.source import FutuShortSource
        with FutuShortSource("US.T0", gateway=sys.argv[1], timeout=1.0) as src:
            print("begins", flush=True)
            print(len(src.read()))
    """

    def slow(exchange: Any) -> None:
        if exchange.query is not None and exchange.number == 2:
            os.kill(child.pid, signal.SIGSTOP)
            exchange.send(exchange.answer)
            threading.Timer(2.0, os.kill, (child.pid, signal.SIGCONT)).start()
        else:
            exchange.send(exchange.answer)

    with SecondGateway(HISTORIES, slow) as server:
        child = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(script), server.url],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with contextlib.ExitStack() as ends:
            ends.callback(child.kill)
            said, _ = child.communicate(timeout=60)
        assert said.split() == ["begins", "120"]
        assert len(server.queries) == 3  # none was asked for again
