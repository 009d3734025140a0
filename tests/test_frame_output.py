from __future__ import annotations

import json
import math

import pandas as pd

from intake_futu_short.cli import frame_output

FRAME = pd.DataFrame(
    {
        "timestamp": [1728619200, 1728532800],
        "timestamp_str": ["2024-10-11", "2024-10-10"],
        "volume": pd.array([9_007_199_254_740_993, None], dtype="Int64"),
        "close_price": [221.112467562, math.inf],
    }
)


def test_json_keeps_every_digit_and_has_null_for_what_is_no_number() -> None:
    rows = json.loads(frame_output.render(FRAME, "json"))
    assert rows[0] == {
        "timestamp": 1728619200, "timestamp_str": "2024-10-11",
        "volume": 9_007_199_254_740_993, "close_price": 221.112467562,
    }  # fmt: skip
    assert rows[1]["volume"] is rows[1]["close_price"] is None


def test_csv_keeps_every_digit_and_is_empty_where_nothing_is_known() -> None:
    assert frame_output.render(FRAME, "csv").decode().splitlines() == [
        "timestamp,timestamp_str,volume,close_price",
        "1728619200,2024-10-11,9007199254740993,221.112467562",
        "1728532800,2024-10-10,,inf",
    ]


def test_a_table_has_a_line_a_day_and_numbers_for_people() -> None:
    text = frame_output.render(FRAME.assign(turnover=778387750.4), "table").decode()
    assert text.startswith("2 rows, 2024-10-10 to 2024-10-11\n\n")
    assert text.splitlines()[-1].endswith(" 778,387,750")
    assert "221.1125" in text


def test_the_summary_tells_the_open_position_as_far_as_it_is_known() -> None:
    frame = FRAME.copy()
    frame.attrs = {"aggregated_short": 51480638, "aggregated_short_ratio": 0.56, "new_time_str": ""}
    assert frame_output.summary(frame).endswith("short position 51,480,638 shares, 0.56 %")
    frame.attrs = {"aggregated_short": 1, "new_time_str": "2026-04-30"}
    assert frame_output.summary(frame).endswith("position 1 shares, as of 2026-04-30")


def test_the_names_of_files_say_their_format() -> None:
    names = ["rows.csv", "ROWS.JSON", "a.b/rows.parquet", "rows.txt", "rows"]
    assert [frame_output.format_of(name) for name in names] == [
        "csv", "json", "parquet", None, None,
    ]  # fmt: skip
