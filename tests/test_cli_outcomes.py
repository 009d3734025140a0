"""How commands end: exit codes, what they say of it, and in whose words."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from command_line import at_a_terminal, futu_short
from gateway_peer import PATIENCE_S
from second_gateway import INIT_CONNECT, Exchange, SecondGateway
from second_rows import History, make_rows

from intake_futu_short import FutuShortStore
from intake_futu_short.cli import main, tables
from intake_futu_short.gateway import Gateway, sample_histories

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.compat

terminals = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

# How Python names arguments (a path of a store has market=US), and attributes of errors.
PYTHON = re.compile(r"(?<!/)\b[a-z_]+=|`failures`|`partial`")


@pytest.fixture(autouse=True)
def _sample(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FUTU_OPEND", "sample://")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("synced") / "kept"
    done = futu_short(
        *("sync", "US.AAPL", "US.SAMPLE", "HK.SAMPLE", "--store", str(store)),
        *("--gateway", "sample://"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    return store


@pytest.fixture
def kept(synced: Path, tmp_path: Path) -> str:
    """A store of this test's own, in its directory."""
    return shutil.copytree(synced, tmp_path / "kept").name


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# -- some tickers failed ----------------------------------------------------------------------


def test_one_unknown_ticker_costs_no_other_its_rows() -> None:
    result = futu_short("read", "US.AAPL", "US.NOSUCH", "US.SAMPLE", "--last", "2")
    assert result.returncode == 3
    assert [row["code"] for row in table(result.stdout)] == ["US.AAPL"] * 2 + ["US.SAMPLE"] * 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: US.NOSUCH ")
    assert "Unknown stock" in line
    assert not PYTHON.search(line)


def test_a_figure_shows_the_tickers_that_could_be_read() -> None:
    result = futu_short("plot", "US.AAPL", "US.NOSUCH", "US.SAMPLE", "-o", "figure.png")
    assert (result.returncode, result.stdout) == (3, "")
    path, line = result.stderr.splitlines()
    assert path == "figure.png"
    assert line.startswith("Error: US.NOSUCH ")
    assert Path("figure.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "command",
    [["read"], ["sync", "--store", "other"], ["plot", "-o", "figure.png"],
     ["read", "--store", "kept", "--as-of", "2100-01-01"]],
)  # fmt: skip
def test_nothing_of_any_ticker_is_1(command: list[str], kept: str) -> None:
    result = futu_short(*command, "US.NOSUCH", "US.NEITHER")
    assert result.returncode == 1
    first, second = sorted(result.stderr.splitlines())
    assert "US.NEITHER" in first
    assert "US.NOSUCH" in second
    assert not PYTHON.search(result.stderr)
    assert not Path("figure.png").exists()
    assert kept


def test_no_rows_are_1_and_an_empty_table() -> None:
    result = futu_short("read", "US.AAPL", "--end", "2000-01-01")
    assert (result.returncode, len(result.stdout.splitlines())) == (1, 1)
    assert result.stderr == "There are no rows of these tickers and days.\n"


def test_what_is_stored_of_the_others_is_read_and_listed(kept: str) -> None:
    past = ("read", "US.AAPL", "US.NOSUCH", "--store", kept, "--as-of", "2100-01-01")
    result = futu_short(*past)
    assert result.returncode == 3
    assert {row["code"] for row in table(result.stdout)} == {"US.AAPL"}
    assert "US.NOSUCH" in result.stderr
    file = next(each for each in Path(kept).rglob("*.parquet") if "US.SAMPLE" in str(each))
    file.write_bytes(b"damaged")
    result = futu_short("info", "--store", kept)
    assert result.returncode == 3
    assert [row["code"] for row in table(result.stdout)] == ["HK.SAMPLE", "US.AAPL"]
    assert "US.SAMPLE" in result.stderr
    assert not PYTHON.search(result.stderr)


