"""Arrow tables of Parquet files ↔ pandas columns with the dtypes of `schema`. Pure."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from intake_futu_short.history.ticker_history import DAY, FIRST_SEEN
from intake_futu_short.schema import text_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from intake_futu_short.calls import Table

__all__ = [
    "Values",
    "joined",
    "newest_first",
    "repeated",
    "schema",
    "to_arrow",
    "to_frame",
    "values_of",
]

_INT64_ARRAY: Any = pd.arrays.IntegerArray
_DAY_BYTES = len("YYYY-MM-DD")

# A column's values (days are bytes) and a mask of the missing ones. The mask is None if none are
# missing, or if they are NaN.
Values = tuple["NDArray[Any]", "NDArray[np.bool_] | None"]

_ARROW_TYPES = {
    "timestamp": pa.int64(),
    "day": pa.string(),
    "count": pa.int64(),
    "price": pa.float64(),
    "number": pa.float64(),
}


@cache
def schema(table: Table) -> pa.Schema:
    """Columns of the files and their types. All but the first two may be null."""
    return pa.schema(
        [
            pa.field(c.name, _ARROW_TYPES[c.kind], nullable=c.kind not in {"timestamp", "day"})
            for c in table.columns
        ]
        + [pa.field(FIRST_SEEN, pa.float64())]
    )


def to_arrow(rows: pd.DataFrame, table: Table) -> pa.Table:
    """Convert the columns that `rows` have; missing values become null."""
    types = schema(table)
    fields = [types.field(name) for name in rows.columns]
    columns = [pa.array(rows[field.name], field.type, from_pandas=True) for field in fields]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def values_of(rows: pa.Table) -> dict[str, Values]:
    """Values of each column. A column without missing values is a view of Arrow's memory.

    Raises
    ------
    ValueError
        When a day does not have ten characters.
    """
    return {
        name: _values(name, column)
        for name, column in zip(rows.column_names, rows.columns, strict=True)
    }


def to_frame(columns: Mapping[str, Values], table: Table) -> pd.DataFrame:
    """Rows in the same order, with those of the market's columns that are given."""
    kinds = _kinds(table)
    return pd.DataFrame(
        {name: _joined([values], kinds[name]) for name, values in columns.items()}, copy=False
    )


def newest_first(
    columns: Mapping[str, Values], start: str | None, end: str | None
) -> dict[str, Values]:
    """Reverse ascending rows and keep those from `start` to `end`, both inclusive.

    If all rows are kept, the results are views. Otherwise they are copies, so that the memory of
    the other rows can be freed.
    """
    if start is None and end is None:
        return {name: _turned(values, slice(None)) for name, values in columns.items()}
    days = columns[DAY][0]
    begin = 0 if start is None else days.searchsorted(start.encode(), "left")
    stop = len(days) if end is None else days.searchsorted(end.encode(), "right")
    return {name: _copied(_turned(values, slice(begin, stop))) for name, values in columns.items()}


def _turned(column: Values, rows: slice) -> Values:
    values, missing = column
    return values[rows][::-1], None if missing is None else missing[rows][::-1]


def _copied(column: Values) -> Values:
    values, missing = column
    return values.copy(), None if missing is None else missing.copy()


def joined(parts: list[dict[str, Values]], table: Table, names: Sequence[str]) -> dict[str, Any]:
    """Concatenate the columns of parts, as pandas holds them.

    `parts` is emptied on the way, so that only one column at a time is in memory twice.
    """
    kinds = _kinds(table)
    pieces = {name: [part[name] for part in parts] for name in names}
    parts.clear()
    return {name: _joined(pieces.pop(name), kinds[name]) for name in names}


def _joined(pieces: list[Values], kind: str) -> Any:
    dtype = {"day": f"S{_DAY_BYTES}", "count": "int64", "timestamp": "int64"}.get(kind, "float64")
    values = np.concatenate([np.empty(0, dtype), *(values for values, _ in pieces)])
    if kind == "day":
        return _days(values)
    return _INT64_ARRAY(values, _missing(pieces, len(values))) if kind == "count" else values


def _missing(pieces: list[Values], length: int) -> NDArray[np.bool_]:
    mask = np.zeros(length, bool)
    end = 0
    for values, missing in pieces:
        begin, end = end, end + len(values)
        if missing is not None:
            mask[begin:end] = missing
    return mask


def repeated(texts: Sequence[str], counts: Sequence[int]) -> Any:
    """Repeat each text as often as its count."""
    times = np.array(counts, np.int64)
    if text_dtype() == np.dtype(object):
        return np.repeat(np.array(texts, object), times)
    encoded = [text.encode() for text in texts]
    characters = b"".join(text * count for text, count in zip(encoded, counts, strict=True))
    lengths = np.repeat(np.array([*map(len, encoded)], np.int64), times)
    return _in_arrow(_texts(characters, lengths))


def _kinds(table: Table) -> dict[str, str]:
    return {**{column.name: column.kind for column in table.columns}, FIRST_SEEN: "number"}


def _values(name: str, column: pa.ChunkedArray) -> Values:
    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if name == DAY:
        return _day_bytes(values), None
    if not values.null_count:
        return values.to_numpy(), None
    if pa.types.is_floating(values.type):
        return values.to_numpy(zero_copy_only=False), None  # with NaN
    return values.fill_null(0).to_numpy(), values.is_null().to_numpy(zero_copy_only=False)


def _day_bytes(days: pa.StringArray) -> NDArray[np.bytes_]:
    if len(days) == 0:
        return np.empty(0, f"S{_DAY_BYTES}")
    _, offsets, characters = days.buffers()
    ends = np.frombuffer(offsets, np.int32)
    begin, end = int(ends[days.offset]), int(ends[days.offset + len(days)])
    if end - begin != _DAY_BYTES * len(days):
        raise ValueError("a day is not written as YYYY-MM-DD")
    return np.frombuffer(characters, f"S{_DAY_BYTES}", len(days), begin)


def _days(days: NDArray[np.bytes_]) -> Any:
    """Days in the string dtype of this pandas."""
    texts = _texts(days.view(np.uint8), np.full(len(days), _DAY_BYTES))
    if text_dtype() != np.dtype(object):
        return _in_arrow(texts)
    # Tickers share the same few days. Each day becomes one Python object.
    encoded = texts.dictionary_encode()
    return encoded.dictionary.to_numpy(zero_copy_only=False)[encoded.indices.to_numpy()]


def _texts(characters: bytes | NDArray[np.uint8], lengths: NDArray[np.int64]) -> pa.Array:
    """Arrow texts from concatenated characters and their lengths."""
    ends = np.concatenate([[0], lengths.cumsum()], dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(characters)]
    return pa.Array.from_buffers(pa.large_string(), len(lengths), buffers)


def _in_arrow(texts: pa.Array) -> Any:
    """Strings for a pandas that stores them as Arrow arrays."""
    return text_dtype().__from_arrow__(pa.chunked_array([texts]))
