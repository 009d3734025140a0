"""The one file of a ticker: `TickerHistory` ↔ the bytes of a Parquet file. Pure.

Rows are the file's table, ascending by day. The refresh state is JSON in the file's key-value
metadata: one file, so that the two can never disagree. Any Parquet reader reads the rows and takes
no notice of the rest.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from intake_futu_short.errors import CorruptStoreError, StoreError, sentence
from intake_futu_short.history.ticker_history import DAY, TickerHistory
from intake_futu_short.store.tables import schema, to_frame

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import pandas as pd

    from intake_futu_short.calls import Table, Ticker

__all__ = [
    "FORMAT",
    "ROW_GROUP_ROWS",
    "State",
    "Summary",
    "decode",
    "encode",
    "footer_bytes",
    "read_table",
    "summary",
]

# Raised when an older version of this package could no longer read what is written.
FORMAT = 2
# Three years: its statistics let a reader skip a row group, and each costs a reader some time.
ROW_GROUP_ROWS = 750

_STATE = b"intake_futu_short"
_SUPERSEDED = b"intake_futu_short.superseded"
_CHECK = b"intake_futu_short.crc32"

_WAY_OUT = "Delete the file and sync the ticker again; the other tickers are not affected."


@dataclass(frozen=True)
class State:
    """What a file says of its rows; `TickerHistory` has the same beside the rows.

    Attributes
    ----------
    code : str
        Whose rows.
    rows : int
        How many.
    is_complete, cursor, checked_s, walked_s, reports
        As in `TickerHistory`.
    """

    code: str
    rows: int
    is_complete: bool
    cursor: str | None
    checked_s: float | None
    walked_s: float | None
    reports: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Summary:
    """What a file's footer says: its state, and the days its rows lie between.

    Attributes
    ----------
    state : State
        As the file has it.
    first, last : str or None
        Oldest and newest trading day; None without rows.
    """

    state: State
    first: str | None
    last: str | None

    def has_any(self, start: str | None, end: str | None) -> bool:
        """Whether rows can lie between two days, both inclusive; None is open."""
        return (
            self.first is not None
            and self.last is not None
            and (start is None or start <= self.last)
            and (end is None or end >= self.first)
        )


def encode(ticker: Ticker, history: TickerHistory) -> bytes:
    """Bytes of the file that holds a history.

    Raises
    ------
    ValueError
        When the rows are not those of the market, ascending by day, each day once.
    """
    _check_rows(ticker, history.rows)
    said = {
        "format": FORMAT,
        "code": ticker.code,
        "rows": len(history.rows),
        "is_complete": history.is_complete,
        "cursor": history.cursor,
        "checked_s": history.checked_s,
        "walked_s": history.walked_s,
        "reports": history.reports,
    }
    metadata = {_STATE: json.dumps(said).encode()}
    if history.superseded is not None:
        metadata[_SUPERSEDED] = _packed(history.superseded, ticker.table)
    metadata[_CHECK] = str(_crc32(metadata)).encode()
    return _parquet(history.rows, ticker.table, metadata)


def decode(data: bytes, ticker: Ticker, where: str) -> TickerHistory:
    """Read what `encode` wrote.

    Parameters
    ----------
    data : bytes
        A whole file.
    ticker : Ticker
        Whose it must be.
    where : str
        Name of the file, for messages.

    Raises
    ------
    CorruptStoreError
        When the file is damaged or is none of the store's.
    StoreError
        When another version of this package wrote it.
    """
    file = _open(data, ticker, where)
    known = _state(file.metadata, ticker, where)
    try:
        metadata = file.metadata.metadata
        superseded = None
        if _SUPERSEDED in metadata:
            superseded = _unpacked(metadata[_SUPERSEDED], ticker.table)
        rows = to_frame(file.read(use_threads=False), ticker.table)
        _check_rows(ticker, rows)
    except (KeyError, ValueError, OSError, pa.ArrowException) as error:
        raise _corrupt(where, error) from error
    return TickerHistory(
        rows=rows,
        is_complete=known.is_complete,
        cursor=known.cursor,
        checked_s=known.checked_s,
        walked_s=known.walked_s,
        reports=known.reports,
        superseded=superseded,
    )


def read_table(
    data: bytes,
    ticker: Ticker,
    where: str,
    columns: Sequence[str],
    *,
    start: str | None = None,
    end: str | None = None,
) -> tuple[State, pa.Table]:
    """Read some columns of the rows of some days, ascending, and the state.

    Row groups of other days and other columns are not decoded.

    Parameters
    ----------
    data, ticker, where
        As in `decode`.
    columns : sequence of str
        Of the market.
    start, end : str, optional
        First and last trading day, ``YYYY-MM-DD``.

    Raises
    ------
    CorruptStoreError, StoreError
        As `decode`.
    """
    file = _open(data, ticker, where)
    known = _state(file.metadata, ticker, where)
    is_cut = start is not None or end is not None
    needed = {*columns, DAY} if is_cut else set(columns)
    try:
        groups = [i for i in range(file.num_row_groups) if _overlaps(file, i, start, end)]
        rows = file.read_row_groups(groups, [*needed], use_threads=False)
        if is_cut:
            days = rows.column(DAY)
            begin = 0 if start is None else _count(pc.less(days, start))
            stop = rows.num_rows if end is None else _count(pc.less_equal(days, end))
            rows = rows.slice(begin, max(stop - begin, 0))
        return known, rows.select(columns)
    except (ValueError, OSError, pa.ArrowException) as error:
        raise _corrupt(where, error) from error


def summary(data: bytes, ticker: Ticker, where: str) -> Summary:
    """Read the footer alone; `data` may be no more than the last `footer_bytes` of the file.

    Raises
    ------
    CorruptStoreError, StoreError
        As `decode`.
    """
    try:
        metadata = pq.read_metadata(pa.BufferReader(data))
        arrow = metadata.schema.to_arrow_schema()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _corrupt(where, error) from error
    _refuse_other_format(metadata, where)
    _check_columns(arrow, ticker, where)
    known = _state(metadata, ticker, where)
    try:
        days = [_days(metadata, i) for i in range(metadata.num_row_groups)] if known.rows else []
    except ValueError as error:  # statistics that are no text
        raise _corrupt(where, error) from error
    first, last = (days[0][0], days[-1][1]) if days else (None, None)
    return Summary(known, first, last)


def footer_bytes(tail: bytes) -> int:
    """How many bytes at the end of a file its footer takes, told by the last 8 of them."""
    if tail[-4:] != b"PAR1":
        return 0
    return int.from_bytes(tail[-8:-4], "little") + 8


def _open(data: bytes, ticker: Ticker, where: str) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        arrow = file.schema_arrow
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _corrupt(where, error) from error
    _refuse_other_format(file.metadata, where)
    _check_columns(arrow, ticker, where)
    return file


def _refuse_other_format(metadata: pq.FileMetaData, where: str) -> None:
    """Before anything else is looked at: another version may have other columns, say."""
    try:
        written_as = json.loads((metadata.metadata or {})[_STATE])["format"]
    except (KeyError, TypeError, ValueError):
        return  # `_state` says so
    if type(written_as) is not int or written_as == FORMAT:
        return
    if written_as > FORMAT:
        raise StoreError(
            f"{where} has format {written_as}, written by a newer intake-futu-short; this one "
            f"reads format {FORMAT}: upgrade it"
        )
    raise StoreError(
        f"{where} has format {written_as} of an earlier version, and this one reads format "
        f"{FORMAT}. {_WAY_OUT}"
    )


def _check_columns(arrow: pa.Schema, ticker: Ticker, where: str) -> None:
    if not arrow.equals(schema(ticker.table)):
        raise _corrupt(where, f"its columns are {', '.join(arrow.names) or 'none'}")


def _overlaps(file: pq.ParquetFile, group: int, start: str | None, end: str | None) -> bool:
    first, last = _days(file.metadata, group)
    if first is None or last is None:
        return True
    return (start is None or start <= last) and (end is None or end >= first)


def _days(metadata: pq.FileMetaData, group: int) -> tuple[str | None, str | None]:
    """Oldest and newest day of a row group, by its statistics."""
    chunk = metadata.row_group(group).column(metadata.schema.names.index(DAY))
    known = chunk.statistics
    return (known.min, known.max) if known is not None and known.has_min_max else (None, None)


def _count(matches: pa.ChunkedArray) -> int:
    return pc.sum(matches).as_py() or 0


def _state(metadata: pq.FileMetaData, ticker: Ticker, where: str) -> State:
    values: dict[bytes, bytes] = metadata.metadata or {}
    try:
        said = json.loads(values[_STATE])
        ours = {key: values[key] for key in (_STATE, _SUPERSEDED) if key in values}
        if int(values[_CHECK]) != _crc32(ours):
            raise _corrupt(where, "its checksum is not that of its state")
        said["reports"] = tuple(map(dict, said["reports"]))
        # A later version of the same format may say more.
        known = State(**{field.name: said[field.name] for field in fields(State)})
    except (KeyError, TypeError, ValueError) as error:
        raise _corrupt(where, f"it does not say what it holds ({error!r})") from error
    if known.code != ticker.code:
        raise _corrupt(where, f"it holds {known.code}, and lies where {ticker.code} should be")
    if known.rows != metadata.num_rows:
        raise _corrupt(where, f"it should have {known.rows} rows and has {metadata.num_rows}")
    return known


def _corrupt(where: str, why: object) -> CorruptStoreError:
    """Error of a file that is damaged or foreign, with the way out."""
    return CorruptStoreError(
        f"{where} is damaged or is not a file of this store: {sentence(why)} {_WAY_OUT}"
    )


def _check_rows(ticker: Ticker, rows: pd.DataFrame) -> None:
    if list(rows.columns) != ticker.table.column_names:
        raise ValueError(f"{ticker}: the columns of the rows are {list(rows.columns)}")
    days = rows[DAY].to_numpy(dtype=object)
    if not (days[:-1] < days[1:]).all():
        raise ValueError(f"{ticker}: the rows do not ascend by day, each day once")


def _parquet(rows: pd.DataFrame, table: Table, metadata: dict[bytes, bytes]) -> bytes:
    # Attributes would be written too, and stand on a frame of many tickers afterwards.
    plain = rows.copy(deep=False)
    plain.attrs = {}
    columns = pa.schema([schema(table).field(name) for name in rows.columns])
    arrow = pa.Table.from_pandas(plain, columns, preserve_index=False)
    sink = pa.BufferOutputStream()
    # Values that seldom come twice are larger and slower with a dictionary.
    with pq.ParquetWriter(
        sink, arrow.schema, compression="zstd", use_dictionary=False, write_page_checksum=True
    ) as writer:
        writer.write_table(arrow, row_group_size=ROW_GROUP_ROWS)
        # As metadata of the schema it would be there twice.
        writer.add_key_value_metadata(metadata)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _packed(rows: pd.DataFrame, table: Table) -> bytes:
    """Rows as text: some readers take a file's metadata for UTF-8."""
    return base64.b64encode(_parquet(rows, table, {}))


def _unpacked(packed: bytes, table: Table) -> pd.DataFrame:
    return to_frame(pq.read_table(pa.BufferReader(base64.b64decode(packed))), table)


def _crc32(values: dict[bytes, bytes]) -> int:
    return zlib.crc32(b"".join(key + b"=" + values[key] + b"\n" for key in sorted(values)))
