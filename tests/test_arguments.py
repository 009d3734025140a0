from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest

from intake_futu_short import arguments
from intake_futu_short.errors import ConfigError
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.security import HK


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-02",
        " 2026-01-02 ",
        "2026-01-02 00:00:00",
        "2026-01-02T00:00:00",
        "2026-01-02 00:00:00+08:00",
        "20260102",
        "2026/01/02",
        "2026/01/02 00:00",
        20260102,
        np.int64(20260102),
        dt.date(2026, 1, 2),
        dt.datetime(2026, 1, 2),  # noqa: DTZ001 - what users write
        dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc),
        pd.Timestamp("2026-01-02"),
        pd.Timestamp("2026-01-02", tz="Asia/Hong_Kong"),
        np.datetime64("2026-01-02"),
        np.datetime64("2026-01-02T00:00:00.000000000"),
        # Of a datetime it is the day: Intake's parameters of type datetime know "today".
        dt.datetime(2026, 1, 2, 9, 30),  # noqa: DTZ001 - likewise
        pd.Timestamp("2026-01-02 23:59:59.999999999", tz="America/New_York"),
        np.datetime64("2026-01-02T09:30"),
    ],
)
def test_a_trading_day_in_any_spelling_becomes_an_iso_string(value: object) -> None:
    assert arguments.date("start", value) == "2026-01-02"


@pytest.mark.parametrize("value", [None, "", " "])
def test_an_empty_day_is_no_day(value: object) -> None:
    assert arguments.date("end", value) is None


@pytest.mark.parametrize(
    "value",
    [
        "02/01/2026", "2026-01/02", "2026-1-2", "2026-01", "2026-W01-5", "yesterday",
        "\u0662026-01-02",
        2026, -20260102, 20260102.0, 1.5, True, [], pd.NaT, np.datetime64("NaT", "D"),
        np.datetime64("2026-01"), np.datetime64("2026-01-02T00", "h").astype(int),
    ],
)  # fmt: skip
def test_what_is_no_trading_day_is_refused_with_the_accepted_forms(value: object) -> None:
    forms = r"'2026-01-02', '20260102', '2026/01/02' or a date object, not "
    with pytest.raises(ConfigError, match="start must be a trading day such as " + forms):
        arguments.date("start", value)


@pytest.mark.parametrize("value", ["2026-01-02 09:30", "20260102T16:00:00", "2026/01/02 9:30"])
def test_text_with_a_time_of_day_is_no_trading_day(value: str) -> None:
    with pytest.raises(ConfigError, match=r"'2026-01-02', .* and has no time of day, not"):
        arguments.date("end", value)


@pytest.mark.parametrize("value", ["2026-02-30", "20260230", 20260230, "2026/13/01"])
def test_a_day_that_no_month_has_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="start is not a date: "):
        arguments.date("start", value)


def test_an_interval_must_run_forwards() -> None:
    assert arguments.interval("2026-01-02", "2026-01-02") == ("2026-01-02", "2026-01-02")
    assert arguments.interval("", None) == (None, None)
    with pytest.raises(ConfigError, match=r"start \(2026-01-03\) is after end \(2026-01-02\)"):
        arguments.interval("2026-01-03", dt.date(2026, 1, 2))


@pytest.mark.parametrize(
    ("value", "rows"), [(1, 1), (50, 50), ("10", 10), (np.int64(7), 7), ("", 50), (None, 50)]
)
def test_rows_a_page_are_whole_numbers_also_written_as_strings(value: object, rows: int) -> None:
    result = arguments.rows_a_page(value)
    assert (result, type(result)) == (rows, int)


@pytest.mark.parametrize("value", [0, 51, -1, "x", True, 2.5, 10**400, "1e3", float("nan"), [5]])
def test_other_numbers_of_rows_are_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"num must be a whole number, 1 to 50"):
        arguments.rows_a_page(value)


def test_max_pages_counts_from_one_and_empty_means_all() -> None:
    assert arguments.pages("") is None
    assert arguments.pages(None) is None
    assert arguments.pages("3") == 3
    for value in (0, -1, True, "x", 1.5):
        with pytest.raises(ConfigError, match="max_pages must be a whole number, 1 or more"):
            arguments.pages(value)


