"""The command line: ``futu-short`` and ``python -m intake_futu_short``.

Each command has a module of its own. `options` has the options that several share, `outcome` the
exit codes.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from intake_futu_short import __version__, wording
from intake_futu_short.cli import (
    check,
    demo,
    doctor_command,
    info,
    outcome,
    plot,
    rank,
    read,
    screen,
    serve,
    set_aside,
    sync,
)
from intake_futu_short.errors import ConfigError, FutuShortError, PanelError

if TYPE_CHECKING:
    from io import TextIOWrapper

__all__ = ["main"]

# Intake and pandas take a second to import; --help need not wait for them, so commands import
# what they use.


# Where the words of the command line are kept.
_WORDS = f"{__name__}.words"


class _Commands(click.Group):
    """Commands that report errors of this package in one line instead of a traceback."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command, which takes ``-v`` and ``--quiet`` too."""
        cmd.params += outcome.loudness_options()
        super().add_command(cmd, name)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command line."""
        for stream in (sys.stdout, sys.stderr):
            # Texts of the gateway and paths may have characters that the encoding lacks, so these
            # are escaped. A stream that a program has put there may be closed, or lack the method.
            with contextlib.suppress(AttributeError, ValueError, OSError):
                cast("TextIOWrapper", stream).reconfigure(errors="backslashreplace")
        with wording.for_command_line():
            return super().main(*args, **kwargs)

    def make_context(
        self, info_name: str | None, args: list[str], *more: Any, **extra: Any
    ) -> click.Context:
        """Read the options before the command's name."""
        words = [*args]  # click takes from the list
        with outcome.hiding_keys(words):
            ctx = super().make_context(info_name, args, *more, **extra)
        ctx.meta[_WORDS] = words
        return ctx

    def invoke(self, ctx: click.Context) -> object:
        """Run a command. Its errors become lines and exit codes, and repeat no key."""
        with outcome.hiding_keys(ctx.meta.get(_WORDS, ())):
            return self._invoke(ctx)

    def _invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            if not outcome.has_lost_its_reader():
                raise outcome.Failure(error) from error
            ctx.exit(outcome.DONE)  # such as `head`, which has had enough
        except PanelError as error:  # nothing of any ticker came
            outcome.tell_failures(error.failures)
            ctx.exit(outcome.NOTHING)
        except ConfigError as error:
            raise outcome.WrongArgument(error) from error
        except (FutuShortError, ImportError, OSError) as error:
            raise outcome.Failure(error) from error
        except KeyboardInterrupt as error:
            click.echo(f"Interrupted. {error}".rstrip(), err=True)
            ctx.exit(outcome.INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Daily short volume and short interest of US and HK stocks, from Futu's OpenD gateway."""
    if sys.stdout is None:  # closed by the calling program: output goes nowhere
        nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - closed with click's
        sys.stdout = click.get_current_context().with_resource(nowhere)
    outcome.set_up_log()


for _command in (
    demo.demo,
    read.read,
    sync.sync,
    info.info,
    check.check,
    screen.screen,
    rank.rank,
    plot.plot,
    set_aside.set_aside,
    serve.serve,
    doctor_command.doctor,
):
    main.add_command(_command)
main.params += outcome.loudness_options()
