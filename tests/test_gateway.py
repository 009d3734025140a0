"""The sockets of our gateway: connections, their ends, starting and closing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from gateway_peer import (
    DAILY_SHORT_VOLUME,
    GLOBAL_STATE,
    HEADER,
    INIT_CONNECT,
    KEEP_ALIVE,
    PATIENCE_S,
    Peer,
    days,
    frame,
    hello,
    question,
    sample,
)
from second_gateway import official

from intake_futu_short.errors import ConfigError, GatewayError
from intake_futu_short.gateway import Gateway
from intake_futu_short.gateway.shared_sample import SharedSample

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway(sample()) as running:
        yield running


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01",
        frame(KEEP_ALIVE, b"\x0a\x02\x08\x01", 9).replace(b"\x0a\x02\x08\x01", b"\x0a\x02\x08\x02"),
        HEADER.pack(b"F", b"T", KEEP_ALIVE, 0, 0, 9, 2**31, bytes(20), bytes(8)),
        HEADER.pack(b"F", b"T", KEEP_ALIVE, 0, 7, 9, 0, bytes(20), bytes(8)),
    ],
    ids=["http", "tls", "wrong SHA-1", "2 GiB", "version"],
)
def test_garbage_costs_that_connection_only(gateway: Gateway, garbage: bytes) -> None:
    with Peer(gateway) as bad, Peer(gateway) as good:
        bad.sock.sendall(garbage)
        assert bad.is_closed_by_gateway()
        assert good.page().retType == 0


def test_requests_may_come_in_pieces_of_any_size(gateway: Gateway) -> None:
    with Peer(gateway, greet=False) as peer:
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = frame(INIT_CONNECT, hello(), 1) + frame(DAILY_SHORT_VOLUME, question(), 2)
        for number in stream:
            peer.sock.send(bytes([number]))
        assert [peer.receive()[:2] for _ in range(2)] == [
            (INIT_CONNECT, 1),
            (DAILY_SHORT_VOLUME, 2),
        ]


def test_many_requests_in_flight_on_many_connections_are_each_answered(gateway: Gateway) -> None:
    peers = [Peer(gateway) for _ in range(20)]
    for peer in peers:
        for num in range(1, 51):
            peer.send(DAILY_SHORT_VOLUME, question("SAMPLE", num=num))
    response = official("Qot_GetDailyShortVolume_pb2").Response
    for peer in peers:
        for num in range(1, 51):
            proto_id, serial, body = peer.receive()
            assert (proto_id, serial) == (DAILY_SHORT_VOLUME, num + 1)
            assert len(response.FromString(body).s2c.usItemList) == num
        peer.sock.close()
    assert len(gateway.requests) == 1000


def test_a_late_answer_keeps_nobody_waiting() -> None:
    with Gateway(sample(), latency_s=0.2) as running, Peer(running) as peer:
        page = peer.send(DAILY_SHORT_VOLUME, question())
        heartbeat = peer.send(KEEP_ALIVE, b"\x0a\x02\x08\x01")
        assert [peer.receive()[1] for _ in range(2)] == [heartbeat, page]


def test_closing_does_not_wait_for_late_answers() -> None:
    with Gateway(sample(), latency_s=3600.0) as running:
        peer = Peer(running)
        peer.send(DAILY_SHORT_VOLUME, question())
        # Answered after the request has been read, which is what the test needs.
        assert peer.ask(GLOBAL_STATE, b"", "GetGlobalState_pb2").retType == -1
        assert len(running.requests) == 1
    assert peer.is_closed_by_gateway()
    peer.sock.close()


def test_an_answer_to_somebody_who_has_left_is_dropped() -> None:
    with Gateway(sample(), latency_s=0.05) as running:
        with Peer(running) as gone:
            for _ in range(20):
                gone.send(DAILY_SHORT_VOLUME, question())
            assert gone.ask(GLOBAL_STATE, b"", "GetGlobalState_pb2").retType == -1
        with Peer(running) as peer:
            assert peer.page().retType == 0


def sends(sock: socket.socket, data: bytes) -> bool:
    try:
        return sock.send(data) > 0
    except BlockingIOError:
        return False


def test_a_client_that_does_not_read_hurts_nobody(gateway: Gateway) -> None:
    with Peer(gateway) as deaf, Peer(gateway) as good:
        request = frame(DAILY_SHORT_VOLUME, question("SAMPLE", num=50), 5)
        deaf.sock.setblocking(False)
        # Until the gateway has read nothing for a while, by its own count of round trips: it
        # stops reading while its answers pile up.
        unread = 0
        while unread < 20:
            unread = 0 if sends(deaf.sock, request * 1000) else unread + 1
            assert good.page().retType == 0
        answered = len(gateway.requests)
        assert good.page().retType == 0
        assert len(gateway.requests) == answered + 1


def test_more_connections_than_allowed_are_closed() -> None:
    with (
        Gateway(sample(), max_connections=2) as running,
        Peer(running),
        Peer(running) as second,
        Peer(running, greet=False) as third,
    ):
        assert third.is_closed_by_gateway()
        assert second.page().retType == 0


# Life


def test_connections_just_made_are_closed_in_silence() -> None:
    for _ in range(50):
        running = Gateway({})
        running.start()
        early = [socket.create_connection((running.host, running.port)) for _ in range(3)]
        running.close()
        for sock in early:
            sock.close()


def test_close_hangs_up_and_it_starts_again_with_its_record() -> None:
    running = Gateway(sample())
    assert running.port == 0
    running.close()
    running.start()
    assert running.start() is running
    assert running.url == f"opend://127.0.0.1:{running.port}"
    first_port = running.port
    peer = Peer(running)
    peer.page()
    running.close()
    running.close()
    assert peer.is_closed_by_gateway()
    peer.sock.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", first_port), timeout=PATIENCE_S)
    assert running.port == 0
    with running, Peer(running) as peer:
        peer.page()
    assert len(running.requests) == 2


def test_a_fixed_port_is_kept_and_refused_while_it_is_taken() -> None:
    with Gateway(sample()) as free:
        port = free.port
    fixed = Gateway(sample(), port=port)
    assert fixed.url == f"opend://127.0.0.1:{port}"
    with fixed:
        assert fixed.port == port
        with pytest.raises(GatewayError, match=f"cannot listen at opend://127.0.0.1:{port}"):
            Gateway(sample(), port=port).start()
    with fixed, Peer(fixed) as peer:
        assert peer.page().retType == 0


@pytest.mark.parametrize("host", ["localhost", "::1", "127.0.0.2"])
def test_other_loopback_addresses(host: str) -> None:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, 0), family=family).close()
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with Gateway(sample(), host=host) as running, Peer(running) as peer:
        assert peer.page().retType == 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"host": "0.0.0.0"},  # noqa: S104 - it is refused
        {"host": "192.168.1.5"},
        {"host": ""},
        {"host": "example.com"},
        {"host": None},
        {"port": -1},
        {"port": 65536},
        {"port": True},
        {"port": "11111"},
        {"limit": (0, 30.0)},
        {"limit": (30, 0.0)},
        {"limit": "30/30"},
        {"limit": 30},
        {"latency_s": -0.1},
        {"latency_s": float("nan")},
        {"latency_s": "1"},
        {"max_connections": 0},
        {"max_connections": "128"},
    ],
    ids=str,
)
def test_arguments_that_cannot_work_are_refused_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        Gateway({}, **arguments)


# The sample of the process


def ask_sample(url: str) -> Any:
    port = int(url.rpartition(":")[2])
    with Peer(Gateway({}, port=port)) as peer:
        return peer.page(num=1)


def is_listening(url: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), PATIENCE_S).close()
    except ConnectionRefusedError:
        return False
    return True


def test_the_sample_is_shared_and_ends_with_its_last_user() -> None:
    one, two = SharedSample(), SharedSample()
    assert one.url == two.url
    one.close()
    one.close()
    assert days(ask_sample(two.url)) == ["2024-10-11"]
    two.close()
    assert not is_listening(two.url)
    three = SharedSample()
    assert is_listening(three.url)
    three.close()


def test_threads_share_the_sample() -> None:
    urls: list[str] = []
    together = threading.Barrier(8)

    def use() -> None:
        together.wait()
        sample = SharedSample()
        urls.append(sample.url)
        together.wait()
        sample.close()

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(urls) == 8
    assert len(set(urls)) == 1
    assert not is_listening(urls[0])


def run_python(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_starts_a_sample_of_its_own() -> None:
    code = """
import os, socket, warnings
from intake_futu_short.gateway import Gateway
from intake_futu_short.gateway.shared_sample import SharedSample
warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside a thread
mine = SharedSample()
gateway = Gateway({}).start()
child = os.fork()
if child == 0:
    own = SharedSample()
    different = own.url != mine.url
    socket.create_connection(("127.0.0.1", int(own.url.rpartition(":")[2]))).close()
    mine.close()
    gateway.close()
    own.close()
    os._exit(0 if different else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
socket.create_connection(("127.0.0.1", int(mine.url.rpartition(":")[2]))).close()
socket.create_connection(("127.0.0.1", gateway.port)).close()
mine.close()
gateway.close()
print("served on")
"""
    assert run_python(code) == "served on\n"


def test_a_process_that_never_closes_ends_at_once() -> None:
    code = """
from intake_futu_short.gateway import Gateway
from intake_futu_short.gateway.shared_sample import SharedSample
SharedSample()
Gateway({}).start()
print("done")
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")
