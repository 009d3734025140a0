"""The command line: ``futu-short`` and ``python -m intake_futu_short``."""

from __future__ import annotations

import contextlib
import threading
import warnings
from typing import TYPE_CHECKING

import click

from intake_futu_short import __version__
from intake_futu_short.errors import FutuShortError, StoreError

if TYPE_CHECKING:
    import pandas as pd

    from intake_futu_short.source import FutuShortSource

__all__ = ["main"]


class _Commands(click.Group):
    """Commands whose errors of ours end in one line instead of a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except FutuShortError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Daily short volume of US and HK stocks and funds from Futu's OpenD gateway."""


@main.command()
def demo() -> None:
    """Read two tickers of the built-in sample, over a real socket. Needs no OpenD."""
    # Intake and pandas take a second to import; --help need not wait for it.
    import intake  # noqa: PLC0415

    from intake_futu_short.catalog_files import catalog_path  # noqa: PLC0415

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
    from intake_futu_short.gateway import Gateway  # noqa: PLC0415
    from intake_futu_short.opend.limiter import Limit  # noqa: PLC0415
    from intake_futu_short.served import StoredHistories  # noqa: PLC0415
    from intake_futu_short.store import FutuShortStore  # noqa: PLC0415

    at_most = Limit.parse(limit)
    store = FutuShortStore(store_url)
    gateway = Gateway(
        StoredHistories(store),
        host=host,
        port=port,
        limit=None if at_most is None else (at_most.requests, at_most.seconds),
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
    import pandas as pd  # noqa: PLC0415

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
    import pandas as pd  # noqa: PLC0415

    ascending = frame.shortvol.by_date()
    metrics = {"short_ratio": ascending.shortvol.short_ratio()}
    if ascending.shortvol.market == "HK":
        metrics["short_turnover_ratio"] = ascending.shortvol.short_turnover_ratio()
    metrics["pooled_short_ratio_20"] = ascending.shortvol.pooled_short_ratio(20)
    return pd.DataFrame(metrics).tail(5).round(4)
