"""``futu-short info``: lists what a store keeps."""

from __future__ import annotations

import sys

import click

from intake_futu_short.cli import tables
from intake_futu_short.cli.options import market_option, store_option, what_option
from intake_futu_short.cli.outcome import SOME_FAILED, tell_failures
from intake_futu_short.errors import PanelError

__all__ = ["info"]


@click.command()
@store_option
@market_option("Only of this market.")
@what_option
def info(store: str, market: str | None, what: str) -> None:
    """List what a store keeps: one row per ticker.

    Its rows, first and last day, whether the history goes back to its beginning (complete), when
    the gateway was last asked (checked, UTC), and the size of its file. Reads the ends of the
    files, and asks no gateway. Prints a table on a terminal, CSV in a pipe.

    Exit codes: 1 when nothing is kept, 3 when some files cannot be read; the others are listed.
    """
    from intake_futu_short.store import FutuShortStore

    failures: dict[str, Exception] = {}
    try:
        frame = FutuShortStore(store).info(market, what=what)
    except PanelError as error:
        if error.partial is None or error.partial.empty:
            raise
        frame, failures = error.partial, error.failures
    if sys.stdout.isatty():
        click.echo(tables.table(frame, ("code", "first", "last")), nl=False)
    else:
        click.echo(frame.to_csv(index=False, lineterminator="\n"), nl=False)
    tell_failures(failures)
    if failures:
        raise click.exceptions.Exit(SOME_FAILED)
