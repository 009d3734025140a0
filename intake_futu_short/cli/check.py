"""``futu-short check``: whether stored histories are sound, complete, and add up."""

from __future__ import annotations

import sys

import click

from intake_futu_short.cli import tables
from intake_futu_short.cli.options import (
    CODE,
    market_option,
    store_option,
    what_option,
)
from intake_futu_short.cli.outcome import SOME_FAILED, is_quiet, note

__all__ = ["check"]


@click.command(short_help="Say whether stored histories are sound.")
@click.argument("codes", metavar="[CODE]...", nargs=-1, type=CODE)
@store_option
@market_option("Only of this market.")
@what_option
def check(codes: tuple[str, ...], store: str, market: str | None, what: str) -> None:
    """Say whether stored histories are sound, complete, and add up.

    Reads every file, or those of the named tickers, and asks no gateway. Prints what was found in
    each: a table on a terminal, CSV in a pipe; with --quiet only the files that are not sound. Rows
    that do not add up are listed and leave the exit code at 0: the gateway sent them like that. Of
    short interest only the files are checked, because its rows have no sums to compare.

    Exit codes: 3 when a file is not sound, 1 when nothing is kept.
    """
    from intake_futu_short.store import FutuShortStore
    from intake_futu_short.verifying import verify

    frame = verify(FutuShortStore(store), codes or None, market, what=what)
    if is_quiet():
        for code, problem in frame.loc[~frame["sound"], ["code", "problem"]].to_numpy():
            click.echo(f"Error: {code}: {problem}", err=True)
    elif sys.stdout.isatty():
        click.echo(tables.table(frame.drop(columns="problem")), nl=False)
        for code, problem in frame.set_index("code")["problem"].dropna().items():
            note(f"\n{code}: {problem}")
    else:
        click.echo(frame.to_csv(index=False, lineterminator="\n"), nl=False)
    if not frame["sound"].all():
        raise click.exceptions.Exit(SOME_FAILED)
