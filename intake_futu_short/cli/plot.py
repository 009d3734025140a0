"""``futu-short plot``: rows and reports of tickers, drawn into a file."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from intake_futu_short.arguments import MAX_ROWS_A_PAGE
from intake_futu_short.cli.options import (
    Choice,
    codes_argument,
    last_option,
    output_option,
    past_options,
    source_options,
    watchlist_option,
)
from intake_futu_short.cli.outcome import SOME_FAILED, Failure, note, tell_failures
from intake_futu_short.cli.reading import Tickers, read_interest, read_rows
from intake_futu_short.errors import FutuShortError, PanelError, UnknownSecurityError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["plot"]

# Reports are read from this many days before the first row: the one that was known on that row is
# among them.
_BEFORE_ROWS = 60


@click.command(short_help="Draw short volume into a file.")
@codes_argument(has_list=True)
@watchlist_option
@output_option("Figure to write: .png, .pdf or .svg.", endings=("png", "pdf", "svg"), required=True)
@source_options(
    "start", "end", "num", "gateway", "store", "refresh", "max-pages", "rsa-key", "timeout"
)
@past_options
@last_option(None, more=" By default 250, or all from --start on.")
@click.option(
    "--kind", type=Choice(["panels", "heatmap"]),
    help="By default panels of up to 12 tickers, else a heat map.",
)  # fmt: skip
@click.option(
    "--dpi", type=click.IntRange(20, 1200), default=150, show_default=True,
    help="Dots per inch of a PNG, which is 9 inches wide.",
)  # fmt: skip
def plot(
    codes: tuple[str, ...], *, watchlist: str | None, output: str, dpi: int, **given: Any
) -> None:
    """Draw the short volume of a ticker, or of several of one market, into a file.

    The windows of the first days need the days before, which are read too. For a single ticker
    the reported open positions are drawn as well, if there are any.

    Exit codes: 1 when there is nothing to draw, 3 when some tickers failed; the others are drawn.
    """
    from intake_futu_short import plotting

    tickers = Tickers.named(codes, watchlist, given)
    tickers.refuse_two_markets()
    if given["kind"] == "panels" and len(tickers.codes) > plotting.MOST_PANELS:
        raise click.UsageError(
            f"{len(tickers.codes)} tickers are too many for panels ({plotting.MOST_PANELS} at "
            "most): choose some, or --kind heatmap."
        )
    plotting.check_installed()
    # A gateway sends the newest days first, so those after --end are read anyway. An error can then
    # name the available days.
    kind, end, last = (given.pop(name) for name in ("kind", "end", "last"))
    options = plotting.Options(kind, given["start"], end, last)
    span = options.interval()
    if not any((given["start"], given["store"], given["max_pages"], last == "all")):
        days = (last or plotting.LAST) + plotting.WINDOW + _days_since(end)
        given["max_pages"] = _pages(days, given["num"])
    frame, failures = read_rows(tickers, {"end": None, **given}, plotting.WINDOW)
    if len(tickers.codes) == 1 and kind != "heatmap":  # else no figure shows them
        options = replace(options, positions=_positions(tickers.codes[0], given, frame, span))
    try:
        note(f"{plotting.save(frame, output, options, dpi=dpi)}")
    except plotting.NoRowsError as error:
        tell_failures(failures)
        raise Failure(error) from error
    tell_failures(failures)
    if failures:
        raise click.exceptions.Exit(SOME_FAILED)


def _positions(
    code: str, given: dict[str, Any], frame: pd.DataFrame, span: tuple[str | None, str | None]
) -> pd.DataFrame | None:
    """Reported open positions of a ticker; None, with a note, if there are none."""
    days = frame["timestamp_str"]
    if not days.between(span[0] or "", span[1] or "9999").any():
        return None  # the figure says so
    first = dt.date.fromisoformat(days.min()) - dt.timedelta(days=_BEFORE_ROWS)
    try:
        found = read_interest(code, given, first.isoformat())
    except FutuShortError as error:
        why: object = error.failures.get(code, error) if isinstance(error, PanelError) else error
        if isinstance(
            why, UnknownSecurityError
        ):  # its advice is about a wrong code, and this code is right
            why = f"the gateway has none of {code}; it says {why.message!r}"
        note(f"No series of open positions: {why}")
        return None
    if found.empty:
        note(f"No series of open positions: none of {code} are reported")
        return None
    return found


def _days_since(day: str | None) -> int:
    """Upper bound of the trading days since a day; None means today."""
    import numpy as np

    from intake_futu_short.walk import newest_possible

    if day is None:
        return 0
    return max(0, int(np.busday_count(day, newest_possible(time.time()))) + 1)


def _pages(days: int, num: int | None) -> int:
    """Number of pages that contain so many days, even if a new day shifts them meanwhile."""
    return -(-days // (num or MAX_ROWS_A_PAGE)) + 1
