"""Tickers, rows and histories that the tests of stores keep, and ways into their files."""

from __future__ import annotations

import contextlib
import io
import json
import time
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from intake_futu_short import FutuShortStore
from intake_futu_short.calls import SHORT_INTEREST, SHORT_VOLUME, Ticker
from intake_futu_short.history.ticker_history import ROW, Revision, TickerHistory
from intake_futu_short.schema import dtypes
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


def ticker(code: str) -> Ticker:
    return Ticker(Security.known(code), SHORT_VOLUME)


TENCENT = ticker("HK.00700")
APPLE = ticker("US.AAPL")
TENCENT_REPORTS = Ticker(TENCENT.security, SHORT_INTEREST)
TENCENT_FILE = "short_volume/market=HK/code=HK.00700/history.parquet"

# A guard against hangs, never a measure of speed.
PATIENCE_S = 30.0

DAYS = ["2025-12-30", "2025-12-31", "2026-01-02"]
HK_MIDNIGHTS = [1767024000, 1767110400, 1767283200]  # date -d '2025-12-30 00:00 +0800' +%s

# Small letters, what paths and shells and hive readers take for something else, and what only
# looks escaped.
ODD_CODES = [
    "HK.00700", "US.1E5", "US.A%2FB", "US.A/B", "US.A:B", "US.AAPL", "US.AAPl", "US.BRK.B", "US.X*",
    "US.X.", "US.(A)", "US.a%", "US.x=y&z?", "US..DJI",
    "US.\u00e9\u817e\u8baf", "US.A\\B", "US.NULL", "US.%", "US.A+B#",
]  # fmt: skip


@dataclass
class Place:
    """Where a store lies, and the ways into it that pass it by."""

    url: str
    get: Callable[[str], bytes]
    put: Callable[[str, bytes], None]
    names: Callable[[], list[str]]
    remove: Callable[[str], None]
    options: dict[str, Any] | None = None

    def store(self) -> FutuShortStore:
        return FutuShortStore(self.url, self.options)


@contextlib.contextmanager
def locked(store: FutuShortStore, ticker: Ticker) -> Iterator[None]:
    """Be the one writer of a ticker, however long others are."""
    deadline = time.monotonic() + PATIENCE_S
    while (lock := store.try_lock(ticker)) is None:
        assert time.monotonic() < deadline, "the lock was held all the time"
        time.sleep(0.001)
    with lock:
        yield


def keep(store: FutuShortStore, ticker: Ticker, history: TickerHistory) -> TickerHistory:
    """Save a history in place of whatever is kept."""
    kept = store.load(ticker)
    return store.save(ticker, replace(history, version=kept and kept.version))


def files_kept(root: Path) -> set[str]:
    """Names of all files below a directory, without the locks.

    Some versions of filelock leave a lock's file when they let go of it, others remove it.
    """
    files = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(root)) for path in files}


def hk_rows(days: Sequence[str] = DAYS, price: float = 600.0) -> pd.DataFrame:
    """Rows whose first volume is missing, and whose second turnover is."""
    n = len(days)
    volumes: list[int | None] = [20_000_000 + i for i in range(n)]
    turnovers: list[float | None] = [1.2e10 + i for i in range(n)]
    volumes[:1], turnovers[1:2] = [None][:n], [None][: n - 1]
    return (
        pd.DataFrame(
            {
                "timestamp": [TENCENT.market.midnight(day) for day in days],
                "timestamp_str": list(days),
                "shares_traded": volumes,
                "turnover": turnovers,
                "short_sell_shares_traded": [3_000_000 + i for i in range(n)],
                "short_sell_turnover": [1.8e9 + i for i in range(n)],
                "open_price": [price + i for i in range(n)],
                "close_price": [price + 1.25 + i for i in range(n)],
                "last_close_price": [price + 0.25 + i for i in range(n)],
                "daily_trade_avg_ratio": [14.13] * n,
            }
        )
        .astype(dtypes(TENCENT.table))
        .assign(first_seen=np.nan)
    )


