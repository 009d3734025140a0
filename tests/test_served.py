"""A store served over the protocol of OpenD: to sockets, to the official client, by the command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from click.testing import CliRunner
from gateway_peer import DAILY_SHORT_VOLUME, KEEP_ALIVE, Peer, days, question
from second_gateway import official
from store_rows import (
    AGGREGATES,
    APPLE,
    TENCENT,
    TENCENT_FILE,
    TENCENT_REPORTS,
    hk_reports,
    hk_rows,
    us_rows,
)

from intake_futu_short import FutuShortStore, sample
from intake_futu_short.calls import SHORT_INTEREST, SHORT_VOLUME, Ticker
from intake_futu_short.cli import main
from intake_futu_short.errors import ConfigError, StoreError
from intake_futu_short.gateway import Gateway
from intake_futu_short.gateway.served import StoredHistories
from intake_futu_short.history.ticker_history import TickerHistory
from intake_futu_short.security import Security
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Official = Callable[..., dict[str, Any]]

DAYS = [f"{day:%Y-%m-%d}" for day in pd.bdate_range("2025-01-01", periods=120)]
WHOLE = TickerHistory(hk_rows(DAYS), True, checked_s=1.0, reports=AGGREGATES)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def store(tmp_path: Path) -> FutuShortStore:
    store = FutuShortStore(tmp_path / "store")
    store.save(TENCENT, WHOLE)
    store.save(APPLE, TickerHistory(us_rows(DAYS), True))
    return store


def read(gateway: Gateway, code: str = "HK.00700") -> list[Any]:
    """Every row of a ticker, newest first, as the official client's messages."""
    market, symbol = code.split(".")
    rows: list[Any] = []
    next_key = None
    with Peer(gateway) as peer:
        while next_key != "-1":
            page = peer.page(symbol, {"HK": 1, "US": 11}[market], next_key, 50)
            assert page.retType == 0, page.retMsg
            rows += [*page.s2c.hkItemList, *page.s2c.usItemList]
            next_key = page.s2c.nextKey
    return rows


def refusal(gateway: Gateway, code: str) -> str:
    market, symbol = code.split(".")
    with Peer(gateway) as peer:
        page = peer.page(symbol, {"HK": 1, "US": 11}[market])
    assert page.retType == -1
    return str(page.retMsg)


def test_what_is_kept_is_served_newest_first(store: FutuShortStore) -> None:
    with Gateway(StoredHistories(store)) as gateway:
        hk, us = read(gateway), read(gateway, "US.AAPL")
        assert len(gateway.requests) == 6
        with Peer(gateway) as peer:
            s2c = peer.page("00700", market=1).s2c
    assert [row.timestampStr for row in hk] == DAYS[::-1]
    assert [row.timestampStr for row in us] == DAYS[::-1]
    # A missing value is absent on the wire.
    assert (hk[-1].HasField("sharesTraded"), hk[-2].HasField("sharesTraded")) == (False, True)
    assert (hk[-1].turnover, hk[-2].HasField("turnover")) == (1.2e10, False)
    # A count may be larger than a float can tell.
    assert [row.volume for row in us] == [2**53 + 1 + back for back in range(120)][::-1]
    assert (s2c.aggregatedShort, s2c.newTimeStr) == (52_000_000, "2025-12-31")
    assert not s2c.HasField("aggregatedShortRatio")


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
    newer = TickerHistory(hk_rows([*DAYS, "2026-01-02"]), True, checked_s=2.0)
    with Gateway(StoredHistories(store, clock)) as gateway:
        assert len(read(gateway)) == 120
        elsewhere = FutuShortStore(store.url)
        elsewhere.load(TENCENT)
        elsewhere.save(TENCENT, newer)
        assert len(read(gateway)) == 120
        clock.now_s = 1.0
        assert len(read(gateway)) == 121
        elsewhere.save(Ticker(Security.parse("HK.00005"), SHORT_VOLUME), WHOLE)
        assert len(read(gateway, "HK.00005")) == 120


