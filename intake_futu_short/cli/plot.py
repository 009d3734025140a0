"""``futu-short plot``: rows and reports of tickers, drawn into a file."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from intake_futu_short.arguments import date
from intake_futu_short.cli.options import LAST, output_option, past_options, source_options
from intake_futu_short.cli.reading import read_interest, read_rows
from intake_futu_short.errors import FutuShortError, PanelError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["plot"]

# Days before the first row from which on reports are asked for: the newest of them was known by
# then.
_BEFORE_ROWS = 60


@click.command()
@click.argument("codes", metavar="CODE...", nargs=-1, required=True)
@output_option("Figure to write: .png, .pdf or .svg.", required=True)
@source_options(
    "start", "end", "num", "gateway", "store", "refresh", "max-pages", "rsa-key", "timeout"
)
@past_options
@click.option(
    "--last", type=LAST, metavar="N|all",
    help="The newest N trading days; by default 250, or all from --start on.",
)  # fmt: skip
@click.option(
    "--kind", type=click.Choice(["panels", "heatmap"]),
    help="By default panels of up to 12 tickers, else a heat map.",
)  # fmt: skip
@click.option(
    "--dpi", type=click.IntRange(20, 1200), default=150, show_default=True,
    help="Dots an inch of a PNG, which is 9 inches wide.",
)  # fmt: skip
def plot(codes: tuple[str, ...], *, output: str, dpi: int, **given: Any) -> None:
    """Draw the short volume of a ticker, or of several of one market, into a file.

    Windows of the first days shown look back at days before, which are read too. Of one ticker
    the reported open positions are read and drawn as well, where there are any to be had.
    """
    from intake_futu_short import plotting

    if not output.lower().endswith(tuple(f".{name}" for name in plotting.FORMATS)):
        raise click.UsageError(f"{output!r} must end in one of {', '.join(plotting.FORMATS)}.")
    plotting.check_installed()
    # A gateway sends the newest days first, so that those after --end are read anyway: an error
    # can then name the days that there are.
    kind, end, last = (given.pop(name) for name in ("kind", "end", "last"))
    options = plotting.Options(kind, given["start"], end, last)
    span = options.interval()
    if not any((given["start"], given["store"], given["max_pages"], last == "all")):
        days = (last or plotting.LAST) + plotting.WINDOW + _days_since(date("end", end))
        given["max_pages"] = _pages(days, given["num"])
    frame = read_rows(codes, {"end": None, **given}, plotting.WINDOW)
    if len(set(codes)) == 1 and kind != "heatmap":  # else no figure shows them
        options = replace(options, positions=_positions(codes[0], given, frame, span))
    click.echo(f"{plotting.save(frame, output, options, dpi=dpi)}", err=True)


def _positions(
    code: str, given: dict[str, Any], frame: pd.DataFrame, span: tuple[str | None, str | None]
) -> pd.DataFrame | None:
    """Reported open positions of a ticker; None, which is said, where there are none to be had."""
    days = frame["timestamp_str"]
    if not days.between(span[0] or "", span[1] or "9999").any():
        return None  # the figure says so
    first = dt.date.fromisoformat(days.min()) - dt.timedelta(days=_BEFORE_ROWS)
    try:
        found = read_interest(code, given, first.isoformat())
    except FutuShortError as error:
        why = error.failures.get(code, error) if isinstance(error, PanelError) else error
        click.echo(f"No series of open positions: {why}", err=True)
        return None
    if found.empty:
        click.echo(f"No series of open positions: none of {code} are reported", err=True)
        return None
    return found


def _days_since(day: str | None) -> int:
    """How many trading days there have been since a day, at most; None is today."""
    import numpy as np

    from intake_futu_short.walk import newest_possible

    if day is None:
        return 0
    return max(0, int(np.busday_count(day, newest_possible(time.time()))) + 1)


def _pages(days: int, num: str | None) -> int:
    """Pages of a gateway that have so many days, also when a new day shifts them meanwhile."""
    rows = int(num) if num and num.isdecimal() else 0  # the source refuses what is no number
    return -(-days // (rows or 50)) + 1
