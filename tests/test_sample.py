"""The rows behind ``sample://`` add up; everything is recomputed from the files' text."""

from __future__ import annotations

import csv
import datetime as dt
import json
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import intake_futu_short
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


def test_the_synthetic_files_are_made_again_to_the_byte() -> None:
    us_days, hk_days = days("US.SAMPLE")[::-1], days("HK.SAMPLE")[::-1]
    assert synthesize.us_csv(us_days).encode() == (SAMPLE / "US.SAMPLE.csv").read_bytes()
    assert synthesize.hk_csv(hk_days).encode() == (SAMPLE / "HK.SAMPLE.csv").read_bytes()
    written = json.loads((SAMPLE / "aggregates.json").read_text())
    assert synthesize.aggregates(hk_days) == written["HK.SAMPLE"]


def test_writing_them_keeps_the_documented_aggregates(tmp_path: Path) -> None:
    (tmp_path / "aggregates.json").write_bytes((SAMPLE / "aggregates.json").read_bytes())
    synthesize.write(tmp_path, days("US.SAMPLE")[::-1], days("HK.SAMPLE")[::-1])
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "HK.SAMPLE.csv", "US.SAMPLE.csv", "aggregates.json",
    ]  # fmt: skip
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (SAMPLE / file.name).read_bytes()


def test_every_file_is_accounted_for_and_synthetic_ones_are_called_so() -> None:
    lines = (SAMPLE / "README.md").read_text(encoding="utf-8").splitlines()
    for file in (*SAMPLE.glob("*.csv"), SAMPLE / "aggregates.json"):
        (line,) = [line for line in lines if line.startswith(f"| `{file.name}` |")]
        assert ("**Synthetic**" in line) == ("SAMPLE" in file.name)
    assert "`HK.SAMPLE`: **synthetic**" in "\n".join(lines)
