"""Rows as the official client's messages have them, made up for `second_gateway`."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

DAILY_SHORT_VOLUME = 3248
SHORT_INTEREST = 3249
ZONES = {"HK": ZoneInfo("Asia/Hong_Kong"), "US": ZoneInfo("America/New_York")}
# Field of the official messages → column of the documentation, in its order.
FIELDS: dict[str, dict[str, str]] = {
    "US": {
        "timestamp": "timestamp",
        "timestampStr": "timestamp_str",
        "totalSharesShort": "total_shares_short",
        "nasdaqSharesShort": "nasdaq_shares_short",
        "nyseSharesShort": "nyse_shares_short",
        "shortPercent": "short_percent",
        "volume": "volume",
        "closePrice": "close_price",
        "lastClosePrice": "last_close_price",
        "dailyTradeAvgRatio": "daily_trade_avg_ratio",
    },
    "HK": {
        "timestamp": "timestamp",
        "timestampStr": "timestamp_str",
        "sharesTraded": "shares_traded",
        "turnover": "turnover",
        "shortSellSharesTraded": "short_sell_shares_traded",
        "shortSellTurnover": "short_sell_turnover",
        "openPrice": "open_price",
        "closePrice": "close_price",
        "lastClosePrice": "last_close_price",
        "dailyTradeAvgRatio": "daily_trade_avg_ratio",
    },
}
INTEREST_FIELDS: dict[str, dict[str, str]] = {
    "US": {
        "timestamp": "timestamp",
        "timestampStr": "timestamp_str",
        "sharesShort": "shares_short",
        "shortPercent": "short_percent",
        "avgDailyShareVolume": "avg_daily_share_volume",
        "daysToCover": "days_to_cover",
        "closePrice": "close_price",
        "lastClosePrice": "last_close_price",
    },
    "HK": {
        "timestamp": "timestamp",
        "timestampStr": "timestamp_str",
        "aggregatedShort": "aggregated_short",
        "aggregatedShortRatio": "aggregated_short_ratio",
        "closePrice": "close_price",
        "lastClosePrice": "last_close_price",
    },
}
# The two calls with pages: what differs between them.
FIELDS_OF = {DAILY_SHORT_VOLUME: FIELDS, SHORT_INTEREST: INTEREST_FIELDS}
COUNTS = {
    "totalSharesShort",
    "nasdaqSharesShort",
    "nyseSharesShort",
    "volume",
    "sharesTraded",
    "shortSellSharesTraded",
    "sharesShort",
    "avgDailyShareVolume",
    "aggregatedShort",
}
Row = Mapping[str, int | float | str]


def make_rows(
    market: str,
    number: int,
    *,
    seed: int = 1,
    missing: float = 0.0,
    newest: str = "2026-06-18",
    call: int = DAILY_SHORT_VOLUME,
) -> list[dict[str, int | float | str]]:
    """Rows of random values, one a weekday, newest first, in the official messages' field names.

    Each field is left out with the probability `missing`; one that tells the day always stays.
    """
    chance = random.Random(seed)
    rows: list[dict[str, int | float | str]] = []
    day = dt.date.fromisoformat(newest)
    while len(rows) < number:
        if day.weekday() < 5:
            row = _random_row(FIELDS_OF[call][market], market, day, chance)
            absent = [name for name in row if chance.random() < missing]
            if {"timestamp", "timestampStr"} <= set(absent):
                absent.remove(chance.choice(["timestamp", "timestampStr"]))
            rows.append({name: value for name, value in row.items() if name not in absent})
        day -= dt.timedelta(days=1)
    return rows


def _random_row(
    fields: Mapping[str, str], market: str, day: dt.date, chance: random.Random
) -> dict[str, int | float | str]:
    midnight = dt.datetime.combine(day, dt.time(), ZONES[market])
    row: dict[str, int | float | str] = {
        "timestamp": int(midnight.timestamp()),
        "timestampStr": day.isoformat(),
    }
    for name in list(fields)[2:]:
        # A zero that is there must be told from a field that is not.
        zero = chance.random() < 0.05
        if name in COUNTS:
            row[name] = 0 if zero else chance.randrange(1, 2**53)
        else:
            row[name] = 0.0 if zero else round(chance.uniform(0.001, 900.0), 9)
    return row


@dataclass(frozen=True)
class History:
    """What the gateway knows of one ticker; `aggregates` in the official field names."""

    market: str
    rows: Sequence[Row]
    aggregates: Row = field(default_factory=dict)
