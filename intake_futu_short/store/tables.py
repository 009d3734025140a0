"""Arrow tables, as Parquet gives them → pandas columns in the dtypes of `schema`. Pure."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from intake_futu_short.schema import text_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intake_futu_short.calls import Table

__all__ = ["newest_first", "repeated", "schema", "to_frame"]

_INT64: Any = pd.Int64Dtype()  # its way from Arrow is in no stubs


_ARROW_TYPES = {
    "timestamp": pa.int64(),
    "day": pa.string(),
    "count": pa.int64(),
    "price": pa.float64(),
    "number": pa.float64(),
}


@cache
def schema(table: Table) -> pa.Schema:
    """Columns of the files and their types; all may be null but the first two."""
    return pa.schema(
        [
            pa.field(c.name, _ARROW_TYPES[c.kind], nullable=c.kind not in {"timestamp", "day"})
            for c in table.columns
        ]
    )


def to_frame(rows: pa.Table, table: Table) -> pd.DataFrame:
    """Rows in their order, with whichever of the market's columns there are."""
    kinds = _kinds(table)
    columns = {name: _column(rows.column(name), kinds[name]) for name in rows.column_names}
    return pd.DataFrame(columns, copy=False, index=pd.RangeIndex(rows.num_rows))


def newest_first(parts: list[pa.Table], table: Table, names: Sequence[str]) -> dict[str, Any]:
    """Columns of all tables' rows, one table after the other, in the opposite order.

    The list is emptied: of millions of rows there is then no more than one column twice.
    """
    kinds = _kinds(table)
    empty = schema(table).empty_table().select(list(names))
    rest = pa.concat_tables([empty, *parts])
    parts.clear()
    columns: dict[str, Any] = {}
    for name in names:
        values = rest.column(0)
        rest = rest.remove_column(0)
        if kinds[name] == "day":
            columns[name] = _days_reversed(values)
        else:
            columns[name] = _column(values, kinds[name])[::-1].copy()
        del values
    return columns


def repeated(texts: Sequence[str], counts: Sequence[int]) -> Any:
    """Each text as often as its count says."""
    indices = np.repeat(np.arange(len(texts), dtype=np.int32), counts)
    return _taken(pa.array(texts, pa.string()), indices)


def _kinds(table: Table) -> dict[str, str]:
    return {column.name: column.kind for column in table.columns}


def _column(values: pa.ChunkedArray, kind: str) -> Any:
    if kind == "count":
        return _INT64.__from_arrow__(values)
    if kind == "day":
        return _texts(values)
    numbers = values.to_numpy()
    # One chunk without a missing value is Arrow's own memory, which may not be written to.
    return numbers if numbers.flags.writeable else numbers.copy()


def _days_reversed(values: pa.ChunkedArray) -> Any:
    # The same few days come again with every ticker.
    encoded = values.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return _taken(encoded.dictionary, encoded.indices.to_numpy()[::-1])


def _taken(texts: pa.Array, indices: np.ndarray[Any, Any]) -> Any:
    if text_dtype() == np.dtype(object):
        return texts.to_numpy(zero_copy_only=False)[indices]
    return _texts(pa.chunked_array([texts.cast(pa.large_string()).take(pa.array(indices))]))


def _texts(values: pa.ChunkedArray) -> Any:
    """Strings as this pandas keeps them."""
    dtype = text_dtype()
    return values.to_numpy() if dtype == np.dtype(object) else dtype.__from_arrow__(values)
