"""Whether what a store keeps is sound, complete and adds up; and the command that says so."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest
from command_line import at_a_terminal, futu_short
from store_rows import TENCENT_FILE, ticker

from intake_futu_short import FutuShortStore, sample
from intake_futu_short.errors import ConfigError, StoreError
from intake_futu_short.history.ticker_history import TickerHistory
from intake_futu_short.schema import dtypes
from intake_futu_short.verifying import verify

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


def rows(code: str, like: str) -> pd.DataFrame:
    """Rows of the sample, as a store keeps those of `code`."""
    frame = sample.frame(like).iloc[::-1].reset_index(drop=True)
    frame.attrs.clear()
    return frame.astype(dtypes(ticker(code).table)).assign(first_seen=float("nan"))


@pytest.fixture
def store(tmp_path: Path) -> FutuShortStore:
    """Three tickers that are sound, of which two add up and one is not complete."""
    store = FutuShortStore(tmp_path / "kept")
    store.save(ticker("HK.00700"), TickerHistory(rows("HK.00700", "HK.SAMPLE"), True))
    store.save(ticker("US.AAPL"), TickerHistory(rows("US.AAPL", "US.AAPL"), cursor="c"))
    odd = rows("US.B", "US.AAPL")
    odd.loc[[3, 4, 5, 6], "nasdaq_shares_short"] += 1
    odd["first_seen"] = 1781600000.5
    odd["timestamp"] = odd["timestamp"].where(odd.index != 3, 0)
    store.save(ticker("US.B"), TickerHistory(odd, True))
    return store


PROBLEM = (
    "2024-09-06 timestamp 0, computed 1725595200; 2024-09-06 total_shares_short 4701447, computed "
    "4701448; 2024-09-09 total_shares_short 8533429, computed 8533430; and 2 more"
)


def test_rows_without_values_are_said_to_have_nothing_to_check(tmp_path: Path) -> None:
    store = FutuShortStore(tmp_path / "kept")
    store.save(ticker("HK.00700"), TickerHistory(rows("HK.00700", "HK.00700"), True))
    (problem,) = verify(store)["problem"]
    assert problem == "nothing to check: no values to compare in any of 10 rows"


def test_a_row_a_ticker_says_whether_it_is_sound_complete_and_adds_up(
    store: FutuShortStore,
) -> None:
    found = verify(store)
    assert found.dtypes.astype(str).drop(["code", "problem"]).to_dict() == {
        "sound": "bool", "complete": "boolean", "rows": "Int64", "findings": "Int64",
    }  # fmt: skip
    assert found.drop(columns="problem").to_dict("list") == {
        "code": ["HK.00700", "US.AAPL", "US.B"],
        "sound": [True, True, True],
        "complete": [True, False, True],
        "rows": [1500, 29, 29],
        "findings": [0, 0, 5],
    }
    assert found["problem"].isna().tolist() == [True, True, False]
    assert found["problem"].iloc[2] == PROBLEM


def test_a_damaged_file_costs_its_ticker_only(store: FutuShortStore, tmp_path: Path) -> None:
    file = tmp_path / "kept" / TENCENT_FILE
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    found = verify(store)
    assert found["sound"].tolist() == [False, True, True]
    assert found.loc[0, ["complete", "rows", "findings"]].isna().all()
    assert "code=HK.00700" in found["problem"].iloc[0]


def test_codes_are_verified_in_their_order_and_one_that_is_not_kept_is_told(
    store: FutuShortStore,
) -> None:
    found = verify(store, ["US.B", "US.NONE", "US.AAPL"])
    assert found["code"].tolist() == ["US.B", "US.NONE", "US.AAPL"]
    assert found["sound"].tolist() == [True, False, True]
    assert found["problem"].iloc[1] == f"{store.url} holds nothing of US.NONE"
    assert verify(store, "US.B")["code"].tolist() == ["US.B"]
    assert verify(store, market="HK")["code"].tolist() == ["HK.00700"]
    assert verify(store, ["US.B"], market="US")["findings"].tolist() == [5]


def test_rows_that_cannot_be_checked_are_told(store: FutuShortStore) -> None:
    never = rows("US.C", "US.AAPL")
    never.loc[28, "timestamp_str"] = "9999-12-31"
    store.save(ticker("US.C"), TickerHistory(never, True))
    found = verify(store, "US.C")
    assert found[["sound", "complete", "rows"]].to_numpy().tolist() == [[True, True, 29]]
    assert found["findings"].isna().all()
    assert str(found["problem"].iloc[0]).startswith(
        "its rows cannot be checked: timestamp_str holds"
    )


def test_what_cannot_be_verified_is_an_error(store: FutuShortStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no daily short volume is kept there"):
        verify(FutuShortStore(tmp_path / "typo"))
    with pytest.raises(StoreError, match="no daily short volume is kept there"):
        verify(FutuShortStore(tmp_path / "typo"), ["HK.00700"])
    with pytest.raises(ConfigError, match="market must be one of"):
        verify(store, market="SH")
    for codes, market in [([], None), (["HK.00700"], "US")]:
        with pytest.raises(ConfigError, match="codes must name at least one ticker of"):
            verify(store, codes, market)


# --- the command


def test_the_command_gives_csv_in_a_pipe(store: FutuShortStore, tmp_path: Path) -> None:
    result = futu_short("check", "--store", "kept", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    table = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["code"] for row in table] == ["HK.00700", "US.AAPL", "US.B"]
    assert table[2] == {
        "code": "US.B", "sound": "True", "complete": "True", "rows": "29", "findings": "5",
        "problem": PROBLEM,
    }  # fmt: skip
    one = futu_short("check", "--store", store.url, "US.AAPL")
    assert one.stdout.splitlines()[1:] == ["US.AAPL,True,False,29,0,"]


def test_the_command_gives_a_table_to_a_person(store: FutuShortStore, tmp_path: Path) -> None:
    code, lines = at_a_terminal("check", "--store", store.url, cwd=tmp_path)
    assert code == 0
    assert lines[0].split() == ["code", "sound", "complete", "rows", "findings"]
    assert lines[1].split() == ["HK.00700", "yes", "yes", "1,500", "0"]
    assert lines[-1] == f"US.B: {PROBLEM}"


def test_the_commands_exit_code_tells_of_a_file_that_is_not_sound(
    store: FutuShortStore, tmp_path: Path
) -> None:
    (tmp_path / "kept" / TENCENT_FILE).write_bytes(b"damaged")
    result = futu_short("check", "--store", "kept", cwd=tmp_path)
    assert result.returncode == 3
    damaged, *others = csv.DictReader(io.StringIO(result.stdout))
    assert (damaged["code"], damaged["sound"], damaged["rows"]) == ("HK.00700", "False", "")
    assert "code=HK.00700" in damaged["problem"]
    assert [row["sound"] for row in others] == ["True", "True"]
    code, lines = at_a_terminal("check", "--store", "kept", "HK.00700", cwd=tmp_path)
    assert code == 3
    assert lines[1].split() == ["HK.00700", "no", "-", "-", "-"]


def test_the_command_says_that_nothing_is_kept(tmp_path: Path) -> None:
    result = futu_short("check", "--store", "typo", cwd=tmp_path)
    assert result.returncode == 1
    assert "no daily short volume is kept there" in result.stderr
    assert futu_short("check", cwd=tmp_path).returncode == 2
    assert not (tmp_path / "typo").exists()
