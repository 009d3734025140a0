"""``futu-short doctor --record``: what is asked, what the file holds, and what it does not."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_line import futu_short
from second_cipher import AES_CBC, SecondCipher
from second_gateway import (
    PATIENCE_S,
    SHORT_SELLING_RANK,
    Exchange,
    SecondGateway,
    frame,
    obliging,
    refusal_body,
    sha1_of,
    silent_after_the_handshake,
)
from second_rows import DAILY_SHORT_VOLUME, SHORT_INTEREST
from second_rows import History as SecondHistory

import intake_futu_short
from intake_futu_short import calls
from intake_futu_short.gateway import Gateway, History
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable

FUTU_SHORT = str(Path(sysconfig.get_path("scripts"), "futu-short"))
VOLUME_OF, INTEREST_OF = "daily short volume of", "short interest of"
RANK_OF = "short-selling rank of"
TITLES = [
    f"{VOLUME_OF} US.AAPL: newest page, num=2",
    f"{VOLUME_OF} US.AAPL: page after that of answer 1, num=2",
    f"{VOLUME_OF} HK.00700: newest page, num=25",
    f"{VOLUME_OF} US.AAPL: next_key='-1', num=2",
    f"{VOLUME_OF} US.AAPL: the cursor of answer 3, which is HK.00700's, num=2",
    f"{VOLUME_OF} US.AAPL: next_key='no-such-cursor', num=2",
    f"{VOLUME_OF} US.AAPL: newest page, num=51",
    f"{VOLUME_OF} US.AAPL: newest page, num=0",
    f"{VOLUME_OF} US.NOSUCHCODE: newest page, num=2",
    f"{INTEREST_OF} US.AAPL: newest page, num=10",
    f"{INTEREST_OF} HK.00700: newest page, num=10",
    f"{RANK_OF} US by short ratio: first rows, count=35",
    f"{RANK_OF} HK by short ratio: first rows, count=35",
    f"{RANK_OF} US by short ratio: rows beyond the last, count=35",
    f"{RANK_OF} US by short ratio: plate US.NOSUCHPLATE, count=35",
]
CALLS = [3248] * 9 + [3249] * 2 + [3415] * 4


def history(code: str, *rows: dict[str, Any], call: calls.Call = calls.SHORT_VOLUME) -> History:
    return History(Security.parse(code), rows, call=call)


# The last of them is the oldest. HK has a page of 25 rows and no more.
US_ROWS = [
    {"timestamp": 1781755200, "timestamp_str": "2026-06-18", "volume": 900, "close_price": 1.5},
    {"timestamp": 1781668800, "timestamp_str": "2026-06-17", "volume": 0},
    {"timestamp": 1781582400, "timestamp_str": "2026-06-16", "volume": 700},
    {"timestamp": 1781496000, "timestamp_str": "2026-06-15", "volume": 600},
    {"timestamp": 1781236800, "timestamp_str": "2026-06-12", "volume": 500},
]
HK_ROWS: list[dict[str, Any]] = [
    {"timestamp_str": f"2026-04-{day:02}", "turnover": 8.25, "shares_traded": day}
    for day in range(25, 0, -1)
]
REPORTS = {
    "US.AAPL": history(
        "US.AAPL",
        {"timestamp_str": "2026-05-29", "shares_short": 130, "days_to_cover": 2.5},
        {"timestamp_str": "2026-05-15", "shares_short": 120},
        call=calls.SHORT_INTEREST,
    ),
    "HK.00700": history(
        "HK.00700",
        {"timestamp_str": "2026-04-30", "aggregated_short": 51480638},
        call=calls.SHORT_INTEREST,
    ),
}


def gateway_of_ours(**options: Any) -> Gateway:
    hk = History(
        Security.parse("HK.00700"), HK_ROWS, aggregated_short=51480638, new_time_str="2026-04-30"
    )
    histories = {"US.AAPL": history("US.AAPL", *US_ROWS), "HK.00700": hk}
    return Gateway(histories, short_interest=REPORTS, **options)


def record(folder: Path, url: str, *more: str) -> dict[str, Any]:
    """The record of a gateway; the command succeeds and leaves nothing else."""
    result = futu_short("doctor", "--gateway", url, "--record", "r.json", *more, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert [file.name for file in folder.iterdir()] == ["r.json"]
    content: dict[str, Any] = json.loads((folder / "r.json").read_bytes().decode("ascii"))
    return content


def without_times(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answers without their milliseconds, each a whole number."""
    for answer in answers:
        assert type(answer.pop("ms", 0)) is int
    return answers


