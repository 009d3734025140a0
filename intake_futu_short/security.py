"""Securities and markets: ``"HK.00700"`` → `Security`, and what the rows of a market hold.

Pure: knows no socket, file or clock.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo

from intake_futu_short.errors import ConfigError

__all__ = ["AGGREGATE_NAMES", "HK", "MARKETS", "US", "Column", "Market", "Security"]

Kind = Literal["timestamp", "day", "count", "number"]


@dataclass(frozen=True)
class Column:
    """A column of a market's rows; message fields bear the same names.

    Attributes
    ----------
    name : str
        Column name, as in the gateway's documentation.
    kind : {"timestamp", "day", "count", "number"}
        Unix seconds of market-local midnight; that day as ``YYYY-MM-DD``; a count of shares;
        a price, an amount or a percentage.
    """

    name: str
    kind: Kind


@dataclass(frozen=True)
class Market:
    """A market the gateway has daily short volume for.

    Attributes
    ----------
    name : str
        The prefix of its codes.
    number : int
        ``QotMarket`` of the protocol.
    time_zone : str
        IANA name; trading days begin and end there.
    columns : tuple of Column
        In the order of the documentation.
    has_aggregates : bool
        Whether the gateway sends reported open short positions beside the rows.
    """

    name: str
    number: int
    time_zone: str
    columns: tuple[Column, ...]
    has_aggregates: bool

    @property
    def column_names(self) -> list[str]:
        """Names of the columns, in order."""
        return [column.name for column in self.columns]

    def midnight(self, day: str) -> int:
        """Unix seconds at which the day ``YYYY-MM-DD`` begins in this market."""
        moment = dt.datetime.fromisoformat(day).replace(tzinfo=_zone(self.time_zone))
        return int(moment.timestamp())

    def day(self, timestamp: int) -> str:
        """Trading day ``YYYY-MM-DD`` in this market at these Unix seconds.

        Raises
        ------
        ValueError, OverflowError, OSError
            When the platform's calendar does not reach that far.
        """
        return dt.datetime.fromtimestamp(timestamp, _zone(self.time_zone)).date().isoformat()


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


US = Market(
    name="US",
    number=11,
    time_zone="America/New_York",
    columns=(
        Column("timestamp", "timestamp"),
        Column("timestamp_str", "day"),
        Column("total_shares_short", "count"),
        Column("nasdaq_shares_short", "count"),
        Column("nyse_shares_short", "count"),
        Column("short_percent", "number"),
        Column("volume", "count"),
        Column("close_price", "number"),
        Column("last_close_price", "number"),
        Column("daily_trade_avg_ratio", "number"),
    ),
    has_aggregates=False,
)
HK = Market(
    name="HK",
    number=1,
    time_zone="Asia/Hong_Kong",
    columns=(
        Column("timestamp", "timestamp"),
        Column("timestamp_str", "day"),
        Column("shares_traded", "count"),
        Column("turnover", "number"),
        Column("short_sell_shares_traded", "count"),
        Column("short_sell_turnover", "number"),
        Column("open_price", "number"),
        Column("close_price", "number"),
        Column("last_close_price", "number"),
        Column("daily_trade_avg_ratio", "number"),
    ),
    has_aggregates=True,
)
MARKETS = {market.name: market for market in (US, HK)}

# What stands beside the rows of a market that has aggregates, in the order of the documentation.
AGGREGATE_NAMES = ("aggregated_short", "aggregated_short_ratio", "new_time_str")

_REFUSED = ",'\"[]{}"
_ACCEPTED = "a market and a symbol joined by a dot, such as 'US.AAPL', 'US.BRK.B' or 'HK.00700'"


@dataclass(frozen=True)
class Security:
    """One stock or fund.

    Attributes
    ----------
    market : Market
        Where it is listed.
    symbol : str
        The code without its market, as the protocol sends it.
    """

    market: Market
    symbol: str

    @property
    def code(self) -> str:
        """The whole code, such as ``"HK.00700"``."""
        return f"{self.market.name}.{self.symbol}"

    def __str__(self) -> str:
        return self.code

    @classmethod
    def parse(cls, code: object) -> Security:
        """Split a code at its first dot.

        Parameters
        ----------
        code : str
            ``"US.<symbol>"`` or ``"HK.<symbol>"``. The symbol may hold dots of its own
            (``US.BRK.B``, ``US..DJI``).

        Raises
        ------
        ConfigError
            For anything else, with the accepted form.
        """
        if not isinstance(code, str):
            raise ConfigError(
                f"code must be a string, not {code!r} ({type(code).__name__}): {_ACCEPTED}"
            )
        prefix, dot, symbol = code.partition(".")
        if prefix in MARKETS and dot and _is_symbol(symbol):
            return cls(MARKETS[prefix], symbol)
        raise ConfigError(f"{code!r} is not a code: expected {_ACCEPTED}.{_advice(code)}")


def _is_symbol(text: str) -> bool:
    # Catalogs of Intake take braces for templates, and run what they hold.
    return bool(text) and all(
        c.isprintable() and not c.isspace() and c not in _REFUSED for c in text
    )


def _advice(code: str) -> str:  # noqa: PLR0911 - a return a kind of mistake
    """What the user may have meant, as a sentence with a leading blank; or nothing."""
    prefix, dot, symbol = code.strip().upper().partition(".")
    if not prefix:
        return ""
    if "," in code or prefix.startswith("["):
        return " Several codes are a list: ['US.AAPL', 'US.MSFT']."
    if not dot:
        market = next((name for name in MARKETS if prefix.startswith(name)), None)
        rest = prefix[len(market or "") :].lstrip(":-_/ ")
        if market is None or not rest:
            return " The market prefix is missing."
        return _suggestion(market, rest)
    if symbol in MARKETS:
        return _suggestion(symbol, prefix)
    if prefix not in MARKETS:
        return f" The gateway has daily short volume of the markets {' and '.join(MARKETS)} only."
    if not symbol:
        return f" The symbol after '{prefix}.' is missing."
    return _suggestion(prefix, "".join(symbol.split()))


def _suggestion(market: str, symbol: str) -> str:
    return f" Did you mean '{market}.{symbol}'?" if _is_symbol(symbol) else ""
