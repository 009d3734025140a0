"""``futu-short doctor``: what it finds, and that it costs one request."""

from __future__ import annotations

import datetime as dt
import socket
import sys
from typing import TYPE_CHECKING

import pytest
from command_line import at_a_terminal, futu_short
from second_gateway import INIT_CONNECT, Exchange, SecondGateway, frame, obliging, refusal_body
from second_rows import DAILY_SHORT_VOLUME, History, make_rows

from intake_futu_short.cli.doctor import examine
from intake_futu_short.errors import ConfigError
from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.optional import DASK

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEPS = ["versions", "gateway", "connection", "handshake", "request", "limit", "clock"]


def found(gateway: str | None, code: str | None = "HK.00700") -> dict[str, tuple[str, str]]:
    """State and text of each step."""
    findings = list(examine(gateway, code))
    assert [finding.step for finding in findings] == STEPS
    return {finding.step: (finding.state, finding.text) for finding in findings}


def states(findings: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {step: state for step, (state, _) in findings.items() if state != "ok"}


def test_a_gateway_that_works_is_asked_once(cache: Path) -> None:
    with Gateway(sample_histories()) as gateway:
        findings = found(gateway.url)
        assert [(request.code, request.num) for request in gateway.requests] == [("HK.00700", 1)]
    assert states(findings) == {}
    assert "newest trading day 2026-05-08" in findings["request"][1]
    assert "not encrypted" in findings["handshake"][1]
    assert "30/30" in findings["limit"][1]
    files = list(cache.rglob("*.sqlite"))
    assert len(files) == 1
    assert str(files[0]) in findings["limit"][1]


def test_its_request_counts_like_any_other() -> None:
    with Gateway(sample_histories()) as gateway:
        url = f"{gateway.url}?limit=1/0.3"
        assert states(found(url)) == states(found(url)) == {}
        first, second = (request.arrived_s for request in gateway.requests)
        assert second - first >= 0.3


def test_the_origin_of_the_gateway_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found("sample://")["gateway"] == ("ok", "sample:// (given)")
    monkeypatch.setenv("FUTU_OPEND", "sample://")
    assert found(None)["gateway"] == ("ok", "sample:// (from $FUTU_OPEND)")
    assert found("")["gateway"] == ("ok", "sample:// (from $FUTU_OPEND)")
    monkeypatch.setenv("FUTU_OPEND", "")
    assert "opend://127.0.0.1:11111 (the default" in found(None)["gateway"][1]


def test_of_several_gateways_one_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUTU_OPEND", "['opend://10.0.0.5', 'opend://10.0.0.6']")
    assert "--gateway" in found(None)["gateway"][1]


def test_a_password_in_the_url_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUTU_OPEND", "opend://me:hunter2@10.0.0.5")
    findings = found(None)
    assert "takes no user or password" in findings["gateway"][1]
    assert "hunter2" not in str(findings)
    assert states(findings) == {
        "gateway": "failed",
        **dict.fromkeys(STEPS[2:6], "not tried"),
    }


def test_where_nothing_listens_it_says_what_to_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    findings = found(f"opend://127.0.0.1:{port}")
    assert "Start OpenD" in findings["connection"][1]
    assert states(findings) == {
        "connection": "failed", "handshake": "not tried", "request": "not tried",
        "limit": "not tried",
    }  # fmt: skip


def served(script: Callable[[Exchange], None]) -> tuple[dict[str, tuple[str, str]], int]:
    """Findings at a gateway that answers as the script has it, and the requests it got."""
    histories = {"HK.00700": History("HK", make_rows("HK", 3))}
    with SecondGateway(histories, script=script) as gateway:
        findings = found(gateway.url)
        return findings, len(gateway.queries)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("Get Daily Short Volume is too frequent, request failed", "too frequent"),
        ("行情权限不足", "行情权限不足"),
    ],
)
def test_a_refusal_is_told_and_not_asked_again(words: str, says: str) -> None:
    def refuse(exchange: Exchange) -> None:
        if exchange.proto_id == DAILY_SHORT_VOLUME:
            exchange.send(frame(exchange.proto_id, exchange.serial, refusal_body(words)))
        else:
            obliging(exchange)

    findings, requests = served(refuse)
    assert states(findings) == {"request": "failed"}
    assert says in findings["request"][1]
    assert requests == 1


def test_a_gateway_that_lacks_the_usual_ticker_works() -> None:
    with SecondGateway({}) as gateway:  # knows no security at all
        findings = found(gateway.url, None)
        assert states(findings) == {}
        assert "does not know US.AAPL ('Unknown stock. AAPL')" in findings["request"][1]
        assert findings["request"][1].endswith("Name a ticker that it knows with --code")
        assert futu_short("doctor", "--gateway", gateway.url).returncode == 0
        # One that the user names is another matter.
        assert states(found(gateway.url, "HK.00005")) == {"request": "failed"}
        assert futu_short("doctor", "--gateway", gateway.url, "--code", "US.X").returncode == 1


