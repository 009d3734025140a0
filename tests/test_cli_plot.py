"""``futu-short plot``: what it reads, and what it draws into a file."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

import matplotlib.image
import pytest
from command_line import futu_short
from figures import labels, line
from interest_frames import sample_interest
from matplotlib.figure import Figure

from intake_futu_short import plotting
from intake_futu_short.calls import SHORT_INTEREST
from intake_futu_short.gateway import Gateway
from intake_futu_short.gateway.histories import History, sample_histories
from intake_futu_short.security import Security

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
        # One more asks for open positions, of which this gateway knows none.
        assert len(gateway.requests) - before == pages + 1, arguments
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
    assert result.returncode == 0
    note, path = result.stderr.splitlines()
    assert note.startswith("No series of open positions: cannot read ")
    assert note.endswith("Sync the ticker first")
    assert path == "figure.png"
    ((frame, options),) = drawn
    assert (len(frame), options.start, options.positions) == (29, "2024-10-10", None)


# --- open positions


@pytest.fixture
def family() -> Iterator[Gateway]:
    """A gateway with reports of both markets, 60 each, and none of US.AAPL."""
    reports = {}
    for code in ("HK.SAMPLE", "US.SAMPLE"):
        table = sample_interest(code).astype(object)
        rows: Any = table.where(table.notna(), None).to_dict("records")
        reports[code] = History(Security.parse(code), rows, call=SHORT_INTEREST)
    empty = Security.parse("HK.00700")
    reports["HK.00700"] = History(empty, [], call=SHORT_INTEREST)
    with Gateway(sample_histories(), short_interest=reports) as served:
        yield served


@pytest.mark.parametrize("code", ["HK.SAMPLE", "US.SAMPLE"])
def test_open_positions_are_a_third_panel(
    family: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    figures: list[Any] = []

    def savefig(figure: Any, *_: Any, **__: Any) -> None:
        figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", savefig)
    result = plot(family, code, "--start", "2026-05-01", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "figure.png\n")
    (figure,) = figures
    third = figure.axes[2]
    (label,) = labels(third)
    who = {"HK": "the SFC", "US": "FINRA (inferred)"}[code[:2]]
    assert f"published by {who}, from its publication on; newest: 17,650,300 shares" in label
    assert len(line(third, third.lines[0].get_label())) > 3


def test_no_more_reports_are_asked_for_than_can_be_drawn(family: Gateway, drawn: list[Any]) -> None:
    assert plot(family, "HK.SAMPLE", "--start", "2026-06-15").returncode == 0
    ((frame, options),) = drawn
    first = dt.date.fromisoformat(frame["timestamp_str"].min())
    assert options.positions.attrs["code"] == "HK.SAMPLE"
    as_of = [dt.date.fromisoformat(day) for day in options.positions["timestamp_str"]]
    # Weekly, and one of them at least was published before the first row.
    assert first - dt.timedelta(days=60) <= min(as_of) < first - dt.timedelta(days=50)
    drawn.clear()
    for arguments in (["US.SAMPLE", "US.AAPL"], ["US.SAMPLE", "--kind", "heatmap"]):
        assert plot(family, *arguments, "--last", "5").stderr == "figure.png\n"
        assert drawn.pop()[1].positions is None


@pytest.mark.parametrize(
    ("code", "note"),
    [
        (
            "US.AAPL",
            r"No series of open positions: the gateway has none of US\.AAPL; it says "
            r"'Unknown stock\. AAPL'",
        ),
        ("HK.00700", r"No series of open positions: none of HK\.00700 are reported"),
    ],
)
def test_a_gateway_that_has_none_leaves_the_panel_out(
    family: Gateway, tmp_path: Path, code: str, note: str
) -> None:
    result = plot(family, code, cwd=tmp_path)
    said, path = result.stderr.splitlines()
    assert (result.returncode, path) == (0, "figure.png")
    assert re.fullmatch(note, said)
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_a_store_has_them_without_a_gateway(
    family: Gateway, tmp_path: Path, drawn: list[Any]
) -> None:
    kept = ("HK.SAMPLE", "--store", "kept", "--start", "2026-05-01")
    assert plot(family, *kept, cwd=tmp_path).stderr == "figure.png\n"
    asked = len(family.requests)
    for more in (["--refresh", "never"], ["--as-of", "2100-01-01"]):
        result = futu_short("plot", *kept, *more, "-o", "figure.png", cwd=tmp_path)
        assert (result.returncode, result.stderr) == (0, "figure.png\n")
    assert len(family.requests) == asked
    first, *others = [set(options.positions["timestamp_str"]) for _, options in drawn]
    assert len(first) > 5
    # As of a moment all that is stored before the start is read, for the windows.
    assert first == others[0] <= others[1]
