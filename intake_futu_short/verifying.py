"""Checks whether the files of a store are sound and complete and whether their rows add up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from intake_futu_short import arguments, checks, schema
from intake_futu_short.calls import SHORT_VOLUME, Ticker, series
from intake_futu_short.errors import ConfigError, FutuShortError, StoreError, printable
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intake_futu_short.history.ticker_history import TickerHistory
    from intake_futu_short.store import FutuShortStore

__all__ = ["verify"]

_FINDINGS_SHOWN = 3


class _Verified(NamedTuple):
    code: str
    sound: bool
    complete: bool | None = None
    rows: int | None = None
    findings: int | None = None
    problem: str | None = None


def verify(
    store: FutuShortStore,
    codes: str | Iterable[str] | None = None,
    market: str | None = None,
    *,
    what: str = SHORT_VOLUME.name,
) -> pd.DataFrame:
    """Read every file of a store; `FutuShortStore.verify` describes arguments and result."""
    # List the store first: if this fails, it is one error and not one for each ticker.
    call = series(what)
    kept = store.codes(market, what=what)
    if not kept:
        none = f"no {call.title}" if market is None else f"no {call.title} of {market}"
        raise StoreError(f"{store.url}: {none} is kept there; sync some tickers first")
    wanted = kept if codes is None else _of_market(arguments.any_codes(codes), market)
    tickers = [Ticker(Security.known(code), call) for code in wanted]
    verified = [_verified(store, ticker) for ticker in tickers]
    columns = zip(*verified, strict=True)
    text = schema.text_dtype()
    dtypes = (text, "bool", "boolean", "Int64", "Int64", text)
    return pd.DataFrame(
        {
            name: pd.Series(values, dtype=dtype)
            for name, values, dtype in zip(_Verified._fields, columns, dtypes, strict=True)
        }
    )


def _of_market(codes: list[str], market: str | None) -> list[str]:
    others = [code for code in codes if market and not code.startswith(f"{market}.")]
    if not codes or others:
        raise ConfigError(
            f"codes must name at least one ticker of {market or 'a market'}, not {others or codes}"
        )
    return codes


def _verified(store: FutuShortStore, ticker: Ticker) -> _Verified:
    try:
        history = store.load(ticker)
    except StoreError as error:
        return _Verified(ticker.code, sound=False, problem=printable(error))
    if history is None:
        problem = printable(f"{store.url} holds nothing of {ticker}")
        return _Verified(ticker.code, sound=False, problem=problem)
    if ticker.call is not SHORT_VOLUME:
        return _Verified(
            ticker.code, sound=True, complete=history.is_complete, rows=len(history.rows)
        )
    try:
        findings = checks.check(_newest_first(ticker, history))
    except FutuShortError as error:
        number, problem = None, f"its rows cannot be checked: {error}"
    else:
        number, problem = len(findings), _in_words(findings)
    return _Verified(
        ticker.code,
        sound=True,
        complete=history.is_complete,
        rows=len(history.rows),
        findings=number,
        problem=problem or None,
    )


def _newest_first(ticker: Ticker, history: TickerHistory) -> pd.DataFrame:
    """The rows as a source gives them."""
    frame = history.rows[ticker.table.column_names][::-1].reset_index(drop=True)
    report = history.reports[-1] if history.reports else None
    frame.attrs.update(schema.attributes(ticker, None, report))
    return frame


def _in_words(findings: pd.DataFrame) -> str:
    shown = [_one_in_words(row) for row in findings.head(_FINDINGS_SHOWN).itertuples()]
    more = len(findings) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _one_in_words(finding: Any) -> str:
    if finding.what == "nothing_to_check":
        return f"nothing to check: no values to compare in any of {finding.computed:.15g} rows"
    return (
        f"{finding.date:%Y-%m-%d} {finding.what} {finding.reported:.15g}, "
        f"computed {finding.computed:.15g}"
    )
