"""Build the synthetic tickers of the sample: ``python tools/build_samples.py [DIRECTORY]``.

Writes ``HK.SAMPLE`` and ``US.SAMPLE``, their reports of open positions and the entry of
``aggregates.json`` into the package's ``sample`` directory, or into another one. Needs nothing but
Python. Every machine and every version of Python builds the same bytes: the random numbers come
from `random.Random.random`, the only generator that Python promises to keep, and exponentials from
`decimal`, which rounds them correctly. A float's last digit differs between platforms.

The story of each ticker (its price's path, dividends, results and periods of heavy short selling)
is written out below as a `Ticker`. Random numbers make the days between.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
from collections import deque
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SAMPLE = Path(__file__).parent.parent / "intake_futu_short" / "sample"

# The process starts some sessions before the oldest row that is written. By then the random
# quantities have forgotten where they started, and the first averages have a whole window.
FIRST, NEWEST = dt.date(2020, 1, 2), dt.date(2026, 6, 18)
ROWS = 1500
WINDOW = 20

# Reports that were public on the evening of the newest row.
NEWEST_REPORT = {"HK": dt.date(2026, 6, 5), "US": dt.date(2026, 5, 29)}
HK_NEWEST_POSITION = 17_650_300
HK_SHARES_OUTSTANDING = 2_000_000_000
US_NEWEST_POSITION = 15_857_219
US_FLOAT = 400_000_000

HK_LOT = 100
HK_TICK_CENTS = 5  # the tick of prices from 50 to 100 dollars, where this one is


@dataclass(frozen=True)
class Market:
    """An exchange and its trading days."""

    name: str
    zone: str
    holidays: str  # on weekdays
    half_days: str

    def sessions(self) -> list[dt.date]:
        """Trading days to the end of the newest row's month, oldest first."""
        closed = _days(self.holidays)
        every = (FIRST + dt.timedelta(days=n) for n in range((NEWEST - FIRST).days + 13))
        return [day for day in every if day.isoweekday() <= 5 and day not in closed]

    def midnight(self, day: dt.date) -> int:
        """Unix time at which a day begins."""
        return int(dt.datetime.combine(day, dt.time(), ZoneInfo(self.zone)).timestamp())


class Episode(NamedTuple):
    """A period of heavy short selling, which comes up, stays and ends."""

    start: str
    full: str
    until: str
    end: str
    height: str  # in log odds: 0.7 makes 20 % of 11 %


@dataclass(frozen=True)
class Ticker:
    """The story of a ticker, in its market's currency."""

    code: str
    market: Market
    seed: int
    path: dict[str, str]  # prices around which the price moves
    volatility: str  # a day's, as a fraction
    shares: int  # a day's
    short_odds: str  # log odds of a share of the volume to be sold short
    results: str  # days of company results
    dividends: dict[str, int]  # cents a share, by ex-dividend day
    episodes: Sequence[Episode]
    surges: dict[str, str]  # single days of heavy short selling, in log odds


NEW_YORK = Market(
    name="US",
    zone="America/New_York",
    holidays="""
    2020: 01-01 01-20 02-17 04-10 05-25 07-03 09-07 11-26 12-25
    2021: 01-01 01-18 02-15 04-02 05-31 07-05 09-06 11-25 12-24
    2022: 01-17 02-21 04-15 05-30 06-20 07-04 09-05 11-24 12-26
    2023: 01-02 01-16 02-20 04-07 05-29 06-19 07-04 09-04 11-23 12-25
    2024: 01-01 01-15 02-19 03-29 05-27 06-19 07-04 09-02 11-28 12-25
    2025: 01-01 01-09 01-20 02-17 04-18 05-26 06-19 07-04 09-01 11-27 12-25
    2026: 01-01 01-19 02-16 04-03 05-25 06-19
    """,
    half_days="""
    2020: 11-27 12-24
    2021: 11-26
    2022: 11-25
    2023: 07-03 11-24
    2024: 07-03 11-29 12-24
    2025: 07-03 11-28 12-24
    """,
)

