"""One daemon thread with an event loop, shared by every connection of the process.

Users call plain functions, also inside a running event loop (Jupyter); heartbeats have to go
out while they do other things. So all sockets live on one asyncio loop in one daemon thread,
which starts with its first user and ends with its last. It never holds the process open.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Lease"]

T = TypeVar("T")


class _Shared:
    """The thread, its loop, and how many hold it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread: threading.Thread | None = None
        self.users = 0

    def acquire(self) -> asyncio.AbstractEventLoop:
        with self.lock:
            if self.loop is None:
                self.loop, self.thread = _start()
            self.users += 1
            return self.loop

    def release(self) -> None:
        with self.lock:
            self.users -= 1
            if self.users == 0:
                self._stop()

    def shut_down(self) -> None:
        """End the thread whoever holds it: the process is ending."""
        with self.lock:
            self._stop()

    def _stop(self) -> None:
        loop, thread = self.loop, self.thread
        self.loop = self.thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            # Bounded, so that nothing on the loop can keep a process from ending.
            thread.join(timeout=2.0)


_shared = _Shared()


def _at_exit() -> None:
    _shared.shut_down()


def _after_fork_in_child() -> None:
    # The thread exists in the parent only; the child starts one of its own when it needs it.
    global _shared  # noqa: PLW0603 - the one place where the shared state is replaced
    _shared = _Shared()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _start() -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop,), name="intake-futu-short", daemon=True)
    try:
        thread.start()
    except BaseException:  # the system has no more threads, or the process is ending
        loop.close()
        raise
    return loop, thread


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        while not _is_quiet(loop):
            pass
        loop.close()


def _is_quiet(loop: asyncio.AbstractEventLoop) -> bool:
    """End what still runs on a loop; True when nothing did.

    Whoever waits for a coroutine here would wait for ever if the loop closed before telling them
    that it ended. That, and letting go of a closed socket, takes one more turn of the loop.
    """
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(_gather(tasks))
    return not tasks and not asyncio.all_tasks(loop)


async def _gather(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)


class Lease:
    """The right to run coroutines on the shared loop, until `close`."""

    def __init__(self) -> None:
        self._owner = _shared
        self._loop = _shared.acquire()
        self._open = True
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def usable(self) -> bool:
        """False once closed, and in a child forked after the lease was taken."""
        return self._open and self._owner is _shared

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Make a coroutine on the shared loop, run it there and wait for its result.

        An interruption of the waiting thread (Ctrl-C) cancels the coroutine.

        Raises
        ------
        concurrent.futures.CancelledError
            When the loop, or this lease, ends before the coroutine does.
        """
        tasks: list[asyncio.Task[T]] = []
        # A bare lock: an interruption inside the locks of a concurrent future would leave them
        # held, and the loop, which all connections share, waiting for them.
        waiting = threading.Lock()
        waiting.acquire()

        def start() -> None:
            tasks.append(self._loop.create_task(make()))
            self._tasks.add(tasks[0])
            tasks[0].add_done_callback(finish)

        def finish(task: asyncio.Task[T]) -> None:
            self._tasks.discard(task)
            if not task.cancelled():
                task.exception()  # else asyncio complains when the caller is gone
            waiting.release()

        def give_up() -> None:
            if tasks:
                tasks[0].cancel()

        try:
            self._loop.call_soon_threadsafe(start)
            waiting.acquire()
        except RuntimeError as error:  # the loop is closed
            raise CancelledError from error
        except BaseException:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(give_up)
            raise
        if tasks[0].cancelled():
            raise CancelledError
        return tasks[0].result()

    def cancel(self) -> None:
        """End what runs by this lease; its callers get a CancelledError."""

        def cancel_tasks() -> None:
            for task in self._tasks:
                task.cancel()

        with contextlib.suppress(RuntimeError):  # the loop is closed, and nothing runs
            self._loop.call_soon_threadsafe(cancel_tasks)

    def close(self) -> None:
        """Give the lease back, and end what runs by it; the last one ends the thread."""
        if self._open:
            self._open = False
            if self._owner is _shared:
                self.cancel()
                self._owner.release()
