"""``futu-short rank``, and a rank as a watchlist."""

from __future__ import annotations

import csv
import json
import sys
import unicodedata
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from command_line import at_a_terminal, futu_short
from rank_gateway import FIELDS, RankGateway, Row, codes_of, make_rank
from second_rank import RANK_COUNTS, RankQuery
from second_rows import History, make_rows

from intake_futu_short import FutuShortCatalog, RankWarning
from intake_futu_short.errors import ConfigError, GatewayUnreachableError
from intake_futu_short.rank_requests import SORTS

if TYPE_CHECKING:
    from pathlib import Path

terminals = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
APPLE: Row = {
    "security": {"market": 11, "code": "AAPL"},
    "name": "Apple", "closePrice": 227.55, "changeRatio": -1.25, "volume": 42_123_456,
    "shortNumber": 9_876, "shortNumberChange": -12, "shortRatio": 23.456,
    "shortPositionVolume": 1_234_567_890, "shortPositionRatio": 0.8, "daysToCover": 2.0,
}  # fmt: skip
TENCENT: Row = {
    "security": {"market": 11, "code": "TCEHY"}, "name": "騰訊控股有限公司中華人民共和國",
    "volume": 999,
}  # fmt: skip


def test_a_pipe_gets_csv_with_every_column() -> None:
    rows = make_rank(40)
    with RankGateway(rows) as gateway:
        result = futu_short("rank", "--top", "36", "--gateway", gateway.url)
        assert gateway.rank_queries[0] == RankQuery(11, 4, 0, 0, 35, ())
        assert len(gateway.rank_queries) == 2
    assert (result.returncode, result.stderr) == (0, "")
    found = list(csv.DictReader(result.stdout.splitlines()))
    assert list(found[0]) == ["code", *FIELDS.values()]
    assert [row["code"] for row in found] == codes_of(rows)[:36]
    for sent, column in FIELDS.items():
        kind = str if sent == "name" else int if sent in RANK_COUNTS else float
        assert [kind(row[column]) for row in found] == [row[sent] for row in rows[:36]]


def test_what_is_asked_for_is_what_the_options_say() -> None:
    with RankGateway([APPLE]) as gateway:
        futu_short(
            "rank", "HK", "--by", "volume", "--top", "5", "--ascending",
            "--plate", "HK.BK1", "--plate", "HK.BK2", "--gateway", gateway.url,
        )  # fmt: skip
        assert gateway.rank_queries == [RankQuery(1, 5, 1, 0, 5, ("HK.BK1", "HK.BK2"))]


@terminals
def test_a_person_gets_a_table() -> None:
    with RankGateway([APPLE, TENCENT], all_count=4321) as gateway:
        code, lines = at_a_terminal("rank", "US", "--top", "2", "--gateway", gateway.url)
    assert code == 0
    assert lines[0].startswith("US, asked 20")
    assert lines[0].endswith(" UTC: 2 of 4,321 tickers, highest short_ratio first")
    assert lines[2].split() == ["change", "sold", "short", "open", "pos.", "days", "to"]
    assert lines[3].split() == [
        "ticker", "name", "close", "%", "volume", "short", "%", "pos.", "%", "cover",
    ]  # fmt: skip
    assert lines[4].split() == [
        "1", "US.AAPL", "Apple", "227.55", "-1.25", "42.1M", "9.9k", "23.46", "1.2B", "0.80",
        "2.00",
    ]  # fmt: skip
    assert lines[5].split() == [
        "2", "US.TCEHY", "騰訊控股有限公司…", "-", "-", "999", "-", "-", "-", "-", "-",
    ]  # fmt: skip
    assert len({places(line) for line in lines[3:6]}) == 1


@terminals
@pytest.mark.parametrize("by", ["short_ratio", "short_number_change", "week_avg_short_number"])
def test_the_table_fits_a_hundred_columns(by: str) -> None:
    rows = [
        {
            **row,
            "name": "A very long name of a very old company",
            "closePrice": 745_000.0,
            "changeRatio": -99.99,
        }
        for row in make_rank(100, missing=0.2)
    ]
    with RankGateway(rows) as gateway:
        code, lines = at_a_terminal("rank", "--by", by, "--top", "100", "--gateway", gateway.url)
    assert (code, len(lines)) == (0, 2 + 2 + 100)
    assert max(map(places, lines)) <= 100


def places(line: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in line)


@terminals
def test_tickers_of_the_sample_are_called_synthetic() -> None:
    made_up = {"security": {"market": 1, "code": "SAMPLE"}, "shortRatio": 10.0}
    with RankGateway([made_up]) as gateway:
        code, lines = at_a_terminal("rank", "HK", "--gateway", gateway.url)
    assert code == 0
    assert lines[-1] == "Synthetic, there is no such security: HK.SAMPLE."


@terminals
def test_nothing_is_a_table_of_headings() -> None:
    with RankGateway([]) as gateway:
        code, lines = at_a_terminal("rank", "--by", "position_ratio", "--gateway", gateway.url)
    assert code == 1
    assert lines[-1] == "The gateway's rank is empty."
    assert "0 of 0 tickers" in lines[0]
    assert lines[3].split()[:2] == ["ticker", "name"]