HONG_KONG = Market(
    name="HK",
    zone="Asia/Hong_Kong",
    # Closures for typhoons and rainstorms among them.
    holidays="""
    2020: 01-01 01-27 01-28 04-10 04-13 04-30 05-01 06-25 07-01 10-01 10-02 10-13 10-26 12-25
    2021: 01-01 02-12 02-15 04-02 04-05 04-06 05-19 06-14 07-01 09-22 10-01 10-13 10-14 12-27
    2022: 02-01 02-02 02-03 04-05 04-15 04-18 05-02 05-09 06-03 07-01 09-12 10-04 12-26 12-27
    2023: 01-02 01-23 01-24 01-25 04-05 04-07 04-10 05-01 05-26 06-22 07-17 09-01 09-08 10-02 10-23
    2023: 12-25 12-26
    2024: 01-01 02-12 02-13 03-29 04-01 04-04 05-01 05-15 06-10 07-01 09-06 09-18 10-01 10-11 12-25
    2024: 12-26
    2025: 01-01 01-29 01-30 01-31 04-04 04-18 04-21 05-01 05-05 07-01 10-01 10-07 10-29 12-25 12-26
    2026: 01-01 02-17 02-18 02-19 04-03 04-06 04-07 05-01 05-25 06-19
    """,
    half_days="""
    2020: 01-24 12-24 12-31
    2021: 02-11 12-24 12-31
    2022: 01-31
    2024: 02-09 12-24 12-31
    2025: 01-28 12-24 12-31
    2026: 02-16
    """,
)

HK_SAMPLE = Ticker(
    code="HK.SAMPLE",
    market=HONG_KONG,
    seed=14,
    path={
        "2020-01-02": "68", "2020-03-20": "60", "2020-07-10": "69", "2020-11-02": "71",
        "2021-02-17": "86", "2021-08-20": "73", "2021-11-01": "75", "2022-03-15": "64",
        "2022-06-28": "69", "2022-10-28": "59", "2023-01-27": "73", "2023-06-01": "67",
        "2024-01-22": "60", "2024-05-20": "68", "2024-09-10": "66", "2024-10-08": "77",
        "2025-01-13": "72", "2025-03-18": "82", "2025-04-09": "73", "2025-09-24": "86",
        "2025-12-31": "82", "2026-03-12": "85", "2026-04-22": "73", "2026-06-18": "79",
    },
    volatility="0.0150",
    shares=9_000_000,
    short_odds="-2.0",
    results="""
    2020: 03-18 08-19
    2021: 03-24 08-18
    2022: 03-23 08-24
    2023: 03-22 08-23
    2024: 03-20 08-21
    2025: 03-19 08-20
    2026: 03-25
    """,
    dividends={
        "2020-06-05": 60, "2020-09-08": 35, "2021-06-04": 65, "2021-09-07": 35, "2022-06-06": 70,
        "2022-09-08": 40, "2023-06-05": 75, "2023-09-11": 40, "2024-06-05": 85, "2024-09-10": 45,
        "2025-06-05": 95, "2025-09-09": 50, "2026-06-04": 110,
    },
    episodes=[
        Episode("2020-09-07", "2020-09-25", "2020-10-16", "2020-11-20", "0.40"),
        Episode("2021-07-05", "2021-08-04", "2021-09-10", "2021-11-05", "0.55"),
        Episode("2022-02-21", "2022-03-11", "2022-04-01", "2022-05-13", "0.45"),
        Episode("2022-09-05", "2022-10-12", "2022-11-01", "2022-12-09", "0.60"),
        Episode("2023-11-20", "2023-12-20", "2024-01-26", "2024-03-08", "0.50"),
        Episode("2025-03-24", "2025-04-08", "2025-04-25", "2025-06-06", "0.45"),
        Episode("2026-03-11", "2026-04-02", "2026-04-27", "2026-05-29", "0.70"),
    ],
    surges={"2021-01-11": "0.5", "2023-08-24": "0.6", "2024-10-09": "0.5", "2026-06-12": "0.5"},
)  # fmt: skip

