"""The one file of a ticker: `Kept` ↔ the bytes of a Parquet file. Pure.

Rows are the file's table, ascending by day. What is known of them is JSON in the file's key-value
metadata, and so are the rows of a walk under way: one file, so that they can never disagree. Any
Parquet reader reads the rows as they lie, and takes no notice of the rest.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from intake_futu_short.errors import CorruptStoreError, StoreError
from intake_futu_short.kept import Kept, Staged
from intake_futu_short.pages import Aggregates
from intake_futu_short.table import text_dtype

if TYPE_CHECKING:
    from intake_futu_short.security import Market, Security

__all__ = ["FORMAT", "ROW_GROUP_ROWS", "State", "decode", "encode", "frame", "open_file", "state"]

# Raised when an older version of this package could no longer read what is written.
FORMAT = 1
# Three years: its statistics let a reader skip a row group, and each costs a reader some time.
ROW_GROUP_ROWS = 750

_STATE = b"intake_futu_short"
_STAGED = b"intake_futu_short.staged"
_SUPERSEDED = b"intake_futu_short.superseded"
_CHECK = b"intake_futu_short.crc32"

_INT64: Any = pd.Int64Dtype()  # its way from Arrow is in no stubs

_WAY_OUT = "Delete the file and sync the ticker again; the other tickers are not affected."
_TYPES = {
    "timestamp": pa.int64(),
    "day": pa.string(),
    "count": pa.int64(),
    "number": pa.float64(),
}


@dataclass(frozen=True)
class State:
    """What a file says of its rows; `Kept` has the same without the rows.

    Attributes
    ----------
    code : str
        Whose rows.
    rows : int
        How many.
    is_complete, cursor, checked_s, walked_s, aggregates
        As in `Kept`.
    staged_cursor : str or None
        Where a walk under way goes on from.
    """

    code: str
    rows: int
    is_complete: bool
    cursor: str | None
    checked_s: float | None
    walked_s: float | None
    aggregates: tuple[Aggregates, ...]
    staged_cursor: str | None


def encode(security: Security, kept: Kept) -> bytes:
    """Bytes of the file that holds `kept`.

    Raises
    ------
    ValueError
        When the rows are not those of the market, ascending by day, each day once.
    """
    _check_rows(security, kept.rows)
    said = {
        "format": FORMAT,
        "code": security.code,
        "rows": len(kept.rows),
        "is_complete": kept.is_complete,
        "cursor": kept.cursor,
        "checked_s": kept.checked_s,
        "walked_s": kept.walked_s,
        "aggregates": [aggregates.as_dict() for aggregates in kept.aggregates],
        "staged_cursor": None if kept.staged is None else kept.staged.cursor,
    }
    metadata = {_STATE: json.dumps(said).encode()}
    if kept.staged is not None:
        _check_rows(security, kept.staged.rows)
        metadata[_STAGED] = _packed(kept.staged.rows, security.market)
    if kept.superseded is not None:
        metadata[_SUPERSEDED] = _packed(kept.superseded, security.market)
    metadata[_CHECK] = str(_crc32(metadata)).encode()
    return _parquet(kept.rows, security.market, metadata)


def decode(data: bytes, security: Security, where: str) -> Kept:
    """Read what `encode` wrote.

    Parameters
    ----------
    data : bytes
        A whole file.
    security : Security
        Whose it must be.
    where : str
        Name of the file, for messages.

    Raises
    ------
    CorruptStoreError
        When the file is damaged or is none of the store's.
    StoreError
        When a newer version of this package wrote it.
    """
    file = open_file(data, security, where)
    known = state(file.metadata, security, where)
    try:
        metadata = file.metadata.metadata
        staged = superseded = None
        if known.staged_cursor is not None:
            staged = Staged(_unpacked(metadata[_STAGED], security.market), known.staged_cursor)
        if _SUPERSEDED in metadata:
            superseded = _unpacked(metadata[_SUPERSEDED], security.market)
        rows = frame(file.read(use_threads=False), security.market)
        _check_rows(security, rows)
    except (KeyError, ValueError, OSError, pa.ArrowException) as error:
        raise corrupt(where, error) from error
    return Kept(
        rows=rows,
        is_complete=known.is_complete,
        cursor=known.cursor,
        checked_s=known.checked_s,
        walked_s=known.walked_s,
        aggregates=known.aggregates,
        staged=staged,
        superseded=superseded,
    )


def open_file(data: bytes, security: Security, where: str) -> pq.ParquetFile:
    """Open a whole file, whose columns are then those of the market.

    Raises
    ------
    CorruptStoreError
        When it is no Parquet file, or has other columns.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        arrow = file.schema_arrow
    except (OSError, ValueError, pa.ArrowException) as error:
        raise corrupt(where, error) from error
    if not arrow.equals(schema(security.market)):
        raise corrupt(where, f"its columns are {', '.join(arrow.names) or 'none'}")
    return file


