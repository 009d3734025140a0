"""Reads and writes one ticker's file, and never overwrites what another writer has just saved.

On an object store with conditional writes, a file is written only if it is still the one that was
read. Everywhere else the file is read again just before it is written. On a local disk nobody can
write between the two, because the caller holds the ticker's lock. On other file systems, what
another process writes at that very moment is lost.
"""

from __future__ import annotations

import hashlib
import random
import time
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

from intake_futu_short.errors import StoreError
from intake_futu_short.history.join import merge
from intake_futu_short.history.ticker_history import DAY
from intake_futu_short.store import paths
from intake_futu_short.store.object_store import OvertakenError
from intake_futu_short.store.parquet import decode, encode

if TYPE_CHECKING:
    from intake_futu_short.calls import Ticker
    from intake_futu_short.history.ticker_history import TickerHistory
    from intake_futu_short.store.file_system import StoreFileSystem

__all__ = ["Version", "load", "save", "set_aside"]

# How often a write is tried. A try fails only if another writer came first.
ATTEMPTS = 50
_LONGEST_PAUSE_S = 0.25


@dataclass(frozen=True)
class Version:
    """Identifies one state of a ticker's file.

    Attributes
    ----------
    digest : bytes
        Hash of its content.
    tag : str or None
        The object store's tag (ETag) of that content, for conditional writes; None where it is not
        known.
    """

    digest: bytes
    tag: str | None = None


def load(files: StoreFileSystem, ticker: Ticker) -> TickerHistory | None:
    """Read a ticker's stored history with its `Version`; None when there is none."""
    path = paths.file_path(ticker)
    content, tag = files.read(path)
    if content is None:
        return None
    history = decode(content, ticker, files.show(path))
    return replace(history, version=Version(_digest(content), tag))


def save(files: StoreFileSystem, ticker: Ticker, history: TickerHistory) -> TickerHistory:
    """Write a history in place of the version that it was made from.

    If the file has another one by now, the two are merged.

    Returns
    -------
    TickerHistory
        The history that is stored now, with its version.

    Raises
    ------
    StoreError
        When it cannot be written, the present file cannot be read, or others do not stop writing.
    """
    path, writer = paths.file_path(ticker), paths.writer_path(ticker)
    seen = history.version if isinstance(history.version, Version) else None
    is_conditional = not files.is_local and files.takes_conditions()
    # A conditional write detects another writer, unless the tag of the present file is unknown.
    is_sure = is_conditional and (seen is None or seen.tag is not None)
    written: bytes | None = None
    for attempt in range(ATTEMPTS):
        if not is_sure:
            known = {written, None if seen is None else seen.digest}
            history, seen = _with_news(files, ticker, history, known)
            if seen is not None and seen.digest == written:
                # The previous write succeeded, and only its answer was lost.
                return replace(history, version=seen)
        if is_conditional and seen is not None and seen.tag is None:
            is_conditional = files.count_as_elsewhere()
        content = encode(ticker, history)
        written = _digest(content)
        if not is_conditional:
            files.put(path, content, writer)
            return replace(history, version=Version(written))
        try:
            tag = files.put_if(path, content, None if seen is None else seen.tag)
        except OvertakenError:
            is_sure = False
            # A random pause separates writers that collided, even if one was forked from another.
            pause_s = min(0.01 * attempt, _LONGEST_PAUSE_S)
            time.sleep(random.SystemRandom().uniform(0, pause_s))
        else:
            return replace(history, version=Version(written, tag))
    raise StoreError(
        f"{files.url}: other writers of {ticker} came first {ATTEMPTS} times. What they saved is "
        "kept; let one process at a time sync a ticker, and sync again"
    )


def _with_news(
    files: StoreFileSystem, ticker: Ticker, history: TickerHistory, known: set[bytes | None]
) -> tuple[TickerHistory, Version | None]:
    """Merge the file's present content, unless it is known already; also return its version."""
    path = paths.file_path(ticker)
    content, tag = files.read(path)
    if content is None:
        return history, None
    now = Version(_digest(content), tag)
    if now.digest not in known:
        history = merge(history, decode(content, ticker, files.show(path)), ticker.table)
    return history, now


def set_aside(files: StoreFileSystem, ticker: Ticker) -> str:
    """Move a ticker's file to where it is not read with the others, and return the new path.

    The caller holds the ticker's lock.
    """
    path = paths.file_path(ticker)
    content = files.get(path)
    if content is None:
        raise StoreError(f"{files.url} holds nothing of {ticker} that could be set aside")
    rows = decode(content, ticker, files.show(path)).rows
    span = f"{rows[DAY].iloc[0]}_{rows[DAY].iloc[-1]}" if len(rows) else "no-rows"
    # The same span may have been set aside before: with other rows, or with the same rows by a
    # process that was killed before it removed the original.
    for number in count(1):
        aside = f"{paths.aside_path(ticker)}/{span}{f'_{number:02}' if number > 1 else ''}.parquet"
        there = files.get(aside)
        if there is None:
            files.put(aside, content, paths.writer_path(ticker))
        if there in {None, content}:
            break
    files.remove(path)
    return aside


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
