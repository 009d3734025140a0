"""Lists and conditionally writes files that are not on a local disk.

fsspec has no interface for conditional writes. But s3fs passes unknown arguments on, so ``IfMatch``
reaches S3 and the stores with its protocol, and ``mode="create"`` is S3's ``If-None-Match: *``.
Whether a store obeys conditions is tested, not guessed from its name.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fsspec.asyn import AsyncFileSystem
from fsspec.spec import AbstractFileSystem

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "OvertakenError",
    "files_below",
    "put",
    "put_if",
    "tag_of",
    "takes_conditions",
    "warn_elsewhere",
    "with_causes",
]

_log = logging.getLogger(__name__)

# A tag that no file has.
_WRONG_TAG = '"00000000000000000000000000000000"'
# "Precondition failed", and "conflict" when two conditional writes have met.
_REFUSALS = frozenset({409, 412})
# Status codes of stores that do not know a header.
_NOT_UNDERSTOOD = frozenset({400, 405, 501})


class OvertakenError(Exception):
    """The file is no longer what the condition says: another writer came first."""


def put(fs: Any, path: str, content: bytes) -> None:
    """Write a file, whatever is there."""
    try:
        fs.pipe_file(path, content)
    except FileNotFoundError:
        # An object store has no directories, and we do not create buckets.
        if fs.async_impl:
            raise
        fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        fs.pipe_file(path, content)


def put_if(fs: Any, path: str, content: bytes, tag: str | None) -> str | None:
    """Write a file if it still has a tag; None: if there is none.

    Returns
    -------
    str or None
        Tag of the content written, if the store returns it.

    Raises
    ------
    OvertakenError
        When the condition does not hold. Nothing was written, unless an answer was lost and the
        file system sent the request again.
    """
    try:
        answer = _create(fs, path, content) if tag is None else _put(fs, path, content, IfMatch=tag)
    except Exception as error:
        is_gone = tag is not None and isinstance(error, FileNotFoundError)
        if is_gone or _is_refusal(error):
            raise OvertakenError from error
        raise
    # The tag comes from the answer to this write, so it cannot belong to a later one.
    return tag_of(answer) if isinstance(answer, Mapping) else None


def tag_of(info: Mapping[str, Any]) -> str | None:
    """Tag that conditions can name; None when the store has none."""
    tag = info.get("ETag") or info.get("etag")
    return None if tag is None else str(tag)


def takes_conditions(fs: Any, directory: str) -> bool:
    """Test whether a store obeys conditions, with a write that it must refuse.

    If the store does not refuse, the file that was written is removed. Its name begins with a dot,
    and no other attempt uses it.

    Raises
    ------
    Exception
        Any error of the file system when nothing can be written there.
    """
    path = f"{directory}/.conditional-{uuid.uuid4().hex}"
    is_refused = _refuses(fs, path)
    if is_refused is None and fs.async_impl:
        # S3 answers "not found" when there is no object to compare with.
        return True
    if is_refused is None:
        # Either the directory is missing, or this store answers "not found" as S3 does.
        put(fs, path, b"")
        is_refused = _refuses(fs, path)
    elif is_refused:
        return True
    # A file that may not be removed does no harm.
    with contextlib.suppress(Exception):
        fs.rm_file(path)
    return bool(is_refused)


def warn_elsewhere(url: str) -> None:
    """Log a warning that a store has no conditional writes."""
    _log.warning(
        "%s has no conditional writes: of two processes that save the same ticker at the same "
        "moment, one may lose what it saved. Keep one writer per ticker, such as one sync at a "
        "time",
        url,
    )


def _refuses(fs: Any, path: str) -> bool | None:
    """Whether a wrong tag is refused; None when the store answers that there is no such file."""
    try:
        _put(fs, path, b"", IfMatch=_WRONG_TAG)
    except Exception as error:
        if _is_refusal(error):
            return True
        if isinstance(error, FileNotFoundError):
            return None
        if not _is_of_the_argument(error):
            raise
        # If the error had another cause than the condition, this plain write fails too.
        put(fs, path, b"")
    return False


def files_below(fs: Any, top: str) -> dict[str, int]:
    """Files below a directory elsewhere: full path → size in bytes."""
    own, inherited = (
        (type(fs)._find, AsyncFileSystem._find)
        if fs.async_impl
        else (type(fs).find, AbstractFileSystem.find)
    )
    if own is inherited:
        return _listed(fs, top)
    files = fs.find(top, detail=True)
    return {str(name): int(info.get("size") or 0) for name, info in files.items()}


def _listed(fs: Any, directory: str) -> dict[str, int]:
    """Files below a directory, with one request per directory.

    fsspec's own walk silently leaves out directories that may not be listed.
    """
    try:
        entries = fs.ls(directory, detail=True)
    except FileNotFoundError:
        return {}
    below: dict[str, int] = {}
    for info in entries:
        name = str(info["name"]).rstrip("/")
        if info["type"] != "directory":
            below[name] = int(info.get("size") or 0)
        elif name != directory.rstrip("/"):
            below |= _listed(fs, name)
    return below


def _put(fs: Any, path: str, content: bytes, **condition: str) -> object:
    answer: object = fs.pipe_file(path, content, **condition)
    return answer


def _create(fs: Any, path: str, content: bytes) -> object:
    try:
        # s3fs before 2024.10 silently ignores `mode`, so the header is given too.
        return _put(fs, path, content, mode="create", IfNoneMatch="*")
    except TypeError:
        # Later versions derive the header from `mode`, and refuse to be given it twice.
        return _put(fs, path, content, mode="create")


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, FileExistsError) or _http_status(error) in _REFUSALS:
        return True
    return isinstance(error, OSError) and "precondition" in str(error).lower().replace("-", "")


def _is_of_the_argument(error: Exception) -> bool:
    """Whether the error may mean that the condition is not supported."""
    if not isinstance(error, OSError):
        return True
    unknown = {errno.ENOSYS, getattr(errno, "ENOTSUP", errno.ENOSYS)}
    return error.errno in unknown or _http_status(error) in _NOT_UNDERSTOOD


def _http_status(error: BaseException) -> int | None:
    """HTTP status in an error of the libraries below fsspec; None when there is none."""
    for each in with_causes(error):
        response = getattr(each, "response", None)
        if isinstance(response, Mapping):  # botocore
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return status if isinstance(status, int) else None
        for name in ("status", "status_code", "code"):
            if isinstance(status := getattr(each, name, None), int):
                return status
    return None


def with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, then its causes one after the other."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