@pytest.mark.parametrize(
    ("value", "sessions"),
    [(20, 20), ("20", 20), (np.int64(1), 1), (0, None), ("0", None), ("", None), (None, None)],
)
def test_warmup_counts_sessions_and_none_is_none(value: object, sessions: int | None) -> None:
    result = arguments.warmup(value, "2026-01-02")
    assert (result, type(result)) == (sessions, type(sessions))


@pytest.mark.parametrize("value", [-1, "x", True, 1.5, float("nan"), [5]])
def test_other_warmups_are_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"warmup must be a whole number, 0 or more"):
        arguments.warmup(value, "2026-01-02")


def test_warmup_without_start_is_refused() -> None:
    assert arguments.warmup(0, None) is None
    with pytest.raises(ConfigError, match=r"warmup=20 asks for the sessions before start=, but"):
        arguments.warmup("20", None)


def test_timeouts_are_positive_seconds() -> None:
    assert arguments.seconds("0.5") == 0.5
    assert arguments.seconds(3) == 3.0
    assert arguments.seconds("") == arguments.seconds(None) == 12.0
    for value in (0, -1, True, "soon", float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="timeout must be a number of seconds"):
            arguments.seconds(value)


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("", None),
        (None, None),
        ("sample://", "sample://"),
        ("opend://127.0.0.1:11111", "opend://127.0.0.1:11111"),
        ("opend://gateway.example", "opend://gateway.example:11111"),
        ("opend://[::1]:22222/", "opend://[::1]:22222"),
        ("opend://h?limit=30/30", "opend://h:11111?limit=30/30"),
        ("opend://h?limit=60/30", "opend://h:11111?limit=60/30"),
        ("opend://h?limit=3/0.5", "opend://h:11111?limit=3/0.5"),
        ("opend://h?limit=off", "opend://h:11111?limit=off"),
        (
            "opend://h?limit=30/30.0&rsa_key=~/opend.pem",
            "opend://h:11111?rsa_key=~/opend.pem&limit=30/30",
        ),
        (
            "opend://h?limit=off&cipher=AES_ECB&rsa_key=C:/a+b%20%26%40.pem",
            "opend://h:11111?rsa_key=C:/a%2Bb%20%26%40.pem&cipher=AES_ECB&limit=off",
        ),
        (
            "opend://h:11111?rsa_key=C:/a%2Bb%20%26%40.pem&cipher=AES_ECB&limit=off",
            "opend://h:11111?rsa_key=C:/a%2Bb%20%26%40.pem&cipher=AES_ECB&limit=off",
        ),
        ("opend://h?cipher=AES_CBC", "opend://h:11111"),
    ],
)
def test_gateway_urls_have_one_plain_form(url: object, plain: str | None) -> None:
    assert arguments.gateways(url) == plain


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:11111", "unknown scheme 'http'"),
        ("127.0.0.1:11111", "no scheme"),
        ("opend://127.0.0.1:0", "from 1 to 65535"),
        ("opend://127.0.0.1:65536", "65536|range"),
        ("opend://127.0.0.1:abc", "no port from 1 to 65535"),
        ("opend://", "names no host"),
        ("opend://:11111", "names no host"),
        ("opend://h:11111/path", "more than a host and a port"),
        ("opend://h:11111?unknown=1", "limit=N/SECONDS"),
        ("opend://h:11111?limit=30/30&limit=off", "limit=N/SECONDS"),
        ("opend://h:11111?rsa_key=a&rsa_key=a", "limit=N/SECONDS"),
        ("opend://h:11111?limit", "limit must be 'N/SECONDS'"),
        ("opend://h:11111?limit=0/30", "limit must be 'N/SECONDS'"),
        ("opend://h:11111?limit=fast", "limit must be 'N/SECONDS'"),
        ("opend://[::1", "brackets do not match"),
        (11111, "must be a URL"),
    ],
)
def test_other_gateway_urls_are_refused_with_the_accepted_form(url: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        arguments.gateways(url)
    assert re.search(r"HOST:PORT|1 to 65535|N/SECONDS", str(caught.value))


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        arguments.gateways("opend://me:hunter2@127.0.0.1:11111")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (None, None),
        ("", None),
        ("~/opend.pem", "~/opend.pem"),
        (Path("opend.pem"), "opend.pem"),
    ],
)
def test_a_key_is_the_path_of_its_file_as_given(value: object, path: str | None) -> None:
    assert arguments.rsa_key(value) == path


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        (arguments.codes, "US.AAPL"),
        (lambda value: arguments.date("start", value), "2026-01-02"),
        (arguments.gateways, "opend://h:5"),
        (arguments.rsa_key, "opend.pem"),
    ],
)
def test_a_string_of_numpy_becomes_one_that_yaml_can_write(argument: Any, value: str) -> None:
    plain = argument(np.str_(value))
    assert type(plain) is str
    assert plain == value


