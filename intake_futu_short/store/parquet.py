"""A ticker's file: `TickerHistory` ↔ the bytes of a Parquet file. Pure.

The rows are the file's table, ascending by day. The state of the history is JSON in the file's
footer. Both are in one file, so that they can never disagree. Any Parquet reader can read the rows
and ignores the rest. The Parquet library gets only bytes whose checksum was verified (`footer`).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from intake_futu_short.history.ticker_history import DAY, TickerHistory
from intake_futu_short.store import footer as store_footer
from intake_futu_short.store import state as store_state
from intake_futu_short.store.footer import FORMAT, corrupt, footer_bytes
from intake_futu_short.store.state import State
from intake_futu_short.store.tables import schema, to_arrow, to_frame, values_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import pandas as pd

    from intake_futu_short.calls import Table, Ticker
    from intake_futu_short.history.ticker_history import Revision
    from intake_futu_short.store.tables import Values

__all__ = [
    "FORMAT",
    "State",
    "VerifiedFile",
    "decode",
    "encode",
    "footer_bytes",
    "read_columns",
    "read_rows",
    "revisions_of",
    "summary",
    "verify",
]


class VerifiedFile(NamedTuple):
    """A ticker's whole file, whose checksums are right.

    Attributes
    ----------
    state : State
        The state in its footer.
    data : bytes
        The whole file.
    table : Table
        The table of its columns.
    where : str
        Its name, for messages.
    """

    state: State
    data: bytes
    table: Table
    where: str


def encode(ticker: Ticker, history: TickerHistory) -> bytes:
    """Bytes of the file that holds a history.

    Raises
    ------
    ValueError
        When the columns are not those of the market, the rows do not ascend by day with each day
        once, or a value of the state has a wrong type.
    """
    rows, table = history.rows, ticker.table
    _check_rows(ticker, rows)
    superseded = None
    if history.superseded is not None:
        superseded = store_state.packed(to_arrow(history.superseded, table).to_pydict())
    state = State(
        code=ticker.code,
        rows=len(rows),
        first=str(rows[DAY].iloc[0]) if len(rows) else None,
        last=str(rows[DAY].iloc[-1]) if len(rows) else None,
        is_complete=history.is_complete,
        cursor=history.cursor,
        checked_s=history.checked_s,
        walked_s=history.walked_s,
        adjusted_s=history.adjusted_s,
        reports=tuple(map(dict, history.reports)),
        revisions=store_state.packed(history.revisions) if history.revisions else None,
        superseded=superseded,
    )
    said = State.of(state.values(), table).values()
    arrow = to_arrow(rows, table)
    values_of(arrow.select([DAY]))  # refuses days that could not be read back
    return store_footer.seal(_parquet(arrow, table, store_footer.unsealed(said)))


def decode(data: bytes, ticker: Ticker, where: str) -> TickerHistory:
    """Read what `encode` wrote.

    Parameters
    ----------
    data : bytes
        A whole file.
    ticker : Ticker
        The ticker that the file must be of.
    where : str
        Name of the file, for messages.

    Raises
    ------
    CorruptStoreError
        When the file is damaged or is none of the store's.
    StoreError
        When another version of this package wrote it.
    """
    file = verify(data, ticker, where)
    state, table = file.state, ticker.table
    columns = read_columns(file, read_rows(file, schema(table).names))
    try:
        rows = to_frame(columns, table)
        _check_rows(ticker, rows)
        superseded = None if state.superseded is None else _superseded(state.superseded, table)
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise corrupt(where, error) from error
    return TickerHistory(
        rows=rows,
        is_complete=state.is_complete,
        cursor=state.cursor,
        checked_s=state.checked_s,
        walked_s=state.walked_s,
        adjusted_s=state.adjusted_s,
        reports=tuple(state.reports),
        revisions=revisions_of(state, where),
        superseded=superseded,
    )


def verify(data: bytes, ticker: Ticker, where: str) -> VerifiedFile:
    """Verify the checksums of a whole file, and read its state.

    Raises
    ------
    CorruptStoreError, StoreError
        As `decode`.
    """
    said = store_footer.read_footer(data, where)
    store_footer.verify(data, said, where)
    return VerifiedFile(_state(said, ticker, where), data, ticker.table, where)


def read_rows(file: VerifiedFile, columns: Sequence[str]) -> pa.Table:
    """Decode some columns, in the order of the file. `columns` must include ``timestamp_str``.

    Raises
    ------
    CorruptStoreError
        When they are not those of the market.
    """
    wanted = _selected(file.table, tuple(columns))
    try:
        reader = pq.ParquetFile(pa.BufferReader(file.data))
        rows = reader.read(wanted.names, use_threads=False)
    except (ValueError, OSError, pa.ArrowException) as error:
        raise corrupt(file.where, error) from error
    if not rows.schema.equals(wanted):
        raise corrupt(file.where, f"its columns are {', '.join(rows.column_names) or 'none'}")
    return rows


def read_columns(file: VerifiedFile, rows: pa.Table) -> dict[str, Values]:
    """Values of the columns that `read_rows` returned, ascending by day.

    Raises
    ------
    CorruptStoreError
        When number or days of the rows are not those in the state.
    """
    try:
        columns = values_of(rows)
    except ValueError as error:
        raise corrupt(file.where, error) from error
    days, state = columns[DAY][0], file.state
    found = (len(days), days[0].decode(), days[-1].decode()) if len(days) else (0, None, None)
    if found != (state.rows, state.first, state.last):
        raise corrupt(
            file.where,
            f"it should have {state.rows} rows, {state.first} to {state.last}, and has {found}",
        )
    return columns


def summary(data: bytes, ticker: Ticker, where: str) -> State:
    """Read only the footer. `data` may be just the last `footer_bytes` of the file.

    Raises
    ------
    CorruptStoreError, StoreError
        As `decode`.
    """
    return _state(store_footer.read_footer(data, where), ticker, where)


def revisions_of(state: State, where: str) -> tuple[Revision, ...]:
    """Revisions that a file's state holds.

    Raises
    ------
    CorruptStoreError
        When the state holds something else there.
    """
    try:
        return store_state.revisions(state)
    except (TypeError, ValueError) as error:
        raise corrupt(where, error) from error


def _state(said: Mapping[str, Any], ticker: Ticker, where: str) -> State:
    try:
        state = State.of(said, ticker.table)
    except (KeyError, TypeError, ValueError) as error:
        raise corrupt(where, f"it does not say what it holds ({error!r})") from error
    if state.code != ticker.code:
        raise corrupt(where, f"it holds {state.code}, and lies where {ticker.code} should be")
    return state


@cache
def _selected(table: Table, names: tuple[str, ...]) -> pa.Schema:
    """Fields of some columns, in the order of the file."""
    return pa.schema([field for field in schema(table) if field.name in names])


def _check_rows(ticker: Ticker, rows: pd.DataFrame) -> None:
    if list(rows.columns) != schema(ticker.table).names:
        raise ValueError(f"{ticker}: the columns of the rows are {list(rows.columns)}")
    days = rows[DAY].to_numpy(dtype=object)
    if not (days[:-1] < days[1:]).all():
        raise ValueError(f"{ticker}: the rows do not ascend by day, each day once")


def _parquet(rows: pa.Table, table: Table, state: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        rows.schema,
        compression="lz4",
        # A dictionary makes values that seldom repeat larger and slower.
        use_dictionary=False,
        column_encoding={table.column_names[0]: "DELTA_BINARY_PACKED"},
        # Other readers may skip a file by its days; no other statistics are of use.
        write_statistics=[DAY],
        # Arrow's copy of the schema is large and slow to read. pandas' metadata is added below.
        store_schema=False,
    ) as writer:
        writer.write_table(rows, row_group_size=max(len(rows), 1))
        writer.add_key_value_metadata({store_footer.KEY: state, "pandas": _dtypes(table)})
    written: bytes = sink.getvalue().to_pybytes()
    return written


@cache
def _dtypes(table: Table) -> str:
    """The metadata from which ``pandas.read_parquet`` takes the dtypes."""
    values = {"day": "2000-01-01"}
    kinds = {column.name: column.kind for column in table.columns}
    one_row = {name: [values.get(kinds.get(name, ""), 0)] for name in schema(table).names}
    frame = to_frame(values_of(pa.table(one_row, schema=schema(table))), table)
    said: bytes = pa.Table.from_pandas(frame, preserve_index=False).schema.metadata[b"pandas"]
    return said.decode()


def _superseded(text: str, table: Table) -> pd.DataFrame:
    values = store_state.unpacked(text)
    if DAY not in values:
        raise ValueError("superseded prices are of no day")
    fields = [schema(table).field(name) for name in values]
    return to_frame(values_of(pa.table(values, schema=pa.schema(fields))), table)
