"""The SQLite file in which the processes of a host count requests: opens, checks and replaces it.

It uses a rollback journal, which holds no lock between transactions. With a write-ahead log, SQLite
in a forked child would believe that it holds its parent's locks, and would lose writes.
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

# Value of `closed` for a call that was never closed. It is longer ago than any window.
NEVER = -1e7

_VERSION = 1
_SCHEMA = (
    # closed: initial value for a call that is new to the file.
    "CREATE TABLE host (boot TEXT NOT NULL, closed REAL NOT NULL)",
    # closed: no slot is free until one window after it; used: when this row was written; slots:
    # number of the call's rows in slot, kept here because counting them would take long.
    "CREATE TABLE call (call TEXT PRIMARY KEY, closed REAL NOT NULL, used REAL NOT NULL,"
    " slots INTEGER NOT NULL) WITHOUT ROWID",
    # until: the time up to which a limit that one user named holds for all users.
    "CREATE TABLE named (call TEXT, requests INTEGER, seconds REAL, until REAL NOT NULL,"
    " PRIMARY KEY (call, requests, seconds)) WITHOUT ROWID",
    # ends: when the request was answered or given up; its deadline while it is in flight.
    "CREATE TABLE slot (call TEXT, ends REAL, mark INTEGER,"
    " PRIMARY KEY (call, ends, mark)) WITHOUT ROWID",
)

_log = logging.getLogger(__name__)

# Guards the files and this process's own records against its other threads.
process_lock = threading.RLock()
# Files that this process has checked and found sound.
_known: dict[Path, Identity | None] = {}
# Keeps the parent's connections alive in a child: garbage collection would close them.
_of_parents: list[sqlite3.Connection] = []


class BusyError(Exception):
    """Another process is using the file. That takes about 0.1 ms."""


class _DamagedError(Exception):
    """The file holds impossible values."""


def believe(is_possible: bool) -> None:
    """Have the file replaced unless its values are possible."""
    if not is_possible:
        raise _DamagedError("it holds what cannot be")


def is_time(value: object, latest: float) -> bool:
    """Whether a value of the file is a time since this boot, and not after `latest`."""
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
        Identifies the file that was opened last, in case another one replaces it.
    path : Path
        The path given.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.identity: Identity | None = None
        self.path = path
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        self._pid = 0
        self._is_damaged = False

    def transact(self, work: Callable[[sqlite3.Connection, float], T]) -> T:
        """Run `work` in a transaction of its own; its second argument is the time.

        Its changes are kept unless it raises. A damaged file is replaced, and the work is done on
        the new one.

        Raises
        ------
        BusyError
            When another process is using the file.
        OSError
            When the file cannot be used.
        """
        try:
            import sqlite3  # noqa: PLC0415 - some Pythons lack it
        except Exception as error:  # a library of another version may raise anything
            raise OSError(f"this Python has no SQLite: {error!r}") from error
        try:
            try:
                return self._transact(work)
            except (sqlite3.DatabaseError, _DamagedError) as error:
                # SQLite also fails if the file was deleted just now; then a new one is made.
                if not _is_damage(error) and _identity(self.path) == self.identity:
                    raise
                self._is_damaged = True
            return self._transact(work)
        except (sqlite3.Error, _DamagedError) as error:
            if "locked" in str(error):
                raise BusyError from error
            raise OSError(str(error)) from error

    def close(self) -> None:
        """Close the file; the next use opens it again."""
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
            # Read under the lock, the clock is never behind times that others wrote.
            result = work(db, self._clock())
            db.execute("COMMIT")
        except BaseException:
            db.rollback()
            raise
        return result

    def _connected(self) -> sqlite3.Connection:
        """The connection to the file that is now at the path; opened if need be."""
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
            # The file was checked before, so it is not checked again unless it is replaced.
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
        # Only one process at a time may check or replace the file.
        with contextlib.closing(sqlite3.connect(lock, timeout=0, isolation_level=None)) as alone:
            alone.execute("BEGIN EXCLUSIVE")
            return self._open()

    def _open(self) -> sqlite3.Connection:
        identity = _identity(self.path)
        is_damaged = self._is_damaged and identity == self.identity
        # The old file was open until here, so that no other file could get its inode number.
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
    """Whether an error means a damaged file, not a problem with locks, rights or the disk."""
    import sqlite3  # noqa: PLC0415 - see LimitFile.transact

    return not isinstance(error, sqlite3.OperationalError) or "no such" in str(error)


def _identity(path: Path) -> Identity | None:
    """Identifies a file among others that were at the same path; None when there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):  # opening a FIFO could block for ever
        raise OSError(f"{path.name} is no plain file")
    return found.st_dev, found.st_ino


def _make(path: Path, closed: float) -> Identity | None:
    """Replace the file atomically by a new one."""
    import sqlite3  # noqa: PLC0415 - see LimitFile.transact

    # If somebody has emptied the directory, two processes may each hold a lock and both be here.
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
    """Check that the file is one of ours, and delete requests from before this boot."""
    believe(db.execute("PRAGMA user_version").fetchone() == (_VERSION,))
    schema = db.execute("SELECT sql FROM sqlite_master ORDER BY rowid").fetchall()
    believe(schema == [(sql,) for sql in _SCHEMA])
    row = db.execute("SELECT boot, closed, (SELECT max(used) FROM call) FROM host").fetchone()
    believe(row is not None)
    its_boot, closed, used = row
    boot = _boot()
    if its_boot == boot:
        believe(isinstance(closed, float) and isinstance(used, float | None))
        # Where boots have no ids, a time ahead of the clock is from another boot.
        if boot or max(closed, used or 0.0) <= now:
            return
    for table in ("slot", "named", "call"):
        db.execute(f"DELETE FROM {table}")  # noqa: S608 - the names are those above
    # Any earlier request was sent before 0 on the clock of this boot.
    db.execute("UPDATE host SET boot = ?, closed = 0.0", (boot,))


def _boot() -> str:
    """Id of this boot of the system; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


@functools.cache
def hold_forks() -> None:
    """Prevent forks during a transaction. Call this before `process_lock` is first used.

    A child would take its parent's file locks for its own, and wait for ever for a lock that
    another thread of the parent held.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=process_lock.acquire,
            after_in_parent=process_lock.release,
            after_in_child=process_lock.release,
        )
