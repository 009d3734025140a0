"""A directory that real processes share as an object store: whole PUTs, no locks.

``shared:///path`` URLs; a PUT replaces an object in one step, whoever has put it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fsspec
from fsspec.spec import AbstractFileSystem

__all__ = ["SharedDirectory"]


class SharedDirectory(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    protocol = "shared"
    root_marker = "/"

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_kwargs: Any) -> None:
        file = Path(self._strip_protocol(path))
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(f"{file.name}.{os.getpid()}.unfinished")
        unfinished.write_bytes(value)
        unfinished.replace(file)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_kwargs: Any
    ) -> bytes:
        return Path(self._strip_protocol(path)).read_bytes()[start:end]

    def rm_file(self, path: str) -> None:
        Path(self._strip_protocol(path)).unlink()

    def info(self, path: str, **_kwargs: Any) -> dict[str, Any]:
        file = Path(self._strip_protocol(path))
        return {"name": str(file), "size": file.stat().st_size, "type": "file"}

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, **_kwargs: Any
    ) -> dict[str, dict[str, Any]]:
        names = [
            os.path.join(directory, name)
            for directory, _, names in os.walk(self._strip_protocol(path))
            for name in names
            if not name.endswith(".unfinished")
        ]
        return {name: {"name": name, "size": 0, "type": "file"} for name in sorted(names)}


fsspec.register_implementation("shared", SharedDirectory, clobber=True)
