"""The benchmarks run; how fast is for them to say, not for a test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.mark.parametrize(
    ("script", "settings", "says"),
    [
        ("decode.py", "ROUNDS = 1", r"US.SAMPLE: .* ratio \d+\.\d .*\nHK.SAMPLE: .* ratio \d+\.\d"),
        (
            "limit.py",
            "REQUESTS = 40, SECONDS = 0.5",
            r"8 processes: 40 requests .* of the limit, 0 refused",
        ),
        ("panel.py", "ROUNDS = 1", r"ours: 30 .* x the latency .*\nofficial client: 30 .* x the"),
        (
            "metrics.py",
            "TICKERS = 20, ROUNDS = 1",
            r"pandas.* x as long\nPolars.* x as long\nNumPy.* x as long\nmemory: .* x both",
        ),
        ("faults.py", "FAULTS_AT_MOST = 1", r"no fault +whole, .* s +whole, .* s"),
        (
            "store.py",
            "TICKERS = 20, ROUNDS = 1",
            r"three columns of a year, Polars: .* ours / this: \d+\.\d\d CPU, \d+\.\d\d",
        ),
        ("import_cost.py", "PROCESSES = 1", r"on top: \d+\.\d ms"),
    ],
)
def test_a_benchmark_runs(script: str, settings: str, says: str, tmp_path: Path) -> None:
    short = (BENCHMARKS / script).read_text()
    for setting in settings.split(", "):
        name = setting.partition(" ")[0]
        short, changed = re.subn(rf"^{name} = [\d.]+$", setting, short, flags=re.MULTILINE)
        assert changed == 1
    (tmp_path / script).write_text(short)
    result = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert result.returncode == 0, result.stderr
    assert re.search(says, result.stdout)
