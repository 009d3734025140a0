"""Reads many tickers of a store into one frame, a Dask frame, or a table of their states."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from intake_futu_short import schema
from intake_futu_short.calls import CALLS, PUBLISHED, Ticker
from intake_futu_short.errors import PanelError, StoreError, settle
from intake_futu_short.history.as_of import known_at, reports_known
from intake_futu_short.history.ticker_history import DAY, ROW
from intake_futu_short.security import Security
from intake_futu_short.store import parquet as store_parquet
from intake_futu_short.store import paths as store_paths
from intake_futu_short.store import tables as store_tables
from intake_futu_short.store.footer import corrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import dask.dataframe as dd

    from intake_futu_short.calls import Table
    from intake_futu_short.history.ticker_history import Revision
    from intake_futu_short.store.file_system import StoreFileSystem
    from intake_futu_short.store.parquet import State, VerifiedFile
    from intake_futu_short.store.tables import Values

    Source = tuple[Ticker, str]  # the ticker of a file, and its path
    Take = Callable[[bytes, Ticker, str], Any]
    Step = Callable[[Any], Any]

__all__ = ["Selection", "info", "read", "revisions", "to_dask"]

# Files in a batch, and threads that read them. They are enough to hide the latency of an object
# store, and few enough to fit in memory.
_BATCH = 32
_WORKERS = 8
# Bytes read from the end of a file first. Most footers are a quarter of this; longer ones cost a
# second request.
_FOOTER_BYTES = 16_384


@dataclass(frozen=True)
class Selection:
    """The rows and columns that a read selects.

    Attributes
    ----------
    table : Table
        The table of the columns.
    columns : tuple of str
        Names of columns, in the order wanted, from the table's frames and `FIRST_SEEN`. The day is
        always among them.
    start, end : str or None
        First and last trading day, ``YYYY-MM-DD``.
    as_of_s : float or None
        Read what was known at this time, Unix seconds; None reads what is known now.
    """

    table: Table
    columns: tuple[str, ...]
    start: str | None = None
    end: str | None = None
    as_of_s: float | None = None

    @cached_property
    def kept(self) -> tuple[str, ...]:
        """Those of `columns` that the files have. ``published`` is computed, not stored."""
        return tuple(name for name in self.columns if name != PUBLISHED)


def read(
    files: StoreFileSystem, sources: Sequence[Source], wanted: Selection, errors: str
) -> pd.DataFrame:
    """Rows of tickers, ticker by ticker, newest first within each.

    Raises
    ------
    PanelError
        When files cannot be read, and `errors` is ``"raise"``.
    """
    take, steps = _as_of(wanted) if wanted.as_of_s is not None else _as_now(wanted)
    found, failures = _each(files, sources, take, steps)
    states = [state for state, _ in found]
    codes = [state.code for state, values in found if values is not None]
    parts = [values for _, values in found if values is not None]
    del found
    frame = _frame(codes, parts, wanted)
    frame.attrs.update(_attributes(wanted.table, states))
    if wanted.table.attrs:
        # Dask's frames do without: each partition would carry the reports of all tickers.
        frame.attrs["aggregates_history"] = schema.reports(_reports(states), wanted.table)
    _settle(failures, len(sources), errors, frame)
    return frame


def _as_now(wanted: Selection) -> tuple[Take, list[Step]]:
    """The steps of `_each` that read what is known now."""

    def read_rows(file: VerifiedFile) -> tuple[VerifiedFile, pa.Table]:
        has_any = file.state.has_any(wanted.start, wanted.end)
        return file, store_parquet.read_rows(file, wanted.kept) if has_any else None

    def choose(found: tuple[VerifiedFile, pa.Table]) -> tuple[State, dict[str, Values] | None]:
        file, rows = found
        if rows is None:
            return file.state, None
        columns = store_parquet.read_columns(file, rows)
        return file.state, store_tables.newest_first(columns, wanted.start, wanted.end)

    return store_parquet.verify, [read_rows, choose]


def _as_of(wanted: Selection) -> tuple[Take, list[Step]]:
    """The one step of `_each` that reads what was known at a moment."""

    def take(data: bytes, ticker: Ticker, where: str) -> tuple[State, dict[str, Values]]:
        history = store_parquet.decode(data, ticker, where)
        try:
            known = known_at(history, wanted.as_of_s or 0.0, ticker.table, ticker.market)
            columns = store_tables.values_of(store_tables.to_arrow(known.rows, ticker.table))
        except (KeyError, OverflowError, TypeError, ValueError, pa.ArrowException) as error:
            # The old values are checked only here, where they are put back.
            raise corrupt(where, f"a revision cannot be undone ({error!r})") from error
        chosen = store_tables.newest_first(columns, wanted.start, wanted.end)
        state = store_parquet.summary(data, ticker, where)
        return replace(state, reports=known.reports), chosen

    return take, []


def to_dask(
    files: StoreFileSystem, sources: Sequence[Source], wanted: Selection, errors: str
) -> dd.DataFrame:
    """A Dask frame with one lazy task per ticker, which reads the ticker's file."""
    from intake_futu_short.dask import dask_frame  # noqa: PLC0415 - heavy and optional

    def take(data: bytes, ticker: Ticker, where: str) -> State:
        state = store_parquet.summary(data, ticker, where)
        return state if wanted.as_of_s is None else _state_as_of(state, wanted, where)

    found, failures = _each(files, sources, take, last=_FOOTER_BYTES)
    meta = _frame([], [], wanted)
    meta.attrs.update(_attributes(wanted.table, found))
    _settle(failures, len(sources), errors, meta, has_rows=False)
    kept = [each for each in found if each.has_any(wanted.start, wanted.end)]
    # Position of each ticker's first row in the whole frame. Without rows there is one empty
    # partition.
    begins = accumulate((each.rows for each in kept), initial=0)
    parts = [(each.code, begin) for each, begin in zip(kept, begins, strict=False)]
    return dask_frame(_Part(files, wanted, meta.attrs), parts or [("", 0)], meta)


