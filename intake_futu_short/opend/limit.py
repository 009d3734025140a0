"""A call's limit at a gateway, which all processes of a host keep together.

The gateway counts arrivals, and a request arrives at some time between its sending and its answer.
A slot is therefore taken when a request is sent, and becomes free one window after its *answer*. If
a request is never answered, even because its process died, its slot becomes free one window after
its deadline. Whenever the requests arrived, no window holds more than the limit.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import os
import platform
import random
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from intake_futu_short.opend.address import Limit
from intake_futu_short.opend.limit_file import (
    NEVER,
    BusyError,
    LimitFile,
    believe,
    hold_forks,
    is_time,
    process_lock,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["HostLimit"]

# A healthy process locks the file for a tenth of a millisecond. A process that holds the lock for
# this many seconds is suspended.
LOCK_PATIENCE_S = 10.0
# Two failures to lock the file that are further apart than this count as separate waits.
LOCK_GAP_S = 1.0
# Several slots are taken together, because each transaction costs time: a share of the limit, but
# no more than a quarter of the free slots. With a limit as tight as OpenD's, it is one slot.
RESERVED_SHARE = 64
RESERVED_AT_MOST = 16
RESERVED_S = 0.1
# Seconds for which `close` tries to write its notes while others use the file.
CLOSE_PATIENCE_S = 0.5
# Times in the file that are further ahead than these are taken for damage.
LONGEST_TIMEOUT_S = 86_400.0
LONGEST_WINDOW_S = 1e6

_log = logging.getLogger(__name__)


@dataclass
class _Call:
    """What this process knows of one call.

    Attributes
    ----------
    identity : object
        The file in which it was counted last.
    is_in_process : bool
        Whether no file can be used, so that the process counts only its own requests.
    slots : dict of int to float
        End of each slot of this process, by its mark. They are written again if the file is lost.
    noted : dict of int to tuple
        Slots to change in the file, by mark: the end written there, and the true end (None for a
        slot that was given back).
    has_news : bool
        Whether there is anything to write.
    named : dict of Limit to float
        Limits that users named, and the time until which each holds.
    closed : float
        No slot is free until one window after it.
    warned_until : float
        No further warning of refused requests is logged until then.
    """

    identity: object = None
    is_in_process: bool = False
    slots: dict[int, float] = field(default_factory=dict)
    noted: dict[int, tuple[float, float | None]] = field(default_factory=dict)
    has_news: bool = False
    named: dict[Limit, float] = field(default_factory=dict)
    closed: float = NEVER
    warned_until: float = -math.inf

    def heed(self, own: Limit, now: float, timeout: float) -> Limit:
        """Name a limit, and return the strictest limit that was named lately.

        A named limit holds while a request of its user may count. It is named before a slot is
        free, so that users of a laxer limit cannot take every slot that becomes free.
        """
        lately = [own, *(limit for limit, until in self.named.items() if until > now)]
        strictest = Limit(min(a.requests for a in lately), max(a.seconds for a in lately))
        until = now + timeout + strictest.seconds
        self.named[own] = max(until, self.named.get(own, until))
        return strictest

    def remember(self, mark: int, deadline: float, expired: float) -> None:
        """Record a slot that was taken, and forget those that ended at `expired` or before."""
        self.slots[mark] = deadline
        while self.slots[oldest := next(iter(self.slots))] <= expired:
            del self.slots[oldest]


# By path of the file (None if there can be none) and name of the call.
_calls: dict[tuple[Path | None, str], _Call] = {}


# Variables that determine the cache directory. Finding it takes longer than taking a slot, so it is
# cached by their values.
_PLACES = ("XDG_CACHE_HOME", "HOME", "LOCALAPPDATA", "USERPROFILE")


@functools.lru_cache(maxsize=8)
def _cache_folder(*_places: str | None) -> Path:
    """The user's cache directory in an environment."""
    import platformdirs  # noqa: PLC0415 - not before it is needed

    return platformdirs.user_cache_path("intake-futu-short", appauthor=False)


