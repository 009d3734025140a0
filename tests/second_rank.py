"""What the second gateway answers to 3415, the short-selling rank."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MARKETS = {"HK": 1, "US": 11}
# Field of the official messages → column of the documentation, in its order.
RANK_FIELDS = {
    "security": "security",
    "name": "name",
    "closePrice": "close_price",
    "changeRatio": "change_ratio",
    "changeRatio5D": "change_ratio_5d",
    "changeRatio10D": "change_ratio_10d",
    "volume": "volume",
    "shortNumber": "short_number",
    "shortNumberChange": "short_number_change",
    "shortRatio": "short_ratio",
    "shortRatioChange": "short_ratio_change",
    "shortPositionVolume": "short_position_volume",
    "shortPositionRatio": "short_position_ratio",
    "daysToCover": "days_to_cover",
    "weekAvgShortNumber": "week_avg_short_number",
    "weekAvgShortRatio": "week_avg_short_ratio",
    "monthAvgShortNumber": "month_avg_short_number",
    "monthAvgShortRatio": "month_avg_short_ratio",
}
RANK_COUNTS = {
    "volume",
    "shortNumber",
    "shortNumberChange",
    "shortPositionVolume",
    "weekAvgShortNumber",
    "monthAvgShortNumber",
}
# By the number of the sort field; rows have nothing to be sorted by under 9 and 12, the average
# volumes, and stay as they are.
SORTED_BY = {
    0: "shortNumberChange",
    1: "shortNumberChange",
    2: "shortRatioChange",
    3: "shortNumber",
    4: "shortRatio",
    5: "volume",
    6: "shortPositionVolume",
    7: "shortPositionRatio",
    8: "daysToCover",
    9: None,
    10: "weekAvgShortNumber",
    11: "weekAvgShortRatio",
    12: None,
    13: "monthAvgShortNumber",
    14: "monthAvgShortRatio",
}

RankRow = Mapping[str, int | float | str]


@dataclass(frozen=True)
class RankQuery:
    """One request for the rank, as it arrived; None for what was absent."""

    market: int | None
    sort_field: int | None
    sort_dir: int | None
    offset: int | None
    count: int | None
    plates: tuple[str, ...]
    number: int = field(default=0, compare=False)  # counts them from 1
    connection: int = field(default=0, compare=False)
    arrived: float = field(default=0.0, compare=False)  # on the monotonic clock


class RefusedError(Exception):
    """The answer is no, in these words."""


def make_ranked(
    market: str, number: int, *, seed: int = 1, missing: float = 0.0
) -> list[dict[str, int | float | str]]:
    """Rows of random values, in the official messages' field names, ``security`` as a code.

    Each field but the security is left out with the probability `missing`.
    """
    chance = random.Random(seed)
    rows = []
    for i in range(number):
        row: dict[str, int | float | str] = {"security": f"{market}.T{i}", "name": f"Nr. {i}"}
        for name in list(RANK_FIELDS)[2:]:
            # A zero that is there must be told from a field that is not.
            zero = chance.random() < 0.05
            if name in RANK_COUNTS:
                row[name] = 0 if zero else chance.randrange(-(2**53), 2**53)
            else:
                row[name] = 0.0 if zero else round(chance.uniform(-90.0, 900.0), 9)
        kept = {k: v for k, v in row.items() if k == "security" or chance.random() >= missing}
        rows.append(kept)
    return rows


def as_message(row: RankRow) -> dict[str, Any]:
    """Fields of the official message that says a row."""
    market, _, symbol = str(row["security"]).partition(".")
    return {**row, "security": {"market": MARKETS[market], "code": symbol}}


def rank_query(messages: Any, body: bytes, number: int, connection: int, now: float) -> RankQuery:
    c2s = messages.Request.FromString(body).c2s

    def given(name: str) -> int | None:
        return int(getattr(c2s, name)) if c2s.HasField(name) else None

    plates = tuple(f"{_name(plate.market)}.{plate.code}" for plate in c2s.plateList)
    return RankQuery(
        given("market"),
        given("sortField"),
        given("sortDir"),
        given("offset"),
        given("count"),
        plates,
        number,
        connection,
        now,
    )


def _name(market: int) -> str:
    return {number: name for name, number in MARKETS.items()}[market]


def in_order(
    query: RankQuery, rank: Mapping[str, Sequence[RankRow]], plates: Mapping[str, set[str]]
) -> list[RankRow]:
    """All rows that a query is about; those without the value to sort by come last.

    Raises
    ------
    RefusedError
        When the query asks for what there is not.
    """
    names = {number: name for name, number in MARKETS.items()}
    market = names.get(11 if query.market is None else query.market)
    if market is None or (query.sort_dir or 0) not in {0, 1}:
        raise RefusedError("invalid market or sortDir")
    if (query.sort_field or 0) not in SORTED_BY:
        raise RefusedError("invalid sortField")
    if not 1 <= (10 if query.count is None else query.count) <= 35 or (query.offset or 0) < 0:
        raise RefusedError("count must be from 1 to 35, offset from 0 on")
    rows = list(rank.get(market, []))
    if query.plates:
        unknown = set(query.plates) - set(plates)
        if unknown:
            raise RefusedError(f"Unknown plate {', '.join(sorted(unknown))}")
        members = set().union(*(plates[plate] for plate in query.plates))
        rows = [row for row in rows if row["security"] in members]
    by = SORTED_BY[query.sort_field or 0]
    if by is None:
        return rows
    with_value = [row for row in rows if by in row]
    with_value.sort(key=lambda row: row[by], reverse=not query.sort_dir)
    return [*with_value, *(row for row in rows if by not in row)]


def rank_body(
    messages: Any, rows: Sequence[RankRow], query: RankQuery, *, tells_count: bool
) -> bytes:
    """Body of the answer: the rows that a query wants out of all in order."""
    response = messages.Response(retType=0, retMsg="")
    response.s2c.SetInParent()
    begin = query.offset or 0
    for row in rows[begin : begin + (10 if query.count is None else query.count)]:
        response.s2c.dataList.add(**as_message(row))
    if tells_count:
        response.s2c.allCount = len(rows)
    return bytes(response.SerializeToString())