def test_a_usual_ticker_without_a_right_advises_to_name_another() -> None:
    def refuse(exchange: Exchange) -> None:
        if exchange.proto_id == DAILY_SHORT_VOLUME:
            exchange.send(frame(exchange.proto_id, exchange.serial, refusal_body("行情权限不足")))
        else:
            obliging(exchange)

    with SecondGateway({"US.AAPL": History("US", make_rows("US", 3))}, script=refuse) as gateway:
        findings = found(gateway.url, None)
    assert states(findings) == {"request": "failed"}
    assert "can be named with --code" in findings["request"][1]


@pytest.mark.parametrize(("at", "step"), [(INIT_CONNECT, "handshake")])
def test_a_gateway_that_hangs_up_is_told(at: int, step: str) -> None:
    def hang_up(exchange: Exchange) -> None:
        if exchange.proto_id == at:
            exchange.close()
        else:
            obliging(exchange)

    findings, requests = served(hang_up)
    assert states(findings) == {"handshake": "failed", "request": "not tried"}
    assert "RSA key" in findings[step][1]
    assert requests == 0


def test_a_gateway_that_keeps_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intake_futu_short.cli.doctor.CONNECT_S", 0.2)
    findings, _ = served(lambda _: None)
    assert "no answer within 0.2 s to the handshake" in findings["handshake"][1]


def test_a_ticker_without_rows_is_no_failure() -> None:
    with SecondGateway({"HK.00700": History("HK", [])}) as gateway:
        findings = found(gateway.url)
    assert states(findings) == {}
    assert "without rows" in findings["request"][1]


def test_a_key_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with Gateway(sample_histories()) as gateway:
        findings = found(f"{gateway.url}?rsa_key={tmp_path}/missing.pem")
    assert states(findings) == {"handshake": "failed", "request": "not tried"}
    assert "missing.pem" in findings["handshake"][1]


def test_encryption_is_told_without_the_key(key_file: Callable[..., Path]) -> None:
    path = key_file()
    with Gateway(sample_histories(), rsa_key=path) as gateway:
        findings = found(gateway.url)
        assert states(findings) == {}
        assert f"encrypted with the key in {path}" in findings["handshake"][1]
        assert path.read_text().splitlines()[1] not in str(findings)
        plain = f"opend://{gateway.host}:{gateway.port}"
        assert states(found(plain)) == {"handshake": "failed", "request": "not tried"}
        run = futu_short("doctor", "--gateway", plain, "--rsa-key", str(path))
        assert (run.returncode, run.stderr) == (0, "")
        assert f"encrypted with the key in {path}" in run.stdout


def test_a_cache_that_is_a_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with Gateway(sample_histories()) as gateway:
        findings = found(gateway.url)
    assert states(findings) == {"limit": "failed"}
    assert "XDG_CACHE_HOME" in findings["limit"][1]


def test_without_a_limit_nothing_is_counted(cache: Path) -> None:
    with Gateway(sample_histories()) as gateway:
        findings = found(f"{gateway.url}?limit=off")
    assert "not counted" in findings["limit"][1]
    assert list(cache.rglob("*.slots")) == []


def test_a_clock_behind_the_newest_trading_day_is_told() -> None:
    soon = dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=3)
    row: dict[str, int | float | str] = {
        "timestamp": int(soon.timestamp()),
        "timestampStr": soon.date().isoformat(),
    }
    with SecondGateway({"HK.00700": History("HK", [row])}) as gateway:
        findings = found(gateway.url)
    assert states(findings) == {"clock": "failed"}
    assert "before the newest trading day" in findings["clock"][1]


def test_an_optional_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intake_futu_short.cli.doctor.OPTIONAL", {"no-such-package": DASK})
    assert (
        'no no-such-package (pip install "dask[dataframe]" distributed)'
        in found("sample://")["versions"][1]
    )


def test_another_ticker_can_be_asked_for() -> None:
    assert "US.AAPL answered" in found("sample://", "US.AAPL")["request"][1]
    with pytest.raises(ConfigError):
        list(examine("sample://", "AAPL"))


def test_the_command_prints_a_line_a_step_and_exits_by_what_it_found() -> None:
    good = futu_short("doctor", "--gateway", "sample://")
    assert (good.returncode, good.stderr) == (0, "")
    assert [line.split()[:2] for line in good.stdout.splitlines()] == [["ok", s] for s in STEPS]
    quiet = futu_short("doctor", "--gateway", "sample://", "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"opend://127.0.0.1:{server.getsockname()[1]}"
    bad = futu_short("doctor", "--gateway", url)
    assert (bad.returncode, bad.stderr) == (1, "")
    assert "not tried  handshake" in bad.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of POSIX")
def test_long_findings_are_wrapped_at_a_terminal() -> None:
    code, lines = at_a_terminal("doctor", "--gateway", "sample://", columns=80)
    assert code == 0
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("ok         versions    Python ")
    assert lines[1].startswith(" " * 23)
    assert [line.split()[1] for line in lines if line.startswith("ok")] == STEPS
