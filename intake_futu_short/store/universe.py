"""Many tickers of a store at once: one frame, a Dask frame, or a table of what is kept."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from intake_futu_short import schema
from intake_futu_short.calls import CALLS, Ticker
from intake_futu_short.errors import PanelError, StoreError, settle
from intake_futu_short.security import Security
from intake_futu_short.store import files as store_files
from intake_futu_short.store import paths as store_paths
from intake_futu_short.store import tables as store_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import dask.dataframe as dd
    import pyarrow as pa

    from intake_futu_short.calls import Table
    from intake_futu_short.store.file_system import StoreFileSystem
    from intake_futu_short.store.files import State

__all__ = ["Selection", "info", "read", "to_dask"]

# Files asked for together, and threads that ask: enough to hide the way to an object store, few
# enough to hold. On a local disk there is nothing to hide, only processors to keep busy.
_BATCH = 32
_REMOTE_WORKERS = 8
# Most footers are a quarter of this; the rest is asked for again.
_FOOTER_BYTES = 32_768

T = TypeVar("T")


@dataclass(frozen=True)
class Selection:
    """What of a market is wanted.

    Attributes
    ----------
    table : Table
        Whose columns.
    columns : tuple of str
        Some of them, in the order wanted.
    start, end : str or None
        First and last trading day, ``YYYY-MM-DD``.
    """

    table: Table
    columns: tuple[str, ...]
    start: str | None = None
    end: str | None = None


def read(
    files: StoreFileSystem, tickers: Sequence[Ticker], wanted: Selection, errors: str
) -> pd.DataFrame:
    """Rows of tickers, in their order, each one's newest first.

    Raises
    ------
    PanelError
        When files cannot be read, and `errors` is ``"raise"``.
    """

    def decode(content: bytes, ticker: Ticker, where: str) -> tuple[State, Any]:
        return store_files.read_table(
            content, ticker, where, wanted.columns, start=wanted.start, end=wanted.end
        )

    found, failures = _each(files, tickers, decode)
    states, tables = [state for state, _ in found], [rows for _, rows in found]
    del found
    frame = _frame(tables, [state.code for state in states], wanted)
    frame.attrs.update(_attributes(wanted.table, states))
    if wanted.table.attrs:
        # Not on Dask's partitions, each of which would carry the reports of all.
        seen = {state.code: state.reports for state in states}
        frame.attrs["aggregates_history"] = schema.reports(seen, wanted.table)
    _settle(failures, len(tickers), errors, frame)
    return frame


def to_dask(
    files: StoreFileSystem, tickers: Sequence[Ticker], wanted: Selection, errors: str
) -> dd.DataFrame:
    """One lazy task a ticker, which reads its file."""
    from intake_futu_short.dask import dask_frame  # noqa: PLC0415 - heavy and optional

    found, failures = _each(files, tickers, store_files.summary, last=_FOOTER_BYTES)
    meta = _frame([], [], wanted)
    meta.attrs.update(_attributes(wanted.table, [each.state for each in found]))
    _settle(failures, len(tickers), errors, meta, has_rows=False)
    kept = [each for each in found if each.has_any(wanted.start, wanted.end)]
    # Where each one's rows begin in the frame of all. No rows make one empty partition.
    begins = accumulate((each.state.rows for each in kept), initial=0)
    parts = [(each.state.code, begin) for each, begin in zip(kept, begins, strict=False)]
    return dask_frame(_Part(files, wanted, meta.attrs), parts or [("", 0)], meta)


@dataclass(frozen=True)
class _Part:
    """Reads a partition: a ticker's rows, on an index that goes on from the one before."""

    files: StoreFileSystem
    wanted: Selection
    attrs: Mapping[Any, Any]

    def __call__(self, part: tuple[str, int]) -> pd.DataFrame:
        code, begin = part
        call = CALLS[self.wanted.table.call_name]
        tickers = [Ticker(Security.parse(code), call)] if code else []
        try:
            frame = read(self.files, tickers, self.wanted, "raise")
        except PanelError as error:
            raise error.failures[code] from error
        frame.index = pd.RangeIndex(begin, begin + len(frame))
        frame.attrs = dict(self.attrs)
        return frame


