from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from click.testing import CliRunner

import intake_futu_short
from intake_futu_short.cli import main
from intake_futu_short.errors import ConfigError

# Where pip puts it, which is on the PATH of an activated environment only.
FUTU_SHORT = str(Path(sysconfig.get_path("scripts"), "futu-short"))


@pytest.mark.parametrize("command", [[FUTU_SHORT], [sys.executable, "-m", "intake_futu_short"]])
def test_the_demo_shows_both_markets_and_says_what_is_synthetic(
    command: list[str], tmp_path: Path
) -> None:
    result = subprocess.run(
        [*command, "demo"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert result.returncode == 0
    assert result.stderr == ""
    assert list(tmp_path.iterdir()) == []
    for words in (
        "US.AAPL: real rows",
        "29 rows x 10 columns in 3 partitions of 10 rows",
        "HK.SAMPLE: SYNTHETIC",
        "1500 rows x 10 columns in 30 partitions of 50 rows",
        "'aggregated_short_ratio'",
        "pooled_short_ratio_20",
        # The gateway's own daily_trade_avg_ratio of 2024-10-11 is 17.30 percent.
        "2024-10-11       0.1495                 0.1730",
    ):
        assert words in result.stdout


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert intake_futu_short.__version__ in result.output


def test_an_error_of_ours_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_name: str) -> str:
        raise ConfigError("the words of the error")

    monkeypatch.setattr("intake_futu_short.catalog_files.catalog_path", fail)
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert result.output.strip() == "Error: the words of the error"
