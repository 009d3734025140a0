"""What a notebook shows of the package's errors and of its progress."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import traceback
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from intake_futu_short import errors, progress
from intake_futu_short.errors import ConfigError, GatewayError
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable


class Formatter:
    """IPython's, as far as it is called: Python's own text, without the frames left out."""

    mode = "Context"

    def structured_traceback(self, kind: Any, value: Any, tb: Any, tb_offset: int) -> list[str]:
        del tb_offset
        return traceback.format_exception(kind, value, tb)


@pytest.fixture
def formatter(monkeypatch: pytest.MonkeyPatch) -> Formatter:
    formatter = Formatter()
    shell = SimpleNamespace(InteractiveTB=formatter)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    return formatter


def shown(action: Callable[[], object]) -> str:
    with pytest.raises(errors.FutuShortError) as caught:
        action()
    return "\n".join(caught.value._render_traceback_())


def refused() -> None:
    FutuShortSource("bad")


def test_the_users_frames_are_shown_and_not_ours(formatter: Formatter) -> None:
    said = shown(refused)
    assert 'FutuShortSource("bad")' in said
    assert "ConfigError: 'bad' is not a code" in said
    assert "paged_source.py" not in said
    assert re.search(r"\(inner frames left out: \d+; traceback\.print_last\(\) has them\)$", said)
    formatter.mode = "Verbose"
    assert "paged_source.py" in shown(refused)


def test_causes_and_notes_are_named(formatter: Formatter) -> None:
    del formatter

    def unreachable() -> None:
        with FutuShortSource("US.AAPL", gateway="opend://127.0.0.1:9") as source:
            source.read()

    said = shown(unreachable)
    assert "caused by ConnectionRefusedError\n" in said  # its words are in the message
    assert "direct cause" not in said

    def while_handling() -> None:
        try:
            dict[str, int]()["k"]
        except KeyError:
            try:
                refused()
            except ConfigError as error:
                error.__notes__ = ["in row 3"]
                raise

    said = shown(while_handling)
    assert "in row 3\nraised while handling KeyError: 'k'\n" in said


def test_a_long_cause_is_cut_and_a_ring_of_causes_ends(formatter: Formatter) -> None:
    del formatter
    with pytest.raises(ConfigError) as caught:
        refused()
    cause = OSError("x" * 1000)
    caught.value.__cause__, cause.__cause__ = cause, caught.value
    said = "\n".join(caught.value._render_traceback_())
    assert f"caused by OSError: {'x' * 300}…\n" in said


def test_an_error_that_a_user_raises_is_shown_whole(formatter: Formatter) -> None:
    del formatter

    def own() -> None:
        raise GatewayError("mine")

    said = shown(own)
    assert "in own" in said
    assert "left out" not in said


def test_without_ipython_it_is_pythons_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert "paged_source.py" in shown(refused)


REAL = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="nocolor")
shell.run_cell("import intake\\ndef mine(code):\\n    return intake.open_futu_short(code)")
shell.run_cell("mine('bad')")
shell.run_cell("print('PYTHON'); import traceback, sys; traceback.print_last(file=sys.stdout)")
shell.run_cell("%xmode Verbose")
shell.run_cell("mine('bad')")
"""


def test_real_ipython_shows_a_short_traceback() -> None:
    pytest.importorskip("IPython")
    result = subprocess.run(
        [sys.executable, "-c", REAL], capture_output=True, text=True, check=True, timeout=60
    )
    short, rest = result.stdout.split("PYTHON")
    python, long = rest.split("Verbose")
    assert "paged_source.py" in python  # as the hint says
    assert "mine('bad')" in short
    assert "ConfigError: 'bad' is not a code" in short
    assert "paged_source.py" not in short
    assert "inner frames left out: 4" in short
    assert "paged_source.py" in long


def test_without_widgets_a_bar_is_one_line_that_changes(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    lines: list[str] = []

    def display(data: dict[str, str], **_kwargs: object) -> SimpleNamespace:
        lines.append(data["text/plain"])
        return SimpleNamespace(update=display)

    shell, cell = SimpleNamespace(config={"IPKernelApp": {}}), SimpleNamespace(display=display)
    monkeypatch.setitem(
        sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, display=cell)
    )
    monkeypatch.setitem(sys.modules, "IPython.display", cell)
    notebook: Any = pytest.importorskip("tqdm.notebook")
    monkeypatch.setattr(notebook, "IProgress", None)
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with progress.shown(None, tickers=2) as bar:
        assert bar is not None
        bar.show(1, 3, 60, wait_s=5.0)
    assert "1/2" in lines[-2]
    assert "waiting for the limit until" in lines[-2]
    assert lines[-1] == ""
    assert stderr.getvalue() == ""
    assert list(recwarn) == []
