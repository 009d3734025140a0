"""Where a ticker's file lies in a store: `Ticker` ↔ path, in hive-style directories. Pure.

``short_volume/market=HK/code=HK.00700/history.parquet``: market and code stand in the path only,
and the code whole, because readers that guess types would take ``00700`` for a number.
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
    """Directory of a market: the data set that other readers open."""
    return f"{table.call_name}/market={table.market.name}"


def file_path(ticker: Ticker) -> str:
    """A ticker's file."""
    return f"{market_path(ticker.table)}/code={_escaped(ticker.code)}/{FILE_NAME}"


def writer_path(ticker: Ticker) -> str:
    """What the names of a ticker's lock and temporary file begin with.

    They lie beside the data sets, since not every reader passes over files that begin with a dot.
    """
    return f"{ticker.call.name}/.locks/{_escaped(ticker.code)}"


def aside_path(ticker: Ticker) -> str:
    """Directory of what was set aside of a ticker, beside the data sets."""
    return f"aside/{market_path(ticker.table)}/code={_escaped(ticker.code)}"


def ticker_at(path: str, call: Call) -> Ticker | None:
    """Whose file it is; None when the path is none that `file_path` gives."""
    _, _, directory = path.rpartition(f"/{FILE_NAME}")[0].rpartition("/code=")
    try:
        ticker = Ticker(Security.known(unquote(directory)), call)
    except ConfigError:
        return None
    return ticker if file_path(ticker) == path else None


def _escaped(code: str) -> str:
    """Percent-encoded, so that every file system holds it and every hive reader gives it back.

    Small letters too, since some file systems take them for capitals; and a dot at the end, which
    Windows drops.
    """
    return _UNSAFE.sub(lambda found: b"%%%02X" % ord(found[0]), code.encode()).decode()
