"""Codes in whatever holds them, wherever codes are taken."""

from __future__ import annotations

import collections
import enum
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import intake_futu_short
from intake_futu_short import (
    FutuShort,
    FutuShortCatalog,
    FutuShortInterestSource,
    FutuShortSource,
    FutuShortStore,
    sync,
)
from intake_futu_short.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CODES = ["US.SAMPLE", "US.AAPL"]
FRAME = pd.DataFrame({"code": CODES})


class Code(str, enum.Enum):
    SAMPLE = "US.SAMPLE"
    AAPL = "US.AAPL"


class Iterated:
    def __iter__(self) -> Iterator[str]:
        return iter(CODES)


class Indexed:
    """As sequences were before there was ``__iter__``."""

    def __getitem__(self, place: int) -> str:
        return CODES[place]


HOLDERS: dict[str, Callable[[], Any]] = {
    "unique": FRAME["code"].unique,
    "column": lambda: FRAME["code"],
    "array": lambda: FRAME["code"].array,
    "values": FRAME["code"].to_numpy,
    "category": lambda: FRAME["code"].astype("category"),
    "Categorical": lambda: pd.Categorical(FRAME["code"]),
    "CategoricalIndex": lambda: pd.CategoricalIndex(FRAME["code"]),
    "Index": lambda: pd.Index(CODES),
    "StringArray": lambda: pd.array(CODES, dtype="string[python]"),
    "ArrowDtype": lambda: pd.Series(CODES, dtype=pd.ArrowDtype(pa.string())),
    "numpy": lambda: np.array(CODES),
    "numpy of objects": lambda: np.array(CODES, dtype=object),
    "numpy scalars": lambda: [np.str_(code) for code in CODES],
    "pyarrow": lambda: pa.array(CODES),
    "pyarrow in chunks": lambda: pa.chunked_array([[CODES[0]], [CODES[1]]]),
    "pyarrow dictionary": lambda: pa.array(CODES).dictionary_encode(),
    "polars": lambda: pl.Series(CODES),
    "tuple": lambda: tuple(CODES),
    "generator": lambda: (code for code in CODES),
    "keys": lambda: dict.fromkeys(CODES).keys(),
    "deque": lambda: collections.deque(CODES),
    "enum": lambda: list(Code),
    "iterated": Iterated,
    "indexed": Indexed,
    "text of a list": lambda: str(CODES),
}
SETS: dict[str, Callable[[], Any]] = {
    "set": lambda: set(CODES),
    "frozenset": lambda: frozenset(CODES),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> str:
    store = str(tmp_path_factory.mktemp("kept"))
    sync(CODES, store, "sample://")
    return store


def codes_of(frame: pd.DataFrame) -> list[str]:
    return [str(code) for code in frame["code"].unique()]


def taken(codes: Callable[[], Any], store: str) -> dict[str, list[str]]:
    """What everything that takes codes makes of them."""
    source = FutuShortSource(codes(), gateway="sample://")
    data: Any = FutuShort("sample://", codes())
    kept = FutuShortStore(store)
    catalog = FutuShortCatalog(codes=codes(), gateway="sample://")
    return {
        "source": source._arguments["code"],
        "interest": FutuShortInterestSource(codes())._arguments["code"],
        "catalog": [name for name in catalog if "." in name],
        "sync": codes_of(sync(codes(), store, "sample://")),
        "data": data.code,
        "read": codes_of(kept.read(codes())),
        "to_dask": codes_of(kept.to_dask(codes()).compute()),
        "verify": codes_of(kept.verify(codes())),
    }


@pytest.mark.parametrize("holder", HOLDERS)
def test_every_holder_of_codes_is_a_list_of_them(holder: str, kept: str) -> None:
    for taker, codes in taken(HOLDERS[holder], kept).items():
        assert codes == CODES, taker
        assert {type(code) for code in codes} == {str}, taker  # as YAML and JSON write them
    FutuShortStore(kept).revisions(HOLDERS[holder]())


@pytest.mark.parametrize("holder", SETS)
def test_a_set_is_taken_in_a_stable_order(holder: str, kept: str) -> None:
    for taker, codes in taken(SETS[holder], kept).items():
        assert codes == sorted(CODES), taker


def test_the_order_of_a_set_is_that_of_every_process() -> None:
    program = (
        "from intake_futu_short import FutuShortSource; "
        "print(FutuShortSource({'US.C', 'US.A', 'US.D', 'US.B'})._arguments['code'])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": str(next(iter(intake_futu_short.__path__))) + "/..",
                 "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert said == {"['US.A', 'US.B', 'US.C', 'US.D']\n"}


NO_CODES: dict[str, Any] = {
    "dict": {"US.AAPL": 1},
    "list of lists": [["US.AAPL"]],
    "list of dicts": [{"code": "US.AAPL"}],
    "list of None": [None],
    "list of NaN": [float("nan")],
    "list of NA": [pd.NA],
    "list of bytes": [b"US.AAPL"],
    "rows": np.array([CODES]),
    "no dimension": np.array(5),
    "bytes": b"US.AAPL",
    "bytearray": bytearray(b"US.AAPL"),
    "number": 5,
    "type": str,
    "object": object(),
    "text of lists": "[['US.AAPL']]",
    "text of a dict": "{'US.AAPL': 1}",
    "brackets": "[" * 10_000,
    "numbers of pyarrow": pa.array([700]),
    "missing of pyarrow": pa.array([None], pa.string()),
}


@pytest.mark.parametrize("name", NO_CODES)
def test_what_holds_no_codes_is_refused(name: str, tmp_path: Path) -> None:
    given, store = NO_CODES[name], FutuShortStore(tmp_path)
    takers: list[Callable[[], object]] = [
        lambda: FutuShortSource(given),
        lambda: FutuShortCatalog(codes=given),
        lambda: FutuShort("sample://", given),
        lambda: sync(given, tmp_path, "sample://"),
        lambda: store.read(given),
        lambda: store.to_dask(given),
        lambda: store.revisions(given),
    ]
    for taker in takers:
        with pytest.raises(ConfigError) as caught:
            taker()
        assert len(str(caught.value)) < 1000
