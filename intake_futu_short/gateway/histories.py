"""Histories: the rows that a gateway serves of each security, and the files that hold them.

A directory holds one ``<CODE>.csv`` per ticker, whose header names columns of the market. It can
also hold ``aggregates.json``, with reported open short positions by code.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.errors import ConfigError, StoreError
from intake_futu_short.security import HK, Security

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.abc import Traversable

    from intake_futu_short.calls import Call, Column, Table
    from intake_futu_short.security import Market

    Value = int | float | str | None
    Row = Mapping[str, Value]

__all__ = ["History", "read_histories", "sample_directory", "sample_histories"]

AGGREGATES_FILE = "aggregates.json"

_AGGREGATES = SHORT_VOLUME.table(HK).attrs
_AGGREGATE_NAMES = SHORT_VOLUME.table(HK).attr_names


@dataclass(frozen=True)
class History:
    """The rows that a gateway serves of one security.

    Attributes
    ----------
    security : Security
        Security that the rows belong to.
    rows : sequence of mapping of str to value
        One row per trading day, newest first. A row maps column names to values. A value that is
        missing or None is not sent. Each row needs its day, as `timestamp_str` or as `timestamp`.
        If it has both, `timestamp_str` is the day, and `timestamp` is sent as it is.
    aggregated_short : int, optional
        Reported open short position, in shares. HK only, as are the next two.
    aggregated_short_ratio : float, optional
        The same position in percent of the shares outstanding.
    new_time_str : str, optional
        Day of that report, ``YYYY-MM-DD``.
    call : Call
        The gateway's call that these rows answer.
    days : tuple of str
        Trading day of each row. Not an argument.

    Raises
    ------
    ConfigError
        When a value does not fit its column, a row has no day, or days are out of order.

    Examples
    --------
    Rows of your own, for a test of your program:

    >>> import intake
    >>> from intake_futu_short.gateway import Gateway, History
    >>> from intake_futu_short.security import Security
    >>> row = {"timestamp_str": "2026-06-18", "total_shares_short": 300, "volume": 1000}
    >>> mine = History(Security.parse("US.MINE"), rows=[row])
    >>> with Gateway({"US.MINE": mine}) as gateway:
    ...     df = intake.open_futu_short("US.MINE", gateway=gateway.url).read()
    >>> df.shortvol.short_ratio().tolist()
    [0.3]
    """

    security: Security
    rows: Sequence[Row]
    aggregated_short: int | None = None
    aggregated_short_ratio: float | None = None
    new_time_str: str | None = None
    call: Call = SHORT_VOLUME
    days: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        market = self.security.market
        table = self.call.table(market)
        columns = {column.name: column for column in table.columns}
        for row in self.rows:
            for name, value in row.items():
                if name not in columns:
                    raise ConfigError(f"{self.security}: rows of {market.name} have no {name!r}")
                _check(columns[name], value, *_bounds(columns[name], row))
        days = tuple(_day_of(market, row) for row in self.rows)
        object.__setattr__(self, "days", days)
        for newer, older in pairwise(days):
            if newer <= older:
                what = "is there twice" if newer == older else "stands above a newer day"
                raise ConfigError(f"{self.security}: trading day {newer} {what}")
        for attr in _AGGREGATES:
            value = getattr(self, attr.name)
            if value is not None and attr not in table.attrs:
                raise ConfigError(f"{self.security}: there are no aggregates in this market")
            _check(attr, value, -(2**63), 2**63)


def _day_of(market: Market, row: Row) -> str:
    """Trading day ``YYYY-MM-DD`` of a row.

    Raises
    ------
    ConfigError
        When the row has no day.
    """
    day, timestamp = row.get("timestamp_str"), row.get("timestamp")
    if isinstance(day, str):
        return day
    if isinstance(timestamp, int):
        return market.day(timestamp)
    raise ConfigError("a row has neither timestamp nor timestamp_str")


def _bounds(column: Column, row: Row) -> tuple[int, int]:
    """The smallest whole number that a value may be, and the first one that is too large."""
    if column.kind != "timestamp":
        return 0, 2**64
    # If the day comes from the timestamp, it must be in a range that every platform can convert.
    return (-(2**63), 2**63) if row.get("timestamp_str") is not None else (0, 2**35)


def _check(column: Column, value: object, least: int, limit: int) -> None:
    """Raise a ConfigError for a value that the column's field cannot hold."""
    if value is None:
        return
    if column.kind in {"timestamp", "count"}:
        fits = type(value) is int and least <= value < limit
    else:
        fits = _is_day(value) if column.kind == "day" else _is_number(value)
    if not fits:
        raise ConfigError(f"{column.name} {value!r} is not a {column.kind}")


def _is_number(value: object) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 2**63)


def _is_day(value: object) -> bool:
    try:
        return isinstance(value, str) and dt.date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def sample_directory() -> Traversable:
    """Directory of the rows behind ``sample://``. It is in a zip file if the package is in one."""
    return files("intake_futu_short") / "sample"


