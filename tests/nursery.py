"""Child processes that may be killed at any moment, forked by a process that has loaded all."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Nursery", "open_nursery"]

PATIENCE_S = 30.0


class Nursery:
    """Starts readers, and sees to their end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, arguments: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def kill(self, child: int) -> bool:
        """Whether it was still alive."""
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            return False
        self.wait(child)
        return True

    def wait(self, child: int) -> None:
        """Wait until it has ended."""
        deadline = time.monotonic() + PATIENCE_S
        with contextlib.suppress(ProcessLookupError):
            while time.monotonic() < deadline:
                os.kill(child, 0)
                time.sleep(0.001)
            pytest.fail("the process is still there")


@contextlib.contextmanager
def open_nursery(script: str, folder: Path) -> Iterator[Nursery]:
    """Children of a script beside this one, which ends in `mortal.fork_on_demand`.

    One that failed by itself fails the test that is running when the nursery closes.
    """
    errors = folder / "errors"
    with (
        errors.open("w") as log,
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name(script))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        ) as process,
    ):  # fmt: skip
        yield Nursery(process)
        assert process.stdin is not None
        process.stdin.close()
    assert errors.read_text() == ""
