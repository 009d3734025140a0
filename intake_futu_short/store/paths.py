"""Where a ticker's file lies in a store: `Security` ↔ path, in hive-style directories. Pure.

``short_volume/market=HK/code=HK.00700/history.parquet``: market and code stand in the path only,
and the code whole, because readers that guess types would take ``00700`` for a number.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from intake_futu_short.errors import ConfigError
from intake_futu_short.security import Security

__all__ = ["FILE_NAME", "file_path", "market_path", "security_at", "writer_path"]

FILE_NAME = "history.parquet"
_ROOT = "short_volume"
_UNSAFE = re.compile(rb"[^A-Z0-9._-]|\.\Z")


def market_path(market_name: str) -> str:
    """Directory of a market: the data set that other readers open."""
    return f"{_ROOT}/market={market_name}"


def file_path(security: Security) -> str:
    """A ticker's file."""
    return f"{market_path(security.market.name)}/code={_escaped(security.code)}/{FILE_NAME}"


def writer_path(security: Security) -> str:
    """What the names of a ticker's lock, temporary files and announcements begin with.

    They lie beside the data sets, since not every reader passes over files that begin with a dot.
    """
    return f"{_ROOT}/.writers/{_escaped(security.code)}"


def security_at(path: str) -> Security | None:
    """Whose file it is; None when the path is none that `file_path` gives."""
    _, _, directory = path.rpartition(f"/{FILE_NAME}")[0].rpartition("/code=")
    try:
        security = Security.parse(unquote(directory))
    except ConfigError:
        return None
    return security if file_path(security) == path else None


def _escaped(code: str) -> str:
    """Percent-encoded, so that every file system holds it and every hive reader gives it back.

    Small letters too, since some file systems take them for capitals; and a dot at the end, which
    Windows drops.
    """
    return _UNSAFE.sub(lambda found: b"%%%02X" % ord(found[0]), code.encode()).decode()
