"""Makes the synthetic rows of the sample: ``python -m intake_futu_short.sample.synthesize``.

Needs ``exchange_calendars`` for the trading days, and writes into the directory of this file. The
rest comes from a seeded generator and from integers, so that every platform and version makes the
same files, to the byte.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import deque
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.security import HK, US

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intake_futu_short.security import Market

__all__ = ["aggregates", "hk_csv", "us_csv", "write"]

ROWS = 1500
NEWEST = "2026-06-18"
WINDOW = 20

# Made up; the reported open position is a share of it.
HK_SHARES_OUTSTANDING = 2_000_000_000
HK_LOT = 100
HK_TICK_CENTS = 5  # the tick of prices from 50 to 100 dollars, where this one is kept


class Drift:
    """A whole number that wanders around a centre and stays within bounds."""

    def __init__(self, random: Random, centre: int, low: int, high: int, step: int) -> None:
        self.value = centre
        self._random = random
        self._centre, self._low, self._high, self._step = centre, low, high, step

    def next(self) -> int:
        """Go on by one session."""
        # Twelve uniform numbers summed are nearly normal, without a logarithm that platforms
        # round differently; whole numbers, since Python 3.12 sums floats in another way. Only
        # random() promises the same numbers for ever.
        normal = sum(int(1_000 * self._random.random()) for _ in range(12)) - 5_994
        pull = int((self._centre - self.value) / 25)
        moved = self.value + pull + int(normal * self._step / 1_000)
        self.value = min(self._high, max(self._low, moved))
        return self.value


class Pool:
    """Shorted and traded shares of the last 20 sessions."""

    def __init__(self) -> None:
        self._sessions: deque[tuple[int, int]] = deque(maxlen=WINDOW)

    def ratio(self, short: int, volume: int) -> str:
        """Percent of all of them with this session's, cut to 2 decimals."""
        self._sessions.append((short, volume))
        shorts, volumes = (sum(counts) for counts in zip(*self._sessions, strict=True))
        return _decimal(10_000 * shorts // volumes, 2)


def us_csv(days: Sequence[str]) -> str:
    """Text of ``US.SAMPLE.csv`` for these trading days, oldest first."""
    return _csv(US, days, _us_sessions(Random(20260618)))  # noqa: S311 - data, not secrets


def _us_sessions(random: Random) -> Iterator[list[object]]:
    price = Drift(random, centre=14_000, low=6_000, high=26_000, step=180)  # cents
    activity = Drift(random, centre=1_000, low=350, high=4_000, step=160)
    short_ppm = Drift(random, centre=118_000, low=45_000, high=260_000, step=16_000)
    nasdaq_ppm = Drift(random, centre=720_000, low=550_000, high=880_000, step=25_000)
    pool = Pool()
    last_close = price.value
    while True:
        close = price.next()
        volume = 6_000 * activity.next() + int(random.random() * 6_000)
        total = volume * short_ppm.next() // 1_000_000
        nasdaq = total * nasdaq_ppm.next() // 1_000_000
        yield [
            total,
            nasdaq,
            total - nasdaq,
            _decimal(100_000 * total // volume, 3),
            volume,
            _decimal(close, 2),
            _decimal(last_close, 2),
            pool.ratio(total, volume),
        ]
        last_close = close


def hk_csv(days: Sequence[str]) -> str:
    """Text of ``HK.SAMPLE.csv`` for these trading days, oldest first."""
    return _csv(HK, days, _hk_sessions(Random(700)))  # noqa: S311 - data, not secrets


def _hk_sessions(random: Random) -> Iterator[list[object]]:
    price = Drift(random, centre=1_450, low=1_010, high=1_990, step=18)  # ticks
    gap = Drift(random, centre=0, low=-20, high=20, step=5)  # ticks
    activity = Drift(random, centre=1_000, low=350, high=4_000, step=160)
    short_ppm = Drift(random, centre=125_000, low=60_000, high=220_000, step=13_000)
    pool = Pool()
    last_close = price.value
    while True:
        opening, close = last_close + gap.next(), price.next()
        low = min(opening, close) - int(random.random() * 10)
        high = max(opening, close) + int(random.random() * 10)
        lots = 90 * activity.next() + int(random.random() * 90)
        short_lots = lots * short_ppm.next() // 1_000_000
        # Where in the session's range the average price was, in thousandths; that of the short
        # sales is near it, so that the average of all other trades lies in the range as well.
        place = 300 + int(random.random() * 400)
        short_place = place - 100 + int(random.random() * 200)
        yield [
            lots * HK_LOT,
            _amount(lots, low, high, place),
            short_lots * HK_LOT,
            _amount(short_lots, low, high, short_place),
            _decimal(opening * HK_TICK_CENTS, 2),
            _decimal(close * HK_TICK_CENTS, 2),
            _decimal(last_close * HK_TICK_CENTS, 2),
            pool.ratio(short_lots, lots),
        ]
        last_close = close


def _amount(lots: int, low: int, high: int, place: int) -> str:
    """Dollars for which lots changed hands at a price between two, given in ticks."""
    cents = lots * HK_LOT * HK_TICK_CENTS * (1_000 * low + place * (high - low)) // 1_000
    return _decimal(cents, 2)


def aggregates(days: Sequence[str]) -> dict[str, object]:
    """Reported open short position of ``HK.SAMPLE``; trading days oldest first.

    As of the last Friday that was a trading day and is a week or more before the newest one.
    """
    newest = dt.date.fromisoformat(days[-1])
    friday = max(
        day
        for day in map(dt.date.fromisoformat, days)
        if day.isoweekday() == 5 and day <= newest - dt.timedelta(days=7)
    )
    short = 17_650_300
    return {
        "aggregated_short": short,
        "aggregated_short_ratio": 10_000 * short // HK_SHARES_OUTSTANDING / 100,
        "new_time_str": friday.isoformat(),
    }


def _csv(market: Market, days: Sequence[str], sessions: Iterator[list[object]]) -> str:
    # The first sessions are for the averages and the close before the oldest row.
    for _ in range(WINDOW):
        next(sessions)
    rows = [",".join(map(str, (market.midnight(day), day, *next(sessions)))) for day in days]
    return "\n".join([",".join(SHORT_VOLUME.table(market).column_names), *reversed(rows), ""])


def _decimal(number: int, places: int) -> str:
    """Write a number of tenths, hundredths, … as the shortest text that reads back as that."""
    return repr(number / 10**places)


def _trading_days(calendar: str) -> list[str]:
    import exchange_calendars  # noqa: PLC0415 - for whoever makes the files, not for users

    sessions = exchange_calendars.get_calendar(calendar, start="2019-01-01").sessions
    return [day.date().isoformat() for day in sessions if day.date().isoformat() <= NEWEST][-ROWS:]


def write(directory: Path, us_days: Sequence[str], hk_days: Sequence[str]) -> None:
    """Write the files; trading days oldest first. Other aggregates that are there stay."""
    file = directory / "aggregates.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["HK.SAMPLE"] = aggregates(hk_days)
    file.write_bytes((json.dumps(content, indent=2) + "\n").encode())
    (directory / "US.SAMPLE.csv").write_bytes(us_csv(us_days).encode())
    (directory / "HK.SAMPLE.csv").write_bytes(hk_csv(hk_days).encode())


if __name__ == "__main__":
    write(Path(__file__).parent, _trading_days("XNYS"), _trading_days("XHKG"))
