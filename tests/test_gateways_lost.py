"""Several gateways of which some die in the middle of a read, as processes do."""

from __future__ import annotations

import contextlib
import logging
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from second_gateway import Exchange, History, SecondGateway, make_rows, obliging

from intake_futu_short.errors import GatewayUnreachableError
from intake_futu_short.opend import pool, pooled_gateway
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.pool import GatewayPool
from intake_futu_short.security import Security
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pandas as pd

CODES = [f"US.T{i}" for i in range(6)]
KNOWN = {code: History("US", make_rows("US", 33, seed=i)) for i, code in enumerate(CODES)}
T0 = Security.parse("US.T0")
# A guard against hangs, never a measure of speed.
PATIENCE_S = 30.0
# Until a lost gateway is given up and its work has moved; sought to the end it takes 30 s.
SOON_S = 10.0

# What the second gateway serves, in a process of its own that can be killed.
MORTAL = """
import sys
from second_gateway import History, SecondGateway, make_rows
codes = [f"US.T{i}" for i in range(6)]
known = {code: History("US", make_rows("US", 33, seed=i)) for i, code in enumerate(codes)}
with SecondGateway(known) as gateway:
    print(gateway.url, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def mortal(tests: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, "-c", MORTAL], cwd=tests,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def whole(frame: pd.DataFrame) -> bool:
    """Whether every row of every ticker is there, once and in its order."""
    shares = frame.groupby("code", sort=False)["total_shares_short"].apply(list).to_dict()
    return shares == {c: [row["totalSharesShort"] for row in h.rows] for c, h in KNOWN.items()}


def left_out(log: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in log.records if "is left out" in r.getMessage()]


def after(number: int, act: Callable[[], object]) -> Callable[[Exchange], None]:
    """A script that does something before it answers its so-many-th query."""

    def script(exchange: Exchange) -> None:
        if exchange.query is not None and exchange.number == number:
            act()
        obliging(exchange)

    return script


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("limit", ["off", "100/2"])
def test_what_was_under_way_at_a_gateway_that_dies_moves_to_another_soon(
    death: signal.Signals,
    limit: str,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        mortal(request.path.parent) as (dying, process),
        SecondGateway(KNOWN, after(9, lambda: process.send_signal(death))) as heir,
    ):
        urls = [f"{url}?limit={limit}" for url in (dying, heir.url)]
        with FutuShortSource(CODES, gateway=urls, num=5, timeout=1.0) as src:
            begin = time.monotonic()
            assert whole(src.read())
            assert time.monotonic() - begin < SOON_S
    (warning,) = left_out(caplog)
    assert warning.startswith(dying)


def test_a_walk_that_waits_for_the_limit_of_a_gateway_that_dies_does_not_wait_for_it() -> None:
    dying = SecondGateway(KNOWN)
    waits = threading.Event()
    with SecondGateway(KNOWN) as heir:
        urls = [GatewayURL.parse(f"{dying.url}?limit=2/600"), GatewayURL.parse(heir.url)]
        with contextlib.closing(GatewayPool(urls, on_wait=lambda _: waits.set())) as gateways:
            with dying:
                key = gateways.daily_short_volume(T0, None, 5).next_key
                key = gateways.daily_short_volume(T0, key, 5).next_key
                assert len(dying.queries) == 2
                answers: list[int] = []
                walk = threading.Thread(
                    target=lambda: answers.append(
                        gateways.daily_short_volume(T0, key, 5).us_items[0].total_shares_short
                    )
                )
                walk.start()
                assert waits.wait(PATIENCE_S)
            walk.join(PATIENCE_S)  # and not ten minutes
    assert answers == [KNOWN["US.T0"].rows[10]["totalSharesShort"]]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pooled_gateway, pool):
        monkeypatch.setattr(module, "SEEK_S", 0.1)


def ask_both(gateways: GatewayPool, one: SecondGateway, two: SecondGateway) -> None:
    """Let two gateways answer something."""

    def late(exchange: Exchange) -> None:
        if exchange.query is not None:
            two.wait_until(lambda: bool(two.queries))
        obliging(exchange)

    one.script = late
    first = threading.Thread(target=gateways.daily_short_volume, args=(T0, None, 5))
    first.start()
    one.wait_until(lambda: bool(one.queries))
    gateways.daily_short_volume(Security.parse("US.T1"), None, 5)
    first.join(PATIENCE_S)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("number", [0, 1])
def test_when_all_die_all_are_sought_and_the_first_that_comes_back_goes_on(number: int) -> None:
    lost = [SecondGateway(KNOWN), SecondGateway(KNOWN)]
    urls = [GatewayURL.parse(f"{gateway.url}?limit=off") for gateway in lost]
    with contextlib.closing(GatewayPool(urls)) as gateways:
        with lost[0], lost[1]:
            ask_both(gateways, *lost)
        answers: list[int] = []
        walk = threading.Thread(
            target=lambda: answers.append(len(gateways.daily_short_volume(T0, "5", 50).us_items))
        )
        walk.start()
        while not all(one.gone for one in gateways._gateways):
            time.sleep(0.01)
        with SecondGateway(KNOWN, port=lost[number].port):
            walk.join(PATIENCE_S)
    assert answers == [28]


@pytest.mark.usefixtures("hurried")
def test_when_all_die_for_good_the_error_names_them_once_they_were_sought_as_long_as_one_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool, "AWAY_S", 1.0)
    lost = [SecondGateway(KNOWN), SecondGateway(KNOWN)]
    urls = [GatewayURL.parse(gateway.url) for gateway in lost]
    with contextlib.closing(GatewayPool(urls)) as gateways:
        with lost[0], lost[1]:
            ask_both(gateways, *lost)
        begin = time.monotonic()
        with pytest.raises(GatewayUnreachableError) as caught:
            gateways.daily_short_volume(T0, "5", 5)
        assert 0.7 <= time.monotonic() - begin < SOON_S
        assert all(gateway.url in str(caught.value) for gateway in lost)
    assert len(left_out(caplog)) == 1


def test_a_pool_that_was_closed_seeks_no_gateway_before_it_has_answered_again() -> None:
    lost = [SecondGateway(KNOWN), SecondGateway(KNOWN)]
    with contextlib.closing(GatewayPool([GatewayURL.parse(one.url) for one in lost])) as gateways:
        with lost[0], lost[1]:
            ask_both(gateways, *lost)
        gateways.close()
        begin = time.monotonic()
        with pytest.raises(GatewayUnreachableError):
            gateways.daily_short_volume(T0, None, 5)
        assert time.monotonic() - begin < SOON_S


@pytest.mark.usefixtures("hurried")
def test_a_gateway_that_was_left_out_is_tried_again_after_a_while_and_used_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="intake_futu_short")
    monkeypatch.setattr(pool, "AWAY_S", 0.3)
    dying = SecondGateway(KNOWN)
    with SecondGateway(KNOWN) as heir:
        urls = [GatewayURL.parse(f"{url}?limit=off") for url in (dying.url, heir.url)]
        with contextlib.closing(GatewayPool(urls)) as gateways:
            with dying:
                gateways.daily_short_volume(T0)
            for _ in range(3):
                gateways.daily_short_volume(T0)
            with SecondGateway(KNOWN, port=dying.port) as again:
                until = time.monotonic() + PATIENCE_S
                while not again.queries:
                    assert time.monotonic() < until
                    gateways.daily_short_volume(T0)
                asked = len(again.queries)
                gateways.daily_short_volume(T0)
                assert len(again.queries) == asked + 1
    assert len(left_out(caplog)) == 1
    assert [r.getMessage() for r in caplog.records if r.getMessage().endswith("is back")]


def test_an_empty_page_is_no_end_where_the_cursor_is_another_gateways() -> None:
    # To a gateway whose cursors are times, the number of rows so far lies before all of its days.
    dying = SecondGateway(KNOWN)
    with (
        SecondGateway(KNOWN, cursor="timestamp") as heir,
        FutuShortSource("US.T0", gateway=[dying.url, heir.url], num=5) as src,
    ):
        with dying:
            src.read_partition(1)
        assert src.read()["total_shares_short"].tolist() == [
            row["totalSharesShort"] for row in KNOWN["US.T0"].rows
        ]
