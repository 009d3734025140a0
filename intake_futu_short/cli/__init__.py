"""The command line: ``futu-short`` and ``python -m intake_futu_short``.

Exit codes: 0 done, 1 an error (one line on stderr), 2 a wrong command line, 3 a stored file is not
sound (``check``), 130 interrupted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from intake_futu_short import __version__
from intake_futu_short.arguments import date, interval
from intake_futu_short.cli import frame_output
from intake_futu_short.cli.options import LAST, output_option, past_options, source_options
from intake_futu_short.errors import FutuShortError, PanelWarning, StoreError

if TYPE_CHECKING:
    import pandas as pd

    from intake_futu_short.source import FutuShortSource

__all__ = ["main"]

# Intake and pandas take a second to import; --help need not wait for them, so commands import
# what they use.


class _Commands(click.Group):
    """Commands whose errors of ours end in one line instead of a traceback."""

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
    """Daily short volume of US and HK stocks and funds from Futu's OpenD gateway."""
    if sys.stdout is None:  # closed by whoever started this: what is printed goes nowhere
        nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - closed with click's
        sys.stdout = click.get_current_context().with_resource(nowhere)
    if not logging.getLogger().handlers:  # else somebody has set the log up already
        logging.basicConfig(format="%(message)s")
        # Waiting for the gateway's limit is told at this level.
        logging.getLogger("intake_futu_short").setLevel(logging.INFO)


