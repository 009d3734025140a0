"""The limit over the processes of a host, judged by when their requests arrive."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forking import unmeasured

from intake_futu_short.opend.address import Limit
from intake_futu_short.opend.limit import HostLimit

PATIENCE_S = 60.0

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")


class Using:
    """A process that waits for `go` and then uses the limit."""

    def __init__(
        self, scene: str, folder: Path, requests: int, seconds: float, number: int
    ) -> None:
        script = Path(__file__).with_name("limit_user.py")
        arguments = [scene, folder, requests, seconds, number]
        self.popen = subprocess.Popen(
            [sys.executable, str(script), *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=unmeasured() if scene != "several" else None,
        )  # fmt: skip
        assert self.popen.stdout is not None
        assert self.popen.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()

    def finish(self) -> str:
        """What it complained of."""
        _, complaints = self.popen.communicate(timeout=PATIENCE_S)
        assert self.popen.returncode == 0, complaints
        return complaints


def arrivals(folder: Path) -> list[float]:
    path = folder / "arrivals"
    return sorted(map(float, path.read_text().split())) if path.exists() else []


def wait_for_arrivals(folder: Path, number: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(arrivals(folder)) < number:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def is_kept(times: list[float], requests: int, seconds: float) -> bool:
    pairs = zip(times, times[requests:], strict=False)
    return all(later - first > seconds for first, later in pairs)


@pytest.mark.parametrize("number", [1, 3])
def test_processes_together_keep_the_limit(number: int, tmp_path: Path) -> None:
    processes = [Using("several", tmp_path, 10, 0.3, 30 // number) for _ in range(number)]
    for process in processes:
        process.go()
    assert [process.finish() for process in processes] == [""] * number
    times = arrivals(tmp_path)
    assert len(times) == 30
    assert is_kept(times, 10, 0.3)
    assert times[9] - times[0] < 0.3  # the first go at once


@pytest.mark.slow
def test_the_stricter_limit_of_two_processes_holds(tmp_path: Path) -> None:
    strict, lax = (Using("several", tmp_path, number, 0.3, 10) for number in (5, 30))
    strict.go()
    wait_for_arrivals(tmp_path, 1)
    lax.go()
    assert [strict.finish(), lax.finish()] == ["", ""]
    assert len(arrivals(tmp_path)) == 20
    assert is_kept(arrivals(tmp_path), 5, 0.3)


@pytest.mark.slow
def test_the_limit_holds_when_a_process_is_killed_and_another_starts_at_once(
    tmp_path: Path,
) -> None:
    victim, heir = (Using("several", tmp_path, 10, 0.5, number) for number in (1000, 12))
    victim.go()
    wait_for_arrivals(tmp_path, 15)
    victim.popen.kill()
    victim.popen.communicate()
    asked = len(arrivals(tmp_path))
    heir.go()
    assert heir.finish() == ""
    assert len(arrivals(tmp_path)) == asked + 12
    assert is_kept(arrivals(tmp_path), 10, 0.5)


@pytest.mark.slow
def test_emptying_the_cache_while_processes_share_the_limit_lets_no_more_through(
    tmp_path: Path,
) -> None:
    processes = [Using("several", tmp_path, 10, 0.3, 25) for _ in range(2)]
    for process in processes:
        process.go()
    for number in (5, 15):
        wait_for_arrivals(tmp_path, number)
        for path in (tmp_path / "cache").iterdir():
            path.unlink(missing_ok=True)
    complaints = [process.finish() for process in processes]
    assert len(arrivals(tmp_path)) == 50
    assert is_kept(arrivals(tmp_path), 10, 0.3)
    lines = "".join(complaints).splitlines()
    assert 1 <= len(lines) <= 4
    assert all("is damaged or gone" in line for line in lines)


@posix
def test_a_forked_child_and_its_parent_count_together(tmp_path: Path) -> None:
    process = Using("forked", tmp_path, 5, 0.3, 8)
    process.go()
    assert process.finish() == ""
    assert len(arrivals(tmp_path)) == 18
    assert is_kept(arrivals(tmp_path), 5, 0.3)


@posix
def test_a_child_of_a_thread_at_the_file_can_use_it_too(tmp_path: Path) -> None:
    process = Using("forked from threads", tmp_path, 100, 0.3, 20)
    process.go()
    assert process.finish() == ""
    assert len(arrivals(tmp_path)) == 20


def hammer_and_kill(folder: Path, kills: int) -> None:
    process = Using("killed", folder, 10, 0.5, kills)
    process.go()
    assert process.finish() == ""  # no file was found damaged, and none was given up
    times = arrivals(folder)
    assert is_kept(times, 10, 0.5)
    assert len(times) > 10
    # The file lives on: what was asked last still counts, and is free in time.
    user = HostLimit(
        "127.0.0.1:11111", "daily_short_volume", Limit(10, 0.5), name="h", folder=folder / "cache"
    )
    deadline = time.monotonic() + 5.0
    while user.take(0.1)[1] is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    user.close()


@posix
@pytest.mark.slow
def test_wherever_a_process_is_killed_the_file_stays_sound(tmp_path: Path) -> None:
    process = Using("killed while writing", tmp_path, 100, 0.01, 40)
    process.go()
    assert process.finish() == ""
    (path,) = (tmp_path / "cache").glob("*.sqlite")
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (slots,), (rows,) = (
            db.execute(sql).fetchone()
            for sql in ("SELECT slots FROM call", "SELECT count(*) FROM slot")
        )
    assert slots == rows > 2  # they did write


@posix
@pytest.mark.slow
def test_kills_let_no_more_through_and_damage_nothing(tmp_path: Path) -> None:
    hammer_and_kill(tmp_path, 15)


@posix
@pytest.mark.slow
def test_many_kills_let_no_more_through_and_damage_nothing(tmp_path: Path) -> None:
    hammer_and_kill(tmp_path, 300)