def refused(words: str) -> dict[str, Any]:
    return {"came": "refusal", "ret_type": -1, "err_code": 0, "text": words}


def all_but(columns: list[str], rows: int) -> dict[str, list[int]]:
    return {name: list(range(rows)) for name in columns}


def cursor(pattern: str, *others: str) -> dict[str, Any]:
    """A cursor of our gateway: a day of ten characters and five bytes behind it, as base64."""
    return {
        "length": 20,
        "characters": ["digits", "lower case", "upper case", *others],
        "pattern": pattern,
        "reads_as": ["base64 of 15 bytes"],
    }


NEVER_SENT_US = [
    "total_shares_short", "nasdaq_shares_short", "nyse_shares_short", "short_percent",
]  # fmt: skip
NO_MORE_OF_US = ["last_close_price", "daily_trade_avg_ratio"]
OF_OUR_GATEWAY: list[dict[str, Any]] = [
    {
        "came": "answer", "rows": 2, "newest": "2026-06-18", "oldest": "2026-06-17",
        "next_key": cursor("AaAaAa0aAa0aA00_aAaa", "_"),
        "absent_in_rows": {
            **all_but(NEVER_SENT_US, 2), "close_price": [1], **all_but(NO_MORE_OF_US, 2),
        },
        "values": US_ROWS[:2],
    },
    {
        "came": "answer", "rows": 2, "newest": "2026-06-16", "oldest": "2026-06-15",
        "next_key": cursor("AaAaAa0aAa0aAAaAaaa0"),
        "absent_in_rows": all_but([*NEVER_SENT_US, "close_price", *NO_MORE_OF_US], 2),
        "values": US_ROWS[2:4],
    },
    {
        "came": "answer", "rows": 25, "newest": "2026-04-25", "oldest": "2026-04-01",
        "next_key": cursor("AaAaAa0aAA0aAaAAAAaa"),
        "beside_the_rows": {"aggregated_short": 51480638, "new_time_str": "2026-04-30"},
        "absent_in_rows": all_but(
            ["timestamp", "short_sell_shares_traded", "short_sell_turnover", "open_price",
             "close_price", "last_close_price", "daily_trade_avg_ratio"], 25,
        ),
        "values": HK_ROWS,
    },
    {
        "came": "answer", "rows": 0, "newest": None, "oldest": None, "next_key": "-1",
        "absent_in_rows": {}, "values": [],
    },
    refused("invalid nextKey"),
    refused("invalid nextKey"),
    refused("num must be from 1 to 50, not 51"),
    refused("num must be from 1 to 50, not 0"),
    refused("Unknown stock. NOSUCHCODE"),
    {
        "came": "answer", "rows": 2, "newest": "2026-05-29", "oldest": "2026-05-15",
        "next_key": "-1",
        "absent_in_rows": {
            **all_but(["timestamp", "short_percent", "avg_daily_share_volume"], 2),
            "days_to_cover": [1],
            **all_but(["close_price", "last_close_price"], 2),
        },
        "values": [
            {"timestamp_str": "2026-05-29", "shares_short": 130, "days_to_cover": 2.5},
            {"timestamp_str": "2026-05-15", "shares_short": 120},
        ],
    },
    {
        "came": "answer", "rows": 1, "newest": "2026-04-30", "oldest": "2026-04-30",
        "next_key": "-1",
        "absent_in_rows": all_but(
            ["timestamp", "aggregated_short_ratio", "close_price", "last_close_price"], 1
        ),
        "values": [{"timestamp_str": "2026-04-30", "aggregated_short": 51480638}],
    },
]  # fmt: skip


