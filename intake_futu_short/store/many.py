"""Many tickers of a store at once: one frame, a Dask frame, or a table of what is kept."""

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

    Source = tuple[Ticker, str]  # whose a file is, and its path
    Take = Callable[[bytes, Ticker, str], Any]
    Step = Callable[[Any], Any]

__all__ = ["Selection", "info", "read", "revisions", "to_dask"]

# Files asked for together, and threads that ask: enough to hide the latency of an object store, few
# enough to hold in memory.
_BATCH = 32
_WORKERS = 8
# Most footers are a quarter of this; the rest is asked for again.
_FOOTER_BYTES = 16_384


@dataclass(frozen=True)
class Selection:
    """The rows and columns that a read selects.

    Attributes
    ----------
    table : Table
        Whose columns.
    columns : tuple of str
        Some of those of its frames and perhaps `FIRST_SEEN`, in the order wanted; the day is one.
    start, end : str or None
        First and last trading day, ``YYYY-MM-DD``.
    as_of_s : float or None
        What was known at this moment, Unix seconds; None: what is known now.
    """

    table: Table
    columns: tuple[str, ...]
    start: str | None = None
    end: str | None = None
    as_of_s: float | None = None

    @cached_property
    def kept(self) -> tuple[str, ...]:
        """Those of `columns` that the files have: what is published when is worked out."""
        return tuple(name for name in self.columns if name != PUBLISHED)


def read(
    files: StoreFileSystem, sources: Sequence[Source], wanted: Selection, errors: str
) -> pd.DataFrame:
    """Rows of tickers, in their order, each one's newest first.

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
        # Not on Dask's partitions, each of which would carry the reports of all.
        frame.attrs["aggregates_history"] = schema.reports(_reports(states), wanted.table)
    _settle(failures, len(sources), errors, frame)
    return frame


def _as_now(wanted: Selection) -> tuple[Take, list[Step]]:
    """How a file is read for what is known now, in the steps of `_each`."""

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
    """How a file is read for what was known at a moment, which is done in one go."""

    def take(data: bytes, ticker: Ticker, where: str) -> tuple[State, dict[str, Values]]:
        history = store_parquet.decode(data, ticker, where)
        try:
            known = known_at(history, wanted.as_of_s or 0.0, ticker.table, ticker.market)
            columns = store_tables.values_of(store_tables.to_arrow(known.rows, ticker.table))
        except (KeyError, OverflowError, TypeError, ValueError, pa.ArrowException) as error:
            # Only now it is known whether what was replaced fits in its place.
            raise corrupt(where, f"a revision cannot be undone ({error!r})") from error
        chosen = store_tables.newest_first(columns, wanted.start, wanted.end)
        state = store_parquet.summary(data, ticker, where)
        return replace(state, reports=known.reports), chosen

    return take, []


def to_dask(
    files: StoreFileSystem, sources: Sequence[Source], wanted: Selection, errors: str
) -> dd.DataFrame:
    """One lazy task a ticker, which reads its file."""
    from intake_futu_short.dask import dask_frame  # noqa: PLC0415 - heavy and optional

    def take(data: bytes, ticker: Ticker, where: str) -> State:
        state = store_parquet.summary(data, ticker, where)
        return state if wanted.as_of_s is None else _state_as_of(state, wanted, where)

    found, failures = _each(files, sources, take, last=_FOOTER_BYTES)
    meta = _frame([], [], wanted)
    meta.attrs.update(_attributes(wanted.table, found))
    _settle(failures, len(sources), errors, meta, has_rows=False)
    kept = [each for each in found if each.has_any(wanted.start, wanted.end)]
    # Where each one's rows begin in the frame of all. No rows make one empty partition.
    begins = accumulate((each.rows for each in kept), initial=0)
    parts = [(each.code, begin) for each, begin in zip(kept, begins, strict=False)]
    return dask_frame(_Part(files, wanted, meta.attrs), parts or [("", 0)], meta)


@dataclass(frozen=True)
class _Part:
    """Reads a partition: a ticker's rows, on an index that goes on from the one before."""

    files: StoreFileSystem
    wanted: Selection
    attrs: Mapping[Any, Any]

    def __call__(self, part: tuple[str, int], columns: Sequence[str] | None = None) -> pd.DataFrame:
        # Dask passes `columns`, because it is named so, when no others are used afterwards.
        wanted = self.wanted
        if columns is not None:
            # Rows are chosen by their day, also where nobody asks for it.
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
            "checked": pd.to_datetime(checked, unit="s", utc=True).astype("datetime64[ns, UTC]"),
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
            # Numbers as they came: floats would not hold every count.
            "old": pd.Series(old, dtype=object),
            "new": pd.Series(new, dtype=object),
            "seen": pd.Series(seen, dtype="float64"),
        }
    )
    _settle(failures, len(sources), errors, frame)
    return frame


def _state_as_of(state: State, wanted: Selection, where: str) -> State:
    """A file's state as it was known at a moment: its reports, and at most how many rows it had."""
    moment_s, table = wanted.as_of_s or 0.0, wanted.table
    reports = tuple(reports_known(state.reports, moment_s, table, table.market))
    records = store_parquet.revisions_of(state, where)
    withdrawn = sum(one.column == ROW and one.seen_s > moment_s for one in records)
    # Rows that were withdrawn since may be of any day.
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
    """Read the files of tickers side by side, and keep the errors of those that fail.

    Parameters
    ----------
    files, sources
        Which: whose each file is, and where.
    take : callable
        Takes a file's content, whose it is, and its name.
    steps : sequence of callable
        Each takes what the one before has made of a file. A step is done for a batch of files
        before the next one begins: processors are faster when they do the same again.
    last : int, optional
        Only so many bytes at the end of each file, or as many as its footer has.
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

    A local disk has none: threads would only take the interpreter from each other.
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
        # One string: pandas copies attributes at every operation, however many tickers there are.
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
    for state in states:  # a code that was set aside more than once has several, the newest first
        reports[state.code] = [*state.reports, *reports.get(state.code, ())]
    return reports
