"""The contract of stores, on a local disk, in fsspec's memory and on an object store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fsspec
import pytest
from bucket import Bucket
from store_contract import StoreContract
from store_rows import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class TestOnALocalDisk(StoreContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        # What fsspec would take for a pattern or an escape is a name like any other.
        root = tmp_path / "a [b] %41"

        def put(name: str, content: bytes) -> None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)

        def names() -> list[str]:
            return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())

        def remove(name: str) -> None:
            (root / name).unlink()

        return Place(str(root), lambda name: (root / name).read_bytes(), put, names, remove)


class TestInMemory(StoreContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        root = f"/{tmp_path.name}"
        fs = fsspec.filesystem("memory")

        def names() -> list[str]:
            return sorted(name.removeprefix(f"{root}/") for name in fs.find(root))

        yield Place(
            f"memory:/{root}/",
            lambda name: fs.store[f"{root}/{name}"].getvalue(),
            lambda name, content: fs.pipe_file(f"{root}/{name}", content),
            names,
            lambda name: fs.rm_file(f"{root}/{name}"),
        )
        fs.store.clear()


class TestOnAnObjectStore(StoreContract):
    @pytest.fixture
    def place(self) -> Iterator[Place]:
        root = "desk/short"

        def put(name: str, content: bytes) -> None:
            Bucket.objects[f"{root}/{name}"] = content

        def names() -> list[str]:
            return sorted(name.removeprefix(f"{root}/") for name in Bucket.objects)

        def remove(name: str) -> None:
            del Bucket.objects[f"{root}/{name}"]

        Bucket.reset()
        yield Place(
            f"bucket://{root}", lambda name: Bucket.objects[f"{root}/{name}"], put, names, remove
        )
        Bucket.reset()
