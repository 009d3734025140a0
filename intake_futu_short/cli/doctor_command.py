"""The command ``futu-short doctor``: prints the findings, and writes a record when asked to."""

from __future__ import annotations

import contextlib
import datetime as dt
import sys
from typing import TYPE_CHECKING

import click

from intake_futu_short.cli import tables
from intake_futu_short.cli.options import CODE, GATEWAY, KEY_FILE
from intake_futu_short.cli.outcome import NOTHING, is_quiet

if TYPE_CHECKING:
    from intake_futu_short.cli.doctor import Finding

__all__ = ["doctor"]


@click.command()
@click.option(
    "--gateway", metavar="URL", type=GATEWAY,
    help="opend://HOST:PORT or sample://; else $FUTU_OPEND, else this machine.",
)  # fmt: skip
@click.option(
    "--code", type=CODE, metavar="CODE",
    help="The ticker to ask for.  [default: US.AAPL]",
)  # fmt: skip
@click.option(
    "--rsa-key", metavar="FILE", type=KEY_FILE, help="The RSA private key that OpenD is set to."
)
@click.option(
    "--record", metavar="FILE", type=click.Path(),
    help="Ask 15 questions instead of one, and write what this gateway answers to FILE (JSON).",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
def doctor(
    gateway: str | None, code: str | None, rsa_key: str | None, record: str | None, *, force: bool
) -> None:
    """Find out what keeps reading from working. Takes one request.

    With --record it also finds out how this gateway behaves where no document says. The file
    holds market data, texts of the gateway and times, and no account, host or key. Read it, then
    share it if you like.

    Exit codes: 1 when something failed. A gateway that answers is healthy, even if it does not
    know the default ticker.
    """
    if force and record is None:
        raise click.UsageError("--force goes with --record FILE.")
    from intake_futu_short.cli import recording
    from intake_futu_short.cli.doctor import DEFAULT_CODE, examine

    with contextlib.ExitStack() as opened:
        write = None
        if record is not None:
            write = opened.enter_context(recording.new_file(record, overwrites=force))
        failed = False
        for finding in examine(gateway, code, rsa_key, asks=record is None):
            failed |= finding.state == "failed"
            if finding.state == "failed" or not is_quiet():
                click.echo(_line(finding))
        if failed:
            raise click.exceptions.Exit(NOTHING)
        if write is not None:
            now = dt.datetime.now(dt.timezone.utc)
            code = code or DEFAULT_CODE
            recording.make(write, click.echo, gateway=gateway, code=code, rsa_key=rsa_key, now=now)
            click.echo(f"\n{record} is written. {recording.WHAT_NEXT}")


def _line(finding: Finding) -> str:
    """Write a finding as a line. A terminal that is too narrow gets more lines, indented."""
    line = f"{finding.state:<10} {finding.step:<11} {finding.text}"
    if not sys.stdout.isatty():
        return line
    return tables.wrapped(line, indent=23)