def state(metadata: pq.FileMetaData, security: Security, where: str) -> State:
    """Read what a file says of its rows out of its footer.

    Raises
    ------
    CorruptStoreError, StoreError
        As `decode`.
    """
    values: dict[bytes, bytes] = metadata.metadata or {}
    try:
        said = json.loads(values[_STATE])
        written_as = said["format"]
        if type(written_as) is int and written_as > FORMAT:
            raise StoreError(
                f"{where} has format {written_as}, written by a newer intake-futu-short; this "
                f"one reads formats up to {FORMAT}: upgrade it (pip install -U intake-futu-short)"
            )
        ours = {key: values[key] for key in (_STATE, _STAGED, _SUPERSEDED) if key in values}
        if int(values[_CHECK]) != _crc32(ours):
            raise corrupt(where, "its checksum is not that of its state")
        del said["format"]
        known = State(**{**said, "aggregates": tuple(Aggregates(**a) for a in said["aggregates"])})
    except (KeyError, TypeError, ValueError) as error:
        raise corrupt(where, f"it does not say what it holds ({error!r})") from error
    if known.code != security.code:
        raise corrupt(where, f"it holds {known.code}, and lies where {security.code} should be")
    if known.rows != metadata.num_rows:
        raise corrupt(where, f"it should have {known.rows} rows and has {metadata.num_rows}")
    return known


def corrupt(where: str, why: object) -> CorruptStoreError:
    """Error of a file that is damaged or foreign, with the way out."""
    return CorruptStoreError(f"{where} is damaged or is no file of this store: {why}. {_WAY_OUT}")


@cache
def schema(market: Market) -> pa.Schema:
    """Columns of a market's files and their types; all may be null but the first two."""
    return pa.schema(
        [
            pa.field(c.name, _TYPES[c.kind], nullable=c.kind in {"count", "number"})
            for c in market.columns
        ]
    )


def frame(table: pa.Table, market: Market) -> pd.DataFrame:
    """Columns as Parquet gives them → the dtypes of `table`, whichever of the columns there are.

    Rows stay in their order.
    """
    kinds = {column.name: column.kind for column in market.columns}
    columns = {name: _column(table.column(name), kinds[name]) for name in table.column_names}
    return pd.DataFrame(columns, copy=False, index=pd.RangeIndex(table.num_rows))


def _column(values: pa.ChunkedArray, kind: str) -> Any:
    if kind == "count":
        return _INT64.__from_arrow__(values)
    if kind != "day":
        return values.to_numpy()
    return texts(values)


def texts(values: pa.ChunkedArray) -> Any:
    """Strings as this pandas keeps them."""
    dtype = text_dtype()
    return values.to_numpy() if dtype == np.dtype(object) else dtype.__from_arrow__(values)


def _check_rows(security: Security, rows: pd.DataFrame) -> None:
    if list(rows.columns) != security.market.column_names:
        raise ValueError(f"{security}: the columns of the rows are {list(rows.columns)}")
    days = rows["timestamp_str"].to_numpy(dtype=object)
    if not (days[:-1] < days[1:]).all():
        raise ValueError(f"{security}: the rows do not ascend by day, each day once")


def _parquet(rows: pd.DataFrame, market: Market, metadata: dict[bytes, bytes]) -> bytes:
    # Attributes would be written too, and stand on a frame of many tickers afterwards.
    plain = rows.copy(deep=False)
    plain.attrs = {}
    columns = pa.schema([schema(market).field(name) for name in rows.columns])
    table = pa.Table.from_pandas(plain, columns, preserve_index=False)
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata({**table.schema.metadata, **metadata}),
        sink,
        row_group_size=ROW_GROUP_ROWS,
        compression="zstd",
        write_page_checksum=True,
    )
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _packed(rows: pd.DataFrame, market: Market) -> bytes:
    """Rows as text: some readers take a file's metadata for UTF-8."""
    return base64.b64encode(_parquet(rows, market, {}))


def _unpacked(packed: bytes, market: Market) -> pd.DataFrame:
    return frame(pq.read_table(pa.BufferReader(base64.b64decode(packed))), market)


def _crc32(values: dict[bytes, bytes]) -> int:
    return zlib.crc32(b"".join(key + b"=" + values[key] + b"\n" for key in sorted(values)))
