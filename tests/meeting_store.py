"""A store whose writer meets another one: each goes on when both have come as far."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING

from intake_futu_short import FutuShortStore, sync
from intake_futu_short.calls import SHORT_VOLUME, Ticker
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

__all__ = ["MeetingStore", "lockable", "ticker"]


class MeetingStore(FutuShortStore):
    """Meets the other one when it has its first ticker, and when it is first refused one."""

    def __init__(self, url: str, meet: Callable[[str], None]) -> None:
        super().__init__(url)
        self._meet = meet
        self._has_met: set[str] = set()

    def try_lock(self, ticker: Ticker) -> AbstractContextManager[None] | None:
        lock = super().try_lock(ticker)
        came_to = "refused" if lock is None else "locked"
        if came_to not in self._has_met:
            self._has_met.add(came_to)
            self._meet(came_to)
        return lock


def ticker(code: str) -> Ticker:
    return Ticker(Security.parse(code), SHORT_VOLUME)


def lockable(store: Path, *codes: str) -> list[str]:
    """Which of some tickers another process can become the writer of."""
    done = subprocess.run(
        [sys.executable, __file__, "lockable", str(store), *codes],
        capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    return done.stdout.split()


def _print_lockable(store: str, *codes: str) -> None:
    for code in codes:
        lock = FutuShortStore(store).try_lock(ticker(code))
        if lock is not None:
            print(code)
            with lock:
                pass


def _sync(store: str, gateway: str, *codes: str) -> None:
    """Say how far it has come, and go on when told."""

    def meet(came_to: str) -> None:
        print(came_to, flush=True)
        sys.stdin.readline()

    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    done = sync(list(codes), MeetingStore(store, meet), gateway)
    print(done["rows"].tolist())


if __name__ == "__main__":
    if sys.argv[1] == "sync":
        _sync(*sys.argv[2:])
    else:
        _print_lockable(*sys.argv[2:])
