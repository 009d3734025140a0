"""When a report of open positions is asked for: schedules of the publishers, and years of syncs."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from refreshed_ticker import DictStore
from test_calendars import HKEX_CLOSED, NYSE_CLOSED

from intake_futu_short import calendars
from intake_futu_short.calls import SHORT_INTEREST, SHORT_VOLUME, Ticker
from intake_futu_short.errors import ConfigError
from intake_futu_short.gateway import Gateway, History
from intake_futu_short.history.update import Updater
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.reading import open_gateways, read
from intake_futu_short.security import HK, US, Market, Security

if TYPE_CHECKING:
    from intake_futu_short.calls import Call
    from intake_futu_short.opend.ask import Gateways

# Settlement dates of FINRA and the dates of Nasdaq's releases "Nasdaq Announces … Open Short
# Interest Positions in Nasdaq Stocks as of Settlement Date …", which come out shortly after 16:00.
RELEASES = [
    ("2020-01-31", "2020-02-11"), ("2021-01-15", "2021-01-27"), ("2023-01-13", "2023-01-25"),
    ("2024-01-12", "2024-01-24"), ("2025-06-13", "2025-06-25"), ("2025-06-30", "2025-07-10"),
    ("2025-07-31", "2025-08-11"), ("2025-08-15", "2025-08-26"), ("2025-08-29", "2025-09-10"),
    ("2025-09-30", "2025-10-09"), ("2025-10-31", "2025-11-11"), ("2025-11-14", "2025-11-25"),
    ("2025-11-28", "2025-12-09"), ("2025-12-31", "2026-01-12"), ("2026-01-15", "2026-01-27"),
]  # fmt: skip
# As-of days of the SFC's reports, and from when each is looked out for.
FRIDAYS = [
    ("2026-04-30", "2026-05-08"),  # as documented: a Thursday, since May 1 is a holiday
    ("2026-06-05", "2026-06-12"),
    ("2026-02-13", "2026-02-20"),  # the Lunar New Year is from Tuesday to Thursday between
    ("2026-02-20", "2026-02-27"),
    ("2025-12-24", "2026-01-02"),  # Christmas is on Thursday and Friday: a Wednesday
    ("2026-01-02", "2026-01-09"),
    ("2026-03-27", "2026-04-02"),  # April 3 is Good Friday
    ("2026-12-18", "2026-12-24"),  # Christmas is on Friday
    ("2026-12-24", "2026-12-31"),  # and so is New Year
]
SCHEDULE = [(US, *each) for each in RELEASES] + [(HK, *each) for each in FRIDAYS]


@pytest.fixture(params=[True, False], ids=["calendar", "weekdays"])
def has_calendar(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether holidays are known."""
    known: bool = request.param
    if not known:
        monkeypatch.setattr(calendars, "sessions", lambda *_: None)
    return known


def at(market: Market, day: str, hour: int = 16) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{day}T{hour:02}").replace(tzinfo=ZoneInfo(market.time_zone))


def test_a_report_is_looked_out_for_from_the_day_on_that_it_came_out(has_calendar: bool) -> None:
    for market, as_of, public in SCHEDULE:
        day = at(market, public)
        if market is HK and not has_calendar:
            day += dt.timedelta(days=1)  # of a holiday on Friday nothing is known
        report = calendars.newest_report(market, day)
        assert report.since.isoformat() <= as_of, as_of
        # The report before is not taken for it.
        assert dt.date.fromisoformat(as_of) - report.since < dt.timedelta(days=16)
        before = calendars.newest_report(market, day - dt.timedelta(seconds=1))
        if has_calendar:
            assert report.as_of.isoformat() == as_of
            assert report.public_s == day.timestamp(), as_of
            assert before.since < report.since
        else:
            # A holiday that is not known is a day to ask in vain, never one to miss.
            assert 0 <= day.timestamp() - report.public_s <= 3 * 86_400, as_of


def test_a_report_counts_as_known_no_sooner_than_it_is_looked_out_for(has_calendar: bool) -> None:
    for market in (US, HK):
        for day in pd.bdate_range("2024-01-01", "2027-12-31"):
            published = calendars.published(market, day.date())
            report = calendars.newest_report(market, at(market, published.isoformat()))
            # A day within a period has its report not before the period's.
            if has_calendar or market is US:
                assert report.since <= day.date() + dt.timedelta(days=16)
            assert report.public_s <= at(market, published.isoformat()).timestamp()