US_SAMPLE = Ticker(
    code="US.SAMPLE",
    market=NEW_YORK,
    seed=17,
    path={
        "2020-01-02": "104", "2020-02-19": "112", "2020-03-23": "80", "2020-06-08": "104",
        "2020-09-02": "124", "2020-10-30": "113", "2021-04-16": "141", "2021-11-19": "168",
        "2022-06-16": "124", "2022-08-16": "146", "2022-10-12": "119", "2023-07-18": "154",
        "2023-10-27": "136", "2024-07-16": "186", "2024-08-05": "168", "2025-02-18": "203",
        "2025-04-08": "158", "2025-10-28": "214", "2026-01-27": "219", "2026-04-10": "208",
        "2026-05-08": "181", "2026-06-18": "194",
    },
    volatility="0.0135",
    shares=6_000_000,
    short_odds="-2.12",
    results="""
    2020: 01-28 04-28 07-28 10-27
    2021: 01-26 04-27 07-27 10-26
    2022: 01-25 04-26 07-26 10-25
    2023: 01-31 04-25 07-25 10-24
    2024: 01-30 04-30 07-30 10-29
    2025: 01-28 04-29 07-29 10-28
    2026: 01-27 04-28
    """,
    dividends={
        "2020-02-10": 38, "2020-05-11": 40, "2020-08-10": 40, "2020-11-09": 40, "2021-02-08": 40,
        "2021-05-10": 43, "2021-08-09": 43, "2021-11-08": 43, "2022-02-07": 43, "2022-05-09": 46,
        "2022-08-08": 46, "2022-11-07": 46, "2023-02-13": 46, "2023-05-15": 50, "2023-08-14": 50,
        "2023-11-13": 50, "2024-02-12": 50, "2024-05-13": 54, "2024-08-12": 54, "2024-11-11": 54,
        "2025-02-10": 54, "2025-05-12": 58, "2025-08-11": 58, "2025-11-10": 58, "2026-02-09": 58,
        "2026-05-11": 62,
    },
    episodes=[
        Episode("2020-10-12", "2020-10-30", "2020-11-06", "2020-12-04", "0.40"),
        Episode("2021-11-22", "2021-12-17", "2022-01-28", "2022-03-18", "0.50"),
        Episode("2022-08-19", "2022-09-21", "2022-10-14", "2022-12-02", "0.55"),
        Episode("2023-09-11", "2023-10-06", "2023-10-27", "2023-12-01", "0.45"),
        Episode("2025-02-24", "2025-03-20", "2025-04-11", "2025-05-23", "0.55"),
        Episode("2026-04-09", "2026-04-28", "2026-05-14", "2026-06-10", "0.65"),
    ],
    surges={"2021-01-28": "0.6", "2024-08-05": "0.5", "2025-10-29": "0.5"},
)  # fmt: skip

TICKERS = (HK_SAMPLE, US_SAMPLE)


class Session(NamedTuple):
    """A trading day as it went, before any adjustment."""

    day: dt.date
    opening: Decimal
    close: Decimal
    units: int  # traded: shares in the US, lots in Hong Kong
    short_units: int
    venue: Decimal  # Nasdaq's share of the short volume
    low: Decimal
    high: Decimal
    average: Decimal  # price of all trades, 0 at the low and 1 at the high
    short_average: Decimal
    position: Decimal  # open short position, its logarithm


