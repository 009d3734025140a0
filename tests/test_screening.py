"""``futu-short screen``, and what it reads of a store."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from command_line import at_a_terminal, futu_short
from store_rows import ticker

from intake_futu_short import FutuShortStore, sample, sync
from intake_futu_short.errors import ConfigError, PanelError, StoreError
from intake_futu_short.history.ticker_history import TickerHistory
from intake_futu_short.screening import recent_rows

if TYPE_CHECKING:
    from pathlib import Path

CODES = ["US.SAMPLE", "US.AAPL", "HK.SAMPLE", "HK.00700"]
ODD = "US.<X>&"


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that was synced from the sample gateway; nobody writes it."""
    place = tmp_path_factory.mktemp("synced")
    sync(CODES, place, gateway="sample://")
    return place


def keep(place: Path, code: str, rows: pd.DataFrame) -> None:
    """Store rows under a code."""
    history = rows.iloc[::-1].reset_index(drop=True).assign(first_seen=float("nan"))
    FutuShortStore(place).save(ticker(code), TickerHistory(history, True, checked_s=1.8e9))


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """A store of made-up US tickers, all of the same sessions but for what is said here."""
    rows = sample.frame("US.SAMPLE")
    keep(tmp_path, "US.A", rows)
    higher = rows.assign(total_shares_short=rows["total_shares_short"] * 2)
    keep(tmp_path, "US.B", higher.head(300))
    keep(tmp_path, "US.LAG", rows.iloc[3:400])
    keep(tmp_path, "US.HALTED", rows.drop(index=range(2, 70)))
    keep(tmp_path, "US.OLD", rows.iloc[100:])
    keep(tmp_path, "US.NEW", rows.head(5))
    keep(tmp_path, ODD, rows.head(90))
    return tmp_path


def file_of(place: Path, code: str) -> Path:
    (file,) = (path for path in place.rglob("*.parquet") if path.parent.name == f"code={code}")
    return file


def test_a_pipe_gets_every_metric_as_csv(market: Path) -> None:
    result = futu_short("screen", "--store", str(market))
    assert result.returncode == 0
    found = list(csv.reader(result.stdout.splitlines()))
    whole = FutuShortStore(market).read().shortvol.latest()
    whole = whole[whole["code"] != "US.OLD"]
    assert found[0] == whole.columns.tolist()
    assert [row[:2] for row in found[1:]] == [
        [code, f"{date:%Y-%m-%d}"] for code, date in zip(whole["code"], whole["date"], strict=True)
    ]
    # Every digit is that of the whole history.
    numbers = [[float(text or "nan") for text in row[2:]] for row in found[1:]]
    np.testing.assert_array_equal(numbers, whole.iloc[:, 2:].to_numpy(dtype=float))
    assert result.stderr == (
        "Left out, without a session since 2026-04-19: US.OLD (newest 2026-01-26).\n"
    )


