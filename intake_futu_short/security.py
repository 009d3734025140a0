"""Securities and markets: ``"HK.00700"`` → `Security`.

Pure: knows no socket, file or clock.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from zoneinfo import ZoneInfo

from intake_futu_short.described import described, kind
from intake_futu_short.errors import ConfigError
from intake_futu_short.wording import either

__all__ = ["HK", "MARKETS", "SYNTHETIC", "US", "Market", "Security"]


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

# Codes of the sample's synthetic rows; there are no such securities.
SYNTHETIC = ("HK.SAMPLE", "US.SAMPLE")

# Around a code that was copied: quotes, the = of spreadsheets, bullets, what ends an item.
_AROUND = " \t\"'`=*,;|\u2018\u2019\u201c\u201d\u3001"
# A name that stands right behind a symbol begins with one of these: 00700(Tencent).
_NAME_BEHIND = re.compile(r"[(:]|[^ -~\d]")
_REFUSED = ",;|'\"[]{}"
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
        """Split a code that somebody wrote at its first dot.

        Parameters
        ----------
        code : str
            ``"US.<symbol>"`` or ``"HK.<symbol>"``, in capitals; five digits or more where a Hong
            Kong symbol is a number. The symbol may hold dots of its own (``US.BRK.B``,
            ``US..DJI``).

        Raises
        ------
        ConfigError
            For anything else, with the accepted form.
        """
        if not isinstance(code, str):
            shown, what = described(code), kind(code)
            given = shown if shown == what else f"{shown} ({what})"
            raise ConfigError(f"code must be a string, not {given}: {_ACCEPTED}")
        security = cls.known(code)
        symbol = security.symbol
        if not symbol.isascii() or _usual(security.market.name, symbol) != symbol:
            raise _no_code(code)
        return security

    @classmethod
    def known(cls, code: str) -> Security:
        """Split a code that a gateway or a store uses, however it is spelled.

        Raises
        ------
        ConfigError
            When it is not a code.
        """
        prefix, dot, symbol = code.partition(".")
        if prefix in MARKETS and dot and _is_symbol(symbol):
            return cls(MARKETS[prefix], symbol)
        raise _no_code(code)


def _no_code(code: str) -> ConfigError:
    shown = described(code)
    advice = _advice(code) if shown == repr(code) else ""
    return ConfigError(f"{shown} is not a code: expected {_ACCEPTED}.{advice}")


def _is_symbol(text: str) -> bool:
    # Intake's catalogs treat braces as templates and run them.
    return bool(text) and all(
        c.isprintable() and not c.isspace() and c not in _REFUSED for c in text
    )


def _usual(market: str, symbol: str) -> str:
    """A symbol as exchanges write it: what a gateway would not find otherwise."""
    plain = unicodedata.normalize("NFKC", symbol).upper()
    plain = _NAME_BEHIND.split(plain)[0].rstrip(".")
    if market == HK.name and plain.isdecimal():
        return "".join(str(int(digit)) for digit in plain).zfill(5)
    return plain


def _advice(code: str) -> str:  # noqa: PLR0911 - a return a kind of mistake
    """What the user may have meant, as a sentence with a leading blank; or nothing."""
    text = _tidied(code)
    if not text:
        return ""
    first, *others = re.split(r"[\s;|]+", text)
    whole = [one for one in (first, *others) if one.startswith(tuple(f"{n}." for n in MARKETS))]
    if re.search("[,\u3001]", text) or len(whole) > 1 or first.startswith("["):
        return either(
            " Several codes are a list: ['US.AAPL', 'US.MSFT'].",
            " Several codes stand apart: US.AAPL US.MSFT.",
        )
    # A name may stand before the code, too.
    first = whole[0] if whole else first
    first = re.split(r"\(|[^ -~\d]", first)[0] or first  # 0700.HK(Tencent)
    if len(others) == 1 and re.fullmatch("[A-Z]", others[0]) and first.startswith("US."):
        first += f".{others[0]}"  # a class of shares
    exchange, colon, rest = first.partition(":")
    if colon and exchange in _EXCHANGES and rest:
        return _suggestion(_EXCHANGES[exchange], rest)
    prefix, dot, symbol = first.partition(".")
    if not dot:
        return _advice_without_dot(prefix)
    if symbol in MARKETS:
        return _suggestion(symbol, prefix)
    if prefix not in MARKETS and re.fullmatch(r"[A-Z]{1,5}\.[AB]", first):
        return f" The market prefix is missing.{_suggestion('US', first)}"
    if prefix not in MARKETS:
        return f" The gateway has daily short volume of the markets {' and '.join(MARKETS)} only."
    if not symbol:
        return f" The symbol after '{prefix}.' is missing."
    return _suggestion(prefix, symbol)


def _tidied(code: str) -> str:
    """What somebody wrote in capitals, without what cannot be seen or stands around it."""
    text = unicodedata.normalize("NFKC", code).upper()
    text = "".join(c for c in text if unicodedata.category(c) != "Cf").strip().strip(_AROUND)
    item = r"\A(?:[-\u2022]\s+|\d{1,3}[.)]\s+(?=\S+\.))"  # of a list, with a bullet or a number
    text = re.sub(item, "", text).strip(_AROUND)
    # Blanks beside the dot are a slip, or stand for it; what follows another one is a name.
    text = re.sub(r"\s*([.:])\s*", r"\1", text)
    return re.sub(rf"\A({'|'.join(MARKETS)})\s+(?=[A-Z0-9])", r"\1.", text)


# Names that other programs use for the markets.
_EXCHANGES = {
    **{name: name for name in MARKETS},
    "NASDAQ": "US", "NYSE": "US", "AMEX": "US", "ARCA": "US", "NYSEARCA": "US", "BATS": "US",
    "CBOE": "US", "OTC": "US", "HKEX": "HK", "HKG": "HK", "SEHK": "HK",
}  # fmt: skip


def _advice_without_dot(text: str) -> str:
    if text in MARKETS:
        return f" The symbol after '{text}.' is missing."
    market = next((name for name in MARKETS if text.startswith(name)), None)
    rest = text[len(market or "") :].lstrip(":-_/ ")
    if market is not None and rest:
        return _suggestion(market, rest)
    # A few letters are a symbol in the US, a few digits one in Hong Kong.
    guess = {"A": "US", "0": "HK"}.get(re.sub(r"[A-Z]{1,5}", "A", re.sub(r"\d{1,5}", "0", text)))
    return " The market prefix is missing." + (_suggestion(guess, text) if guess else "")


def _suggestion(market: str, symbol: str) -> str:
    usual = _usual(market, symbol)
    return f" Did you mean '{market}.{usual}'?" if _is_symbol(usual) else ""