@dataclass(frozen=True)
class _Part:
    """Reads a partition: a ticker's rows, with an index that continues the previous one's."""

    files: StoreFileSystem
    wanted: Selection
    attrs: Mapping[Any, Any]

    def __call__(self, part: tuple[str, int], columns: Sequence[str] | None = None) -> pd.DataFrame:
        # Dask recognizes the parameter's name, and passes the columns that are used afterwards.
        wanted = self.wanted
        if columns is not None:
            # The day is always read, because rows are selected by it.
            read_too = {*columns, DAY}
            wanted = replace(wanted, columns=tuple(n for n in wanted.columns if n in read_too))
        code, begin = part
        call = CALLS[self.wanted.table.call_name]
        tickers = [Ticker(Security.known(code), call)] if code else []
        sources = [(ticker, store_paths.file_path(ticker)) for ticker in tickers]
        try:
            frame = read(self.files, sources, wanted, "raise")
        except PanelError as error:
            raise error.failures[code] from error
        frame.index = pd.RangeIndex(begin, begin + len(frame))
        frame.attrs = dict(self.attrs)
        return frame if columns is None else frame[list(columns)]


def info(
    files: StoreFileSystem, sizes: Mapping[str, int], sources: Sequence[Source], errors: str
) -> pd.DataFrame:
    """Make a table with one row per ticker; `sizes` are in bytes, by code."""
    states, failures = _each(files, sources, store_parquet.summary, last=_FOOTER_BYTES)
    text = schema.text_dtype()
    checked = pd.Series([state.checked_s for state in states], dtype="float64")
    frame = pd.DataFrame(
        {
            "code": pd.Series([state.code for state in states], dtype=text),
            "rows": pd.Series([state.rows for state in states], dtype="int64"),
            "first": pd.Series([state.first for state in states], dtype=text),
            "last": pd.Series([state.last for state in states], dtype=text),
            "complete": pd.Series([state.is_complete for state in states], dtype="bool"),
            "checked": schema.moments(checked).astype("datetime64[ns, UTC]"),
            "size_bytes": pd.Series([sizes[state.code] for state in states], dtype="int64"),
        }
    )
    _settle(failures, len(sources), errors, frame)
    return frame


def revisions(files: StoreFileSystem, sources: Sequence[Source], errors: str) -> pd.DataFrame:
    """Make the table that `FutuShortStore.revisions` describes."""

    def take(data: bytes, ticker: Ticker, where: str) -> tuple[str, tuple[Revision, ...]]:
        state = store_parquet.summary(data, ticker, where)
        return state.code, store_parquet.revisions_of(state, where)

    found, failures = _each(files, sources, take, last=_FOOTER_BYTES)
    rows = [(code, *one) for code, revised in found for one in revised]
    text = schema.text_dtype()
    codes, days, columns, old, new, seen = zip(*rows, strict=True) if rows else [()] * 6
    frame = pd.DataFrame(
        {
            "code": pd.Series(codes, dtype=text),
            "day": pd.Series(days, dtype=text),
            "column": pd.Series(columns, dtype=text),
            # dtype object keeps ints as they are: floats cannot hold every count.
            "old": pd.Series(old, dtype=object),
            "new": pd.Series(new, dtype=object),
            "seen": pd.Series(seen, dtype="float64"),
        }
    )
    _settle(failures, len(sources), errors, frame)
    return frame