def sample_histories(call: Call = SHORT_VOLUME) -> dict[str, History]:
    """Histories behind ``sample://`` for a call, by code: real, documented and synthetic ones.

    ``README.md`` in `sample_directory` says where each of them comes from.

    Parameters
    ----------
    call : Call
        ``SHORT_VOLUME`` or ``SHORT_INTEREST`` of ``intake_futu_short.calls``.

    Returns
    -------
    dict of str to History
        Histories by code.

    Examples
    --------
    >>> from intake_futu_short.gateway import sample_histories
    >>> len(sample_histories()["US.AAPL"].rows)
    29
    """
    directory = sample_directory()
    return _histories(directory if call is SHORT_VOLUME else directory / call.name, call)


def read_histories(directory: str | Path, call: Call = SHORT_VOLUME) -> dict[str, History]:
    """Read every ``<CODE>.csv`` of a directory, and ``aggregates.json`` if it is there.

    All files hold rows of the same call. Rows may be in any order. An empty cell is a missing
    value.

    Parameters
    ----------
    directory : str or Path
        A local directory.
    call : Call
        The call that the rows answer.

    Returns
    -------
    dict of str to History
        Histories by code.

    Raises
    ------
    StoreError
        When the directory holds no such file, or a file cannot be served. The message names the
        file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from intake_futu_short import sample
    >>> from intake_futu_short.gateway import read_histories
    >>> Path("rows").mkdir()
    >>> sample.frame("US.AAPL").to_csv("rows/US.AAPL.csv", index=False)
    >>> list(read_histories("rows"))
    ['US.AAPL']
    """
    return _histories(Path(directory), call)


def _histories(directory: Traversable, call: Call) -> dict[str, History]:
    found = directory.iterdir() if directory.is_dir() else ()
    by_code = {
        file.name.removesuffix(".csv"): file
        for file in sorted(found, key=lambda file: file.name)
        if file.name.endswith(".csv")
    }
    if not by_code:
        raise StoreError(f"{directory}: no file named like US.AAPL.csv is there")
    aggregates = _read_aggregates(directory / AGGREGATES_FILE, {*by_code})
    return {
        code: _read_history(code, file, call, aggregates.get(code, {}))
        for code, file in by_code.items()
    }


def _read_history(
    code: str, file: Traversable, call: Call, aggregates: Mapping[str, Any]
) -> History:
    try:
        security = Security.parse(code)
        rows = _read_rows(file, call.table(security.market))
        rows.sort(key=lambda row: _day_of(security.market, row), reverse=True)
        return History(security, tuple(rows), **aggregates, call=call)
    except (OSError, ValueError, csv.Error) as error:  # ConfigError is a ValueError
        raise StoreError(f"{file}: {error}") from error


def _read_rows(file: Traversable, table: Table) -> list[dict[str, Value]]:
    columns = {column.name: column for column in table.columns}
    rows: list[dict[str, Value]] = []
    # utf-8-sig, because spreadsheets write a byte order mark before the first name.
    lines = io.StringIO(file.read_bytes().decode("utf-8-sig"), newline="")
    reader = csv.reader(lines, strict=True)
    header = next(reader, [])
    if not header or len(set(header)) < len(header) or not set(header) <= set(columns):
        raise ConfigError(
            f"the first line must name columns, each once, out of {', '.join(columns)}; "
            f"it is {','.join(header)!r}"
        )
    for cells in reader:
        if not cells:  # an empty line
            continue
        if len(cells) != len(header):
            raise ConfigError(f"line {reader.line_num} has {len(cells)} cells of {len(header)}")
        row = {}
        for name, cell in zip(header, cells, strict=True):
            if cell:
                row[name] = _value(columns[name], cell, reader.line_num)
        rows.append(row)
    return rows


def _value(column: Column, cell: str, line: int) -> Value:
    if column.kind == "day":
        return cell
    try:
        value = float(cell) if column.kind in {"number", "price"} else int(cell)
        is_finite = math.isfinite(value)
    except (ValueError, OverflowError):  # a count can be larger than every float
        is_finite = False
    # Python accepts underscores in numbers; other programs do not.
    if not is_finite or "_" in cell:
        raise ConfigError(f"line {line}: {column.name} {cell!r} is not a {column.kind}")
    return value


def _read_aggregates(file: Traversable, codes: set[str]) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StoreError(f"{file}: {error}") from error
    if not isinstance(content, dict):
        raise StoreError(f"{file}: it must be an object, code → aggregates, not {content!r:.60}")
    for code, values in content.items():
        if code not in codes:
            raise StoreError(f"{file}: there is no {code}.csv beside it")
        if not isinstance(values, dict) or not set(values) <= set(_AGGREGATE_NAMES):
            raise StoreError(f"{file}: {code} must be an object of {', '.join(_AGGREGATE_NAMES)}")
    return content
