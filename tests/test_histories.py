from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from intake_futu_short.calls import SHORT_INTEREST
from intake_futu_short.errors import ConfigError, StoreError
from intake_futu_short.gateway.histories import (
    History,
    read_histories,
    sample_directory,
    sample_histories,
)
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "timestamp_str,volume,close_price\n2026-06-18,7,1.5\n"


def test_files_are_read_by_code_and_served_newest_first(tmp_path: Path) -> None:
    (tmp_path / "US.BRK.B.csv").write_text(
        "timestamp_str,volume,close_price\n2026-06-16,1,0.1\n2026-06-18,3,\n2026-06-17,,2e3\n"
    )
    (tmp_path / "HK.00005.csv").write_text("timestamp,turnover\n1777478400,8\n")
    (tmp_path / "aggregates.json").write_text('{"HK.00005": {"aggregated_short": 5}}')
    (tmp_path / "notes.txt").write_text("not a history")
    histories = read_histories(str(tmp_path))
    assert sorted(histories) == ["HK.00005", "US.BRK.B"]
    assert histories["US.BRK.B"].security == Security.parse("US.BRK.B")
    assert histories["US.BRK.B"].days == ("2026-06-18", "2026-06-17", "2026-06-16")
    assert histories["US.BRK.B"].rows == (
        {"timestamp_str": "2026-06-18", "volume": 3},
        {"timestamp_str": "2026-06-17", "close_price": 2000.0},
        {"timestamp_str": "2026-06-16", "volume": 1, "close_price": 0.1},
    )
    assert histories["HK.00005"].days == ("2026-04-30",)
    assert histories["HK.00005"].aggregated_short == 5
    assert histories["HK.00005"].aggregated_short_ratio is None


def test_files_of_a_spreadsheet_are_read(tmp_path: Path) -> None:
    text = '\ufefftimestamp_str,volume\r\n"2026-06-18","7"\r\n\r\n'
    (tmp_path / "US.A.csv").write_bytes(text.encode())
    assert read_histories(tmp_path)["US.A"].rows == ({"timestamp_str": "2026-06-18", "volume": 7},)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("AAPL.csv", GOOD, "The market prefix is missing"),
        ("SH.600000.csv", GOOD, "markets US and HK only"),
        ("US.A.csv", "", "the first line must name columns"),
        ("US.A.csv", "timestamp_str,shares\n", "the first line must name columns"),
        ("US.A.csv", "timestamp_str,volume,volume\n", "the first line must name columns"),
        ("HK.A.csv", GOOD, "the first line must name columns"),
        ("US.A.csv", GOOD + "2026-06-17,1\n", "line 3 has 2 cells of 3"),
        ("US.A.csv", GOOD + "2026-06-17,1.0,2\n", "line 3: volume '1.0' is not a count"),
        ("US.A.csv", GOOD + "2026-06-17,1_0,2\n", "line 3: volume '1_0' is not a count"),
        ("US.A.csv", GOOD + "2026-06-17,1,two\n", "line 3: close_price 'two' is not a price"),
        ("US.A.csv", GOOD + "2026-06-17,1,nan\n", "line 3: close_price 'nan' is not a price"),
        ("US.A.csv", GOOD + "2026-06-17,-1,2\n", "volume -1 is not a count"),
        ("US.A.csv", GOOD + "2026-06-17,18446744073709551616,2\n", "is not a count"),
        ("US.A.csv", GOOD + f"2026-06-17,{'9' * 400},2\n", "is not a count"),
        ("US.A.csv", GOOD + "20260617,1,2\n", "timestamp_str '20260617' is not a day"),
        ("US.A.csv", GOOD + "2026-02-30,1,2\n", "timestamp_str '2026-02-30' is not a day"),
        ("US.A.csv", GOOD + ",1,2\n", "a row has neither timestamp nor timestamp_str"),
        ("US.A.csv", GOOD + "2026-06-18,1,2\n", "trading day 2026-06-18 is there twice"),
        ("US.A.csv", GOOD + '2026-06-17,1,"2\n', "unexpected end of data"),
        ("US.A.csv", "timestamp\n1e9\n", "line 2: timestamp '1e9' is not a timestamp"),
        ("US.A.csv", "timestamp\n-5\n", "timestamp -5 is not a timestamp"),
        ("US.A.csv", f"timestamp,timestamp_str\n{2**63},2026-06-18\n", "is not a timestamp"),
    ],
)
def test_a_file_that_cannot_be_served_is_named(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(StoreError) as caught:
        read_histories(tmp_path)
    assert str(tmp_path / name) in str(caught.value)
    assert words in str(caught.value)


def test_a_text_is_the_day_whatever_timestamp_is_beside_it(tmp_path: Path) -> None:
    (tmp_path / "US.A.csv").write_text(
        f"timestamp,timestamp_str\n-5,2026-06-16\n1781740800,2026-06-18\n{2**62},2026-06-17\n"
    )
    history = read_histories(tmp_path)["US.A"]
    assert history.days == ("2026-06-18", "2026-06-17", "2026-06-16")
    assert [row["timestamp"] for row in history.rows] == [1781740800, 2**62, -5]


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "US.A.csv").write_bytes(b"timestamp_str\n\xff\xfe\n")
    with pytest.raises(StoreError, match=r"US\.A\.csv"):
        read_histories(tmp_path)


