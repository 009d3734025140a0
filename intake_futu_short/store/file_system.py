"""A store's file system: whole writes, one writer a file, one kind of error. On fsspec.

On a local disk a file is replaced by a rename, and a lock of the kernel, which ends with its
process, keeps writers apart. Elsewhere a file is one PUT, and `try_lock` keeps apart only the
writers of this process.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import threading
import time
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import fsspec.core
from filelock import FileLock, Timeout
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import get_protocol

from intake_futu_short.errors import ConfigError, FutuShortError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

__all__ = ["StoreFileSystem"]

# A temporary file of another host, whose processes cannot be seen, is dead after a day.
FOREIGN_TEMPORARY_S = 86_400.0

_PASSWORD = re.compile(r"(?<=://)[^/@]*@")


class StoreFileSystem:
    """The files below a URL, by their paths relative to it. Making one does no I/O.

    Parameters
    ----------
    url : str or path
        Of a directory, which need not exist.
    storage_options : mapping, optional
        What fsspec passes to the file system; never shown.

    Raises
    ------
    ConfigError
        When the URL or the options cannot work, or what the protocol needs is not installed.
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        plain: object = os.fspath(url) if isinstance(url, os.PathLike) else url
        if not isinstance(plain, str) or not plain.strip():
            raise ConfigError(
                "store must be the URL or the path of a directory, such as 's3://bucket/short' or "
                f"'~/short', not {url!r}"
            )
        options: object = {} if storage_options is None else storage_options
        if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
            raise ConfigError(
                "storage_options must be a mapping of names to values, not "
                f"{type(storage_options).__name__}"
            )
        self._options = dict(options)
        self._url, self.is_local = _checked(plain.strip())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        """URL for people to read, without a password."""
        return _PASSWORD.sub("***@", self._url)

    def show(self, path: str) -> str:
        """Name of a file for people to read."""
        return f"{self.url.rstrip('/')}/{path}"

    # -- reading ----------------------------------------------------------------------------

    def get(self, path: str) -> bytes | None:
        """Content of a file; None when there is none."""
        with self._as_store_error("read", path):
            fs, root = self._open()
            try:
                content: bytes = fs.cat_file(f"{root}/{path}")
            except FileNotFoundError:
                return None
            return content

    def get_many(self, paths: Sequence[str], last: int | None = None) -> list[bytes | Exception]:
        """Contents of files, fetched together where the file system can; errors in their places.

        Parameters
        ----------
        paths : sequence of str
            Files.
        last : int, optional
            Only so many bytes at the end of each.
        """
        with self._as_store_error("read", f"{len(paths)} files"):
            fs, root = self._open()
            full = [f"{root}/{path}" for path in paths]
            # Not fs.cat, which takes brackets in a path for a pattern.
            starts = [None if last is None else -last] * len(full)
            found = fs.cat_ranges(full, starts, [None] * len(full), on_error="return")
        return [
            self._error("read", path, content) if isinstance(content, Exception) else content
            for path, content in zip(paths, found, strict=True)
        ]

    def find(self, directory: str) -> dict[str, dict[str, Any]]:
        """What there is below a directory: path relative to the store → what fsspec knows of it."""
        with self._as_store_error("list", directory):
            fs, root = self._open()
            fs.invalidate_cache()
            if self.is_local:
                found = self._below(fs, root, directory)
            else:
                # fsspec leaves out what may not be listed, as if it were not there.
                strict = {} if fs.async_impl else {"on_error": _unless_missing}
                found = fs.find(f"{root}/{directory}", detail=True, **strict)
            prefix = f"{root}/"
            names = {str(name): info for name, info in found.items()}
            if any(not name.startswith(f"{prefix}{directory}/") for name in names):
                raise NotADirectoryError(errno.ENOTDIR, "it is a file")
            return {name[len(prefix) :]: info for name, info in names.items()}

    def version(self, path: str) -> str | None:
        """What changes whenever a file does; None when there is none."""
        with self._as_store_error("look at", path):
            fs, root = self._open()
            fs.invalidate_cache()
            try:
                info = fs.info(f"{root}/{path}")
            except FileNotFoundError:
                return None
            known = ("ino", "mtime", "ETag", "etag", "LastModified", "created", "updated", "size")
            return repr([info[key] for key in known if key in info])

    # -- writing ----------------------------------------------------------------------------

    def put(self, path: str, content: bytes, writer: str) -> None:
        """Write a file, whole or not at all.

        Parameters
        ----------
        path : str
            The file.
        content : bytes
            All of it.
        writer : str
            What the names of temporary files begin with, where a local disk needs them. The caller
            holds its lock.
        """
        with self._as_store_error("write", path):
            fs, root = self._open()
            if self.is_local:
                _replace(Path(root) / path, content, Path(root) / writer)
                return
            full = f"{root}/{path}"
            try:
                fs.pipe_file(full, content)
            except FileNotFoundError:
                # An object store has no directories, only buckets, which are not ours to make.
                if fs.async_impl:
                    raise
                fs.makedirs(full.rpartition("/")[0], exist_ok=True)
                fs.pipe_file(full, content)
            fs.invalidate_cache()

    def remove(self, path: str) -> None:
        """Remove a file; harmless when there is none."""
        with self._as_store_error("remove", path):
            fs, root = self._open()
            # One that can remove nothing can hold a store all the same.
            with contextlib.suppress(FileNotFoundError, NotImplementedError):
                fs.rm_file(f"{root}/{path}")

    def try_lock(self, writer: str) -> AbstractContextManager[None] | None:
        """Become the one writer of a file until the context ends; None while another one is.

        On a local disk it is a lock of the kernel, which ends with its process. Elsewhere only the
        writers of this process are kept apart.

        Parameters
        ----------
        writer : str
            What the name of the lock file begins with, on a local disk; elsewhere there is none.
        """
        path = f"{writer}.lock"
        if not self.is_local:
            lock = _process_lock(f"{self._url} {path}")
            return _held(lock) if lock.acquire(blocking=False) else None
        file = Path(self._url) / path
        with self._as_store_error("lock", path):
            file.parent.mkdir(parents=True, exist_ok=True)
            # The one who closes a generator may be another thread than the one who took the lock.
            file_lock = FileLock(file, thread_local=False)
            try:
                file_lock.acquire(timeout=0)
            except Timeout:
                return None
        return _held(file_lock)

    # -- inside -----------------------------------------------------------------------------

    def _open(self) -> tuple[Any, str]:
        # Every time: fsspec keeps file systems itself, and makes new ones after a fork.
        fs, root = fsspec.core.url_to_fs(self._url, **self._options)
        return fs, root.rstrip("/")

    @contextmanager
    def _as_store_error(self, verb: str, path: str) -> Iterator[None]:
        try:
            yield
        except FutuShortError:
            raise
        except Exception as error:
            raise self._error(verb, path, error) from error

    def _below(self, fs: Any, root: str, directory: str) -> dict[str, dict[str, Any]]:
        """Files of a directory and of those in it; none where there is no directory.

        Not ``fs.find``, which leaves out directories in it that may not be listed.
        """
        with self._as_store_error("list", directory):
            try:
                entries = fs.ls(f"{root}/{directory}", detail=True)
            except FileNotFoundError:
                return {}
        found: dict[str, dict[str, Any]] = {}
        for info in entries:
            name = info["name"]
            if info["type"] == "directory":
                found |= self._below(fs, root, name[len(root) + 1 :])
            else:
                found[name] = info
        return found

    def _error(self, verb: str, path: str, error: Exception) -> StoreError:
        told = StoreError(
            f"cannot {verb} {self.show(path)}: {_reason(error)}{_advice(verb, error)}"
        )
        told.__cause__ = error
        return told


