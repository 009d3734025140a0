from __future__ import annotations

import csv
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import intake
import pandas as pd
import pytest
from command_line import at_a_terminal, futu_short, with_closed_stdout
from gateway_peer import PATIENCE_S

import intake_futu_short
from intake_futu_short.cli import main
from intake_futu_short.errors import ConfigError
from intake_futu_short.gateway import Gateway, sample_histories

pytestmark = pytest.mark.compat

# Where pip puts it, which is on the PATH of an activated environment only. A process of its own is
# for what only a process shows; the other commands run in that of the tests.
FUTU_SHORT = str(Path(sysconfig.get_path("scripts"), "futu-short"))


def test_the_version_is_printed() -> None:
    result = futu_short("--version")
    assert intake_futu_short.__version__ in result.stdout


def test_an_error_of_ours_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_name: str) -> str:
        raise ConfigError("the words of the error")

    monkeypatch.setattr("intake_futu_short.store.FutuShortStore", fail)
    result = futu_short("check", "--store", "kept")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "Error: the words of the error\n"


def test_a_piped_read_is_csv_alone(tmp_path: Path) -> None:
    result = futu_short("read", "HK.00700", "--gateway", "sample://", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [row["timestamp_str"] for row in rows][::9] == ["2026-05-08", "2026-04-24"]
    assert rows[0]["last_close_price"] == "477.4"
    assert rows[0]["turnover"] == ""
    assert list(tmp_path.iterdir()) == []


def test_python_dash_m_reads_from_the_gateway_of_the_environment(tmp_path: Path) -> None:
    with Gateway(sample_histories()) as gateway:
        result = subprocess.run(
            [sys.executable, "-m", "intake_futu_short", "read", "US.AAPL", "--num", "10",
             "--start", "2024-10-01", "--end", "2024-10-04", "--max-pages", "1", "--timeout", "5"],
            capture_output=True, text=True, check=False, cwd=tmp_path,
            env={**os.environ, "FUTU_OPEND": gateway.url},
        )  # fmt: skip
        assert [request.num for request in gateway.requests] == [10]
    assert (result.returncode, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == 1 + 4


def test_an_empty_gateway_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUTU_OPEND", "sample://")
    result = futu_short("read", "HK.00700", "--gateway", "", "--store", "")
    assert (result.returncode, len(result.stdout.splitlines())) == (0, 11)


def test_the_three_kinds_of_files_hold_the_same_numbers(tmp_path: Path) -> None:
    for name in ("rows.csv", "rows.json", "rows.parquet"):
        result = futu_short("read", "US.AAPL", "--gateway", "sample://", "-o", str(tmp_path / name))
        assert (result.returncode, result.stdout) == (0, "")
        assert result.stderr == f"{tmp_path / name}: 29 rows, 2024-09-03 to 2024-10-11\n"
    with intake.open_futu_short("US.AAPL", gateway="sample://") as source:
        expected = source.read()
    parquet = pd.read_parquet(tmp_path / "rows.parquet")
    pd.testing.assert_frame_equal(parquet, expected, check_dtype=False)
    assert parquet.attrs["code"] == "US.AAPL"
    objects = json.loads((tmp_path / "rows.json").read_text())
    lines = list(csv.DictReader((tmp_path / "rows.csv").read_text().splitlines()))
    # A real price with nine decimals, as it stands in the archive of the call.
    assert objects[-1]["close_price"] == float(lines[-1]["close_price"]) == 221.112467562
    assert [list(row) for row in objects] == [list(row) for row in lines]
    assert [row["volume"] for row in objects] == [int(row["volume"]) for row in lines]


def test_several_codes_are_read_as_a_panel() -> None:
    panel = ["read", "US.AAPL", "US.SAMPLE", "--gateway", "sample://"]
    result = futu_short(*panel, "--max-pages", "1")
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [row["code"] for row in rows] == ["US.AAPL"] * 29 + ["US.SAMPLE"] * 50
    table = futu_short(*panel, "--format", "table")
    assert table.stdout.startswith("1,529 rows of 2 tickers, 20")


def test_several_gateways_share_the_work() -> None:
    with Gateway(sample_histories()) as one, Gateway(sample_histories()) as other:
        result = futu_short(
            "read", "US.SAMPLE", "US.AAPL", "--max-pages", "2",
            "--gateway", one.url, "--gateway", other.url,
        )  # fmt: skip
        assert len(one.requests) + len(other.requests) == 3
    assert (result.returncode, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == 1 + 2 * 50 + 29


def test_missing_values_are_null_in_json() -> None:
    result = futu_short("read", "HK.00700", "--gateway", "sample://", "--format", "json")
    row = json.loads(result.stdout)[0]
    assert row["last_close_price"] == 477.4
    assert row["turnover"] is row["shares_traded"] is None


def test_nothing_to_tell_is_an_empty_file_of_the_same_columns() -> None:
    arguments = ["read", "HK.00700", "--gateway", "sample://", "--end", "2000-01-01", "--format"]
    assert futu_short(*arguments, "json").stdout == "[]\n"
    assert futu_short(*arguments, "csv").stdout.startswith("timestamp,timestamp_s")
    assert futu_short(*arguments, "table").stdout.startswith("0 rows; reported")


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
def test_at_a_terminal_a_read_is_a_table(tmp_path: Path) -> None:
    code, lines = at_a_terminal("read", "HK.SAMPLE", "--gateway", "sample://", cwd=tmp_path)
    assert code == 0
    assert lines[0] == (
        "1,500 rows, 2020-05-13 to 2026-06-18; reported open short position 17,650,300 shares, "
        "0.88 %, as of 2026-06-05"
    )
    assert [line for line in lines if line.startswith("2026-06-18")]
    assert [line for line in lines if line.startswith("...")]
    assert len(lines) < 40


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
@pytest.mark.parametrize("command", ["read HK.SAMPLE --metrics --last 3", "rank US", "doctor"])
def test_nothing_is_wider_than_a_terminal_of_80_columns(command: str, tmp_path: Path) -> None:
    arguments = [*command.split(), "--gateway", "sample://"]
    code, lines = at_a_terminal(*arguments, cwd=tmp_path, columns=80)
    assert code == 0
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["read"], 2, "Name codes, or a --watchlist"),
        (["read", "US.AAPL", "--colour", "red"], 2, "--colour"),
        (["read", "US.AAPL", "-o", "rows.xlsx"], 2, ".csv, .json or .parquet"),
        (["read", "US.AAPL", "-o", "no/such/place/rows.csv"], 2, "no directory 'no/such/place'"),
        (["read", "US.AAPL", "-o", "none/rows", "--format", "csv"], 2, "no directory 'none'"),
        (["plot", "US.AAPL", "-o", "none/figure.png"], 2, "no directory 'none'"),
        (["read", "us.aapl"], 2, "'us.aapl' is not a code: expected a market and a symbol joined"),
        (["read", "us.aapl"], 2, "Did you mean 'US.AAPL'?"),
        (["read", "US.AAPL US.MSFT"], 2, "Several codes stand apart: US.AAPL US.MSFT."),
        (["read", "US.AAPL", "HK.00700"], 2, "US.AAPL and HK.00700 are of two markets"),
        (["plot", "US.AAPL", "HK.00700", "-o", "f.png"], 2, "are of two markets"),
        (["read", "US.AAPL", "--num", "51"], 2, "'--num': 51 is not in the range 1<=x<=50"),
        (["read", "US.AAPL", "--max-pages", "0"], 2, "'--max-pages'"),
        (["read", "US.AAPL", "--timeout", "0"], 2, "'--timeout'"),
        (["read", "US.AAPL", "--refresh", "nevr"], 2, "Did you mean 'never'?"),
        (["read", "US.AAPL", "--refresh", "never"], 2, "name it with --store"),
        (["read", "US.AAPL", "--start", "2026-02-30"], 2, "'2026-02-30' is not a day: write"),
        (["read", "US.AAPL", "--gateway", "http://h"], 2, "'--gateway'"),
        (["read", "US.AAPL", "--quiet", "-v"], 2, "--quiet and --verbose contradict"),
        (["-v", "read", "US.AAPL", "-q"], 2, "--quiet and --verbose contradict"),
        (["sync", "US.AAPL", "--store", "s", "--refresh", "never"], 2, "'--refresh'"),
        (["info"], 2, "--store"),
        (["read", "US.NOSUCH", "--gateway", "sample://"], 1, "Unknown stock"),
        (["plot", "US.AAPL"], 2, "-o"),
        (["sync", "US.AAPL"], 2, "--store"),
        (["sync", "--store", "memory://s"], 2, "Name codes, or a --watchlist"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_what_is_wrong_is_one_message_and_an_exit_code(
    arguments: list[str], code: int, says: str
) -> None:
    result = futu_short(*arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_an_error_goes_to_stderr_without_a_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    url = f"opend://127.0.0.1:{port}"
    result = futu_short("read", "US.AAPL", "--gateway", url, "-o", "rows.csv", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"no gateway answers at {url}" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interrupted_read_exits_by_130_without_a_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"opend://127.0.0.1:{server.getsockname()[1]}"
        with subprocess.Popen(
            [FUTU_SHORT, "read", "US.AAPL", "--gateway", url],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        ) as process:  # fmt: skip
            connection, _ = server.accept()  # now it waits for the handshake
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=PATIENCE_S) == ("", "Interrupted.\n")
            connection.close()
    assert process.returncode == 130


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
@pytest.mark.parametrize(
    "command", ["read US.SAMPLE --format json", "read US.AAPL --last 1", "doctor"]
)
def test_whoever_reads_our_output_may_stop(command: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [FUTU_SHORT, *command.split(), "--gateway", "sample://"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
def test_a_closed_standard_output_is_no_error(tmp_path: Path) -> None:
    result = subprocess.run(
        ["sh", "-c", f"exec '{FUTU_SHORT}' read HK.00700 --gateway sample:// >&-"],
        stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["doctor", "-h"], ["demo"]])
def test_nothing_needs_a_standard_output(arguments: list[str], tmp_path: Path) -> None:
    result = with_closed_stdout(*arguments, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


def test_waiting_for_the_limit_is_told(tmp_path: Path) -> None:
    with Gateway(sample_histories()) as gateway:
        url = f"{gateway.url}?limit=1/0.5"
        result = futu_short("read", "US.AAPL", "--num", "25", "--gateway", url, cwd=tmp_path)
    assert result.returncode == 0
    assert "allows 1 requests in 0.5 seconds" in result.stderr
    assert len(result.stdout.splitlines()) == 30


def test_what_a_command_sets_up_is_its_own(tmp_path: Path) -> None:
    root, ours = logging.getLogger(), logging.getLogger("intake_futu_short")
    before = (root.handlers[:], ours.level, sys.stdout, Path.cwd())
    assert futu_short("sync", "--store", "kept", cwd=tmp_path).returncode == 2
    assert (root.handlers[:], ours.level, sys.stdout, Path.cwd()) == before


def test_help_waits_neither_for_intake_nor_for_protobuf() -> None:
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from intake_futu_short.cli import main\n"
        "assert 'doctor' in CliRunner().invoke(main, ['--help']).output\n"
        "print('intake' in sys.modules, 'google.protobuf' in sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["False", "False"]


def test_metrics_are_more_columns() -> None:
    result = futu_short("read", "US.AAPL", "--gateway", "sample://", "--metrics")
    row = next(csv.DictReader(result.stdout.splitlines()))
    # The gateway's own daily_trade_avg_ratio of 2024-10-11 is 17.30 percent.
    assert row["timestamp_str"] == "2024-10-11"
    assert round(float(row["pooled_short_ratio_20"]), 4) == 0.173
    assert row["short_ratio"].startswith("0.149")


def test_a_figure_is_written_to_a_file(tmp_path: Path) -> None:
    result = futu_short(
        "plot", "US.AAPL", "--gateway", "sample://", "--start", "2024-10-01", "-o", "figure.png",
        cwd=tmp_path, env={"DISPLAY": ""},
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, "")
    note, path = result.stderr.splitlines()
    assert note.startswith("No series of open positions: the gateway has none of US.AAPL")
    assert path == "figure.png"
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_of_another_kind_is_refused_before_anything_is_read() -> None:
    result = futu_short("plot", "US.AAPL", "-o", "figure.xyz")
    assert (result.returncode, result.stdout) == (2, "")
    assert ".png, .pdf or .svg" in result.stderr


def test_without_matplotlib_nothing_is_asked_for_a_figure(tmp_path: Path) -> None:
    # In the tests' process it is imported already.
    code = (
        "import sys\nsys.modules['matplotlib'] = None\n"
        "from intake_futu_short.cli import main\nmain()\n"
    )
    with Gateway(sample_histories()) as gateway:
        result = subprocess.run(
            [sys.executable, "-c", code, "plot", "US.AAPL", "--gateway", gateway.url,
             "-o", "figure.png"],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert gateway.requests == []
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: plots need matplotlib (")
    assert result.stderr.endswith("pip install matplotlib\n")


def test_whatever_can_be_read_can_be_drawn() -> None:
    read, plot = (
        {option.name for option in main.commands[name].params} for name in ("read", "plot")
    )
    assert read - plot <= {"metrics", "form", "columns", "what"}
    result = futu_short(
        "plot", "US.AAPL", "--rsa-key", "lost.pem", "--gateway", "sample://", "-o", "figure.png"
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "Error: --rsa-key 'lost.pem': No such file or directory\n"


def test_a_store_is_synced_and_read_again_without_a_gateway(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("HK.00700\nUS.AAPL\n")
    with Gateway(sample_histories()) as gateway:
        url = f"{gateway.url}?limit=off"
        result = futu_short(
            "sync", "US.SAMPLE", "--watchlist", "list.txt", "--store", "kept", "--gateway",
            url, cwd=tmp_path,
        )  # fmt: skip
        assert (result.returncode, result.stderr) == (0, "")
        table = list(csv.DictReader(result.stdout.splitlines()))
        assert {row["code"]: row["rows"] for row in table} == {
            "US.SAMPLE": "1500", "HK.00700": "10", "US.AAPL": "29",
        }  # fmt: skip
        asked = len(gateway.requests)
        again = futu_short(
            "read", "US.AAPL", "--store", "kept", "--refresh", "never", "--gateway", url,
            cwd=tmp_path,
        )  # fmt: skip
        assert (again.returncode, again.stderr) == (0, "")
        assert len(again.stdout.splitlines()) == 30
        assert len(gateway.requests) == asked


def test_a_ticker_that_cannot_be_synced_leaves_the_others_and_an_exit_code(tmp_path: Path) -> None:
    result = futu_short(
        "sync", "US.NOSUCH", "US.AAPL", "--store", "kept", "--gateway", "sample://", cwd=tmp_path
    )
    assert result.returncode == 3
    assert result.stderr.startswith("Error: US.NOSUCH (newest page) from sample://: ")
    failed, synced = csv.DictReader(result.stdout.splitlines())
    assert "Unknown stock" in failed["error"]
    assert (synced["rows"], synced["error"]) == ("29", "")


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
def test_at_a_terminal_what_failed_stands_below_the_table(tmp_path: Path) -> None:
    code, lines = at_a_terminal(
        "sync", "US.NOSUCH", "US.AAPL", "--store", "kept", "--gateway", "sample://", cwd=tmp_path
    )
    assert code == 3
    assert [line.split()[0] for line in lines[:3]] == ["code", "US.NOSUCH", "US.AAPL"]
    assert lines[-1].startswith("Error: US.NOSUCH")
    assert max(map(len, lines[:3])) < 80


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        (b"US.AAPL\nHK.00700 # ours\n", 0, "HK.00700,"),
        (b"\xef\xbb\xbfUS.AAPL\r", 0, "US.AAPL,"),
        (b"", 2, "watchlist - holds no codes"),
        ("US.AAPL # \u817e\u8baf\n".encode("gbk"), 2, "GBK"),
        (None, 2, "watchlist '-' is standard input, which is closed"),
    ],
)
def test_codes_come_from_standard_input(
    given: bytes | None, code: int, says: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "intake_futu_short", "sync", "--watchlist", "-"]
    command += ["--store", str(tmp_path / "kept"), "--gateway", "sample://"]
    if given is None:  # the shell closes it before the command starts
        command = ["sh", "-c", 'exec "$@" <&-', "sh", *command]
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    assert done.returncode == code, done.stderr
    assert says in (done.stderr if code else done.stdout).decode()
    assert b"Traceback" not in done.stderr