@pytest.mark.parametrize(
    ("market", "moment", "since", "before", "public"),
    [
        # It is 16:00 in New York at 21:00 UTC, from March 8 to November 1 at 20:00.
        (US, "2026-03-10T19:59:59+00:00", "2026-02-01", "2026-01-16", "2026-02-25T16:00-05:00"),
        (US, "2026-03-10T20:00:00+00:00", "2026-02-16", "2026-02-01", "2026-03-10T16:00-04:00"),
        (US, "2026-11-10T20:59:59+00:00", "2026-10-01", "2026-09-16", "2026-10-26T16:00-04:00"),
        (US, "2026-11-10T21:00:00+00:00", "2026-10-16", "2026-10-01", "2026-11-10T16:00-05:00"),
        (US, "2026-11-11T05:00:00+08:00", "2026-10-16", "2026-10-01", "2026-11-10T16:00-05:00"),
        (US, "2027-01-12T16:00:00-05:00", "2026-12-16", "2026-12-01", "2027-01-12T16:00-05:00"),
        (US, "2027-01-27T15:00:00-05:00", "2026-12-16", "2026-12-01", "2027-01-12T16:00-05:00"),
        # In Hong Kong it is at 08:00 UTC.
        (HK, "2026-05-08T07:59:59+00:00", "2026-04-20", "2026-04-13", "2026-04-30T16:00+08:00"),
        (HK, "2026-05-08T08:00:00+00:00", "2026-04-27", "2026-04-20", "2026-05-08T16:00+08:00"),
        (HK, "2026-05-08T04:00:00-04:00", "2026-04-27", "2026-04-20", "2026-05-08T16:00+08:00"),
    ],
)
def test_it_is_looked_out_for_from_four_in_the_market(
    market: Market, moment: str, since: str, before: str, public: str
) -> None:
    pytest.importorskip("exchange_calendars")
    report = calendars.newest_report(market, dt.datetime.fromisoformat(moment))
    assert (report.since.isoformat(), report.since_before.isoformat()) == (since, before)
    assert report.public_s == dt.datetime.fromisoformat(public).timestamp()


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ConfigError, match="must have a time zone"):
        calendars.newest_report(US, dt.datetime(2026, 6, 17, 20))  # noqa: DTZ001 - that is the test


# -- years ----------------------------------------------------------------------------------------

# In New York it is five or six then, in Hong Kong six the next morning.
EVENING = pd.Timedelta(hours=22)
CLOSED = {US: NYSE_CLOSED, HK: HKEX_CLOSED}
# More than the year: reports of its end are published after it, and some of before it within it.
BEFORE_AND_AFTER = {
    US: ["2025-11-27", "2025-12-25", "2027-01-01"],
    HK: ["2025-12-25", "2025-12-26", "2027-01-01"],
}
BUSINESS = {
    market: pd.offsets.CustomBusinessDay(
        holidays=[*BEFORE_AND_AFTER[market], *(f"2026-{day}" for day in closed)]
    )
    for market, closed in CLOSED.items()
}
COUNT = {
    ("short_volume", "US"): "volume", ("short_volume", "HK"): "shares_traded",
    ("short_interest", "US"): "shares_short", ("short_interest", "HK"): "aggregated_short",
}  # fmt: skip


def business_days(market: Market, first: str, last: str) -> pd.DatetimeIndex:
    return pd.date_range(first, last, freq=BUSINESS[market])


def as_of_days(market: Market) -> list[pd.Timestamp]:
    days = business_days(market, "2025-11-17", "2026-12-31")
    if market is HK:
        return list({day.isocalendar()[:2]: day for day in days}.values())
    return list({(day.year, day.month, day.day > 15): day for day in days}.values())


def release(market: Market, as_of: pd.Timestamp) -> pd.Timestamp:
    """The seventh business day; the Friday a week after, or the next business day."""
    if market is US:
        return as_of + 7 * BUSINESS[US]
    friday = as_of + pd.Timedelta(days=7)
    while friday.weekday() != 4:
        friday += pd.Timedelta(days=1)
    return BUSINESS[HK].rollforward(friday)


