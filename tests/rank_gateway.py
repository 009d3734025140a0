"""The second gateway with a list that is its short-selling rank, whatever it is sorted by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from second_gateway import SecondGateway, official, refusal_body
from second_rank import RANK_FIELDS, RankQuery, as_message, make_ranked

if TYPE_CHECKING:
    from collections.abc import Callable

# Field of the official messages → column of the official client, in its order.
FIELDS = {sent: column for sent, column in RANK_FIELDS.items() if sent != "security"}

Row = dict[str, Any]


def make_rank(number: int, *, market: str = "US", missing: float = 0.0) -> list[Row]:
    """Rows of `second_rank.make_ranked` as fields of messages, so that a test may spoil them."""
    return [as_message(row) for row in make_ranked(market, number, missing=missing)]


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

    @property
    def offsets(self) -> list[int]:
        """From where on rows were asked for, in order of the offsets."""
        return sorted(query.offset or 0 for query in self.rank_queries)

    def ranked(self, query: RankQuery) -> bytes:
        answer = self._listed(query)
        if self.shift is not None:
            self.rows = self.shift(self.rows, len(self.rank_queries))
        return answer

    def _listed(self, query: RankQuery) -> bytes:
        if self.refusal is not None:
            return refusal_body(self.refusal)
        first, count = query.offset or 0, 10 if query.count is None else query.count
        assert 1 <= count <= 35
        response = official("Qot_GetShortSellingRank_pb2").Response(retType=0, retMsg="")
        response.s2c.SetInParent()
        for row in self.rows[first : first + count]:
            # A required field may be absent all the same.
            response.s2c.dataList.add(**row)
        if self.all_count is not None:
            told = len(self.rows) if self.all_count == "rows" else int(self.all_count)
            response.s2c.allCount = told
        return bytes(response.SerializePartialToString())
