"""What pip makes of a checkout in which an older version left its files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# What setuptools would find again, and a module of this version that a later one no longer has.
LEFT = [
    "build/lib/intake_futu_short/planted.py",
    "build/lib/planted/__init__.py",
    "build/lib/intake_futu_short/sample/planted.csv",
    "build/lib.linux-x86_64-cpython-311/intake_futu_short/planted.py",
    f"build/bdist.{sys.platform}-x86_64/wheel/intake_futu_short/planted.py",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        int(version("setuptools").partition(".")[0]) < 71,
        reason="builds go without the network, and this setuptools needs the package wheel",
    ),
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout, with what an older version left."""
    copy = tmp_path / "checkout"
    skipped = shutil.ignore_patterns("__pycache__", "build", "dist", ".venv*", ".git", ".*_cache")
    shutil.copytree(ROOT, copy, ignore=skipped)
    for name in LEFT:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("PLANTED = 1\n")
    return copy


def pip(*arguments: str, cwd: Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert result.returncode == 0, result.stderr


OFFLINE = ["--no-deps", "--no-build-isolation", "--no-index"]


def planted(names: list[str]) -> list[str]:
    return [name for name in names if "planted" in name]


def test_a_wheel_holds_what_the_checkout_holds(checkout: Path, tmp_path: Path) -> None:
    removed = checkout / "intake_futu_short" / "planted_before.py"
    removed.touch()
    pip("wheel", *OFFLINE, "-w", str(tmp_path / "before"), ".", cwd=checkout)
    removed.unlink()
    pip("wheel", *OFFLINE, "-w", str(tmp_path / "after"), ".", cwd=checkout)
    for place, expected in (("before", 1), ("after", 0)):
        (wheel,) = (tmp_path / place).glob("*.whl")
        names = zipfile.ZipFile(wheel).namelist()
        assert len(planted(names)) == expected
        assert "intake_futu_short/catalogs/sample.yaml" in names
        assert "intake_futu_short/sample/US.AAPL.csv" in names


def test_installing_it_and_installing_it_for_work(checkout: Path, tmp_path: Path) -> None:
    target, editable = str(tmp_path / "installed"), str(tmp_path / "editable")
    pip("install", *OFFLINE, "--target", target, ".", cwd=checkout)
    assert not planted([str(path) for path in Path(target).rglob("*")])
    pip("install", *OFFLINE, "--target", editable, "-e", ".", cwd=checkout)
    links = [file.read_text() for file in Path(editable).glob("*editable*")]
    assert str(checkout) in "".join(links)
    assert not planted(links)


def test_a_source_distribution_builds_the_same_wheel(checkout: Path, tmp_path: Path) -> None:
    code = "import build_backend; print(build_backend.build_sdist('.'))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout / ".ci")},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    (archive,) = checkout.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        assert not planted(files.getnames())
    pip("wheel", *OFFLINE, "-w", str(tmp_path / "wheel"), str(archive), cwd=tmp_path)
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    assert "intake_futu_short/catalogs/opend.yaml" in zipfile.ZipFile(wheel).namelist()
