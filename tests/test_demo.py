"""``futu-short demo``: what a newcomer sees first."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import matplotlib.image
import pandas as pd
import pytest
from command_line import at_a_terminal, futu_short

from intake_futu_short import sample
from intake_futu_short.cli.demo import _standing_out

pytestmark = pytest.mark.compat

FUTU_SHORT = str(Path(sysconfig.get_path("scripts"), "futu-short"))


def test_two_tickers_a_figure_and_what_to_do_next(tmp_path: Path) -> None:
    # In a process of its own, as a user starts it, and whatever gateway the environment names.
    result = subprocess.run(
        [FUTU_SHORT, "demo"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "FUTU_OPEND": "opend://127.0.0.1:1"},
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    for words in (
        "US.AAPL: real rows",
        "HK.SAMPLE: synthetic rows; there is no such security",
        # Worked out by hand from US.AAPL.csv: 4746547 / 31759188, and the gateway's own
        # daily_trade_avg_ratio of that day, 17.30 percent.
        "2024-10-11    31,759,188         0.149    0.173\n",
        # 12600908 / 54793391; no other of the 20 days up to it has more.
        "2024-09-30    54,793,391         0.230    0.159   highest in 20 days\n",
        "15 of every 100 shares",
        "saved as futu-short-demo.png in this directory",
        "futu-short plot US.SAMPLE",
        "futu-short doctor",
        "futu-short read US.MSFT",
    ):
        assert words in result.stdout
    assert result.stdout.isascii()
    assert max(map(len, result.stdout.splitlines())) <= 80
    (figure,) = tmp_path.iterdir()
    assert figure.name == "futu-short-demo.png"
    assert matplotlib.image.imread(figure).shape[:2] == (1050, 1350)


def test_at_a_terminal_it_is_the_same(tmp_path: Path) -> None:
    code, lines = at_a_terminal("demo", cwd=tmp_path)
    assert code == 0
    assert max(map(len, lines)) <= 80
    assert "US.AAPL: real rows" in lines


def test_what_it_tells_to_do_next_works(tmp_path: Path) -> None:
    shown = futu_short("demo", cwd=tmp_path).stdout
    (command,) = [line.split() for line in shown.splitlines() if "futu-short plot" in line]
    result = futu_short(*command[1:], cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "figure.png\n")
    assert (tmp_path / "figure.png").stat().st_size
    code = shown.partition("The same in Python:\n")[2].replace("\n  ", "\n").strip()
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{code}\nprint(len(df))"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (result.stdout, result.stderr) == ("29\n", "")


def test_without_matplotlib_it_says_how_to_get_it(tmp_path: Path) -> None:
    code = (
        "import runpy, sys\n"
        "sys.modules['matplotlib'] = None\n"
        "sys.argv[1:] = ['demo']\n"
        "runpy.run_module('intake_futu_short', run_name='__main__')"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    assert "because matplotlib is missing" in result.stdout
    assert "\n  pip install matplotlib && futu-short demo\n" in result.stdout
    assert "What to do next" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_cannot_be_written_does_not_end_it(tmp_path: Path) -> None:
    (tmp_path / "futu-short-demo.png").mkdir()
    result = futu_short("demo", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "No figure was saved: [Errno" in result.stdout


@pytest.mark.parametrize(
    ("z", "rank", "surge", "words"),
    [
        (0.3, 0.5, 1.0, ""),
        (float("nan"), float("nan"), float("nan"), ""),
        (1.2, 1.0, 1.0, "highest in 20 days"),
        (2.0, 1.0, 3.0, "highest in 20 days, +2.0 sd"),
        (-2.5, 0.05, 1.0, "lowest in 20 days, -2.5 sd"),
        (2.1, 0.95, 1.0, "high, +2.1 sd"),
        (-2.1, 0.1, 1.0, "low, -2.1 sd"),
        (0.0, 0.5, 2.64, "2.6x the usual shares short"),
    ],
)
def test_what_stands_out(z: float, rank: float, surge: float, words: str) -> None:
    row = {"short_ratio_zscore_20": z, "short_ratio_rank_20": rank, "short_volume_surge_20": surge}
    assert _standing_out(pd.Series(row)) == words


def test_the_synthetic_ticker_has_days_that_stand_out() -> None:
    metrics = sample.frame("HK.SAMPLE").shortvol.with_metrics(windows=(20,))
    words = [_standing_out(row) for _, row in metrics.head(250).iterrows()]
    assert 10 < sum(map(bool, words)) < 125
