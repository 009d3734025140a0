"""Types of arguments, and options that several commands share.

The types refuse wrong values before anything is read. click's help and completion take their
choices from them.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.shell_completion import CompletionItem

from intake_futu_short import arguments
from intake_futu_short.calls import SERIES, SHORT_VOLUME
from intake_futu_short.errors import ConfigError
from intake_futu_short.opend.address import Limit
from intake_futu_short.security import MARKETS, US, Security

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    Command = Callable[..., None]
    Decorator = Callable[[Command], Command]

__all__ = [
    "CODE",
    "COUNT",
    "GATEWAY",
    "KEY_FILE",
    "LIMIT",
    "SESSIONS",
    "STORE",
    "Choice",
    "as_arguments",
    "codes_argument",
    "last_option",
    "market_option",
    "output_option",
    "past_options",
    "source_options",
    "store_option",
    "watchlist_option",
    "what_option",
]


class Choice(click.Choice):  # type: ignore[type-arg,unused-ignore]  # generic from 8.2 on
    """One of several names; for a mistyped one the error suggests the nearest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name, or fail with the list of names."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            near = difflib.get_close_matches(str(value).lower(), map(str, self.choices), 1)
            advice = f" Did you mean {near[0]!r}?" if near else ""
            self.fail(f"{error.message}{advice}", param, ctx)


