"""Locks for the writers of this process, for file systems without kernel locks."""

from __future__ import annotations

import os
import threading
import weakref

__all__ = ["Holder", "try_hold"]


class Holder:
    """The lock of a name, held until its context ends.

    The lock is also released when this object is dropped, so an interrupt before the context begins
    leaves nothing locked.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if _holders.get(self._name) is self:
            del _holders[self._name]


_holders: weakref.WeakValueDictionary[str, Holder] = weakref.WeakValueDictionary()
_holders_guard = threading.Lock()


def try_hold(name: str) -> Holder | None:
    """Lock a name as long as the result is kept; None while another writer holds the lock."""
    holder = Holder(name)
    with _holders_guard:
        return holder if _holders.setdefault(name, holder) is holder else None


def _after_fork_in_child() -> None:
    # A thread of the parent may have held any of them.
    global _holders_guard  # noqa: PLW0603 - the one place where the shared state is replaced
    _holders_guard = threading.Lock()
    _holders.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
