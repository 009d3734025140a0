"""What a record keeps of texts and cursors, and what it leaves out."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from second_gateway import official

from intake_futu_short.calls import SHORT_INTEREST, SHORT_SELLING_RANK, SHORT_VOLUME
from intake_futu_short.cli.record_notes import (
    cursor_shape,
    error_note,
    page_note,
    rank_note,
    scrubbed,
)
from intake_futu_short.errors import GatewayTimeoutError, ProtocolError, RateLimitError
from intake_futu_short.security import HK, US


@pytest.mark.parametrize(
    "words",
    [
        "Unknown stock. SQ",
        "未知股票 BBKCF",
        "获取每日卖空数据频率太高\uff0c请求失败\uff0c每30秒最多30次。",
        "no more than 30 times every 30 seconds.",
        "Only HK and A-share stocks and funds are supported; US.BRK.B is not",
        "US OTC market quote is not available for SSLZY",
        "NN_ProtoRet_ByDisConnOrCacnel",
        "HK.00700 on 2026-05-08 (retType -1, errCode 10001)",
        "30秒/30次, and/or 2026/05/08",
    ],
)
def test_ordinary_texts_stay_as_they_are(words: str) -> None:
    assert scrubbed(words, ["192.168.7.9", "11111"]) == words


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("user 12345678 has no right", "user <number> has no right"),
        ("用户12345678无权限", "用户<number>无权限"),
        ("connection from 10.0.0.5:52431 refused", "connection from <address> refused"),
        ("地址10.0.0.5被拒绝", "地址<address>被拒绝"),
        ("from [fe80::1ff:fe23:4567:890a] on", "from <address> on"),
        ("at ::1 now", "at <address> now"),
        ("nothing came from opend://nas:11111 for 12 s", "nothing came from <url> for 12 s"),
        ("see https://openapi.futunn.com/a?uid=1", "see <url>"),
        ("server futu-12.internal:443 is down", "server <host> is down"),
        ("log in as me.too@example.org first", "log in as <mail> first"),
        ("cannot read /home/me/opend.pem", "cannot read <path>"),
        ("cannot read ~/opend.pem, sorry", "cannot read <path>, sorry"),
        (r"cannot read C:\Users\John Smith\opend.pem", "cannot read <path>"),
        ("找不到文件/Users/me/key.pem", "找不到文件<path>"),
        ("listening at port 4711", "listening at port <port>"),
        ("key 0123456789ABCDEF is wrong", "key <token> is wrong"),
        ("my-nas says no; my-nas2 does not", "<private> says no; my-nas2 does not"),
    ],
)
def test_what_could_tell_whose_gateway_it_is_is_masked(words: str, left: str) -> None:
    assert scrubbed(words, ["my-nas", ""]) == left


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("cursor", "characters", "pattern", "reads_as"),
    [
        ("1778169600", ["digits"], "0000000000", ["number"]),
        ("-7", ["digits", "-"], "-0", ["number"]),
        ("HK_aé 9", ["digits", "lower case", "upper case", "blanks", "beyond ASCII", "_"],
         "AA_a? 0", []),
        ('{"uid": 1}', ["digits", "lower case", "blanks", '"', ":", "{", "}"],
         '{"aaa": 0}', ["JSON object"]),
        ("[17,2]", ["digits", ",", "[", "]"], "[00,0]", ["JSON array"]),
        (encoded(b"2026-05-08"), ["digits", "lower case", "upper case", "="], "AaAaAa0aAA0aAA==",
         ["base64 of the text 0000-00-00"]),
        (encoded(b'{"day": 3}'), ["lower case", "upper case", "="], None,
         ["base64 of JSON object"]),
        (encoded(b"\xff\xfe\x00\xfb\xf0\x01"), ["digits", "upper case", "+", "/"], "//0A+/AA",
         ["base64 of 6 bytes"]),
        ("-_8", ["digits", "-", "_"], "-_0", ["base64 of 2 bytes"]),
        ("a" * 101, ["lower case"], "a" * 100 + "...", []),
    ],
)  # fmt: skip
def test_a_cursor_is_kept_as_its_shape(
    cursor: str, characters: list[str], pattern: str | None, reads_as: list[str]
) -> None:
    shape = cursor_shape(cursor)
    assert shape["length"] == len(cursor)
    assert shape["characters"] == characters
    assert shape["reads_as"] == reads_as
    if pattern is not None:
        assert shape["pattern"] == pattern


OFFICIAL_ROW = {"timestamp": 1778169600, "timestampStr": "2026-05-08"}


def volume(next_key: str | None, *rows: dict[str, Any], market: str = "hk") -> Any:
    """The answer to a request for short volume, by way of the official messages."""
    s2c = official("Qot_GetDailyShortVolume_pb2").S2C()
    for row in rows:
        getattr(s2c, f"{market}ItemList").add(**row)
    if next_key is not None:
        s2c.nextKey = next_key
    return SHORT_VOLUME.messages.S2C.FromString(s2c.SerializeToString())


@pytest.mark.parametrize(
    ("cursor", "equals"),
    [
        ("1778169600", "the last row's timestamp"),
        ("1778169600000", "the last row's timestamp in milliseconds"),
        ("2026-05-08", "the last row's timestamp_str"),
        ("1", "the number of rows"),
        ("1778083200", None),
    ],
)
def test_a_cursor_that_is_public_is_told_by_its_name(cursor: str, equals: str | None) -> None:
    note = page_note(volume(cursor, OFFICIAL_ROW), SHORT_VOLUME.table(HK))
    assert note["next_key"].get("equals") == equals
    assert note["next_key"]["length"] == len(cursor)
    assert len(cursor) == 1 or cursor not in str(note["next_key"])


@pytest.mark.parametrize("cursor", [None, "", "-1"])
def test_the_end_is_told_as_it_came(cursor: str | None) -> None:
    assert page_note(volume(cursor), SHORT_VOLUME.table(HK))["next_key"] == cursor


def test_odd_rows_are_noted_as_they_are() -> None:
    rows: list[dict[str, Any]] = [
        {"timestampStr": "2026-05-08", "turnover": float("nan"), "sharesTraded": 0},
        {"timestamp": 1778083200},
        {"timestamp": 2**62},
        {},
    ]
    assert page_note(volume(None, *rows), SHORT_VOLUME.table(HK)) == {
        "rows": 4,
        "newest": "2026-05-08",
        "oldest": "2026-05-07",
        "next_key": None,
        "absent_in_rows": {
            "timestamp": [0, 3],
            "timestamp_str": [1, 2, 3],
            "shares_traded": [1, 2, 3],
            "turnover": [1, 2, 3],
            "short_sell_shares_traded": [0, 1, 2, 3],
            "short_sell_turnover": [0, 1, 2, 3],
            "open_price": [0, 1, 2, 3],
            "close_price": [0, 1, 2, 3],
            "last_close_price": [0, 1, 2, 3],
            "daily_trade_avg_ratio": [0, 1, 2, 3],
        },
        "values": [
            {"timestamp_str": "2026-05-08", "shares_traded": 0, "turnover": "nan"},
            {"timestamp": 1778083200},
            {"timestamp": 2**62},
            {},
        ],
    }


def test_rows_of_another_market_are_counted() -> None:
    note = page_note(volume("-1", OFFICIAL_ROW, market="us"), SHORT_VOLUME.table(HK))
    assert (note["rows"], note["rows_of_another_market"]) == (0, 1)


def test_fields_that_are_not_known_here_are_told_by_their_numbers() -> None:
    # Field 99 is a number of one byte: its tag is 99 << 3, which is 0x98 0x06 as a varint.
    row = b"\x98\x06\x07"
    content = b"\x12\x03" + row + b"\x98\x06\x01"
    note = page_note(SHORT_INTEREST.messages.S2C.FromString(content), SHORT_INTEREST.table(HK))
    assert note["rows"] == 1
    assert note["unknown_fields"] == {"answer": [99], "rows": [99]}
    assert "unknown_fields" not in page_note(volume("-1"), SHORT_VOLUME.table(HK))


def test_a_rank_is_noted_with_its_codes_and_its_first_rows() -> None:
    s2c = official("Qot_GetShortSellingRank_pb2").S2C(allCount=9)
    for number in range(6):
        item = s2c.dataList.add(name=f"Nr. {number}", shortRatio=40.5 - number)
        item.security.market, item.security.code = 11, f"T{number}"
    s2c.dataList[1].ClearField("shortRatio")
    s2c.dataList[2].security.market = 31
    answer = SHORT_SELLING_RANK.messages.S2C.FromString(s2c.SerializeToString())
    note = rank_note(answer, SHORT_SELLING_RANK.table(US))
    assert (note["rows"], note["all_count"]) == (6, 9)
    assert note["codes"] == ["US.T0", "US.T1", "31.T2", "US.T3", "US.T4", "US.T5"]
    assert note["absent_in_rows"]["short_ratio"] == [1]
    assert note["absent_in_rows"]["volume"] == [0, 1, 2, 3, 4, 5]
    assert "name" not in note["absent_in_rows"]
    assert note["values"] == [
        {"code": "US.T0", "name": "Nr. 0", "short_ratio": 40.5},
        {"code": "US.T1", "name": "Nr. 1"},
        {"code": "31.T2", "name": "Nr. 2", "short_ratio": 38.5},
        {"code": "US.T3", "name": "Nr. 3", "short_ratio": 37.5},
        {"code": "US.T4", "name": "Nr. 4", "short_ratio": 36.5},
    ]


def test_a_rank_without_count_or_securities_is_noted_too() -> None:
    # A row of a rank always has a security in the official messages; this one has none.
    answer = SHORT_SELLING_RANK.messages.S2C.FromString(b"\x0a\x00")
    note = rank_note(answer, SHORT_SELLING_RANK.table(HK))
    assert (note["rows"], note["all_count"], note["codes"]) == (1, None, [None])


def test_a_refusal_is_kept_in_the_gateways_words_alone() -> None:
    refusal = RateLimitError(
        "short volume of US.AAPL from opend://my-nas:11111: the gateway answered ...",
        ret_type=-1, err_code=7, message="too frequent for user 12345678",
    )  # fmt: skip
    assert error_note(refusal, ["my-nas", "11111"]) == {
        "came": "refusal", "ret_type": -1, "err_code": 7, "text": "too frequent for user <number>",
    }  # fmt: skip


def test_other_errors_are_told_without_the_host() -> None:
    secrets = ["my-nas", "11111", "key.pem"]
    late = GatewayTimeoutError("nothing came from opend://my-nas:11111 for 12 s; is my-nas up?")
    assert error_note(late, secrets) == {
        "came": "nothing",
        "error": "GatewayTimeoutError",
        "text": "nothing came from <url> for 12 s; is <private> up?",
    }
    assert error_note(ProtocolError("no retType"), secrets)["came"] == "unreadable"
