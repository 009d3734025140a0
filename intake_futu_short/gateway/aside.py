"""A thread for answers that take long, so that the event loop waits for none of them."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Aside"]


class Aside:
    """Does one thing after the other, in the order in which they were given."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="intake-futu-short-gateway")

    def run(self, work: Callable[[], bytes], then: Callable[[bytes], None]) -> None:
        """Do some work, and hand what comes of it to the running event loop."""
        loop = asyncio.get_running_loop()

        def run() -> None:
            done = work()
            with contextlib.suppress(RuntimeError):  # a loop that was closed meanwhile
                loop.call_soon_threadsafe(then, done)

        self._pool.submit(run)

    def close(self) -> None:
        """Begin nothing more. Work under way is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
