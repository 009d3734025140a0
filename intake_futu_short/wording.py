"""How a message names an argument: as Python writes it, or as the command line does. Pure.

The same error reaches people who wrote ``refresh="never"`` in Python, and people who typed
``--refresh never``.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["argument", "either", "for_command_line", "keyword"]


class _Reader:
    """Who reads the messages. It is global, because a store's threads make messages too."""

    is_at_command_line = False


@contextlib.contextmanager
def for_command_line() -> Iterator[None]:
    """Word messages for the command line until the context ends."""
    before = _Reader.is_at_command_line
    _Reader.is_at_command_line = True
    try:
        yield
    finally:
        _Reader.is_at_command_line = before


def either(python: str, command_line: str) -> str:
    """One of two wordings, by who reads the message."""
    return command_line if _Reader.is_at_command_line else python


def keyword(name: str) -> str:
    """An argument's name as it is typed: ``rsa_key=`` or ``--rsa-key``."""
    return either(f"{name}=", argument(name))


def argument(name: str, value: str | None = None) -> str:
    """Name an argument, with a value that it could have.

    Examples
    --------
    >>> argument("max_pages"), argument("refresh", "never")
    ('max_pages', "refresh='never'")
    >>> with for_command_line():
    ...     argument("max_pages"), argument("refresh", "never")
    ('--max-pages', '--refresh never')
    """
    option = f"--{name.replace('_', '-')}"
    if value is None:
        return either(name, option)
    return either(f"{name}={value!r}", f"{option} {value}")
