"""Names of the official client → numbers of the protocol, and back. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intake_futu_short import arguments
from intake_futu_short.calls import SHORT_SELLING_RANK
from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError
from intake_futu_short.rank_requests import SORTS, request_body
from intake_futu_short.security import MARKETS, US, Security

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["rank_request", "whole_code"]

# ``Market``. Requests for the rank name one of two; its rows may name any.
_MARKETS = {
    1: "HK", 2: "HK_FUTURE", 11: "US", 21: "SH", 22: "SZ", 31: "SG", 41: "JP", 51: "AU", 61: "MY",
    71: "CA", 81: "FX", 91: "CC", 101: "EC",
}  # fmt: skip
_UNKNOWN = "N/A"
_MARKET_NUMBERS = {market.name: market.number for market in MARKETS.values()}

# ``ShortSellingSortField``.
_SORT_FIELDS = {_UNKNOWN: 0, **{name.upper(): number for name, number in SORTS.items()}}
# ``RankSortDir``.
_SORT_DIRS = {"DESCENDING": 0, "ASCENDING": 1}


def rank_request(
    *,
    market: object,
    sort_field: object,
    sort_dir: object,
    count: object,
    offset: object,
    plate_list: object,
) -> bytes:
    """Body of a request for the short-selling rank. An argument of None is not sent.

    Raises
    ------
    ConfigError
        When the call does not take an argument's value.
    """
    # Without a market, the gateway ranks US.
    of_market = US.name if market is None else market
    numbers = {
        "market": _number("market", market, _MARKET_NUMBERS),
        "sort_field": _number("sort_field", sort_field, _SORT_FIELDS),
        "sort_dir": _number("sort_dir", sort_dir, _SORT_DIRS),
        "offset": _whole("offset", offset, 0, arguments.MAX_ROWS, "rows to pass over"),
        "count": _whole("count", count, 1, SHORT_SELLING_RANK.max_rows, "rows"),
    }
    plates = [] if plate_list is None else _plates(plate_list)
    for plate in plates:
        if plate.market.name != of_market:
            raise ConfigError(
                f"plate_list names {plate}, and the rank is of the market {of_market}: name "
                f"plates of {of_market}, or another market="
            )
    return request_body(**numbers, plates=plates)


def whole_code(market_number: int, symbol: str) -> str:
    """A security as the official client names it: its market's name, a dot and its symbol."""
    return f"{_MARKETS.get(market_number, _UNKNOWN)}.{symbol}"


def _number(name: str, value: object, numbers: Mapping[str, int]) -> int | None:
    if value is None:
        return None
    if not isinstance(value, str) or value not in numbers:
        raise ConfigError(f"{name} must be one of {', '.join(numbers)}, not {described(value)}")
    return numbers[value]


def _whole(name: str, value: object, low: int, high: int, unit: str) -> int | None:
    return None if value is None else arguments.whole(name, value, low, high, unit)


def _plates(value: object) -> list[Security]:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise ConfigError(
            "plate_list must be a list of codes of plates such as ['US.BK2024'], "
            f"not {described(value)}"
        )
    return [Security.parse(code) for code in value]
