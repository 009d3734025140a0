"""Daily short volume of US and HK stocks and funds from Futu's OpenD gateway.

::

    OpenD ──TCP──▶ opend/      the gateway's protocol: frames, handshake, limit, requests
                     │
                     ▼
                  pages.py     cursor walk: complete, no trading day twice
                  table.py     the one schema: columns, dtypes, attributes
                     │
                     ├──▶ store/    Parquet on fsspec: rows and state, whole or absent
                     │    history/  what is kept, brought up to date by the fewest requests
                     ▼
                  panel.py     many tickers as one: read together, failing apart
                     │
                     ▼
                  source.py    the Intake driver: intake.open_futu_short(code); reader.py: Intake 2
                     │
                     ▼
                  accessor.py  df.shortvol, over metrics/, checks.py and plotting/

Beside it stand ``gateway/``, which serves rows over the same protocol (``sample://``,
replay, tests), and ``cli/``, the command ``futu-short``.

Importing this package registers ``df.shortvol``, of Dask frames as soon as Dask is imported, and
does nothing else; the rest is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import intake_futu_short.accessor  # noqa: F401 - registers df.shortvol
from intake_futu_short.after_import import after_import
from intake_futu_short.errors import (
    ConfigError,
    CorruptStoreError,
    FutuShortError,
    GatewayDisconnectedError,
    GatewayError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    NotShortVolumeError,
    PaginationError,
    PanelError,
    PanelWarning,
    ProtocolError,
    QuoteRightError,
    RateLimitError,
    ReplyError,
    StoreError,
    UnknownSecurityError,
)

if TYPE_CHECKING:
    from intake_futu_short.catalog_files import catalog_path
    from intake_futu_short.quote_context import RET_ERROR, RET_OK, OpenQuoteContext
    from intake_futu_short.reader import FutuShort
    from intake_futu_short.source import FutuShortSource
    from intake_futu_short.store import FutuShortStore
    from intake_futu_short.syncing import sync
    from intake_futu_short.ticker_catalog import FutuShortCatalog

__version__ = "0.1.0"

__all__ = [
    "RET_ERROR",
    "RET_OK",
    "ConfigError",
    "CorruptStoreError",
    "FutuShort",
    "FutuShortCatalog",
    "FutuShortError",
    "FutuShortSource",
    "FutuShortStore",
    "GatewayDisconnectedError",
    "GatewayError",
    "GatewayTimeoutError",
    "GatewayUnreachableError",
    "NotShortVolumeError",
    "OpenQuoteContext",
    "PaginationError",
    "PanelError",
    "PanelWarning",
    "ProtocolError",
    "QuoteRightError",
    "RateLimitError",
    "ReplyError",
    "StoreError",
    "UnknownSecurityError",
    "__version__",
    "catalog_path",
    "sync",
]

# Intake, protobuf and asyncio are not loaded for the accessor's sake.
_HOMES = {
    "FutuShort": "intake_futu_short.reader",
    "FutuShortCatalog": "intake_futu_short.ticker_catalog",
    "FutuShortSource": "intake_futu_short.source",
    "FutuShortStore": "intake_futu_short.store",
    "OpenQuoteContext": "intake_futu_short.quote_context",
    "RET_ERROR": "intake_futu_short.quote_context",
    "RET_OK": "intake_futu_short.quote_context",
    "catalog_path": "intake_futu_short.catalog_files",
    "sync": "intake_futu_short.syncing",
}

# Frames of Dask get theirs when there is Dask; it is not loaded for that.
after_import("dask.dataframe", lambda: importlib.import_module("intake_futu_short.dask_accessor"))


if not TYPE_CHECKING:  # to which every name, also a mistyped one, would be there

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