def test_a_directory_without_a_history_is_named(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "missing"):
        with pytest.raises(StoreError, match="no file named like"):
            read_histories(directory)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "Expecting"),
        ("[]", "it must be an object"),
        ('{"HK.00005": {}}', "there is no HK.00005.csv beside it"),
        ('{"HK.A": 5}', "must be an object of aggregated_short"),
        ('{"HK.A": {"short": 5}}', "must be an object of aggregated_short"),
    ],
)
def test_aggregates_that_cannot_be_served_are_named(
    tmp_path: Path, content: str, words: str
) -> None:
    (tmp_path / "HK.A.csv").write_text("timestamp_str\n2026-06-18\n")
    (tmp_path / "aggregates.json").write_text(content)
    with pytest.raises(StoreError) as caught:
        read_histories(tmp_path)
    assert str(tmp_path / "aggregates.json") in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("code", "aggregates", "words"),
    [
        ("US.A", {"aggregated_short": 5}, "there are no aggregates in this market"),
        ("HK.A", {"aggregated_short": 5.0}, "aggregated_short 5.0 is not a count"),
        ("HK.A", {"aggregated_short": 2**63}, "is not a count"),
        ("HK.A", {"aggregated_short_ratio": "0.5"}, "aggregated_short_ratio '0.5' is not a number"),
        ("HK.A", {"new_time_str": "30 April"}, "new_time_str '30 April' is not a day"),
    ],
)
def test_aggregates_must_fit_the_wire(
    tmp_path: Path, code: str, aggregates: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        History(Security.parse(code), [], **aggregates)
    (tmp_path / f"{code}.csv").write_text("timestamp_str\n2026-06-18\n")
    (tmp_path / "aggregates.json").write_text(json.dumps({code: aggregates}))
    with pytest.raises(StoreError, match=words):
        read_histories(tmp_path)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"volume": 1}], "a row has neither timestamp nor timestamp_str"),
        ([{"timestamp_str": "2026-06-18", "turnover": 1.0}], "rows of US have no 'turnover'"),
        ([{"timestamp_str": "2026-06-18", "volume": True}], "volume True is not a count"),
        ([{"timestamp_str": 20260618}], "timestamp_str 20260618 is not a day"),
        ([{"timestamp_str": "2026-06-18", "close_price": "1"}], "close_price '1' is not a price"),
        (
            [{"timestamp_str": "2026-06-17"}, {"timestamp_str": "2026-06-18"}],
            "trading day 2026-06-17 stands above a newer day",
        ),
    ],
)
def test_rows_must_fit_the_wire(rows: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        History(Security.parse("US.A"), rows)


def test_the_sample_is_read_from_its_directory() -> None:
    assert sorted(sample_histories()) == ["HK.00700", "HK.SAMPLE", "US.AAPL", "US.SAMPLE"]
    assert sample_directory().name == "sample"


def test_the_sample_of_short_interest_lies_beside_it(tmp_path: Path) -> None:
    assert sorted(sample_histories(SHORT_INTEREST)) == ["HK.00700", "HK.SAMPLE", "US.SAMPLE"]
    history = sample_histories(SHORT_INTEREST)["HK.00700"]
    assert history.call is SHORT_INTEREST
    assert history.rows[0]["aggregated_short"] == 51480638
    # Columns are those of the call.
    (tmp_path / "US.A.csv").write_text("timestamp_str,shares_short\n2026-05-29,5\n")
    assert read_histories(tmp_path, SHORT_INTEREST)["US.A"].rows[0]["shares_short"] == 5
    with pytest.raises(StoreError, match="the first line must name columns"):
        read_histories(tmp_path)
    with pytest.raises(ConfigError, match="rows of US have no 'volume'"):
        History(
            Security.parse("US.A"),
            [{"timestamp_str": "2026-05-29", "volume": 1}],
            call=SHORT_INTEREST,
        )


def test_a_history_shows_its_call_in_a_few_words() -> None:
    text = repr(History(Security.parse("US.MINE"), rows=[]))
    assert text.endswith("call=<Call 3248, daily short volume>)")