# -- the words of the command line ------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["read", "US.AAPL", "--store", "none", "--refresh", "never"], "--refresh auto asks"),
        (["read", "US.AAPL", "--start", "2026-01-02", "--end", "2026-01-01"],
         "--start (2026-01-02) is after --end"),
        (["read", "US.AAPL", "--gateway", "opend://127.0.0.1:9"], "--gateway sample:// serves"),
        (["screen", "--store", "kept"], "--market HK"),
        (["screen", "--store", "kept", "--market", "US", "--by", "nothing"], "--by: there is no"),
        (["read", "US.AAPL", "--rsa-key", "lost.pem"], "--rsa-key 'lost.pem'"),
        (["sync", "--watchlist", "rank://US", "--store", "s", "--gateway", "http://h"],
         "Invalid value for '--gateway'"),
        (["read", "--watchlist", "rank://US", "--store", "s", "--refresh", "never"],
         "--refresh never asks none"),
        (["read", "--watchlist", "lost.txt"], "--watchlist 'lost.txt': there is no such file"),
        (["rank", "--plate", "plate"], "Invalid value for '--plate': 'plate' is not a code"),
        (["rank", "US", "--plate", "HK.LIST1"], "--plate names HK.LIST1"),
        (["plot", *(f"US.T{i}" for i in range(13)), "-o", "f.png", "--kind", "panels"],
         "--kind heatmap"),
    ],
)  # fmt: skip
def test_errors_name_options_and_no_arguments_of_python(
    arguments: list[str], words: str, kept: str
) -> None:
    result = futu_short(*arguments)
    assert result.returncode in {1, 2}
    assert words in result.stderr
    assert not PYTHON.search(result.stderr), result.stderr
    assert kept


def test_what_the_library_says_is_python_again_afterwards() -> None:
    futu_short("read", "US.AAPL", "--refresh", "never")
    with pytest.raises(ValueError, match=r"start \(2026-01-02\) is after end"):
        FutuShortStore("s").read("US.AAPL", start="2026-01-02", end="2026-01-01")


# -- columns, sessions and lists --------------------------------------------------------------


def test_columns_are_chosen_in_their_order() -> None:
    read = ("read", "US.AAPL", "--last", "1")
    result = futu_short(*read, "--columns", "volume, short_percent", "--columns", "close_price")
    assert result.stdout.splitlines() == [
        "timestamp_str,volume,short_percent,close_price", "2024-10-11,31759188,14.945,225.856901709"
    ]  # fmt: skip
    result = futu_short(*read, "--metrics", "--columns", "pooled_short_ratio_20,volume")
    assert result.stdout.splitlines()[0] == "timestamp_str,pooled_short_ratio_20,volume"
    result = futu_short(*read, "US.SAMPLE", "--columns", "volume", "-o", "rows.parquet")
    assert pd.read_parquet("rows.parquet").columns.tolist() == ["code", "timestamp_str", "volume"]


def test_a_column_that_is_none_is_answered_with_those_there_are() -> None:
    with Gateway(sample_histories()) as gateway:
        read = ("read", "US.AAPL", "--gateway", gateway.url, "--columns")
        wrong = futu_short(*read, "turnover")
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert "Invalid value for '--columns': There is no column 'turnover'." in wrong.stderr
        assert "There are: timestamp, timestamp_str, total_shares_short, " in wrong.stderr
        metric = futu_short(*read, "short_ratio_mean_20")
        assert "It comes with --metrics." in metric.stderr
        unknown = futu_short(*read, "short_ratio_mean_7", "--metrics")
        assert "short_ratio_mean_5" in unknown.stderr
        assert gateway.requests == []


