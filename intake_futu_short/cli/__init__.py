"""The command line: ``futu-short`` and ``python -m intake_futu_short``.

Exit codes: 0 done, 1 an error (one line on stderr), 2 a wrong command line, 3 a stored file is not
sound (``check``), 130 interrupted.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from intake_futu_short import __version__
from intake_futu_short.arguments import date
from intake_futu_short.calls import SERIES, SHORT_VOLUME
from intake_futu_short.cli import frame_output
from intake_futu_short.cli.options import (
    LAST,
    as_arguments,
    output_option,
    past_options,
    source_options,
    what_option,
)
from intake_futu_short.cli.plot import plot
from intake_futu_short.cli.rank import notes_of_a_rank, rank
from intake_futu_short.cli.reading import read_rows
from intake_futu_short.errors import FutuShortError, PanelWarning, StoreError

if TYPE_CHECKING:
    from io import TextIOWrapper

    import pandas as pd

    from intake_futu_short.source import FutuShortSource

__all__ = ["main"]

# Intake and pandas take a second to import; --help need not wait for them, so commands import
# what they use.


class _Commands(click.Group):
    """Commands whose errors of ours end in one line instead of a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            # A text of the gateway, or a path, may have characters that the encoding has not: they
            # are escaped. What a program has put there may not be able to, or be closed.
            with contextlib.suppress(AttributeError, ValueError, OSError):
                cast("TextIOWrapper", stream).reconfigure(errors="backslashreplace")
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # whoever read our output has had enough; click ends quietly
            raise
        except (FutuShortError, ImportError, OSError) as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            ctx.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Daily short volume and short interest of US and HK stocks, from Futu's OpenD gateway."""
    if sys.stdout is None:  # closed by whoever started this: what is printed goes nowhere
        nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - closed with click's
        sys.stdout = click.get_current_context().with_resource(nowhere)
    if not logging.getLogger().handlers:  # else somebody has set the log up already
        logging.basicConfig(format="%(message)s")
        # Waiting for the gateway's limit is told at this level.
        logging.getLogger("intake_futu_short").setLevel(logging.INFO)


@main.command()
@click.argument("codes", metavar="CODE...", nargs=-1, required=True)
@what_option
@source_options(
    "start", "end", "num", "gateway", "store", "refresh", "max-pages", "rsa-key", "timeout"
)
@past_options
@click.option(
    "--metrics", is_flag=True, help="Add what df.shortvol derives of short volume, as columns."
)
@click.option(
    "--last", type=LAST, default="all", show_default=True, metavar="N|all",
    help="Only the newest N trading days, or reports, of each ticker.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(frame_output.FORMATS),
    help="By default as FILE ends; else a table for a person and CSV for a pipe.",
)  # fmt: skip
@output_option("Write to FILE: .csv, .json or .parquet.")
def read(
    codes: tuple[str, ...],
    *,
    metrics: bool,
    last: int | Literal["all"],
    form: str | None,
    output: str | None,
    **given: Any,
) -> None:
    """Read the short volume of one ticker, or of several of one market.

    With --what short_interest, the reports of its open positions; the last column, published, is
    when each became public: an estimate.

    Metrics look back at days before --start, which are read too and not written.
    With --as-of or --aside only the store is read, and no gateway is asked.
    """
    if metrics and given["what"] != SHORT_VOLUME.name:
        raise click.UsageError(f"--metrics are of {SHORT_VOLUME.name}, not of {given['what']}.")
    if form is None:
        form = _format(output)
    elif form == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is not text: give a file with -o FILE, or a pipe.")
    from intake_futu_short.metrics.registry import WINDOWS

    # Some metrics compare a day with the longest window before it.
    frame = read_rows(codes, given, max(WINDOWS) if metrics else 0)
    if metrics:
        frame = frame.shortvol.with_metrics()
    frame = frame_output.cut(frame, date("start", given["start"]), None if last == "all" else last)
    data = frame_output.render(frame, form)
    if output is None:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    else:
        Path(output).write_bytes(data)
        click.echo(f"{output}: {frame_output.summary(frame)}", err=True)


