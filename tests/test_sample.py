"""The rows behind ``sample://`` add up; everything is recomputed from the files' text."""

from __future__ import annotations

import configparser
import csv
import datetime as dt
import json
import runpy
import shutil
import statistics
import subprocess
import sys
import warnings
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

import intake_futu_short
from intake_futu_short import sample
from intake_futu_short.errors import ConfigError
from intake_futu_short.interest_source import FutuShortInterestSource

SAMPLE = Path(intake_futu_short.__file__).parent / "sample"
ZONES = {"US": ZoneInfo("America/New_York"), "HK": ZoneInfo("Asia/Hong_Kong")}
WINDOW = 20
TOOL = Path(__file__).parent.parent / "tools" / "build_samples.py"
BUILT: dict[str, Any] = runpy.run_path(str(TOOL))
# Made up; the reported positions are a share of these.
HK_SHARES_OUTSTANDING = 2_000_000_000
US_FLOAT = 400_000_000
SHORT_AND_VOLUME = {
    "US.SAMPLE": ("total_shares_short", "volume"),
    "HK.SAMPLE": ("short_sell_shares_traded", "shares_traded"),
}
# Cash per share by ex-dividend day, the newest of each.
NEWEST_DIVIDEND = {"HK.SAMPLE": ("2026-06-04", "1.1"), "US.SAMPLE": ("2026-05-11", "0.62")}

Row = dict[str, str]