def _state_as_of(state: State, wanted: Selection, where: str) -> State:
    """A file's state as known at a moment: its reports, and an upper bound of its rows."""
    moment_s, table = wanted.as_of_s or 0.0, wanted.table
    reports = tuple(reports_known(state.reports, moment_s, table, table.market))
    records = store_parquet.revisions_of(state, where)
    withdrawn = sum(one.column == ROW and one.seen_s > moment_s for one in records)
    # Rows that were withdrawn since may have any day.
    return replace(
        state, reports=reports, rows=state.rows + withdrawn, first="0000-00-00", last="9999-99-99"
    )


def _each(
    files: StoreFileSystem,
    sources: Sequence[Source],
    take: Take,
    steps: Sequence[Step] = (),
    *,
    last: int | None = None,
) -> tuple[list[Any], dict[str, Exception]]:
    """Read the files of tickers concurrently, and collect the errors of those that fail.

    Parameters
    ----------
    files, sources
        The store's files, and the ticker and path of each one to read.
    take : callable
        Takes a file's content, its ticker and its name.
    steps : sequence of callable
        Each takes the result of the one before. A step runs over a whole batch of files before the
        next step begins, which makes better use of the processor's caches.
    last : int, optional
        Read only so many bytes at the end of each file, or its whole footer if that is longer.
    """

    def read_batch(batch: Sequence[Source]) -> list[Any]:
        contents = files.get_many([path for _, path in batch], last)
        found = [
            read_one(ticker, path, content)
            for (ticker, path), content in zip(batch, contents, strict=True)
        ]
        for step in steps:
            found = [_done(step, one) for one in found]
        return found

    def read_one(ticker: Ticker, path: str, content: bytes | Exception) -> Any:
        if last is not None and isinstance(content, bytes):
            needed = store_parquet.footer_bytes(content)
            if needed > len(content):
                content = files.get_many([path], needed)[0]
        return _done(lambda data: take(data, ticker, files.show(path)), content)

    found: list[Any] = []
    failures: dict[str, Exception] = {}
    batches = [sources[i : i + _BATCH] for i in range(0, len(sources), _BATCH)]
    with _mapping(files) as mapped:
        for batch, answers in zip(batches, mapped(read_batch, batches), strict=True):
            for (ticker, _), answer in zip(batch, answers, strict=True):
                if isinstance(answer, Exception):
                    failures[ticker.code] = answer
                else:
                    found.append(answer)
    return found, failures


def _done(step: Callable[[Any], Any], value: Any) -> Any:
    """Apply a step to a value; an error is passed on unchanged."""
    if isinstance(value, Exception):
        return value
    try:
        return step(value)
    except StoreError as error:
        return error


@contextmanager
def _mapping(files: StoreFileSystem) -> Iterator[Callable[..., Iterable[Any]]]:
    """A ``map`` that hides the latency of files.

    Local files are read without threads, which would only compete for the interpreter.
    """
    if files.is_local:
        yield map
        return
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="intake-futu-short-store") as pool:
        yield pool.map


def _settle(
    failures: dict[str, Exception],
    tickers: int,
    errors: str,
    frame: pd.DataFrame,
    *,
    has_rows: bool = True,
) -> None:
    """Raise an error for the failures, or warn and list them in the attributes of `frame`."""
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


def _frame(codes: Sequence[str], parts: list[dict[str, Values]], wanted: Selection) -> pd.DataFrame:
    counts = [len(part[DAY][0]) for part in parts]
    code = store_tables.repeated(codes, counts)
    columns = store_tables.joined(parts, wanted.table, wanted.kept)
    index = pd.RangeIndex(sum(counts))
    frame = pd.DataFrame({"code": code, **columns}, copy=False, index=index)
    if len(wanted.kept) == len(wanted.columns):
        return frame
    return schema.with_published(frame, wanted.table)[["code", *wanted.columns]]


def _attributes(table: Table, states: Sequence[State]) -> dict[str, Any]:
    attrs: dict[str, Any] = {"market": table.market.name}
    if table.attrs:
        # One string, because pandas deep-copies attributes at every operation.
        latest = {
            code: {name: reports[-1].get(name) for name in table.attr_names}
            for code, reports in _reports(states).items()
            if reports
        }
        attrs["aggregates"] = json.dumps(latest)
    return attrs


def _reports(states: Sequence[State]) -> dict[str, list[Mapping[str, Any]]]:
    """Reports by code, in the order in which they came."""
    reports: dict[str, list[Mapping[str, Any]]] = {}
    for state in states:  # a code set aside more than once has several states, newest first
        reports[state.code] = [*state.reports, *reports.get(state.code, ())]
    return reports
