"""``futu-short screen``: which tickers of a store stand out in their newest session."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from intake_futu_short.cli import screen_output
from intake_futu_short.cli.options import (
    COUNT,
    last_option,
    market_option,
    output_option,
    store_option,
)
from intake_futu_short.cli.outcome import SOME_FAILED, note, tell_failures

__all__ = ["screen"]


@click.command(short_help="Show which tickers of a store stand out.")
@store_option
@market_option("Needed if the store holds both.")
@click.option(
    "--by", default="short_ratio_zscore_20", show_default=True, metavar="METRIC",
    help="What to sort by: a metric as df.shortvol.metrics() names it, or a column.",
)  # fmt: skip
@click.option("--top", default="20", show_default=True, type=COUNT, help="How many tickers.")
@click.option("--ascending", is_flag=True, help="The lowest first.")
@last_option(
    None, more=" By default 1, or 60 for an .html page, which draws a line through them.",
)  # fmt: skip
@output_option(
    "Write to FILE: .csv, .json, or .html for a page to look at and pass on.",
    endings=screen_output.FORMATS,
)
def screen(
    *,
    store: str,
    market: str | None,
    by: str,
    top: int | Literal["all"],
    ascending: bool,
    last: int | Literal["all"] | None,
    output: str | None,
) -> None:
    """Show which tickers of a store stand out in their newest session.

    Asks no gateway. Prints a table on a terminal, CSV with every metric in a pipe.

    Exit codes: 1 when nothing is kept, 3 when some tickers cannot be read; the others are shown.
    """
    from intake_futu_short.store import FutuShortStore

    form = screen_output.format_of(output)
    order = screen_output.Order(by, None if top == "all" else top, ascending=ascending)
    found = screen_output.Screen.of(FutuShortStore(store), market, order, form, last)
    if output is None:
        click.echo(found.text, nl=False)
    else:
        Path(output).write_text(
            found.text, encoding="utf-8", errors="backslashreplace", newline="\n"
        )
        note(f"{output}: {found.summary}")
    for line in found.notes:
        note(line)
    tell_failures(found.failures)
    if found.failures:
        raise click.exceptions.Exit(SOME_FAILED)
