"""Daily short volume of US and HK stocks and funds from Futu's OpenD gateway.

::

    source.py  reader.py  syncing.py  cli/  quote_context.py     the ways to ask
       │
       ▼
    reading.py        one read: runs the generators, shows progress
       │                 walk.py            the cursor walk: which page next             (pure)
       │                 history/update.py  a stored history, by the rules of refresh.py
       ▼
    opend/ask.py      the one loop: send what the limit lets out, listen, ask again, give up
       │                 line.py dial.py limit.py               one gateway, its slots
       │                 connection.py wire.py cipher.py replies.py                     (pure)
       ▼
      TCP

A read is a function call: the caller's own thread asks, listens and returns. A walk is a generator:
it yields a question and is sent the reply. ``calls.py`` describes each call of the gateway, and
``pages.py`` finds the rows and days of an answer. ``schema.py`` makes frames of the messages,
``partitions.py`` and ``stored.py`` cut them into pages, ``store/`` keeps them as Parquet, and
``verifying.py`` checks a store. ``accessor.py`` is ``df.shortvol``, which uses ``metrics/``,
``checks.py`` and ``plotting/``; ``dask.py`` is ``ddf.shortvol``. ``screening.py`` reads what a
screen of a store needs, and ``report.py`` makes an HTML page of it. ``rank_requests.py`` asks for a
market's rank, and ``ranking.py`` puts the answers together. ``days.py`` and ``arguments.py`` check
what users pass, and ``repr_table.py`` makes the reprs of objects. ``gateway/`` serves rows over the
same protocol, for ``sample://``, replay and tests.

Importing this package only registers ``df.shortvol``. Everything else is imported when it is first
used. Dask frames have ``ddf.shortvol`` after ``import intake_futu_short.dask``; frames from
`to_dask` have it without that.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import intake_futu_short.accessor  # noqa: F401 - registers df.shortvol
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
    PositionWarning,
    ProtocolError,
    QuoteRightError,
    RankWarning,
    RateLimitError,
    ReplyError,
    StoreError,
    UnknownSecurityError,
    UnusablePackageWarning,
)

if TYPE_CHECKING:
    from intake_futu_short.catalog_files import catalog_path
    from intake_futu_short.gateway_source import Discovered
    from intake_futu_short.interest_source import FutuShortInterestSource
    from intake_futu_short.quote_context import RET_ERROR, RET_OK, OpenQuoteContext
    from intake_futu_short.rank_source import FutuShortRankSource
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
    "Discovered",
    "FutuShort",
    "FutuShortCatalog",
    "FutuShortError",
    "FutuShortInterestSource",
    "FutuShortRankSource",
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
    "PositionWarning",
    "ProtocolError",
    "QuoteRightError",
    "RankWarning",
    "RateLimitError",
    "ReplyError",
    "StoreError",
    "UnknownSecurityError",
    "UnusablePackageWarning",
    "__version__",
    "catalog_path",
    "sync",
]

# Imported at first use: the accessor needs neither Intake nor protobuf.
_HOMES = {
    "Discovered": "intake_futu_short.gateway_source",
    "FutuShort": "intake_futu_short.reader",
    "FutuShortCatalog": "intake_futu_short.ticker_catalog",
    "FutuShortInterestSource": "intake_futu_short.interest_source",
    "FutuShortRankSource": "intake_futu_short.rank_source",
    "FutuShortSource": "intake_futu_short.source",
    "FutuShortStore": "intake_futu_short.store",
    "OpenQuoteContext": "intake_futu_short.quote_context",
    "RET_ERROR": "intake_futu_short.quote_context",
    "RET_OK": "intake_futu_short.quote_context",
    "catalog_path": "intake_futu_short.catalog_files",
    "sync": "intake_futu_short.syncing",
}


if not TYPE_CHECKING:  # a type checker would accept every name, even a mistyped one

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
