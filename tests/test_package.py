"""What holds of the package as a whole: its imports, its floors, its version, its public face."""

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

# The floors of the package from the ground up: a module knows only those before it.
FLOORS: dict[str, list[str]] = {
    "ground": [
        "described", "notebook", "wording", "errors", "optional", "days", "security", "calendars",
        "progress", "catalog_files", "watchlist", "repr_table",
    ],
    "bytes and messages": [
        "opend.messages_pb2", "opend.wire", "opend.cipher", "opend.replies", "opend.connection",
        "opend.address",
    ],
    "arguments": ["arguments"],
    "calls, rows and walks": ["calls", "rank_requests", "pages", "schema", "walk"],
    "rules of a history": [
        "history.ticker_history", "history.plausible", "history.reports", "history.revisions",
        "history.join", "history.as_of", "history.refresh",
    ],
    "metrics": [
        "metrics.windows", "metrics.sessions", "metrics.registry", "metrics.columns",
        "metrics.window_metrics", "metrics.answers", "metrics.daily", "metrics.trailing",
        "metrics.aggregates", "metrics.known", "metrics.one_report", "metrics.reports",
        "metrics.positions", "metrics.position_columns", "metrics.combined", "metrics.panels",
        "metrics.newest", "metrics.resampling", "metrics", "checks", "plotting.step",
        "plotting.figure_data", "plotting.shown", "plotting.chart_parts", "plotting.heat_map",
        "plotting.drawing", "plotting", "accessor_repr", "accessor", "dask",
    ],
    "store": [
        "store.paths", "store.footer", "store.state", "store.tables", "store.parquet", "store.urls",
        "store.local_disk", "store.object_store", "store.process_lock", "store.file_system",
        "store.writing", "store.many", "store.selecting", "verifying", "store",
    ],
    "asking": [
        "opend.limit_file", "opend.limit", "opend.dial", "opend.socket_connection", "opend.line",
        "opend.ask",
    ],
    "serving": [
        "sample", "gateway.histories", "gateway.ranked", "gateway.newest", "gateway.request_log",
        "gateway.responder", "gateway.server", "gateway", "gateway.served",
    ],
    "one read": ["history.update", "partitions", "ranking", "stored", "reading"],
    "who asks": [
        "official_names", "quote_context", "syncing", "source_repr", "gateway_source",
        "paged_source", "interest_source", "source", "rank_source", "pipelines", "reader",
        "watchlist_reading", "ticker_catalog",
    ],
    "screens": ["screening", "screen_columns", "sparklines", "report"],
    "command line": [
        "cli.outcome", "cli.options", "cli.tables", "cli.frame_output", "cli.screen_output",
        "cli.reading", "cli.doctor", "cli.record_questions", "cli.record_notes", "cli.recording",
        "cli.check", "cli.demo", "cli.doctor_command", "cli.info", "cli.plot", "cli.rank",
        "cli.read", "cli.screen", "cli.serve", "cli.set_aside", "cli.sync", "cli", "__main__",
    ],
}  # fmt: skip
ORDER = [module for modules in FLOORS.values() for module in modules]
# Floors that stand beside each other: neither knows the other, though one is written first.
BESIDE = [
    ("metrics", "rules of a history"),
    ("asking", "rules of a history"),
    ("asking", "metrics"),
    ("asking", "store"),
    ("serving", "rules of a history"),
    ("serving", "metrics"),
    ("serving", "store"),
    ("one read", "metrics"),
    ("one read", "store"),
]

# They are handed bytes, replies, rows and moments; they fetch none themselves.
PURE = [
    "described", "notebook", "wording", "errors", "optional", "days", "security", "calendars",
    "calls", "rank_requests", "pages", "walk", "schema",
    "opend.wire", "opend.cipher", "opend.connection", "opend.replies", "opend.address",
    "repr_table", "accessor_repr", "partitions", "ranking",
    *FLOORS["rules of a history"],
    *(module for module in ORDER if module.startswith("metrics")),
    "screen_columns", "sparklines", "gateway.ranked", "cli.record_questions",
    "cli.record_notes",
]  # fmt: skip
IMPURE = {
    "asyncio", "concurrent", "dask", "fsspec", "http", "intake", "io", "multiprocessing", "os",
    "pathlib", "platformdirs", "random", "select", "selectors", "shutil", "socket", "sqlite3",
    "ssl", "subprocess", "tempfile", "threading", "time",
}  # fmt: skip
# Calls of a clock and of the file system that need no module of the above.
CLOCKS_AND_FILES = {"now", "today", "utcnow", "open", "read_text", "read_bytes", "read_csv"}