def us_rows(days: Sequence[str] = DAYS) -> pd.DataFrame:
    n = len(days)
    return (
        pd.DataFrame(
            {
                "timestamp": [APPLE.market.midnight(day) for day in days],
                "timestamp_str": list(days),
                "total_shares_short": [5_000_000 + i for i in range(n)],
                "nasdaq_shares_short": [4_000_000 + i for i in range(n)],
                "nyse_shares_short": [1_000_000] * n,
                "short_percent": [12.345] * n,
                # More than a float64 can count.
                "volume": [2**53 + 1 + i for i in range(n)],
                "close_price": [221.112467562] * n,
                "last_close_price": [220.5] * n,
                "daily_trade_avg_ratio": [17.3] * n,
            }
        )
        .astype(dtypes(APPLE.table))
        .assign(first_seen=np.nan)
    )


def hk_reports(days: Sequence[str] = DAYS) -> pd.DataFrame:
    """Rows of short interest."""
    n = len(days)
    table = TENCENT_REPORTS.table
    kept = {name: dtypes(table)[name] for name in table.column_names}
    return (
        pd.DataFrame(
            {
                "timestamp": [TENCENT.market.midnight(day) for day in days],
                "timestamp_str": list(days),
                "aggregated_short": [51_000_000 + i for i in range(n)],
                "aggregated_short_ratio": [0.56] * n,
                "close_price": [467.8] * n,
                "last_close_price": [None] * n,
            }
        )
        .astype(kept)
        .assign(first_seen=np.nan)
    )


def report(short: int | None, ratio: float | None, day: str | None) -> dict[str, Any]:
    """A report of open short positions, by the names of the documentation."""
    return {"aggregated_short": short, "aggregated_short_ratio": ratio, "new_time_str": day}


AGGREGATES = (report(51_480_638, 0.56, "2025-12-19"), report(52_000_000, None, "2025-12-31"))
REVISIONS = (
    Revision("2025-12-30", "shares_traded", None, 20_000_000, 1767100000.0),
    Revision("2025-12-31", "daily_trade_avg_ratio", 14.12, None, 1767200000.0),
    Revision("2026-01-05", ROW, {"shares_traded": 1, "turnover": None}, None, 1767300000.5),
)
WHOLE = TickerHistory(hk_rows(), True, None, 1767300000.5, 1767200000.25, reports=AGGREGATES)


def assert_same(left: TickerHistory | None, right: TickerHistory) -> None:
    assert left is not None
    pd.testing.assert_frame_equal(left.rows, right.rows)
    assert (left.superseded is None) == (right.superseded is None)
    if left.superseded is not None and right.superseded is not None:
        pd.testing.assert_frame_equal(left.superseded, right.superseded)
    for name in (
        "is_complete", "cursor", "checked_s", "walked_s", "adjusted_s", "reports", "revisions",
    ):  # fmt: skip
        assert getattr(left, name) == getattr(right, name)


def footer_of(content: bytes) -> bytes:
    """The footer with its length and the magic bytes."""
    return content[-8 - int.from_bytes(content[-8:-4], "little") :]


def said_in(content: bytes) -> dict[str, Any]:
    """What a file says beside its rows."""
    said: dict[str, Any] = json.loads(
        pq.read_metadata(io.BytesIO(content)).metadata[b"intake_futu_short"]
    )
    return said


def as_if_said(content: bytes, said: dict[str, Any]) -> bytes:
    """The same rows, with a footer that says something else, and with the right checksums."""
    table = pq.read_table(io.BytesIO(content))
    zero = {"format": said["format"], "footer_crc32": "0" * 8, "data_crc32": "0" * 8}
    state = json.dumps({**zero, **{name: said[name] for name in said if name not in zero}})
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"intake_futu_short": state})
    return with_checksums(sink.getvalue())


def with_checksums(content: bytes) -> bytes:
    """Put the two checksums where they are zero: first of the rows, then of the footer."""
    footer = footer_of(content)
    data = content[: -len(footer)]
    footer = footer.replace(
        b'"data_crc32": "00000000"', b'"data_crc32": "%08x"' % zlib.crc32(data), 1
    )
    before, key, after = footer.partition(b'"footer_crc32": "')
    own = zlib.crc32(before + key + after[8:])
    return data + before + key + b"%08x" % own + after[8:]


def as_other_format(content: bytes, number: int) -> bytes:
    """The same file, as if another version had written it, which knows another column."""
    table = pq.read_table(io.BytesIO(content))
    table = table.append_column("borrow_fee_pct", pa.array([1.5] * len(table)))
    state = json.dumps({"format": number, "code": "HK.00700"})
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"intake_futu_short": state}), sink)
    return sink.getvalue()