def _format(output: str | None) -> str:
    if output is None:
        return "table" if sys.stdout.isatty() else "csv"
    form = frame_output.format_of(output)
    if form is None:
        raise click.UsageError(
            f"{output!r} does not say how to write it: end it in .csv, .json or .parquet, or give "
            "--format."
        )
    return form


@main.command()
@click.argument("codes", metavar="[CODE]...", nargs=-1)
@click.option(
    "--watchlist",
    help="fsspec URL of a file with codes, a code a line (- is standard input); or "
    "rank://US?sort=short_ratio&rows=200.",
)
@what_option
@click.option("--store", required=True, help="fsspec URL of the history to keep.")
@source_options("gateway", "refresh", "start", "num", "rsa-key", "timeout")
def sync(codes: tuple[str, ...], watchlist: str | None, store: str, **given: Any) -> None:
    """Bring the stored history of tickers up to date.

    Asks the gateway only for what can be new by now: a trading day, or with --what short_interest
    the report of another week (HK) or half month (US). Prints what became of each ticker: a table
    for a person, CSV for a pipe. One that fails does not keep the others from theirs; the exit code
    is 1 then.
    """
    if not codes and watchlist is None:
        raise click.UsageError("Name codes, or a --watchlist.")
    from intake_futu_short.syncing import sync as sync_tickers
    from intake_futu_short.ticker_catalog import ASKING, read_watchlist

    arguments = as_arguments(given)
    wanted = [*codes]
    if watchlist is not None:
        asking = {name: arguments[name] for name in ASKING if name in arguments}
        with notes_of_a_rank():
            wanted += read_watchlist(watchlist, **asking)
    with warnings.catch_warnings():
        # It would say once more what the table says.
        warnings.simplefilter("ignore", PanelWarning)
        frame = sync_tickers(wanted, store, errors="warn", **arguments)
    errors = frame["error"].dropna()
    if sys.stdout.isatty():
        click.echo(frame.drop(columns="error").to_string(index=False))
        for text in errors:
            click.echo(f"\nError: {text}", err=True)
    else:
        click.echo(frame.to_csv(index=False), nl=False)
    if len(errors):
        raise click.exceptions.Exit(1)


@main.command()
@click.argument("codes", metavar="[CODE]...", nargs=-1)
@click.option("--store", required=True, help="fsspec URL of the history that is kept.")
@what_option
def check(codes: tuple[str, ...], store: str, what: str) -> None:
    """Say whether stored histories are sound, complete, and add up.

    Reads every file, or those of the tickers named, and asks no gateway. Prints what was found of
    each: a table for a person, CSV for a pipe. The exit code is 3 when a file is not sound, and 1
    when nothing is kept. Rows that do not add up are told and leave it at 0: they are what the
    gateway sent. Of short interest only the files are checked, since its rows have nothing to add.
    """
    from intake_futu_short.store import FutuShortStore
    from intake_futu_short.verifying import verify

    frame = verify(FutuShortStore(store), codes or None, what=what)
    if sys.stdout.isatty():
        click.echo(frame.drop(columns="problem").to_string(index=False))
        for code, problem in frame.set_index("code")["problem"].dropna().items():
            click.echo(f"\n{code}: {problem}", err=True)
    else:
        click.echo(frame.to_csv(index=False), nl=False)
    if not frame["sound"].all():
        raise click.exceptions.Exit(3)


