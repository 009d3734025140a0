from __future__ import annotations

import gc
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from keys import rsa_pem
from tenacity import wait_fixed

from intake_futu_short.opend import client as client_module
from intake_futu_short.opend.retry_policy import RetryPolicy
from intake_futu_short.opend.session import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# How long an example takes says more about what else the machine does than about the example.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# The official client writes log files into the home directory as soon as it is imported.
_home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
os.environ["HOME"] = os.environ["USERPROFILE"] = _home.name


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache directory of this test: nothing counts on from one test to the next."""
    folder = tmp_path_factory.mktemp("cache")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(folder))
    return folder


@pytest.fixture(autouse=True)
def policy(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Short pauses between tries in every test; sets the bounds of clients made from now on."""

    def change(**bounds: Any) -> None:
        bounds = {"pause": wait_fixed(0.01), **bounds}
        sessions = Sessions(client_module._connect, RetryPolicy(**bounds))
        monkeypatch.setattr(client_module, "_sessions", sessions)

    change()
    return change


FAULT_TABLE = pytest.StashKey[dict[str, dict[int, str]]]()


@pytest.fixture
def fault_table(request: pytest.FixtureRequest) -> dict[str, dict[int, str]]:
    """Outcomes by fault and page, printed at the end of the run."""
    return request.config.stash.setdefault(FAULT_TABLE, {})


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    table = config.stash.get(FAULT_TABLE, {})
    if not table:
        return
    terminalreporter.section("faults in a walk of 31 pages, by the page they come at")
    for fault, outcomes in table.items():
        said = "; ".join(f"{page}: {outcome}" for page, outcome in sorted(outcomes.items()))
        terminalreporter.write_line(f"{fault:<46} {said}")


def pytest_collection_finish() -> None:
    # What was imported stays: `nothing_left_behind` need not look through it after every test.
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    _home.cleanup()


@pytest.fixture(scope="session", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests run in an empty directory, so that what they start finds what is installed only."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("cwd"))
    yield
    os.chdir(before)


@pytest.fixture
def official_client(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs official_client.py in a process of its own: (port, code, num, key) → what it says."""

    def run(
        port: int, code: str, num: int | None = None, rsa_key: str | None = None
    ) -> dict[str, Any]:
        script = Path(__file__).with_name("official_client.py")
        key = [] if rsa_key is None else [rsa_key]
        result = subprocess.run(
            [sys.executable, str(script), "127.0.0.1", str(port), code, str(num or ""), *key],
            capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)},
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        said: dict[str, Any] = json.loads(result.stdout)
        return said

    return run


@pytest.fixture
def nothing_left_behind(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The test ends without a thread of the package, and nothing was complained of."""
    yield
    assert not [t for t in threading.enumerate() if t.name.startswith("intake-futu-short")]
    # What asyncio complains of, it complains of when things are collected.
    gc.collect()
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """No thread outlives the test's sources; that of a resolver ends when it answers."""
    yield
    left = [t for t in threading.enumerate() if t.name.startswith("intake-futu-short")]
    for thread in left:
        thread.join(20.0)
    assert not any(thread.is_alive() for thread in left)
    assert [t.name for t in left if not t.name.endswith("-dns")] == []


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Files with throw-away keys: (bits, which) → the same file for the same arguments."""
    folder = tmp_path_factory.mktemp("keys")

    def make(bits: int = 1024, which: int = 1) -> Path:
        path = folder / f"{which}_{bits}.pem"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_bytes(rsa_pem(bits))
        return path

    return make
