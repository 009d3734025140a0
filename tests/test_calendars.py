"""Trading days, compared with the exchanges' own published calendars."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys

import pandas as pd
import pytest

from intake_futu_short import calendars
from intake_futu_short.errors import ConfigError
from intake_futu_short.security import HK, US, Market

# The NYSE's "Holidays and Trading Hours" of 2026, weekdays only.
NYSE_CLOSED = ["01-01", "01-19", "02-16", "04-03", "05-25", "06-19", "07-03", "09-07", "11-26",
               "12-25"]  # fmt: skip
# HKEX's "Trading Calendar" of 2026, weekdays only.
HKEX_CLOSED = ["01-01", "02-17", "02-18", "02-19", "04-03", "04-06", "04-07", "05-01", "05-25",
               "06-19", "07-01", "10-01", "10-19", "12-25"]  # fmt: skip


def days(market: Market, first: str, last: str) -> list[str]:
    found = calendars.sessions(market, pd.Timestamp(first), pd.Timestamp(last))
    assert found is not None
    assert found.dtype == "datetime64[ns]"
    return [f"{day:%Y-%m-%d}" for day in found]


@pytest.mark.parametrize(("market", "closed"), [(US, NYSE_CLOSED), (HK, HKEX_CLOSED)])
def test_sessions_of_2026_are_those_that_the_exchange_published(
    market: Market, closed: list[str]
) -> None:
    weekdays = [f"{day:%Y-%m-%d}" for day in pd.bdate_range("2026-01-01", "2026-12-31")]
    open_days = [day for day in weekdays if day[5:] not in closed]
    assert days(market, "2026-01-01", "2026-12-31") == open_days


def test_closures_at_short_notice() -> None:
    # The day of mourning for a president; typhoons Talim and Saola and a black rainstorm. Under
    # typhoon Toraji Hong Kong traded on, as it does since September 2024.
    assert days(US, "2025-01-08", "2025-01-10") == ["2025-01-08", "2025-01-10"]
    assert days(HK, "2023-07-14", "2023-07-18") == ["2023-07-14", "2023-07-18"]
    assert days(HK, "2023-08-31", "2023-09-11") == [
        "2023-08-31", "2023-09-04", "2023-09-05", "2023-09-06", "2023-09-07", "2023-09-11"
    ]  # fmt: skip
    assert days(HK, "2024-11-13", "2024-11-15") == ["2024-11-13", "2024-11-14", "2024-11-15"]


def test_half_days_are_sessions() -> None:
    assert days(US, "2025-11-27", "2025-11-28") == ["2025-11-28"]
    assert days(HK, "2025-12-24", "2025-12-26") == ["2025-12-24"]


def test_beyond_what_the_calendars_know_there_is_no_answer() -> None:
    assert calendars.sessions(US, pd.Timestamp("1999-12-31"), pd.Timestamp("2020-01-01")) is None
    assert calendars.sessions(HK, pd.Timestamp("2020-01-01"), pd.Timestamp("2050-01-01")) is None
    assert days(HK, "2026-01-03", "2026-01-04") == []
    for market in (US, HK):
        everything = calendars.sessions(market, calendars.FIRST, calendars.LAST)
        assert everything is not None
        assert everything[0] == pd.Timestamp("2000-01-03")


def newest(market: Market, moment: str) -> str:
    return calendars.newest_session(market, dt.datetime.fromisoformat(moment)).isoformat()


@pytest.mark.parametrize(
    ("market", "moment", "day"),
    [
        # New York closes at 16:00, 20:00 UTC in summer and 21:00 in winter.
        (US, "2026-06-17T19:59:59+00:00", "2026-06-16"),
        (US, "2026-06-17T20:00:00+00:00", "2026-06-17"),
        (US, "2026-01-14T20:30:00+00:00", "2026-01-13"),
        (US, "2026-01-14T21:00:00+00:00", "2026-01-14"),
        (US, "2026-06-22T13:00:00+00:00", "2026-06-18"),  # Monday morning; Friday was Juneteenth
        (US, "2026-11-27T18:00:00+00:00", "2026-11-27"),  # a half day, over at 13:00
        # Hong Kong closes at 16:00, 08:00 UTC.
        (HK, "2026-06-17T07:59:00+00:00", "2026-06-16"),
        (HK, "2026-06-17T08:00:00+00:00", "2026-06-17"),
        (HK, "2026-02-20T01:00:00+00:00", "2026-02-16"),  # after the Lunar New Year
        (HK, "2026-06-17T16:30:00+08:00", "2026-06-17"),  # any time zone
    ],
)
def test_the_newest_session_is_the_last_one_that_is_over(
    market: Market, moment: str, day: str
) -> None:
    assert newest(market, moment) == day


@pytest.mark.parametrize(
    ("market", "moment", "day"),
    [
        (HK, "2051-01-06T09:00:00+00:00", "2051-01-06"),  # a Friday
        (HK, "2051-01-06T07:00:00+00:00", "2051-01-05"),
        (HK, "2051-01-09T07:00:00+00:00", "2051-01-06"),  # Monday before the close
        (US, "2051-01-08T12:00:00+00:00", "2051-01-06"),  # Sunday
        (US, "1999-06-07T12:00:00+00:00", "1999-06-04"),
    ],
)
def test_where_no_calendar_reaches_weekdays_stand_in(market: Market, moment: str, day: str) -> None:
    assert newest(market, moment) == day


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="must have a time zone, and 2026-06-17 20:00:00 has none"
    ):
        newest(US, "2026-06-17T20:00:00")


def test_without_the_package_weekdays_stand_in_and_days_are_unknown() -> None:
    code = (
        "import sys; sys.modules['exchange_calendars'] = None\n"
        "import datetime as dt, pandas as pd\n"
        "from intake_futu_short import calendars\n"
        "from intake_futu_short.security import US\n"
        "def newest(text): return calendars.newest_session(US, dt.datetime.fromisoformat(text))\n"
        "print(calendars.sessions(US, pd.Timestamp('2026-06-01'), pd.Timestamp('2026-06-30')))\n"
        "print(newest('2026-06-20T12:00:00+00:00'), newest('2026-06-22T19:00:00+00:00'))\n"
        "del sys.modules['exchange_calendars']  # installed meanwhile\n"
        "print(newest('2026-06-20T12:00:00+00:00'))\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert result.stderr == ""
    assert result.stdout.splitlines() == ["None", "2026-06-19 2026-06-19", "2026-06-18"]


@pytest.mark.parametrize("has_calendar", [True, False])
@pytest.mark.parametrize(
    ("market", "as_of", "day"),
    [
        # A Thursday before a holiday, and an ordinary Friday.
        (HK, "2026-04-30", "2026-05-08"),
        (HK, "2026-06-05", "2026-06-12"),
        (HK, "2026-07-04", "2026-07-17"),
        (US, "2026-06-30", "2026-07-13"),
        (US, "2026-08-14", "2026-08-26"),
    ],
)
def test_a_reported_position_is_published_by_rule(
    market: Market, as_of: str, day: str, has_calendar: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_calendar:
        monkeypatch.setattr(calendars, "sessions", lambda *_: None)
        if as_of == "2026-06-30":  # Independence Day is observed on Friday the 3rd
            day = "2026-07-10"
    assert calendars.published(market, dt.date.fromisoformat(as_of)).isoformat() == day


def test_a_friday_without_trading_moves_a_publication_on() -> None:
    pytest.importorskip("exchange_calendars")
    # Good Friday and Easter Monday of 2026 are April 3 and 6; the 7th is closed for Ching Ming.
    assert calendars.published(HK, dt.date(2026, 3, 27)) == dt.date(2026, 4, 8)


def test_a_day_closes_at_four_of_its_market() -> None:
    # date -d '2026-01-02 16:00 -0500' +%s, and of +0800.
    assert calendars.close_s(US, dt.date(2026, 1, 2)) == 1767387600.0
    assert calendars.close_s(HK, dt.date(2026, 1, 2)) == 1767340800.0
