"""The rows behind ``sample://`` add up; everything is recomputed from the files' text."""

from __future__ import annotations

import configparser
import csv
import datetime as dt
import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

import intake_futu_short
from intake_futu_short import sample
from intake_futu_short.errors import ConfigError
from intake_futu_short.interest_source import FutuShortInterestSource
from intake_futu_short.sample import synthesize

SAMPLE = Path(intake_futu_short.__file__).parent / "sample"
ZONES = {"US": ZoneInfo("America/New_York"), "HK": ZoneInfo("Asia/Hong_Kong")}
WINDOW = 20

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
        ("HK.SAMPLE", 1500, "2026-06-18", "2020-05-15"),
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


def test_short_shares_are_a_plausible_part_of_the_volume() -> None:
    us = [Fraction(int(r["total_shares_short"]), int(r["volume"])) for r in read("US.SAMPLE")]
    hk = [
        Fraction(int(r["short_sell_shares_traded"]), int(r["shares_traded"]))
        for r in read("HK.SAMPLE")
    ]
    for ratios in (us, hk):
        assert Fraction("0.04") < min(ratios)
        assert max(ratios) <= Fraction("0.26")
        assert Fraction("0.10") < sorted(ratios)[len(ratios) // 2] < Fraction("0.15")


def test_hk_shares_are_lots_prices_ticks_and_amounts_within_the_sessions_range() -> None:
    for row in read("HK.SAMPLE"):
        shares, short = int(row["shares_traded"]), int(row["short_sell_shares_traded"])
        turnover, short_turnover = Fraction(row["turnover"]), Fraction(row["short_sell_turnover"])
        opening, close = Fraction(row["open_price"]), Fraction(row["close_price"])
        assert shares % 100 == short % 100 == 0
        assert 0 < short < shares
        assert 0 < short_turnover < turnover
        for price in (opening, close, Fraction(row["last_close_price"])):
            assert (price / Fraction("0.05")).denominator == 1
            assert 50 < price < 100
        # The low and the high, which the gateway does not send, are within half a dollar.
        low, high = min(opening, close) - Fraction("0.5"), max(opening, close) + Fraction("0.5")
        averages = [
            turnover / shares,
            short_turnover / short,
            (turnover - short_turnover) / (shares - short),
        ]
        assert all(low <= average <= high for average in averages)


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
    outstanding = synthesize.HK_SHARES_OUTSTANDING
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
        assert short % 100 == 0
        ratio = cut(Fraction(100 * short, synthesize.HK_SHARES_OUTSTANDING), 2)
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
        percent = cut(Fraction(100 * short, synthesize.US_FLOAT), 3)
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


def test_the_synthetic_files_are_made_again_to_the_byte() -> None:
    us_days, hk_days = days("US.SAMPLE")[::-1], days("HK.SAMPLE")[::-1]
    us, hk = synthesize.us_csv(us_days), synthesize.hk_csv(hk_days)
    for file, text in {
        "US.SAMPLE.csv": us,
        "HK.SAMPLE.csv": hk,
        "short_interest/US.SAMPLE.csv": synthesize.us_interest_csv(us_days, us),
        "short_interest/HK.SAMPLE.csv": synthesize.hk_interest_csv(hk_days, hk),
    }.items():
        assert text.encode() == (SAMPLE / file).read_bytes()
    written = json.loads((SAMPLE / "aggregates.json").read_text())
    assert synthesize.aggregates(hk_days) == written["HK.SAMPLE"]


def test_writing_them_keeps_the_documented_aggregates(tmp_path: Path) -> None:
    (tmp_path / "aggregates.json").write_bytes((SAMPLE / "aggregates.json").read_bytes())
    synthesize.write(tmp_path, days("US.SAMPLE")[::-1], days("HK.SAMPLE")[::-1])
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
