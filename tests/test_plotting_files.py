"""Figures in files, in the user's session and in processes of their own."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from figures import (
    DAILY,
    SAMPLE,
    drawn,
    line,
    panel,
    sample,
    with_history,
)
from matplotlib.text import Text

from intake_futu_short import plotting
from intake_futu_short.accessor import ShortVolumeAccessor
from intake_futu_short.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_window")


# --- the user's session


def test_the_frame_is_not_changed_and_no_figure_is_closed() -> None:
    open_before = plt.get_fignums()
    mine = plt.figure()
    frame = with_history(sample("HK.SAMPLE").iloc[:40])
    before = frame.copy(deep=True)
    axes = frame.shortvol.plot()
    pd.testing.assert_frame_equal(frame, before)
    assert frame.attrs == before.attrs
    assert plt.get_fignums() == [*open_before, mine.number, axes[0].figure.number]
    assert plt.get_backend() == "agg"


def test_rows_in_any_order_and_by_date_make_the_same_figure() -> None:
    frame = sample("US.AAPL")
    wanted = line(frame.shortvol.plot()[1], DAILY)
    for same in (frame.sample(frac=1, random_state=5), frame.shortvol.by_date()):
        pd.testing.assert_series_equal(line(same.shortvol.plot()[1], DAILY), wanted)
    assert panel(3).shortvol.by_date().shortvol.plot().shape == (3,)


def test_no_word_judges() -> None:
    for frame in (sample("US.AAPL"), with_history(sample("HK.SAMPLE")).iloc[:60], panel(3)):
        figure = drawn(frame.shortvol.plot()[0].figure)
        texts = {text.get_text().lower() for text in figure.findobj(Text)}
        assert any("short" in text for text in texts)
        for word in ("bullish", "bearish", "squeeze", "unusual", "extreme", "warning", "signal"):
            assert not any(word in text for text in texts)


# --- files


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg", "PNG"])
def test_a_figure_is_saved_as_its_name_says(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"aapl.{suffix}"
    assert plotting.save(sample("US.AAPL"), str(path)) == path
    begin = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix.lower()]
    assert path.read_bytes().startswith(begin)
    assert plt.get_fignums() == []


def test_a_png_has_the_size_that_was_asked_for(tmp_path: Path) -> None:
    path = plotting.save(
        panel(13), tmp_path / "heat.png", plotting.Options(last=30), figsize=(8, 6), dpi=50
    )
    assert plt.imread(path).shape[:2] == (300, 400)


@pytest.mark.parametrize("name", ["figure", "figure.docx", ".png"])
def test_other_kinds_of_file_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a figure is saved as png, pdf, svg by its name"):
        plotting.save(sample("US.AAPL"), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


# --- hvplot, where it is installed


def test_hvplot_draws_the_same_numbers() -> None:
    pytest.importorskip("hvplot")
    frame = sample("US.AAPL")
    lines = frame.shortvol.hvplot(width=400)
    values = {name: curve.dimension_values(1) for name, curve in lines.items()}
    assert list(values) == ["Short ratio", "20-day pooled ratio"]
    ratios = frame["total_shares_short"] / frame["volume"]
    np.testing.assert_array_equal(values["Short ratio"], ratios[::-1])
    several = panel(3).shortvol.hvplot(last=5)
    assert several.kdims[0].values == ["US.T00", "US.T01", "US.T02"]
    assert len(several["US.T01"]["Short ratio"]) == 4


def test_without_hvplot_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hvplot", None)
    monkeypatch.setitem(sys.modules, "hvplot.pandas", None)
    with pytest.raises(ImportError, match=r"hvplot\(\) needs the package hvplot .*: pip install"):
        sample("US.AAPL").shortvol.hvplot()


# --- processes of their own


def run(code: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={**kept, **environment},
    )  # fmt: skip


READ = (
    "import sys, pandas as pd, intake_futu_short\n"
    f"frame = pd.read_csv({str(SAMPLE / 'US.AAPL.csv')!r})\n"
)


def test_it_works_without_a_display(tmp_path: Path) -> None:
    code = READ + (
        "axes = frame.shortvol.plot()\n"
        "axes[0].figure.savefig('figure.png')\n"
        "import matplotlib.pyplot as plt; plt.show; print(plt.get_backend().lower())\n"
    )
    result = run(code, tmp_path)
    assert (result.stdout.strip(), result.stderr) == ("agg", "")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_a_file_needs_no_pyplot(tmp_path: Path) -> None:
    code = READ + (
        "from intake_futu_short import plotting\n"
        "plotting.save(frame, 'figure.png')\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    result = run(code, tmp_path, MPLBACKEND="tkagg")
    assert (result.stdout.strip(), result.stderr) == ("False", "")


def test_without_matplotlib_the_package_is_named(tmp_path: Path) -> None:
    code = READ + (
        "assert not any(name.startswith('matplotlib') for name in sys.modules)\n"
        "sys.modules['matplotlib'] = None\n"
        "try:\n    frame.shortvol.plot()\n"
        "except ImportError as error:\n    print(error)\n"
    )
    result = run(code, tmp_path)
    assert result.stderr == ""
    assert result.stdout.startswith("plots need matplotlib (")
    assert result.stdout.endswith("pip install matplotlib\n")


def test_the_examples_of_the_docstrings_run() -> None:
    for method in (ShortVolumeAccessor.plot, ShortVolumeAccessor.check):
        (example,) = doctest.DocTestFinder().find(method, globs={})
        assert example.examples
        assert doctest.DocTestRunner().run(example).failed == 0
