"""A store's files on a local disk: atomic writes, and a kernel lock for each file's writer.

New directories and files get the mode and the group of their parent directory, whatever the umask.
So everybody who may write into a store, such as a group of users, may write all of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

__all__ = ["files_below", "replace", "try_lock", "version"]

# Seconds to retry a rename. Windows cannot replace a file while it is read, for some milliseconds.
REPLACE_PATIENCE_S = 1.0
_REPLACE_PAUSE_S = 0.02


def version(file: Path) -> str | None:
    """Text that changes whenever the file changes; None when there is no file."""
    try:
        now = file.stat()
    except FileNotFoundError:
        return None
    return f"{now.st_ino} {now.st_mtime_ns} {now.st_size}"


def files_below(directory: str) -> dict[str, int]:
    """Files of a directory and its subdirectories, following links: path → size in bytes.

    Empty if there is no directory. A directory that may not be listed is an error. So is a broken
    link, because the disk with the files may not be mounted.
    """
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        if os.path.islink(directory):
            raise
        return {}
    found: dict[str, int] = {}
    for entry in entries:
        if entry.is_dir() or (entry.is_symlink() and not os.path.exists(entry.path)):
            found |= files_below(entry.path)
        else:
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                found[entry.path] = entry.stat().st_size
    return found


def replace(file: Path, content: bytes, writer: Path) -> None:
    """Replace a file as a whole. After a crash, either the old or the new file is there.

    Parameters
    ----------
    file : Path
        The file.
    content : bytes
        All of it.
    writer : Path
        Beginning of the temporary file's name. The caller holds the writer's lock, so a temporary
        file that is already there was left by a writer that died.
    """
    is_new = not file.parent.exists()
    try:
        _replace_by_way_of(writer.with_name(f"{writer.name}.tmp"), file, content)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # The file is on another disk than the lock. A temporary file beside it is the second
        # choice, because Polars fails while a market's directory holds a file that is not Parquet.
        _replace_by_way_of(file.with_name(f".{file.name}.tmp"), file, content)
    # Without this a power cut may take the rename back.
    _sync_directory(file.parent)
    if is_new:
        _sync_directory(file.parent.parent)


def try_lock(writer: Path) -> AbstractContextManager[None] | None:
    """Take a kernel lock, which ends with its process; None while another writer holds it.

    Parameters
    ----------
    writer : Path
        Beginning of the lock file's name.
    """
    file = writer.with_name(f"{writer.name}.lock")
    _make_directory(file.parent)
    with contextlib.suppress(FileExistsError):
        os.close(_created(file))
    try:
        # Some versions of filelock set the file's mode at each locking. `thread_local` is False
        # because another thread may release the lock.
        lock = FileLock(file, mode=stat.S_IMODE(file.stat().st_mode), thread_local=False)
        lock.acquire(timeout=0)
    except (FileNotFoundError, Timeout):
        # "Not found" means that another process released the lock just now: some versions remove
        # the file then.
        return None
    return _held(lock)


@contextlib.contextmanager
def _held(lock: FileLock) -> Iterator[None]:
    try:
        yield
    finally:
        lock.release()


def _replace_by_way_of(temporary: Path, file: Path, content: bytes) -> None:
    _make_directory(temporary.parent)
    temporary.unlink(missing_ok=True)
    try:
        with os.fdopen(_created(temporary), "wb") as output:
            output.write(content)
            output.flush()
            os.fsync(output.fileno())
        _make_directory(file.parent)
        _rename(temporary, file)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _rename(temporary: Path, file: Path) -> None:
    deadline_s = time.monotonic() + REPLACE_PATIENCE_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(PermissionError):
            os.replace(temporary, file)
            return
        time.sleep(_REPLACE_PAUSE_S)
    os.replace(temporary, file)


def _make_directory(directory: Path) -> None:
    """Make a directory and its missing parents."""
    if directory.is_dir():
        return
    _make_directory(directory.parent)
    try:
        directory.mkdir()
    except FileExistsError:
        if not directory.is_dir():
            raise
    else:
        _share(directory, directory.parent.stat())


def _created(file: Path) -> int:
    """Open a new file for writing, with the rights of its directory."""
    number = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    _share(file, file.parent.stat())
    return number


def _share(path: Path, above: os.stat_result) -> None:
    """Give a new file or directory the group and the rights of its parent directory."""
    # In a sticky directory such as /tmp, which is everybody's, they stay its maker's.
    if os.name == "nt" or above.st_mode & stat.S_ISVTX:
        return
    mode = stat.S_IMODE(above.st_mode)
    # Some file systems have no rights, and users cannot set every group.
    with contextlib.suppress(OSError):
        if path.stat().st_gid != above.st_gid:
            os.chown(path, -1, above.st_gid)
    with contextlib.suppress(OSError):
        path.chmod(mode if path.is_dir() else mode & 0o666)


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":
        return
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
