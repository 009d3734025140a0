"""A store's file system: whole writes, one writer a file, one kind of error. On fsspec."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec.core
from fsspec.utils import tokenize

from intake_futu_short import repr_table
from intake_futu_short.described import described, is_like_key
from intake_futu_short.errors import ConfigError, FutuShortError, StoreError
from intake_futu_short.store import local_disk, object_store, process_lock, urls
from intake_futu_short.wording import argument, either

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

__all__ = ["StoreFileSystem"]


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
        is_path = isinstance(plain, str) and ("://" in plain or not is_like_key(plain))
        if not isinstance(plain, str) or not plain.strip() or not is_path:
            raise ConfigError(
                f"{argument('store')} must be the URL or the path of a directory, such as "
                f"'s3://bucket/short' or '~/short', not {described(url)}"
            )
        options: object = {} if storage_options is None else storage_options
        if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
            raise ConfigError(
                "storage_options must be a mapping of names to values, not "
                f"{type(storage_options).__name__}"
            )
        urls.refuse_user_of_no_scheme("store", plain)
        urls.refuse_masked("store", plain)
        urls.refuse_masked("storage_options", options)
        self._options = dict(options)
        local = urls.local_path(plain.strip(), self._options)
        self.is_local = local is not None
        self._url = plain.strip() if local is None else local

    def __repr__(self) -> str:
        if not hasattr(self, "_url"):
            return repr_table.refused(self)
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        """URL for people to read, without a password."""
        return urls.shown(self._url)

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

    def read(self, path: str) -> tuple[bytes | None, str | None]:
        """Content of a file, and the store's tag for it where one is known; None without a file.

        The tag may be of an older content, which a write then is refused for, but of no newer one.
        """
        tag = None
        if not self.is_local and _verdicts.get(self._key, True):
            with self._as_store_error("look at", path):
                fs, root = self._open()
                fs.invalidate_cache()
                try:
                    tag = object_store.tag_of(fs.info(f"{root}/{path}"))
                except FileNotFoundError:
                    return None, None
        content = self.get(path)
        return content, None if content is None else tag

    def get_many(self, paths: Sequence[str], last: int | None = None) -> list[bytes | Exception]:
        """Contents of files, fetched together where the file system can; errors in their places.

        Parameters
        ----------
        paths : sequence of str
            Files.
        last : int, optional
            Only so many bytes at the end of each.
        """
        if self.is_local:
            return [self._get_local(path, last) for path in paths]
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

    def _get_local(self, path: str, last: int | None) -> bytes | StoreError:
        # Without fsspec, which takes more time for a file than opening and reading it.
        try:
            with open(f"{self._url.rstrip('/')}/{path}", "rb", buffering=0) as file:
                if last is not None:
                    size = file.seek(0, os.SEEK_END)
                    file.seek(max(size - last, 0))
                content: bytes = file.read()
                return content
        except OSError as error:
            return self._error("read", path, error)

    def find(self, directory: str) -> dict[str, int]:
        """Files below a directory: path relative to the store → size in bytes."""
        with self._as_store_error("list", directory):
            fs, root = self._open()
            top = f"{root}/{directory}"
            if self.is_local:
                found = self._local_files_below(top)
            else:
                fs.invalidate_cache()
                found = object_store.files_below(fs, top)
            if any(not name.startswith(f"{top}/") for name in found):
                raise NotADirectoryError(errno.ENOTDIR, "it is a file")
        return {name[len(root) + 1 :]: size for name, size in found.items()}

    def version(self, path: str) -> str | None:
        """Text that changes whenever the file changes; None when there is no file."""
        with self._as_store_error("look at", path):
            if self.is_local:
                return local_disk.version(Path(self._url) / path)
            fs, root = self._open()
            fs.invalidate_cache()
            try:
                info = fs.info(f"{root}/{path}")
            except FileNotFoundError:
                return None
            known = ("mtime", "ETag", "etag", "LastModified", "created", "updated", "size")
            return repr([info[key] for key in known if key in info])

    # -- writing ----------------------------------------------------------------------------

    def takes_conditions(self) -> bool:
        """Whether `put_if` works on this store. Tested once per process, before the first write."""
        if self._key not in _verdicts:
            with self._as_store_error("write", ""):
                fs, root = self._open()
                verdict = object_store.takes_conditions(fs, root)
            self._judge(verdict)
        return _verdicts[self._key]

    def count_as_elsewhere(self) -> bool:
        """Stop using conditional writes, and log this once. Returns False."""
        return self._judge(False)

    def put(self, path: str, content: bytes, writer: str) -> None:
        """Write a file, whatever is there: whole or, on a local disk and object stores, not at all.

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
            if self.is_local:
                local_disk.replace(Path(self._url) / path, content, Path(self._url) / writer)
                return
            fs, root = self._open()
            object_store.put(fs, f"{root}/{path}", content)
            fs.invalidate_cache()

    def put_if(self, path: str, content: bytes, tag: str | None) -> str | None:
        """Write a file, whole or not at all, if it still has a tag; None: if there is none.

        Returns
        -------
        str or None
            The new tag, where it is known.

        Raises
        ------
        OvertakenError
            When it has another tag: another writer came first.
        """
        with self._as_store_error("write", path):
            fs, root = self._open()
            new_tag = object_store.put_if(fs, f"{root}/{path}", content, tag)
            fs.invalidate_cache()
            return new_tag

    def remove(self, path: str) -> None:
        """Remove a file; harmless when there is none."""
        with self._as_store_error("remove", path):
            fs, root = self._open()
            with contextlib.suppress(FileNotFoundError):
                fs.rm_file(f"{root}/{path}")
            fs.invalidate_cache()

    def try_lock(self, writer: str) -> AbstractContextManager[None] | None:
        """Lock a file for writing until the context ends; None while another writer holds it.

        On a local disk this is a lock of the kernel, which ends with its process. Elsewhere it only
        keeps apart the writers of this process.

        Parameters
        ----------
        writer : str
            Beginning of the lock file's name on a local disk. Elsewhere there is no lock file.
        """
        if not self.is_local:
            return process_lock.try_hold(f"{self._url.rstrip('/')} {writer}")
        with self._as_store_error("lock", writer):
            return local_disk.try_lock(Path(self._url) / writer)

    # -- inside -----------------------------------------------------------------------------

    @property
    def _key(self) -> str:
        return str(tokenize(self._url.rstrip("/"), self._options))

    def _judge(self, verdict: bool) -> bool:
        _verdicts[self._key] = verdict
        # Of two threads that have tried at once, one warns.
        if not verdict and _warned.setdefault(self._key, me := object()) is me:
            object_store.warn_elsewhere(self.url)
        return verdict

    def _local_files_below(self, top: str) -> dict[str, int]:
        try:
            found = local_disk.files_below(top)
        except OSError as error:
            # Which of the directories it was.
            where = os.path.relpath(error.filename or top, self._url)
            told = self._error("list", where, error)
            raise told from told.__cause__
        # Windows has separators of its own.
        return {Path(name).as_posix(): size for name, size in found.items()}

    def _open(self) -> tuple[Any, str]:
        # Every time: fsspec keeps file systems itself, and makes new ones after a fork.
        fs, root = fsspec.core.url_to_fs(self._url, **self._options)
        return fs, root.rstrip("/")

    @contextmanager
    def _as_store_error(self, verb: str, path: str) -> Iterator[None]:
        try:
            yield
        except (FutuShortError, object_store.OvertakenError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever a file system has
            told = self._error(verb, path, error)
            raise told from told.__cause__

    def _error(self, verb: str, path: str, error: Exception) -> StoreError:
        reason = urls.hide_secrets(_reason(error), self._url, self._options)
        advice = _advice(verb, error, is_local=self.is_local)
        told = StoreError(f"cannot {verb} {self.show(path)}: {reason}{advice}")
        # A traceback shows causes as they are.
        causes = object_store.with_causes(error)
        told.__cause__ = error if urls.is_safe(causes, self._url, self._options) else None
        return told


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _advice(verb: str, error: Exception, *, is_local: bool) -> str:
    place = "directory" if is_local else "bucket"
    if isinstance(error, FileNotFoundError):
        return ". Sync the ticker first" if verb == "read" else f". Does that {place} exist?"
    if isinstance(error, PermissionError):
        options = either("storage_options", "the environment")
        rights = "that directory" if is_local else f"there, or the credentials in {options}"
        return f". Check the permissions {'of ' if is_local else ''}{rights}"
    if isinstance(error, NotImplementedError):
        return f". A store must be able to {verb}: choose another file system"
    if isinstance(error, (NotADirectoryError, FileExistsError, IsADirectoryError)):
        return ". Files and directories are mixed up there: choose another store"
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return ". What was kept is unchanged: make room and sync again"
    return ""


# -- what this process knows ------------------------------------------------------------------

# Whether a store keeps to conditions, and of which ones it was said that they don't.
_verdicts: dict[str, bool] = {}
_warned: dict[str, object] = {}