@main.command()
@click.argument("codes", metavar="CODE...", nargs=-1, required=True)
@source_options(
    "start", "end", "num", "gateway", "store", "refresh", "max-pages", "rsa-key", "timeout"
)
@past_options
@click.option("--metrics", is_flag=True, help="Add what df.shortvol derives, as columns.")
@click.option(
    "--last", type=LAST, default="all", show_default=True, metavar="N|all",
    help="Only the newest N trading days of each ticker.",
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

    Metrics look back at days before --start, which are read too and not written.
    With --as-of or --aside only the store is read, and no gateway is asked.
    """
    if form is None:
        form = _format(output)
    elif form == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is not text: give a file with -o FILE, or a pipe.")
    from intake_futu_short.metrics.registry import WINDOWS

    # Some metrics compare a day with the longest window before it.
    frame = _read(codes, given, max(WINDOWS) if metrics else 0)
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


def _read(codes: tuple[str, ...], given: dict[str, Any], warmup: int = 0) -> pd.DataFrame:
    """Rows of tickers, with `warmup` or more of each before ``--start``."""
    from intake_futu_short.source import FutuShortSource

    wanted = {name: value for name, value in given.items() if name not in {"as_of", "aside"}}
    wanted = _given(wanted)
    first, _ = interval(wanted.get("start"), wanted.get("end"))
    warmup = 0 if first is None else warmup
    if given["aside"] or given["as_of"] is not None:
        if warmup:
            del wanted["start"]  # all that is stored before it is at hand
        return _read_past(codes, wanted, given["as_of"], aside=given["aside"])
    code: Any = codes[0] if len(codes) == 1 else list(codes)
    with FutuShortSource(code, **wanted, warmup=warmup) as source:
        return source.read()


def _read_past(
    codes: tuple[str, ...], wanted: dict[str, Any], as_of: str | None, *, aside: bool
) -> pd.DataFrame:
    from intake_futu_short.store import FutuShortStore

    store = wanted.pop("store", None)
    if store is None:
        raise click.UsageError("--as-of and --aside read a store: name it with --store.")
    others = sorted(set(wanted) - {"start", "end"})
    if others:
        option = others[0].replace("_", "-")
        raise click.UsageError(f"--{option} is for a gateway, which --as-of and --aside don't ask.")
    return FutuShortStore(store).read(list(codes), **wanted, as_of=as_of, aside=aside)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Options that were given, as arguments."""
    given = {name: value for name, value in options.items() if value not in {None, ()}}
    if "gateway" in given:
        # A shell's variable that is not set leaves it open, as it does in a catalog.
        given["gateway"] = [url for url in given["gateway"] if url] or None
    return given


@main.command()
@click.argument("codes", metavar="[CODE]...", nargs=-1)
@click.option("--watchlist", help="fsspec URL of a file with codes, a code a line.")
@click.option("--store", required=True, help="fsspec URL of the history to keep.")
@source_options("gateway", "refresh", "start", "num", "rsa-key", "timeout")
def sync(codes: tuple[str, ...], watchlist: str | None, store: str, **given: Any) -> None:
    """Bring the stored history of tickers up to date.

    Prints what became of each: a table for a person, CSV for a pipe. A ticker that fails does not
    keep the others from theirs; the exit code is 1 then.
    """
    if not codes and watchlist is None:
        raise click.UsageError("Name codes, or a --watchlist.")
    from intake_futu_short.syncing import sync as sync_tickers
    from intake_futu_short.ticker_catalog import read_watchlist

    wanted = [*codes, *(read_watchlist(watchlist) if watchlist is not None else [])]
    with warnings.catch_warnings():
        # It would say once more what the table says.
        warnings.simplefilter("ignore", PanelWarning)
        frame = sync_tickers(wanted, store, errors="warn", **_given(given))
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
def check(codes: tuple[str, ...], store: str) -> None:
    """Say whether stored histories are sound, complete, and add up.

    Reads every file, or those of the tickers named, and asks no gateway. Prints what was found of
    each: a table for a person, CSV for a pipe. The exit code is 3 when a file is not sound, and 1
    when nothing is kept. Rows that do not add up are told and leave it at 0: they are what the
    gateway sent.
    """
    from intake_futu_short.store import FutuShortStore
    from intake_futu_short.verifying import verify

    frame = verify(FutuShortStore(store), codes or None)
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
        Path(output).write_text(found.text, encoding="utf-8", newline="\n")
        click.echo(f"{output}: {found.summary}", err=True)
    for note in found.notes:
        click.echo(note, err=True)
    if found.has_failures:
        raise click.exceptions.Exit(1)


@main.command("set-aside")
@click.argument("code", metavar="CODE")
@click.option("--store", required=True, help="fsspec URL of the history.")
def set_aside(code: str, store: str) -> None:
    """Move what is stored of a code to a file of its own; the next sync starts anew.

    For a code that now belongs to another security. read --aside reads what was set aside.
    """
    from intake_futu_short.store import FutuShortStore

    click.echo(FutuShortStore(store).set_aside(code))


@main.command()
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

    Windows of the first days shown look back at days before, which are read too.
    """
    from intake_futu_short import plotting

    if not output.lower().endswith(tuple(f".{name}" for name in plotting.FORMATS)):
        raise click.UsageError(f"{output!r} must end in one of {', '.join(plotting.FORMATS)}.")
    plotting.check_installed()
    # A gateway sends the newest days first, so that those after --end are read anyway: an error
    # can then name the days that there are.
    kind, end, last = (given.pop(name) for name in ("kind", "end", "last"))
    options = plotting.Options(kind, given["start"], end, last)
    options.interval()
    if not any((given["start"], given["store"], given["max_pages"], last == "all")):
        days = (last or plotting.LAST) + plotting.WINDOW + _days_since(date("end", end))
        given["max_pages"] = _pages(days, given["num"])
    frame = _read(codes, {"end": None, **given}, plotting.WINDOW)
    click.echo(f"{plotting.save(frame, output, options, dpi=dpi)}", err=True)


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


@main.command()
@click.option("--gateway", help="opend://HOST:PORT or sample://; else $FUTU_OPEND, else the usual.")
@click.option("--code", default="HK.00700", show_default=True, help="The ticker to ask for.")
@source_options("rsa-key")
def doctor(gateway: str | None, code: str, rsa_key: str | None) -> None:
    """Find out what keeps reading from working. Takes one request."""
    from intake_futu_short.cli.doctor import examine

    failed = False
    for finding in examine(gateway, code, rsa_key):
        failed |= finding.state == "failed"
        click.echo(f"{finding.state:<10} {finding.step:<11} {finding.text}")
    if failed:
        raise click.exceptions.Exit(1)


@main.command()
def demo() -> None:
    """Read two tickers of the built-in sample, over a real socket. Needs no OpenD."""
    import intake

    from intake_futu_short.catalog_files import catalog_path

    path = catalog_path("sample")
    click.echo(f"Catalog {path}, read from the sample gateway on a loopback port.\n")
    with warnings.catch_warnings():
        # Intake says so of every string parameter of every catalog.
        warnings.filterwarnings("ignore", message="Shell command not executed")
        catalog = intake.open_catalog(path)
        _show(catalog.us(code="US.AAPL", num=10), "real rows, 2024-09-03 to 2024-10-11")
        _show(catalog.hk(code="HK.SAMPLE"), "SYNTHETIC rows, made up; there is no such security")


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

    Tickers synced meanwhile are served as they then are. Ctrl-C ends it.
    """
    from intake_futu_short.gateway import Gateway
    from intake_futu_short.gateway.served import StoredHistories
    from intake_futu_short.opend.address import Limit
    from intake_futu_short.store import FutuShortStore

    at_most = Limit.parse(limit)
    store = FutuShortStore(store_url)
    gateway = Gateway(
        StoredHistories(store),
        host=host,
        port=port,
        limit=None if at_most == "off" else (at_most.requests, at_most.seconds),
        rsa_key=rsa_key,
        allow_remote=allow_remote,
    )
    codes = store.codes()
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
