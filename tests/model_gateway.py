"""A gateway as a few lines of arithmetic: what it sends, and so what a fresh walk must give.

It shares nothing with the package but the messages. Days pass, rows are revised, prices adjusted,
and any request may fail.
"""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd

from intake_futu_short.opend.messages_pb2 import DailyShortVolume

if TYPE_CHECKING:
    from collections.abc import Callable

ZONES = {"HK": "Asia/Hong_Kong", "US": "America/New_York"}
COUNTS = {
    "US": ["total_shares_short", "nasdaq_shares_short", "nyse_shares_short", "volume"],
    "HK": ["shares_traded", "short_sell_shares_traded"],
}
NUMBERS = {
    "US": ["short_percent", "close_price", "last_close_price", "daily_trade_avg_ratio"],
    "HK": ["turnover", "short_sell_turnover", "open_price", "close_price", "last_close_price",
           "daily_trade_avg_ratio"],
}  # fmt: skip
ORDER = {
    "US": ["timestamp", "timestamp_str", "total_shares_short", "nasdaq_shares_short",
           "nyse_shares_short", "short_percent", "volume", "close_price", "last_close_price",
           "daily_trade_avg_ratio"],
    "HK": ["timestamp", "timestamp_str", "shares_traded", "turnover", "short_sell_shares_traded",
           "short_sell_turnover", "open_price", "close_price", "last_close_price",
           "daily_trade_avg_ratio"],
}  # fmt: skip
PRICES = ["open_price", "close_price", "last_close_price"]
FIRST_DAY = dt.date(2018, 1, 1)  # a Monday


class HungUpError(Exception):
    """The connection broke, and no other one could be had."""


class RefusedError(Exception):
    """The gateway answered no."""


class ModelGateway:
    """One ticker.

    Parameters
    ----------
    days
        Trading days to begin with.
    market
        ``"US"`` or ``"HK"``.
    window
        How many rows it has at most; older ones are forgotten.
    num
        Rows per page.
    cursor
        ``"day"``: the oldest day sent. ``"offset"``: the number of rows sent.
    """

    def __init__(
        self,
        days: int,
        market: str = "US",
        *,
        window: int = 1500,
        num: int = 50,
        cursor: str = "day",
        seed: int = 1,
        missing: float = 0.0,
    ) -> None:
        self.market = market
        self.window = window
        self.num = num
        self.cursor = cursor
        self.missing = missing
        self.all: list[dict[str, Any]] = []  # oldest first
        self.aggregates: dict[str, Any] = {}
        self.asked: list[str | None] = []
        self.fails_after: int | None = None  # so many more answers, then the connection breaks
        self.generation = 0  # cursors of another generation are not known here
        self.refuses_unknown = True  # or answers them with an empty page
        self.connection = 0  # counts up at every connection
        self.before_answer: Callable[[], None] = lambda: None
        self.alter: Callable[[DailyShortVolume.S2C], None] = lambda _: None
        self._chance = random.Random(seed)
        self._number = 0  # of days so far
        self.add(days)

    # -- the world ------------------------------------------------------------------------

    def add(self, days: int) -> None:
        for _ in range(days):
            previous = self.all[-1] if self.all else None
            self.all.append(self._row(previous))

    def _row(self, previous: dict[str, Any] | None) -> dict[str, Any]:
        chance = self._chance
        number, self._number = self._number, self._number + 1
        day = FIRST_DAY + dt.timedelta(days=number // 5 * 7 + number % 5)
        zone = ZoneInfo(ZONES[self.market])
        row: dict[str, Any] = {
            "timestamp": int(dt.datetime.combine(day, dt.time(), zone).timestamp()),
            "timestamp_str": day.isoformat(),
        }
        for name in COUNTS[self.market]:
            row[name] = chance.choice([0, chance.randrange(2**40)])
        for name in NUMBERS[self.market]:
            row[name] = round(chance.uniform(1, 900), 9)
        if previous is not None and previous["close_price"] is not None:
            row["last_close_price"] = previous["close_price"]
        for name in [*COUNTS[self.market], *NUMBERS[self.market]]:
            if chance.random() < self.missing:
                row[name] = None
        return row

    def adjust(self, back: int, factor: float = 0.98) -> None:
        """A dividend: the newest `back` rows keep their prices, all before are multiplied."""
        ex_day = len(self.all) - back
        for row in self.all[: max(0, ex_day)]:
            for name in PRICES:
                if row.get(name) is not None:
                    row[name] = round(row[name] * factor, 9)
        if 0 < ex_day < len(self.all) and self.all[ex_day]["last_close_price"] is not None:
            self.all[ex_day]["last_close_price"] = self.all[ex_day - 1]["close_price"]

    def revise(self, back: int, name: str, value: Any) -> None:
        """Another value in the row that is `back` rows before the newest."""
        self.all[-1 - back][name] = value

    def withdraw(self, back: int) -> dict[str, Any]:
        """Forget the row that is `back` rows before the newest; `put_back` takes it."""
        return self.all.pop(-1 - back)

    def put_back(self, row: dict[str, Any]) -> None:
        self.all.append(row)
        self.all.sort(key=lambda one: str(one["timestamp_str"]))

    # -- what it sends --------------------------------------------------------------------

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Newest first, as far back as it goes."""
        return self.all[-self.window :][::-1]

    def fetch(self, cursor: str | None) -> DailyShortVolume.S2C:
        """Answer a question, over the connection there is."""
        if self.fails_after is not None:
            if self.fails_after == 0:
                raise HungUpError("the model hung up")
            self.fails_after -= 1
        self.asked.append(cursor)
        self.before_answer()
        rows = self.rows
        begin = self._begin(rows, cursor)
        page = rows[begin : begin + self.num]
        s2c = DailyShortVolume.S2C(**self.aggregates)
        for row in page:
            item = s2c.us_items.add() if self.market == "US" else s2c.hk_items.add()
            for name, value in row.items():
                if value is not None:
                    setattr(item, name, value)
        s2c.next_key = "-1"
        if len(page) == self.num:
            last = begin + self.num if self.cursor == "offset" else page[-1]["timestamp_str"]
            s2c.next_key = f"{self.generation}/{last}"
        self.alter(s2c)
        return s2c

    def _begin(self, rows: list[dict[str, Any]], cursor: str | None) -> int:
        if cursor is None:
            return 0
        generation, _, last = cursor.partition("/")
        if generation != str(self.generation):
            if self.refuses_unknown:
                raise RefusedError("invalid nextKey")
            return len(rows)
        if self.cursor == "offset":
            return int(last)
        return sum(row["timestamp_str"] >= last for row in rows)

    def frame(self, rows: list[dict[str, Any]] | None = None) -> pd.DataFrame:
        """What a fresh walk gives, by other means than the package's."""
        rows = self.rows if rows is None else rows
        data: dict[str, Any] = {}
        for name in ORDER[self.market]:
            values = [row[name] for row in rows]
            if name in COUNTS[self.market]:
                data[name] = pd.array(values, dtype="Int64")
            elif name in NUMBERS[self.market]:
                data[name] = pd.Series(values, dtype="float64")
            elif name == "timestamp":
                data[name] = pd.Series(values, dtype="int64")
            else:
                data[name] = pd.Series(values, dtype=pd.Series([""]).dtype)
        return pd.DataFrame(data)