def _checked(url: str) -> tuple[str, bool]:
    """The URL, absolute where it is local, and whether it is."""
    protocol = get_protocol(url)
    shown = _PASSWORD.sub("***@", url)
    try:
        fs_class = fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        raise ConfigError(f"store {shown!r}: {error}") from error
    except ValueError as error:
        raise ConfigError(
            f"store {shown!r}: fsspec knows no protocol {protocol!r}. Accepted are a local path "
            "and the URLs of fsspec's file systems, such as 's3://bucket/short'"
        ) from error
    if "::" in url or not issubclass(fs_class, LocalFileSystem):
        return url, False
    # Absolute from now on: a worker may have another working directory.
    return str(fs_class._strip_protocol(url)), True


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _advice(verb: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return ". Sync the ticker first" if verb == "read" else ". Does that bucket exist?"
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, PermissionError):
        return ". Check the permissions there, or the credentials in storage_options"
    if isinstance(error, (NotADirectoryError, FileExistsError, IsADirectoryError)):
        return ". Files and directories are mixed up there: choose another store"
    if number in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return ". What was kept is unchanged: make room and sync again"
    return ""


def _unless_missing(error: Exception) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _replace(file: Path, content: bytes, writer: Path) -> None:
    """Put a whole file in the place of another. A crash leaves the one or the other."""
    writer.parent.mkdir(parents=True, exist_ok=True)
    _clean(writer)
    # The @ is in no code: of two tickers no name begins with the other's.
    temporary = writer.with_name(f"{writer.name}@{_host()}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as output:
            output.write(content)
            output.flush()
            os.fsync(output.fileno())
        is_new = not file.parent.exists()
        file.parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, file)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    # Without this a power cut may take the rename back.
    _sync_directory(file.parent)
    if is_new:
        _sync_directory(file.parent.parent)


def _clean(writer: Path) -> None:
    """Remove what dead writers of a file left; its lock is held, so that no other is alive."""
    ours = f"{writer.name}@{_host()}."
    for temporary in writer.parent.glob(f"{writer.name}@*.tmp"):
        with contextlib.suppress(OSError):
            age_s = time.time() - temporary.stat().st_mtime
            if temporary.name.startswith(ours) or age_s > FOREIGN_TEMPORARY_S:
                temporary.unlink()


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", platform.node()) or "host"


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":
        return
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _held(lock: Any) -> Iterator[None]:
    try:
        yield
    finally:
        lock.release()


_process_locks: dict[str, threading.Lock] = {}
_process_locks_guard = threading.Lock()


def _process_lock(name: str) -> threading.Lock:
    with _process_locks_guard:
        return _process_locks.setdefault(name, threading.Lock())


def _after_fork_in_child() -> None:
    # A thread of the parent may have held any of them.
    global _process_locks_guard  # noqa: PLW0603 - the one place where the shared state is replaced
    _process_locks_guard = threading.Lock()
    _process_locks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