def read(code: str) -> list[Row]:
    with (SAMPLE / f"{code}.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def cut(value: Fraction, places: int) -> Fraction:
    return Fraction(value * 10**places // 1, 10**places)


def days(code: str) -> list[str]:
    return [row["timestamp_str"] for row in read(code)]


@pytest.mark.parametrize(
    ("code", "rows", "newest", "oldest"),
    [
        ("US.AAPL", 29, "2024-10-11", "2024-09-03"),
        ("HK.00700", 10, "2026-05-08", "2026-04-24"),
        ("US.SAMPLE", 1500, "2026-06-18", "2020-06-30"),
        ("HK.SAMPLE", 1500, "2026-06-18", "2020-05-13"),
    ],
)
def test_days_are_unique_newest_first_and_never_on_a_weekend(
    code: str, rows: int, newest: str, oldest: str
) -> None:
    found = days(code)
    assert (len(found), found[0], found[-1]) == (rows, newest, oldest)
    assert found == sorted(set(found), reverse=True)
    assert all(dt.date.fromisoformat(day).isoweekday() <= 5 for day in found)


@pytest.mark.parametrize("code", ["US.AAPL", "HK.00700", "US.SAMPLE", "HK.SAMPLE"])
def test_timestamps_are_midnight_in_the_market(code: str) -> None:
    for row in read(code):
        moment = dt.datetime.fromtimestamp(int(row["timestamp"]), ZONES[code[:2]])
        assert moment.isoformat()[:19] == f"{row['timestamp_str']}T00:00:00"


@pytest.mark.parametrize("code", ["US.AAPL", "HK.00700", "US.SAMPLE", "HK.SAMPLE"])
def test_numbers_read_back_as_they_are_written(code: str) -> None:
    for row in read(code):
        for name, cell in row.items():
            if name != "timestamp_str":
                assert cell in {str(int(float(cell))), repr(float(cell))}


def test_each_close_is_the_last_close_of_the_next_session() -> None:
    for code in ("US.AAPL", "US.SAMPLE", "HK.SAMPLE"):
        rows = read(code)
        assert [row["last_close_price"] for row in rows[:-1]] == [
            row["close_price"] for row in rows[1:]
        ]


@pytest.mark.parametrize("code", ["US.AAPL", "US.SAMPLE"])
def test_us_counts_and_percents_add_up(code: str) -> None:
    for row in read(code):
        total, volume = int(row["total_shares_short"]), int(row["volume"])
        assert total == int(row["nasdaq_shares_short"]) + int(row["nyse_shares_short"])
        assert Fraction(row["short_percent"]) == cut(Fraction(100 * total, volume), 3)


@pytest.mark.parametrize(
    ("code", "short", "volume", "whole_windows"),
    [
        ("US.AAPL", "total_shares_short", "volume", 10),
        ("US.SAMPLE", "total_shares_short", "volume", 1481),
        ("HK.SAMPLE", "short_sell_shares_traded", "shares_traded", 1481),
    ],
)
def test_the_daily_average_is_pooled_over_twenty_sessions(
    code: str, short: str, volume: str, whole_windows: int
) -> None:
    rows = read(code)
    for newest in range(whole_windows):
        window = rows[newest : newest + WINDOW]
        assert len(window) == WINDOW
        shorts, volumes = (sum(int(row[name]) for row in window) for name in (short, volume))
        expected = cut(Fraction(100 * shorts, volumes), 2)
        assert Fraction(rows[newest]["daily_trade_avg_ratio"]) == expected
    assert len(rows) - whole_windows == WINDOW - 1


@pytest.mark.parametrize("code", ["US.SAMPLE", "HK.SAMPLE"])
def test_the_oldest_averages_look_back_at_sessions_before_the_file(code: str) -> None:
    short, volume = (
        ("total_shares_short", "volume")
        if code == "US.SAMPLE"
        else ("short_sell_shares_traded", "shares_traded")
    )
    rows = read(code)[-(WINDOW - 1) :]
    from_the_file_alone = 0
    for newest, row in enumerate(rows):
        window = rows[newest:]
        pooled = Fraction(
            100 * sum(int(r[short]) for r in window), sum(int(r[volume]) for r in window)
        )
        from_the_file_alone += cut(pooled, 2) == Fraction(row["daily_trade_avg_ratio"])
    assert from_the_file_alone < WINDOW // 2


def ratios(code: str) -> list[Fraction]:
    """Short shares over volume, oldest first."""
    short, volume = SHORT_AND_VOLUME[code]
    return [Fraction(int(row[short]), int(row[volume])) for row in reversed(read(code))]


def test_short_shares_are_a_plausible_part_of_the_volume() -> None:
    for code in SHORT_AND_VOLUME:
        found = ratios(code)
        assert Fraction("0.04") < min(found)
        assert max(found) < Fraction("0.28")
        assert Fraction("0.10") < statistics.median(found) < Fraction("0.13")
        # Few days are far above the median, and none is as far below it.
        assert statistics.mean(found) > statistics.median(found)


def raw_closes(code: str) -> list[Fraction]:
    """Closes as they were traded, oldest first: the adjustment for dividends undone."""
    (ticker,) = [ticker for ticker in BUILT["TICKERS"] if ticker.code == code]
    factor, closes = Fraction(1), []
    for row in read(code):
        closes.append(Fraction(row["close_price"]) / factor)
        if row["timestamp_str"] in ticker.dividends:
            after = Fraction(row["last_close_price"]) / factor
            dividend = Fraction(ticker.dividends[row["timestamp_str"]], 100)
            factor *= after / (after + dividend)
    return closes[::-1]


@pytest.mark.parametrize(("code", "tick"), [("HK.SAMPLE", "0.05"), ("US.SAMPLE", "0.01")])
def test_closes_before_a_dividend_are_adjusted_and_as_traded_are_whole_ticks(
    code: str, tick: str
) -> None:
    ex_day, dividend = NEWEST_DIVIDEND[code]
    for row in read(code):
        in_ticks = Fraction(row["close_price"]) / Fraction(tick)
        if row["timestamp_str"] >= ex_day:
            assert in_ticks.denominator == 1
        if row["timestamp_str"] == ex_day:
            # Adjusted, the close before the dividend is lower by just that.
            before = Fraction(row["last_close_price"])
            assert (before / Fraction(tick)).denominator == 1
            assert before in {raw - Fraction(dividend) for raw in raw_closes(code)[-30:]}
    long_ago = [Fraction(row["close_price"]) / Fraction(tick) for row in read(code)[-500:]]
    assert sum(price.denominator == 1 for price in long_ago) < 50
    assert all(abs(raw / Fraction(tick) - round(raw / Fraction(tick))) < Fraction(1, 10_000)
               for raw in raw_closes(code))  # fmt: skip


def test_hk_shares_are_lots_and_amounts_are_paid_at_prices_as_traded() -> None:
    rows, closes = read("HK.SAMPLE")[::-1], raw_closes("HK.SAMPLE")
    assert 50 < min(closes) < max(closes) < 100  # where the tick is 0.05
    for row, close in zip(rows, closes, strict=True):
        shares, short = int(row["shares_traded"]), int(row["short_sell_shares_traded"])
        turnover, short_turnover = Fraction(row["turnover"]), Fraction(row["short_sell_turnover"])
        assert shares % 100 == short % 100 == 0
        assert turnover % 5 == short_turnover % 5 == 0  # a lot of 100 at a tick of 0.05
        assert 0 < short < shares
        assert 0 < short_turnover < turnover
        opening = Fraction(row["open_price"]) * close / Fraction(row["close_price"])
        assert abs(opening / Fraction("0.05") - round(opening / Fraction("0.05"))) < Fraction(
            1, 1_000
        )
        # The low and the high, which the gateway does not send, are not far away.
        low, high = min(opening, close) * Fraction("0.96"), max(opening, close) * Fraction("1.04")
        averages = [
            turnover / shares,
            short_turnover / short,
            (turnover - short_turnover) / (shares - short),
        ]
        assert all(low <= average <= high for average in averages)


# They look like rows of a security


@pytest.mark.parametrize("code", SHORT_AND_VOLUME)
def test_no_short_ratio_repeats_more_often_than_chance(code: str) -> None:
    assert len(set(ratios(code))) == 1500
    percents = [round(10_000 * ratio) for ratio in ratios(code)]
    times = Counter(percents)
    # Pairs that agree to two decimals, and pairs of which one is by up to 0.25 % the other one.
    equal = sum(n * (n - 1) for n in times.values())
    near = sum(
        n * times[value + off] for value, n in times.items() for off in range(-25, 26) if off
    )
    assert 0.8 < equal / (near / 50) < 1.2
    assert max(times.values()) < 12


@pytest.mark.parametrize("code", SHORT_AND_VOLUME)
def test_values_thin_out_towards_both_ends(code: str) -> None:
    rows = read(code)
    columns: list[list[Fraction]] = [ratios(code), [Fraction(row["close_price"]) for row in rows]]
    columns.append([Fraction(row[SHORT_AND_VOLUME[code][1]]) for row in rows])
    if code == "US.SAMPLE":
        venue = [(int(r["nasdaq_shares_short"]), int(r["total_shares_short"])) for r in rows]
        columns.append([Fraction(nasdaq, total) for nasdaq, total in venue])
    for values in columns:
        ordered = sorted(values)
        width = ordered[-1] - ordered[0]
        # Against a floor or a ceiling they would lie close together.
        assert ordered[10] - ordered[0] > width / 200
        assert ordered[-1] - ordered[-11] > width / 200
        runs = [a == b for a, b in pairwise(values)]
        assert sum(runs) < 40  # of closes at a tick of 0.05
        assert not any(all(runs[i : i + 3]) for i in range(len(runs) - 2))


def autocorrelation(values: list[float], lag: int) -> float:
    return statistics.correlation(values[:-lag], values[lag:])


@pytest.mark.parametrize("code", SHORT_AND_VOLUME)
def test_returns_have_no_memory_and_their_size_has_one(code: str) -> None:
    returns = [float(b / a) - 1 for a, b in pairwise(raw_closes(code))]
    deviation = statistics.pstdev(returns)
    assert 0.01 < deviation < 0.02
    assert abs(statistics.mean(returns)) < deviation / 20
    assert max(map(abs, returns)) < 0.12
    kurtosis = statistics.mean([(value / deviation) ** 4 for value in returns])
    assert 4 < kurtosis < 9  # 3 is normal
    assert abs(autocorrelation(returns, 1)) < 0.12
    sizes = [abs(value) for value in returns]
    assert statistics.mean([autocorrelation(sizes, lag) for lag in range(1, 11)]) > 0.08


@pytest.mark.parametrize("code", SHORT_AND_VOLUME)
def test_the_short_ratio_reverts_to_its_mean(code: str) -> None:
    found = [float(ratio) for ratio in ratios(code)]
    assert 0.6 < autocorrelation(found, 1) < 0.9
    assert autocorrelation(found, 1) > autocorrelation(found, 10) > autocorrelation(found, 40)
    assert abs(autocorrelation(found, 250)) < 0.2


@pytest.mark.parametrize(("code", "calendar"), [("US.SAMPLE", "XNYS"), ("HK.SAMPLE", "XHKG")])
def test_half_days_are_the_calendars_and_thin(code: str, calendar: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses parts of pandas that newer releases warn of
        import exchange_calendars  # noqa: PLC0415 - optional

        early = exchange_calendars.get_calendar(calendar, start="2019-01-01").early_closes
    (ticker,) = [ticker for ticker in BUILT["TICKERS"] if ticker.code == code]
    found = days(code)[::-1]
    half = [day.date().isoformat() for day in early if str(day.date()) in found]
    text = [line.split(":") for line in ticker.market.half_days.strip().splitlines()]
    written = [f"{year.strip()}-{day}" for year, listed in text for day in listed.split()]
    assert half == [day for day in written if day >= found[0]]
    assert len(half) >= 11
    volumes = [int(row[SHORT_AND_VOLUME[code][1]]) for row in reversed(read(code))]
    for day in half:
        at = found.index(day)
        assert volumes[at] < 0.7 * statistics.median(volumes[at - 10 : at])


def test_options_that_expire_and_results_bring_volume() -> None:
    # The third Fridays of the last month of a quarter; 2026-06-19 is a holiday.
    expiries = ["2025-06-20", "2025-09-19", "2025-12-19", "2026-03-20", "2026-06-18"]
    results = ["2025-07-29", "2025-10-28", "2026-01-27", "2026-04-28"]
    volumes = {row["timestamp_str"]: int(row["volume"]) for row in reversed(read("US.SAMPLE"))}
    found = list(volumes)
    for day in [*expiries, *results]:
        at = found.index(day)
        before = statistics.median([volumes[day] for day in found[at - 10 : at]])
        assert volumes[day] > 1.3 * before


@pytest.mark.parametrize(
    ("code", "since", "until", "position", "before", "peak", "last"),
    [
        ("HK.SAMPLE", "2026-03-20", "2026-04-02", "aggregated_short", "2026-03-20", "2026-04-30",
         "2026-06-05"),
        ("US.SAMPLE", "2026-04-16", "2026-05-05", "shares_short", "2026-03-31", "2026-05-15", None),
    ],
)  # fmt: skip
def test_the_newest_story_can_be_seen(
    code: str, since: str, until: str, position: str, before: str, peak: str, last: str | None
) -> None:
    """The ratio rises for weeks, the open position follows, and both come back."""
    found = [float(ratio) for ratio in ratios(code)]
    day_of = days(code)[::-1]
    first, end = day_of.index(since), day_of.index(until)
    scores = [
        (found[at] - statistics.mean(found[at - 20 : at])) / statistics.stdev(found[at - 20 : at])
        for at in range(first, end)
    ]
    assert sum(score > 2 for score in scores) >= 5
    calm = statistics.mean(found[first - 40 : first])
    assert statistics.mean(found[end : end + 5]) > 1.4 * calm
    assert statistics.mean(found[-10:]) < 1.15 * calm
    of = {row["timestamp_str"]: int(row[position]) for row in reports(code)}
    assert of[peak] > 1.25 * of[before]
    if last is not None:
        assert of[last] < 0.9 * of[peak]


def test_apple_is_as_the_archive_has_it() -> None:
    rows = read("US.AAPL")
    assert list(rows[0].values()) == [
        "1728619200", "2024-10-11", "4746547", "3604186", "1142361", "14.945", "31759188",
        "225.856901709", "227.335815282", "17.3",
    ]  # fmt: skip
    assert list(rows[15].values()) == [
        "1726804800", "2024-09-20", "72191477", "66374113", "5817364", "22.653", "318679888",
        "226.502065349", "227.167080177", "14.31",
    ]  # fmt: skip
    assert list(rows[-1].values()) == [
        "1725336000", "2024-09-03", "5274597", "3716062", "1558535", "10.509", "50190574",
        "221.112467562", "227.296112905", "10.59",
    ]  # fmt: skip


def test_tencent_is_as_the_documentation_has_it() -> None:
    rows = read("HK.00700")
    assert list(rows[0]) == [
        "timestamp", "timestamp_str", "last_close_price", "daily_trade_avg_ratio",
    ]  # fmt: skip
    assert [(row["last_close_price"], row["daily_trade_avg_ratio"]) for row in rows] == [
        ("477.4", "11.36"), ("463.0", "11.8"), ("472.2", "12.22"), ("473.0", "12.76"),
        ("467.8", "13.02"), ("479.2", "13.09"), ("473.8", "14.02"), ("478.6", "14.13"),
        ("493.4", "14.14"), ("495.2", "14.18"),
    ]  # fmt: skip


def test_aggregates_are_of_a_trading_day_before_the_newest() -> None:
    aggregates = json.loads((SAMPLE / "aggregates.json").read_text())
    assert aggregates["HK.00700"] == {
        "aggregated_short": 51480638,
        "aggregated_short_ratio": 0.56,
        "new_time_str": "2026-04-30",
    }
    synthetic = aggregates["HK.SAMPLE"]
    as_of = dt.date.fromisoformat(synthetic["new_time_str"])
    assert as_of.isoweekday() == 5
    assert as_of.isoformat() in days("HK.SAMPLE")
    assert dt.date.fromisoformat(days("HK.SAMPLE")[0]) - as_of >= dt.timedelta(days=7)
    outstanding = HK_SHARES_OUTSTANDING
    ratio = cut(Fraction(100 * synthetic["aggregated_short"], outstanding), 2)
    assert Fraction(str(synthetic["aggregated_short_ratio"])) == ratio


# Reports of open positions


def reports(code: str) -> list[Row]:
    return read(f"short_interest/{code}")


def by_day(code: str) -> dict[str, Row]:
    """Rows of short volume, oldest first."""
    return {row["timestamp_str"]: row for row in reversed(read(code))}


def test_tencents_reports_are_as_the_documentation_has_them() -> None:
    rows = reports("HK.00700")
    assert list(rows[0]) == [
        "timestamp", "timestamp_str", "aggregated_short", "aggregated_short_ratio", "close_price",
        "last_close_price",
    ]  # fmt: skip
    assert [row["aggregated_short"] for row in rows] == [
        "51480638", "51888755", "47974208", "48424833", "49982828", "52744147", "51710854",
        "48105325", "42404275", "36037870",
    ]  # fmt: skip
    assert list(rows[0].values()) == [
        "1777478400", "2026-04-30", "51480638", "0.56", "467.8", "479.2",
    ]  # fmt: skip
    volume = by_day("HK.00700")
    assert [row["timestamp_str"] for row in rows if row["timestamp_str"] in volume] == [
        "2026-04-30", "2026-04-24",
    ]  # fmt: skip


@pytest.mark.parametrize("code", ["HK.00700", "HK.SAMPLE", "US.SAMPLE"])
def test_a_report_bears_the_prices_of_its_day(code: str) -> None:
    volume = by_day(code)
    for row in reports(code):
        of_the_day = volume.get(row["timestamp_str"], {})
        assert of_the_day or code == "HK.00700"
        assert (
            of_the_day.get("last_close_price", row["last_close_price"]) == (row["last_close_price"])
        )
        assert of_the_day.get("close_price", row["close_price"]) == row["close_price"]
        moment = dt.datetime.fromtimestamp(int(row["timestamp"]), ZONES[code[:2]])
        assert moment.isoformat()[:19] == f"{row['timestamp_str']}T00:00:00"


def test_hk_reports_are_of_the_last_trading_day_of_every_week() -> None:
    found = [row["timestamp_str"] for row in reports("HK.SAMPLE")]
    trading = [dt.date.fromisoformat(day) for day in days("HK.SAMPLE")[::-1]]
    last_of_week = {day.isocalendar()[:2]: day.isoformat() for day in trading}
    # The report as of 2026-06-12 comes out on the Friday a week later, after the newest row.
    assert found[::-1] == [day for day in last_of_week.values() if day <= "2026-06-05"]
    assert len(found) == 317
    newest = reports("HK.SAMPLE")[0]
    aggregates = json.loads((SAMPLE / "aggregates.json").read_text())["HK.SAMPLE"]
    assert newest["timestamp_str"] == aggregates["new_time_str"]
    assert newest["aggregated_short"] == str(aggregates["aggregated_short"])
    assert newest["aggregated_short_ratio"] == str(aggregates["aggregated_short_ratio"])
    for row in reports("HK.SAMPLE"):
        short = int(row["aggregated_short"])
        ratio = cut(Fraction(100 * short, HK_SHARES_OUTSTANDING), 2)
        assert Fraction(row["aggregated_short_ratio"]) == ratio


def test_us_reports_are_of_settlement_dates_and_average_the_volume_since_the_last() -> None:
    rows = reports("US.SAMPLE")[::-1]
    # FINRA's schedule of 2025: the 15th or the trading day before, and the last of the month.
    assert [row["timestamp_str"] for row in rows if row["timestamp_str"][:4] == "2025"] == [
        "2025-01-15", "2025-01-31", "2025-02-14", "2025-02-28", "2025-03-14", "2025-03-31",
        "2025-04-15", "2025-04-30", "2025-05-15", "2025-05-30", "2025-06-13", "2025-06-30",
        "2025-07-15", "2025-07-31", "2025-08-15", "2025-08-29", "2025-09-15", "2025-09-30",
        "2025-10-15", "2025-10-31", "2025-11-14", "2025-11-28", "2025-12-15", "2025-12-31",
    ]  # fmt: skip
    assert (rows[0]["timestamp_str"], rows[-1]["timestamp_str"]) == ("2020-07-15", "2026-05-29")
    assert len(rows) == 142
    before = "2020-06-30"
    for row in rows:
        day, short = row["timestamp_str"], int(row["shares_short"])
        volumes = [int(r["volume"]) for at, r in by_day("US.SAMPLE").items() if before < at <= day]
        assert 8 <= len(volumes) <= 13
        average = int(row["avg_daily_share_volume"])
        assert average == sum(volumes) // len(volumes)
        assert Fraction(row["days_to_cover"]) == cut(Fraction(short, average), 2)
        percent = cut(Fraction(100 * short, US_FLOAT), 3)
        assert Fraction(row["short_percent"]) == percent
        before = day


@pytest.mark.parametrize(
    ("code", "position", "sold"),
    [
        ("HK.SAMPLE", "aggregated_short", "short_sell_shares_traded"),
        ("US.SAMPLE", "shares_short", "total_shares_short"),
    ],
)
def test_a_position_grows_by_less_than_was_sold_short(code: str, position: str, sold: str) -> None:
    volume = by_day(code)
    rows = reports(code)[::-1]
    for before, after in pairwise(rows):
        first, last = before["timestamp_str"], after["timestamp_str"]
        between = sum(int(row[sold]) for day, row in volume.items() if first < day <= last)
        assert int(after[position]) - int(before[position]) < between
    assert len({row[position] for row in rows}) > 100


def test_a_frame_of_reports_is_that_of_the_source() -> None:
    frame = sample.frame("HK.00700", what="short_interest")
    assert list(frame.columns) == [
        "timestamp", "timestamp_str", "aggregated_short", "aggregated_short_ratio", "close_price",
        "last_close_price", "published",
    ]  # fmt: skip
    assert frame["aggregated_short"].dtype == "Int64"
    assert frame.attrs == {"code": "HK.00700", "market": "HK", "next_key": "-1"}
    # As of a Thursday, before a holiday: the first Friday at least seven days later.
    assert list(frame["published"].head(2).astype(str)) == ["2026-05-08", "2026-05-04"]
    with FutuShortInterestSource("US.SAMPLE", gateway="sample://") as source:
        pd.testing.assert_frame_equal(source.read(), sample.frame("US.SAMPLE", "short_interest"))


def test_there_is_no_sample_of_other_reports() -> None:
    with pytest.raises(ConfigError, match=r"short interest of 'US\.AAPL', only of HK\.00700, "):
        sample.frame("US.AAPL", what="short_interest")
    with pytest.raises(ConfigError, match="what must be one of short_volume, short_interest"):
        sample.frame("US.AAPL", what="rank")


def test_the_tool_builds_the_files_to_the_byte(tmp_path: Path) -> None:
    shutil.copy(SAMPLE / "aggregates.json", tmp_path)
    # On its own: it needs nothing but Python, the package neither.
    command = [sys.executable, "-I", "-S", str(TOOL), str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path)
    files = sorted(file for file in tmp_path.rglob("*") if file.is_file())
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "HK.SAMPLE.csv", "US.SAMPLE.csv", "aggregates.json", "short_interest/HK.SAMPLE.csv",
        "short_interest/US.SAMPLE.csv",
    ]  # fmt: skip
    for file in files:
        assert file.read_bytes() == (SAMPLE / file.relative_to(tmp_path)).read_bytes()


def test_every_file_is_accounted_for_and_synthetic_ones_are_called_so() -> None:
    lines = (SAMPLE / "README.md").read_text(encoding="utf-8").splitlines()
    for file in (*SAMPLE.rglob("*.csv"), SAMPLE / "aggregates.json"):
        name = file.relative_to(SAMPLE).as_posix()
        (line,) = [line for line in lines if line.startswith(f"| `{name}` |")]
        assert ("**Synthetic**" in line) == ("SAMPLE" in file.name)
    assert "`HK.SAMPLE`: **synthetic**" in "\n".join(lines)


def test_a_wheel_carries_every_file() -> None:
    config = configparser.ConfigParser()
    config.read(Path(__file__).parent.parent / "setup.cfg")
    patterns = config["options.package_data"]["intake_futu_short.sample"].split(", ")
    carried = {file for pattern in patterns for file in SAMPLE.glob(pattern)}
    files = {file for file in SAMPLE.rglob("*") if file.is_file() and file.suffix != ".pyc"}
    assert files - carried == set(SAMPLE.glob("*.py"))
    assert SAMPLE / "short_interest" / "US.SAMPLE.csv" in carried
