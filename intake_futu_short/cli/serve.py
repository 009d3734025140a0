"""``futu-short serve``: a store, served over the protocol of OpenD."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Literal

import click

from intake_futu_short.calls import SERIES, SHORT_INTEREST
from intake_futu_short.cli.options import KEY_FILE, LIMIT, store_option
from intake_futu_short.errors import StoreError
from intake_futu_short.repr_table import counted

if TYPE_CHECKING:
    from intake_futu_short.opend.address import Limit

__all__ = ["serve"]


@click.command(short_help="Serve a store as OpenD would.")
@store_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", default=11111, show_default=True, type=click.IntRange(0, 65535),
    help="TCP port; 0 takes a free one.",
)  # fmt: skip
@click.option(
    "--limit", default="off", show_default=True, metavar="N/SECONDS", type=LIMIT,
    help="How often clients may ask; OpenD's own is 30/30.",
)  # fmt: skip
@click.option(
    "--rsa-key", metavar="FILE", type=KEY_FILE, help="RSA private key (PEM), to encrypt with."
)
@click.option("--allow-remote", is_flag=True, help="Listen beyond this host. There is no password.")
def serve(
    *,
    store: str,
    host: str,
    port: int,
    limit: Limit | Literal["off"],
    rsa_key: str | None,
    allow_remote: bool,
) -> None:
    """Serve a store as OpenD would, to this package and to the official client.

    It answers requests for short volume, short interest and the short-selling rank.

    Tickers that are synced meanwhile are served as they are then. Ctrl-C ends it.
    """
    from intake_futu_short.gateway import Gateway
    from intake_futu_short.gateway.served import StoredHistories
    from intake_futu_short.store import FutuShortStore

    place = FutuShortStore(store)
    gateway = Gateway(
        StoredHistories(place),
        short_interest=StoredHistories(place, call=SHORT_INTEREST),
        host=host,
        port=port,
        limit=None if limit == "off" else (limit.requests, limit.seconds),
        rsa_key=rsa_key,
        allow_remote=allow_remote,
    )
    codes = {code for what in SERIES for code in place.codes(what=what)}
    if not codes:
        raise StoreError(f"{place.url}: nothing is kept there; sync some tickers first")
    with gateway, contextlib.suppress(KeyboardInterrupt):
        if allow_remote:
            click.echo(
                "Warning: the protocol knows no password. Everybody who reaches "
                f"{host}, port {gateway.port}, reads all of the store.",
                err=True,
            )
        click.echo(
            f"Serving {counted(len(codes), 'ticker')} of {place.url} at {gateway.url}. "
            "Ctrl-C ends it."
        )
        # In steps: on some systems Ctrl-C does not end a wait.
        while not threading.Event().wait(1.0):
            pass
    click.echo("Closed.")
