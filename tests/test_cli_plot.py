"""``futu-short plot``: what it reads, and what it draws into a file."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import matplotlib.image
import pytest
from command_line import futu_short

from intake_futu_short import plotting
from intake_futu_short.gateway import Gateway
from intake_futu_short.gateway.histories import sample_histories

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from subprocess import CompletedProcess

    import pandas as pd


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway(sample_histories()) as served:
        yield served


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[pd.DataFrame, plotting.Options]]:
    """What was handed over to be drawn."""
    calls: list[tuple[pd.DataFrame, plotting.Options]] = []

    def save(frame: pd.DataFrame, path: str, options: plotting.Options, **_: Any) -> str:
        calls.append((frame, options))
        return path

    monkeypatch.setattr(plotting, "save", save)
    return calls


def plot(gateway: Gateway, *arguments: str, cwd: Path | None = None) -> CompletedProcess[str]:
    url = f"{gateway.url}?limit=off"
    return futu_short("plot", *arguments, "--gateway", url, "-o", "figure.png", cwd=cwd)


def test_windows_see_20_sessions_before_the_start(gateway: Gateway, drawn: list[Any]) -> None:
    assert plot(gateway, "US.SAMPLE", "--start", "2026-06-15").returncode == 0
    ((frame, options),) = drawn
    # The 19th, the last day of that week, is a holiday.
    assert frame["timestamp_str"].tolist()[:4] == [f"2026-06-{day}" for day in (18, 17, 16, 15)]
    assert len(frame) == 4 + 20
    assert frame.attrs["start"] == options.start == "2026-06-15"


def test_no_more_pages_are_read_than_are_shown(gateway: Gateway, drawn: list[Any]) -> None:
    for arguments, pages in {
        (): 7,  # 270 days at 50 a page, and one more
        ("--last", "10"): 2,
        ("--last", "10", "--num", "10"): 4,
        ("--last", "10", "--max-pages", "3"): 3,
        ("--last", "all"): 31,  # the last is empty
        # There are no more trading days than weekdays since, whatever today is.
        ("--last", "10", "--end", f"{dt.date.today():%Y%m%d}"): 2,  # noqa: DTZ011 - any zone will do
    }.items():
        before = len(gateway.requests)
        assert plot(gateway, "US.SAMPLE", *arguments).returncode == 0
        assert len(gateway.requests) - before == pages, arguments
    assert [options.last for _, options in drawn] == [None, 10, 10, 10, "all", 10]


@pytest.mark.parametrize(
    "span", [("--end", "1999-01-01"), ("--start", "1999-01-01", "--end", "1999-02-01")]
)
def test_a_span_without_rows_is_an_error(gateway: Gateway, tmp_path: Path, span: Any) -> None:
    result = plot(gateway, "US.AAPL", *span, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: no rows ")
    assert "1999-0" in result.stderr
    assert result.stderr.endswith("of 29 trading days, 2024-09-03 to 2024-10-11\n")
    assert list(tmp_path.iterdir()) == []


def test_kind_and_size_are_chosen(gateway: Gateway, tmp_path: Path) -> None:
    result = plot(
        gateway, "US.AAPL", "US.SAMPLE", "--kind", "heatmap", "--dpi", "40", "--last", "all",
        cwd=tmp_path,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "figure.png\n")
    # 9 by 4 inches, those of a heat map of few tickers.
    assert matplotlib.image.imread(tmp_path / "figure.png").shape[:2] == (160, 360)


@pytest.mark.parametrize(
    ("option", "value"),
    [("last", "0"), ("last", "some"), ("last", "2.5"), ("kind", "bars"), ("dpi", "0")],
)
def test_options_that_cannot_be_are_refused(gateway: Gateway, option: str, value: str) -> None:
    result = plot(gateway, "US.AAPL", f"--{option}", value)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"--{option}" in result.stderr
    assert gateway.requests == []


def test_a_store_is_read_before_the_start_too(
    gateway: Gateway, tmp_path: Path, drawn: list[Any]
) -> None:
    url = f"{gateway.url}?limit=off"
    assert (
        futu_short("sync", "US.AAPL", "--store", "kept", "--gateway", url, cwd=tmp_path).returncode
        == 0
    )
    result = futu_short(
        "plot", "US.AAPL", "--store", "kept", "--as-of", "2100-01-01", "--start", "2024-10-10",
        "-o", "figure.png", cwd=tmp_path,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "figure.png\n")
    ((frame, options),) = drawn
    assert (len(frame), options.start) == (29, "2024-10-10")
