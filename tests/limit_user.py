"""Processes that use the limit and write down when their requests arrive.

Usage: ``limit_user.py SCENE FOLDER REQUESTS SECONDS NUMBER``. It says "ready" when it has begun and
waits for a line.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from intake_futu_short.opend.address import Limit
from intake_futu_short.opend.limit import HostLimit

LATENCY_S = 0.002
TIMEOUT_S = 0.2


class User:
    def __init__(self, folder: Path, limit: Limit) -> None:
        self.limit = HostLimit(
            "127.0.0.1:11111",
            "daily_short_volume",
            limit,
            name="opend://h",
            folder=folder / "cache",
        )
        self.arrivals = os.open(folder / "arrivals", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def ask(self) -> None:
        while True:
            wait, mark = self.limit.take(TIMEOUT_S)
            if mark is not None:
                break
            self.limit.flush()
            time.sleep(wait)
        os.write(self.arrivals, f"{time.monotonic():.6f}\n".encode())
        time.sleep(LATENCY_S)
        self.limit.end(mark)


def several(user: User, number: int) -> None:
    for _ in range(number):
        user.ask()
    user.limit.close()


def forked(user: User, number: int) -> None:
    """A parent that has asked, and closes, and its child."""
    user.ask()
    closed, is_closed = os.pipe()
    child = os.fork()
    if child == 0:
        user.ask()
        os.write(is_closed, b"x")
        os.read(closed, 1)
        several(user, number)
        os._exit(0)
    several(user, number)
    os.write(is_closed, b"x")
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


def forked_from_threads(user: User, number: int) -> None:
    """Children forked while another thread is at the file."""
    stops = threading.Event()

    def work() -> None:
        while not stops.is_set():
            mark = user.limit.take(TIMEOUT_S)[1]
            if mark is not None:
                user.limit.give_back(mark)

    thread = threading.Thread(target=work)
    thread.start()
    children = []
    for _ in range(number):
        child = os.fork()
        if child == 0:
            user.ask()
            user.limit.close()
            os._exit(0)
        children.append(child)
    stops.set()
    thread.join()
    for child in children:
        _, status = os.waitpid(child, 0)
        assert status == 0


def killed(user: User, number: int) -> None:
    """Children that are killed wherever they are, and followed by others."""

    def begin() -> int:
        child = os.fork()
        if child == 0:
            while True:
                user.ask()
        return child

    children = [begin() for _ in range(3)]
    for i in range(number):
        time.sleep(0.01 + 0.0173 * (i % 7))
        os.kill(children[0], 9)
        os.waitpid(children.pop(0), 0)
        children.append(begin())
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)


def killed_while_writing(user: User, number: int) -> None:
    """Children that do nothing but write, killed wherever they are."""
    for i in range(number):
        children = []
        for _ in range(2):
            child = os.fork()
            if child == 0:
                while True:
                    mark = user.limit.take(TIMEOUT_S)[1]
                    if mark is not None:
                        user.limit.end(mark)
            children.append(child)
        time.sleep(0.01 + 0.00173 * (i % 7))
        for child in children:
            os.kill(child, 9)
            os.waitpid(child, 0)


if __name__ == "__main__":
    scene, folder, requests, seconds, number = sys.argv[1:]
    user = User(Path(folder), Limit(int(requests), float(seconds)))
    print("ready", flush=True)
    sys.stdin.readline()
    {
        "several": several,
        "forked": forked,
        "forked from threads": forked_from_threads,
        "killed": killed,
        "killed while writing": killed_while_writing,
    }[scene](user, int(number))