@dataclass
class Year:
    """A ticker whose gateway gets a row now and then, and is synced every day of 2026.

    `rows` has each row's day by the moment at which the gateway has it (Unix seconds).
    """

    call: Call
    market: Market
    rows: list[tuple[float, str]]
    requests: list[str] = field(default_factory=list)  # days of them
    seen_s: dict[str, float] = field(default_factory=dict)  # when the store has had a row

    def __post_init__(self) -> None:
        self.rows.sort()
        self.security = Security.parse(f"{self.market.name}.00700")

    @classmethod
    def of_reports(cls, market: Market, late_days: float = 0.0) -> Year:
        moments = [
            (at(market, f"{release(market, day):%Y-%m-%d}", 17), f"{day:%Y-%m-%d}")
            for day in as_of_days(market)
        ]
        late_s = late_days * 86_400
        return cls(SHORT_INTEREST, market, [(m.timestamp() + late_s, day) for m, day in moments])

    @classmethod
    def of_sessions(cls, market: Market) -> Year:
        days = [f"{day:%Y-%m-%d}" for day in business_days(market, "2025-12-01", "2026-12-31")]
        moments = [(at(market, day), day) for day in days]
        return cls(SHORT_VOLUME, market, [(moment.timestamp(), day) for moment, day in moments])

    def live(self) -> Year:
        histories: dict[str, History] = {}
        is_reports = self.call is SHORT_INTEREST
        served = ({}, histories) if is_reports else (histories, {})
        with Gateway(served[0], short_interest=served[1]) as gateway:
            gateways = open_gateways([GatewayURL.parse(f"{gateway.url}?limit=off")], 30.0)
            store = DictStore()
            for day in pd.date_range("2025-12-31", "2026-12-31"):
                now_s = (day + EVENING).timestamp()
                self.sync(now_s, histories, store, gateways)
            gateways.close()
        del self.requests[0]  # the first fill
        return self

    def sync(
        self, now_s: float, histories: dict[str, History], store: DictStore, gateways: Gateways
    ) -> None:
        there = [day for moment, day in self.rows if moment <= now_s]
        name = COUNT[self.call.name, self.market.name]
        code = self.security.code
        if code not in histories or len(histories[code].rows) != len(there):
            rows: list[dict[str, int | float | str | None]] = [
                {"timestamp_str": day, name: 100} for day in sorted(there, reverse=True)
            ]
            histories[code] = History(self.security, rows, call=self.call)
        updater = Updater(store, Ticker(self.security, self.call), 50, clock=lambda: now_s)
        outcomes, failures = read({code: updater.update(lambda held: held.is_complete)}, gateways)
        assert not failures
        moment = dt.datetime.fromtimestamp(now_s, dt.timezone.utc)
        self.requests += [f"{moment:%Y-%m-%d}"] * outcomes[code].requests
        for row in outcomes[code].history.rows["timestamp_str"]:
            self.seen_s.setdefault(row, now_s)

    def delays(self) -> list[float]:
        """Days from when the gateway had a row until the store had it, of those of the year."""
        begin = pd.Timestamp("2026-01-01T00:00Z").timestamp()
        end = pd.Timestamp("2026-12-31T22:00Z").timestamp()
        return [(self.seen_s[day] - s) / 86_400 for s, day in self.rows if begin < s <= end - 7e5]


@pytest.mark.slow
def test_a_daily_sync_asks_once_a_session() -> None:
    pytest.importorskip("exchange_calendars")
    for market in (US, HK):
        year = Year.of_sessions(market).live()
        assert len(year.requests) == len(business_days(market, "2026-01-01", "2026-12-31"))
        assert len(year.requests) == {US: 251, HK: 247}[market]
        assert max(year.delays()) < 1.0


@pytest.mark.parametrize(
    ("market", "late_days", "requests", "delay_days"),
    [
        # Twice a month, on the evening of the release.
        (US, 0, 24, 0.1),
        # A gateway that is ahead of the release is asked when that is due, not before.
        pytest.param(US, -3, 24, 3.1, marks=pytest.mark.slow),
        # One that lags is asked on its days 0, 1, 2, 4 and 7.
        pytest.param(US, 2, 72, 0.1, marks=pytest.mark.slow),
        pytest.param(US, 5, 120, 2.1, marks=pytest.mark.slow),
        # Every week, and some days in vain where Friday is a holiday, as four times in this year.
        (HK, 0, 66, 1.6),
        pytest.param(HK, -1, 65, 2.6, marks=pytest.mark.slow),
        pytest.param(HK, 2, 164, 1.6, marks=pytest.mark.slow),
    ],
)
def test_a_daily_sync_asks_when_a_report_is_due_and_ever_less_often_when_it_is_late(
    market: Market, late_days: int, requests: int, delay_days: float
) -> None:
    pytest.importorskip("exchange_calendars")
    year = Year.of_reports(market, late_days).live()
    assert len(year.requests) == requests
    assert max(year.delays()) < delay_days


@pytest.mark.slow
@pytest.mark.parametrize(("market", "requests"), [(US, 34), (HK, 64)])
def test_where_no_holiday_is_known_some_days_are_asked_in_vain(
    market: Market, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calendars, "sessions", lambda *_: None)
    year = Year.of_reports(market).live()
    assert len(year.requests) == requests
    assert max(year.delays()) < 2.6


@pytest.mark.slow
def test_a_ticker_without_reports_is_asked_for_once_a_week() -> None:
    pytest.importorskip("exchange_calendars")
    year = Year(SHORT_INTEREST, HK, []).live()
    assert len(year.requests) == 53
    weeks = [dt.date.fromisoformat(day).isocalendar()[:2] for day in year.requests]
    assert len(set(weeks)) == 53


@pytest.mark.slow
def test_one_whose_reports_begin_has_the_first_a_week_later_at_most() -> None:
    pytest.importorskip("exchange_calendars")
    year = Year.of_reports(HK, 2)
    year.rows = [(moment_s, day) for moment_s, day in year.rows if day > "2026-06-01"]
    year.live()
    assert max(year.delays()) < 6.0