def test_a_watchlist_names_tickers_to_read_and_to_draw() -> None:
    Path("list.txt").write_text("US.SAMPLE\n")
    read = futu_short("read", "US.AAPL", "--watchlist", "list.txt", "--last", "1")
    assert [row["code"] for row in table(read.stdout)] == ["US.AAPL", "US.SAMPLE"]
    alone = futu_short("read", "--watchlist", "list.txt", "--last", "1")
    assert [row["code"] for row in table(alone.stdout)] == ["US.SAMPLE"]
    ranked = futu_short("read", "--watchlist", "rank://US?rows=1", "--last", "1")
    assert [row["code"] for row in table(ranked.stdout)] == ["US.AAPL"]
    drawn = futu_short("plot", "US.AAPL", "--watchlist", "list.txt", "-o", "figure.png")
    assert (drawn.returncode, drawn.stderr) == (0, "figure.png\n")
    piped = subprocess.run(
        [sys.executable, "-m", "intake_futu_short", "read", "--watchlist", "-", "--last", "1"],
        input="US.AAPL\nUS.SAMPLE\n", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert [row["code"] for row in table(piped.stdout)] == ["US.AAPL", "US.SAMPLE"]


def test_last_is_the_newest_sessions_of_each_ticker_everywhere(kept: str) -> None:
    newest = ["2026-06-18", "2026-06-17", "2026-06-16"]
    read = futu_short("read", "US.SAMPLE", "--last", "3", "--metrics")
    assert [row["timestamp_str"] for row in table(read.stdout)] == newest
    screen = ("screen", "--store", kept, "--market", "US")
    shown = table(futu_short(*screen, "--last", "3").stdout)
    assert [row["date"] for row in shown] == newest
    assert [row["sessions_behind"] for row in shown] == ["0", "1", "2"]
    # The windows look back as far as those of the whole history do.
    for mine, whole in zip(shown, table(read.stdout), strict=True):
        for name in ("short_ratio", "short_ratio_zscore_20", "short_ratio_rank_5"):
            assert float(mine[name]) == pytest.approx(float(whole[name]))
    assert shown[:1] == table(futu_short(*screen).stdout)
    assert len(table(futu_short(*screen, "--last", "all").stdout)) == 1500
    by = table(futu_short(*screen, "--last", "2", "--by", "short_ratio_mean_60").stdout)
    assert all(row["short_ratio_mean_60"] for row in by)
    for last, points in (("5", 4), ("all", 1499)):
        assert futu_short(*screen, "--last", last, "-o", "page.html").returncode == 0
        page = Path("page.html").read_text("utf-8")
        row = page.split('data-value="US.SAMPLE"')[1]
        assert row.split('class="line" d="')[1].split('"')[0].count("L") == points
        assert f"last {points + 1} sessions" in page


# -- info, and tables alike -------------------------------------------------------------------


def test_info_lists_what_is_kept(kept: str) -> None:
    result = futu_short("info", "--store", kept)
    assert (result.returncode, result.stderr) == (0, "")
    rows = table(result.stdout)
    assert [(row["code"], row["rows"], row["last"], row["complete"]) for row in rows] == [
        ("HK.SAMPLE", "1500", "2026-06-18", "True"), ("US.AAPL", "29", "2024-10-11", "True"),
        ("US.SAMPLE", "1500", "2026-06-18", "True"),
    ]  # fmt: skip
    only = futu_short("info", "--store", kept, "--market", "HK")
    assert [row["code"] for row in table(only.stdout)] == ["HK.SAMPLE"]
    none = futu_short("info", "--store", kept, "--what", "short_interest")
    assert none.returncode == 1
    assert "no short interest is kept there" in none.stderr
    assert futu_short("info", "--store", kept, "--market", "XX").returncode == 2


@terminals
def test_numbers_of_tables_are_aligned_and_have_separators(kept: str) -> None:
    code, lines = at_a_terminal("info", "--store", kept)
    assert code == 0
    assert lines[0].split() == [
        "code",
        "rows",
        "first",
        "last",
        "complete",
        "checked",
        "size_bytes",
    ]
    assert re.fullmatch(
        r"HK\.SAMPLE  1,500  [-0-9]{10}  2026-06-18       yes  [-0-9]{10} [:0-9]{5} +\d\d,\d{3}",
        lines[1],
    )
    assert lines[2].startswith("US.AAPL       29  2024-09-03")
    assert len({len(line) for line in lines}) == 1
    _, lines = at_a_terminal("sync", "US.AAPL", "US.NOSUCH", "US.SAMPLE", "--store", "new")
    assert lines[1:4] == [
        "US.AAPL       29        29         1        0       yes",
        "US.NOSUCH      -         -         -        -         -",
        "US.SAMPLE  1,500     1,500        31        0       yes",
    ]
    _, lines = at_a_terminal("read", "US.AAPL", "--columns", "volume,short_percent", "--last", "2")
    assert lines[2:] == [
        "timestamp_str      volume  short_percent",
        "2024-10-11     31,759,188         14.945",
        "2024-10-10     28,183,544         14.359",
    ]
    assert "31759188" in futu_short("read", "US.AAPL", "--last", "1").stdout


def test_wide_tables_go_on_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = futu_short("read", "US.AAPL", "US.SAMPLE", "--format", "table", "--last", "30")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    heads = [line.split() for line in lines if line.startswith("code")]
    assert len(heads) > 1
    assert all(head[:2] == ["code", "timestamp_str"] for head in heads)
    assert sum(line.startswith("...") for line in lines) == len(heads)


# -- loud and quiet ---------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["before", "after"])
def test_quiet_is_the_rows_and_the_errors_alone(where: str) -> None:
    def quiet(*arguments: str) -> subprocess.CompletedProcess[str]:
        return futu_short(*(["-q", *arguments] if where == "before" else [*arguments, "--quiet"]))

    written = quiet("read", "US.AAPL", "-o", "rows.csv")
    assert (written.returncode, written.stdout, written.stderr) == (0, "", "")
    assert len(quiet("read", "US.AAPL").stdout.splitlines()) == 30
    synced = quiet("sync", "US.AAPL", "US.SAMPLE", "--store", "kept")
    assert (synced.returncode, synced.stdout, synced.stderr) == (0, "", "")
    failed = quiet("sync", "US.AAPL", "US.NOSUCH", "--store", "kept")
    assert (failed.returncode, failed.stdout) == (3, "")
    assert failed.stderr.startswith("Error: US.NOSUCH")
    checked = quiet("check", "--store", "kept")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    next(Path("kept").rglob("*US.AAPL/*.parquet")).write_bytes(b"damaged")
    unsound = quiet("check", "--store", "kept")
    assert (unsound.returncode, unsound.stdout) == (3, "")
    assert unsound.stderr.startswith("Error: US.AAPL: ")
    with Gateway(sample_histories()) as gateway:
        url = f"{gateway.url}?limit=1/0.2"
        waited = quiet("read", "US.AAPL", "--num", "25", "--gateway", url)
    assert (waited.returncode, waited.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["-v", "read", "US.AAPL"], ["read", "US.AAPL", "-v"]])
