"""The examples in docstrings run, and say what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import intake_futu_short
from intake_futu_short.accessor import ShortVolumeAccessor

PACKAGE = Path(intake_futu_short.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
OPTIONS = doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_run(module: str) -> None:
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
