"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from intake_futu_short.calls import SERIES, SHORT_VOLUME

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "LAST",
    "as_arguments",
    "output_option",
    "past_options",
    "source_options",
    "what_option",
]


class _Last(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from 8.2 on
    """A number of trading days, or of reports, or ``all``."""

    name = "last"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | Literal["all"]:
        if value == "all":
            return "all"
        try:
            days = int(value)
        except ValueError:
            days = 0
        if days < 1:
            self.fail(
                f"{value!r} is no number of trading days, 1 or more, and not 'all'", param, ctx
            )
        return days


LAST = _Last()


def source_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Options that are arguments of a source, under their own names."""
    helps = {
        "start": "First trading day (as-of day of reports), such as 2026-01-02 or 20260102.",
        "end": "Last trading day, likewise.",
        "num": "Rows a page of the gateway, 1 to 50.",
        "gateway": "opend://HOST:PORT or sample://; else $FUTU_OPEND, else this machine. Given "
        "several times, the gateways share the work.",
        "store": "fsspec URL of the history to keep and read on from.",
        "refresh": "auto, always, full or never (the store alone, no gateway).",
        "max-pages": "Read no more than the newest so many pages.",
        "rsa-key": "File of the RSA private key that OpenD is set to.",
        "timeout": "Seconds to wait for each answer.",
    }

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for name in reversed(names):
            several = name == "gateway"
            command = click.option(f"--{name}", help=helps[name], multiple=several)(command)
        return command

    return add


def what_option(command: Callable[..., None]) -> Callable[..., None]:
    """Option for the series that a command is about."""
    return click.option(
        "--what", type=click.Choice(list(SERIES)), default=SHORT_VOLUME.name, show_default=True,
        help="Which series: daily short volume, or the reports of open short positions.",
    )(command)  # fmt: skip


def as_arguments(options: dict[str, Any]) -> dict[str, Any]:
    """Options that were given, as arguments."""
    given = {name: value for name, value in options.items() if value not in {None, ()}}
    if "gateway" in given:
        # A shell's variable that is not set leaves it open, as it does in a catalog.
        given["gateway"] = [url for url in given["gateway"] if url] or None
    return given


def past_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options that read a store as it was, and no gateway."""
    aside = click.option(
        "--aside", is_flag=True, help="What set-aside has put aside of the store's codes."
    )
    as_of = click.option(
        "--as-of", metavar="WHEN",
        help="Only what the store had seen by then: a time with a zone, or a date.",
    )  # fmt: skip
    return as_of(aside(command))


def output_option(
    text: str, *, required: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Option for the file to write, whose directory must be there before anything is read."""

    def check(_: click.Context, __: click.Parameter, path: str | None) -> str | None:
        if path is not None and not Path(path).absolute().parent.is_dir():
            raise click.UsageError(f"There is no directory {str(Path(path).parent)!r} for -o FILE.")
        return path

    return click.option(
        "-o", "--output", metavar="FILE", required=required, type=click.Path(dir_okay=False),
        callback=check, help=text,
    )  # fmt: skip
