"""``futu-short read``: which rows are written, and what metrics look back at."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from command_line import futu_short

from intake_futu_short.cli import frame_output
from intake_futu_short.gateway import Gateway, sample_histories

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.compat

WINDOWED = [
    f"{name}_{n}"
    for n in (5, 20)
    for name in (
        "short_ratio_mean", "pooled_short_ratio", "short_ratio_zscore", "abnormal_short_ratio",
        "short_volume_surge", "short_ratio_rank",
    )
]  # fmt: skip


def lines(*arguments: str, gateway: str = "sample://", cwd: Path | None = None) -> list[str]:
    result = futu_short("read", *arguments, "--gateway", gateway, cwd=cwd)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


def days(written: list[str]) -> list[str]:
    return [row["timestamp_str"] for row in csv.DictReader(written)]


@pytest.mark.parametrize("code", ["US.SAMPLE", "HK.SAMPLE"])
def test_metrics_from_a_day_on_are_those_of_the_whole_history(code: str) -> None:
    header, *whole = lines(code, "--metrics")
    again, *shown = lines(code, "--start", "20260520", "--metrics")
    assert again == header
    assert len(shown) == 21
    assert shown == whole[:21]
    for row in csv.DictReader([again, *shown]):
        assert row["timestamp_str"] >= "2026-05-20"
        assert all(row[name] for name in WINDOWED)


def test_what_metrics_look_back_at_is_asked_for_and_no_more() -> None:
    with Gateway(sample_histories()) as gateway:
        start = ("US.AAPL", "--start", "2024-10-01", "--num", "10")
        assert len(lines(*start, gateway=gateway.url)) == 1 + 9
        assert len(gateway.requests) == 1
        shown = lines(*start, "--metrics", gateway=gateway.url)
        # 9 rows and the 20 before them are all 29 that there are: three pages.
        assert len(gateway.requests) == 1 + 3
    assert days(shown) == [
        "2024-10-11", "2024-10-10", "2024-10-09", "2024-10-08", "2024-10-07", "2024-10-04",
        "2024-10-03", "2024-10-02", "2024-10-01",
    ]  # fmt: skip
    first = list(csv.DictReader(shown))[-1]
    assert all(first[name] for name in WINDOWED)


def test_each_ticker_of_a_panel_looks_back_at_its_own_rows(tmp_path: Path) -> None:
    panel = ("US.AAPL", "US.SAMPLE", "--end", "2024-10-11", "--metrics")
    header, *whole = lines(*panel)
    _, *shown = lines(*panel, "--start", "2024-10-05", cwd=tmp_path)
    wanted = [line for line in whole if line.split(",")[2] >= "2024-10-05"]
    assert shown == wanted
    assert len(shown) == 2 * 5
    assert header.startswith("code,timestamp,timestamp_str,")


def test_a_file_holds_the_rows_asked_for_alone(tmp_path: Path) -> None:
    result = futu_short(
        "read", "US.AAPL", "--gateway", "sample://", "--start", "2024-10-08", "--metrics",
        "-o", "rows.parquet", cwd=tmp_path,
    )  # fmt: skip
    assert result.stderr == "rows.parquet: 4 rows, 2024-10-08 to 2024-10-11\n"
    frame = pd.read_parquet(tmp_path / "rows.parquet")
    assert frame.index.equals(pd.RangeIndex(4))
    assert "start" not in frame.attrs  # there is nothing before it


@pytest.mark.parametrize("last", ["all", "500"])
def test_all_rows_are_written_where_there_are_no_more(last: str) -> None:
    assert len(lines("US.AAPL", "--last", last)) == 1 + 29


def test_the_newest_of_each_ticker_are_counted_after_start_and_end() -> None:
    panel = ("US.AAPL", "US.SAMPLE", "--start", "2024-10-01", "--end", "2024-10-04")
    assert days(lines(*panel, "--last", "2")) == ["2024-10-04", "2024-10-03"] * 2
    header, *shown = lines("US.AAPL", "--last", "1", "--metrics")
    assert shown == lines("US.AAPL", "--metrics")[1:2]
    assert days([header, *shown]) == ["2024-10-11"]


@pytest.mark.parametrize("last", ["0", "-3", "many", "1.5", ""])
def test_other_numbers_of_days_are_refused(last: str) -> None:
    result = futu_short("read", "US.AAPL", "--gateway", "sample://", "--last", last)
    assert (result.returncode, result.stdout) == (2, "")
    assert "is neither a number of sessions" in result.stderr


def test_a_store_of_then_is_looked_back_at_too(tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "kept"))
    futu_short("sync", "US.AAPL", *store, "--gateway", "sample://")
    past = ("read", "US.AAPL", *store, "--as-of", "2099-01-01", "--metrics")
    whole = futu_short(*past).stdout.splitlines()
    shown = futu_short(*past, "--start", "2024/10/09").stdout.splitlines()
    assert days(shown) == ["2024-10-11", "2024-10-10", "2024-10-09"]
    assert shown == whole[:4]
    refused = futu_short(*past, "--start", "2024-10-09", "--end", "2024-10-08")
    assert refused.returncode == 2
    assert "--start (2024-10-09) is after --end (2024-10-08)" in refused.stderr


def test_an_empty_start_is_none() -> None:
    assert len(lines("US.AAPL", "--start", "", "--metrics")) == 1 + 29


def test_days_in_other_forms_are_refused_with_the_accepted_ones() -> None:
    result = futu_short("read", "US.AAPL", "--gateway", "sample://", "--start", "10/01/2024")
    assert (result.returncode, result.stdout) == (2, "")
    assert "2026-01-02, 20260102 or 2026/01/02" in result.stderr


def test_the_newest_rows_are_kept_in_their_order() -> None:
    frame = pd.DataFrame(
        {
            "code": ["US.B", "US.A", "US.B", "US.A", "US.B"],
            "timestamp_str": [
                "2026-01-02", "2026-01-05", "2026-01-06", "2026-01-02", "2026-01-05",
            ],
        }
    )  # fmt: skip
    frame.attrs["start"] = "2026-01-05"
    kept = frame_output.cut(frame, None, 1)
    assert kept.to_numpy().tolist() == [["US.A", "2026-01-05"], ["US.B", "2026-01-06"]]
    assert kept.index.equals(pd.RangeIndex(2))
    assert kept.attrs == {"start": "2026-01-05"}
    cut = frame_output.cut(frame, "2026-01-05", None)
    assert cut["timestamp_str"].tolist() == ["2026-01-05", "2026-01-06", "2026-01-05"]
    assert cut.attrs == {}
    assert frame.attrs == {"start": "2026-01-05"}
