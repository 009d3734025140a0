"""README: its code runs and prints what it shows, and its figure shows the sample as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from page_blocks import differences, read_blocks, run_blocks
from PIL import Image

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
FIGURE = Path("docs/_static/short-volume.png")
BLOCKS = read_blocks(README)


@pytest.mark.compat
def test_the_python_runs_and_prints_what_is_shown(tmp_path: Path) -> None:
    assert [block.language for block in BLOCKS if block.runs and block.output] == ["python"]
    printed = run_blocks(README, tmp_path, silent=True)
    if int(pd.__version__.partition(".")[0]) >= 3:  # others may print a frame in another way
        assert differences(README, printed) == []


def test_what_is_not_run_is_python_all_the_same() -> None:
    needs_opend = [block.code for block in BLOCKS if block.language == "python" and block.reason]
    assert needs_opend
    for code in needs_opend:
        compile(code, "README.md", "exec")


def test_the_commands_are_those_that_ci_runs() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    install_and_demo, install_and_test = [b.code for b in BLOCKS if b.language == "sh"]
    assert install_and_demo == "pip install . && futu-short demo\n"
    assert install_and_test.strip() in ci


def test_it_is_one_page() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_the_figure_shows_the_sample_as_it_is(tmp_path: Path) -> None:
    assert f"]({FIGURE.as_posix()})" in README.read_text(encoding="utf-8")
    subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "tools" / "build_figures.py"), str(tmp_path)],
        check=True, capture_output=True,
    )  # fmt: skip
    with Image.open(ROOT / FIGURE) as here, Image.open(tmp_path / FIGURE.name) as fresh:
        assert (here.format, here.size) == (fresh.format, fresh.size) == ("PNG", (990, 770))
        # When it differs: python tools/build_figures.py
        assert here.info["Comment"] == fresh.info["Comment"]
    assert (ROOT / FIGURE).stat().st_size < 100_000
