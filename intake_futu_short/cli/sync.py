"""``futu-short sync``: stored histories brought up to date."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any, cast

import click

from intake_futu_short.cli import tables
from intake_futu_short.cli.options import (
    Choice,
    as_arguments,
    codes_argument,
    source_options,
    store_option,
    watchlist_option,
    what_option,
)
from intake_futu_short.cli.outcome import (
    NOTHING,
    SOME_FAILED,
    Interruption,
    is_quiet,
    tell_failures,
)
from intake_futu_short.cli.reading import Tickers
from intake_futu_short.errors import PanelWarning
from intake_futu_short.progress import Tally

if TYPE_CHECKING:
    from fsspec.callbacks import Callback

__all__ = ["sync"]

_REFRESH = {
    "type": Choice(["auto", "always", "full"]),
    "help": "Ask the gateway when there can be anything new (auto, the default), always, or for "
    "all of the history (full).",
}


@click.command()
@codes_argument(has_list=True)
@watchlist_option
@what_option
@store_option
@source_options("gateway", "refresh", "start", "num", "rsa-key", "timeout", refresh=_REFRESH)
def sync(codes: tuple[str, ...], watchlist: str | None, store: str, **given: Any) -> None:
    """Bring the stored history of tickers up to date.

    Asks the gateway only for what can be new: the next trading day or, with --what short_interest,
    the next report, which is weekly (HK) or twice a month (US). Prints the outcome for each ticker:
    a table on a terminal, CSV in a pipe; with --quiet only what failed.

    Ctrl-C loses nothing: what came is kept, and the next sync goes on from there.

    Exit codes: 3 when some tickers failed, 1 when all did. The others are up to date all the same.
    """
    tickers = Tickers.named(codes, watchlist, given).codes
    from intake_futu_short.syncing import sync as sync_tickers

    tally = Tally(shows_bar=not is_quiet())
    try:
        with warnings.catch_warnings():
            # It would repeat what the table says.
            warnings.simplefilter("ignore", PanelWarning)
            frame = sync_tickers(
                tickers,
                store,
                errors="warn",
                callback=cast("Callback", tally),
                **as_arguments(given),
            )
    except KeyboardInterrupt as interrupt:
        raise Interruption(
            f"{tally.done:,} of {len(tickers):,} tickers are done. What came of the rest is also "
            f"kept in {store}, and the next sync goes on from there."
        ) from interrupt
    failed = frame.dropna(subset="error")
    if not is_quiet():
        if sys.stdout.isatty():
            click.echo(tables.table(frame.drop(columns="error")), nl=False)
        else:
            click.echo(frame.to_csv(index=False, lineterminator="\n"), nl=False)
    tell_failures(dict(zip(failed["code"], failed["error"], strict=True)))
    if len(failed):
        raise click.exceptions.Exit(SOME_FAILED if len(failed) < len(frame) else NOTHING)
