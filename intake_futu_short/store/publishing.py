"""Publishing a ticker beside other writers, so that nothing of what any of them has is lost.

On a local disk a lock keeps writers apart. An object store has no locks, and a PUT replaces
whatever lies there. So what is about to be published is announced first, in an object of its own:

1. Announce: everything that is to be published, under a name that nobody else uses.
2. Read what the others have announced, then the ticker's file, and merge it all.
3. Put the ticker's file.
4. Look again what is announced. As long as something is new: once more from 2.
5. Alone by then, take the announcement back. Beside others, who may still put what they have read
   before this one announced, leave all that was merged, marked as done: the next one merges it.

For a PUT that replaces rows without having them was made of what was read before they were
announced, by a writer who had announced before that. So these rows' writer sees it in its step 4,
and leaves them announced; and the other one sees them in its own step 4 and puts them, or, when it
was killed, the next writer does. Nothing of this asks more of a store than that what was put is
listed and read from then on.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from intake_futu_short.errors import StoreError
from intake_futu_short.store import files as store_files
from intake_futu_short.store import paths as store_paths
from intake_futu_short.store.merge import merge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intake_futu_short.calls import Ticker
    from intake_futu_short.history.ticker_history import TickerHistory
    from intake_futu_short.store.file_system import StoreFileSystem

__all__ = ["Seen", "publish"]

# A writer that has announced something and not been done with it in a day is dead.
DEAD_S = 86_400
# Each round is one in which another writer came in between. Whoever gives up loses nothing either.
ROUNDS_AT_MOST = 20

_OPEN = ".open"
_DONE = ".done"


@dataclass(frozen=True)
class Seen:
    """What a history was made from, and so has in it.

    Attributes
    ----------
    digest : bytes or None
        Tells the content of the ticker's file from another; None when there was no file.
    announced : frozenset of str
        Names of announcements.
    """

    digest: bytes | None = None
    announced: frozenset[str] = frozenset()

    @classmethod
    def of(cls, content: bytes | None, announced: Iterable[str] = ()) -> Seen:
        """What was seen with a file of this content."""
        digest = None if content is None else hashlib.sha256(content).digest()
        return cls(digest, frozenset(announced))


def publish(
    files: StoreFileSystem, ticker: Ticker, history: TickerHistory, seen: Seen
) -> tuple[TickerHistory, Seen]:
    """Put a ticker's file, together with what others have published since `seen`.

    Parameters
    ----------
    files : StoreFileSystem
        Where. On a local disk the caller holds the ticker's lock.
    ticker : Security
        Whose.
    history : TickerHistory
        What is to be published.
    seen : Seen
        What `history` was made from.

    Returns
    -------
    TickerHistory, Seen
        What was published, and what it was made from.

    Raises
    ------
    StoreError
        When it cannot be written, or what others wrote cannot be read.
    """
    if files.is_local:
        history = _with_file(files, ticker, history, seen)
        return history, Seen.of(_put(files, ticker, history))
    return _Announced(files, ticker).put(history, seen)


def _with_file(
    files: StoreFileSystem, ticker: Ticker, history: TickerHistory, seen: Seen
) -> TickerHistory:
    path = store_paths.file_path(ticker)
    published = files.get(path)
    if published is None or Seen.of(published).digest == seen.digest:
        return history
    theirs = store_files.decode(published, ticker, files.show(path))
    return merge(history, theirs, ticker.table)


def _put(files: StoreFileSystem, ticker: Ticker, history: TickerHistory) -> bytes:
    content = store_files.encode(ticker, history)
    files.put(store_paths.file_path(ticker), content, store_paths.writer_path(ticker))
    return content


class _Announced:
    """One publication on a file system without locks."""

    def __init__(self, files: StoreFileSystem, ticker: Ticker) -> None:
        self._files = files
        self._ticker = ticker
        self._directory = store_paths.writer_path(ticker)
        self._name = f"{self._directory}/{int(time.time())}-{uuid.uuid4().hex}"

    def put(self, history: TickerHistory, seen: Seen) -> tuple[TickerHistory, Seen]:
        """Announce, merge and put, until what was put stands."""
        own = self._name + _OPEN
        self._announce(own, store_files.encode(self._ticker, history))
        merged = {own, *seen.announced}
        announced = self._announcements()
        for _ in range(ROUNDS_AT_MOST):
            try:
                for name in sorted(announced - merged):
                    history = self._with(name, history)
                history = _with_file(self._files, self._ticker, history, seen)
            except StoreError:  # the caller is told that nothing was published
                self._files.remove(own)
                raise
            merged |= announced
            content = _put(self._files, self._ticker, history)
            seen = Seen.of(content, merged)
            announced = self._announcements()
            if announced <= merged:
                break
        others = any(_is_at_work(name) for name in announced - {own})
        if others or not announced <= merged:
            self._announce(self._name + _DONE, content)
        for name in (announced & merged) | {own}:
            if name == own or not _is_at_work(name):
                self._files.remove(name)
        return history, seen

    def _with(self, name: str, history: TickerHistory) -> TickerHistory:
        content = self._files.get(name)
        if content is None:  # taken back: what it said stands in the file, or is announced anew
            return history
        said = store_files.decode(content, self._ticker, self._files.show(name))
        if name.endswith(_OPEN):
            # What may yet be published, or never, is not preferred to what is known here.
            said = replace(said, checked_s=history.checked_s)
        return merge(history, said, self._ticker.table)

    def _announce(self, name: str, content: bytes) -> None:
        self._files.put(name, content, self._directory)

    def _announcements(self) -> set[str]:
        return {name for name in self._files.find(self._directory) if name.endswith((_OPEN, _DONE))}


def _is_at_work(name: str) -> bool:
    """Whether the writer of an announcement may still put something."""
    began_s = name.rpartition("/")[2].partition("-")[0]
    is_dead = began_s.isdecimal() and time.time() - int(began_s) > DEAD_S
    return name.endswith(_OPEN) and not is_dead