def test_a_ticker_is_loaded_when_it_is_asked_for_and_again_only_when_it_changed(
    store: FutuShortStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    load = FutuShortStore.load

    def counted(self: FutuShortStore, ticker: Ticker) -> TickerHistory | None:
        loads.append(ticker.code)
        return load(self, ticker)

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
    with Gateway(StoredHistories(store)) as gateway:
        assert refusal(gateway, "HK.00001") == "Unknown stock. 00001"
        # No file has such a name, and the answer tells nothing of files.
        assert refusal(gateway, "US." + "A" * 60_000) == "Unknown stock. " + "A" * 64
    for code in ("HK.00001", "nonsense", "1.00700"):
        assert StoredHistories(store).get(code) is None


def test_what_cannot_be_served_is_refused_and_the_rest_goes_on(
    store: FutuShortStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = hk_rows(DAYS)
    odd.loc[5, "shares_traded"] = -1
    store.save(
        Ticker(Security.parse("HK.00001"), SHORT_VOLUME), TickerHistory(hk_rows(DAYS), cursor="c")
    )
    store.save(Ticker(Security.parse("HK.00002"), SHORT_VOLUME), TickerHistory(odd, True))
    (tmp_path / "store" / TENCENT_FILE).write_bytes(b"damaged")
    long = "US." + "\u9875" * 100  # a code that a file name has no room for
    with Gateway(StoredHistories(store)) as gateway:
        # A client would take what there is for all there is.
        for code in ("HK.00001", "HK.00002", "HK.00700", long):
            said = refusal(gateway, code)
            assert said == f"{code[:64]} cannot be served now; the log of this gateway says why"
        assert len(read(gateway, "US.AAPL")) == 120
    logged = [record.getMessage() for record in caplog.records]
    assert "HK.00001" in logged[0]
    assert "not complete yet: sync it first" in logged[0]
    assert "shares_traded -1 is not a count" in logged[1]
    assert "Delete the file and sync" in logged[2]
    assert "too long" in logged[3]


def test_what_a_store_knows_beside_the_rows_is_not_served(store: FutuShortStore) -> None:
    seen = WHOLE.rows.assign(first_seen=1767600000.25)
    reports = tuple({**report, "first_seen": 1767600000.25} for report in AGGREGATES)
    store.save(TENCENT, replace(WHOLE, rows=seen, reports=reports))
    with Gateway(StoredHistories(store)) as gateway:
        rows = read(gateway)
        with Peer(gateway) as peer:
            s2c = peer.page("00700", market=1).s2c
    assert [row.timestampStr for row in rows] == DAYS[::-1]
    assert {field.name for row in rows for field, _ in row.ListFields()} <= {
        "timestamp", "timestampStr", "sharesTraded", "turnover", "shortSellSharesTraded",
        "shortSellTurnover", "openPrice", "closePrice", "lastClosePrice", "dailyTradeAvgRatio",
    }  # fmt: skip
    assert (s2c.aggregatedShort, s2c.newTimeStr) == (52_000_000, "2025-12-31")
    assert set(StoredHistories(store)["HK.00700"].rows[0]) == set(TENCENT.table.column_names)


def test_a_timestamp_of_another_day_than_its_text_is_served_as_it_is(
    store: FutuShortStore,
) -> None:
    odd = hk_rows(DAYS)
    odd["timestamp"] += 86_400
    odd.loc[119, "timestamp"] = 2**62
    store.save(TENCENT, replace(WHOLE, rows=odd))
    with Gateway(StoredHistories(store)) as gateway:
        rows = read(gateway)
        with FutuShortSource("HK.00700", gateway=f"{gateway.url}?limit=off") as src:
            frame = src.read()
    assert [row.timestampStr for row in rows] == DAYS[::-1]
    assert [row.timestamp for row in rows] == odd["timestamp"].tolist()[::-1]
    assert frame["timestamp_str"].tolist() == DAYS[::-1]
    assert frame["timestamp"].tolist() == odd["timestamp"].tolist()[::-1]


def test_a_store_that_is_slow_keeps_other_connections_waiting_for_nothing(
    store: FutuShortStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, goes_on = threading.Event(), threading.Event()
    load = FutuShortStore.load

    def slow(self: FutuShortStore, ticker: Ticker) -> TickerHistory | None:
        if ticker == APPLE:
            arrived.set()
            assert goes_on.wait(30)
        return load(self, ticker)

    monkeypatch.setattr(FutuShortStore, "load", slow)
    with Gateway(StoredHistories(store)) as gateway, Peer(gateway) as peer, Peer(gateway) as other:
        page = peer.send(DAILY_SHORT_VOLUME, question())
        assert arrived.wait(30)
        heartbeat = other.send(KEEP_ALIVE, b"\x0a\x02\x08\x01")
        assert other.receive()[1] == heartbeat
        assert days(other.page("00700", market=1))[0] == DAYS[-1]
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
    with Peer(Gateway({}, port=int(url[0].rpartition(":")[2]))) as peer:
        assert [peer.page(num=50).retType for _ in range(3)] == [0, 0, -1]
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (0, "Closed.\n", "")


def test_the_command_serves_both_series_and_the_rank(
    serving: Callable[..., tuple[subprocess.Popen[str], str]], store: FutuShortStore
) -> None:
    table = SHORT_INTEREST.table(TENCENT.market)
    columns = sample.frame("HK.00700", what="short_interest")[table.column_names]
    rows = columns.iloc[::-1].reset_index(drop=True).assign(first_seen=float("nan"))
    store.save(Ticker(Security.parse("HK.00005"), SHORT_INTEREST), TickerHistory(rows, True))
    process, said = serving()
    assert said.startswith("Serving 3 tickers")
    port = int(said.rpartition(". Ctrl-C")[0].rpartition(":")[2])
    security = official("Qot_Common_pb2").Security(market=1, code="00005")
    interest = official("Qot_GetShortInterest_pb2").Request(c2s={"security": security})
    rank = official("Qot_GetShortSellingRank_pb2").Request(c2s={"market": 1})
    with Peer(Gateway({}, port=port)) as peer:
        page = peer.ask(3249, interest.SerializeToString(), "Qot_GetShortInterest_pb2")
        ranked = peer.ask(3415, rank.SerializeToString(), "Qot_GetShortSellingRank_pb2")
    assert [item.aggregatedShort for item in page.s2c.hkItemList][:2] == [51480638, 51888755]
    # A ticker without short volume has no row to rank.
    assert [item.security.code for item in ranked.s2c.dataList] == ["00700"]
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ("Closed.\n", "")


def test_the_command_says_what_serving_others_means(
    serving: Callable[..., tuple[subprocess.Popen[str], str]],
) -> None:
    process, said = serving("--host", "127.0.0.1", "--allow-remote")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert said.startswith("Serving 2 tickers")
    assert re.match(r"Warning: the protocol knows no password\. Everybody who reaches", errors)


def test_the_command_serves_a_store_of_reports_alone(
    serving: Callable[..., tuple[subprocess.Popen[str], str]], store: FutuShortStore
) -> None:
    for code in store.codes():
        store.set_aside(code)
    store.save(TENCENT_REPORTS, TickerHistory(hk_reports(), True))
    process, said = serving()
    process.kill()
    assert said.startswith(f"Serving 1 ticker of {store.url} at ")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "listen there all the same, set --allow-remote"),  # noqa: S104 - what is refused
        (["--limit", "30"], "limit must be 'N/SECONDS'"),
        (["--port", "70000"], "'--port': 70000 is not in the range"),
        (["--rsa-key", "nowhere.pem"], "nowhere.pem"),
    ],
)
def test_the_command_refuses_what_cannot_work(
    store: FutuShortStore, options: list[str], words: str
) -> None:
    result = CliRunner().invoke(main, ["serve", "--store", store.url, *options])
    assert result.exit_code == 2
    assert words in result.output


def test_the_command_says_that_a_store_is_empty(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["serve", "--store", str(tmp_path / "typo")])
    assert result.exit_code == 1
    assert "nothing is kept there" in result.output
    assert issubclass(StoreError, OSError)
