"""The rank as our gateway serves it: the official messages and client judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from family_peer import (
    RANK,
    RANKED,
    Clock,
    codes,
    expected,
    interest,
    official_answers,
    rank,
    reports,
    volume,
)
from gateway_peer import Peer

from intake_futu_short.calls import SHORT_INTEREST
from intake_futu_short.gateway import (
    Gateway,
    History,
    Request,
    sample_gateway,
    sample_histories,
)
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with sample_gateway() as running:
        yield running


def test_the_sample_is_ranked_by_market(gateway: Gateway) -> None:
    with Peer(gateway) as peer:
        default, us, hk = rank(peer), rank(peer, market=11), rank(peer, market=1)
    assert default.SerializeToString() == us.SerializeToString()
    assert (us.s2c.allCount, sorted(codes(us))) == (2, ["AAPL", "SAMPLE"])
    assert (hk.s2c.allCount, codes(hk)) == (2, ["SAMPLE", "00700"])
    assert {item.security.market for item in us.s2c.dataList} == {11}
    assert {item.security.market for item in hk.s2c.dataList} == {1}


def test_a_ticker_is_ranked_by_what_its_files_say(gateway: Gateway) -> None:
    with Peer(gateway) as peer:
        found = {i.security.code: i for i in rank(peer).s2c.dataList}
        tencent = next(i for i in rank(peer, market=1).s2c.dataList if i.security.code == "00700")
    apple, synthetic = found["AAPL"], found["SAMPLE"]
    # Of US.AAPL.csv: 2024-10-11, the day before, five and ten rows before.
    assert (apple.closePrice, apple.volume, apple.shortNumber) == (225.856901709, 31759188, 4746547)
    assert apple.changeRatio == pytest.approx(100 * (225.856901709 / 227.335815282 - 1), rel=1e-12)
    assert apple.shortRatio == pytest.approx(14.945, abs=0.001)  # cut in the file
    # Over twenty rows it is what the gateway itself gave as the daily average ratio.
    assert apple.monthAvgShortRatio == pytest.approx(17.3, abs=0.01)
    for name in ("shortPositionVolume", "shortPositionRatio", "daysToCover", "name"):
        assert not apple.HasField(name)
    report = expected("US.SAMPLE")[0]
    assert synthetic.shortPositionVolume == int(report["shares_short"])
    assert synthetic.shortPositionRatio == float(report["short_percent"])
    assert synthetic.daysToCover == float(report["days_to_cover"])
    assert {field.name for field, _ in synthetic.ListFields()} == {
        "security", *RANKED.values()
    } - {"name"}  # fmt: skip
    assert {field.name for field, _ in tencent.ListFields()} == {
        "security", "shortPositionVolume", "shortPositionRatio",
    }  # fmt: skip
    assert (tencent.shortPositionVolume, tencent.shortPositionRatio) == (51480638, 0.56)


def forty() -> dict[str, History]:
    return {f"US.T{i:02d}": volume(f"US.T{i:02d}", 1 + i * 7 % 40) for i in range(40)}


BY_NUMBER = sorted(forty(), key=lambda code: int(code[4:]) * 7 % 40)


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ({}, 0, 10),
        ({"count": 1}, 0, 1),
        ({"count": 35}, 0, 35),
        ({"count": 35, "offset": 35}, 35, 40),
        ({"offset": 39}, 39, 40),
        ({"offset": 40}, 40, 40),
        ({"offset": 2**31 - 1, "count": 35}, 40, 40),
    ],
)
def test_pages_are_cut_out_of_one_order(
    asked: dict[str, Any], first: int, last: int, ascending: bool
) -> None:
    order = [code[3:] for code in (BY_NUMBER if ascending else BY_NUMBER[::-1])]
    with Gateway(forty()) as gateway, Peer(gateway) as peer:
        answer = rank(peer, sortField=3, sortDir=int(ascending), **asked)
        assert codes(answer) == order[first:last]
        assert answer.s2c.allCount == 40


def test_every_sort_field_sorts(gateway: Gateway) -> None:
    fields = [
        "shortNumberChange", "shortRatioChange", "shortNumber", "shortRatio", "volume",
        "shortPositionVolume", "shortPositionRatio", "daysToCover", None, "weekAvgShortNumber",
        "weekAvgShortRatio", None, "monthAvgShortNumber", "monthAvgShortRatio",
    ]  # fmt: skip
    with Peer(gateway) as peer:
        for number, name in enumerate(fields, 1):
            down = list(rank(peer, sortField=number).s2c.dataList)
            up = list(rank(peer, sortField=number, sortDir=1).s2c.dataList)
            if name is None:  # of volume, which is not sent; Apple's is larger by far
                assert [item.security.code for item in down] == ["AAPL", "SAMPLE"]
                continue
            there = [getattr(item, name) for item in down if item.HasField(name)]
            assert there == sorted(there, reverse=True)
            # Those without the value come last either way.
            assert [getattr(item, name) for item in up if item.HasField(name)] == there[::-1]
            if len(there) == 2:
                assert up == down[::-1]
        assert rank(peer, sortField=0) == rank(peer, sortField=1) == rank(peer)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"market": 21}, "market must be 1 (HK) or 11 (US), not 21"),
        ({"market": 0}, "market must be 1 (HK) or 11 (US), not 0"),
        ({"sortField": 15}, "sortField must be from 0 to 14, not 15"),
        ({"sortField": -1}, "sortField must be from 0 to 14, not -1"),
        ({"sortDir": 2}, "sortDir must be 0 (descending) or 1 (ascending), not 2"),
        ({"offset": -1}, "offset must be 0 or more, not -1"),
        ({"count": 0}, "count must be from 1 to 35, not 0"),
        ({"count": 36}, "count must be from 1 to 35, not 36"),
        (
            {"plates": ["BK2024"]},
            "Unknown plate. This gateway knows no plates and ranks whole markets only",
        ),
    ],
)
def test_a_rank_that_cannot_be_given_is_refused_in_words(
    gateway: Gateway, asked: dict[str, Any], words: str
) -> None:
    with Peer(gateway) as peer:
        answer = rank(peer, **asked)
        assert (answer.retType, answer.retMsg) == (-1, words)
        assert not answer.HasField("s2c")
        assert rank(peer).retType == 0


@pytest.mark.parametrize("body", [b"", b"\xff\xff\xff", b"{}"])
def test_a_body_that_is_no_request_for_a_rank_is_refused(gateway: Gateway, body: bytes) -> None:
    with Peer(gateway) as peer:
        answer = peer.ask(RANK, body, "Qot_GetShortSellingRank_pb2")
        assert (answer.retType, answer.retMsg) == (
            -1, "the body is not a request for short-selling rank",
        )  # fmt: skip
    assert gateway.requests == []


def test_a_market_without_rows_is_an_empty_rank() -> None:
    none = {"US.A": History(Security.parse("US.A"), [])}
    with Gateway(none) as gateway, Peer(gateway) as peer:
        for market in (1, 11):
            answer = rank(peer, market=market)
            assert (codes(answer), answer.s2c.allCount) == ([], 0)
            assert answer.s2c.HasField("allCount")


def test_the_official_client_reads_the_rank(gateway: Gateway) -> None:
    calls: list[tuple[str, list[Any], dict[str, Any]]] = [
        ("get_short_selling_rank", [], {}),
        (
            "get_short_selling_rank",
            [],
            {"market": "HK", "sort_field": "VOLUME", "sort_dir": "ASCENDING", "count": 35},
        ),
        ("get_short_selling_rank", ["US"], {"offset": 2}),
        ("get_short_selling_rank", ["US"], {"plate_list": ["US.BK2024"]}),
        ("get_short_selling_rank", ["US"], {"count": 36}),
    ]
    us, hk, beyond, plates, too_many = official_answers(gateway, calls)
    with Peer(gateway) as peer:
        answers = [rank(peer), rank(peer, market=1, sortField=5, sortDir=1)]
    for said, answer, market in zip((us, hk), answers, ("US", "HK"), strict=True):
        ret, (all_count, frame) = said
        assert (ret, all_count, frame["columns"]) == (0, 2, ["security", *RANKED])
        for row, item in zip(frame["rows"], answer.s2c.dataList, strict=True):
            assert row[0] == f"{market}.{item.security.code}"
            # What is absent is its "N/A".
            assert row[1:] == [
                getattr(item, name) if item.HasField(name) else "N/A" for name in RANKED.values()
            ]
    assert [row[0] for row in hk[1][1]["rows"]] == ["HK.SAMPLE", "HK.00700"]
    assert (beyond[0], beyond[1][0], beyond[1][1]["rows"]) == (0, 2, [])
    assert plates[0] == -1
    assert plates[1].startswith("Unknown plate.")
    assert too_many == [-1, "count must be from 1 to 35, not 36"]


def test_a_rank_follows_its_histories() -> None:
    served = {"US.A": volume("US.A", 1), "US.B": volume("US.B", 2)}
    positions: dict[str, History] = {}
    with Gateway(served, short_interest=positions) as gateway, Peer(gateway) as peer:
        assert codes(rank(peer, sortField=3)) == ["B", "A"]
        served["US.A"] = volume("US.A", 3)
        assert codes(rank(peer, sortField=3)) == ["A", "B"]
        served["US.C"] = volume("US.C", 4)
        assert codes(rank(peer, sortField=3)) == ["C", "A", "B"]
        positions["US.B"] = reports("US.B", 1, shares_short=7)
        item = rank(peer, sortField=6).s2c.dataList[0]
        assert (item.security.code, item.shortPositionVolume) == ("B", 7)
        positions["US.B"] = reports("US.B", 1, shares_short=8)
        assert rank(peer, sortField=6).s2c.dataList[0].shortPositionVolume == 8
        del served["US.C"], positions["US.B"]
        answer = rank(peer, sortField=3)
        assert codes(answer) == ["A", "B"]
        assert not any(item.HasField("shortPositionVolume") for item in answer.s2c.dataList)


def test_each_call_has_its_own_count() -> None:
    clock = Clock()
    histories, positions = sample_histories(), sample_histories(SHORT_INTEREST)
    with (
        Gateway(histories, short_interest=positions, limit=(2, 30.0), clock=clock) as gateway,
        Peer(gateway) as peer,
    ):
        for _ in range(2):
            assert rank(peer).retType == 0
            assert interest(peer, "US.SAMPLE").retType == 0
            assert peer.page().retType == 0
        words = "Get {} is too frequent, request failed, no more than 2 times every 30 seconds."
        assert rank(peer).retMsg == words.format("short-selling rank")
        assert interest(peer, "US.SAMPLE").retMsg == words.format("short interest")
        assert peer.page().retMsg == words.format("daily short volume")
        clock.now_s += 30.5
        assert rank(peer).retType == 0


def test_requests_of_every_call_are_kept_as_they_arrived() -> None:
    with sample_gateway() as gateway:
        with Peer(gateway) as peer:
            peer.page(num=5)
            interest(peer, "HK.00700", num=7)
            rank(peer)
            rank(peer, market=1, offset=35, count=36)
            rank(peer, market=21)
        requests = gateway.requests
    known = [(r.code, r.next_key, r.num, r.call, r.offset) for r in requests]
    assert known == [
        ("US.AAPL", None, 5, "short_volume", 0),
        ("HK.00700", None, 7, "short_interest", 0),
        ("US", None, None, "short_selling_rank", 0),
        ("HK", None, 36, "short_selling_rank", 35),
        ("21", None, None, "short_selling_rank", 0),
    ]
    assert Request(1.0, "US.AAPL", None, None).call == "short_volume"
