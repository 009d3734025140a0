"""A year of days, revisions and dividends: a read as of any sync gives what was there then."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from model_gateway import COUNTS, NUMBERS, PRICES, ZONES, ModelGateway
from refreshed_ticker import driven

from intake_futu_short.calls import SHORT_VOLUME, Ticker
from intake_futu_short.errors import GatewayDisconnectedError
from intake_futu_short.history.as_of import known_at
from intake_futu_short.history.join import merge
from intake_futu_short.history.ticker_history import ROW, TickerHistory
from intake_futu_short.history.update import Updater
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

FIRST_DAYS = 70
DAYS_OF_A_YEAR = 250


class MergingStore:
    """Keeps a history in memory, and merges what a writer saves who has not seen the last one."""

    url = "merging://"

    def __init__(self) -> None:
        self.kept: TickerHistory | None = None
        self.merges = 0

    def load(self, _ticker: Ticker) -> TickerHistory | None:
        return self.kept

    def save(self, ticker: Ticker, history: TickerHistory) -> TickerHistory:
        last = 0
        if self.kept is not None:
            last = int(str(self.kept.version))
            if history.version != last:
                self.merges += 1
                history = merge(history, self.kept, ticker.table)
        self.kept = replace(history, version=last + 1)
        return self.kept

    def version(self, _ticker: Ticker) -> str | None:
        return None if self.kept is None else str(self.kept.version)

    def try_lock(self, _ticker: Ticker) -> AbstractContextManager[None] | None:
        return contextlib.nullcontext()


@dataclass
class Seen:
    """What a sync left in the store, and when."""

    moment_s: float
    rows: pd.DataFrame
    reports: tuple[Mapping[str, Any], ...]


@dataclass
class Year:
    """A ticker whose gateway lives on, and a store that is synced now and then."""

    seed: int
    market: str
    missing: float = 0.0
    races: bool = False
    seen: list[Seen] = field(default_factory=list)
    happened: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.gateway = ModelGateway(
            FIRST_DAYS, self.market, window=80, num=10, seed=self.seed, missing=self.missing
        )
        self.store = MergingStore()
        self.ticker = Ticker(Security.parse(f"{self.market}.A"), SHORT_VOLUME)
        self.zone = ZoneInfo(ZONES[self.market])
        self.now_s = 0.0
        self.withdrawn: list[dict[str, Any]] = []
        self.is_racing = False

    def live(self) -> None:
        self.evening()
        self.sync("always")
        for number in range(DAYS_OF_A_YEAR):
            self.gateway.add(1)
            self.events(number)
            self.evening()
            if self.chance.random() < 0.7:
                self.sync(self.chance.choice(["auto", "always", "always", "always", "full"]))
        self.evening()
        self.sync("full")

    def events(self, number: int) -> None:
        gateway, chance = self.gateway, self.chance
        newest = dt.date.fromisoformat(gateway.all[-1]["timestamp_str"])
        if self.market == "HK" and newest.weekday() == 4:
            as_of = newest - dt.timedelta(days=7)
            gateway.aggregates = {
                "aggregated_short": chance.randrange(10**8),
                "aggregated_short_ratio": 0.5,
                "new_time_str": as_of.isoformat(),
            }
        if chance.random() < 0.5:
            names = [*COUNTS[self.market], *NUMBERS[self.market]]
            name = chance.choice([name for name in names if name not in PRICES])
            value = chance.choice([None, chance.randrange(1000)])
            gateway.revise(chance.randrange(30), name, value)
        if chance.random() < 0.1:
            self.withdrawn.append(gateway.withdraw(chance.randrange(1, 15)))
        if self.withdrawn and chance.random() < 0.1:
            gateway.put_back(self.withdrawn.pop(chance.randrange(len(self.withdrawn))))
        if chance.random() < 0.03:
            gateway.adjust(back=chance.randrange(3))
        if number == DAYS_OF_A_YEAR // 2:
            gateway.adjust(back=0, factor=0.25)

    def evening(self) -> None:
        """Some time after the newest day's session."""
        day = dt.date.fromisoformat(self.gateway.all[-1]["timestamp_str"])
        evening = dt.datetime.combine(day, dt.time(18), self.zone)
        self.now_s = max(self.now_s, evening.timestamp()) + self.chance.uniform(0, 3 * 3600)

    def sync(self, mode: str) -> None:
        races_at = self.chance.randrange(1, 4) if self.races else 0
        fails = self.chance.random() < 0.05 and bool(self.seen) and not self.races

        def tick() -> None:
            self.now_s += 0.5
            asked = len(self.gateway.asked)
            if asked == races_at and not self.is_racing:
                self.is_racing = True
                self.gateway.connection += 1
                self.refresh(self.chance.choice(["always", "full"]))
                self.gateway.connection -= 1
                self.is_racing = False
                self.now_s += 0.5

        self.gateway.asked.clear()
        self.gateway.connection += 2
        self.gateway.fails_after = self.chance.randrange(4) if fails else None
        self.gateway.before_answer = tick
        self.refresh(mode)
        self.gateway.fails_after = None

    def refresh(self, mode: str) -> None:
        """Refresh, and remember what is there then."""
        updater = Updater(self.store, self.ticker, refresh=mode, clock=lambda: self.now_s)
        try:
            driven(updater.update(lambda held: held.is_complete), self.gateway)
        except GatewayDisconnectedError:
            self.happened.add("broken off")
        kept = self.store.kept
        assert kept is not None
        self.now_s += 0.25
        self.seen.append(Seen(self.now_s, self.without_prices(kept), kept.reports))

    @staticmethod
    def without_prices(history: TickerHistory) -> pd.DataFrame:
        return history.rows.drop(columns=[*PRICES, "first_seen"], errors="ignore")

    def check(self) -> None:
        now = self.store.kept
        assert now is not None
        table, market = self.ticker.table, self.ticker.market
        for one in self.seen:
            then = known_at(now, one.moment_s, table, market)
            pd.testing.assert_frame_equal(self.without_prices(then), one.rows)
            # Every report seen by then, and what had been published by then and was seen later.
            seen = [said for said in then.reports if said["first_seen"] <= one.moment_s]
            assert [said["aggregated_short"] for said in seen] == [
                said["aggregated_short"] for said in one.reports
            ]
            for said in then.reports[len(seen) :]:
                day = dt.date.fromisoformat(said["new_time_str"]) + dt.timedelta(days=7)
                close = dt.datetime.combine(day, dt.time(16), self.zone)
                assert close.timestamp() <= one.moment_s
        prices = [name for name in PRICES if name in now.rows]
        self.happened |= {record.column for record in now.revisions}
        self.happened |= {"adjusted"} if now.adjusted_s is not None else set()
        self.happened |= {"merged"} if self.store.merges else set()
        # As of now nothing is undone, prices included.
        then = known_at(now, self.now_s, table, market)
        pd.testing.assert_frame_equal(then.rows[prices], now.rows[prices])


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "market"), [(1, "HK"), (2, "US")])
def test_as_of_each_sync_of_a_year_the_rows_and_counts_are_those_of_then(
    seed: int, market: str
) -> None:
    year = Year(seed, market, missing=0.05 * (seed - 1))
    year.live()
    year.check()
    assert year.happened >= {ROW, "broken off", "adjusted", *COUNTS[market]}
    assert "merged" not in year.happened


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "market"), [(3, "HK"), (4, "US")])
def test_so_it_is_with_two_writers_who_overtake_each_other(seed: int, market: str) -> None:
    year = Year(seed, market, races=True)
    year.live()
    year.check()
    assert year.happened >= {ROW, "merged", "adjusted", *COUNTS[market]}
