"""That `typing_api` uses the whole public interface, and that pyright finds it right too.

mypy checks it with all other files.
"""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import intake_futu_short
from intake_futu_short.accessor import ShortVolumeAccessor
from intake_futu_short.gateway import Gateway, History, Request

HERE = Path(__file__).parent
USED = (HERE / "typing_api.py").read_text(encoding="utf-8")

CLASSES: list[type[Any]] = [
    getattr(intake_futu_short, name)
    for name in intake_futu_short.__all__
    if name.startswith(("FutuShort", "OpenQuote")) and not name.endswith("Error")
]
# What Intake asks of a data type, and the steps of a sync.
NOT_FOR_USERS = {
    "filepattern", "structure", "to_reader_cls", "load", "save", "try_lock",
}  # fmt: skip


@pytest.mark.parametrize("kind", [*CLASSES, ShortVolumeAccessor, Gateway, History, Request])
def test_every_public_attribute_is_used(kind: type[Any]) -> None:
    names = {
        name
        for base in kind.__mro__
        if base.__module__.startswith("intake_futu_short")
        for name in [*vars(base), *inspect.get_annotations(base)]
        if not name.startswith("_")
    }
    assert [name for name in sorted(names - NOT_FOR_USERS) if f".{name}" not in USED] == []


def test_pyright_agrees() -> None:
    command = shutil.which("basedpyright") or shutil.which("pyright")
    if command is None:
        pytest.skip("pyright is not installed; .ci/run installs it")
    given = [command, "--level", "error", "--pythonpath", sys.executable]
    done = subprocess.run(given, cwd=HERE.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
