"""Damaged files: whichever byte is wrong is an error that names the file, or does no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from store_rows import (
    APPLE,
    REVISIONS,
    TENCENT,
    TENCENT_FILE,
    WHOLE,
    as_if_said,
    assert_same,
    footer_of,
    hk_rows,
    said_in,
    ticker,
    us_rows,
)

from intake_futu_short import FutuShortStore
from intake_futu_short.errors import CorruptStoreError, PanelError, StoreError
from intake_futu_short.history.ticker_history import TickerHistory
from intake_futu_short.store import parquet as store_parquet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OTHER = ticker("HK.00005")
# One bit, another, and all of them.
FLIPS = (0x01, 0x10, 0x80, 0xFF)
HISTORY = TickerHistory(
    hk_rows().assign(first_seen=[float("nan"), 1767200000.5, 1767300000.0]),
    cursor="c",
    checked_s=1767300000.5,
    reports=WHOLE.reports,
    revisions=REVISIONS,
    superseded=hk_rows(["2019-01-02"])[["timestamp_str", "close_price"]],
)
CONTENT = store_parquet.encode(TENCENT, HISTORY)
FOOTER_BEGINS = len(CONTENT) - len(footer_of(CONTENT))
COLUMNS = ["timestamp_str", "shares_traded"]


def decode(content: bytes) -> object:
    return store_parquet.decode(content, TENCENT, "the file")


def rows(content: bytes) -> object:
    file = store_parquet.verify(content, TENCENT, "the file")
    return store_parquet.read_rows(file, COLUMNS)


def summary(content: bytes) -> object:
    return store_parquet.summary(content, TENCENT, "the file")


def flipped(at: int, bits: int) -> bytes:
    content = bytearray(CONTENT)
    content[at] ^= bits
    return bytes(content)


def assert_refused(read: Callable[[bytes], object], content: bytes) -> None:
    with pytest.raises(CorruptStoreError, match=r"^the file is damaged or is not a file of this"):
        read(content)


@pytest.mark.parametrize("bits", FLIPS)
def test_any_wrong_byte_of_the_footer_is_named_before_anything_is_parsed(
    bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(pq, "ParquetFile")
    for at in range(FOOTER_BEGINS, len(CONTENT)):
        for read in (decode, rows, summary):
            assert_refused(read, flipped(at, bits))


@pytest.mark.parametrize("bits", FLIPS)
def test_any_wrong_byte_before_the_footer_is_named_when_rows_are_read(
    bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = summary(CONTENT)
    monkeypatch.delattr(pq, "ParquetFile")
    for at in range(FOOTER_BEGINS):
        for read in (decode, rows):
            assert_refused(read, flipped(at, bits))
        assert summary(flipped(at, bits)) == known


def test_a_file_of_any_other_length_is_named() -> None:
    for length in range(len(CONTENT)):
        for read in (decode, rows, summary):
            assert_refused(read, CONTENT[:length])
    for more in (b"\0", b"PAR1", b"\n", CONTENT[-8:], footer_of(CONTENT)[1:]):
        assert_refused(decode, CONTENT + more)
    # The footer at its end is sound, and speaks of other bytes before it.
    for joined in (CONTENT + CONTENT, CONTENT[:4] + CONTENT[5:], footer_of(CONTENT)):
        assert_refused(decode, joined)
        assert_refused(rows, joined)
        assert summary(joined) == summary(CONTENT)
    decoded = decode(CONTENT)
    assert isinstance(decoded, TickerHistory)
    assert_same(decoded, HISTORY)


def test_a_parquet_file_of_somebody_else_is_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.table({"timestamp_str": ["2026-01-02"]}), tmp_path / "foreign.parquet")
    monkeypatch.delattr(pq, "ParquetFile")
    for read in (decode, rows, summary):
        assert_refused(read, (tmp_path / "foreign.parquet").read_bytes())


@pytest.fixture
def store(tmp_path: Path) -> FutuShortStore:
    """A store of two tickers, of which one may be damaged."""
    made = FutuShortStore(tmp_path)
    made.save(TENCENT, HISTORY)
    made.save(OTHER, TickerHistory(hk_rows(), True, checked_s=1767300000.5))
    return made


def actions(store: FutuShortStore) -> list[Callable[[], object]]:
    return [
        store.read,
        store.info,
        store.to_dask,
        lambda: store.read(start="2026-01-01", columns=["turnover"]),
    ]


def assert_costs_one_ticker(store: FutuShortStore, of: list[Callable[[], object]]) -> None:
    for action in of:
        with pytest.raises(PanelError) as caught:
            action()
        assert set(caught.value.failures) == {"HK.00700"}
        assert isinstance(caught.value.failures["HK.00700"], CorruptStoreError)
        assert TENCENT_FILE in str(caught.value.failures["HK.00700"])
    with pytest.raises(CorruptStoreError, match=TENCENT_FILE):
        store.load(TENCENT)


def test_a_wrong_byte_costs_its_ticker_alone(store: FutuShortStore, tmp_path: Path) -> None:
    (tmp_path / TENCENT_FILE).write_bytes(flipped(FOOTER_BEGINS // 2, 4))
    read, info, to_dask, read_some = actions(store)
    assert_costs_one_ticker(store, [read, read_some])
    assert len(store.info()) == 2
    with pytest.raises(CorruptStoreError, match=TENCENT_FILE):
        store.to_dask().compute(scheduler="synchronous")
    # Of the length in the last bytes each wrong one asks for another part of the file.
    for at in range(FOOTER_BEGINS, len(CONTENT), 97), range(len(CONTENT) - 8, len(CONTENT)):
        for place in at:
            (tmp_path / TENCENT_FILE).write_bytes(flipped(place, 0x40))
            assert_costs_one_ticker(store, [read, info, to_dask, read_some])


NAN, INFINITE = float("nan"), float("inf")
WRONG: dict[str, list[Any]] = {
    "checked_s": ["yesterday", 1e300, NAN, True, [1.0]],
    "walked_s": ["x", -1e300, INFINITE],
    "adjusted_s": [{}],
    "rows": [-1, 0, 3.0, "3", None, True, 2**70],
    "first": [None, 20251230, "2025", ["2025-12-30"]],
    "last": [None, 1.0],
    "is_complete": [0, None, "yes"],
    "cursor": [5],
    "code": ["HK.00005", None, 700],
    "reports": [
        None, "x", {}, [5], [[]], [None],
        [{"aggregated_short": 2**63}], [{"aggregated_short": 1.5}], [{"aggregated_short": True}],
        [{"aggregated_short_ratio": "1"}], [{"new_time_str": 5}], [{"new_time_str": []}],
        [{"first_seen": "x"}], [{"first_seen": 1e300}],
    ],
    "revisions": [5, []],
    "superseded": [5, {}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_state_costs_its_ticker_alone(
    store: FutuShortStore, tmp_path: Path, name: str, value: Any
) -> None:
    wrong = as_if_said(CONTENT, {**said_in(CONTENT), name: value})
    (tmp_path / TENCENT_FILE).write_bytes(wrong)
    assert_costs_one_ticker(store, actions(store))


@pytest.mark.parametrize(
    ("name", "value"),
    [("rows", 2), ("rows", 4), ("first", "2025-12-31"), ("last", "2026-01-05")],
)
def test_a_state_that_speaks_of_other_rows_is_named_when_they_are_read(
    store: FutuShortStore, tmp_path: Path, name: str, value: Any
) -> None:
    wrong = as_if_said(CONTENT, {**said_in(CONTENT), name: value})
    (tmp_path / TENCENT_FILE).write_bytes(wrong)
    assert_costs_one_ticker(store, [store.read, lambda: store.read(start="2026-01-01")])


@pytest.mark.parametrize("name", ["revisions", "superseded"])
@pytest.mark.parametrize("text", ["", "!", "AAAA", "eJwrzy/KTgEABjYCEQ==", "eJyrrgUAAXUA+Q=="])
def test_what_is_packed_and_cannot_be_unpacked_is_named_by_who_reads_it(
    name: str, text: str
) -> None:
    assert_refused(decode, as_if_said(CONTENT, {**said_in(CONTENT), name: text}))


def test_a_state_without_a_value_is_named() -> None:
    for name in said_in(CONTENT):
        if name in {"format", "footer_crc32", "data_crc32"}:
            continue
        wrong = as_if_said(CONTENT, {k: v for k, v in said_in(CONTENT).items() if k != name})
        for read in (decode, rows, summary):
            assert_refused(read, wrong)


def test_rows_of_another_market_are_named() -> None:
    american = store_parquet.encode(APPLE, TickerHistory(us_rows()))
    wrong = as_if_said(american, {**said_in(american), "code": "HK.00700"})
    for read in (decode, rows):
        assert_refused(read, wrong)


@pytest.mark.parametrize("checked_s", [float("nan"), 1e300, "now"])
def test_a_wrong_state_is_not_written(checked_s: Any) -> None:
    with pytest.raises(ValueError, match="checked_s is"):
        store_parquet.encode(TENCENT, TickerHistory(hk_rows(), checked_s=checked_s))


def test_days_that_could_not_be_read_again_are_not_written() -> None:
    rows = hk_rows().assign(timestamp_str=["2025-12-3", "2025-12-31", "2026-01-02"])
    with pytest.raises(ValueError, match="first is '2025-12-3'"):
        store_parquet.encode(TENCENT, TickerHistory(rows))
    rows = hk_rows().assign(timestamp_str=["2025-12-30", "2025-12-3x1", "2026-01-02"])
    with pytest.raises(ValueError, match="a day is not written as YYYY-MM-DD"):
        store_parquet.encode(TENCENT, TickerHistory(rows))


def test_a_damaged_file_is_no_file_of_another_format() -> None:
    digit = CONTENT.rindex(b'"format": 3') + len('"format": ')
    for number in b"0124567890":
        content = CONTENT[:digit] + bytes([number]) + CONTENT[digit + 1 :]
        for read in (decode, rows, summary):
            assert_refused(read, content)


def test_errors_of_damage_are_errors_of_the_store() -> None:
    with pytest.raises(StoreError, match="Delete the file and sync the ticker again"):
        decode(CONTENT[:-1])