def info(
    files: StoreFileSystem, sizes: Mapping[str, int], tickers: Sequence[Ticker], errors: str
) -> pd.DataFrame:
    """A row a ticker; `sizes` are in bytes, by code."""
    found, failures = _each(files, tickers, store_files.summary, last=_FOOTER_BYTES)
    text = schema.text_dtype()
    states = [each.state for each in found]
    checked = pd.Series([state.checked_s for state in states], dtype="float64")
    frame = pd.DataFrame(
        {
            "code": pd.Series([state.code for state in states], dtype=text),
            "rows": pd.Series([state.rows for state in states], dtype="int64"),
            "first": pd.Series([each.first for each in found], dtype=text),
            "last": pd.Series([each.last for each in found], dtype=text),
            "complete": pd.Series([state.is_complete for state in states], dtype="bool"),
            "checked": pd.to_datetime(checked, unit="s", utc=True).astype("datetime64[ns, UTC]"),
            "size_bytes": pd.Series([sizes[state.code] for state in states], dtype="int64"),
        }
    )
    _settle(failures, len(tickers), errors, frame)
    return frame


def _each(
    files: StoreFileSystem,
    tickers: Sequence[Ticker],
    decode: Callable[[bytes, Ticker, str], T],
    last: int | None = None,
) -> tuple[list[T], dict[str, Exception]]:
    """Read the files of tickers side by side, and keep the errors of those that fail.

    Parameters
    ----------
    files, tickers
        Which.
    decode : callable
        Takes a file's content, whose it is, and its name.
    last : int, optional
        Only so many bytes at the end of each file, or as many as its footer has.
    """

    def read_batch(batch: Sequence[Ticker]) -> list[T | Exception]:
        paths = [store_paths.file_path(ticker) for ticker in batch]
        return [
            read_one(ticker, path, content)
            for ticker, path, content in zip(batch, paths, files.get_many(paths, last), strict=True)
        ]

    def read_one(ticker: Ticker, path: str, content: bytes | Exception) -> T | Exception:
        try:
            if last is not None and isinstance(content, bytes):
                needed = store_files.footer_bytes(content)
                if needed > len(content):
                    content = files.get_many([path], needed)[0]
            if isinstance(content, Exception):
                return content
            return decode(content, ticker, files.show(path))
        except StoreError as error:
            return error

    found: list[T] = []
    failures: dict[str, Exception] = {}
    workers = (os.cpu_count() or 1) if files.is_local else _REMOTE_WORKERS
    batches = [tickers[i : i + _BATCH] for i in range(0, len(tickers), _BATCH)]
    with ThreadPoolExecutor(workers, thread_name_prefix="intake-futu-short-store") as pool:
        for batch, answers in zip(batches, pool.map(read_batch, batches), strict=True):
            for ticker, answer in zip(batch, answers, strict=True):
                if isinstance(answer, Exception):
                    failures[ticker.code] = answer
                else:
                    found.append(answer)
    return found, failures


def _settle(
    failures: dict[str, Exception],
    tickers: int,
    errors: str,
    frame: pd.DataFrame,
    *,
    has_rows: bool = True,
) -> None:
    """Raise what failed, or warn and name in the attributes of `frame` what is left out."""
    failures = dict(sorted(failures.items()))
    others = ", its `partial` what was read of the others" if has_rows else ""
    settle(
        failures,
        tickers,
        frame if has_rows else None,
        warns=errors == "warn",
        advice=f"This error's `failures` has every error{others}; errors='warn' does without the "
        "failed ones.",
    )
    if failures:
        frame.attrs["failed"] = list(failures)


def _frame(tables: list[pa.Table], codes: Sequence[str], wanted: Selection) -> pd.DataFrame:
    # The files ascend by day. Put together last code first and read backwards, they are as
    # wanted, and each column is turned round once.
    counts = [rows.num_rows for rows in tables]
    tables.reverse()
    columns = store_tables.newest_first(tables, wanted.table, wanted.columns)
    code = store_tables.repeated(codes, counts)
    return pd.DataFrame({"code": code, **columns}, copy=False, index=pd.RangeIndex(sum(counts)))


def _attributes(table: Table, states: Sequence[State]) -> dict[str, Any]:
    attrs: dict[str, Any] = {"market": table.market.name}
    if table.attrs:
        # One string: pandas copies attributes at every operation, however many tickers there are.
        latest = {state.code: state.reports[-1] for state in states if state.reports}
        attrs["aggregates"] = json.dumps(latest)
    return attrs