def test_verbose_tells_of_each_request(arguments: list[str]) -> None:
    result = futu_short(*arguments, "--num", "20", "--last", "1")
    assert (result.returncode, len(result.stdout.splitlines())) == (0, 2)
    asked = [line for line in result.stderr.splitlines() if " asked sample:// for US.AAPL" in line]
    answered = [line for line in result.stderr.splitlines() if " answered for US.AAPL" in line]
    assert len(asked) == len(answered) == 2
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", line) for line in asked)
    assert " asked " not in futu_short("read", "US.AAPL").stderr


# -- Ctrl-C -----------------------------------------------------------------------------------


@pytest.fixture
def stuck() -> Iterator[SecondGateway]:
    """A gateway that answers of US.A all there is, of US.B one page, and then nothing more."""

    def script(exchange: Exchange) -> None:
        query = exchange.query
        if exchange.proto_id == INIT_CONNECT or query is None or query.next_key is None:
            exchange.send(exchange.answer)

    histories = {
        "US.A": History("US", make_rows("US", 5)),
        "US.B": History("US", make_rows("US", 90)),
    }
    with SecondGateway(histories, script) as gateway:
        yield gateway


def interrupted(gateway: SecondGateway, *arguments: str) -> tuple[int, str, str]:
    with subprocess.Popen(
        [sys.executable, "-m", "intake_futu_short", *arguments, "--gateway", gateway.url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ},
    ) as process:  # fmt: skip
        try:
            gateway.wait_until(lambda: any(query.next_key for query in gateway.queries))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    return process.returncode, out, err


