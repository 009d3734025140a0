"""The SQLite file in which the processes of a host count: opened, checked, made anew.

Its journal is of the kind that locks nothing between transactions. With a write-ahead log, SQLite
in a forked child believes that it holds the locks of its parent, and loses what it writes.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

__all__ = ["NEVER", "BusyError", "LimitFile", "believe", "hold_forks", "is_time", "process_lock"]

T = TypeVar("T")
Identity = tuple[int, int]

# When a call that was never closed was closed: more than any window ago.
NEVER = -1e7

_VERSION = 1
_SCHEMA = (
    # closed: that of every call which is new to the file.
    "CREATE TABLE host (boot TEXT NOT NULL, closed REAL NOT NULL)",
    # closed: no slot is free until one window after it; used: when this row was written; slots: how
    # many rows of slot are the call's, which would take the longer to count the more there are.
    "CREATE TABLE call (call TEXT PRIMARY KEY, closed REAL NOT NULL, used REAL NOT NULL,"
    " slots INTEGER NOT NULL) WITHOUT ROWID",
    # until: the limit that a user named holds for all others until then.
    "CREATE TABLE named (call TEXT, requests INTEGER, seconds REAL, until REAL NOT NULL,"
    " PRIMARY KEY (call, requests, seconds)) WITHOUT ROWID",
    # ends: when it was answered or given up; its deadline while its request is in flight.
    "CREATE TABLE slot (call TEXT, ends REAL, mark INTEGER,"
    " PRIMARY KEY (call, ends, mark)) WITHOUT ROWID",
)

_log = logging.getLogger(__name__)

# One thread of a process at a time is at a file or at what the process knows.
process_lock = threading.RLock()
# The files that this process has found sound.
_known: dict[Path, Identity | None] = {}
# A child must not close connections of its parent, as collecting them would.
_of_parents: list[sqlite3.Connection] = []


class BusyError(Exception):
    """Another process is at the file; it takes a tenth of a millisecond."""


class _DamagedError(Exception):
    """The file holds what cannot be."""


def believe(is_possible: bool) -> None:
    """Have the file made anew unless what it holds is possible."""
    if not is_possible:
        raise _DamagedError("it holds what cannot be")


def is_time(value: object, latest: float) -> bool:
    """Whether a value of the file is a time of this boot, at the latest that one."""
    return isinstance(value, float) and 0.0 <= value <= latest


class LimitFile:
    """A connection to the file, to be used under `process_lock`. Making one does no I/O.

    Parameters
    ----------
    path : Path
        Where the file lies.
    clock : callable
        Seconds of the system's monotonic clock, the same for every process.

    Attributes
    ----------
    identity : tuple of int, or None
        What tells the file that was opened last from another one at its path.
    path : Path
        As given.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.identity: Identity | None = None
        self.path = path
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        self._pid = 0
        self._is_damaged = False

    def transact(self, work: Callable[[sqlite3.Connection, float], T]) -> T:
        """Do some work on the file, alone, at the time that is its second argument.

        What it changes is kept unless it raises. A damaged file is replaced, and the work done on
        the new one.

        Raises
        ------
        BusyError
            When another process is at the file.
        OSError
            When the file cannot be had.
        """
        try:
            import sqlite3  # noqa: PLC0415 - some Pythons lack it
        except Exception as error:  # a library of another version may raise anything
            raise OSError(f"this Python has no SQLite: {error!r}") from error
        try:
            try:
                return self._transact(work)
            except (sqlite3.DatabaseError, _DamagedError) as error:
                # SQLite does not write to a file that somebody deletes at this moment.
                if not _is_damage(error) and _identity(self.path) == self.identity:
                    raise
                self._is_damaged = True
            return self._transact(work)
        except (sqlite3.Error, _DamagedError) as error:
            if "locked" in str(error):
                raise BusyError from error
            raise OSError(str(error)) from error

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        db, self._db = self._db, None
        if db is None:
            return
        if self._pid == os.getpid():
            db.close()
        else:
            _of_parents.append(db)

    def _transact(self, work: Callable[[sqlite3.Connection, float], T]) -> T:
        db = self._connected()
        try:
            db.execute("BEGIN IMMEDIATE")
            # Read behind the lock, the clock is never behind the times that others wrote.
            result = work(db, self._clock())
            db.execute("COMMIT")
        except BaseException:
            db.rollback()
            raise
        return result

    def _connected(self) -> sqlite3.Connection:
        """The connection to the file that the path names by now; opened if need be."""
        if (
            self._db is not None
            and self._pid == os.getpid()
            and not self._is_damaged
            and _identity(self.path) == self.identity
        ):
            return self._db
        import sqlite3  # noqa: PLC0415 - see transact

        identity = _identity(self.path)
        if identity is not None and identity == _known.get(self.path) and not self._is_damaged:
            # It was found sound before: it is opened as it is, unless it is replaced meanwhile.
            self.close()
            db = _connect(self.path)
            if _identity(self.path) == identity:
                self.identity, self._db, self._pid = identity, db, os.getpid()
                return db
            db.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(f"{self.path.name}.lock")
        _identity(lock)
        lock.touch(0o600)
        # Whoever opens or replaces the file does so alone.
        with contextlib.closing(sqlite3.connect(lock, timeout=0, isolation_level=None)) as alone:
            alone.execute("BEGIN EXCLUSIVE")
            return self._open()

    def _open(self) -> sqlite3.Connection:
        identity = _identity(self.path)
        is_damaged = self._is_damaged and identity == self.identity
        # Until here it was open, so that no other file could be given its number.
        self.close()
        db = None if identity is None or is_damaged else self._sound()
        if db is None:
            closed = NEVER
            if identity is not None or self.path in _known:
                closed = self._clock()
                _log.warning(
                    "%s is damaged or gone: nothing is asked until what it held cannot count any "
                    "more",
                    self.path,
                )
            identity = _make(self.path, closed)
            db = self._sound()
            if db is None:
                raise _DamagedError("it cannot be read back")
        _known[self.path] = identity
        self.identity, self._db, self._pid, self._is_damaged = identity, db, os.getpid(), False
        return db

    def _sound(self) -> sqlite3.Connection | None:
        """A new connection; None when the file is damaged."""
        import sqlite3  # noqa: PLC0415 - see transact

        with contextlib.ExitStack() as undo:
            try:
                db = _connect(self.path)
                undo.callback(db.close)
                db.execute("BEGIN IMMEDIATE")
                _check(db, self._clock())
                db.execute("COMMIT")
            except (sqlite3.DatabaseError, _DamagedError) as error:
                if not _is_damage(error):
                    raise
                return None
            undo.pop_all()
        return db


