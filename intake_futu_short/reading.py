"""One read: runs generators that ask for pages, and sends their questions to gateways."""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from intake_futu_short import arguments
from intake_futu_short.errors import (
    ConfigError,
    FutuShortError,
    GatewayDisconnectedError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    RateLimitError,
    ReplyError,
)
from intake_futu_short.history.update import LOCKED
from intake_futu_short.opend.address import DEFAULT_URL, ENVIRONMENT_VARIABLE, GatewayURL
from intake_futu_short.opend.ask import TICK_S, Asked, Gateways

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from intake_futu_short.calls import Reply
    from intake_futu_short.opend.line import Patience
    from intake_futu_short.progress import Display

    Job = Generator[Any, Reply, Any]  # yields questions, or LOCKED

__all__ = ["gateway_urls", "open_gateways", "read"]

# Generators that run at the same time, per gateway. Its limit allows about as many questions.
AT_ONCE = 32


def gateway_urls(given: str | list[str] | None) -> list[GatewayURL]:
    """URLs of the gateways: those given, else that of the environment, else the default."""
    if given is None:
        try:
            given = arguments.gateways(os.environ.get(ENVIRONMENT_VARIABLE))
        except ConfigError as error:
            raise ConfigError(f"${ENVIRONMENT_VARIABLE}: {error}") from error
    given = given or DEFAULT_URL
    return [GatewayURL.parse(url) for url in ([given] if isinstance(given, str) else given)]


def open_gateways(
    urls: Sequence[GatewayURL], timeout: float, patience: Patience | None = None
) -> Gateways:
    """Prepare to ask gateways, including ``sample://``. Nothing is connected yet."""
    return Gateways(urls, timeout=timeout, serve=_serve_sample, patience=patience)


def _serve_sample(url: GatewayURL) -> tuple[GatewayURL, Callable[[], None]]:
    from intake_futu_short.gateway import sample_gateway  # noqa: PLC0415 - most need no server

    gateway = sample_gateway(url.rsa_key).start()
    return replace(GatewayURL.parse(gateway.url), limit="off"), gateway.close


def read(
    jobs: Mapping[Any, Job], gateways: Gateways, display: Display | None = None
) -> tuple[dict[Any, Any], dict[Any, Exception]]:
    """Run generators together, in the caller's thread, until each has returned or failed.

    Parameters
    ----------
    jobs : mapping of key to generator
        Generators in the order in which they begin. Each yields a `Question` and is sent its
        `Reply`, or yields `LOCKED` to be resumed at the next tick.
    gateways : Gateways
        The gateways to ask. Their connections stay open.
    display : Display, optional
        Shows the progress.

    Returns
    -------
    dict, dict
        Results of generators, and errors of those that failed, both by key.

    Raises
    ------
    Exception
        An error that ends every generator (see `_ends_all`), or an interruption.
    """
    reading = _Reading(jobs, AT_ONCE * len(gateways), display)
    with closing(reading):
        try:
            gateways.run(reading)
        finally:
            reading.show(0.0)  # however it ends: whoever interrupts it is told how far it came
    return reading.results, reading.failures


@dataclass(eq=False)
class _Begun:
    """A generator that was begun and has not ended."""

    key: Any
    job: Job
    asked: Asked | None = None  # its question
    is_waiting: bool = False  # for the question to be sent
    is_locked: bool = False


class _Reading:
    """The work of `Gateways.run`: the oldest begun generator's question goes first."""

    def __init__(self, jobs: Mapping[Any, Job], at_once: int, display: Display | None) -> None:
        self.results: dict[Any, Any] = {}
        self.failures: dict[Any, Exception] = {}
        self._jobs = jobs
        self._to_begin = deque(jobs.items())
        self._begun: dict[Any, _Begun] = {}
        self._at_once = at_once
        self._display = display
        self._pages = self._rows = 0
        self._is_answered = False
        self._locks_tried = time.monotonic()

    @property
    def is_done(self) -> bool:
        return not self._begun and not self._to_begin

    def waiting(self) -> Iterator[Asked | None]:
        for begun in list(self._begun.values()):
            if begun.is_waiting and begun.asked is not None:
                yield begun.asked
        while self._to_begin and self._busy() < self._at_once:
            begun = _Begun(*self._to_begin.popleft())
            self._begun[begun.key] = begun
            self._go_on(begun, None)
            # A generator that asks nothing, since its store has all rows, may have taken a while.
            yield begun.asked if begun.is_waiting else None

    def _busy(self) -> int:
        # Generators that wait for another writer do not count.
        return sum(not begun.is_locked for begun in self._begun.values())

    def sent(self, asked: Asked) -> None:
        asked.owner.is_waiting = False

    def unsent(self, asked: Asked) -> None:
        asked.owner.is_waiting = True

    def answered(self, asked: Asked, reply: Reply) -> None:
        if reply.error is None or isinstance(reply.error, ReplyError):
            self._is_answered = True
        if reply.answer is not None and self._display is not None:
            self._pages += 1
            # Markets may share a field.
            fields = {table.field for table in asked.question.call.tables.values()}
            self._rows += sum(len(getattr(reply.answer, field)) for field in fields)
        begun = asked.owner
        begun.is_waiting = False
        self._go_on(begun, reply)

    def show(self, wait_s: float) -> None:
        if self._display is not None:
            done = len(self._jobs) - len(self._to_begin) - len(self._begun)
            self._display.show(done, self._pages, self._rows, wait_s)

    def tick(self, wait_s: float) -> None:
        self.show(wait_s)
        now = time.monotonic()
        if now - self._locks_tried >= TICK_S:
            self._locks_tried = now
            for begun in [each for each in self._begun.values() if each.is_locked]:
                self._go_on(begun, None)

    def close(self) -> None:
        """End the generators, so that each releases its lock."""
        with ExitStack() as ends:  # ends all, even if one raises an error
            for job in self._jobs.values():
                ends.callback(job.close)

    def _go_on(self, begun: _Begun, reply: Reply | None) -> None:
        try:
            wanted = begun.job.send(reply)  # type: ignore[arg-type]  # None begins and resumes
        except StopIteration as end:
            self.results[begun.key] = end.value
            del self._begun[begun.key]
        except Exception as error:
            if self._ends_all(error):
                raise
            self.failures[begun.key] = error
            del self._begun[begun.key]
        else:
            begun.is_locked = wanted is LOCKED
            begun.is_waiting = not begun.is_locked
            begun.asked = None if begun.is_locked else Asked(wanted, begun)

    def _ends_all(self, error: Exception) -> bool:
        """Whether a generator's error concerns all, because of the gateways or this program."""
        is_mute = not self._is_answered and isinstance(
            error, (GatewayTimeoutError, GatewayDisconnectedError)
        )
        is_general = isinstance(error, (GatewayUnreachableError, RateLimitError, ConfigError))
        return is_mute or is_general or not isinstance(error, FutuShortError)
