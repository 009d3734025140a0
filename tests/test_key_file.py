"""Reading the RSA key's file: everything that can be wrong with it, and what is never shown."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from intake_futu_short.errors import ConfigError
from intake_futu_short.opend.dial import read_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_key_is_read(key_file: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    key = read_key(str(key_file(2048)))
    assert key.decrypt(key.encrypt(b"hello")) == b"hello"
    assert caplog.records == []


def test_a_tilde_is_the_home_directory(
    key_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = key_file()
    monkeypatch.setenv("HOME", str(path.parent))
    monkeypatch.setenv("USERPROFILE", str(path.parent))
    enciphered = read_key(f"~/{path.name}").encrypt(b"hello")
    assert read_key(str(path)).decrypt(enciphered) == b"hello"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("missing.pem", "No such file"),
        (".", "directory|denied"),
        ("~no-such-user-here/opend.pem", "home directory"),
        ("nul\0byte", "null byte"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(path: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        read_key(path)
    assert str(caught.value).startswith(f"rsa_key {path!r}: ")


def test_a_file_that_holds_no_key_is_named_and_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "password.txt"
    path.write_text("hunter2")
    with pytest.raises(ConfigError, match="not a private key in PEM form") as caught:
        read_key(str(path))
    assert str(path) in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_key_that_everybody_can_read_is_warned_of_once(
    key_file: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "opend.pem"
    path.write_bytes(key_file().read_bytes())
    path.chmod(0o640)
    read_key(str(path))
    assert caplog.records == []
    path.chmod(0o644)
    read_key(str(path))
    read_key(str(path))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.name.startswith("intake_futu_short.")
    assert str(path) in record.getMessage()
    assert "chmod 600" in record.getMessage()


def test_without_cryptography_the_extra_is_named(key_file: Callable[..., Path]) -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "import intake_futu_short as package\n"
        f"source = package.FutuShortSource('HK.00700', rsa_key={str(key_file())!r})\n"
        "try:\n    source.read()\n"
        "except package.ConfigError as error:\n    print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "pip install cryptography" in result.stdout
    assert "unreachable" not in result.stdout