class _Checked(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from 8.2 on
    """A value that the package itself parses, so that its own message says what is wrong."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the parsed value; a default is parsed already."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)


def _code(text: str) -> str:
    return Security.parse(text).code


def _day(text: str) -> str | None:
    try:
        return arguments.date("day", text)
    except ConfigError as error:  # that message names an argument, and Python's dates too
        raise ConfigError(
            f"{text!r} is not a day: write 2026-01-02, 20260102 or 2026/01/02"
        ) from error


def _moment(text: str) -> str | None:
    # The market decides at which moment a day ends, so any market will do for a check.
    return None if arguments.moment("as_of", text, US) is None else text


def _gateway(text: str) -> str:
    # An empty shell variable means the default gateway, as in a catalog.
    arguments.gateways(text)
    return text


class _Count(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from 8.2 on
    """A count of at least 1, or ``all``."""

    def __init__(self, things: str) -> None:
        self.name = "count"
        self._things = things

    def get_metavar(self, *_: Any, **__: Any) -> str:
        """Name the accepted values for the help."""
        return "N|all"

    def shell_complete(self, *_: Any) -> list[Any]:
        """Complete the word ``all``."""
        return [CompletionItem("all")]

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | Literal["all"]:
        """Return the number, or None for ``all``."""
        if value == "all":
            return "all"
        try:
            number = int(value)
        except ValueError:
            number = 0
        if number < 1:
            self.fail(
                f"{value!r} is neither a number of {self._things} (1 or more) nor 'all'", param, ctx
            )
        return number


CODE = _Checked("code", _code)
DAY = _Checked("day", _day)
MOMENT = _Checked("moment", _moment)
GATEWAY = _Checked("url", _gateway)
LIMIT = _Checked("limit", Limit.parse)
SESSIONS = _Count("sessions")
COUNT = _Count("tickers")
# Not `exists`: it may be a URL, or "~" in quotes.
STORE = click.Path(file_okay=False)
KEY_FILE = click.Path(dir_okay=False)
LIST_FILE = click.Path(dir_okay=False, allow_dash=True)

_OPTIONS: dict[str, dict[str, Any]] = {
    "start": {
        "type": DAY, "metavar": "DAY",
        "help": "First trading day (as-of day of reports): 2026-01-02, 20260102 or 2026/01/02.",
    },
    "end": {"type": DAY, "metavar": "DAY", "help": "Last trading day, likewise."},
    "num": {
        "type": click.IntRange(1, arguments.MAX_ROWS_A_PAGE),
        "help": "Rows per page of the gateway.",
    },
    "gateway": {
        "type": GATEWAY, "metavar": "URL", "multiple": True,
        "help": "opend://HOST:PORT or sample://; else $FUTU_OPEND, else this machine. Given "
        "several times, the gateways share the work.",
    },
    "store": {
        "type": STORE, "metavar": "DIRECTORY|URL",
        "help": "Where the history is kept, which is brought up to date and read.",
    },
    "refresh": {
        "type": Choice(arguments.REFRESHES),
        "help": "With --store: ask the gateway when there can be anything new (auto, the "
        "default), always, for all of the history (full), or never.",
    },
    "max-pages": {
        "type": click.IntRange(1), "help": "Read at most this many pages, newest first.",
    },
    "rsa-key": {
        "type": KEY_FILE, "metavar": "FILE", "help": "The RSA private key that OpenD is set to.",
    },
    "timeout": {
        "type": click.FloatRange(0, min_open=True), "metavar": "SECONDS",
        "help": "How long to wait for each answer.",
    },
}  # fmt: skip


def source_options(*names: str, **changes: dict[str, Any]) -> Decorator:
    """Options that are arguments of a source, with the same names."""

    def add(command: Command) -> Command:
        for name in reversed(names):
            given = {**_OPTIONS[name], **changes.get(name, {})}
            command = click.option(f"--{name}", **given)(command)
        return command

    return add


def codes_argument(*, has_list: bool = False) -> Decorator:
    """The argument for tickers; with `has_list` a ``--watchlist`` may replace it."""
    metavar = "[CODE]..." if has_list else "CODE..."
    return click.argument("codes", metavar=metavar, nargs=-1, required=not has_list, type=CODE)


def watchlist_option(command: Command) -> Command:
    """Option for a file with tickers, in addition to those on the command line."""
    return click.option(
        "--watchlist", metavar="FILE|URL", type=LIST_FILE,
        help="File with one code per line (- is standard input); or "
        "rank://US?sort=short_ratio&rows=200.",
    )(command)  # fmt: skip


def store_option(command: Command) -> Command:
    """Option for the store that a command is about."""
    return click.option(
        "--store", required=True, type=STORE, metavar="DIRECTORY|URL",
        help="Where the histories are kept.",
    )(command)  # fmt: skip


def market_option(text: str) -> Decorator:
    """Option for one market."""
    return click.option("--market", type=Choice(sorted(MARKETS)), help=text)


def what_option(command: Command) -> Command:
    """Option for the series that a command is about."""
    return click.option(
        "--what", type=Choice(list(SERIES)), default=SHORT_VOLUME.name, show_default=True,
        help="Which series: daily short volume, or the reports of open short positions.",
    )(command)  # fmt: skip


def last_option(default: str | None, *, more: str = "", things: str = "sessions") -> Decorator:
    """Option for how many of each ticker's newest sessions a command shows."""
    return click.option(
        "--last", type=SESSIONS, default=default, show_default=default is not None,
        help=f"The newest N {things} of each ticker, or all.{more}",
    )  # fmt: skip


def as_arguments(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as keyword arguments."""
    given = {name: value for name, value in options.items() if value not in {None, ()}}
    if "gateway" in given:
        given["gateway"] = [url for url in given["gateway"] if url] or None
    return given


def past_options(command: Command) -> Command:
    """Options for reading a store as it was, without a gateway."""
    aside = click.option(
        "--aside", is_flag=True, help="The rows that set-aside has moved out of the way."
    )
    as_of = click.option(
        "--as-of", metavar="WHEN", type=MOMENT,
        help="Only what the store had seen by then: a time with a zone, or a date.",
    )  # fmt: skip
    return as_of(aside(command))


def output_option(text: str, *, endings: Collection[str], required: bool = False) -> Decorator:
    """Option for the file to write.

    Its directory must be there, and its name end in one of some ways, before anything is read.
    """

    def check(ctx: click.Context, param: click.Parameter, path: str | None) -> str | None:
        if path is None:
            return None
        if not Path(path).absolute().parent.is_dir():
            raise click.BadParameter(
                f"There is no directory {str(Path(path).parent)!r} for it.", ctx, param
            )
        if endings and path.rpartition(".")[2].lower() not in endings:
            known = [f".{ending}" for ending in endings]
            raise click.BadParameter(
                f"{path!r} must end in {', '.join(known[:-1])} or {known[-1]}.", ctx, param
            )
        return path

    return click.option(
        "-o", "--output", metavar="FILE", required=required, type=click.Path(dir_okay=False),
        callback=check, help=text,
    )  # fmt: skip
