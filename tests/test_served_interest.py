"""Short interest as our gateway serves it: the official messages and client judge."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from family_peer import (
    expected,
    interest,
    official_answers,
    reports,
    volume,
)
from gateway_peer import Peer, days

from intake_futu_short.errors import ConfigError
from intake_futu_short.gateway import (
    Gateway,
    sample_gateway,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with sample_gateway() as running:
        yield running


@pytest.mark.parametrize(
    ("code", "num", "sizes"),
    [
        ("HK.00700", None, [10, 0]),
        ("HK.00700", 50, [10]),
        ("HK.SAMPLE", 50, [50] * 6 + [17]),
        ("US.SAMPLE", 50, [50, 50, 42]),
        ("US.SAMPLE", 1, [1] * 4),
    ],
)
def test_reports_are_paged_newest_first_to_the_end(
    gateway: Gateway, code: str, num: int | None, sizes: list[int]
) -> None:
    asked: dict[str, Any] = {} if num is None else {"num": num}
    pages = []
    with Peer(gateway) as peer:
        for _ in sizes:
            pages.append(interest(peer, code, **asked).s2c)
            asked["nextKey"] = pages[-1].nextKey
    items = [item for page in pages for item in (*page.usItemList, *page.hkItemList)]
    assert [len(page.usItemList) + len(page.hkItemList) for page in pages] == sizes
    assert (pages[-1].nextKey == "-1") == (num != 1)
    for item, row in zip(items, expected(code), strict=num != 1):
        assert (item.timestamp, item.timestampStr) == (int(row["timestamp"]), row["timestamp_str"])
        assert item.closePrice == float(row["close_price"])
        assert item.lastClosePrice == float(row["last_close_price"])
        if code.startswith("HK"):
            assert item.aggregatedShort == int(row["aggregated_short"])
            assert item.aggregatedShortRatio == float(row["aggregated_short_ratio"])
        else:
            assert item.sharesShort == int(row["shares_short"])
            assert item.shortPercent == float(row["short_percent"])
            assert item.avgDailyShareVolume == int(row["avg_daily_share_volume"])
            assert item.daysToCover == float(row["days_to_cover"])


def test_absent_values_are_absent_and_pages_end_as_those_of_short_volume() -> None:
    served = {
        "US.NONE": reports("US.NONE", 0),
        "US.DAYS": reports("US.DAYS", 50),
        "HK.ZERO": reports("HK.ZERO", 1, aggregated_short=0, aggregated_short_ratio=0.0),
    }
    with Gateway({}, short_interest=served) as gateway, Peer(gateway) as peer:
        none = interest(peer, "US.NONE")
        assert (none.retType, days(none), none.s2c.nextKey) == (0, [], "-1")
        full = interest(peer, "US.DAYS", num=50)
        assert len(days(full)) == 50
        assert {name.name for name, _ in full.s2c.usItemList[0].ListFields()} == {"timestampStr"}
        empty = interest(peer, "US.DAYS", num=50, nextKey=full.s2c.nextKey)
        assert (empty.retType, days(empty), empty.s2c.nextKey) == (0, [], "-1")
        zero = interest(peer, "HK.ZERO", nextKey="").s2c.hkItemList[0]
        assert {name.name for name, _ in zero.ListFields()} == {
            "timestampStr", "aggregatedShort", "aggregatedShortRatio",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "asked", "words"),
    [
        ("US.AAPL", {}, "Unknown stock. AAPL"),  # there is its short volume only
        ("21.600000", {}, "Only HK and US stocks and funds are supported"),
        ("US.SAMPLE", {"num": 0}, "num must be from 1 to 50, not 0"),
        ("US.SAMPLE", {"num": 51}, "num must be from 1 to 50, not 51"),
        ("US.SAMPLE", {"nextKey": "nonsense"}, "invalid nextKey"),
    ],
)
def test_reports_that_cannot_be_served_are_refused_in_words(
    gateway: Gateway, code: str, asked: dict[str, Any], words: str
) -> None:
    with Peer(gateway) as peer:
        answer = interest(peer, code, **asked)
        assert (answer.retType, answer.retMsg) == (-1, words)
        assert interest(peer, "US.SAMPLE").retType == 0


def test_a_cursor_is_good_for_its_own_call(gateway: Gateway) -> None:
    with Peer(gateway) as peer:
        of_volume = peer.page("SAMPLE").s2c.nextKey
        assert interest(peer, "US.SAMPLE", nextKey=of_volume).retMsg == "invalid nextKey"
        of_interest = interest(peer, "US.SAMPLE").s2c.nextKey
        assert peer.page("SAMPLE", next_key=of_interest).retMsg == "invalid nextKey"


def test_the_official_client_reads_the_reports(gateway: Gateway) -> None:
    calls = [
        ("get_short_interest", ["HK.00700"], {}),
        ("get_short_interest", ["US.SAMPLE"], {"num": 1}),
        ("get_short_interest", ["US.AAPL"], {}),
        ("get_short_interest", ["HK.SAMPLE"], {"num": 51}),
    ]
    hk, us, unknown, too_many = official_answers(gateway, calls)
    assert (hk[0], hk[1]["rows"], len(hk[2]["rows"])) == (0, [], 10)
    # A full page does not tell that it is the last.
    assert hk[2]["attrs"]["next_key"] not in {"", "-1"}
    assert hk[2]["columns"] == [
        "timestamp", "timestamp_str", "aggregated_short", "aggregated_short_ratio", "close_price",
        "last_close_price",
    ]  # fmt: skip
    assert hk[2]["rows"][0] == [1777478400, "2026-04-30", 51480638, 0.56, 467.8, 479.2]
    row = expected("US.SAMPLE")[0]
    assert us[1]["columns"] == list(row)
    (told,) = us[1]["rows"]
    assert told == [json.loads(v) if "-" not in v else v for v in row.values()]
    assert unknown == [-1, "Unknown stock. AAPL", None]
    assert too_many == [-1, "num must be from 1 to 50, not 51", None]


@pytest.mark.parametrize(
    ("histories", "words"),
    [
        ([], "short_interest must map codes"),
        (
            {"US.A": volume("US.A", 1)},
            "histories of short interest, but under 'US.A' it has one of daily",
        ),
        ({"US.A": reports("US.B", 1)}, "not the History of it, but of US.B"),
        ({"US.A": None}, "not the History of it"),
    ],
)
def test_wrong_histories_of_short_interest_are_refused(histories: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Gateway({}, short_interest=histories)


def test_short_interest_does_not_stand_for_short_volume() -> None:
    with pytest.raises(ConfigError, match=r"histories of daily short volume, but .* short i"):
        Gateway({"US.A": reports("US.A", 1)})
