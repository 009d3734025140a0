"""Brings many tickers up to date in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from intake_futu_short import arguments, progress, schema
from intake_futu_short.calls import SHORT_VOLUME, Ticker, series
from intake_futu_short.errors import ConfigError, printable, settle
from intake_futu_short.history.ticker_history import days_of
from intake_futu_short.history.update import Updater
from intake_futu_short.reading import gateway_urls, open_gateways, read
from intake_futu_short.security import Security
from intake_futu_short.store import FutuShortStore
from intake_futu_short.stored import Slices
from intake_futu_short.wording import argument

if TYPE_CHECKING:
    import datetime as dt
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from fsspec.callbacks import Callback

    from intake_futu_short.history.ticker_history import TickerHistory
    from intake_futu_short.history.update import Outcome

__all__ = ["sync"]


def sync(
    codes: str | Iterable[str],
    store: str | os.PathLike[str] | FutuShortStore,
    gateway: str | Iterable[str] | None = None,
    *,
    what: str = SHORT_VOLUME.name,
    refresh: str = "auto",
    storage_options: Mapping[str, Any] | None = None,
    start: str | dt.date | None = None,
    num: int = arguments.MAX_ROWS_A_PAGE,
    rsa_key: str | os.PathLike[str] | None = None,
    timeout: float = arguments.DEFAULT_TIMEOUT_S,
    errors: str = "raise",
    callback: Callback | None = None,
) -> pd.DataFrame:
    """Bring tickers up to date in a store, several at a time within the gateway's limit.

    A ticker whose stored history is complete and up to date costs no request. A complete history
    that may have new rows costs one request. A first fill costs one request per page. If a sync is
    interrupted, the store has what came until then, and the next sync continues from there.

    Parameters
    ----------
    codes : str or iterable of str
        Tickers of any market, such as ``["HK.00700", "US.AAPL"]``. A code given twice is synced
        once.
    store : str, path or FutuShortStore
        Where the histories are kept.
    gateway : str or iterable of str, optional
        As of ``intake.open_futu_short``.
    what : {"short_volume", "short_interest"}, default "short_volume"
        Which series.
    refresh : {"auto", "always", "full"}, default "auto"
        Ask when there can be something new, ask in any case, or ask for the whole history again.
    storage_options : mapping, optional
        Options that fsspec passes to the file system of `store`.
    start : str, date or Timestamp, optional
        The oldest trading day wanted; a first fill goes back no further. By default it takes the
        whole history.
    num, rsa_key, timeout
        As of ``intake.open_futu_short``.
    errors : {"raise", "warn"}, default "raise"
        Whether tickers that fail raise a `PanelError` or give a `PanelWarning`, once the others
        are synced.
    callback : fsspec.callbacks.Callback, optional
        Counts the tickers that are done.

    Returns
    -------
    pandas.DataFrame
        One row per ticker, in the order of `codes`. ``code``; ``rows``, how many the store now has;
        ``new_rows``, how many of these are new; ``requests``, how many were made; ``revised``, how
        many rows the gateway has revised or withdrawn; ``complete``, whether the store has the
        history to its end; ``error``, what failed, missing if nothing did. The numbers of a ticker
        that failed are missing.

    Raises
    ------
    ConfigError
        When an argument cannot work, before any I/O.
    GatewayError
        When no ticker can be asked for, because the gateway fails as a whole.
    PanelError
        When some tickers failed; its ``partial`` is the frame.

    Examples
    --------
    >>> from intake_futu_short import sync
    >>> table = sync(["US.AAPL", "HK.SAMPLE"], store="short", gateway="sample://")
    >>> table[["code", "rows", "new_rows", "requests", "complete"]]
            code  rows  new_rows  requests  complete
    0    US.AAPL    29        29         1      True
    1  HK.SAMPLE  1500      1500        31      True

    Again at once, nothing has to be asked:

    >>> sync(["US.AAPL", "HK.SAMPLE"], store="short", gateway="sample://")["requests"].tolist()
    [0, 0]
    """
    securities = [Security.parse(code) for code in arguments.any_codes(codes)]
    call = series(what)
    tickers = [Ticker(security, call) for security in securities]
    warns = arguments.errors(errors) == "warn"
    slices = Slices(start=arguments.date("start", start))
    place = _store(store, storage_options)
    if (mode := arguments.refresh(refresh, place.url) or "auto") == "never":
        raise ConfigError(
            f"{argument('refresh', 'never')} asks no gateway: there would be nothing to sync"
        )
    rows_a_page = arguments.rows_a_page(num)
    key = arguments.rsa_key(rsa_key)
    gateways = open_gateways(
        [url.with_rsa_key(key) for url in gateway_urls(arguments.gateways(gateway))],
        arguments.seconds(timeout),
    )

    def is_enough(history: TickerHistory) -> bool:
        return slices.of(days_of(history.rows), is_complete=history.is_complete)[1]

    updates = {
        ticker.code: Updater(
            place, ticker, num=rows_a_page, refresh=mode, origin=gateways.origin
        ).update(is_enough)
        for ticker in tickers
    }
    try:
        with progress.shown(callback, len(tickers), call.title) as display:
            outcomes, failures = read(updates, gateways, display)
    finally:
        gateways.close()
    failures = {ticker.code: failures[ticker.code] for ticker in tickers if ticker.code in failures}
    frame = _frame([ticker.code for ticker in tickers], outcomes, failures)
    settle(
        failures,
        len(tickers),
        frame,
        warns=warns,
        advice=f"{'The others are up to date; this' if outcomes else 'This'} error's `failures` "
        "has every error, and syncing again asks for what is missing.",
    )
    return frame


def _store(store: object, storage_options: Mapping[str, Any] | None) -> FutuShortStore:
    if isinstance(store, FutuShortStore):
        return store
    url = arguments.store(store)
    if url is None:
        raise ConfigError(f"{argument('store')} must name where to keep the histories; it is empty")
    return FutuShortStore(url, arguments.storage_options(storage_options))


def _frame(
    codes: Sequence[str], outcomes: Mapping[str, Outcome], failures: Mapping[str, Exception]
) -> pd.DataFrame:
    done = [outcomes.get(code) for code in codes]
    text = schema.text_dtype()

    def counts(of: Callable[[Outcome], int]) -> pd.Series[int]:
        return pd.Series([None if o is None else of(o) for o in done], dtype="Int64")

    return pd.DataFrame(
        {
            "code": pd.Series(codes, dtype=text),
            "rows": counts(lambda o: len(o.history.rows)),
            "new_rows": counts(lambda o: o.new_rows),
            "requests": counts(lambda o: o.requests),
            "revised": counts(lambda o: o.revised),
            "complete": pd.Series(
                [None if o is None else o.history.is_complete for o in done], dtype="boolean"
            ),
            "error": pd.Series(
                [printable(failures[code]) if code in failures else None for code in codes],
                dtype=text,
            ),
        }
    )
