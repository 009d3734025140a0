"""How often a store is asked for the newest rows of a market, on a clock that is handed in."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping

import pytest

from intake_futu_short.errors import StoreError
from intake_futu_short.gateway import History
from intake_futu_short.gateway.newest import NewestRows, Versioned
from intake_futu_short.gateway.ranked import NEWEST_ROWS
from intake_futu_short.security import HK, US, Security


def volume(code: str, number: int) -> History:
    return History(Security.parse(code), [{"timestamp_str": "2026-06-18", "volume": number}])


class Store(Mapping[str, History]):
    """Two tickers whose versions take their time to ask for; it counts what is asked."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.now_s = 0.0
        self.takes_s = takes_s
        self.volumes = {"US.A": 1, "US.B": 2}
        self.looks = 0
        self.loads: list[str] = []
        self.error: StoreError | None = None

    def clock(self) -> float:
        return self.now_s

    def version(self, code: str) -> str | None:
        self.now_s += self.takes_s
        self.looks += 1
        return str(self.volumes[code])

    def newest(self, code: str, rows: int) -> History | None:
        assert rows == NEWEST_ROWS
        self.loads.append(code)
        if self.error is not None:
            raise self.error
        return volume(code, self.volumes[code])

    def __getitem__(self, code: str) -> History:
        raise AssertionError("all rows were asked for")

    def __iter__(self) -> Iterator[str]:
        return iter(self.volumes)

    def __len__(self) -> int:
        raise AssertionError("asked how many there are")


def volumes(newest: NewestRows) -> list[int | float]:
    return sorted(row.values["volume"] for row in newest.of(US))


@pytest.mark.parametrize(("takes_s", "pause_s"), [(0.0, 1.0), (0.02, 1.0), (0.5, 20.0), (3, 120)])
def test_asking_takes_a_twentieth_of_the_time_at_most(takes_s: float, pause_s: float) -> None:
    store = Store(takes_s)
    assert isinstance(store, Versioned)
    newest = NewestRows(store, {}, store.clock)
    assert volumes(newest) == [1, 2]
    store.volumes["US.A"] = 3
    begun_s = store.now_s
    store.now_s = begun_s + 0.99 * pause_s
    assert volumes(newest) == [1, 2]
    assert store.looks == 2
    store.now_s = begun_s + 1.01 * pause_s
    assert volumes(newest) == [2, 3]
    assert store.looks == 4
    assert store.loads == ["US.A", "US.B", "US.A"]


def test_each_market_is_looked_at_by_itself() -> None:
    store = Store()
    newest = NewestRows(store, {}, store.clock)
    assert newest.of(HK) == []
    assert store.looks == 0
    assert len(newest.of(US)) == 2


def test_what_could_not_be_read_is_tried_again_and_complained_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Store()
    newest = NewestRows(store, {}, store.clock)
    store.error = StoreError("no network")
    for _ in range(3):
        assert newest.of(US) == []
        store.now_s += 1.0
    assert [record.getMessage() for record in caplog.records] == [
        f"the rank lacks what cannot be read of 'US.{symbol}': no network" for symbol in "AB"
    ]
    store.error = None
    assert volumes(newest) == [1, 2]  # of the same versions


def test_histories_at_hand_are_let_go() -> None:
    served = {"US.A": volume("US.A", 1)}
    newest = NewestRows(served, {}, lambda: 0.0)
    assert volumes(newest) == [1]
    row = newest.of(US)[0]
    served["US.A"] = volume("US.A", 1)
    gc.collect()
    assert newest.of(US)[0] is not row  # another history, though it says the same
    assert newest.of(US)[0] is newest.of(US)[0]
