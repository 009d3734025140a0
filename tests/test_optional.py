"""Optional packages that are installed and cannot be imported, or fail when they are used.

A folder on the path with a module that raises is what an old release beside a new pandas is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

READ = """
import sys, warnings
import intake_futu_short as package

said = []
warnings.simplefilter("always")
warnings.showwarning = lambda message, category, *_: said.append((category.__name__, str(message)))

def tried(call):
    try:
        return call()
    except (ImportError, package.ConfigError) as error:
        return f"{type(error).__name__}: {error}"

def source(**options):
    return package.FutuShortSource("US.AAPL", gateway="sample://", **options)

frame = source().read()
assert len(frame) == 29
frame.shortvol.with_metrics()
frame.shortvol.check()
"""
RAISED = [
    "ValueError('invalid unit abbreviation: T')",
    "AttributeError('broken')",
    "ImportError('broken')",
    "OSError('libfoo.so: wrong ELF class')",
    # As extensions in Rust do, cryptography's for one.
    "type('PanicException', (BaseException,), {})('broken')",
]
FEATURES = {
    "dask": (
        "source().to_dask()",
        'ImportError: to_dask() needs Dask ({}): pip install "dask[dataframe]" distributed',
    ),
    "matplotlib": (
        "frame.shortvol.plot()",
        "ImportError: plots need matplotlib ({}): pip install matplotlib",
    ),
    "hvplot": (
        "frame.shortvol.hvplot()",
        "ImportError: hvplot() needs the package hvplot ({}): pip install hvplot",
    ),
    "cryptography": (
        "source(rsa_key='key.pem').read()",
        "ConfigError: rsa_key 'key.pem': an RSA key needs the package cryptography ({}): "
        "pip install cryptography",
    ),
}


def run(code: str, path: Path, **environment: str) -> list[str]:
    """Lines that a program prints which finds the modules of a folder first."""
    found = os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False, cwd=path,
        env={**os.environ, "PYTHONPATH": found, **environment},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.splitlines()


# One program tries all features: each costs the start of a process otherwise.
CALLS = "".join(
    f"print(tried(lambda: {call}))\ntried(lambda: {call})\n" for call, _ in FEATURES.values()
)


@pytest.fixture
def key_there(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("-----BEGIN RSA PRIVATE KEY-----")
    (tmp_path / "key.pem").chmod(0o600)


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.usefixtures("key_there")
def test_what_is_broken_counts_as_missing(raised: str, tmp_path: Path) -> None:
    for name in FEATURES:
        (tmp_path / f"{name}.py").write_text(f"raise {raised}")
    *errors, warned = run(f"{READ}{CALLS}print(said)\n", tmp_path)
    kind, _, text = raised.removesuffix("')").partition("('")
    why = "PanicException: broken" if "Panic" in raised else f"{kind}: {text}"
    assert errors == [wanted.format(why) for _, wanted in FEATURES.values()]
    assert warned == str(
        [
            ("UnusablePackageWarning",
             f"{name} is installed, cannot be used and counts as missing ({why})")
            for name in FEATURES
        ]
    )  # fmt: skip


@pytest.mark.usefixtures("key_there")
def test_of_what_is_missing_no_warning_says_so(tmp_path: Path) -> None:
    missing = f"sys.modules.update(dict.fromkeys({[*FEATURES]}))\n"
    *errors, warned = run(f"{READ}{missing}{CALLS}print(said)\n", tmp_path)
    assert warned == "[]"
    for error, (_, wanted) in zip(errors, FEATURES.values(), strict=True):
        before, _, after = wanted.partition("{}")
        assert before in error
        assert error.endswith(after)


@pytest.mark.parametrize(
    "broken",
    [
        *(f"raise {raised}" for raised in RAISED),
        "def get_calendar(*_, **__): raise AttributeError('broken')",
    ],
)
def test_days_are_told_without_a_calendar_that_is_broken(broken: str, tmp_path: Path) -> None:
    (tmp_path / "exchange_calendars.py").write_text(broken)
    code = READ + (
        "for _ in range(2):\n"
        "    table = package.sync(['US.AAPL', 'HK.SAMPLE'], store='kept', gateway='sample://')\n"
        "assert table['error'].isna().all()\n"
        "assert len(source(store='kept').read()) == 29\n"
        "assert source(store='kept').read().shortvol.check().empty\n"
        "print(*[f'{kind}: {text}' for kind, text in said])"
    )
    (warned,) = run(code, tmp_path)
    assert warned.startswith("UnusablePackageWarning: exchange_calendars is installed, cannot be ")


def test_a_file_system_that_is_broken_is_named(tmp_path: Path) -> None:
    (tmp_path / "s3fs.py").write_text("raise AttributeError('made for another botocore')")
    code = READ + "print(tried(lambda: package.FutuShortStore('s3://bucket/short')))"
    (error,) = run(code, tmp_path)
    assert error == "ConfigError: store 's3://bucket/short': made for another botocore"


@pytest.mark.parametrize(
    ("module", "breaks"),
    [
        ("sqlite3", "raise ValueError('broken')"),
        # Intake imports it first.
        ("platformdirs", "def user_cache_path(*_, **__): raise ValueError('broken')"),
    ],
)
def test_requests_are_counted_within_the_process_where_no_file_can_be(
    module: str, breaks: str, tmp_path: Path
) -> None:
    (tmp_path / f"{module}.py").write_text(breaks)
    code = (
        "import logging, sys\n"
        "logging.basicConfig(stream=sys.stdout, format='%(levelname)s %(message)s')\n"
        "from intake_futu_short.gateway import Gateway, sample_histories\n"
        "from intake_futu_short import FutuShortSource\n"
        "with Gateway(sample_histories()) as gateway:\n"
        "    for _ in range(2):\n"
        "        assert len(FutuShortSource('US.AAPL', gateway=gateway.url).read()) == 29\n"
    )
    (warned,) = run(code, tmp_path)
    assert "is counted within this process only" in warned
    assert "ValueError('broken')" in warned


UNUSABLE = ["module://no.such.backend", "nonsense"]
INLINE = "module://matplotlib_inline.backend_inline"


@pytest.mark.slow
@pytest.mark.parametrize("backend", [*UNUSABLE, INLINE, "tkagg", ""])
def test_a_file_is_drawn_whatever_shows_figures(backend: str, tmp_path: Path) -> None:
    code = READ + (
        "import os\nfrom intake_futu_short import plotting\n"
        "plotting.save(frame, 'figure.png')\n"
        "print(said, repr(os.environ['MPLBACKEND']))\n"
    )
    assert run(code, tmp_path, MPLBACKEND=backend) == [f"[] {backend!r}"]
    assert (tmp_path / "figure.png").stat().st_size


@pytest.mark.parametrize("backend", UNUSABLE)
def test_a_figure_is_drawn_where_nothing_can_show_it(backend: str, tmp_path: Path) -> None:
    code = READ + (
        "axes = frame.shortvol.plot()\naxes[0].figure.savefig('figure.png')\n"
        "print(*(kind for kind, _ in said))\nprint(said[0][1])\n"
    )
    kinds, text = run(code, tmp_path, MPLBACKEND=backend)
    assert kinds == "UnusablePackageWarning"
    assert "$MPLBACKEND" in text
    assert (tmp_path / "figure.png").stat().st_size


def test_a_backend_that_matplotlib_knows_is_heeded(tmp_path: Path) -> None:
    code = READ + "frame.shortvol.plot()\nimport matplotlib\nprint(matplotlib.get_backend(), said)"
    assert run(code, tmp_path, MPLBACKEND="svg") == ["svg []"]
