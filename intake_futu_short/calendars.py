"""Trading days of the markets, where ``exchange_calendars`` is installed. Pure: reads no clock.

That package knows the holidays that were announced when its installed version was made, and derives
later ones by rule. A later closure of a single day, for a typhoon say, still counts as a session
here. The package is imported when it is first needed, and makes each market's calendar once.
"""

from __future__ import annotations

import datetime as dt
import warnings
from functools import cache
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import pandas as pd

from intake_futu_short.errors import ConfigError
from intake_futu_short.optional import EXCHANGE_CALENDARS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intake_futu_short.security import Market

__all__ = [
    "FIRST",
    "LAST",
    "Report",
    "close_s",
    "newest_report",
    "newest_session",
    "published",
    "sessions",
]

# By default the package's calendars end a year from now. With fixed bounds, results do not depend
# on today's date. Its calendar of Hong Kong ends in 2049 (it has a table of lunar holidays).
FIRST, LAST = pd.Timestamp("2000-01-01"), pd.Timestamp("2049-12-31")

# Hong Kong was closed for typhoon Saola and for a black rainstorm, which releases of the package up
# to 4.13.2 do not know.
_LEARNT_LATE = {"HK": pd.DatetimeIndex(["2023-09-01", "2023-09-08"]), "US": pd.DatetimeIndex([])}

_EXCHANGES = {"US": "XNYS", "HK": "XHKG"}
# Used where no calendar is available. Both markets close at four on a full day.
_CLOSING_TIME = dt.time(16, 0)