def test_a_record_of_our_own_gateway_is_read_in_full(tmp_path: Path) -> None:
    with gateway_of_ours() as gateway:
        found = record(tmp_path, gateway.url)
        # What it asks for on 3415 is in the record of the second gateway.
        pages = [(r.code, r.next_key, r.num) for r in gateway.requests][:11]
    answers = found.pop("answers")
    asked_utc, calendar = found.pop("asked_utc"), found.pop("calendar")
    assert found == {
        "record": 1,
        "package": intake_futu_short.__version__,
        "server_version": 1011,
        "requests": 15,
    }
    assert len(asked_utc) == len("2026-06-19T01:02:03Z")
    assert {market: list(days) for market, days in calendar.items()} == {
        "US": ["newest_session", "newest_report"],
        "HK": ["newest_session", "newest_report"],
    }
    assert [(answer.pop("asked"), answer.pop("call")) for answer in answers] == [
        *zip(TITLES, CALLS, strict=True)
    ]
    assert without_times(answers)[:11] == OF_OUR_GATEWAY
    us, hk = "MjAyNi0wNi0xN69_dJso", "MjAyNi0wNC0wMaDAQZyz"
    assert pages == [
        ("US.AAPL", None, 2), ("US.AAPL", us, 2), ("HK.00700", None, 25), ("US.AAPL", "-1", 2),
        ("US.AAPL", hk, 2), ("US.AAPL", "no-such-cursor", 2), ("US.AAPL", None, 51),
        ("US.AAPL", None, 0), ("US.NOSUCHCODE", None, 2), ("US.AAPL", None, 10),
        ("HK.00700", None, 10),
    ]  # fmt: skip


# -- the second gateway -----------------------------------------------------------------------

SECOND_US: list[dict[str, Any]] = [
    {"timestamp": 1781755200, "timestampStr": "2026-06-18", "totalSharesShort": 9},
    {"timestamp": 1781668800, "timestampStr": "2026-06-17"},
    {"timestamp": 1781582400, "timestampStr": "2026-06-16"},
]
SECOND_HK: list[dict[str, Any]] = [
    {"timestampStr": f"2026-04-{day:02}", "turnover": 8.25} for day in range(25, 0, -1)
]
RANKED: dict[str, list[dict[str, Any]]] = {
    "US": [
        {"security": "US.LOW", "name": "Low", "shortRatio": 11.5, "volume": 1000},
        {"security": "US.HIGH", "name": "高", "shortRatio": 41.5},
    ]
}


def second_gateway(script: Callable[[Exchange], None] = obliging, **options: Any) -> SecondGateway:
    return SecondGateway(
        {"US.AAPL": SecondHistory("US", SECOND_US), "HK.00700": SecondHistory("HK", SECOND_HK)},
        script,
        short_interest={"HK.00700": [{"timestampStr": "2026-04-30", "aggregatedShort": 7}]},
        rank=RANKED,
        **options,
    )


def test_a_record_of_the_second_gateway_is_read_in_full(tmp_path: Path) -> None:
    with second_gateway() as gateway:
        answers = record(tmp_path, gateway.url)["answers"]
        assert len(gateway.queries) == 11
        assert len(gateway.rank_queries) == 4
        ranked = [
            (q.market, q.sort_field, q.sort_dir, q.offset, q.count, q.plates)
            for q in gateway.rank_queries
        ]
    # The rows beyond the last are those from the number of all on.
    assert ranked == [
        (11, 4, 0, 0, 35, ()), (1, 4, 0, 0, 35, ()), (11, 4, 0, 2, 35, ()),
        (11, 4, 0, 0, 35, ("US.NOSUCHPLATE",)),
    ]  # fmt: skip
    assert without_times(answers)[0]["next_key"] == {
        "length": 1,
        "characters": ["digits"],
        "pattern": "0",
        "reads_as": ["number"],
        "equals": "the number of rows",
    }
    assert [answer["rows"] for answer in answers if "rows" in answer] == [
        2, 1, 25, 0, 3, 0, 1, 2, 0, 0,
    ]  # fmt: skip
    assert (answers[6]["rows"], answers[6]["next_key"]) == (3, "-1")
    assert {i: answer["text"] for i, answer in enumerate(answers) if "text" in answer} == {
        3: "invalid nextKey",
        5: "invalid nextKey",
        8: "Unknown stock. NOSUCHCODE",
        9: "Unknown stock. AAPL",
        14: "Unknown plate US.NOSUCHPLATE",
    }
    unsent = [
        "close_price", "change_ratio", "change_ratio_5d", "change_ratio_10d", "short_number",
        "short_number_change", "short_ratio_change", "short_position_volume",
        "short_position_ratio", "days_to_cover", "week_avg_short_number", "week_avg_short_ratio",
        "month_avg_short_number", "month_avg_short_ratio",
    ]  # fmt: skip
    absent = answers[11].pop("absent_in_rows")
    assert absent == all_but(unsent, 2) | {"volume": [0]}
    assert answers[11] == {
        "asked": TITLES[11],
        "call": 3415,
        "came": "answer",
        "rows": 2,
        "all_count": 2,
        "codes": ["US.HIGH", "US.LOW"],
        "values": [
            {"code": "US.HIGH", "name": "高", "short_ratio": 41.5},
            {"code": "US.LOW", "name": "Low", "volume": 1000, "short_ratio": 11.5},
        ],
    }
    nothing = {"came": "answer", "rows": 0, "codes": [], "absent_in_rows": {}, "values": []}
    assert answers[12] == {"asked": TITLES[12], "call": 3415, "all_count": 0} | nothing
    assert answers[13] == {"asked": TITLES[13], "call": 3415, "all_count": 2} | nothing


