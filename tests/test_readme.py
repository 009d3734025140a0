"""README: its code runs and prints what it shows, and its figure shows the sample as it is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIGURE = Path("docs/_static/short-volume.png")

# A block of code, and what stands above it: why it is not run, or that it is the output of the one
# before.
BLOCK = re.compile(
    r"^(?:<!-- (?P<said>[^>]*) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
BLOCKS = [(m["said"] or "", m["language"], m["code"]) for m in BLOCK.finditer(README)]


@pytest.mark.compat
def test_the_python_runs_and_prints_what_is_shown(tmp_path: Path) -> None:
    code = [code for said, language, code in BLOCKS if language == "python" and not said]
    shown = [code for said, _, code in BLOCKS if said == "output"]
    assert code
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(code)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={"FUTU_OPEND": "sample://", "HOME": str(tmp_path), "PATH": ""},
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    if int(pd.__version__.partition(".")[0]) >= 3:  # others may print a frame in another way
        lines = [line.rstrip() for line in result.stdout.splitlines()]
        assert lines == "".join(shown).splitlines()


def test_what_is_not_run_says_why() -> None:
    reasons = {
        code: said for said, language, code in BLOCKS if language in {"python", "sh"} and said
    }
    assert all(said.startswith("not run: ") for said in reasons.values())
    # What needs OpenD is correct as far as can be told without one.
    for code in reasons:
        if "intake" in code:
            compile(code, "README.md", "exec")


def test_the_commands_are_those_that_ci_runs() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    install_and_demo, install_and_test = [code for _, name, code in BLOCKS if name == "sh"]
    assert install_and_demo == "pip install . && futu-short demo\n"
    assert install_and_test.strip() in ci


def test_it_is_one_page() -> None:
    assert len(README.splitlines()) <= 150


def test_the_figure_shows_the_sample_as_it_is(tmp_path: Path) -> None:
    assert f"]({FIGURE.as_posix()})" in README
    subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "tools" / "build_figures.py"), str(tmp_path)],
        check=True, capture_output=True,
    )  # fmt: skip
    with Image.open(ROOT / FIGURE) as here, Image.open(tmp_path / FIGURE.name) as fresh:
        assert (here.format, here.size) == (fresh.format, fresh.size) == ("PNG", (990, 770))
        # When it differs: python tools/build_figures.py
        assert here.info["Comment"] == fresh.info["Comment"]
    assert (ROOT / FIGURE).stat().st_size < 100_000