class Draws:
    """Random numbers of one quantity, so that a change to another leaves it alone."""

    def __init__(self, ticker: Ticker, quantity: int) -> None:
        self._random = Random(1_000 * ticker.seed + quantity)  # noqa: S311 - data, not secrets

    def _millionths(self) -> int:
        return int(1_000_000 * self._random.random())

    def uniform(self) -> Decimal:
        """From 0 to 1."""
        return Decimal(self._millionths()) / 1_000_000

    def normal(self) -> Decimal:
        """Mean 0, variance 1; the sum of twelve uniform numbers is nearly normal."""
        return Decimal(sum(self._millionths() for _ in range(12)) - 5_999_994) / 1_000_000


class Reverting:
    """A random quantity that comes back to zero: each day keeps a part of the day before."""

    def __init__(self, draws: Draws, keeps: str, spread: str) -> None:
        self._draws, self._keeps, self._spread = draws, Decimal(keeps), Decimal(spread)
        self.value = Decimal(0)

    def next(self) -> Decimal:
        """Go on by one session."""
        self.value = self._keeps * self.value + self._spread * self._draws.normal()
        return self.value


class Trading:
    """The days of a ticker, one after the other."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker, self._market = ticker, ticker.market
        self._days = ticker.market.sessions()
        self._results, self._half_days = _days(ticker.results), _days(ticker.market.half_days)
        is_hk = ticker.market is HONG_KONG
        self._unit, self._tick = (HK_LOT, "0.05") if is_hk else (1, "0.01")
        price, volume, short, position, self._range_draws = (
            Draws(ticker, quantity) for quantity in range(5)
        )
        self._price_draws, self._short_draws, self._position_draws = price, short, position
        self._activity, self._hurry = (
            Reverting(volume, "0.985", "0.055"),
            Reverting(volume, "0.5", "0.17"),
        )
        self._appetite, self._mood, self._venue = (
            Reverting(short, "0.975", "0.036"),
            Reverting(short, "0.35", "0.105"),
            Reverting(short, "0.9", "0.07"),
        )
        self._turbulence = self._deviation = self._position = Decimal(0)
        self._close = Decimal(ticker.path[FIRST.isoformat()])

    def sessions(self) -> Iterator[Session]:
        """Every trading day from `FIRST` to `NEWEST`, oldest first."""
        for number, day in enumerate(self._days):
            if day <= NEWEST:
                yield self._session(day, _expiry(self._market, self._days, number))

    def _session(self, day: dt.date, expiry: Decimal) -> Session:
        pressure = _pressure(self._ticker.episodes, day)
        shock = self._price_draws.normal()
        opening, scale = self._trade(day, shock)
        units = self._units(day, expiry, pressure, shock)
        ratio = self._short_ratio(day, expiry, pressure, shock)
        uniform = self._range_draws.uniform
        average = Decimal("0.3") + Decimal("0.4") * uniform()
        reach = self._close * scale * Decimal("0.6")
        return Session(
            day=day,
            opening=opening,
            close=self._close,
            units=units,
            short_units=int(units * ratio),
            venue=_probability(Decimal("1.05") + self._venue.next()),
            low=_to_tick(min(opening, self._close) - reach * uniform(), self._tick),
            high=_to_tick(max(opening, self._close) + reach * uniform(), self._tick),
            average=average,
            # Hong Kong allows no short sale below the best ask: they fetch a little more.
            short_average=average - Decimal("0.06") + Decimal("0.16") * uniform(),
            position=self._open_position(pressure),
        )

    def _trade(self, day: dt.date, shock: Decimal) -> tuple[Decimal, Decimal]:
        """Move the close on; the opening price and the day's volatility."""
        # Turbulent days follow turbulent days, and falls bring more turbulence than rises.
        self._turbulence = (
            Decimal("0.965") * self._turbulence
            - Decimal("0.035") * shock
            + Decimal("0.085") * self._price_draws.normal()
        )
        scale = Decimal(self._ticker.volatility) * self._turbulence.exp()
        scale *= Decimal("2.4") if day in self._results else 1
        scale /= 2 if day in self._half_days else 1
        dividend = self._dividend(day)
        # The price wanders around its path and comes back to it.
        move = scale * shock - dividend / self._close
        self._deviation = Decimal("0.98") * self._deviation + move
        gap = Decimal("0.35") * scale * (shock + self._range_draws.normal())
        opening = _to_tick((self._close - dividend) * gap.exp(), self._tick)
        self._close = _to_tick(_on_path(self._ticker.path, day) * self._deviation.exp(), self._tick)
        return opening, scale

    def _dividend(self, day: dt.date) -> Decimal:
        return Decimal(self._ticker.dividends.get(day.isoformat(), 0)) / 100

    def _units(self, day: dt.date, expiry: Decimal, pressure: Decimal, shock: Decimal) -> int:
        """Shares or lots traded: log-normal, more on days of large moves, results and expiries."""
        logarithm = (
            (Decimal(self._ticker.shares) / self._unit).ln()
            + self._activity.next()
            + self._hurry.next()
            + Decimal("0.35") * self._turbulence
            + Decimal("0.10") * abs(shock)
            + Decimal("0.25") * pressure
            + _rhythm(day)
            + expiry
        )
        if day in self._results:
            logarithm += Decimal("0.7")
        if self._dividend(day):
            logarithm += Decimal("0.15")
        if day in self._half_days:
            logarithm -= Decimal("0.95")
        return int(logarithm.exp())

    def _short_ratio(
        self, day: dt.date, expiry: Decimal, pressure: Decimal, shock: Decimal
    ) -> Decimal:
        """Share of the volume that is sold short: its log odds revert to their mean."""
        odds = (
            Decimal(self._ticker.short_odds)
            + self._appetite.next()
            + self._mood.next()
            + Decimal("0.03") * shock  # short sellers sell into rises
            + Decimal("0.45") * expiry
            + pressure
            + Decimal(self._ticker.surges.get(day.isoformat(), 0))
        )
        if self._short_draws.uniform() < Decimal("0.04"):
            odds += Decimal("0.2") * self._short_draws.normal()
        return _probability(odds)

    def _open_position(self, pressure: Decimal) -> Decimal:
        """Logarithm of the open position, which follows what is sold short by weeks."""
        aim = pressure + Decimal("0.8") * self._appetite.value
        self._position += Decimal("0.045") * (aim - self._position)
        self._position += Decimal("0.011") * self._position_draws.normal()
        return self._position


