"""The rank of a store: read once, and then where it changed; what cannot be read is left out."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from family_peer import (
    PATIENCE_S,
    RANK,
    Clock,
    codes,
    interest,
    rank,
)
from gateway_peer import Peer, days
from second_gateway import official
from store_rows import hk_rows, us_rows

from intake_futu_short import FutuShortStore
from intake_futu_short.calls import SHORT_INTEREST, SHORT_VOLUME, Ticker
from intake_futu_short.errors import StoreError
from intake_futu_short.gateway import (
    Gateway,
    History,
)
from intake_futu_short.gateway.served import StoredHistories
from intake_futu_short.history.ticker_history import TickerHistory
from intake_futu_short.schema import dtypes
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


DAYS = [f"{day:%Y-%m-%d}" for day in pd.bdate_range("2025-01-01", periods=120)]


def kept(code: str, what: Any = SHORT_VOLUME) -> Ticker:
    return Ticker(Security.parse(code), what)


def positions_of(code: str, shares: int) -> TickerHistory:
    table = kept(code, SHORT_INTEREST).table
    row = {
        "timestamp": table.market.midnight("2025-06-13"),
        "timestamp_str": "2025-06-13",
        "shares_short": shares,
    }
    frame = pd.DataFrame([{name: row.get(name) for name in table.column_names}])
    types = {name: kind for name, kind in dtypes(table).items() if name in frame}
    return TickerHistory(frame.astype(types).assign(first_seen=math.nan), True)


@pytest.fixture
def store(tmp_path: Path) -> FutuShortStore:
    store = FutuShortStore(tmp_path / "store")
    for code in ("US.A", "US.B", "US.C"):
        store.save(kept(code), TickerHistory(us_rows(DAYS), True))
    store.save(kept("HK.00700"), TickerHistory(hk_rows(DAYS), True))
    store.save(kept("US.B", SHORT_INTEREST), positions_of("US.B", 7))
    return store


class Loads:
    """Counts the loads of a store, by series and code."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[str, str]] = []
        load = FutuShortStore.load

        def counted(store: FutuShortStore, ticker: Ticker) -> TickerHistory | None:
            self.made.append((ticker.call.name, ticker.code))
            return load(store, ticker)

        monkeypatch.setattr(FutuShortStore, "load", counted)

    def new(self) -> list[tuple[str, str]]:
        made, self.made = self.made, []
        return sorted(made)


def served(store: FutuShortStore, clock: Clock) -> Gateway:
    return Gateway(
        StoredHistories(store, clock),
        short_interest=StoredHistories(store, clock, call=SHORT_INTEREST),
        clock=clock,
    )


def test_a_store_is_read_once_and_again_where_it_changed(
    store: FutuShortStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, loads = Clock(), Loads(monkeypatch)
    with served(store, clock) as gateway, Peer(gateway) as peer:
        first = rank(peer, sortField=6)
        assert (codes(first), first.s2c.allCount) == (["B", "A", "C"], 3)
        item = first.s2c.dataList[1]
        with Peer(gateway) as other:
            row = other.page("A").s2c.usItemList[0]
        assert (item.volume, item.closePrice) == (row.volume, row.closePrice)
        assert {"US.A", "US.B", "US.C"} == {code for _, code in loads.new()}
        clock.now_s += 5.0
        assert rank(peer, sortField=6, offset=1).retType == 0
        assert loads.new() == []  # US.A was not looked up again either
        elsewhere = FutuShortStore(store.url)
        elsewhere.load(kept("US.C", SHORT_INTEREST))
        elsewhere.save(kept("US.C", SHORT_INTEREST), positions_of("US.C", 8))
        loads.new()
        assert codes(rank(peer, sortField=6)) == ["B", "A", "C"]  # for a second
        clock.now_s += 1.0
        assert codes(rank(peer, sortField=6)) == ["C", "B", "A"]
        assert {code for _, code in loads.new()} == {"US.C"}


def test_what_a_store_cannot_give_costs_its_own_place_only(
    store: FutuShortStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = tmp_path / "store"
    damaged = files / "short_volume" / "market=US" / "code=US.A" / "history.parquet"
    whole = damaged.read_bytes()
    damaged.write_bytes(b"damaged")
    (files / "short_interest" / "market=US" / "code=US.B" / "history.parquet").write_bytes(b"too")
    store.save(kept("US.D"), TickerHistory(us_rows(DAYS), cursor="c"))
    clock = Clock()
    with served(store, clock) as gateway, Peer(gateway) as peer:
        for _ in range(3):
            clock.now_s += 5.0
            answer = rank(peer)
            assert (codes(answer), answer.s2c.allCount) == (["B", "C"], 2)
            assert not answer.s2c.dataList[0].HasField("shortPositionVolume")
        damaged.write_bytes(whole)
        clock.now_s += 5.0
        assert codes(rank(peer)) == ["A", "B", "C"]
    logged = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in logged] == [
        f"the rank lacks what cannot be read of '{code}'" for code in ("US.A", "US.B", "US.D")
    ]
    assert "not complete yet: sync it first" in logged[2]
    caplog.clear()


def test_a_store_that_cannot_be_listed_is_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    class Unlisted(dict[str, History]):
        def __iter__(self) -> Iterator[str]:
            raise StoreError("/home/me/store: Permission denied")

    with Gateway(Unlisted()) as gateway, Peer(gateway) as peer:
        for _ in range(2):
            answer = rank(peer)
            assert (answer.retType, answer.retMsg) == (
                -1, "US cannot be served now; the log of this gateway says why",
            )  # fmt: skip
    assert [record.getMessage() for record in caplog.records] == [
        "'US' cannot be served: /home/me/store: Permission denied"
    ]
    caplog.clear()


def test_a_store_that_is_slow_keeps_nobody_else_waiting(store: FutuShortStore) -> None:
    class Slow(StoredHistories):
        is_asked, go_on = threading.Event(), threading.Event()

        def newest(self, code: str, rows: int) -> History | None:
            self.is_asked.set()
            assert self.go_on.wait(PATIENCE_S)
            return super().newest(code, rows)

    with Gateway(Slow(store)) as gateway, Peer(gateway) as waiting, Peer(gateway) as other:
        request = official("Qot_GetShortSellingRank_pb2").Request()
        request.c2s.SetInParent()
        waiting.send(RANK, request.SerializeToString())
        assert Slow.is_asked.wait(PATIENCE_S)
        assert len(days(other.page("A"))) == 10
        assert interest(other, "US.B").retMsg == "Unknown stock. B"
        assert len(gateway.requests) == 3
        Slow.go_on.set()
        proto_id, _, body = waiting.receive()
        answer = official("Qot_GetShortSellingRank_pb2").Response.FromString(body)
        assert (proto_id, codes(answer)) == (RANK, ["A", "B", "C"])


def test_threads_rank_together(store: FutuShortStore) -> None:
    found: list[list[str]] = []
    with Gateway(StoredHistories(store)) as gateway:

        def ask() -> None:
            with Peer(gateway) as peer:
                found.extend(codes(rank(peer, market=market)) for market in (11, 1, 11))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
    assert sorted(found) == sorted([["A", "B", "C"], ["A", "B", "C"], ["00700"]] * 4)
