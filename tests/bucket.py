"""An object store in memory, as fsspec sees one: whole PUTs, no directories, no locks.

``bucket://`` URLs read and write `Bucket.objects`. `Bucket.before_put` is called before every PUT:
it may fail, or publish something as another host would.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

import fsspec
from fsspec.spec import AbstractFileSystem

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Bucket"]


class Bucket(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    protocol = "bucket"
    objects: ClassVar[dict[str, bytes]] = {}
    before_put: ClassVar[Callable[[str], None] | None] = None
    requests: ClassVar[list[str]] = []
    latency_s: ClassVar[float] = 0.0
    _lock = threading.Lock()

    @classmethod
    def reset(cls) -> None:
        cls.objects.clear()
        cls.requests.clear()
        cls.before_put = None
        cls.latency_s = 0.0

    def _arrives(self, request: str) -> None:
        if self.latency_s:
            time.sleep(self.latency_s)
        self.requests.append(request)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_kwargs: Any) -> None:
        self._arrives("PUT")
        if Bucket.before_put is not None:
            Bucket.before_put(path)
        self.objects[self._strip_protocol(path)] = bytes(value)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_kwargs: Any
    ) -> bytes:
        self._arrives("GET")
        try:
            return self.objects[self._strip_protocol(path)][start:end]
        except KeyError as error:
            raise FileNotFoundError(path) from error

    def rm_file(self, path: str) -> None:
        self._arrives("DELETE")
        try:
            del self.objects[self._strip_protocol(path)]
        except KeyError as error:
            raise FileNotFoundError(path) from error

    def info(self, path: str, **_kwargs: Any) -> dict[str, Any]:
        self._arrives("HEAD")
        name = self._strip_protocol(path)
        if name not in self.objects:
            raise FileNotFoundError(path)
        content = self.objects[name]
        return {"name": name, "size": len(content), "type": "file", "etag": hash(content)}

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, **_kwargs: Any
    ) -> dict[str, dict[str, Any]]:
        self._arrives("LIST")
        prefix = self._strip_protocol(path) + "/"
        return {
            name: {"name": name, "size": len(content), "type": "file"}
            for name, content in sorted(self.objects.copy().items())
            if name.startswith(prefix)
        }


fsspec.register_implementation("bucket", Bucket, clobber=True)
