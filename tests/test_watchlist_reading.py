"""Where watchlists are read from: files of any file system, archives and standard input."""

from __future__ import annotations

import io
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from intake_futu_short.errors import ConfigError
from intake_futu_short.watchlist_reading import read_watchlist

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.compat


def test_a_watchlist_that_cannot_be_read_is_named_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"'s3x://desk/list' cannot be opened: .*s3x"):
        read_watchlist("s3x://desk/list")
    with pytest.raises(FileNotFoundError, match=r"no such watchlist: 'memory://desk/none\.txt'"):
        read_watchlist("memory://desk/none.txt")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no credentials")  # as botocore's, which is no OSError either

    monkeypatch.setattr(MemoryFileSystem, "_open", fail)
    with pytest.raises(OSError, match="'memory://list' cannot be read: no credentials"):
        read_watchlist("memory://list")


def _closed() -> io.StringIO:
    text = io.StringIO()
    text.close()
    return text


@pytest.mark.parametrize("given", [None, _closed()])
def test_standard_input_that_is_closed_is_named(
    given: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", given)
    with pytest.raises(ConfigError, match="standard input, which is closed"):
        read_watchlist("-")


def test_a_file_in_an_archive_is_read_by_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("list.zip", "w") as archive:
        archive.writestr("codes.csv", "name,code\nApple,US.AAPL\n")
    assert read_watchlist("zip://codes.csv::list.zip") == ["US.AAPL"]
