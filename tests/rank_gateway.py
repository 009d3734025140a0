"""The second gateway with a short-selling rank, on the official client's messages."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from second_gateway import MARKETS, Exchange, SecondGateway, official

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

SHORT_SELLING_RANK = 3415

# Field of the official messages → column of the official client, in its order.
FIELDS = {
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
COUNTS = {
    "volume",
    "shortNumber",
    "shortNumberChange",
    "shortPositionVolume",
    "weekAvgShortNumber",
    "monthAvgShortNumber",
}

Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; None for what was absent."""

    market: int | None
    sort_field: int | None
    sort_dir: int | None
    offset: int | None
    count: int | None
    plates: tuple[tuple[int, str], ...]


def make_rank(number: int, *, market: str = "US", missing: float = 0.0, seed: int = 1) -> list[Row]:
    """Rows of random values, each of another security."""
    chance = random.Random(seed)
    rows: list[Row] = []
    for i in range(number):
        code = f"T{i}" if market == "US" else f"{i:05}"
        row: Row = {"security": {"market": MARKETS[market], "code": code}}
        for name in FIELDS:
            if chance.random() < missing:
                continue
            if name == "name":
                row[name] = f"Ticker {i}"
            elif name in COUNTS:
                row[name] = chance.choice([0, chance.randrange(-(2**53), 2**53)])
            else:
                row[name] = chance.choice([0.0, round(chance.uniform(-90.0, 900.0), 9)])
        rows.append(row)
    return rows


def codes_of(rows: list[Row], market: str = "US") -> list[str]:
    return [f"{market}.{row['security']['code']}" for row in rows]


class RankGateway(SecondGateway):
    """Answers requests for the rank out of `rows`, whatever they are sorted by.

    Parameters
    ----------
    rows
        The list as it is when the first request comes.
    all_count
        What is said of its length; None says nothing, "rows" its own length.
    shift
        What becomes of the list after each answer, given the list and how often it was asked for.
    refusal
        Words that every request is refused with.
    """

    def __init__(
        self,
        rows: list[Row],
        *,
        all_count: int | str | None = "rows",
        shift: Callable[[list[Row], int], list[Row]] | None = None,
        refusal: str | None = None,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        self.rows = list(rows)
        self.all_count = all_count
        self.shift = shift
        self.refusal = refusal
        self.asked: list[Asked] = []

    @property
    def offsets(self) -> list[int]:
        """From where on rows were asked for, in order of the offsets."""
        return sorted(query.offset or 0 for query in self.asked)

    def _exchange(
        self, connection: socket.socket, number: int, proto_id: int, serial: int, body: bytes
    ) -> Exchange:
        if proto_id != SHORT_SELLING_RANK:
            return super()._exchange(connection, number, proto_id, serial, body)
        with self._changed:
            query = _query(body)
            self.asked.append(query)
            answer = self._answer(proto_id, serial, self._rank(query))
            if self.shift is not None:
                self.rows = self.shift(self.rows, len(self.asked))
            self._counts[proto_id] = self._counts.get(proto_id, 0) + 1
            self._changed.notify_all()
            return Exchange(self._counts[proto_id], proto_id, serial, answer, connection)

    def _rank(self, query: Asked) -> bytes:
        messages = official("Qot_GetShortSellingRank_pb2")
        if self.refusal is not None:
            return bytes(messages.Response(retType=-1, retMsg=self.refusal).SerializeToString())
        first, count = query.offset or 0, 10 if query.count is None else query.count
        assert 1 <= count <= 35
        response = messages.Response(retType=0, retMsg="")
        response.s2c.SetInParent()
        for row in self.rows[first : first + count]:
            # A required field may be absent all the same.
            response.s2c.dataList.add(**row)
        if self.all_count is not None:
            told = len(self.rows) if self.all_count == "rows" else int(self.all_count)
            response.s2c.allCount = told
        return bytes(response.SerializePartialToString())


def _query(body: bytes) -> Asked:
    c2s = official("Qot_GetShortSellingRank_pb2").Request.FromString(body).c2s

    def told(name: str) -> int | None:
        return int(getattr(c2s, name)) if c2s.HasField(name) else None

    return Asked(
        told("market"),
        told("sortField"),
        told("sortDir"),
        told("offset"),
        told("count"),
        tuple((plate.market, plate.code) for plate in c2s.plateList),
    )
