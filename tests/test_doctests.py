"""The examples in docstrings run, and say what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import intake_futu_short
from intake_futu_short.accessor import ShortVolumeAccessor
from intake_futu_short.store import FutuShortStore

PACKAGE = Path(intake_futu_short.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
OPTIONS = doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_run(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # stores and files that they write
    failed, tried = doctest.testmod(importlib.import_module(module), optionflags=OPTIONS)
    assert (failed, tried > 0) == (0, True)


METHODS = [
    name
    for name, value in vars(ShortVolumeAccessor).items()
    if callable(value) and not name.startswith("_")
]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_it_gives_and_shows_it(name: str) -> None:
    text = getattr(ShortVolumeAccessor, name).__doc__
    for part in ("Returns\n", "Examples\n", ">>> "):
        assert part in text, f"{name} has no {part!r}"


# Made by the package and only read by users, or called by Intake.
NOT_MADE_BY_USERS = {"Discovered", "Request", "PandasFutuShort", "DaskFutuShort", "shortvol"}
MODULES = [
    importlib.import_module(f"intake_futu_short{name}")
    for name in ("", ".gateway", ".pipelines", ".reader", ".report", ".sample")
]
PUBLIC = {
    name: value
    for module in MODULES
    for name in module.__all__
    if callable(value := getattr(module, name)) and name not in NOT_MADE_BY_USERS
    if not (isinstance(value, type) and issubclass(value, Exception))
}
OF_A_STORE = ("read", "to_dask", "revisions", "verify", "set_aside", "info")


@pytest.mark.parametrize("name", [*PUBLIC, *OF_A_STORE])
def test_what_users_call_has_an_example(name: str) -> None:
    value = PUBLIC.get(name) or getattr(FutuShortStore, name)
    assert ">>> " in (value.__doc__ or "")