def _probability(odds: Decimal) -> Decimal:
    """From log odds: always between 0 and 1, without a bound that values could heap up at."""
    return 1 / (1 + (-odds).exp())


def _on_path(path: dict[str, str], day: dt.date) -> Decimal:
    """Price on the path at a day, on a straight line between two of its points."""
    points = [(dt.date.fromisoformat(at), Decimal(price)) for at, price in path.items()]
    (start, first), (end, last) = next(
        pair for pair in pairwise(points) if pair[0][0] <= day <= pair[1][0]
    )
    return first + (last - first) * (day - start).days / (end - start).days


def _pressure(episodes: Sequence[Episode], day: dt.date) -> Decimal:
    """How much more is sold short than usual, in log odds."""
    total = Decimal(0)
    for episode in episodes:
        start, full, until, end = map(dt.date.fromisoformat, episode[:4])
        if start < day < end:
            rise = min(Decimal((day - start).days) / (full - start).days, Decimal(1))
            fall = min(Decimal((end - day).days) / (end - until).days, Decimal(1))
            part = min(rise, fall)
            total += Decimal(episode.height) * part * part * (3 - 2 * part)
    return total


def _expiry(market: Market, days: Sequence[dt.date], number: int) -> Decimal:
    """How much expiring options and index changes add to the volume's logarithm."""
    day = days[number]
    if market is HONG_KONG:
        left = sum(1 for later in days[number + 1 : number + 25] if later.month == day.month)
        if left == 0 and day.month in {2, 5, 8, 11}:  # index funds follow their index
            return Decimal("0.55")
        return Decimal("0.2") if left == 1 else Decimal(0)
    first = day.replace(day=1)
    third_friday = first + dt.timedelta(days=14 + (4 - first.weekday()) % 7)
    # Where that Friday is a holiday options expire on the Thursday, as on the newest day.
    if day <= third_friday < days[number + 1]:
        return Decimal("0.6" if day.month in {3, 6, 9, 12} else "0.22")
    return Decimal(0)


