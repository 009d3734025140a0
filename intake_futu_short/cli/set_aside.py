"""``futu-short set-aside``: the rows of a code that now belongs to another security."""

from __future__ import annotations

import click

from intake_futu_short.cli.options import CODE, store_option, what_option

__all__ = ["set_aside"]


@click.command("set-aside", short_help="Move rows of another security out of the way.")
@click.argument("code", metavar="CODE", type=CODE)
@store_option
@what_option
def set_aside(code: str, store: str, what: str) -> None:
    """Move what is stored of a code to a file of its own; the next sync starts anew.

    For a code that now belongs to another security. Moves one series at a time. Prints the place
    of the file, which read --aside reads.
    """
    from intake_futu_short.store import FutuShortStore

    click.echo(FutuShortStore(store).set_aside(code, what=what))
