"""``df.shortvol`` on what pandas reads of rows that were written as CSV, and days in any form."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from command_line import futu_short

import intake_futu_short  # noqa: F401 - what registers df.shortvol, as the documentation says
from intake_futu_short import FutuShortStore, sample, sync
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from pathlib import Path

# In whatever dtypes pandas is told to read.
HOW: dict[str, dict[str, Any]] = {
    "as pandas likes": {},
    "strings": {"dtype": str},
    "objects": {"dtype": object},
    "nullable": {"dtype_backend": "numpy_nullable"},
    "arrow": {"dtype_backend": "pyarrow"},
    "days read": {"parse_dates": ["timestamp_str"]},
    "categories": {"dtype": {"timestamp_str": "category"}},
}


def all_of(frame: pd.DataFrame) -> pd.DataFrame:
    """All metrics; every table is made once."""
    shortvol = frame.shortvol
    shortvol.check(), shortvol.by_date(), shortvol.resample("W"), repr(shortvol)
    metrics: pd.DataFrame = shortvol.metrics(windows=(5, 20))
    return metrics


def panel() -> pd.DataFrame:
    frames = [sample.frame(code).head(40).assign(code=code) for code in ("US.SAMPLE", "US.AAPL")]
    return pd.concat(frames, ignore_index=True)


def hk() -> pd.DataFrame:
    frame = sample.frame("HK.SAMPLE").head(40)
    frame.attrs.clear()  # CSV has no place for them
    return frame


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("frame", [sample.frame("US.AAPL"), hk(), panel()])
@pytest.mark.parametrize("index", [True, False])
def test_what_is_read_of_our_own_csv_has_the_same_metrics(
    frame: pd.DataFrame, how: str, index: bool
) -> None:
    text = frame.to_csv(index=index)
    read = pd.read_csv(io.StringIO(text), **HOW[how])
    expected = all_of(frame)
    answer = all_of(read)
    assert answer.columns.tolist() == expected.columns.tolist()
    # pandas reads floats from text with an error in the last place.
    np.testing.assert_allclose(answer.to_numpy(), expected.to_numpy(), rtol=1e-9, atol=1e-12)


def test_missing_numbers_are_missing_again() -> None:
    frame = sample.frame("HK.00700")
    read = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    assert read.shortvol.market == "HK"
    assert read.shortvol.short_ratio().isna().all()
    frame.attrs.clear()
    pd.testing.assert_frame_equal(read.shortvol.metrics(), frame.shortvol.metrics())


def test_ascending_rows_by_date_can_be_written_and_read() -> None:
    frame = sample.frame("US.AAPL")
    text = frame.shortvol.by_date().to_csv()
    indexed: dict[str, Any] = {"index_col": "date", "parse_dates": True}
    for how in ({}, indexed):
        read = pd.read_csv(io.StringIO(text), **how)
        # The gateway's own daily_trade_avg_ratio of 2024-10-11 is 17.30 percent.
        assert round(read.shortvol.pooled_short_ratio(20).iloc[-1], 4) == 0.1730
        assert read.shortvol.by_date().index[0] == pd.Timestamp("2024-09-03")


@pytest.mark.parametrize("codes", [["US.AAPL"], ["US.AAPL", "US.SAMPLE"]])
def test_what_the_command_line_writes_can_be_read(codes: list[str], tmp_path: Path) -> None:
    given = (*codes, "--gateway", "sample://", "--max-pages", "1", "--metrics")
    futu_short("read", *given, "-o", "rows.csv", cwd=tmp_path)
    read = pd.read_csv(tmp_path / "rows.csv")
    assert len(read) == {1: 29, 2: 79}[len(codes)]
    # A panel says the code of each row; one ticker's CSV has no place for it.
    assert read.shortvol.code is None
    assert ("code" in read) == (len(codes) > 1)
    for name in ("short_ratio", "pooled_short_ratio_20"):
        written = read.pop(name)
        np.testing.assert_allclose(read.shortvol.metrics()[name], written, rtol=1e-12)


@pytest.mark.parametrize("day", ["2024-10-04", "20241004", 20241004, "2024/10/04"])
def test_a_day_is_read_alike_wherever_one_is_given(day: Any, tmp_path: Path) -> None:
    """By sources, syncs, stores, their moments and figures; tests of each look at more."""
    store = str(tmp_path)
    sync("US.AAPL", store, "sample://", start=day)
    with FutuShortSource("US.AAPL", start=day, end=day, gateway="sample://") as source:
        assert source.read()["timestamp_str"].tolist() == ["2024-10-04"]
    kept = FutuShortStore(store)
    assert kept.read("US.AAPL", start=day, end=day)["timestamp_str"].tolist() == ["2024-10-04"]
    assert kept.read("US.AAPL", as_of=day)["timestamp_str"].iloc[0] == "2024-10-04"


@pytest.mark.parametrize("name", ["timestamp_str", "date"])
@pytest.mark.parametrize("day", ["20241004", 20241004, "2024/10/04", "2024-10-04 00:00:00"])
def test_days_of_a_frame_are_read_in_the_same_forms(name: str, day: Any) -> None:
    frame = pd.DataFrame({name: [day], "total_shares_short": [1], "volume": [2]})
    assert frame.shortvol.by_date().index.tolist() == [pd.Timestamp("2024-10-04")]