@main.command()
@click.option("--store", required=True, help="fsspec URL of the history that is kept.")
@click.option("--market", type=click.Choice(["HK", "US"]), help="Needed if the store holds both.")
@click.option(
    "--by", default="short_ratio_zscore_20", show_default=True,
    help="What to sort by: a metric as df.shortvol.metrics() names it, or a column.",
)  # fmt: skip
@click.option("--top", default="20", show_default=True, metavar="N", help="Tickers, or 'all'.")
@click.option("--ascending", is_flag=True, help="The lowest first.")
@output_option("Write to FILE: .csv, .json, or .html for a page to look at and pass on.")
def screen(
    *, store: str, market: str | None, by: str, top: str, ascending: bool, output: str | None
) -> None:
    """Show which tickers of a store stand out in their newest session.

    Asks no gateway. Prints a table for a person, CSV with every metric for a pipe. Tickers that
    cannot be read do not keep the others from it; the exit code is 1 then.
    """
    from intake_futu_short.cli import screen_output
    from intake_futu_short.store import FutuShortStore

    if top != "all" and not (top.isdecimal() and int(top) > 0):
        raise click.UsageError(f"--top is a number of tickers or 'all', not {top!r}.")
    form = screen_output.format_of(output)
    if form is None:
        raise click.UsageError(f"{output!r} must end in .csv, .json or .html.")
    order = screen_output.Order(by, None if top == "all" else int(top), ascending=ascending)
    found = screen_output.Screen.of(FutuShortStore(store), market, order, form)
    if output is None:
        click.echo(found.text, nl=False)
    else:
        Path(output).write_text(
            found.text, encoding="utf-8", errors="backslashreplace", newline="\n"
        )
        click.echo(f"{output}: {found.summary}", err=True)
    for note in found.notes:
        click.echo(note, err=True)
    if found.has_failures:
        raise click.exceptions.Exit(1)


main.add_command(rank)


@main.command("set-aside")
@click.argument("code", metavar="CODE")
@click.option("--store", required=True, help="fsspec URL of the history.")
@what_option
def set_aside(code: str, store: str, what: str) -> None:
    """Move what is stored of a code to a file of its own; the next sync starts anew.

    For a code that now belongs to another security. Each series is moved by itself. read --aside
    reads what was set aside.
    """
    from intake_futu_short.store import FutuShortStore

    click.echo(FutuShortStore(store).set_aside(code, what=what))


main.add_command(plot)