def test_only_what_is_needed_is_read(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    read = FutuShortStore.read

    def watched(self: FutuShortStore, codes: list[str], **given: Any) -> pd.DataFrame:
        asked.append({"codes": codes, **given})
        return read(self, codes, **given)

    monkeypatch.setattr(FutuShortStore, "read", watched)
    recent = recent_rows(FutuShortStore(market), by="short_ratio_zscore_20")
    columns = [
        "total_shares_short", "nasdaq_shares_short", "volume", "close_price", "last_close_price",
    ]  # fmt: skip
    current = [ODD, "US.A", "US.B", "US.HALTED", "US.LAG", "US.NEW"]
    assert asked == [
        {"codes": current, "start": "2026-04-19", "columns": columns},
        # It has two rows since, and more before. US.NEW has no more.
        {"codes": ["US.HALTED"], "start": None, "columns": columns},
    ]
    counts = recent.rows["code"].value_counts().to_dict()
    assert counts == {"US.A": 43, "US.B": 43, ODD: 43, "US.LAG": 40, "US.HALTED": 21, "US.NEW": 5}
    assert recent.older == {"US.OLD": "2026-01-26"}
    assert (recent.since, recent.failures) == ("2026-04-19", {})

    asked.clear()
    recent_rows(FutuShortStore(market), by="short_percent", sessions=60)
    assert asked[0]["start"] == "2026-02-05"
    assert "short_percent" in asked[0]["columns"]
    asked.clear()
    recent_rows(FutuShortStore(market), by="short_ratio_mean_250")
    assert asked[0]["start"] == "2025-06-11"


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
@pytest.mark.parametrize(
    ("by", "first"),
    [
        ("sessions_behind", ["US.LAG", "2026-06-15", "3", "8.7"]),
        ("short_value", ["US.B", "2026-06-18", "859,434,144", "24.1"]),
        ("venue_share", ["US.LAG", "2026-06-15", "3", "0.7238"]),
        ("timestamp_str", ["US.<X>&", "2026-06-18", "2026-06-18", "12.0"]),
    ],
)
def test_a_person_sees_what_it_is_sorted_by(market: Path, by: str, first: list[str]) -> None:
    code, lines = at_a_terminal("screen", "--store", str(market), "--by", by)
    assert code == 0
    assert lines[5].split()[:4] == first
    heading = by.split("_")
    assert [word for line in lines[2:4] for word in line.split() if word in heading]


def test_what_the_rows_do_not_give_is_said(market: Path) -> None:
    result = futu_short("screen", "--store", str(market), "--by", "implied_shares")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: implied_shares of a US frame")


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
def test_a_person_gets_a_table(market: Path) -> None:
    code, lines = at_a_terminal(
        "screen", "--store", str(market), "--by", "short_ratio", "--top", "4"
    )
    assert code == 0
    assert lines == [
        "US, newest session 2026-06-18: 4 of 6 tickers, highest short_ratio first",
        "",
        "                       short  20-day   20-day  20-day",
        "ticker     session     ratio    mean  z-score   surge  volume   close",
        "                           %       %       sd       x      mn     USD",
        "US.B       2026-06-18   24.1    19.0     1.29    2.64    17.8  200.86",
        "US.<X>&    2026-06-18   12.0     9.5     1.29    2.64    17.8  200.86",
        "US.A       2026-06-18   12.0     9.5     1.29    2.64    17.8  200.86",
        "US.HALTED  2026-06-18   12.0     9.9     1.63    2.99    17.8  200.86",
        "Left out, without a session since 2026-04-19: US.OLD (newest 2026-01-26).",
    ]
    assert max(map(len, lines)) <= 80
    code, lines = at_a_terminal(
        "screen", "--store", str(market), "--by", "short_ratio_mean_3", "--ascending"
    )
    assert lines[0].endswith("6 of 6 tickers, lowest short_ratio_mean_3 first")
    assert lines[2:5] == [
        "                       sessions  3-day  short  20-day   20-day  20-day",
        "ticker     session       behind   mean  ratio    mean  z-score   surge  volume   close",
        "                                     %      %       %       sd       x      mn     USD",
    ]
    assert lines[5].startswith("US.LAG     2026-06-15 ")
    assert [line.split()[:3] for line in lines if " 3 " in line] == [["US.LAG", "2026-06-15", "3"]]


def test_both_markets_of_the_sample(synced: Path, tmp_path: Path) -> None:
    result = futu_short("screen", "--store", str(synced))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"Error: {synced} holds HK and US, whose columns differ: name the market, such as "
        "--market HK\n"
    )
    result = futu_short("screen", "--store", str(synced), "--market", "US")
    assert [line.split(",")[0] for line in result.stdout.splitlines()] == ["code", "US.SAMPLE"]
    assert result.stderr == (
        "Synthetic, there is no such security: US.SAMPLE.\n"
        "Left out, without a session since 2026-04-19: US.AAPL (newest 2024-10-11).\n"
    )
    result = futu_short("screen", "--store", str(synced), "--market", "HK", "--by", "turnover",
                        "--top", "all", "-o", "hk.json", cwd=tmp_path)  # fmt: skip
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.splitlines()[0] == (
        "hk.json: HK, newest session 2026-06-18: 2 of 2 tickers, highest turnover first"
    )
    rows = json.loads((tmp_path / "hk.json").read_text("utf-8"))
    assert [(row["code"], row["date"], row["sessions_behind"]) for row in rows] == [
        ("HK.SAMPLE", "2026-06-18", 0), ("HK.00700", "2026-05-08", 28),
    ]  # fmt: skip
    assert rows[0]["short_turnover_ratio"] == pytest.approx(0.11070701658290713)
    assert rows[1]["short_ratio"] is None