def sessions(market: Market, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex | None:
    """Trading days of a market, half days included.

    Parameters
    ----------
    market : Market
        Whose calendar: that of the New York or the Hong Kong stock exchange.
    first, last : pandas.Timestamp
        Days, without time zone; both are included.

    Returns
    -------
    pandas.DatetimeIndex or None
        Ascending midnights without time zone (datetime64[ns]). None when ``exchange_calendars`` is
        not installed or cannot be used, and when the days reach beyond `FIRST` or `LAST`.
    """
    if first < FIRST or last > LAST:
        return None
    try:
        days = _calendar(market.name).days
    except ImportError:
        return None
    return days[days.searchsorted(first) : days.searchsorted(last, side="right")]


def newest_session(market: Market, now_utc: dt.datetime) -> dt.date:
    """Newest trading day whose trading was over at a moment.

    If the calendar is not installed, or does not cover the moment, every weekday is taken for a
    session that ends at 16:00 market time.

    Parameters
    ----------
    market : Market
        Whose trading.
    now_utc : datetime.datetime
        The moment, in any time zone.

    Raises
    ------
    ConfigError
        When the moment has no time zone.
    """
    _require_zone(now_utc)
    try:
        calendar = _calendar(market.name)
    except ImportError:
        return _newest_weekday(market, now_utc)
    after = int(calendar.closes.searchsorted(pd.Timestamp(now_utc), side="right"))
    if 0 < after < len(calendar.closes):
        return calendar.days[after - 1].date()
    return _newest_weekday(market, now_utc)


def published(market: Market, as_of: dt.date) -> dt.date:
    """Estimate when a reported open position is published, by its publisher's rule.

    HK, the SFC: the first Friday at least seven days after the as-of date. US, FINRA: the eighth
    business day after the settlement date. If that day is not a business day, the next one counts.
    Business days are sessions of the calendar, or weekdays if the calendar is not installed or does
    not cover them.

    Parameters
    ----------
    market : Market
        Market of the security.
    as_of : datetime.date
        The day whose position is reported.
    """
    if market.name == "HK":
        return _business_days(market, _friday_a_week_after(as_of), 1)[0]
    return _business_days(market, as_of + dt.timedelta(days=1), 8)[-1]


class Report(NamedTuple):
    """The dates of a report of open positions.

    Attributes
    ----------
    as_of : datetime.date
        Its as-of date. This depends on holidays, which may not be known here.
    since : datetime.date
        First day of its period. A row of this day or a later day is this report, or a newer one.
    since_before : datetime.date
        First day of the period of the report before.
    public_s : float
        Unix seconds from which it can be public: 16:00 of an estimated day.
    """

    as_of: dt.date
    since: dt.date
    since_before: dt.date
    public_s: float


def newest_report(market: Market, now_utc: dt.datetime) -> Report:
    """Estimate the newest report of open positions that can be public at a moment.

    HK: the as-of date is the last session of a week, and the report can be public on the first
    Friday at least seven days later. US: the as-of date is a settlement date of FINRA, which is the
    15th or the last day of a month, and the report can be public on the seventh business day after.
    If such a day is not a business day, the one before it counts.

    This says when to begin to ask for a report. It is never later than `published`, which says
    when a report counts as known. The two differ for two reasons: nobody has announced what a
    holiday on that Friday means, and Nasdaq publishes on the seventh day what is due on the eighth
    by FINRA's rules.

    Parameters
    ----------
    market : Market
        Whose reports.
    now_utc : datetime.datetime
        The moment, in any time zone.

    Raises
    ------
    ConfigError
        When the moment has no time zone.
    """
    _require_zone(now_utc)
    today = now_utc.astimezone(ZoneInfo(market.time_zone)).date()
    periods = _weeks_before(today) if market.name == "HK" else _half_months_before(today)
    for since, end in periods:  # noqa: B007 - used below
        as_of = _business_day_by(market, end)
        public_s = close_s(market, _first_public(market, as_of))
        if public_s <= now_utc.timestamp():
            break
    since_before, _ = next(periods)
    return Report(as_of, since, since_before, public_s)


def _first_public(market: Market, as_of: dt.date) -> dt.date:
    """The first day on which a report can be public."""
    if market.name == "HK":
        return _business_day_by(market, _friday_a_week_after(as_of))
    return _business_days(market, as_of + dt.timedelta(days=1), 7)[-1]


def close_s(market: Market, day: dt.date) -> float:
    """Unix seconds of 16:00 of a day in a market, when its rows and reports count as known."""
    return dt.datetime.combine(day, _CLOSING_TIME, ZoneInfo(market.time_zone)).timestamp()


def _friday_a_week_after(as_of: dt.date) -> dt.date:
    """The first Friday at least seven days later."""
    return as_of + dt.timedelta(days=7 + (4 - as_of.weekday()) % 7)


def _business_days(market: Market, first: dt.date, number: int) -> list[dt.date]:
    """The first `number` business days from `first` on."""
    last = first + dt.timedelta(days=number + 30)  # no holidays last that long
    days = sessions(market, pd.Timestamp(first), pd.Timestamp(last))
    if days is None:
        every = (first + dt.timedelta(days=n) for n in range((last - first).days))
        return [day for day in every if day.weekday() < 5][:number]
    return [day.date() for day in days[:number]]


def _business_day_by(market: Market, last: dt.date) -> dt.date:
    """The last business day up to a day."""
    days = sessions(market, pd.Timestamp(last - dt.timedelta(days=30)), pd.Timestamp(last))
    if days is None or not len(days):
        return last - dt.timedelta(days=max(0, last.weekday() - 4))
    return days[-1].date()


def _weeks_before(day: dt.date) -> Iterator[tuple[dt.date, dt.date]]:
    """First and last day of the weeks that are over, the newest first."""
    while True:
        day -= dt.timedelta(days=day.isoweekday())
        yield day - dt.timedelta(days=6), day


def _half_months_before(day: dt.date) -> Iterator[tuple[dt.date, dt.date]]:
    """First and last day of the halves of months that are over, the newest first."""
    while True:
        is_first_half = day.day > 15
        day = day.replace(day=15) if is_first_half else day.replace(day=1) - dt.timedelta(days=1)
        yield day.replace(day=1 if is_first_half else 16), day


def _require_zone(moment: dt.datetime) -> None:
    if moment.tzinfo is None:
        raise ConfigError(f"the moment must have a time zone, and {moment} has none")


def _newest_weekday(market: Market, now_utc: dt.datetime) -> dt.date:
    local = now_utc.astimezone(ZoneInfo(market.time_zone))
    back = 0 if local.time() >= _CLOSING_TIME else 1
    day = local.date() - dt.timedelta(days=back)
    return day - dt.timedelta(days=max(0, day.weekday() - 4))


class _Calendar(NamedTuple):
    """The sessions from `FIRST` to `LAST` and when each of them ends (UTC)."""

    days: pd.DatetimeIndex
    closes: pd.DatetimeIndex


# An ImportError is not cached: the package may be installed while a notebook runs.
@cache
def _calendar(market: str) -> _Calendar:
    # Releases for an older pandas fail when they are imported, or when a calendar is made.
    with EXCHANGE_CALENDARS, warnings.catch_warnings():
        # The package uses parts of pandas that are deprecated in newer releases.
        warnings.simplefilter("ignore")
        import exchange_calendars  # noqa: PLC0415 - optional, and takes a third of a second

        calendar = exchange_calendars.get_calendar(_EXCHANGES[market], start=FIRST, end=LAST)
        days = pd.DatetimeIndex(calendar.sessions).as_unit("ns")
        traded = ~days.isin(_LEARNT_LATE[market])
        return _Calendar(days[traded], pd.DatetimeIndex(calendar.closes)[traded])