@main.command()
@click.option("--gateway", help="opend://HOST:PORT or sample://; else $FUTU_OPEND, else the usual.")
@click.option("--code", default="HK.00700", show_default=True, help="The ticker to ask for.")
@source_options("rsa-key")
@click.option(
    "--record", metavar="FILE",
    help="Ask 15 questions instead of one, and write what this gateway answers to FILE (JSON).",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
def doctor(
    gateway: str | None, code: str, rsa_key: str | None, record: str | None, *, force: bool
) -> None:
    """Find out what keeps reading from working. Takes one request.

    With --record it also finds out how this gateway behaves where that is not known. The file
    holds market data, the gateway's texts and times, and no account, host or key: read it, then
    share it if you like.
    """
    if force and record is None:
        raise click.UsageError("--force goes with --record FILE.")
    from intake_futu_short.cli import recording
    from intake_futu_short.cli.doctor import examine

    with contextlib.ExitStack() as opened:
        write = None
        if record is not None:
            write = opened.enter_context(recording.new_file(record, overwrites=force))
        failed = False
        for finding in examine(gateway, code, rsa_key, asks=record is None):
            failed |= finding.state == "failed"
            click.echo(f"{finding.state:<10} {finding.step:<11} {finding.text}")
        if failed:
            raise click.exceptions.Exit(1)
        if write is not None:
            now = dt.datetime.now(dt.timezone.utc)
            recording.make(write, click.echo, gateway=gateway, code=code, rsa_key=rsa_key, now=now)
            click.echo(f"\n{record} is written. {recording.WHAT_NEXT}")


@main.command()
def demo() -> None:
    """Read two tickers of the built-in sample, over a real socket. Needs no OpenD."""
    import intake

    from intake_futu_short.catalog_files import catalog_path

    path = catalog_path("sample")
    click.echo(f"Catalog {path}, read from the sample gateway on a loopback port.\n")
    catalog = intake.open_catalog(path)
    _show(catalog.sample_us(code="US.AAPL", num=10), "real rows, 2024-09-03 to 2024-10-11")
    _show(catalog.sample_hk(code="HK.SAMPLE"), "SYNTHETIC rows, made up; there is no such security")


@main.command()
@click.option("--store", "store_url", required=True, help="URL or path of a store that was synced.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", default=11111, show_default=True, help="TCP port; 0 takes a free one.")
@click.option(
    "--limit", default="off", show_default=True, metavar="N/SECONDS", help="OpenD's own: 30/30."
)
@click.option("--rsa-key", metavar="PATH", help="RSA private key (PEM) that encrypts connections.")
@click.option("--allow-remote", is_flag=True, help="Listen beyond this host. Knows no password.")
def serve(
    *, store_url: str, host: str, port: int, limit: str, rsa_key: str | None, allow_remote: bool
) -> None:
    """Serve a store as OpenD would, to this package and to the official client.

    Short volume, short interest and the short-selling rank of what is kept.

    Tickers synced meanwhile are served as they then are. Ctrl-C ends it.
    """
    from intake_futu_short.calls import SHORT_INTEREST
    from intake_futu_short.gateway import Gateway
    from intake_futu_short.gateway.served import StoredHistories
    from intake_futu_short.opend.address import Limit
    from intake_futu_short.store import FutuShortStore

    at_most = Limit.parse(limit)
    store = FutuShortStore(store_url)
    gateway = Gateway(
        StoredHistories(store),
        short_interest=StoredHistories(store, call=SHORT_INTEREST),
        host=host,
        port=port,
        limit=None if at_most == "off" else (at_most.requests, at_most.seconds),
        rsa_key=rsa_key,
        allow_remote=allow_remote,
    )
    codes = {code for what in SERIES for code in store.codes(what=what)}
    if not codes:
        raise StoreError(f"{store.url}: nothing is kept there; sync some tickers first")
    with gateway, contextlib.suppress(KeyboardInterrupt):
        if allow_remote:
            click.echo(
                "Warning: the protocol knows no password. Everybody who reaches "
                f"{host}, port {gateway.port}, reads all of the store.",
                err=True,
            )
        click.echo(f"Serving {len(codes)} tickers of {store.url} at {gateway.url}. Ctrl-C ends it.")
        # In steps: on some systems Ctrl-C does not end a wait.
        while not threading.Event().wait(1.0):
            pass
    click.echo("Closed.")


def _show(source: FutuShortSource, what: str) -> None:
    import pandas as pd

    with source:
        info = source.discover()
        frame = source.read()
        parts = [len(part) for part in source.read_chunked()]
    rows, columns = info["shape"]
    title = f"{frame.shortvol.code}: {what}"
    click.echo(f"{title}\n{'-' * len(title)}")
    click.echo(f"{rows} rows x {columns} columns in {len(parts)} partitions of {parts[0]} rows")
    with pd.option_context("display.width", 120, "display.max_columns", 7, "display.max_rows", 6):
        click.echo(f"\n{frame}\n")
        click.echo(f"df.attrs: {frame.attrs}\n")
        click.echo(f"{_metrics(frame)}\n")
    click.echo(f"df.shortvol.check(): {len(frame.shortvol.check())} rows do not add up\n")


def _metrics(frame: pd.DataFrame) -> pd.DataFrame:
    """A few metrics beside the dates, as fractions."""
    import pandas as pd

    ascending = frame.shortvol.by_date()
    metrics = {"short_ratio": ascending.shortvol.short_ratio()}
    if ascending.shortvol.market == "HK":
        metrics["short_turnover_ratio"] = ascending.shortvol.short_turnover_ratio()
    metrics["pooled_short_ratio_20"] = ascending.shortvol.pooled_short_ratio(20)
    return pd.DataFrame(metrics).tail(5).round(4)