def test_html_is_a_page_with_lines_of_sixty_sessions(market: Path, tmp_path: Path) -> None:
    result = futu_short("screen", "--store", str(market), "-o", "screen.HTML", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.startswith("screen.HTML: US, newest session 2026-06-18: 6 of 6 tickers")
    page = (tmp_path / "screen.HTML").read_text("utf-8")
    assert "US.&lt;X&gt;&amp;" in page
    assert "<X>" not in page
    assert "US.OLD, newest stored session 2026-01-26" in page
    assert str(market) in page
    row = page.split('data-value="US.A"')[1]
    line = row.split('class="line" d="')[1].split('"')[0]
    assert line.count("L") == 59
    # The bands of all sixty sessions look back on rows that were read for them.
    band = row.split('class="band" d="')[1].split('"')[0]
    assert band.count("L") == 119
    # What is shown and what is left out does not depend on the form.
    lines = futu_short("screen", "--store", str(market)).stdout.splitlines()
    for code in (line.split(",")[0] for line in lines[1:]):
        assert code == ODD or f'data-value="{code}"' in page


def test_a_damaged_file_costs_its_ticker_alone(market: Path, tmp_path: Path) -> None:
    file = file_of(market, "US.B")
    content = file.read_bytes()
    broken = bytearray(content)
    broken[200] ^= 0xFF
    # One that shows when the rows are read, and one that shows before.
    for damaged in (bytes(broken), content[:-100]):
        file.write_bytes(damaged)
        result = futu_short("screen", "--store", str(market), "-o", "page.html", cwd=tmp_path)
        assert result.returncode == 3
        *_, left_out, error = result.stderr.splitlines()
        assert left_out.startswith("Left out")
        assert error.startswith("Error: ")
        assert "code=US.B/history.parquet" in error
        page = (tmp_path / "page.html").read_text("utf-8")
        assert "5 of 5" in page
        assert "1 ticker could not be read" in page
        recent = recent_rows(FutuShortStore(market))
        assert list(recent.failures) == ["US.B"]
        assert "US.B" not in set(recent.rows["code"])


def test_when_no_ticker_can_be_read(tmp_path: Path, synced: Path) -> None:
    place = tmp_path / "store"
    shutil.copytree(synced, place)
    for file in place.rglob("*.parquet"):
        file.write_bytes(b"damaged")
    result = futu_short("screen", "--store", str(place), "--market", "HK")
    assert (result.returncode, result.stdout) == (1, "")
    for line, code in zip(result.stderr.splitlines(), ("HK.00700", "HK.SAMPLE"), strict=True):
        assert line.startswith("Error: ")
        assert f"code={code}/" in line
    shutil.rmtree(place)
    shutil.copytree(synced, place)
    for file in place.rglob("*.parquet"):
        content = bytearray(file.read_bytes())
        content[200] ^= 0xFF
        file.write_bytes(content)
    # The ends of the files, which are all that is looked at first, are sound.
    assert len(FutuShortStore(place).info("HK")) == 2
    with pytest.raises(PanelError, match="2 of 2 tickers failed: HK"):
        recent_rows(FutuShortStore(place), "HK")


def test_when_nothing_is_kept(tmp_path: Path) -> None:
    result = futu_short("screen", "--store", str(tmp_path))
    assert (result.returncode, result.stdout) == (1, "")
    assert "no daily short volume is kept there" in result.stderr
    keep(tmp_path, "US.A", sample.frame("US.SAMPLE").iloc[:0])
    with pytest.raises(StoreError, match="there are no rows of any ticker"):
        recent_rows(FutuShortStore(tmp_path))
    result = futu_short("screen", "--store", str(tmp_path), "--market", "HK")
    assert "no daily short volume of HK is kept there" in result.stderr


def test_what_is_no_metric_is_known_before_rows_are_read(
    market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(FutuShortStore, "read")
    with pytest.raises(ConfigError, match="no column 'zscore'"):
        recent_rows(FutuShortStore(market), by="zscore")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--top", "0"], "'--top': '0' is neither a number of tickers (1 or more) nor 'all'"),
        (["--top", "some"], "'some' is neither a number of tickers"),
        (["-o", "screen.txt"], "'screen.txt' must end in .csv, .json or .html"),
        (["-o", "nowhere/screen.html"], "There is no directory 'nowhere'"),
        (["--market", "SH"], "Invalid value for '--market'"),
    ],
)
def test_a_wrong_command_line(market: Path, arguments: list[str], words: str) -> None:
    result = futu_short("screen", "--store", str(market), *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr


def test_one_ticker(tmp_path: Path) -> None:
    keep(tmp_path, "HK.00001", sample.frame("HK.SAMPLE").head(30))
    result = futu_short("screen", "--store", str(tmp_path), "-o", "one.csv", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "")
    found = pd.read_csv(tmp_path / "one.csv")
    assert found["code"].tolist() == ["HK.00001"]
    assert found["short_ratio_zscore_20"].round(4).tolist() == [0.0304]
