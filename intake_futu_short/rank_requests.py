"""Requests for the market's short-selling rank (3415): what to sort by, and their bodies. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intake_futu_short.calls import SHORT_SELLING_RANK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intake_futu_short.security import Security

__all__ = ["SORTS", "column_of", "request_body"]

# ``ShortSellingSortField`` of the protocol, by our name.
SORTS = {
    name: number
    for number, name in enumerate(
        (
            "short_number_change", "short_ratio_change", "short_number", "short_ratio", "volume",
            "position_volume", "position_ratio", "days_to_cover", "week_avg_volume",
            "week_avg_short_number", "week_avg_short_ratio", "month_avg_volume",
            "month_avg_short_number", "month_avg_short_ratio",
        ),
        start=1,
    )
}  # fmt: skip
# The protocol names these columns differently from their sort fields.
_COLUMNS = {"position_volume": "short_position_volume", "position_ratio": "short_position_ratio"}


def column_of(sort: str) -> str:
    """Column that a sort of `SORTS` sorts by. Average volumes are not sent as columns."""
    return _COLUMNS.get(sort, sort)


def request_body(
    *,
    market: int | None,
    sort_field: int | None,
    sort_dir: int | None,
    offset: int | None,
    count: int | None,
    plates: Iterable[Security] = (),
) -> bytes:
    """Body of a request, with the protocol's numbers. An argument of None is not sent."""
    messages = SHORT_SELLING_RANK.messages
    c2s = messages.C2S(
        market=market, sort_field=sort_field, sort_dir=sort_dir, offset=offset, count=count
    )
    for plate in plates:
        c2s.plate_list.add(market=plate.market.number, code=plate.symbol)
    body: bytes = messages.Request(c2s=c2s).SerializeToString()
    return body
