"""The README's Python runs as it stands, against the sample gateway where it names no other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.compat

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_python_blocks_run_one_after_the_other(
    tmp_path: Path,
) -> None:
    script = "\n".join(blocks("python"))
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"FUTU_OPEND": "sample://", "HOME": str(tmp_path), "PATH": ""},
    )
    assert result.returncode == 0, result.stderr
    assert "2026-05-08" in result.stdout  # the last block prints the documented rows
    assert len(blocks("python")) >= 4


def test_the_commands_are_those_that_ci_runs() -> None:
    ci = (Path(__file__).parent.parent / ".ci" / "run").read_text()
    install_and_demo, install_and_test = blocks("sh")
    assert install_and_demo.strip() == "pip install . && futu-short demo"
    assert install_and_test.strip() in ci
