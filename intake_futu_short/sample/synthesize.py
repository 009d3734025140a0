"""Makes the synthetic rows of the sample: ``python -m intake_futu_short.sample.synthesize``.

Needs ``exchange_calendars`` for the trading days, and writes into the directory of this file. The
rest comes from a seeded generator and from integers, so that every platform and version makes the
same files, to the byte.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections import deque
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from intake_futu_short import calendars
from intake_futu_short.calls import SHORT_INTEREST, SHORT_VOLUME
from intake_futu_short.security import HK, US

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from intake_futu_short.calls import Table
    from intake_futu_short.security import Market

__all__ = ["aggregates", "hk_csv", "hk_interest_csv", "us_csv", "us_interest_csv", "write"]

ROWS = 1500
NEWEST = "2026-06-18"
WINDOW = 20

# Made up; the reported open positions are a share of these, and in HK the newest is this one.
US_FLOAT = 400_000_000
HK_SHARES_OUTSTANDING = 2_000_000_000
HK_POSITION = 17_650_300
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
    return {
        "aggregated_short": HK_POSITION,
        "aggregated_short_ratio": 10_000 * HK_POSITION // HK_SHARES_OUTSTANDING / 100,
        "new_time_str": friday.isoformat(),
    }


def _csv(market: Market, days: Sequence[str], sessions: Iterator[list[object]]) -> str:
    # The first sessions are for the averages and the close before the oldest row.
    for _ in range(WINDOW):
        next(sessions)
    rows = [[day, *next(sessions)] for day in days]
    return _text(SHORT_VOLUME.table(market), reversed(rows))


def us_interest_csv(days: Sequence[str], volume_csv: str) -> str:
    """Text of ``short_interest/US.SAMPLE.csv`` for its short volume.

    Parameters
    ----------
    days : sequence of str
        Trading days, oldest first.
    volume_csv : str
        What `us_csv` makes of them.
    """
    random = Random(3249)  # noqa: S311 - data, not secrets
    position = Drift(random, centre=15_000_000, low=6_000_000, high=30_000_000, step=600_000)
    settled = [day for day in _settlements(days) if _is_public(US, day)]
    sessions = _by_day(volume_csv)
    rows: list[list[object]] = []
    # The first one is there for the sessions after it.
    for before, day in pairwise(settled):
        since = [int(row["volume"]) for at, row in sessions.items() if before < at <= day]
        average = sum(since) // len(since)
        short = position.next()
        rows.append(
            [
                day,
                short,
                _decimal(100_000 * short // US_FLOAT, 3),
                average,
                _decimal(100 * short // average, 2),
                sessions[day]["close_price"],
                sessions[day]["last_close_price"],
            ]
        )
    return _text(SHORT_INTEREST.table(US), reversed(rows))


def hk_interest_csv(days: Sequence[str], volume_csv: str) -> str:
    """Text of ``short_interest/HK.SAMPLE.csv``, as `us_interest_csv`; the newest is `aggregates`'.

    A week without a trading day has no report.
    """
    random = Random(571)  # noqa: S311 - data, not secrets
    lots = HK_POSITION // HK_LOT
    position = Drift(random, centre=lots, low=90_000, high=320_000, step=3_500)
    weeks = {dt.date.fromisoformat(day).isocalendar()[:2]: day for day in days}
    sessions = _by_day(volume_csv)
    rows: list[list[object]] = []
    for day in reversed([day for day in weeks.values() if _is_public(HK, day)]):
        short = HK_POSITION if not rows else position.next() * HK_LOT
        rows.append(
            [
                day,
                short,
                _decimal(10_000 * short // HK_SHARES_OUTSTANDING, 2),
                sessions[day]["close_price"],
                sessions[day]["last_close_price"],
            ]
        )
    return _text(SHORT_INTEREST.table(HK), rows)


def _settlements(days: Sequence[str]) -> list[str]:
    """The last trading day up to the 15th of each month, and the last one of each month."""
    halves = {(day[:7], day[8:] > "15"): day for day in days}
    return list(halves.values())


def _is_public(market: Market, day: str) -> bool:
    """Whether a report as of a day was there on the evening of the newest one."""
    published = calendars.published(market, dt.date.fromisoformat(day))
    return published <= dt.date.fromisoformat(NEWEST)


def _by_day(text: str) -> dict[str, dict[str, str]]:
    """Rows of a file by their days, oldest first."""
    rows = list(csv.DictReader(text.splitlines()))
    return {row["timestamp_str"]: row for row in reversed(rows)}


def _text(table: Table, rows: Iterable[Sequence[object]]) -> str:
    """Text of a file; each row is its day and what comes after."""
    lines = [",".join(map(str, (table.market.midnight(str(row[0])), *row))) for row in rows]
    return "\n".join([",".join(table.column_names), *lines, ""])


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
    us, hk = us_csv(us_days), hk_csv(hk_days)
    reports = directory / SHORT_INTEREST.name
    reports.mkdir(exist_ok=True)
    for file, text in (
        (directory / "US.SAMPLE.csv", us),
        (directory / "HK.SAMPLE.csv", hk),
        (reports / "US.SAMPLE.csv", us_interest_csv(us_days, us)),
        (reports / "HK.SAMPLE.csv", hk_interest_csv(hk_days, hk)),
    ):
        file.write_bytes(text.encode())


if __name__ == "__main__":
    write(Path(__file__).parent, _trading_days("XNYS"), _trading_days("XHKG"))