def file_of(module: str) -> Path:
    """Where a module of the package is, whether or not there is one."""
    place = PACKAGE / module.removeprefix("intake_futu_short").lstrip(".").replace(".", "/")
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def tree_of(module: str) -> ast.Module:
    return ast.parse(file_of(module).read_text())


def imports_of(module: str) -> set[str]:
    """Modules that one imports when it runs (what only type checkers see left out)."""
    found: set[str] = set()
    nodes: list[ast.AST] = [tree_of(module)]
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


def own_imports_of(module: str) -> set[str]:
    """Modules of the package that one imports, by their short names."""
    found = {name for name in imports_of(module) if name.startswith("intake_futu_short.")}
    return {name.removeprefix("intake_futu_short.") for name in found}


def floor_of(module: str) -> str:
    return next(floor for floor, modules in FLOORS.items() if module in modules)


def test_every_module_has_its_place_in_the_order() -> None:
    only_docstrings = {PACKAGE / "opend" / "__init__.py", PACKAGE / "history" / "__init__.py"}
    files = set(PACKAGE.rglob("*.py")) - only_docstrings - {PACKAGE / "__init__.py"}
    assert len(ORDER) == len(set(ORDER))
    assert {file_of(module) for module in ORDER} == files


@pytest.mark.parametrize("module", ORDER)
def test_each_module_knows_only_modules_below_it(module: str) -> None:
    assert own_imports_of(module) <= set(ORDER[: ORDER.index(module)])


@pytest.mark.parametrize(("floor", "other"), BESIDE)
def test_floors_beside_each_other_do_not_know_each_other(floor: str, other: str) -> None:
    known = {
        (module, name)
        for module in FLOORS[floor]
        for name in own_imports_of(module)
        if name in FLOORS[other]
    }
    assert known == set()


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_no_socket_clock_or_file_system(module: str) -> None:
    assert not {name.partition(".")[0] for name in imports_of(module)} & IMPURE
    assert own_imports_of(module) <= {*PURE, "opend.messages_pb2"}  # nor by way of others


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_look_at_no_clock_and_open_no_file(module: str) -> None:
    calls = [n.func for n in ast.walk(tree_of(module)) if isinstance(n, ast.Call)]
    names = {func.attr for func in calls if isinstance(func, ast.Attribute)}
    names |= {func.id for func in calls if isinstance(func, ast.Name)}
    assert not names & CLOCKS_AND_FILES


@pytest.mark.parametrize(
    ("library", "modules"),
    [
        # The client's and the server's side, and the doctor, who looks whether a port is open.
        ("socket", ["opend.dial", "gateway.server", "gateway", "cli.doctor"]),
        ("asyncio", []),
        ("sqlite3", ["opend.limit_file"]),
        ("intake", ["gateway_source", "pipelines", "reader", "ticker_catalog"]),
        ("dask", ["dask"]),
    ],
)
def test_a_library_is_imported_where_it_belongs(library: str, modules: list[str]) -> None:
    users = [
        module
        for module in ORDER
        if library in {name.partition(".")[0] for name in imports_of(module)}
    ]
    assert users == modules


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


WATCHED = """
import sys, threading
import pandas

known, finders, hooks = set(sys.modules), list(sys.meta_path), list(sys.path_hooks)
events = []

def watch(event, args):
    if event.startswith(("socket.", "sqlite3.", "subprocess.", "_thread.", "os.fork", "os.mkdir")):
        events.append(event)
    elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        events.append(f"{event} {args[0]}")

sys.addaudithook(watch)
import intake_futu_short
assert events == [], events
assert (list(sys.meta_path), list(sys.path_hooks)) == (finders, hooks)
assert threading.active_count() == 1
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - known}))
"""


def test_importing_loads_no_heavy_module_and_starts_nothing(tmp_path: Path) -> None:
    loaded = set(run(WATCHED, tmp_path).split())
    assert "intake_futu_short" in loaded
    assert not loaded & {"intake", "google", "asyncio", "dask", "distributed", "sqlite3",
                         "fsspec", "matplotlib", "tqdm", "cryptography", "socket"}  # fmt: skip


def test_names_of_the_public_face_are_loaded_when_they_are_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys, intake_futu_short; print('intake' in sys.modules); "
        "intake_futu_short.FutuShortSource; print('intake' in sys.modules)"
    )
    assert run(code, tmp_path).split() == ["False", "True"]


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
        "futu_short_interest": "intake.drivers",
        "futu_short_rank": "intake.drivers",
        "futu_short_catalog": "intake.drivers",
        "futu-short": "console_scripts",
    }
