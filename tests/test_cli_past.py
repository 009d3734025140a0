"""The command line over what a store knew before, and over a code that changed hands."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest
from command_line import futu_short

from intake_futu_short import FutuShortStore
from intake_futu_short.gateway import Gateway, History
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess


X = Security.parse("US.X")


def rows(first: int, last: int) -> list[dict[str, int | float | str | None]]:
    days = [f"2026-01-{day:02}" for day in range(first, last + 1)]
    return [
        {"timestamp_str": day, "total_shares_short": 100, "volume": 1000, "close_price": 5.0}
        for day in reversed(days)
    ]


def table(result: CompletedProcess[str]) -> list[dict[str, str]]:
    assert (result.returncode, result.stderr) == (0, "")
    return list(csv.DictReader(result.stdout.splitlines()))


@pytest.fixture
def reused(tmp_path: Path) -> str:
    """A store of a code that belongs to another security by now; URL of its gateway's port."""
    with Gateway({"US.X": History(X, rows(5, 9))}) as gateway:
        table(futu_short("sync", "US.X", "--store", "kept", "--gateway", gateway.url, cwd=tmp_path))
    return str(tmp_path / "kept")


def test_a_code_of_another_security_is_not_joined_until_the_user_says_so(
    reused: str, tmp_path: Path
) -> None:
    before = FutuShortStore(reused).read()
    with Gateway({"US.X": History(X, rows(12, 16))}) as gateway:
        sync = ("sync", "US.X", "--store", reused, "--gateway", gateway.url)
        failed = futu_short(*sync, "--refresh", "always")
        (line,) = csv.DictReader(failed.stdout.splitlines())
        assert failed.returncode == 1
        for words in (
            "2026-01-05", "2026-01-09", "2026-01-12", "2026-01-16",
            "futu-short set-aside US.X --store",
        ):  # fmt: skip
            assert words in line["error"]
        assert FutuShortStore(reused).read().equals(before)

        moved = futu_short("set-aside", "US.X", "--store", reused)
        assert (moved.returncode, moved.stderr) == (0, "")
        assert moved.stdout.endswith("/code=US.X/2026-01-05_2026-01-09.parquet\n")
        (synced,) = table(futu_short(*sync))
        assert (synced["rows"], synced["complete"]) == ("5", "True")
    then = table(futu_short("read", "US.X", "--store", reused, "--aside"))
    assert [row["timestamp_str"][-2:] for row in then] == ["09", "08", "07", "06", "05"]
    now = table(futu_short("read", "US.X", "--store", reused, "--refresh", "never"))
    assert [row["timestamp_str"][-2:] for row in now] == ["16", "15", "14", "13", "12"]


def test_rows_are_those_of_a_moment(reused: str) -> None:
    then = table(
        futu_short("read", "US.X", "--store", reused, "--as-of", "2026-01-06", "--metrics")
    )
    assert [row["timestamp_str"][-2:] for row in then] == ["06", "05"]
    assert then[0]["short_ratio"] == "0.1"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--as-of", "2026-01-06"], 2, "name it with --store"),
        (["--aside", "--store", "kept", "--refresh", "full"], 2, "--refresh is for a gateway"),
        (["--aside", "--store", "kept", "--max-pages", "1"], 2, "--max-pages is for a gateway"),
        (["--as-of", "2026-01-06 10:00", "--store", "kept"], 2, "has no zone"),
    ],
)
def test_what_cannot_be_is_said(
    arguments: list[str], code: int, words: str, tmp_path: Path
) -> None:
    result = futu_short("read", "US.X", *arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (code, "")
    assert words in result.stderr