def test_no_host_port_account_or_key_is_in_the_file(
    tmp_path: Path, key_file: Callable[..., Path]
) -> None:
    key = key_file()
    cipher = SecondCipher(key.read_bytes(), AES_CBC)
    words = "user 87654321 at 127.0.0.1 has no right"

    def refuse(exchange: Exchange) -> None:
        if exchange.proto_id != SHORT_INTEREST:
            obliging(exchange)
        elif exchange.number == 1:
            body, sha1 = refusal_body(words), sha1_of(refusal_body(words))
            travelling = cipher.encrypt(exchange.proto_id, body)
            exchange.send(frame(exchange.proto_id, exchange.serial, travelling, sha1=sha1))
        else:
            exchange.close()

    with second_gateway(refuse, cipher=cipher) as gateway:
        found = record(tmp_path, gateway.url, "--rsa-key", str(key))
        port = gateway.port
    answers = found["answers"]
    assert answers[9]["text"] == "user <number> at <address> has no right"
    assert (answers[10]["came"], answers[10]["error"]) == ("nothing", "GatewayDisconnectedError")
    assert answers[11]["rows"] == 2  # over a new connection
    text = (tmp_path / "r.json").read_text()
    private = [
        "127.0.0.1", "localhost", str(port), "87654321", str(key), key.name, str(Path.home()),
        # What the handshake names: connection and key.
        "7474749583963343045", cipher.key, socket.gethostname(),
    ]  # fmt: skip
    assert [each for each in private if each in text] == []


def test_an_encrypted_gateway_of_ours_is_recorded(
    tmp_path: Path, key_file: Callable[..., Path]
) -> None:
    with gateway_of_ours(rsa_key=key_file()) as gateway:
        answers = record(tmp_path, gateway.url)["answers"]
    assert [answer["rows"] for answer in answers[:4]] == [2, 2, 25, 0]
    assert str(key_file()) not in (tmp_path / "r.json").read_text()


# -- requests and their limit -----------------------------------------------------------------


def test_its_requests_keep_to_the_limit(tmp_path: Path) -> None:
    with gateway_of_ours(limit=(4, 0.2)) as gateway:
        answers = record(tmp_path, f"{gateway.url}?limit=4/0.2")["answers"]
        arrivals = [request.arrived_s for request in gateway.requests]
    assert len(arrivals) <= 15
    assert [a["asked"] for a in answers if "too frequent" in a.get("text", "")] == []
    assert arrivals[8] - arrivals[0] >= 0.4  # nine of one call
    # What was waited for is not the gateway's time.
    assert max(answer["ms"] for answer in answers) < 1000 * (arrivals[-1] - arrivals[0])


def test_a_gateway_that_is_asked_too_often_by_others_is_asked_once_all_the_same(
    tmp_path: Path,
) -> None:
    with gateway_of_ours(limit=(1, 600.0)) as gateway:
        answers = record(tmp_path, f"{gateway.url}?limit=30/0.02")["answers"]
        assert len(gateway.requests) <= 15
    too_often = [i for i, a in enumerate(answers) if "too frequent" in a.get("text", "")]
    # The first request of each call was answered.
    assert [i for i in too_often if i < 11] == [1, 2, 3, 5, 6, 7, 8, 10]
    assert answers[4] == {
        "asked": TITLES[4], "call": 3248, "came": "not asked",
        "text": "needs a cursor that did not come",
    }  # fmt: skip


def test_a_code_takes_the_place_of_its_markets(tmp_path: Path) -> None:
    with gateway_of_ours() as gateway:
        answers = record(tmp_path, gateway.url, "--code", "US.BRK.B")["answers"]
    assert answers[0]["asked"] == f"{VOLUME_OF} US.BRK.B: newest page, num=2"
    assert answers[0]["text"] == "Unknown stock. BRK.B"
    assert answers[2]["rows"] == 25


# -- gateways that do not answer --------------------------------------------------------------


