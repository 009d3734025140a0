"""``futu-short`` run within the tests' own process, and as alone as in a process of its own.

A process pays a second for its imports. What a command does to its process is kept from the
tests here, and what pytest does to its own is kept from the command: handlers and levels of the
log, filters of warnings, standard streams, environment, directory. Warnings stay errors.

`click.testing.CliRunner` does less of it, has no terminal, and keeps stderr apart by an argument
that only click 8.1 has.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING, TextIO
from unittest import mock

import pytest

from intake_futu_short.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["at_a_terminal", "futu_short", "with_closed_stdout"]


def futu_short(
    *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> CompletedProcess[str]:
    """What `subprocess.run` says of the command, whose output is piped; env is more of it."""
    stdout, stderr = _pipe(), _pipe()
    code = _run(arguments, stdout, stderr, cwd, env)
    return CompletedProcess(arguments, code, _written(stdout), _written(stderr))


def with_closed_stdout(*arguments: str, cwd: Path | None = None) -> CompletedProcess[str]:
    """The same for a command whose standard output was closed before it started."""
    stderr = _pipe()
    code = _run(arguments, None, stderr, cwd, None)
    return CompletedProcess(arguments, code, "", _written(stderr))


def at_a_terminal(
    *arguments: str, cwd: Path | None = None, columns: int = 200
) -> tuple[int, list[str]]:
    """Exit code, and the lines that stand on a terminal of some width at the end.

    A progress bar, which only a slow machine shows, is gone by then.
    """
    import pty  # noqa: PLC0415 - not on Windows

    ours, theirs = pty.openpty()
    # Somebody has to read along: a terminal holds back no more than some thousand characters.
    with ThreadPoolExecutor(1) as reader:
        seen = reader.submit(_read, ours)
        with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
            code = _run(arguments, terminal, terminal, cwd, {"COLUMNS": str(columns)})
    *lines, last = (_on_screen(line) for line in seen.result().decode().split("\n"))
    return code, [*lines, last] if last else lines


def _on_screen(written: str) -> str:
    """A line as it is seen: what follows a carriage return is written over what was there."""
    screen = ""
    for piece in written.split("\r"):
        screen = piece + screen[len(piece) :]
    return screen.rstrip()


def _run(
    arguments: tuple[str, ...],
    stdout: TextIO | None,
    stderr: TextIO,
    cwd: Path | None,
    env: Mapping[str, str] | None,
) -> int:
    before = Path.cwd()
    with (
        _log_alone(),
        warnings.catch_warnings(),
        mock.patch.dict(os.environ, env or {}),
        mock.patch.multiple(sys, stdin=io.StringIO(), stdout=stdout, stderr=stderr),
    ):
        os.chdir(cwd or before)
        try:
            with pytest.raises(SystemExit) as end:
                main.main(arguments, prog_name="futu-short")
        finally:
            os.chdir(before)
    assert isinstance(end.value.code, int)
    return end.value.code


@contextlib.contextmanager
def _log_alone() -> Iterator[None]:
    """The log as it is in a new process; afterwards it is as it was."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {logger: logger.level for logger in _loggers()}
    root.handlers.clear()
    try:
        yield
    finally:
        root.handlers[:] = handlers
        for logger in _loggers():
            logger.setLevel(levels.get(logger, logging.NOTSET))


def _loggers() -> list[logging.Logger]:
    names = ["intake_futu_short", *logging.getLogger().manager.loggerDict]
    return [logging.getLogger(name) for name in names if name.startswith("intake_futu_short")]


def _pipe() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n", write_through=True)


def _written(pipe: io.TextIOWrapper) -> str:
    pipe.seek(0)
    return pipe.read()


def _read(terminal: int) -> bytes:
    said = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while data := os.read(terminal, 65536):
            said += data
    os.close(terminal)
    return said