def _rhythm(day: dt.date) -> Decimal:
    """The week's and the year's rhythm in the volume's logarithm."""
    week = Decimal(("-0.08", "0", "0.02", "0.03", "0.06")[day.weekday()])
    is_quiet = (day.month == 12 and day.day >= 23) or (day.month == 8 and day.day >= 15)
    return week - (Decimal("0.2") if is_quiet else 0)


def _to_tick(price: Decimal, tick: str) -> Decimal:
    return (price / Decimal(tick)).quantize(Decimal(1)) * Decimal(tick)


def volume_rows(ticker: Ticker, sessions: Sequence[Session]) -> list[dict[str, object]]:
    """Rows of the file of short volume, newest first."""
    adjusted = _adjusted(ticker, sessions)
    rows: list[dict[str, object]] = []
    pool: deque[tuple[int, int]] = deque(maxlen=WINDOW)
    for number, session in enumerate(sessions):
        pool.append((session.short_units, session.units))
        shorts, units = (sum(counts) for counts in zip(*pool, strict=True))
        opening, close = adjusted[number]
        counts = _hk_counts(session) if ticker.market is HONG_KONG else _us_counts(session)
        prices = {"open_price": opening} if ticker.market is HONG_KONG else {}
        rows.append(
            {
                "timestamp": ticker.market.midnight(session.day),
                "timestamp_str": session.day.isoformat(),
                **counts,
                **prices,
                "close_price": close,
                "last_close_price": adjusted[number - 1][1],
                "daily_trade_avg_ratio": _decimal(10_000 * shorts // units, 2),
            }
        )
    return rows[: -ROWS - 1 : -1]


def _us_counts(session: Session) -> dict[str, object]:
    short, volume = session.short_units, session.units
    nasdaq = int(short * session.venue)
    return {
        "total_shares_short": short,
        "nasdaq_shares_short": nasdaq,
        "nyse_shares_short": short - nasdaq,
        "short_percent": _decimal(100_000 * short // volume, 3),
        "volume": volume,
    }


def _hk_counts(session: Session) -> dict[str, object]:
    return {
        "shares_traded": session.units * HK_LOT,
        "turnover": _amount(session, session.units, session.average),
        "short_sell_shares_traded": session.short_units * HK_LOT,
        "short_sell_turnover": _amount(session, session.short_units, session.short_average),
    }


def _amount(session: Session, lots: int, place: Decimal) -> str:
    """Dollars paid for lots: a sum of whole lots at whole ticks."""
    price = session.low + place * (session.high - session.low)
    dollars = HK_LOT * HK_TICK_CENTS // 100
    return _decimal(int(lots * HK_LOT * price / dollars) * dollars, 0)


def _adjusted(ticker: Ticker, sessions: Sequence[Session]) -> list[tuple[str, str]]:
    """Opening and closing prices, adjusted for the dividends paid later, as texts."""
    factor = Decimal(1)
    prices: list[tuple[str, str]] = []
    for session, before in zip(reversed(sessions), [*reversed(sessions[:-1]), None], strict=True):
        prices.append((_price(session.opening * factor), _price(session.close * factor)))
        if before is not None:
            dividend = Decimal(ticker.dividends.get(session.day.isoformat(), 0)) / 100
            factor *= (before.close - dividend) / before.close
    return prices[::-1]


def report_rows(
    ticker: Ticker, sessions: Sequence[Session], volumes: Sequence[dict[str, object]]
) -> list[dict[str, object]]:
    """Rows of the file of reported open positions, newest first.

    HK: as of the last trading day of each week. US: as of the last trading day up to the 15th of
    each month, and of the month.
    """
    by_day = {str(row["timestamp_str"]): row for row in reversed(volumes)}
    newest = NEWEST_REPORT[ticker.market.name]
    is_hk = ticker.market is HONG_KONG
    periods = {
        _week(session.day) if is_hk else _half_month(session.day): session
        for session in sessions
        if session.day.isoformat() in by_day
    }
    reported = [session for session in periods.values() if session.day <= newest]
    base = HK_NEWEST_POSITION if is_hk else US_NEWEST_POSITION
    rows: list[dict[str, object]] = []
    # The first US report would average the volume of sessions before the file: it is left out.
    for before, session in pairwise([sessions[0], *reported] if is_hk else reported):
        day = session.day.isoformat()
        short = int((session.position - reported[-1].position).exp() * base + Decimal("0.5"))
        if is_hk:
            position: dict[str, object] = {
                "aggregated_short": short,
                "aggregated_short_ratio": _decimal(10_000 * short // HK_SHARES_OUTSTANDING, 2),
            }
        else:
            since = [s.units for s in sessions if before.day < s.day <= session.day]
            average = sum(since) // len(since)
            position = {
                "shares_short": short,
                "short_percent": _decimal(100_000 * short // US_FLOAT, 3),
                "avg_daily_share_volume": average,
                "days_to_cover": _decimal(100 * short // average, 2),
            }
        prices = {name: by_day[day][name] for name in ("close_price", "last_close_price")}
        midnight = ticker.market.midnight(session.day)
        rows.append({"timestamp": midnight, "timestamp_str": day, **position, **prices})
    return rows[::-1]


def _week(day: dt.date) -> tuple[int, int]:
    return day.isocalendar()[:2]


def _half_month(day: dt.date) -> tuple[int, int]:
    return 12 * day.year + day.month, int(day.day > 15)


def _days(text: str) -> set[dt.date]:
    """Days written as lines of a year and its days."""
    return {
        dt.date.fromisoformat(f"{year.strip()}-{day}")
        for year, days in (line.split(":") for line in text.strip().splitlines())
        for day in days.split()
    }


def _price(price: Decimal) -> str:
    """Up to nine decimals, as the gateway sends them."""
    return repr(float(round(price, 9)))


def _decimal(number: int, places: int) -> str:
    """Write a number of tenths, hundredths, … as the shortest text that reads back as that."""
    return repr(number / 10**places)


def _write(file: Path, rows: Iterable[dict[str, object]]) -> None:
    rows = list(rows)
    with file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def build(directory: Path) -> None:
    """Write all files; what else `aggregates.json` holds stays."""
    reports = directory / "short_interest"
    reports.mkdir(parents=True, exist_ok=True)
    for ticker in TICKERS:
        with localcontext(Context(prec=28, rounding=ROUND_HALF_EVEN)):
            sessions = list(Trading(ticker).sessions())
            volumes = volume_rows(ticker, sessions)
            positions = report_rows(ticker, sessions, volumes)
        _write(directory / f"{ticker.code}.csv", volumes)
        _write(reports / f"{ticker.code}.csv", positions)
        if ticker.market is HONG_KONG:
            newest = positions[0]
            _add_aggregates(
                directory / "aggregates.json",
                ticker.code,
                {
                    "aggregated_short": newest["aggregated_short"],
                    "aggregated_short_ratio": float(str(newest["aggregated_short_ratio"])),
                    "new_time_str": newest["timestamp_str"],
                },
            )


def _add_aggregates(file: Path, code: str, aggregates: dict[str, object]) -> None:
    content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    content[code] = aggregates
    file.write_bytes((json.dumps(content, indent=2) + "\n").encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", nargs="?", type=Path, default=SAMPLE)
    build(parser.parse_args().directory)
