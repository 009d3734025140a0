"""What holds of the package as a whole: its imports, its rooms, its version, its public face."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

import intake_futu_short

PACKAGE = Path(intake_futu_short.__file__).parent
ROOT = Path(__file__).parent.parent

# The rooms in the order in which data flows through them: each knows only those before it.
ROOMS = [
    "after_import",
    "errors",
    "opend.messages_pb2",
    "security",
    "opend.wire",
    "opend.cipher",
    "opend.replies",
    "opend.connection",
    "opend.limiter",
    "opend.ledger",
    "opend.slot_file",
    "opend.turns",
    "opend.address",
    "opend.key_file",
    "opend.background",
    "opend.retry_policy",
    "opend.link",
    "opend.session",
    "opend.client",
    "opend.pooled_gateway",
    "opend.pool",
    "arguments",
    "pages",
    "table",
    "partitions",
    "kept",
    "dask_frames",
    "store.merge",
    "store.paths",
    "store.tables",
    "store.files",
    "store.file_system",
    "store.publishing",
    "store.universe",
    "store",
    "history.joining",
    "history.slices",
    "history.freshness",
    "history.refresh",
    "panel",
    "metrics.sessions",
    "metrics.windows",
    "metrics.columns",
    "metrics.daily",
    "metrics.window_metrics",
    "metrics.trailing",
    "metrics.aggregates",
    "metrics.combined",
    "metrics.panels",
    "metrics.resampling",
    "metrics",
    "calendars",
    "checks",
    "plotting.figure_data",
    "plotting.chart_parts",
    "plotting.drawing",
    "plotting",
    "accessor",
    "dask_accessor",
]
# They join rooms to what a user sees, and are known to none of them; in order too.
JOINERS = [
    "gateway.histories",
    "gateway.responder",
    "gateway.served",
    "gateway.aside",
    "gateway.listening",
    "gateway",
    "gateway.shared_sample",
    "sample",
    "sample.synthesize",
    "catalog_files",
    "jobs",
    "progress",
    "fetcher",
    "history.keeper",
    "history.stored",
    "syncing",
    "tickers",
    "described",
    "source",
    "watchlist",
    "ticker_catalog",
    "reader",
    "quote_context",
    "cli.frame_output",
    "cli.doctor",
    "cli",
    "__main__",
]
# What has a socket, a clock, a file system or a thread of its own is not pure.
PURE = set(ROOMS) - {
    "after_import", "opend.messages_pb2", "opend.slot_file", "opend.turns", "opend.key_file",
    "opend.background", "opend.retry_policy", "opend.link", "opend.session", "opend.client",
    "opend.pooled_gateway", "opend.pool", "arguments", "dask_frames", "store", "store.file_system",
    "store.publishing", "store.universe", "plotting", "dask_accessor",
}  # fmt: skip
PURE |= {"gateway.responder"}
IMPURE = {"socket", "asyncio", "time", "threading", "os", "pathlib", "fsspec", "intake", "dask",
          "random", "subprocess"}  # fmt: skip


def file_of(module: str) -> Path:
    """Where a module of the package is, whether or not there is one."""
    place = PACKAGE / module.removeprefix("intake_futu_short").lstrip(".").replace(".", "/")
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def imports_of(room: str) -> set[str]:
    """Modules a room imports when it runs (what only type checkers see left out)."""
    tree = ast.parse(file_of(room).read_text())
    found: set[str] = set()
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = {f"{node.module}.{alias.name}" for alias in node.names}
            own = {name for name in modules if name.startswith("intake_futu_short.")}
            own = {name for name in own if file_of(name).exists()}
            found |= own if own == modules else {node.module, *own}
        nodes.extend(ast.iter_child_nodes(node))
    return found


def test_every_module_has_its_place_in_the_order() -> None:
    files = set(PACKAGE.rglob("*.py"))
    only_docstrings = {PACKAGE / "opend" / "__init__.py", PACKAGE / "history" / "__init__.py"}
    placed = [file_of(room) for room in [*ROOMS, *JOINERS]]
    assert len(placed) == len(set(placed))
    assert set(placed) == files - only_docstrings - {PACKAGE / "__init__.py"}


@pytest.mark.parametrize("room", [*ROOMS, *JOINERS])
def test_data_flows_one_way(room: str) -> None:
    own = {
        name.removeprefix("intake_futu_short.")
        for name in imports_of(room)
        if name.startswith("intake_futu_short.")
    }
    order = [*ROOMS, *JOINERS]
    assert own <= set(order[: order.index(room)])


@pytest.mark.parametrize("room", sorted(PURE))
def test_pure_rooms_import_no_socket_clock_or_file_system(room: str) -> None:
    assert not {name.partition(".")[0] for name in imports_of(room)} & IMPURE


def test_only_the_client_has_a_socket_of_the_client_side() -> None:
    rooms = [room for room in ROOMS if "_pb2" not in room]
    assert [room for room in rooms if "socket" in imports_of(room)] == ["opend.client"]


def run(code: str, cwd: Path) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=False, cwd=cwd,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def test_importing_registers_the_accessor_and_does_nothing_else(tmp_path: Path) -> None:
    before = "import sys, threading, intake, pandas; known = set(sys.modules); "
    after = (
        "import intake_futu_short; "
        "assert hasattr(pandas.DataFrame, 'shortvol'); "
        "assert threading.active_count() == 1; "
        "print(*sorted(set(sys.modules) - known))"
    )
    loaded = run(before + after, tmp_path).split()
    assert all(name.startswith("intake_futu_short") for name in loaded), loaded
    assert list(tmp_path.iterdir()) == []


def test_the_opener_is_there_when_only_intake_was_imported(tmp_path: Path) -> None:
    code = "import intake; print(intake.open_futu_short.__name__, 'futu_short' in intake.registry)"
    assert run(code, tmp_path).split() == ["FutuShortSource", "True"]


def test_importing_intake_alone_does_not_load_the_package(tmp_path: Path) -> None:
    code = "import sys, intake; print('intake_futu_short' in sys.modules, 'pandas' in sys.modules)"
    assert run(code, tmp_path).split() == ["False", "False"]


def test_everything_public_is_there_and_documented() -> None:
    for name in intake_futu_short.__all__:
        value = getattr(intake_futu_short, name)
        assert name.isupper() or name == "__version__" or value.__doc__
    assert set(intake_futu_short.__all__) <= set(dir(intake_futu_short))
    with pytest.raises(AttributeError, match="has no attribute 'missing'"):
        intake_futu_short.missing  # type: ignore[attr-defined]  # noqa: B018 - that is the test


def test_the_version_is_one() -> None:
    assert distribution("intake-futu-short").version == intake_futu_short.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## {intake_futu_short.__version__}" in changelog


def test_setup_cfg_names_the_license_and_the_entry_points() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["metadata"]["license"] == "BSD-3-Clause"
    assert (ROOT / "LICENSE").read_text().startswith("BSD 3-Clause License")
    names = {e.name: e.group for e in distribution("intake-futu-short").entry_points}
    assert names == {
        "futu_short": "intake.drivers",
        "futu_short_catalog": "intake.drivers",
        "futu-short": "console_scripts",
    }