def _connect(path: Path) -> sqlite3.Connection:
    import sqlite3  # noqa: PLC0415 - see LimitFile.transact

    # process_lock keeps threads apart.
    db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = PERSIST")
        db.execute("PRAGMA synchronous = OFF")
    except BaseException:
        db.close()
        raise
    return db


def _is_damage(error: Exception) -> bool:
    """Whether an error tells of a damaged file, and not of locks, rights or the disk."""
    import sqlite3  # noqa: PLC0415 - see LimitFile.transact

    return not isinstance(error, sqlite3.OperationalError) or "no such" in str(error)


def _identity(path: Path) -> Identity | None:
    """What tells a file from another one at the same path; None when there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):  # to open a FIFO could take for ever
        raise OSError(f"{path.name} is no plain file")
    return found.st_dev, found.st_ino


def _make(path: Path, closed: float) -> Identity | None:
    """Make the file anew, whole at once, in place of what is there."""
    import sqlite3  # noqa: PLC0415 - see LimitFile.transact

    # When somebody has emptied the directory, two processes may each hold a lock, and do this both.
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    new.touch(0o600)
    with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        for statement in _SCHEMA:
            db.execute(statement)
        db.execute("INSERT INTO host VALUES (?, ?)", (_boot(), closed))
        db.execute(f"PRAGMA user_version = {_VERSION}")
    # A journal of the old file would be played back into the new one.
    for suffix in ("-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    identity = _identity(new)
    new.replace(path)
    return identity


def _check(db: sqlite3.Connection, now: float) -> None:
    """See that the file is one of ours, and forget what was asked before this boot."""
    believe(db.execute("PRAGMA user_version").fetchone() == (_VERSION,))
    schema = db.execute("SELECT sql FROM sqlite_master ORDER BY rowid").fetchall()
    believe(schema == [(sql,) for sql in _SCHEMA])
    row = db.execute("SELECT boot, closed, (SELECT max(used) FROM call) FROM host").fetchone()
    believe(row is not None)
    its_boot, closed, used = row
    boot = _boot()
    if its_boot == boot:
        believe(isinstance(closed, float) and isinstance(used, float | None))
        # Where boots have no names, a time ahead of the clock is one of another boot.
        if boot or max(closed, used or 0.0) <= now:
            return
    for table in ("slot", "named", "call"):
        db.execute(f"DELETE FROM {table}")  # noqa: S608 - the names are those above
    # It was asked before the clock of this boot began.
    db.execute("UPDATE host SET boot = ?, closed = 0.0", (boot,))


def _boot() -> str:
    """What tells this boot of the system from others; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


@functools.cache
def hold_forks() -> None:
    """Let no fork happen within a transaction; to be called before `process_lock` is first used.

    A child would take the locks of its parent for its own, and wait for ever for another thread's.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=process_lock.acquire,
            after_in_parent=process_lock.release,
            after_in_child=process_lock.release,
        )
