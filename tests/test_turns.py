from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from typing import TYPE_CHECKING

import pytest

from intake_futu_short.opend import turns as turns_module
from intake_futu_short.opend.limiter import Limit
from intake_futu_short.opend.slot_file import BusyError, SlotFile
from intake_futu_short.opend.turns import LOCK_PATIENCE_S, Turns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHORT = Limit(3, 0.3)


@pytest.fixture(autouse=True)
def no_fallbacks_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "_in_process", {})


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "intake_futu_short.opend.turns"):
        yield caplog


def turns(port: int = 11111) -> Turns:
    return Turns("127.0.0.1", port, "opend://h")


async def take_and_end(at: Turns, limit: Limit = SHORT) -> float:
    """When the slot was had, on the monotonic clock."""
    slot = await at.take(limit, timeout=1.0)
    now = time.monotonic()
    await at.end(slot)
    return now


def closest(times: list[float], limit: Limit) -> float:
    times = sorted(times)
    pairs = zip(times, times[limit.requests :], strict=False)
    return min(later - first for first, later in pairs)


def test_the_first_go_at_once_and_the_rest_wait_for_their_window() -> None:
    async def scene() -> list[float]:
        one, two = turns(), turns()
        return await asyncio.gather(*(take_and_end(at) for at in [one, two] * 5))

    times = asyncio.run(scene())
    assert len(times) == 10
    assert closest(times, SHORT) >= SHORT.seconds


def test_waiting_is_said_once_a_window_and_until_when(log: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        at = turns()
        await asyncio.gather(*(take_and_end(at) for _ in range(9)))

    asyncio.run(scene())
    lines = [r.getMessage() for r in log.records]
    assert 1 <= len(lines) <= 2  # nine at three a window
    pattern = r"waiting 0\.\d s, until \d\d:\d\d:\d\d: opend://h allows 3 requests in 0\.3 seconds"
    assert all(re.fullmatch(pattern, line) for line in lines)


def test_what_is_given_back_does_not_count() -> None:
    async def scene() -> None:
        at = turns()
        for _ in range(20):
            await at.give_back(await at.take(Limit(1, 600.0), timeout=1.0))

    asyncio.run(scene())


def test_a_refusal_holds_everybody_back_for_a_window(log: pytest.LogCaptureFixture) -> None:
    async def scene() -> tuple[float, float]:
        one, two = turns(), turns()
        begin = time.monotonic()
        await asyncio.gather(one.refused(SHORT), one.refused(SHORT))
        return begin, await take_and_end(two)

    begin, had = asyncio.run(scene())
    assert had - begin >= SHORT.seconds
    (warning,) = [r.getMessage() for r in log.records if r.levelno == logging.WARNING]
    assert "opend://h says that requests are too frequent" in warning


def test_the_stricter_limit_of_two_users_holds_for_both() -> None:
    strict = Limit(2, 0.5)

    async def scene() -> list[float]:
        lax = turns()
        times = [await take_and_end(turns(), strict)]
        return times + await asyncio.gather(*(take_and_end(lax) for _ in range(5)))

    assert closest(asyncio.run(scene()), strict) >= strict.seconds


def no_directory(cache: Path) -> None:
    cache.rmdir()
    cache.write_text("a file where the directory should be")


def read_only(cache: Path) -> None:
    cache.chmod(0o500)


@pytest.mark.parametrize(
    "unwritable",
    [
        no_directory,
        pytest.param(
            read_only,
            marks=pytest.mark.skipif(
                os.name != "posix" or os.geteuid() == 0, reason="the user may write everywhere"
            ),
        ),
    ],
)
def test_where_the_file_cannot_be_written_the_process_counts_and_warns_once(
    unwritable: object, cache: Path, log: pytest.LogCaptureFixture
) -> None:
    assert callable(unwritable)
    unwritable(cache)

    async def scene() -> list[float]:
        one, two, other = turns(), turns(), turns(11112)
        await take_and_end(other)
        return await asyncio.gather(*(take_and_end(at) for at in [one, two] * 3))

    assert closest(asyncio.run(scene()), SHORT) >= SHORT.seconds
    (warning,) = [r.getMessage() for r in log.records if r.levelno == logging.WARNING]
    assert "counted within this process only" in warning
    assert str(cache) in warning


def test_what_was_known_counts_on_when_the_file_is_lost(cache: Path) -> None:
    async def scene() -> list[float]:
        at = turns()
        times = [await take_and_end(at) for _ in range(3)]
        folder = SlotFile("127.0.0.1", 11111, time.monotonic).path.parent
        for path in folder.iterdir():
            path.unlink()
            path.mkdir()
        return [*times, await take_and_end(at)]

    assert closest(asyncio.run(scene()), SHORT) >= SHORT.seconds


def test_a_file_that_stays_locked_is_given_up(
    monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    now = 1000.0

    def clock() -> float:
        nonlocal now
        now += LOCK_PATIENCE_S / 5
        return now

    def busy(_: SlotFile) -> None:
        raise BusyError

    monkeypatch.setattr(SlotFile, "visit", busy)
    at = Turns("127.0.0.1", 11111, "opend://h", clock)
    asyncio.run(take_and_end(at))
    assert "another process keeps it locked" in log.text


# -- telling who waits --------------------------------------------------------------------------


class Listener:
    """Keeps the waits that it is told."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.heard = asyncio.Event()

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.heard.set()


def test_everybody_who_waits_is_told_how_long() -> None:
    async def scene() -> list[list[float]]:
        at = turns()
        limit = Limit(1, 0.3)
        front, queued, late = listeners = Listener(), Listener(), Listener()
        await at.end(await at.take(limit, 1.0, front))
        assert front.waits == []  # a free slot is no wait
        taking = [asyncio.create_task(at.take(limit, 1.0, who)) for who in (front, queued)]
        await queued.heard.wait()
        taking.append(asyncio.create_task(at.take(limit, 1.0, late)))
        await late.heard.wait()
        for task in taking:
            await at.give_back(await task)
        return [listener.waits for listener in listeners]

    for waits in asyncio.run(scene()):
        assert 0 < waits[0] <= 0.3


def test_a_failing_listener_harms_nobody(log: pytest.LogCaptureFixture) -> None:
    def fail(_: float) -> None:
        raise RuntimeError("a broken progress bar")

    async def scene() -> None:
        at = turns()
        for _ in range(2):
            await at.end(await at.take(Limit(1, 0.05), 1.0, fail))

    asyncio.run(scene())
    assert "a broken progress bar" in log.text
