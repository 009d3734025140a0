"""What the rank says of a ticker's newest rows, worked out by hand; and the order of tickers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from intake_futu_short.calls import SHORT_INTEREST
from intake_futu_short.gateway import History
from intake_futu_short.gateway.ranked import NEWEST_ROWS, SORT_KEYS, Ranked, ranked, sort
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Row = dict[str, Any]
NAMES = {
    "US": ("total_shares_short", "volume"),
    "HK": ("short_sell_shares_traded", "shares_traded"),
}


def rows(market: str, number: int = NEWEST_ROWS) -> list[Row]:
    """Newest first: 300 of 1000 shares, 200 of 800, and then 100 of 1000 every day."""
    short, volume = NAMES[market]
    counts = [(300, 1000), (200, 800), *[(100, 1000)] * (number - 2)]
    closes = [11.0, 10.0, 9.0, 9.0, 9.0, 8.8, 9.0, 9.0, 9.0, 9.0, 22.0, *[9.0] * number]
    return [
        {
            "timestamp_str": f"2026-06-{30 - back:02d}",
            short: counts[back][0],
            volume: counts[back][1],
            "close_price": closes[back],
            "last_close_price": closes[back + 1],
        }
        for back in range(number)
    ]


def history(code: str, served: Sequence[Mapping[str, Any]], **more: Any) -> History:
    return History(Security.parse(code), served, **more)


def interest(code: str, **values: Any) -> History:
    row = {"timestamp_str": "2026-06-15", **values}
    older = {"timestamp_str": "2026-05-29"}
    return History(Security.parse(code), [row, older], call=SHORT_INTEREST)


def values(told: Ranked | None) -> dict[str, Any]:
    assert told is not None
    return dict(told.values)


OF_VOLUME = {
    "close_price": 11.0,
    "change_ratio": 10.0,  # of 10.0
    "change_ratio_5d": 25.0,  # of 8.8
    "change_ratio_10d": -50.0,  # of 22.0
    "volume": 1000,
    "short_number": 300,
    "short_number_change": 100,
    "short_ratio": 30.0,
    "short_ratio_change": 5.0,  # 30 % - 25 %
    "week_avg_volume": 960,  # 4800 / 5
    "week_avg_short_number": 160,  # 800 / 5
    "week_avg_short_ratio": 800 / 48,
    "month_avg_volume": 990,  # 19800 / 20
    "month_avg_short_number": 115,  # 2300 / 20
    "month_avg_short_ratio": 2300 / 198,
}


@pytest.mark.parametrize("market", ["US", "HK"])
def test_everything_comes_from_the_newest_twenty_rows(market: str) -> None:
    older = {"timestamp_str": "2026-06-01", NAMES[market][0]: 9**9, NAMES[market][1]: 9**9}
    for served in (rows(market), [*rows(market), older]):
        told = values(ranked(history(f"{market}.A", served), None))
        assert told == pytest.approx(OF_VOLUME, rel=1e-14)


def test_the_newest_report_gives_the_position() -> None:
    us = history("US.A", rows("US"))
    told = values(ranked(us, interest("US.A", shares_short=1980, short_percent=2.5)))
    assert (told["short_position_volume"], told["short_position_ratio"]) == (1980, 2.5)
    assert told["days_to_cover"] == 2.0  # the month's average volume is 990
    reported = interest("US.A", shares_short=1980, short_percent=2.5, days_to_cover=3.5)
    assert values(ranked(us, reported))["days_to_cover"] == 3.5
    hk = history("HK.A", rows("HK"))
    told = values(ranked(hk, interest("HK.A", aggregated_short=495, aggregated_short_ratio=0.5)))
    assert told["short_position_volume"] == 495
    assert (told["short_position_ratio"], told["days_to_cover"]) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("as_of", "position"), [("2026-06-12", 495), ("2026-06-15", 495), ("2026-06-18", 1980)]
)
def test_the_position_beside_short_volume_counts_when_it_is_newer(
    as_of: str, position: int
) -> None:
    hk = history(
        "HK.A", rows("HK"), aggregated_short=1980, aggregated_short_ratio=2.0, new_time_str=as_of
    )
    told = values(ranked(hk, interest("HK.A", aggregated_short=495)))
    assert told["short_position_volume"] == position
    assert told.get("short_position_ratio") == (2.0 if position == 1980 else None)
    assert values(ranked(hk, None))["days_to_cover"] == 2.0


def test_without_rows_there_is_nothing_to_rank() -> None:
    assert ranked(history("US.A", []), interest("US.A", shares_short=1)) is None


@pytest.mark.parametrize(
    ("number", "lacks"),
    [
        (1, {"short_number_change", "short_ratio_change", "week_avg_volume", "change_ratio_5d"}),
        (4, {"week_avg_volume", "week_avg_short_ratio", "change_ratio_5d"}),
        (5, {"change_ratio_5d", "month_avg_volume"}),
        (10, {"change_ratio_10d", "month_avg_short_number"}),
        (19, {"month_avg_volume", "month_avg_short_number", "month_avg_short_ratio"}),
    ],
)
def test_what_a_short_history_does_not_tell_is_left_out(number: int, lacks: set[str]) -> None:
    told = values(ranked(history("US.A", rows("US")[:number]), None))
    assert not lacks & set(told)
    assert {name: told[name] for name in told} == pytest.approx(
        {name: OF_VOLUME[name] for name in told}, rel=1e-14
    )
    assert {"close_price", "change_ratio", "volume", "short_number", "short_ratio"} <= set(told)


def test_a_value_that_is_missing_takes_with_it_what_needs_it() -> None:
    served = rows("US")
    served[4]["volume"] = None
    del served[0]["close_price"]
    told = values(ranked(history("US.A", served), None))
    assert set(OF_VOLUME) - set(told) == {
        "close_price", "change_ratio", "change_ratio_5d", "change_ratio_10d", "week_avg_volume",
        "week_avg_short_ratio", "month_avg_volume", "month_avg_short_ratio",
    }  # fmt: skip
    nothing = ranked(history("HK.A", [{"timestamp_str": "2026-06-30"}]), None)
    assert values(nothing) == {}


def test_numbers_that_no_field_holds_are_left_out() -> None:
    served = rows("US")
    served[0] |= {"volume": 0, "total_shares_short": 2**63, "last_close_price": 0.0}
    served[5]["close_price"] = math.nan
    served[10]["close_price"] = 5e-324
    told = values(ranked(history("US.A", served), None))
    assert not {"change_ratio", "change_ratio_5d", "change_ratio_10d"} & set(told)
    assert not {"short_number", "short_ratio", "short_ratio_change"} & set(told)
    assert told["volume"] == 0
    assert told["short_number_change"] == 2**63 - 200
    nobody = [{**row, "volume": 0, "total_shares_short": 0} for row in served]
    told = values(ranked(history("US.A", nobody), interest("US.A", shares_short=5)))
    assert (told["month_avg_volume"], told["week_avg_short_number"]) == (0, 0)
    assert not {"days_to_cover", "month_avg_short_ratio"} & set(told)


def test_averages_of_counts_are_rounded() -> None:
    for last, mean in ((102, 100), (103, 101), (98, 100), (97, 99)):
        served = [{**row, "volume": 100} for row in rows("US")]
        served[0]["volume"] = last
        assert values(ranked(history("US.A", served), None))["week_avg_volume"] == mean


def test_sort_fields_are_in_the_order_of_the_gateways_numbers() -> None:
    assert SORT_KEYS == (
        "short_number_change", "short_ratio_change", "short_number", "short_ratio", "volume",
        "short_position_volume", "short_position_ratio", "days_to_cover", "week_avg_volume",
        "week_avg_short_number", "week_avg_short_ratio", "month_avg_volume",
        "month_avg_short_number", "month_avg_short_ratio",
    )  # fmt: skip


def test_tickers_without_the_value_come_last_and_ties_go_by_code() -> None:
    volumes = {"US.D": 2, "US.A": 1, "US.C": 2, "US.B": None, "US.E": 3}
    told = [
        Ranked(Security.parse(code), {} if volume is None else {"volume": volume})
        for code, volume in volumes.items()
    ]
    for descending, expected in ((True, "ECDAB"), (False, "ACDEB")):
        found = sort(told, "volume", descending=descending)
        assert "".join(row.security.symbol for row in found) == expected
