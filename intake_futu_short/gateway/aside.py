"""A thread for answers that take long, so that the event loop waits for none of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Aside"]

_log = logging.getLogger(__name__)


class Aside:
    """Does one thing after the other, in the order in which they were given.

    In a daemon thread, unlike an executor's: work that hangs does not hold the process open.
    """

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._is_closed = False
        threading.Thread(target=self._do, name="intake-futu-short-gateway", daemon=True).start()

    def run(self, work: Callable[[], bytes], then: Callable[[bytes | None], None]) -> None:
        """Do some work, and hand what comes of it to the running event loop; None if it failed."""
        loop = asyncio.get_running_loop()

        def run() -> None:
            done: bytes | None = None
            try:
                done = work()
            except Exception:  # noqa: BLE001 - nobody else would hear of it
                _log.exception("a request could not be answered")
            with contextlib.suppress(RuntimeError):  # a loop that was closed meanwhile
                loop.call_soon_threadsafe(then, done)

        self._work.put(run)

    def close(self) -> None:
        """Begin nothing more. Work under way is not waited for."""
        self._is_closed = True
        self._work.put(lambda: None)  # wakes the thread

    def _do(self) -> None:
        while not self._is_closed:
            self._work.get()()
