"""What the arguments of a store mean: which tickers, which of their files, and which rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intake_futu_short import arguments
from intake_futu_short.calls import SERIES, Ticker
from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError, StoreError
from intake_futu_short.history.ticker_history import DAY, FIRST_SEEN
from intake_futu_short.security import MARKETS, Security
from intake_futu_short.store import paths
from intake_futu_short.store.many import Selection

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

    from intake_futu_short.calls import Call, Table
    from intake_futu_short.store.file_system import StoreFileSystem
    from intake_futu_short.store.many import Source

__all__ = [
    "kept_sizes",
    "of_codes",
    "selection",
    "sizes",
    "sources",
    "sources_aside",
    "tables",
]


def tables(call: Call, market: object) -> list[Table]:
    """The table of a call for the market of that name, or its tables for all markets if None."""
    if market is None:
        return list(call.tables.values())
    if not isinstance(market, str) or market not in MARKETS:
        raise ConfigError(
            f"market must be one of {', '.join(sorted(MARKETS))}, not {described(market)}"
        )
    return [call.table(MARKETS[market])]


def sizes(files: StoreFileSystem, among: Sequence[Table]) -> dict[Ticker, int]:
    """Sizes of the files of all tickers that have one, in bytes, sorted by code.

    Raises
    ------
    StoreError
        When a file lies where no ticker has one, or the store cannot be listed.
    """
    kept: dict[Ticker, int] = {}
    for table in among:
        for path, size in files.find(paths.market_path(table)).items():
            ticker = paths.ticker_at(path, SERIES[table.call_name])
            if ticker is not None:
                kept[ticker] = size
            elif path.endswith(f"/{paths.FILE_NAME}"):
                # Skipping it could hide missing rows: the listing itself may be wrong.
                raise StoreError(
                    f"{files.show(path)} lies where this store keeps no ticker. Move it out of the "
                    "directory, or use another one as a store"
                )
    return dict(sorted(kept.items(), key=lambda item: item[0].code))


def kept_sizes(files: StoreFileSystem, among: Sequence[Table]) -> dict[Ticker, int]:
    """As `sizes`, but it is an error if there is none."""
    kept = sizes(files, among)
    if not kept:
        what = f"no {SERIES[among[0].call_name].title}"
        if len(among) == 1:
            what += f" of {among[0].market.name}"
        raise StoreError(
            f"{files.url}: {what} is kept there. Is this the path that the tickers were synced to? "
            "If the store is new, sync some tickers first"
        )
    return kept


def of_codes(codes: object, among: Sequence[Table]) -> list[Ticker]:
    """The tickers named. All must be of one market: the one of `among` if there is only one."""
    securities = [Security.parse(code) for code in arguments.any_codes(codes)]
    named = [table.market for table in among] if len(among) == 1 else []
    markets = list(dict.fromkeys([*(security.market for security in securities), *named]))
    if len(markets) != 1 or not securities:
        raise ConfigError(
            "codes must name at least one ticker, all of one market; these are of "
            f"{' and '.join(m.name for m in markets) or 'none'}: read one market at a time"
        )
    call = SERIES[among[0].call_name]
    return [Ticker(security, call) for security in securities]


def selection(
    files: StoreFileSystem,
    call: Call,
    codes: str | Iterable[str] | None,
    market: str | None,
    *,
    errors: str,
    start: str | dt.date | None = None,
    end: str | dt.date | None = None,
    columns: Iterable[str] | None = None,
    as_of: str | dt.date | None = None,
) -> tuple[list[Ticker], Selection]:
    """Check the arguments of `FutuShortStore.read`, and find out which tickers they mean."""
    arguments.errors(errors)
    first, last = arguments.interval(start, end)
    among = tables(call, market)
    tickers = _of_one_market(files, among) if codes is None else of_codes(codes, among)
    table = tickers[0].table
    wanted = Selection(
        table,
        _columns(columns, table),
        first,
        last,
        arguments.moment("as_of", as_of, table.market),
    )
    return tickers, wanted


def sources(tickers: Iterable[Ticker]) -> list[Source]:
    """The files of tickers."""
    return [(ticker, paths.file_path(ticker)) for ticker in tickers]


def sources_aside(files: StoreFileSystem, tickers: Iterable[Ticker]) -> list[Source]:
    """Files of tickers that were set aside; for each ticker the newest first."""
    found: list[Source] = []
    for ticker in tickers:
        aside = sorted(files.find(paths.aside_path(ticker)), reverse=True)
        if not aside:
            raise StoreError(f"{files.url}: nothing of {ticker} was set aside there")
        found += [(ticker, path) for path in aside]
    return found


def _of_one_market(files: StoreFileSystem, among: Sequence[Table]) -> list[Ticker]:
    """Every ticker that is kept, which must all be of one market."""
    tickers = list(kept_sizes(files, among))
    kept = {ticker.market for ticker in tickers}
    if len(kept) > 1:
        markets = " and ".join(table.market.name for table in among if table.market in kept)
        raise ConfigError(
            f"{files.url} holds {markets}, whose columns differ: name one of them, such as "
            "market='HK'"
        )
    return tickers


def _columns(columns: Iterable[str] | None, table: Table) -> tuple[str, ...]:
    if columns is None:
        return tuple(table.frame_names)
    given = arguments.listed(columns)
    if given is None:
        raise ConfigError(
            f"columns must be a list of names, such as ['volume'], not {described(columns)}"
        )
    # The code is always there, and so is the day.
    wanted: tuple[Any, ...] = tuple(name for name in given if name not in ("code", DAY))
    known = [*table.frame_names, FIRST_SEEN]
    if any(name not in known for name in wanted) or len(set(wanted)) < len(wanted):
        raise ConfigError(
            f"columns must be names out of {', '.join(known)}, each once, not "
            f"{', '.join(map(described, given[:5]))}"
        )
    return (DAY, *wanted)