@posix
def test_an_interrupted_sync_says_what_is_done_and_that_it_goes_on(stuck: SecondGateway) -> None:
    assert interrupted(stuck, "sync", "US.A", "US.B", "--store", "kept") == (
        130, "",
        "Interrupted. 1 of 2 tickers are done. What came of the rest is also kept in kept, "
        "and the next sync goes on from there.\n",
    )  # fmt: skip
    kept = FutuShortStore("kept").info().set_index("code")
    assert kept["rows"].to_dict() == {"US.A": 5, "US.B": 50}
    assert kept["complete"].to_dict() == {"US.A": True, "US.B": False}


@posix
def test_an_interrupted_read_says_what_its_store_keeps(stuck: SecondGateway) -> None:
    assert interrupted(stuck, "read", "US.B", "--store", "kept", "-o", "rows.csv") == (
        130, "",
        "Interrupted. What came is kept in kept, and the next read goes on from there.\n",
    )  # fmt: skip
    assert FutuShortStore("kept").info()["rows"].tolist() == [50]
    assert not Path("rows.csv").exists()


# -- help and completion ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["re"], {"read"}),
        (["read", "--refresh", ""], {"auto", "always", "full", "never"}),
        (["sync", "--refresh", ""], {"auto", "always", "full"}),
        (["rank", "--by", "days"], {"days_to_cover"}),
        (["rank", ""], {"US", "HK"}),
        (["info", "--what", ""], {"short_volume", "short_interest"}),
        (["screen", "--market", "H"], {"HK"}),
        (["plot", "--kind", ""], {"panels", "heatmap"}),
        (["read", "--last", ""], {"all"}),
        (["read", "--col"], {"--columns"}),
    ],
)
def test_a_shell_completes(words: list[str], expected: set[str]) -> None:
    done = futu_short_completing(words)
    kinds = [line.partition(",") for line in done.splitlines()]
    assert {value for _, _, value in kinds} == expected


@pytest.mark.parametrize(
    ("option", "kind"), [("--store", "dir"), ("--rsa-key", "file"), ("-o", "file")]
)
def test_a_shell_completes_paths(option: str, kind: str) -> None:
    assert futu_short_completing(["read", option, "x"]) == f"{kind},x\n"


def futu_short_completing(words: list[str]) -> str:
    """What the completion of bash asks for the last of some words."""
    line = ["futu-short", *words]
    done = futu_short(
        env={
            "_FUTU_SHORT_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(line),
            "COMP_CWORD": str(len(line) - 1),
        }
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_command_takes_the_options_of_all() -> None:
    for name, command in main.commands.items():
        options = {option for each in command.params for option in each.opts}
        assert {"-v", "--verbose", "-q", "--quiet"} <= options, name


def test_a_directory_that_cannot_be_is_called_one() -> None:
    if not Path("/proc/self").exists():
        pytest.skip("no /proc")
    result = futu_short("sync", "US.AAPL", "--store", "/proc/nowhere")
    assert result.returncode == 1
    assert "Does that directory exist?" in result.stderr
    assert "bucket" not in result.stderr


def test_large_numbers_have_no_decimals_in_a_table() -> None:
    frame = pd.DataFrame(
        {"implied_shares": [2_005_715_909.0909, float("nan")], "close": [100_000.5, 9.25]}
    )
    assert tables.table(frame).splitlines() == [
        "implied_shares       close",
        " 2,005,715,909  100,000.50",
        "             -        9.25",
    ]
