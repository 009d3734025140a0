"""A test's directory that other users can reach: pytest keeps those of its tests to itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["make_reachable"]


def make_reachable(directory: Path) -> None:
    """Let everybody read a directory, and pass through those above it."""
    for above in (directory, *directory.parents):
        mode = above.stat().st_mode & 0o7777
        if mode & 0o005 != 0o005:
            above.chmod(mode | 0o055)
