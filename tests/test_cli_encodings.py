"""Commands whose output is in an encoding that lacks some characters, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from second_gateway import SecondGateway, refusal_body
from second_rows import History, make_rows

from intake_futu_short.syncing import sync

if TYPE_CHECKING:
    from collections.abc import Iterator

ENCODINGS = [
    {"PYTHONIOENCODING": "cp1252"},
    {"PYTHONIOENCODING": "gbk:strict"},
    # What is no ASCII in a command line or a path becomes surrogates, which no encoding has.
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "utf-8"},
]
REFUSAL = "未知股票 é 😀"


def futu_short(
    *arguments: str, env: dict[str, str], status: int = 0
) -> subprocess.CompletedProcess[bytes]:
    result = subprocess.run(
        [sys.executable, "-m", "intake_futu_short", *arguments],
        capture_output=True, check=False, env={**os.environ, **env},
    )  # fmt: skip
    assert b"Traceback" not in result.stderr, result.stderr.decode(errors="replace")
    assert result.returncode == status, result.stderr
    return result


class Refusing(SecondGateway):
    """Knows no US.BAD, and says so in Chinese."""

    def page(self, code: str, next_key: str | None, num: int | None) -> bytes:
        return refusal_body(REFUSAL) if code == "US.BAD" else super().page(code, next_key, num)


@pytest.fixture
def gateway() -> Iterator[str]:
    history = History("US", make_rows("US", 7))
    with Refusing({"US.AAPL": history, "HK.00700": History("HK", make_rows("HK", 7))}) as gateway:
        yield gateway.url


@pytest.fixture
def store(tmp_path: Path, gateway: str) -> str:
    """A store in a directory whose name few encodings have."""
    kept = tmp_path / "历史 €"
    sync(["US.AAPL"], store=kept, gateway=gateway)
    return str(kept)


@pytest.mark.parametrize("env", ENCODINGS)
def test_a_refusal_is_told_with_escapes(env: dict[str, str], gateway: str, tmp_path: Path) -> None:
    kept = str(tmp_path / "kept")
    result = futu_short(
        "sync", "US.AAPL", "US.BAD", "--store", kept, "--gateway", gateway, env=env, status=3
    )
    assert b"US.AAPL,7,7," in result.stdout
    assert b"\\U0001f600" in result.stdout or "😀".encode() in result.stdout
    result = futu_short("doctor", "--gateway", gateway, "--code", "US.BAD", env=env, status=1)
    assert b"\nok         clock" in result.stdout
    result = futu_short("read", "US.BAD", "--gateway", gateway, env=env, status=1)
    assert result.stderr.startswith(b"Error: US.BAD")


@pytest.mark.slow
@pytest.mark.parametrize("env", ENCODINGS)
def test_a_directory_is_named_with_escapes(env: dict[str, str], store: str, gateway: str) -> None:
    futu_short("read", "US.AAPL", "--gateway", gateway, "-o", f"{store}.csv", env=env)
    futu_short("sync", "HK.00700", "--store", store, "--gateway", gateway, env=env)
    assert b"\nUS.AAPL,True" in futu_short("check", "--store", store, env=env).stdout
    futu_short("screen", "--store", store, "--market", "HK", "-o", f"{store}.html", env=env)
    (file,) = (each for each in Path(store).rglob("*.parquet") if "US.AAPL" in str(each))
    file.write_bytes(b"damaged")
    result = futu_short("check", "--store", store, env=env, status=3)
    assert b"\nUS.AAPL,False" in result.stdout
    result = futu_short(
        "sync", "US.AAPL", "--store", store, "--gateway", gateway, env=env, status=1
    )
    assert b"\nUS.AAPL," in result.stdout
    assert b"HK.00700" in futu_short("set-aside", "HK.00700", "--store", store, env=env).stdout
    futu_short("serve", "--store", store, "--host", "no.such.host.example", env=env, status=2)


@pytest.mark.parametrize("env", ENCODINGS)
def test_a_wrong_command_line_is_told_with_escapes(env: dict[str, str]) -> None:
    assert b"Usage" in futu_short("读", env=env, status=2).stderr
