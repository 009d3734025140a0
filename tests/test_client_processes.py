"""The client in processes that end, fork, or are interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from second_gateway import (
    INIT_CONNECT,
    PATIENCE_S,
    Exchange,
    History,
    SecondGateway,
    make_rows,
    silent,
    silent_after_the_handshake,
)

if TYPE_CHECKING:
    from typing_extensions import Self

HISTORIES = {"US.AAPL": History("US", make_rows("US", 23))}

HEAD = """
import gc, logging, os, sys, threading
# What is judged is stderr; asyncio's remarks on a slow machine are not meant.
logging.getLogger("asyncio").setLevel(logging.ERROR)
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.client import GatewayClient
from intake_futu_short.security import Security
AAPL = Security.parse("US.AAPL")
client = GatewayClient(GatewayURL.parse(sys.argv[1]), timeout=600)
"""


class Process:
    """A script of its own process that talks to the gateway."""

    def __init__(self, script: str, gateway: SecondGateway, *options: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-X", "dev", *options, "-c", HEAD + script, gateway.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

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


def test_a_process_that_never_closed_exits_at_once() -> None:
    script = """
client.daily_short_volume(AAPL)
print(len(client.daily_short_volume(AAPL).us_items))
"""
    with SecondGateway(HISTORIES) as gateway, Process(script, gateway, "-W", "error") as process:
        assert process.finish() == (0, "10\n", "")


def test_a_source_that_was_never_closed_lets_its_process_exit_at_once() -> None:
    script = """
from intake_futu_short.source import FutuShortSource
source = FutuShortSource("US.AAPL", gateway=sys.argv[1], num=10)
print(len(source.read()))
"""
    with SecondGateway(HISTORIES) as gateway, Process(script, gateway) as process:
        assert process.finish() == (0, "23\n", "")


def test_a_process_whose_request_failed_exits_at_once() -> None:
    script = """
try:
    client.daily_short_volume(AAPL)
except ConnectionError as error:
    print(type(error).__name__)
"""

    def closing_at_once(exchange: Exchange) -> None:
        exchange.close()

    with (
        SecondGateway(HISTORIES, closing_at_once) as gateway,
        Process(script, gateway, "-W", "error") as process,
    ):
        assert process.finish() == (0, "GatewayDisconnectedError\n", "")


def test_ctrl_c_ends_a_read() -> None:
    script = "client.daily_short_volume(AAPL)"
    with (
        SecondGateway(HISTORIES, silent_after_the_handshake) as gateway,
        Process(script, gateway, "-W", "error") as process,
    ):
        gateway.wait_until(lambda: len(gateway.queries) == 1)
        process.popen.send_signal(signal.SIGINT)
        code, out, err = process.finish()
    assert code == -signal.SIGINT
    assert out == ""
    assert err.endswith("KeyboardInterrupt\n")
    assert err.count("Traceback") == 1


def test_ctrl_c_ends_a_connection_that_is_being_made() -> None:
    script = "client.daily_short_volume(AAPL)"
    with SecondGateway(HISTORIES, silent) as gateway, Process(script, gateway) as process:
        gateway.wait_until(lambda: len(gateway.init_connects) == 1)
        process.popen.send_signal(signal.SIGINT)
        code, _, err = process.finish()
    assert code == -signal.SIGINT
    assert err.endswith("KeyboardInterrupt\n")


def test_a_client_works_on_after_ctrl_c() -> None:
    def silent_once(exchange: Exchange) -> None:
        if exchange.proto_id == INIT_CONNECT or exchange.number > 1:
            exchange.send(exchange.answer)

    script = """
try:
    client.daily_short_volume(AAPL)
except KeyboardInterrupt:
    print(len(client.daily_short_volume(AAPL).us_items))
client.close()
print(threading.active_count())
"""
    with (
        SecondGateway(HISTORIES, silent_once) as gateway,
        Process(script, gateway, "-W", "error") as process,
    ):
        gateway.wait_until(lambda: len(gateway.queries) == 1)
        process.popen.send_signal(signal.SIGINT)
        assert process.finish() == (0, "10\n1\n", "")
        assert gateway.connections == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.parametrize("ending", ["gc.collect()", "client.close()", "os._exit(0)"])
def test_a_forked_child_and_its_parent_each_go_on(ending: str) -> None:
    script = f"""
client.daily_short_volume(AAPL)
child = os.fork()
if child == 0:
    assert len(client.daily_short_volume(AAPL, "10").us_items) == 10
    {ending}
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert len(client.daily_short_volume(AAPL, "20").us_items) == 3
"""
    # Python warns of every fork of a process with threads; that is what is tried here.
    options = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    with SecondGateway(HISTORIES) as gateway, Process(script, gateway, *options) as process:
        assert process.finish() == (0, "", "")
    assert [(q.next_key, q.connection) for q in gateway.queries] == [
        (None, 1),
        ("10", 2),
        ("20", 1),
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.parametrize("ending", ["client.close()", "client = None; gc.collect()", "pass"])
def test_a_forked_child_that_asks_nothing_leaves_its_parent_alone(ending: str) -> None:
    script = f"""
client.daily_short_volume(AAPL)
child = os.fork()
if child == 0:
    {ending}
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert len(client.daily_short_volume(AAPL, "20").us_items) == 3
"""
    options = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    with SecondGateway(HISTORIES) as gateway, Process(script, gateway, *options) as process:
        assert process.finish() == (0, "", "")
    assert [query.connection for query in gateway.queries] == [1, 1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_child_forked_while_another_thread_held_the_client_s_lock_goes_on() -> None:
    script = """
client.daily_short_volume(AAPL)
with client._alone():
    child = os.fork()
    if child == 0:
        assert len(client.daily_short_volume(AAPL, "10").us_items) == 10
        client.close()
        os._exit(0)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
client.close()
"""
    options = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    with SecondGateway(HISTORIES) as gateway, Process(script, gateway, *options) as process:
        assert process.finish() == (0, "", "")
    assert [query.connection for query in gateway.queries] == [1, 2]
