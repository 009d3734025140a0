from __future__ import annotations

import gc
import logging
import os
import tempfile
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from keys import rsa_pem
from official_client import OfficialClient

from intake_futu_short.opend import ask
from intake_futu_short.opend.line import Patience

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
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Short pauses between tries in every test; sets the bounds of what is opened from now on."""

    def change(**bounds: Any) -> None:
        monkeypatch.setattr(ask, "PATIENCE", Patience(**{"pause_s": lambda _: 0.01, **bounds}))

    change()
    return change


@pytest.fixture
def tell_outcome(record_property: Callable[[str, object], None]) -> Callable[[str, int, str], None]:
    """Have the outcome of a fault at a page printed at the end of the run."""
    # A property of the report, since the test may run in another process than the one that prints.
    return lambda *outcome: record_property("fault", outcome)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    table: dict[str, dict[int, str]] = {}
    for state in ("passed", "failed"):
        for report in terminalreporter.getreports(state):
            for name, outcome in getattr(report, "user_properties", ()):
                if name == "fault":
                    fault, page, became = outcome
                    table.setdefault(fault, {})[page] = became
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
def no_window() -> Iterator[None]:
    """Figures without a display, and neither settings nor figures left to the next test."""
    plt = pytest.importorskip("matplotlib.pyplot")
    with plt.rc_context():
        plt.switch_backend("agg")
        yield
        plt.close("all")


@pytest.fixture(scope="session")
def official_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfficialClient]:
    """The official client, in one process for all tests."""
    with closing(OfficialClient(tmp_path_factory.mktemp("official"))) as client:
        yield client


@pytest.fixture(scope="session")
def official_client(
    official_process: OfficialClient, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., dict[str, Any]]:
    """Reads a ticker with the official client: (port, code, num, key) → what it says.

    With a key it takes a process of its own.
    """

    def run(
        port: int, code: str, num: int | None = None, rsa_key: str | None = None
    ) -> dict[str, Any]:
        if rsa_key is None:
            return official_process.read(port, code, num)
        with closing(OfficialClient(tmp_path_factory.mktemp("official"))) as encrypting:
            return encrypting.read(port, code, num, rsa_key)

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
