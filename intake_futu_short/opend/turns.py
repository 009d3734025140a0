"""Waits for a slot of a gateway's limit, on the shared event loop.

One of the waiting requests of a process at a time looks for a free slot; it sleeps until the
earliest moment at which one can be free, whatever other processes do in the meantime.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import random
import secrets
import time
from typing import TYPE_CHECKING, TypeVar

from intake_futu_short.opend.limiter import Slots
from intake_futu_short.opend.slot_file import BusyError, SlotFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from intake_futu_short.opend.limiter import Limit

__all__ = ["Turns", "WaitEndedError"]

T = TypeVar("T")

# Others hold the file for a tenth of a millisecond; who does for so long was stopped, not killed.
LOCK_PATIENCE_S = 10.0
# Waits shorter than this share of the window are not worth a line in the log.
SAID_FROM_SHARE = 0.1

_log = logging.getLogger(__name__)

# The slots of the gateways whose file cannot be used, for all of this process.
_in_process: dict[tuple[str, int], Slots] = {}


class WaitEndedError(Exception):
    """Whoever waited for a slot has no use for it any more."""


class Turns:
    """The turns at one gateway; to be used on one event loop.

    Parameters
    ----------
    host, port : str, int
        Where the gateway listens, resolved: the limit is counted by it.
    name : str
        What the log calls the gateway.
    clock : callable
        Seconds of the system's monotonic clock, the same for every process.
    """

    def __init__(
        self, host: str, port: int, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._key = (host, port)
        self._name = name
        self._clock = clock
        self._file = SlotFile(host, port, clock)
        self._last_seen = Slots()
        self._queue = asyncio.Lock()
        self._waiting: list[Callable[[float], None]] = []
        self._waits_until = 0.0
        self._said_until = 0.0
        self._refused_until = 0.0

    async def take(
        self,
        limit: Limit,
        timeout: float,
        on_wait: Callable[[float], None] | None = None,
        unless: asyncio.Future[None] | None = None,
    ) -> int:
        """Wait for a free slot and take it, for a request given up after `timeout` seconds.

        `on_wait` is told the seconds to wait each time that a wait begins, at the front of the
        queue or behind it. Returns the mark that `end` and `give_back` take.

        Raises
        ------
        WaitEndedError
            When `unless` was done while it waited; no slot is taken then.
        """
        if on_wait is None:
            return await self._take(limit, timeout, unless)
        self._waiting.append(on_wait)
        try:
            wait = self._waits_until - self._clock()
            if wait > 0:
                _tell(on_wait, wait)
            return await self._take(limit, timeout, unless)
        finally:
            self._waiting.remove(on_wait)

    async def _take(self, limit: Limit, timeout: float, unless: asyncio.Future[None] | None) -> int:
        mark = secrets.randbits(64)

        def try_to_take(slots: Slots, now: float) -> tuple[float, Limit]:
            in_force = slots.heed(limit, now, timeout)
            wait = slots.wait(in_force, now)
            if not wait:
                slots.take(mark, now + timeout)
            return wait, in_force

        async with self._queue:
            while True:
                wait, in_force = await self._change(try_to_take)
                if not wait:
                    return mark
                self._say(wait, in_force)
                self._waits_until = self._clock() + wait
                for on_wait in set(self._waiting):
                    _tell(on_wait, wait)
                if unless is None:
                    await asyncio.sleep(wait)
                    continue
                await asyncio.wait({unless}, timeout=wait)
                if unless.done():
                    raise WaitEndedError

    async def end(self, mark: int) -> None:
        """Start the slot's window: its answer came, or was given up."""
        await self._change(lambda slots, now: slots.end(mark, now))

    async def give_back(self, mark: int) -> None:
        """Free a slot whose request was never sent."""
        await self._change(lambda slots, _: slots.give_back(mark))

    async def refused(self, limit: Limit) -> None:
        """After "too frequent": let nobody on this host ask before a window has passed."""
        now = self._clock()
        if now >= self._refused_until:  # what was in flight is refused together
            self._refused_until = now + limit.seconds
            _log.warning(
                "%s says that requests are too frequent, though we kept to %d in %g seconds: other "
                "programs use it too",
                self._name, limit.requests, limit.seconds,
            )  # fmt: skip
        await self._change(lambda slots, now: slots.close(now))

    async def _change(self, change: Callable[[Slots, float], T]) -> T:
        patience_ends = self._clock() + LOCK_PATIENCE_S
        while self._key not in _in_process:
            done = self._change_file(change, patience_ends)
            if done is not None:
                return done[0]
            await asyncio.sleep(random.uniform(0.0003, 0.002))  # noqa: S311 - keeps no secret
        return change(_in_process[self._key], self._clock())

    def _change_file(
        self, change: Callable[[Slots, float], T], patience_ends: float
    ) -> tuple[T] | None:
        """What the change gives; None when it must be tried again."""
        try:
            with self._file.visit() as (slots, now):
                result = change(slots, now)
        except BusyError:
            if self._clock() > patience_ends:
                self._fall_back("another process keeps it locked")
            return None
        except OSError as error:
            self._fall_back(error)
            return None
        self._last_seen = slots
        return (result,)

    def _fall_back(self, why: object) -> None:
        if not _in_process:
            _log.warning(
                "the limit of %s is counted within this process only: %s cannot be used (%s)",
                self._name, self._file.path, why,
            )  # fmt: skip
        _in_process[self._key] = self._last_seen

    def _say(self, wait: float, limit: Limit) -> None:
        now = self._clock()
        if now < self._said_until or wait < SAID_FROM_SHARE * limit.seconds:
            return
        self._said_until = now + wait
        until = dt.datetime.now().astimezone() + dt.timedelta(seconds=wait)
        _log.info(
            "waiting %.1f s, until %s: %s allows %d requests in %g seconds",
            wait, until.strftime("%H:%M:%S"), self._name, limit.requests, limit.seconds,
        )  # fmt: skip


def _tell(on_wait: Callable[[float], None], wait: float) -> None:
    try:
        on_wait(wait)
    except Exception:  # noqa: BLE001 - the wait is that of others too, who have no part in this
        _log.exception("what was to be told of the wait for the limit failed")
