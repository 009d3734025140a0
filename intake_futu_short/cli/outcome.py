"""How a command ends: its exit code, and what it says on standard error.

Exit codes: 0 done; 1 nothing came; 2 a wrong argument; 3 some tickers failed, or (``check``) a
stored file is not sound; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from intake_futu_short.described import is_like_key
from intake_futu_short.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "DONE",
    "INTERRUPTED",
    "NOTHING",
    "SOME_FAILED",
    "WRONG_ARGUMENT",
    "Failure",
    "Interruption",
    "Loudness",
    "WrongArgument",
    "has_lost_its_reader",
    "hiding_keys",
    "is_quiet",
    "loudness_options",
    "note",
    "set_up_log",
    "tell_failures",
]

DONE = 0
NOTHING = 1
WRONG_ARGUMENT = 2
SOME_FAILED = 3
INTERRUPTED = 130

# Part of a line of a key, whose header has only short words.
_KEY_PIECE = re.compile(r"[A-Za-z0-9+]{12,}")


class Failure(click.ClickException):
    """An error that ends the command: one line on standard error."""

    exit_code = NOTHING

    def __init__(self, error: object) -> None:
        super().__init__(printable(error))


class WrongArgument(Failure):
    """An argument that the package refused."""

    exit_code = WRONG_ARGUMENT


@contextlib.contextmanager
def hiding_keys(words: Iterable[str]) -> Iterator[None]:
    """Take a key that stands among the words of a command line out of errors.

    click repeats the words that it refuses.
    """
    try:
        yield
    except click.ClickException as error:
        key = next((word for word in words if _has_key(word) and _shows(error, word)), None)
        if key is None:
            raise
        text = (
            f"An argument of {len(key):,} characters is not accepted. It looks like a key, so it "
            "is not shown. A key is given by the path of its file."
        )
        if isinstance(error, click.BadParameter):
            raise click.BadParameter(text, error.ctx, error.param, error.param_hint) from None
        if isinstance(error, click.UsageError):
            raise click.UsageError(text, error.ctx) from None
        raise Failure(text) from None


def _has_key(word: str) -> bool:
    name, _, value = word.lstrip("-").partition("=")
    return any(map(is_like_key, (word, name, value)))


def _shows(error: click.ClickException, word: str) -> bool:
    return any(piece in error.message for piece in _KEY_PIECE.findall(word))


class Interruption(KeyboardInterrupt):
    """Ctrl-C in a command that reports what it has kept."""


# -- what is said -----------------------------------------------------------------------------


@dataclass
class Loudness:
    """How much a command says besides its output: `note` and the log."""

    is_quiet: bool = False
    is_verbose: bool = False
    has_log: bool = False  # of our own making


def is_quiet() -> bool:
    """Whether the user wants errors only."""
    return _loudness(click.get_current_context()).is_quiet


def note(text: str) -> None:
    """Write a line to standard error that is no error."""
    if not is_quiet():
        click.echo(text, err=True)


def tell_failures(failures: Mapping[str, object]) -> None:
    """Write a line with the reason for each ticker that failed."""
    for code, error in failures.items():
        text = printable(error)
        click.echo(f"Error: {text if code in text else f'{code}: {text}'}", err=True)


def has_lost_its_reader() -> bool:
    """Whether the pipe we write to is closed. If it is not, an empty line is written."""
    try:
        print(flush=True)
    except BrokenPipeError:
        return True
    return False


def loudness_options() -> list[click.Option]:
    """Options ``-v`` and ``--quiet`` of every command, before or after its name."""
    return [
        click.Option(
            ["-v", "--verbose"], is_flag=True, expose_value=False, callback=_set_verbose,
            help="Say what is asked of the gateway, and when.",
        ),
        click.Option(
            ["-q", "--quiet"], is_flag=True, expose_value=False, callback=_set_quiet,
            help="Say nothing but errors and what was asked for.",
        ),
    ]  # fmt: skip


def set_up_log() -> None:
    """Send the log to standard error, unless the program has set up logging already.

    The options after the command's name are read later and call this again.
    """
    loudness = _loudness(click.get_current_context())
    if loudness.is_quiet and loudness.is_verbose:
        raise click.UsageError("--quiet and --verbose contradict each other.")
    root, ours = logging.getLogger(), logging.getLogger("intake_futu_short")
    if root.handlers and not loudness.has_log:
        return
    loudness.has_log = True
    logging.basicConfig()
    form = "%(asctime)s %(message)s" if loudness.is_verbose else "%(message)s"
    for handler in root.handlers:
        handler.setFormatter(logging.Formatter(form))
    # Waits for the gateway's limit are logged at the level INFO.
    usual = logging.DEBUG if loudness.is_verbose else logging.INFO
    ours.setLevel(logging.ERROR if loudness.is_quiet else usual)


def _set_verbose(ctx: click.Context, _: click.Parameter, is_given: bool) -> None:
    if is_given:
        _loudness(ctx).is_verbose = True
        _heed(ctx)


def _set_quiet(ctx: click.Context, _: click.Parameter, is_given: bool) -> None:
    if is_given:
        _loudness(ctx).is_quiet = True
        _heed(ctx)


def _heed(ctx: click.Context) -> None:
    if ctx.parent is not None and not ctx.resilient_parsing:  # the group handles its own
        set_up_log()


def _loudness(ctx: click.Context) -> Loudness:
    root = ctx.find_root()
    if not isinstance(root.obj, Loudness):
        root.obj = Loudness()
    found: Loudness = root.obj
    return found