class HostLimit:
    """Slots of one call at one gateway, shared by every process of this host.

    Making one does no I/O, and nothing here waits: a method takes one transaction at most.

    Parameters
    ----------
    place : str
        Resolved address and port of the gateway, such as ``"127.0.0.1:11111"``.
    call_name : str
        The call that is limited.
    limit : Limit
        The limit that this user names. The strictest limit that was named lately holds.
    name : str
        The gateway's name in log messages.
    clock : callable
        Seconds of the system's monotonic clock, the same for every process.
    folder : Path, optional
        Where the file lies: the user's cache directory when left out.
    """

    def __init__(
        self,
        place: str,
        call_name: str,
        limit: Limit,
        *,
        name: str,
        clock: Callable[[], float] = time.monotonic,
        folder: Path | None = None,
    ) -> None:
        self._key = f"{call_name} at {place}"
        self._limit = limit
        self._name = name
        self._clock = clock
        self._folder = folder
        self._why_no_file = "there is no home directory"
        self._busy_since = self._busy_last = -math.inf
        self._process = os.getpid()
        self._reserved: list[int] = []  # marks of slots taken in advance
        self._reserved_for, self._reserved_until = 0.0, -math.inf
        hold_forks()

    def take(self, timeout: float) -> tuple[float, int | None]:
        """Take a slot for a request that is given up after `timeout` seconds, if one is free.

        Returns
        -------
        wait, mark : float, int or None
            0.0 and the mark for `end` and `give_back`, if a slot was free. Otherwise the seconds to
            wait and None: the time until a slot can be free at the earliest, or some milliseconds
            if another process is using the file.
        """
        timeout = min(timeout, LONGEST_TIMEOUT_S)
        with process_lock:
            if self._reserved:
                if timeout == self._reserved_for and self._clock() < self._reserved_until:
                    return 0.0, self._reserved.pop()
                self._give_reserved_back()
            return self._visit(timeout)

    def end(self, mark: int) -> None:
        """Start the slot's window, because its answer came or was given up."""
        self._note(mark, self._clock())

    def give_back(self, mark: int) -> None:
        """Free a slot whose request was never sent."""
        self._note(mark, None)

    def refused(self) -> None:
        """After "too frequent": let no process of this host take a slot for one window."""
        with process_lock:
            call, now = self._call, self._clock()
            if now >= call.warned_until:  # requests in flight are refused together
                call.warned_until = now + self._limit.seconds
                _log.warning(
                    "%s says that requests are too frequent, though we kept to %d in %g seconds: "
                    "other programs use it too",
                    self._name, self._limit.requests, self._limit.seconds,
                )  # fmt: skip
            call.closed, call.has_news = now, True
            self._give_reserved_back()
            self._visit(None)

    def flush(self) -> None:
        """Write the changes noted since the last slot was taken."""
        with process_lock:
            if self._reserved and self._clock() >= self._reserved_until:
                self._give_reserved_back()
            if self._call.has_news:
                self._visit(None)

    def close(self) -> None:
        """Write the noted changes and close the file. The next use opens it again."""
        if self._process != os.getpid():
            self._reserved.clear()  # they are the parent's
        with process_lock:
            self._give_reserved_back()
        patience_ends = time.monotonic() + CLOSE_PATIENCE_S
        while True:
            with process_lock:
                self.flush()
                if not self._call.has_news or time.monotonic() >= patience_ends:
                    if self._file is not None:
                        self._file.close()
                    return
            # Try again: without the notes, others would wait until the deadlines of ended slots.
            time.sleep(0.001)

    def locate(self) -> Path:
        """Path of the file, after a test that it can be used.

        Raises
        ------
        OSError
            When it cannot be.
        """
        if self._file is None:
            raise OSError(self._why_no_file)
        with process_lock, contextlib.suppress(BusyError):  # it works, since others are using it
            self._file.transact(lambda _db, _now: None)
        return self._file.path

    @functools.cached_property
    def _file(self) -> LimitFile | None:
        """The file; None where there can be none."""
        folder = self._folder
        if folder is None:
            try:
                folder = _cache_folder(*(os.environ.get(name) for name in _PLACES))
            except RuntimeError:
                return None
            except Exception as error:  # noqa: BLE001 - what a broken platformdirs may raise
                self._why_no_file = f"platformdirs cannot: {error!r}"
                return None
            if not folder.is_absolute():  # without a home, older ones give "~/.cache"
                return None
        # Hosts that share a home directory share neither clock nor boot.
        name = re.sub(r"[^\w.-]", "_", f"limit_{platform.node()}.sqlite")
        return LimitFile(folder / name, self._clock)

    @functools.cached_property
    def _call(self) -> _Call:
        path = None if self._file is None else self._file.path
        return _calls.setdefault((path, self._key), _Call())

    def _give_reserved_back(self) -> None:
        while self._reserved:
            self.give_back(self._reserved.pop())

    def _note(self, mark: int, end: float | None) -> None:
        with process_lock:
            # A forgotten slot counts again, because its request was sent.
            filed = self._call.slots.pop(mark, -math.inf)
            if end is not None:
                self._call.slots[mark] = end
            self._call.noted[mark] = (filed, end)
            self._call.has_news = True
            # Others rely on the deadline, so a slot that outlived it is written at once.
            if end is not None and end > filed:
                self._visit(None)

    def _visit(self, timeout: float | None) -> tuple[float, int | None]:
        """Write noted changes and, given a timeout, take a slot; in the file if it can be used."""
        if not self._call.is_in_process:
            try:
                return self._in_file(timeout)
            except BusyError:
                if self._is_patient():
                    return random.uniform(0.001, 0.003), None  # noqa: S311 - keeps no secret
                self._fall_back("another process keeps it locked")
            except OSError as error:
                self._fall_back(error)
        return self._in_process(timeout)

    def _is_patient(self) -> bool:
        now = self._clock()
        if now - self._busy_last > LOCK_GAP_S:
            self._busy_since = now
        self._busy_last = now
        return now - self._busy_since <= LOCK_PATIENCE_S

    def _fall_back(self, why: object) -> None:
        if not any(call.is_in_process for call in _calls.values()):
            _log.warning(
                "the limit of %s is counted within this process only: %s cannot be used (%s)",
                self._name, self._file.path if self._file else "the cache directory", why,
            )  # fmt: skip
        self._call.is_in_process = True
        if self._file is not None:
            self._file.close()

    def _in_process(self, timeout: float | None) -> tuple[float, int | None]:
        call, now = self._call, self._clock()
        call.noted.clear()
        call.has_news = False
        if timeout is None:
            return 0.0, None
        limit = call.heed(self._limit, now, timeout)
        expired = now - limit.seconds
        ends = sorted(min(end, now) for end in call.slots.values() if end > expired)
        since = ends[-limit.requests] if len(ends) >= limit.requests else NEVER
        wait = max(since, call.closed) + limit.seconds - now
        if wait > 0:
            return wait, None
        mark = secrets.randbits(62)
        call.remember(mark, now + timeout, expired)
        return 0.0, mark

    def _in_file(self, timeout: float | None) -> tuple[float, int | None]:
        call, file = self._call, self._file
        if file is None:
            raise OSError(self._why_no_file)
        wait, taken, expired = file.transact(
            lambda db, now: self._write(db, now, timeout, file.identity)
        )
        call.noted.clear()
        call.has_news = False
        self._busy_last = -math.inf
        if not taken:
            return wait, None
        for mark, deadline in taken.items():
            call.remember(mark, deadline, expired)
        mark, *self._reserved = taken
        self._reserved_for = timeout or 0.0
        self._reserved_until = self._clock() + RESERVED_S
        return wait, mark

    def _write(
        self, db: sqlite3.Connection, now: float, timeout: float | None, identity: object
    ) -> tuple[float, dict[int, float], float]:
        """Take a slot if one is free, and write the noted changes.

        Returns the seconds to wait, the slots taken with their deadlines by mark, and the moment up
        to which slots that ended no longer count.
        """
        closed, slots = self._read(db, now)
        slots += self._write_noted(db, identity)
        wait, expired = 0.0, 0.0
        taken: dict[int, float] = {}
        if timeout is not None:
            limit = self._heed(db, now, timeout)
            expired = now - limit.seconds
            since = closed
            if slots >= limit.requests:
                slots -= self._forget(db, now, expired)
                if slots >= limit.requests:
                    since = max(closed, self._in_the_way(db, now, slots - limit.requests))
            wait = max(since + limit.seconds - now, 0.0)
            if not wait:
                free = limit.requests - slots
                spare = min(limit.requests // RESERVED_SHARE, free // 4, RESERVED_AT_MOST)
                taken = {secrets.randbits(62): now + timeout}
                for _ in range(spare):
                    # A request may use its reserved slot later, until the slot is given back.
                    taken[secrets.randbits(62)] = now + timeout + 2 * RESERVED_S
                rows = [(self._key, ends, mark) for mark, ends in taken.items()]
                db.executemany("INSERT INTO slot VALUES (?, ?, ?)", rows)
                slots += len(taken)
        row = (self._key, closed, now, slots)
        db.execute("INSERT OR REPLACE INTO call VALUES (?, ?, ?, ?)", row)
        return wait, taken, expired

    def _read(self, db: sqlite3.Connection, now: float) -> tuple[float, int]:
        """When the call was last closed, and how many slots it has."""
        sql = "SELECT closed, used, slots FROM call WHERE call = ?"
        row = db.execute(sql, (self._key,)).fetchone()
        if row is None:
            row = db.execute("SELECT closed, ?, 0 FROM host", (now,)).fetchone()
            believe(row is not None)
        closed, used, slots = row
        believe(closed == NEVER or is_time(closed, now))
        believe(is_time(used, now))
        believe(isinstance(slots, int) and slots >= 0)
        self._call.closed = max(closed, self._call.closed)
        return self._call.closed, slots

    def _write_noted(self, db: sqlite3.Connection, identity: object) -> int:
        """Write the noted changes, and return by how many the slots have increased."""
        call = self._call
        if call.identity not in {None, identity}:
            # A new file may lack this process's requests.
            for mark, ends in call.slots.items():
                call.noted.setdefault(mark, (ends, ends))
        call.identity = identity
        if not call.noted:
            return 0
        before = [(self._key, filed, mark) for mark, (filed, _) in call.noted.items()]
        after = [(self._key, end, mark) for mark, (_, end) in call.noted.items() if end is not None]
        sql = "DELETE FROM slot WHERE call = ? AND ends = ? AND mark = ?"
        fewer = db.executemany(sql, before).rowcount
        # A slot that is already there was written just before an interrupt.
        more = db.executemany("INSERT OR IGNORE INTO slot VALUES (?, ?, ?)", after).rowcount
        return max(more, 0) - fewer

    def _heed(self, db: sqlite3.Connection, now: float, timeout: float) -> Limit:
        """`_Call.heed` including the limits named in the file."""
        named: dict[Limit, float] = {}
        sql = "SELECT requests, seconds, until FROM named WHERE call = ?"
        for requests, seconds, until in db.execute(sql, (self._key,)).fetchall():
            believe(isinstance(requests, int) and requests > 0)
            believe(is_time(seconds, LONGEST_WINDOW_S))
            believe(is_time(until, now + LONGEST_TIMEOUT_S + LONGEST_WINDOW_S))
            named[Limit(requests, seconds)] = until
        self._call.named = named
        strictest = self._call.heed(self._limit, now, timeout)
        row = (self._key, self._limit.requests, self._limit.seconds, named[self._limit])
        db.execute("INSERT OR REPLACE INTO named VALUES (?, ?, ?, ?)", row)
        return strictest

    def _forget(self, db: sqlite3.Connection, now: float, expired: float) -> int:
        """Delete the slots that no longer count, and return their number."""
        for sql in (
            "SELECT ends FROM slot WHERE call = ? ORDER BY ends LIMIT 1",
            "SELECT ends FROM slot WHERE call = ? ORDER BY ends DESC LIMIT 1",
        ):
            row = db.execute(sql, (self._key,)).fetchone()
            believe(row is not None and is_time(row[0], now + LONGEST_TIMEOUT_S))
        sql = "DELETE FROM slot WHERE call = ? AND ends <= ?"
        return db.execute(sql, (self._key, expired)).rowcount

    def _in_the_way(self, db: sqlite3.Connection, now: float, before: int) -> float:
        """End of the slot that must expire before the next request; `before` slots end earlier."""
        sql = "SELECT ends FROM slot WHERE call = ? ORDER BY ends LIMIT 1 OFFSET ?"
        row = db.execute(sql, (self._key, before)).fetchone()
        believe(row is not None)
        # A request in flight may be answered now at the earliest.
        return min(float(row[0]), now)
