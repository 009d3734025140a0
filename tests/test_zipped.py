"""The package imported from a zip file: what it reads beside its modules is read from there."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import intake_futu_short

pytestmark = pytest.mark.compat

PACKAGE = Path(intake_futu_short.__file__).parent
CATALOGS = Path(intake_futu_short.catalog_path("sample")).parent

READ = """
import sys
import intake, intake_futu_short
assert ".zip" in intake_futu_short.__file__
from intake_futu_short import sample
from intake_futu_short.gateway import sample_histories
from intake_futu_short.interest_source import FutuShortInterestSource
from intake_futu_short.report import screen_html
from intake_futu_short.source import FutuShortSource

with FutuShortSource("HK.00700", gateway="sample://") as src:
    print(len(src.read()), src.aggregates()["aggregated_short_ratio"])
with FutuShortInterestSource("US.SAMPLE", gateway="sample://") as src:
    assert len(src.read()) == len(sample.frame("US.SAMPLE", what="short_interest"))
frame = sample.frame("US.AAPL")
print(len(frame), *sorted(sample_histories()))
assert "</html>" in screen_html(frame, by="short_ratio", n=1)
"""
CATALOG = """
import os, intake, intake_futu_short
path = intake_futu_short.catalog_path()
assert path == intake_futu_short.catalog_path() and os.path.isfile(path)
catalog = intake.open_catalog(path)
print(len(catalog.sample_hk.read()), path)
"""


def zipped(place: Path, catalogs: str | None) -> Path:
    """A zip file of the package, and of its catalogs in a directory of it."""
    path = place / "package.zip"
    with zipfile.ZipFile(path, "w") as out:
        for file in PACKAGE.rglob("*"):
            # An installed package has its catalogs inside.
            if file.is_file() and file.suffix != ".pyc" and file.parent != CATALOGS:
                out.write(file, file.relative_to(PACKAGE.parent))
        if catalogs is not None:
            for file in CATALOGS.glob("*.yaml"):
                out.write(file, f"{catalogs}/{file.name}")
    return path


def run(path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Python, beside the zip file, with it before whatever else holds the package."""
    first = f"import sys; sys.path.insert(0, {str(path)!r})\n"
    start = "import runpy; runpy.run_module('intake_futu_short', run_name='__main__')"
    code = command[1] if command[0] == "-c" else f"sys.argv[1:] = {[*command]}; {start}"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", first + code],
        capture_output=True, text=True, check=False, cwd=path.parent,
    )  # fmt: skip


def test_the_sample_is_read_from_the_zip_file(tmp_path: Path) -> None:
    result = run(zipped(tmp_path, None), "-c", READ)
    assert result.stderr == ""
    assert result.stdout.split() == ["10", "0.56", "29", "HK.00700", "HK.SAMPLE", "US.AAPL",
                                     "US.SAMPLE"]  # fmt: skip


@pytest.mark.parametrize("place", ["intake_futu_short/catalogs", "catalogs"])
def test_a_catalog_is_a_copy_that_goes_when_python_ends(tmp_path: Path, place: str) -> None:
    """As in a wheel, and as in a checkout."""
    result = run(zipped(tmp_path, place), "-c", CATALOG)
    assert result.stderr == ""
    rows, path = result.stdout.split()
    assert (rows, Path(path).exists()) == ("10", False)


def test_commands_run(tmp_path: Path) -> None:
    package = zipped(tmp_path, "catalogs")
    for command in (["demo"], ["doctor", "--gateway", "sample://"]):
        result = run(package, *command)
        assert (result.returncode, result.stderr) == (0, "")


def test_a_zip_file_without_catalogs_says_so(tmp_path: Path) -> None:
    result = run(zipped(tmp_path, None), "-c", CATALOG)
    assert result.returncode == 1
    assert "package.zip" in result.stderr
    assert "copied without its catalogs" in result.stderr
