"""A store served over the protocol of OpenD: to our client, to the official one, by the command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from click.testing import CliRunner
from gateway_peer import DAILY_SHORT_VOLUME, KEEP_ALIVE, Peer, question
from store_contract import AGGREGATES, APPLE, TENCENT, TENCENT_FILE, hk_rows, us_rows

from intake_futu_short import FutuShortStore
from intake_futu_short.cli import main
from intake_futu_short.errors import ConfigError, ReplyError, StoreError, UnknownSecurityError
from intake_futu_short.gateway import Gateway
from intake_futu_short.gateway.served import StoredHistories
from intake_futu_short.kept import Kept
from intake_futu_short.security import Security
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Official = Callable[..., dict[str, Any]]

DAYS = [f"{day:%Y-%m-%d}" for day in pd.bdate_range("2025-01-01", periods=120)]
WHOLE = Kept(hk_rows(DAYS), True, checked_s=1.0, aggregates=AGGREGATES)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def store(tmp_path: Path) -> FutuShortStore:
    store = FutuShortStore(tmp_path / "store")
    store.save(TENCENT, WHOLE)
    store.save(APPLE, Kept(us_rows(DAYS), True))
    return store


def read(gateway: Gateway, code: str = "HK.00700") -> pd.DataFrame:
    with FutuShortSource(code, gateway=f"{gateway.url}?limit=off") as source:
        return source.read()


def test_our_client_reads_what_is_kept(store: FutuShortStore) -> None:
    with Gateway(StoredHistories(store)) as gateway:
        hk, us = read(gateway), read(gateway, "US.AAPL")
        assert len(gateway.requests) == 6
    # A missing value is absent on the wire, and missing again at the other end.
    pd.testing.assert_frame_equal(hk, WHOLE.rows[::-1].reset_index(drop=True))
    pd.testing.assert_frame_equal(us, us_rows(DAYS)[::-1].reset_index(drop=True))
    assert hk.attrs["aggregated_short"] == 52_000_000
    assert hk.attrs["aggregated_short_ratio"] is None


def test_the_official_client_reads_what_is_kept(
    store: FutuShortStore, official_client: Official
) -> None:
    with Gateway(StoredHistories(store)) as gateway:
        said = official_client(gateway.port, "HK.00700", 50)
    assert said["error"] is None
    assert [len(page["hk"]["rows"]) for page in said["pages"]] == [50, 50, 20]
    rows = [
        dict(zip(page["hk"]["columns"], row, strict=True))
        for page in said["pages"]
        for row in page["hk"]["rows"]
    ]
    assert [row["timestamp_str"] for row in rows] == DAYS[::-1]
    assert [row["close_price"] for row in rows] == list(WHOLE.rows["close_price"])[::-1]
    assert said["pages"][0]["hk"]["attrs"]["aggregated_short"] == 52_000_000


def test_what_is_synced_meanwhile_is_served(store: FutuShortStore) -> None:
    clock = Clock()
    newer = Kept(hk_rows([*DAYS, "2026-01-02"]), True, checked_s=2.0)
    with Gateway(StoredHistories(store, clock)) as gateway:
        assert len(read(gateway)) == 120
        elsewhere = FutuShortStore(store.url)
        elsewhere.load(TENCENT)
        elsewhere.save(TENCENT, newer)
        assert len(read(gateway)) == 120
        clock.now_s = 1.0
        assert len(read(gateway)) == 121
        elsewhere.save(Security.parse("HK.00005"), WHOLE)
        assert len(read(gateway, "HK.00005")) == 120


def test_a_ticker_is_loaded_when_it_is_asked_for_and_again_only_when_it_changed(
    store: FutuShortStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    load = FutuShortStore.load

    def counted(self: FutuShortStore, security: Security) -> Kept | None:
        loads.append(security.code)
        return load(self, security)

    monkeypatch.setattr(FutuShortStore, "load", counted)
    clock = Clock()
    histories = StoredHistories(store, clock)
    assert sorted(histories) == ["HK.00700", "US.AAPL"]
    assert len(histories) == 2
    assert loads == []
    for now_s in (0.0, 0.5, 2.0, 4.0):
        clock.now_s = now_s
        assert histories["HK.00700"].days[0] == DAYS[-1]
    assert loads == ["HK.00700"]
    monkeypatch.setattr("intake_futu_short.gateway.served._MAX_LOADED", 1)
    assert histories["US.AAPL"].days[0] == DAYS[-1]
    assert histories["HK.00700"].days[0] == DAYS[-1]
    assert loads == ["HK.00700", "US.AAPL", "HK.00700"]


def test_what_is_not_kept_is_unknown(store: FutuShortStore) -> None:
    with Gateway(StoredHistories(store)) as gateway, pytest.raises(UnknownSecurityError):
        read(gateway, "HK.00001")
    for code in ("HK.00001", "nonsense", "1.00700"):
        assert StoredHistories(store).get(code) is None


def test_what_cannot_be_served_is_refused_and_the_rest_goes_on(
    store: FutuShortStore, tmp_path: Path
) -> None:
    odd = hk_rows(DAYS)
    odd["timestamp"] += 3600
    store.save(Security.parse("HK.00001"), Kept(hk_rows(DAYS), cursor="c"))
    store.save(Security.parse("HK.00002"), Kept(odd, True))
    (tmp_path / "store" / TENCENT_FILE).write_bytes(b"damaged")
    with Gateway(StoredHistories(store)) as gateway:
        # A client would take what there is for all there is.
        with pytest.raises(ReplyError, match=r"HK\.00001 is not complete yet: sync it first"):
            read(gateway, "HK.00001")
        with pytest.raises(ReplyError, match=r"cannot be served: .* begins in Asia/Hong_Kong"):
            read(gateway, "HK.00002")
        with pytest.raises(ReplyError, match="Delete the file and sync"):
            read(gateway, "HK.00700")
        assert len(read(gateway, "US.AAPL")) == 120


def test_a_store_that_is_slow_keeps_no_heartbeat_waiting(
    store: FutuShortStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, goes_on = threading.Event(), threading.Event()
    load = FutuShortStore.load

    def slow(self: FutuShortStore, security: Security) -> Kept | None:
        arrived.set()
        assert goes_on.wait(30)
        return load(self, security)

    monkeypatch.setattr(FutuShortStore, "load", slow)
    with Gateway(StoredHistories(store)) as gateway, Peer(gateway) as peer, Peer(gateway) as other:
        page = peer.send(DAILY_SHORT_VOLUME, question())
        assert arrived.wait(30)
        for each in (other, peer):
            heartbeat = each.send(KEEP_ALIVE, b"\x0a\x02\x08\x01")
            assert each.receive()[1] == heartbeat
        goes_on.set()
        assert peer.receive()[1] == page
        assert other.page().retType == 0


def test_closing_does_not_wait_for_a_slow_store(
    store: FutuShortStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, goes_on = threading.Event(), threading.Event()

    def slow(_self: FutuShortStore, _security: Security) -> None:
        arrived.set()
        assert goes_on.wait(30)

    monkeypatch.setattr(FutuShortStore, "load", slow)
    with Gateway(StoredHistories(store)) as gateway:
        peer = Peer(gateway)
        peer.send(DAILY_SHORT_VOLUME, question())
        assert arrived.wait(30)
    assert peer.is_closed_by_gateway()
    peer.sock.close()
    goes_on.set()


def test_a_lookup_that_breaks_down_is_logged_and_ends_its_connection_alone(
    store: FutuShortStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(_self: FutuShortStore, _security: Security) -> None:
        raise MemoryError("no room")

    with Gateway(StoredHistories(store)) as gateway, Peer(gateway) as other:
        assert other.page("00700", market=1).retType == 0
        monkeypatch.setattr(FutuShortStore, "load", breaks)
        peer = Peer(gateway)
        peer.send(DAILY_SHORT_VOLUME, question())
        assert peer.is_closed_by_gateway()
        peer.sock.close()
        assert other.page("00700", market=1).retType == 0
    assert "MemoryError: no room" in caplog.text


def test_a_gateway_leaves_the_host_only_when_told_to() -> None:
    with pytest.raises(ConfigError, match="allow_remote"):
        Gateway({}, host="0.0.0.0")  # noqa: S104 - what is refused
    with pytest.raises(ConfigError, match="host must be"):
        Gateway({}, host="", allow_remote=True)
    with Gateway({}, host="127.0.0.1", allow_remote=True) as gateway:
        assert gateway.port


@pytest.fixture
def serving(store: FutuShortStore) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Starts the command: options → the process, and the line that it says."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "intake_futu_short", "serve", "--store", store.url,
             "--port", "0", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_command_serves_until_ctrl_c(
    serving: Callable[..., tuple[subprocess.Popen[str], str]], store: FutuShortStore
) -> None:
    process, said = serving("--limit", "2/60")
    url = re.search(r"opend://127\.0\.0\.1:\d+", said)
    assert url is not None
    assert said.startswith(f"Serving 2 tickers of {store.url} at ")
    with FutuShortSource("US.AAPL", gateway=f"{url[0]}?limit=off", max_pages=2) as source:
        assert len(source.read()) == 100
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (0, "Closed.\n", "")


def test_the_command_says_what_serving_others_means(
    serving: Callable[..., tuple[subprocess.Popen[str], str]],
) -> None:
    process, said = serving("--host", "127.0.0.1", "--allow-remote")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert said.startswith("Serving 2 tickers")
    assert re.match(r"Warning: the protocol knows no password\. Everybody who reaches", errors)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "--allow-remote of futu-short serve"),  # noqa: S104 - what is refused
        (["--limit", "30"], "limit must be 'N/SECONDS'"),
        (["--port", "70000"], "port must be"),
        (["--rsa-key", "nowhere.pem"], "nowhere.pem"),
    ],
)
def test_the_command_refuses_what_cannot_work(
    store: FutuShortStore, options: list[str], words: str
) -> None:
    result = CliRunner().invoke(main, ["serve", "--store", store.url, *options])
    assert result.exit_code == 1
    assert words in result.output


def test_the_command_says_that_a_store_is_empty(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["serve", "--store", str(tmp_path / "typo")])
    assert result.exit_code == 1
    assert "nothing is kept there" in result.output
    assert issubclass(StoreError, OSError)
