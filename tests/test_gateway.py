"""The sockets of our gateway: connections, their ends, starting and closing, hostile clients."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections import ChainMap, UserDict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from gateway_peer import (
    DAILY_SHORT_VOLUME,
    GLOBAL_STATE,
    HEADER,
    INIT_CONNECT,
    KEEP_ALIVE,
    PATIENCE_S,
    Peer,
    frame,
    hello,
    question,
    sample,
)
from second_gateway import official

from intake_futu_short.errors import ConfigError, GatewayError
from intake_futu_short.gateway import Gateway, History

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

HEARTBEAT = b"\x0a\x02\x08\x01"


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


def test_late_answers_do_not_wait_for_each_other() -> None:
    with Gateway(sample(), latency_s=0.2) as running, Peer(running) as peer:
        begin_s = time.monotonic()
        asked = [peer.send(DAILY_SHORT_VOLUME, question("SAMPLE", num=50)) for _ in range(30)]
        assert [peer.receive()[1] for _ in range(30)] == asked
        took_s = time.monotonic() - begin_s
    assert 0.2 <= took_s < 3.0  # one after the other would be 6 s


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
            # Its answer says that the twenty requests before it have been read.
            last = gone.send(GLOBAL_STATE, b"")
            while gone.receive()[1] != last:
                pass
        with Peer(running) as peer:
            assert peer.page().retType == 0


class Broken(Mapping[str, History]):
    """Histories whose lookup breaks down."""

    def __getitem__(self, code: str) -> History:
        raise OSError(f"no room for {code}")

    def __iter__(self) -> Iterator[str]:
        raise AssertionError

    def __len__(self) -> int:
        raise AssertionError


def test_a_lookup_that_breaks_down_is_logged_and_ends_its_connection_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Gateway(Broken()) as running, Peer(running) as peer, Peer(running) as other:
        peer.send(DAILY_SHORT_VOLUME, question())
        assert peer.is_closed_by_gateway()
        assert other.ask(KEEP_ALIVE, HEARTBEAT, "KeepAlive_pb2").retType == 0
    assert "OSError: no room for US.AAPL" in caplog.text
    caplog.clear()


# Clients that mean no good


def sends(sock: socket.socket, data: bytes) -> bool:
    try:
        return sock.send(data) > 0
    except BlockingIOError:
        return False


def flood(deaf: Peer, good: Peer) -> None:
    """Send requests until the gateway takes no more, which it does not while answers pile up.

    That it takes none is judged over 20 round trips of another client.
    """
    request = frame(DAILY_SHORT_VOLUME, question("SAMPLE", num=50), 5)
    deaf.sock.setblocking(False)
    unread = 0
    while unread < 20:
        unread = 0 if sends(deaf.sock, request * 1000) else unread + 1
        assert good.ask(KEEP_ALIVE, HEARTBEAT, "KeepAlive_pb2").retType == 0


def test_a_client_that_does_not_read_hurts_nobody(gateway: Gateway) -> None:
    with Peer(gateway) as deaf, Peer(gateway) as good:
        flood(deaf, good)  # and it ends
        assert good.page().retType == 0
        assert walk_s(good) > 0


def test_late_answers_do_not_pile_up_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intake_futu_short.gateway.server.MAX_LATE_BYTES", 50_000)
    with (
        Gateway(sample(), latency_s=3600.0) as running,
        Peer(running) as deaf,
        Peer(running) as good,
    ):
        flood(deaf, good)
        assert 0 < len(running.requests) < 50  # of 3 KB and more each


def walk_s(peer: Peer) -> float:
    """Seconds that the 31 pages of a ticker take."""
    begin_s = time.monotonic()
    next_key, pages = None, 0
    while next_key != "-1":
        next_key = peer.page("SAMPLE", num=50, next_key=next_key).s2c.nextKey
        pages += 1
    assert pages == 31
    return time.monotonic() - begin_s


def test_a_client_that_floods_and_reads_leaves_others_their_turn(gateway: Gateway) -> None:
    block = frame(DAILY_SHORT_VOLUME, question("SAMPLE", num=50), 5) * 500

    def send(peer: Peer) -> None:
        with suppress(OSError):
            while True:
                peer.sock.sendall(block)

    def read(peer: Peer) -> None:
        with suppress(OSError):
            while peer.sock.recv(2**20):
                pass

    with Peer(gateway) as good, Peer(gateway) as bad:
        alone_s = min(walk_s(good) for _ in range(3))
        threads = [threading.Thread(target=work, args=(bad,)) for work in (send, read)]
        for thread in threads:
            thread.start()
        while len(gateway.requests) < 200:  # 93 of them are not the flood's
            good.page()
        beside_s = min(walk_s(good) for _ in range(3))
        bad.sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
    # Two clients take turns: about twice as long. The rest is for a busy machine.
    assert beside_s < 10 * alone_s + 2.0


def test_connections_without_a_handshake_lock_nobody_out() -> None:
    with Gateway(sample(), handshake_s=60.0) as running, ExitStack() as stack:
        strangers = [stack.enter_context(Peer(running, greet=False)) for _ in range(128)]
        friends = [stack.enter_context(Peer(running)) for _ in range(3)]
        assert [friend.page().retType for friend in friends] == [0, 0, 0]
        assert [strangers[oldest].is_closed_by_gateway() for oldest in range(3)] == [True] * 3
        for stranger in (strangers[3], strangers[-1]):
            assert stranger.ask(INIT_CONNECT, hello(), "InitConnect_pb2").retType == 0


def test_a_client_with_a_handshake_makes_room_for_nobody() -> None:
    with (
        Gateway(sample(), max_connections=2) as running,
        Peer(running) as first,
        Peer(running) as second,
        Peer(running, greet=False) as third,
    ):
        assert third.is_closed_by_gateway()
        assert [peer.page().retType for peer in (first, second)] == [0, 0]
        first.sock.close()
        second.sock.close()


def test_a_connection_that_ends_makes_room_for_another() -> None:
    with Gateway(sample(), max_connections=1) as running:
        for _ in range(20):
            with Peer(running) as peer:
                peer.sock.shutdown(socket.SHUT_WR)
                assert peer.is_closed_by_gateway()


@pytest.mark.parametrize(
    "said", [b"", b"FT", frame(DAILY_SHORT_VOLUME, question(), 1)], ids=["none", "half", "refused"]
)
def test_a_connection_that_never_shakes_hands_is_closed(said: bytes) -> None:
    with (
        Gateway(sample(), handshake_s=0.3) as running,
        Peer(running, greet=False) as stranger,
    ):
        stranger.sock.sendall(said)
        while stranger.sock.recv(2**16):
            pass


@pytest.mark.parametrize("said", [b"", b"FT"], ids=["none", "half a frame"])
def test_a_connection_without_a_further_frame_is_closed(said: bytes) -> None:
    with Gateway(sample(), idle_s=0.3) as running, Peer(running) as peer:
        peer.sock.sendall(said)
        assert peer.is_closed_by_gateway()


def test_frames_keep_a_connection_open() -> None:
    with Gateway(sample(), handshake_s=1.0, idle_s=60.0) as running, Peer(running) as peer:
        with Peer(running, greet=False) as stranger:
            assert stranger.is_closed_by_gateway()  # so a second went by
        assert peer.page().retType == 0


# Life


def test_connections_just_made_are_closed_in_silence() -> None:
    begin_s = time.monotonic()
    for _ in range(50):
        running = Gateway({})
        running.start()
        early = [socket.create_connection((running.host, running.port)) for _ in range(3)]
        running.close()
        for sock in early:
            sock.close()
    # Closing waits for no poll: 50 of half a second each would be 25 s.
    assert time.monotonic() - begin_s < 5.0


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
        {"limit": ("30", 30.0)},
        {"limit": (30, float("nan"))},
        {"latency_s": float("inf")},
        {"handshake_s": -1.0},
        {"idle_s": None},
    ],
    ids=str,
)
def test_arguments_that_cannot_work_are_refused_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        Gateway({}, **arguments)


@pytest.mark.parametrize("histories", [None, [], {"US.A": None}, {"US.A": sample()["US.AAPL"]}])
def test_histories_must_stand_under_their_own_code(histories: Any) -> None:
    with pytest.raises(ConfigError, match="histories"):
        Gateway(histories)


@pytest.mark.parametrize("kind", [MappingProxyType, ChainMap, UserDict])
@pytest.mark.parametrize("name", ["histories", "short_interest"])
def test_every_mapping_that_is_at_hand_is_looked_through(kind: type[Any], name: str) -> None:
    mixed = kind({"US.A": sample()["US.AAPL"]})
    given: dict[str, Any] = {"histories": {}, name: mixed}
    with pytest.raises(ConfigError, match=f"^{name} "):
        Gateway(**given)
    assert Gateway(kind(sample())).requests == []


def test_histories_that_load_what_is_asked_for_are_not_looked_through() -> None:
    assert Gateway(Broken()).requests == []


class Owner:
    pass


def test_garbage_collection_may_close_it() -> None:
    running = Gateway(sample()).start()
    port = running.port
    owner = Owner()
    owner.itself = owner  # type: ignore[attr-defined]  # only the collector finds it
    weakref.finalize(owner, running.close)
    with Peer(running) as peer:
        assert peer.page().retType == 0
        del owner
        gc.collect()
        assert peer.is_closed_by_gateway()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def test_a_thread_of_its_own_may_close_it() -> None:
    class Closing(Broken):
        def __getitem__(self, code: str) -> History:
            running.close()
            closed.set()
            raise KeyError(code)

    closed = threading.Event()
    running = Gateway(Closing()).start()
    with Peer(running) as peer:
        peer.send(DAILY_SHORT_VOLUME, question())
        assert closed.wait(PATIENCE_S)
        assert peer.is_closed_by_gateway()
    for thread in threading.enumerate():
        if thread.name.startswith("intake-futu-short"):
            thread.join(PATIENCE_S)


def test_threads_may_close_it_together() -> None:
    for _ in range(20):
        running = Gateway(sample()).start()
        together = threading.Barrier(4)

        def close(running: Gateway = running, together: threading.Barrier = together) -> None:
            together.wait()
            running.close()

        threads = [threading.Thread(target=close) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert running.port == 0


def refuses_to_start(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_host_without_threads_costs_the_connection_only(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("intake_futu_short.gateway.server._Connection.start", refuses_to_start)
        with Peer(gateway, greet=False) as peer:
            assert peer.is_closed_by_gateway()
    with Peer(gateway) as peer:
        assert peer.page().retType == 0
    assert "a connection could not be taken: can't start new thread" in caplog.text
    caplog.clear()


def test_a_start_that_fails_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Gateway(sample())
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuses_to_start)
        with pytest.raises(RuntimeError):
            running.start()
    with running, Peer(running) as peer:
        assert peer.page().retType == 0


def run_python(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code],
        capture_output=True, text=True, timeout=60, check=False, cwd=Path(__file__).parent,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_lets_go_of_it_and_the_parent_serves_on() -> None:
    code = """
import os, warnings
from gateway_peer import Peer, sample
from intake_futu_short.gateway import Gateway
warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside a thread
gateway = Gateway(sample()).start()
peer = Peer(gateway)
child = os.fork()
if child == 0:
    gateway.close()
    gateway.close()
    own = Gateway(sample()).start()
    with Peer(own) as other:
        answer = other.page()
    own.close()
    os._exit(answer.retType)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
with Peer(gateway) as other:
    print(peer.page().retType, other.page().retType)
# Another child keeps its copies and does nothing.
told, tell = os.pipe()
child = os.fork()
if child == 0:
    os.close(tell)
    os.read(told, 1)
    os._exit(0)
port = gateway.port
gateway.close()
print(peer.is_closed_by_gateway())
with Gateway(sample(), port=port) as again, Peer(again) as other:
    print(other.page().retType)
os.write(tell, b"x")
os.waitpid(child, 0)
peer.sock.close()
"""
    assert run_python(code) == "0 0\nTrue\n0\n"


def test_a_process_that_never_closes_ends_at_once() -> None:
    code = """
from intake_futu_short.gateway import Gateway
Gateway({}).start()
print("done")
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")
