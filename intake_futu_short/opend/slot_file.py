"""The file in which the processes of a user on one host share a gateway's slots.

Locks are the kernel's, so that they end with the process that holds them, however it ends.
They are of the kind that a forked child does not inherit: a child that lives on with a copy of a
lock taken for an instant by its parent would keep everybody out.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import re
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from intake_futu_short.opend import ledger
from intake_futu_short.opend.limiter import Slots

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["BusyError", "SlotFile"]

# Of a million requests, which is the most that a limit can name: what is larger is no such file.
MAX_FILE_BYTES = 2**25

_log = logging.getLogger(__name__)


class BusyError(Exception):
    """Another process is at the file; it takes a tenth of a millisecond."""


class SlotFile:
    """A gateway's slots in the user's cache directory. Making one does no I/O.

    Parameters
    ----------
    host : str
        Address of the gateway, resolved.
    port : int
        Its TCP port.
    clock : callable
        Seconds of the system's monotonic clock, the same for every process.
    """

    def __init__(self, host: str, port: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        # Hosts that share a home directory share neither clock nor boot.
        name = re.sub(r"[^\w.-]", "_", f"limit_{platform.node()}_{host}_{port}")
        folder = platformdirs.user_cache_path("intake-futu-short", appauthor=False)
        self.path = folder / f"{name}.slots"
        self._lock_path = folder / f"{name}.lock"
        self._boot: bytes | None = None
        self._is_known = False

    @contextlib.contextmanager
    def visit(self) -> Iterator[tuple[Slots, float]]:
        """Slots to read and change, alone, and the time; changes are kept unless the body raises.

        Raises
        ------
        BusyError
            When another process is at it.
        OSError
            When the file cannot be had.
        """
        if self._boot is None:
            self._boot = _boot()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(lock)
            # Read behind the lock, the clock is never behind the time of what others wrote.
            now = self._clock()
            slots = self._read(self._boot, now)
            yield slots, now
            self._write(ledger.encode(slots, self._boot, now))
            self._is_known = True
        finally:
            os.close(lock)

    def _read(self, boot: bytes, now: float) -> Slots:
        try:
            # Not read(MAX_FILE_BYTES), which makes room for so many each time.
            data = self.path.read_bytes() if self.path.stat().st_size <= MAX_FILE_BYTES else b""
            slots = ledger.decode(data, boot, now)
        except FileNotFoundError:
            if not self._is_known:
                return Slots()
            slots = None  # somebody has emptied the cache
        if slots is None:
            _log.warning(
                "%s is damaged or gone: nothing is asked until what it held cannot count any more",
                self.path,
            )
            slots = Slots(closed_at=now)
        return slots

    def _write(self, data: bytes) -> None:
        # One write in place, and only then what is left of a longer state cut off: a process
        # killed at any point leaves the old state or the new one, or what its checksum gives away.
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        try:
            if os.write(file, data) != len(data):
                raise OSError(f"{self.path} was written in part only: is the disk full?")
            os.ftruncate(file, len(data))
        finally:
            os.close(file)


def _lock(file: int) -> None:
    """Lock a file until it is closed."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise BusyError from error


def _boot() -> bytes:
    """What tells this boot of the system from others, where it says so."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
        return uuid.UUID(text.strip()).bytes
    except (OSError, ValueError):
        return bytes(ledger.BOOT_BYTES)
