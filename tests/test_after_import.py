from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import pytest

from intake_futu_short.after_import import after_import

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module that can be imported, one that fails the first time, and no trace of them after."""
    (tmp_path / "waited_for.py").write_text("ready = True\n")
    (tmp_path / "failing.py").write_text("import sys\nif not sys.modules.get('mended'): 1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    finders = list(sys.meta_path)
    yield
    sys.meta_path[:] = finders
    for name in ("waited_for", "failing", "mended"):
        sys.modules.pop(name, None)


def test_it_is_called_once_the_module_is_there() -> None:
    calls = []
    after_import("waited_for", lambda: calls.append(sys.modules["waited_for"].ready))
    assert calls == []
    module = importlib.import_module("waited_for")
    assert calls == [True]
    importlib.reload(module)
    assert calls == [True]


def test_it_is_called_at_once_when_the_module_is_there_already() -> None:
    importlib.import_module("waited_for")
    calls = []
    after_import("waited_for", lambda: calls.append(1))
    assert calls == [1]


def test_a_module_that_does_not_exist_is_still_missing() -> None:
    after_import("no_such_module", lambda: pytest.fail("called"))
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        importlib.import_module("no_such_module")


def test_an_import_that_fails_and_then_works_is_noticed() -> None:
    calls = []
    after_import("failing", lambda: calls.append(1))
    with pytest.raises(ZeroDivisionError):
        importlib.import_module("failing")
    assert calls == []
    sys.modules["mended"] = sys
    importlib.import_module("failing")
    assert calls == [1]