@pytest.mark.parametrize("value", [True, 1, b"opend.pem", ["opend.pem"]])
def test_what_is_no_path_is_refused_as_a_key(value: object) -> None:
    with pytest.raises(ConfigError, match="rsa_key must be the path of a file"):
        arguments.rsa_key(value)


@pytest.mark.parametrize(
    "key", ["-----BEGIN RSA PRIVATE KEY-----\nMIIC\n-----END RSA PRIVATE KEY-----", "MIIC\nXQIB"]
)
def test_a_key_in_place_of_its_path_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ConfigError, match="not the key itself") as caught:
        arguments.rsa_key(key)
    assert "MIIC" not in str(caught.value)
    with pytest.raises(ConfigError, match="not the key itself") as caught:
        arguments.gateways(f"opend://h?rsa_key={quote(key)}")
    assert "MIIC" not in str(caught.value)


def test_other_options_of_the_key_are_refused_with_the_accepted_form() -> None:
    with pytest.raises(ConfigError, match="one of FTAES_ECB, AES_ECB, AES_CBC, not 'DES'"):
        arguments.gateways("opend://h?cipher=DES")
    with pytest.raises(ConfigError, match="rsa_key must be the path of a file"):
        arguments.gateways("opend://h?rsa_key=")


def test_an_argument_and_a_url_must_not_name_different_keys() -> None:
    url = GatewayURL.parse("opend://h?rsa_key=a.pem")
    assert url.with_rsa_key(None) == url.with_rsa_key("a.pem") == url
    assert GatewayURL.parse("opend://h").with_rsa_key("a.pem") == url
    with pytest.raises(ConfigError, match=r"rsa_key is 'b\.pem', but .* names 'a\.pem'"):
        url.with_rsa_key("b.pem")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("US.AAPL", "US.AAPL"),
        (["US.AAPL"], ["US.AAPL"]),
        (("US.B", "US.A"), ["US.B", "US.A"]),
        (["US.A", "US.B", "US.A"], ["US.A", "US.B"]),
        ("['US.A', 'US.B']", ["US.A", "US.B"]),
        (' ["US.A", "US.B"] ', ["US.A", "US.B"]),
        ("('US.A',)", ["US.A"]),
        (np.array(["HK.00700", "HK.00005"]), ["HK.00700", "HK.00005"]),
        (pd.Series(["HK.00700"]), ["HK.00700"]),
        (pd.Index(["HK.00700"]), ["HK.00700"]),
        ({"US.B", "US.A"}, ["US.A", "US.B"]),
        (frozenset({"US.B"}), ["US.B"]),
        ((code for code in ["US.B", "US.A"]), ["US.B", "US.A"]),
        ({"US.B": 1, "US.A": 2}.keys(), ["US.B", "US.A"]),
        (pd.Series(["US.B", "US.A", "US.B"], dtype="string").unique(), ["US.B", "US.A"]),
        (pd.Categorical(["US.B", "US.A"]), ["US.B", "US.A"]),
    ],
)
def test_codes_are_one_or_a_list_also_one_written_as_a_string(value: object, plain: object) -> None:
    result = arguments.codes(value)
    assert result == plain
    assert all(type(code) is str for code in (result if isinstance(result, list) else [result]))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], "empty list"),
        ("[]", "empty list"),
        (["US.AAPL", "HK.00700"], r"US \(US\.AAPL\) and HK \(HK\.00700\)"),
        ([["US.AAPL"]], "must be a string"),
        (["us.aapl"], r"Did you mean 'US\.AAPL'"),
        (["US.AAPL", None], "must be a string, not None"),
        (["US.AAPL", 5], "must be a string, not 5"),
        ("[US.A, US.B]", r"Several codes are a list: \['US\.AAPL', 'US\.MSFT'\]"),
        ("US.A,US.B", "Several codes are a list"),
        ("['US.A'", "Several codes are a list"),
        ({700}, "must be a string, not 700"),
        (b"US.AAPL", "must be a string"),
        (np.array("US.AAPL"), "must be a string"),
        (pd.array(["US.AAPL", None]), "must be a string"),
        ({"US.AAPL": 1}, "must be a string"),
        (None, "must be a string"),
        (700, "must be a string"),
    ],
)
def test_other_codes_are_refused_with_what_is_accepted(value: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        arguments.codes(value)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (["opend://a"], "opend://a:11111"),
        (["opend://a", "opend://b:2"], ["opend://a:11111", "opend://b:2"]),
        ("['opend://a', 'opend://b:2']", ["opend://a:11111", "opend://b:2"]),
        (["opend://a?limit=9/30", "opend://a:11111?limit=9/30.0"], "opend://a:11111?limit=9/30"),
        (["sample://"], "sample://"),
    ],
)
def test_gateways_are_one_or_a_list(value: object, plain: object) -> None:
    assert arguments.gateways(value) == plain


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], "empty list"),
        (["opend://a", "opend://a?limit=off"], "a:11111 twice, with different options"),
        (["opend://a", "sample://"], "sample beside others"),
        (["opend://a", ""], "no scheme"),
        (["opend://a", None], "must be a URL"),
        ([["opend://a"]], "must be a URL"),
        ("opend://a,opend://b", "opend://HOST:PORT"),
    ],
)
def test_other_lists_of_gateways_are_refused(value: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        arguments.gateways(value)


def test_errors_raise_or_warn() -> None:
    assert arguments.errors("warn") == "warn"
    assert arguments.errors("raise") is arguments.errors("") is arguments.errors(None) is None
    for value in ("x", "WARN", True, 1, ["warn"], np.array(["warn", "raise"])):
        with pytest.raises(ConfigError, match="'raise' or 'warn'"):
            arguments.errors(value)


def test_what_is_no_way_to_refresh_is_refused_with_those_there_are() -> None:
    assert arguments.refresh("auto", None) is arguments.refresh("", None) is None
    for value in ("x", "AUTO", True, ["full"], np.array(["full", "auto"])):
        with pytest.raises(ConfigError, match="one of auto, always, full, never"):
            arguments.refresh(value, "store")


@pytest.mark.parametrize("text", ["secret", "{a: [", "{a: 2026-13-45}", "[" * 800])
def test_options_in_a_text_that_spells_no_mapping_are_refused_unseen(text: str) -> None:
    with pytest.raises(ConfigError, match=r"storage_options must be a mapping .*, not str\Z"):
        arguments.storage_options(text)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        # date -d '2026-01-02 18:00 +0800' +%s
        ("2026-01-02T18:00+08:00", 1767348000.0),
        ("2026-01-02 10:00:00Z", 1767348000.0),
        (dt.datetime(2026, 1, 2, 10, tzinfo=dt.timezone.utc), 1767348000.0),
        (pd.Timestamp("2026-01-02 18:00", tz="Asia/Hong_Kong"), 1767348000.0),
        # The last microsecond of the day in Hong Kong.
        ("2026-01-02", 1767369600.0 - 1e-6),
        (dt.date(2026, 1, 2), 1767369600.0 - 1e-6),
        (np.datetime64("2026-01-02"), 1767369600.0 - 1e-6),
        ("20260102", 1767369600.0 - 1e-6),
        (20260102, 1767369600.0 - 1e-6),
        (" 2026/01/02", 1767369600.0 - 1e-6),
        (None, None),
        ("", None),
    ],
)
def test_a_moment_has_a_zone_or_is_the_end_of_a_day(given: Any, seconds: float | None) -> None:
    assert arguments.moment("as_of", given, HK) == seconds


@pytest.mark.parametrize(
    "given",
    [
        "2026-01-02 18:00",
        dt.datetime(2026, 1, 2, 18),  # noqa: DTZ001 - what users write
        dt.datetime(2026, 1, 2),  # noqa: DTZ001 - what users write
        pd.Timestamp("2026-01-02"), pd.NaT, "yesterday", "2026-02-30", 20260230, 1767348000.0,
        "2026-01-02T25:00Z", np.datetime64("2026-01-02T18:00"),
    ],
)  # fmt: skip
def test_what_is_no_moment_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"as_of must be a time with a zone such as '2026.* date"):
        arguments.moment("as_of", given, HK)
