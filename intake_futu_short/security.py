"""Securities and markets: ``"HK.00700"`` → `Security`.

Pure: knows no socket, file or clock.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache
from zoneinfo import ZoneInfo

from intake_futu_short.errors import ConfigError

__all__ = ["HK", "MARKETS", "US", "Market", "Security"]


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
    """

    name: str
    number: int
    time_zone: str

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


US = Market(name="US", number=11, time_zone="America/New_York")
HK = Market(name="HK", number=1, time_zone="Asia/Hong_Kong")
MARKETS = {market.name: market for market in (US, HK)}

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
