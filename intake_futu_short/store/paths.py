"""Paths of tickers' files in a store: `Ticker` ↔ path, in hive-style directories. Pure.

An example is ``short_volume/market=HK/code=HK.00700/history.parquet``. Market and code are only in
the path. The code has its market prefix, because readers that guess types would take ``00700`` for
a number.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from intake_futu_short.calls import Ticker
from intake_futu_short.errors import ConfigError
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from intake_futu_short.calls import Call, Table

__all__ = ["FILE_NAME", "aside_path", "file_path", "market_path", "ticker_at", "writer_path"]

FILE_NAME = "history.parquet"
_UNSAFE = re.compile(rb"[^A-Z0-9._-]|\.\Z")


def market_path(table: Table) -> str:
    """Directory of a market, which other readers open as one data set."""
    return f"{table.call_name}/market={table.market.name}"


def file_path(ticker: Ticker) -> str:
    """A ticker's file."""
    return f"{market_path(ticker.table)}/code={_escaped(ticker.code)}/{FILE_NAME}"


def writer_path(ticker: Ticker) -> str:
    """Beginning of the names of a ticker's lock file and temporary file.

    They are outside the data sets, since some readers do not skip files that begin with a dot.
    """
    return f"{ticker.call.name}/.locks/{_escaped(ticker.code)}"


def aside_path(ticker: Ticker) -> str:
    """Directory of a ticker's files that were set aside, outside the data sets."""
    return f"aside/{market_path(ticker.table)}/code={_escaped(ticker.code)}"


def ticker_at(path: str, call: Call) -> Ticker | None:
    """Ticker of a path; None when `file_path` gives no such path."""
    _, _, directory = path.rpartition(f"/{FILE_NAME}")[0].rpartition("/code=")
    try:
        ticker = Ticker(Security.known(unquote(directory)), call)
    except ConfigError:
        return None
    return ticker if file_path(ticker) == path else None


def _escaped(code: str) -> str:
    """Percent-encode a code, so that every file system and every hive reader keeps it intact.

    Small letters are encoded because some file systems ignore case, and a final dot because Windows
    drops it.
    """
    return _UNSAFE.sub(lambda found: b"%%%02X" % ord(found[0]), code.encode()).decode()
