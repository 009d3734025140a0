from __future__ import annotations

import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from intake_futu_short.opend.ledger import decode
from intake_futu_short.opend.limiter import Limit, Slots
from intake_futu_short.opend.slot_file import BusyError, SlotFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIMIT = Limit(2, 30.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1e6  # some days after the boot

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(clock: Clock, cache: Path) -> SlotFile:
    return SlotFile("127.0.0.1", 11111, clock)


def wait(file: SlotFile) -> float:
    with file.visit() as (slots, now):
        return slots.wait(LIMIT, now)


def fill(file: SlotFile) -> None:
    with file.visit() as (slots, now):
        slots.take(1, now + 12.0)
        slots.end(2, now)


def test_it_lies_in_the_cache_directory_of_the_user_and_is_theirs_alone(
    file: SlotFile, cache: Path
) -> None:
    assert list(cache.iterdir()) == []  # making one does no I/O
    fill(file)
    assert cache in file.path.parents
    assert sorted(path.suffix for path in file.path.parent.iterdir()) == [".lock", ".slots"]
    if os.name == "posix":
        assert {path.stat().st_mode & 0o777 for path in file.path.parent.iterdir()} == {0o600}


def test_another_one_for_the_same_gateway_finds_the_slots(file: SlotFile, clock: Clock) -> None:
    fill(file)
    clock.now += 1.0
    assert wait(SlotFile("127.0.0.1", 11111, clock)) == 29.0
    assert wait(SlotFile("127.0.0.1", 11112, clock)) == 0.0
    assert wait(SlotFile("127.0.0.2", 11111, clock)) == 0.0
    assert wait(SlotFile("fe80::1%eth0", 11111, clock)) == 0.0


def test_slots_that_no_longer_count_leave_the_file(file: SlotFile, clock: Clock) -> None:
    wait(file)
    empty = file.path.stat().st_size
    fill(file)
    assert file.path.stat().st_size == empty + 2 * 16
    clock.now += 42.0
    assert wait(file) == 0.0
    assert file.path.stat().st_size == empty


def test_what_raises_in_a_visit_changes_nothing(file: SlotFile) -> None:
    def fail() -> None:
        with file.visit() as (slots, now):
            slots.close(now)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert wait(file) == 0.0


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "foreign": lambda data: b"a text of somebody else's",
    "empty": lambda data: b"",
    "truncated": lambda data: data[:-1],
    "cut": lambda data: data[:-16],
    "a bit": lambda data: data[:70] + bytes([data[70] ^ 1]) + data[71:],
    "doubled": lambda data: b"\0" * 10 + data,
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_closes_the_gateway_for_one_window(
    kind: str, file: SlotFile, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    fill(file)
    clock.now += 100.0
    file.path.write_bytes(DAMAGES[kind](file.path.read_bytes()))
    assert wait(file) == 30.0
    clock.now += 20.0
    assert wait(SlotFile("127.0.0.1", 11111, clock)) == 10.0  # not a window anew
    clock.now += 10.0
    assert wait(file) == 0.0
    (warning,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert "is damaged" in warning.getMessage()


@pytest.mark.parametrize("is_all", [False, True])
def test_a_cache_emptied_in_the_meantime_closes_the_gateway_for_one_window(
    is_all: bool, file: SlotFile, clock: Clock
) -> None:
    fill(file)
    clock.now += 1.0
    if is_all:
        shutil.rmtree(file.path.parent)
    else:
        file.path.unlink()
    assert wait(file) == 30.0
    clock.now += 1.0
    assert wait(SlotFile("127.0.0.1", 11111, clock)) == 29.0


def test_a_file_of_gigabytes_is_not_read_into_memory(file: SlotFile) -> None:
    fill(file)
    with file.path.open("wb") as sparse:
        sparse.truncate(2**32)
    tracemalloc.start()
    try:
        assert wait(file) == 30.0
        assert tracemalloc.get_traced_memory()[1] < 2**27
    finally:
        tracemalloc.stop()
    assert file.path.stat().st_size < 1000


def test_a_file_of_another_boot_counts_from_the_beginning_of_this_one(
    file: SlotFile, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intake_futu_short.opend.slot_file._boot", lambda: b"0123456789abcdef")
    fill(file)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(file.path.parent.parent))
    again = SlotFile("127.0.0.1", 11111, clock)
    clock.now = 10.0
    assert wait(again) == 20.0
    clock.now = 30.0
    assert wait(again) == 0.0


# -- processes ----------------------------------------------------------------------------------

HEAD = """
import os, sys, time
from intake_futu_short.opend.slot_file import BusyError, SlotFile
file = SlotFile("127.0.0.1", 11111, lambda: 1e6)
"""


def start(script: str) -> subprocess.Popen[str]:
    """Start a script and wait until it says that it has begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD + script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


HOLDS = """
with file.visit() as (slots, now):
    slots.end(1, now)
    print("begun", flush=True)
    sys.stdin.read()
"""


def test_who_comes_while_another_process_is_at_it_is_told(file: SlotFile) -> None:
    process = start(HOLDS)
    try:
        with pytest.raises(BusyError):
            wait(file)
    finally:
        process.communicate()
    assert process.returncode == 0
    with file.visit() as (slots, _):
        assert slots == Slots({1: 1e6})


def test_a_process_killed_at_the_file_leaves_no_lock_and_no_half_state(file: SlotFile) -> None:
    fill(file)
    kill(start(HOLDS))
    with file.visit() as (slots, _):
        assert slots == Slots({1: 1e6 + 12.0, 2: 1e6})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_wherever_a_process_is_killed_the_file_stays_readable(file: SlotFile) -> None:
    script = """
def write_on_and_on():
    for mark in range(10**9):
        try:
            with file.visit() as (slots, now):
                slots.ends = {i: now for i in range(mark % 40)}
        except BusyError:
            pass

print("begun", flush=True)
for pause_s in sys.stdin:
    writers = [os.fork() or write_on_and_on() for _ in range(2)]
    time.sleep(float(pause_s))
    for writer in writers:
        os.kill(writer, 9)
        os.waitpid(writer, 0)
    print("killed", flush=True)
"""
    assert wait(file) == 0.0
    assert file._boot is not None
    process = start(script)
    assert process.stdin is not None
    assert process.stdout is not None
    chance, lengths = random.Random(1), set()
    for _ in range(40):
        process.stdin.write(f"{chance.uniform(0.001, 0.03)}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "killed\n"
        content = file.path.read_bytes()
        assert decode(content, file._boot, 1e6) is not None
        lengths.add(len(content))
    process.communicate()
    assert process.returncode == 0
    assert len(lengths) > 1  # they did write


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_child_forked_while_its_parent_is_at_the_file_keeps_nobody_out(file: SlotFile) -> None:
    script = """
with file.visit():
    child = os.fork()
    if child == 0:
        sys.stdin.read()
        os._exit(0)
print("begun", flush=True)
os.waitpid(child, 0)
"""
    process = start(script)
    assert wait(file) == 0.0
    os.kill(process.pid, signal.SIGKILL)
    assert wait(file) == 0.0
    process.communicate()