def fail_at(proto_id: int, then: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    def script(exchange: Exchange) -> None:
        (then if exchange.proto_id == proto_id else obliging)(exchange)

    return script


def test_after_two_without_an_answer_the_others_are_not_asked(tmp_path: Path) -> None:
    script = fail_at(SHORT_SELLING_RANK, Exchange.close)
    with second_gateway(script) as gateway:
        found = record(tmp_path, gateway.url)
    assert [answer["came"] for answer in found["answers"][11:]] == [
        "nothing", "nothing", "not asked", "not asked",
    ]  # fmt: skip
    assert found["answers"][13]["text"] == "the gateway stopped answering"
    assert found["requests"] == 13


def test_without_any_answer_there_is_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intake_futu_short.arguments.DEFAULT_TIMEOUT_S", 0.2)
    with second_gateway(silent_after_the_handshake) as gateway:
        result = futu_short("doctor", "--gateway", gateway.url, "--record", "r", cwd=tmp_path)
        assert len(gateway.queries) == 2
    assert result.returncode == 1
    assert "0.2 s" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_listens_the_doctor_says_so_and_writes_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"opend://127.0.0.1:{server.getsockname()[1]}"
    result = futu_short("doctor", "--gateway", url, "--record", "r.json", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (1, "")
    assert "failed     connection" in result.stdout
    assert "request " not in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interruption_leaves_no_half_file(tmp_path: Path) -> None:
    def stop_at_the_fifth(exchange: Exchange) -> None:
        if exchange.proto_id != DAILY_SHORT_VOLUME or exchange.number < 5:
            obliging(exchange)

    (tmp_path / "r.json").write_text("before")
    with (
        second_gateway(stop_at_the_fifth) as gateway,
        subprocess.Popen(
            [FUTU_SHORT, "doctor", "--gateway", gateway.url, "--record", "r.json", "--force"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        ) as process,
    ):  # fmt: skip
        gateway.wait_until(lambda: len(gateway.queries) == 5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (130, "Interrupted.\n")
    assert [file.name for file in tmp_path.iterdir()] == ["r.json"]
    assert (tmp_path / "r.json").read_text() == "before"


# -- the file ---------------------------------------------------------------------------------


def test_a_file_that_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("mine")
    with gateway_of_ours() as gateway:
        arguments = ["doctor", "--gateway", gateway.url, "--record", "r.json"]
        result = futu_short(*arguments, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr == (
            "Error: r.json is there already: name another file, or give --force\n"
        )
        assert (tmp_path / "r.json").read_text() == "mine"
        assert gateway.requests == []
        assert record(tmp_path, gateway.url, "--force")["requests"] == 15


@pytest.mark.parametrize("path", [".", "missing/r.json"])
def test_a_file_that_cannot_be_is_an_error_before_anything_is_asked(
    tmp_path: Path, path: str
) -> None:
    with gateway_of_ours() as gateway:
        result = futu_short("doctor", "--gateway", gateway.url, "--record", path, cwd=tmp_path)
        assert gateway.requests == []
    assert (result.returncode, result.stdout) == (2, "")
    assert path in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_directory_that_may_not_be_written_is_an_error_too(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    result = futu_short("doctor", "--gateway", "sample://", "--record", "r.json", cwd=tmp_path)
    assert "no record can be written" in result.stderr


def test_the_command_says_what_it_asks_and_what_to_do(tmp_path: Path) -> None:
    result = futu_short("doctor", "--gateway", "sample://", "--record", "r.json", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:6]] == [
        ["ok", step]
        for step in ("versions", "gateway", "connection", "handshake", "limit", "clock")
    ]
    assert lines[7] == "Asks 15 questions, a request each, within the gateway's limit."
    # The gateway's words may end in a number, so the time stands apart from them.
    assert re.fullmatch(r"2 rows \(\d+ ms\)", lines[8].removeprefix(f" 1/15 {TITLES[0]}: "))
    assert lines[22].startswith(f"15/15 {TITLES[14]}: refusal: ")
    assert lines[24].startswith("r.json is written. Read it: ")
    # One line a row and a refusal, for a person to read.
    written = (tmp_path / "r.json").read_text().splitlines()
    assert written[:2] == ["{", '  "record": 1,']
    assert sum("Unknown stock. NOSUCHCODE" in line for line in written) == 1


def test_force_alone_is_a_wrong_command_line() -> None:
    result = futu_short("doctor", "--gateway", "sample://", "--force")
    assert result.returncode == 2
    assert "--force goes with --record" in result.stderr
