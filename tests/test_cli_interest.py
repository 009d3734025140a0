"""The command line over the reports of open positions."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from command_line import at_a_terminal, futu_short

from intake_futu_short import FutuShortStore
from intake_futu_short.cli import main
from intake_futu_short.gateway import sample_gateway

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

INTEREST = ("--what", "short_interest")
COLUMNS = [
    "timestamp", "timestamp_str", "aggregated_short", "aggregated_short_ratio", "close_price",
    "last_close_price", "published",
]  # fmt: skip


def table(result: CompletedProcess[str]) -> list[dict[str, str]]:
    assert (result.returncode, result.stderr) == (0, "")
    return list(csv.DictReader(result.stdout.splitlines()))


@pytest.fixture
def kept(tmp_path: Path) -> str:
    """A store with both series of a ticker."""
    for what in ("short_volume", "short_interest"):
        with sample_gateway() as gateway:
            sync = ("sync", "HK.00700", "--store", "kept", "--what", what)
            (done,) = table(futu_short(*sync, "--gateway", gateway.url, cwd=tmp_path))
            assert (done["rows"], done["complete"]) == ("10", "True")
            assert len(gateway.requests) == 1
    return str(tmp_path / "kept")


def test_reports_are_read_with_the_day_of_their_publication() -> None:
    pytest.importorskip("exchange_calendars")
    read = ("read", "HK.00700", "--gateway", "sample://", *INTEREST)
    rows = table(futu_short(*read))
    assert len(rows) == 10
    assert list(rows[0]) == COLUMNS
    assert rows[0]["timestamp_str"] == "2026-04-30"
    assert rows[0]["aggregated_short"] == "51480638"
    assert rows[0]["published"] == "2026-05-08"
    (first,) = json.loads(futu_short(*read, "--last", "1", "--format", "json").stdout)
    assert first["published"] == "2026-05-08"
    assert futu_short(*read, "--last", "1", "--format", "table").stdout.startswith(
        "1 row, 2026-04-30 to 2026-04-30\n"
    )


def test_last_counts_reports_and_start_is_an_as_of_day(tmp_path: Path) -> None:
    read = ("read", "HK.00700", "--gateway", "sample://", *INTEREST)
    assert [row["timestamp_str"] for row in table(futu_short(*read, "--last", "2"))] == [
        "2026-04-30", "2026-04-24",
    ]  # fmt: skip
    since = futu_short(*read, "--start", "2026-04-24", "-o", "rows.parquet", cwd=tmp_path)
    assert since.stderr == "rows.parquet: 2 rows, 2026-04-24 to 2026-04-30\n"
    frame = pd.read_parquet(tmp_path / "rows.parquet")
    assert str(frame["published"].dtype).startswith("datetime64[")
    none = futu_short(*read, "--end", "2000-01-01", "--format", "json")
    assert none.stdout == "[]\n"
    assert futu_short(*read, "--end", "2000-01-01").stdout == ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["read", "HK.00700", *INTEREST, "--metrics"], "--metrics are of short_volume, not of"),
        (["read", "HK.00700", "--what", "interest"], "short_volume"),
        (["screen", "--store", "kept", *INTEREST], "--what"),
        (["plot", "HK.00700", "-o", "figure.png", *INTEREST], "--what"),
        (["doctor", *INTEREST], "--what"),
    ],
)
def test_what_makes_no_sense_of_reports_is_a_wrong_command_line(
    arguments: list[str], says: str
) -> None:
    result = futu_short(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert says in result.stderr


def test_a_store_of_both_series_is_read_checked_and_set_aside_by_series(kept: str) -> None:
    store = ("--store", kept)
    offline = ("read", "HK.00700", *store, "--refresh", "never")
    assert list(table(futu_short(*offline, *INTEREST))[0]) == COLUMNS
    assert "turnover" in table(futu_short(*offline))[0]
    then = ("read", "HK.00700", *store, "--as-of", "2026-04-30", *INTEREST)
    # The report as of April 24 came out after the holiday of May 1.
    assert table(futu_short(*then))[0]["timestamp_str"] == "2026-04-17"

    (checked,) = table(futu_short("check", *store, *INTEREST))
    assert checked == {
        "code": "HK.00700", "sound": "True", "complete": "True", "rows": "10", "findings": "",
        "problem": "",
    }  # fmt: skip
    moved = futu_short("set-aside", "HK.00700", *store, *INTEREST)
    assert moved.stdout.startswith(f"{kept}/aside/short_interest/market=HK/code=HK.00700/")
    assert FutuShortStore(kept).codes(what="short_interest") == []
    assert FutuShortStore(kept).codes() == ["HK.00700"]
    assert len(table(futu_short("read", "HK.00700", *store, "--aside", *INTEREST))) == 10
    nothing = futu_short("check", *store, *INTEREST)
    assert nothing.returncode == 1
    assert "no short interest is kept there" in nothing.stderr


def test_a_sync_soon_after_another_asks_for_nothing(kept: str) -> None:
    with sample_gateway() as gateway:
        sync = ("sync", "HK.00700", "--store", kept, "--gateway", gateway.url, *INTEREST)
        (done,) = table(futu_short(*sync))
        assert (done["requests"], done["rows"]) == ("0", "10")
        assert gateway.requests == []


def test_at_a_terminal_reports_are_a_table(tmp_path: Path) -> None:
    code, lines = at_a_terminal(
        "read", "HK.00700", "--gateway", "sample://", *INTEREST, cwd=tmp_path
    )
    assert code == 0
    assert lines[0] == "10 rows, 2026-02-27 to 2026-04-30"
    assert lines[2].split() == COLUMNS[1:]


def test_help_names_the_series() -> None:
    for name in ("read", "sync", "info", "check", "set-aside"):
        said = futu_short(name, "-h").stdout
        assert "--what [short_volume|short_interest]" in said
        assert "default:" in said
    assert {name for name in main.commands if "what" in {p.name for p in main.commands[name].params}
            } == {"read", "sync", "info", "check", "set-aside"}  # fmt: skip