def test_files_hold_the_same(tmp_path: Path) -> None:
    with RankGateway([APPLE, TENCENT]) as gateway:
        for name in ("rank.csv", "rank.json", "rank.parquet"):
            result = futu_short("rank", "--gateway", gateway.url, "-o", str(tmp_path / name))
            assert (result.returncode, result.stdout) == (0, "")
            assert result.stderr.startswith(f"{tmp_path / name}: US, asked 20")
    assert json.loads((tmp_path / "rank.json").read_text())[1]["close_price"] is None
    assert pd.read_csv(tmp_path / "rank.csv")["name"].tolist() == [APPLE["name"], TENCENT["name"]]
    frame = pd.read_parquet(tmp_path / "rank.parquet")
    assert frame["volume"].tolist() == [42_123_456, 999]
    assert frame.attrs["sort"] == "short_ratio"
    result = futu_short("rank", "-o", str(tmp_path / "rank.xls"))
    assert (result.returncode, "must end in .csv" in result.stderr) == (2, True)


def test_what_cannot_be_is_one_line() -> None:
    result = futu_short("rank", "--by", "short_rato")
    assert result.returncode == 2
    assert "Invalid value for '--by': 'short_rato' is not one of 'short_number" in result.stderr
    assert result.stderr.endswith("Did you mean 'short_ratio'?\n")
    said = " ".join(futu_short("rank", "-h").stdout.replace("|", " ").split())
    assert " ".join(SORTS) in said
    assert futu_short("rank", "SH").returncode == 2
    assert futu_short("rank", "--top", "0").returncode == 2


def moving(rows: list[Row], times: int) -> list[Row]:
    return [{"security": {"market": 11, "code": f"NEW{times}"}}, *rows]


def test_a_list_that_moved_is_told_in_a_line() -> None:
    with RankGateway(make_rank(60), all_count=60, shift=moving) as gateway:
        result = futu_short("rank", "--top", "60", "--gateway", gateway.url)
    assert (result.returncode, len(result.stdout.splitlines())) == (0, 1 + 59)
    assert result.stderr.startswith("Note: US short-selling rank: 1 row came twice")
    assert len(result.stderr.splitlines()) == 1


# -- as a watchlist --------------------------------------------------------------------------------


def listed(number: int) -> RankGateway:
    """A gateway whose rank has tickers that it has short volume of."""
    rows = make_rank(number)
    history = History("US", make_rows("US", 3))
    return RankGateway(rows, histories=dict.fromkeys(codes_of(rows), history))


def test_a_catalogs_watchlist_asks_the_entries_gateway_when_an_entry_is_wanted() -> None:
    url = "rank://US?sort=days_to_cover&rows=3&descending=false"
    with listed(5) as gateway:
        catalog = FutuShortCatalog(watchlist=url, gateway=gateway.url, timeout=5)
        assert url in catalog.yaml()
        assert gateway.connections == 0
        assert list(catalog) == ["US.T0", "US.T1", "US.T2", "US"]
        assert gateway.rank_queries == [RankQuery(11, 8, 1, 0, 3, ())]
        with catalog["US"] as panel:
            assert panel.read()["code"].unique().tolist() == ["US.T0", "US.T1", "US.T2"]
        assert len(gateway.rank_queries) == 1
        gateway.rows = gateway.rows[1:]
        catalog.reload()
        assert list(catalog) == ["US.T1", "US.T2", "US.T3", "US"]
        again = catalog.configure_new()
        assert list(again) == list(catalog)


def test_a_catalogs_watchlist_warns_of_what_may_be_missing() -> None:
    with RankGateway(make_rank(60), all_count=60, shift=moving) as gateway:
        catalog = FutuShortCatalog(watchlist="rank://US?rows=60", gateway=gateway.url)
        with pytest.warns(RankWarning, match="1 row came twice"):
            assert len(catalog) == 59 + 1


def test_a_rank_that_cannot_be_asked_for_is_an_error_of_its_own() -> None:
    with RankGateway([]) as gateway:
        catalog = FutuShortCatalog(watchlist="rank://HK", gateway=gateway.url)
        with pytest.raises(ConfigError, match="watchlist rank://HK holds no codes"):
            list(catalog)
    with pytest.raises(GatewayUnreachableError, match="short-selling rank"):
        list(catalog)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"watchlist": "rank://XX"}, r"watchlist 'rank://XX': market must be one of US, HK"),
        ({"watchlist": "rank://US?top=3"}, "an unknown option: 'top'"),
        ({"watchlist": "rank://US", "gateway": "nowhere"}, "gateway 'nowhere' has no scheme"),
        (
            {"watchlist": "rank://US", "store": "memory://s", "refresh": "never"},
            "asks a gateway, and refresh='never' asks none",
        ),
    ],
)
def test_a_watchlist_that_cannot_be_is_refused_when_the_catalog_is_made(
    given: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        FutuShortCatalog(**given)  # type: ignore[arg-type]  # any of them


def test_a_sync_asks_its_own_gateway_for_the_rank(tmp_path: Path) -> None:
    with listed(4) as gateway:
        result = futu_short(
            "sync", "--watchlist", "rank://US?rows=2", "--store", str(tmp_path),
            "--gateway", gateway.url,
        )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    found = list(csv.DictReader(result.stdout.splitlines()))
    assert [(row["code"], row["rows"]) for row in found] == [("US.T0", "3"), ("US.T1", "3")]
    result = futu_short("sync", "--watchlist", "rank://US?rows=x", "--store", str(tmp_path))
    assert result.returncode == 2
    assert result.stderr.startswith("Error: watchlist 'rank://US?rows=x': rows must be")
