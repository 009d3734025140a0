"""Our client beside the unchanged official one, each reading the same gateway.

Two gateways: the second one, which the package has no part in, and the package's own.
"""

from __future__ import annotations

import datetime as dt
import math
import sys
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from second_gateway import SecondGateway
from second_rows import COUNTS, FIELDS, ZONES, History, Row, make_rows

from intake_futu_short import RET_ERROR, RET_OK, OpenQuoteContext
from intake_futu_short.gateway import Gateway
from intake_futu_short.gateway import History as OwnHistory
from intake_futu_short.security import Security
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NUM = 10
CODES = {"US": "US.T", "HK": "HK.T"}
AGGREGATES: Row = {
    "aggregatedShort": 51480638,
    "aggregatedShortRatio": 0.56,
    "newTimeStr": "2026-04-30",
}
AGGREGATE_COLUMNS = {
    "aggregatedShort": "aggregated_short",
    "aggregatedShortRatio": "aggregated_short_ratio",
    "newTimeStr": "new_time_str",
}
DOCUMENTED = {"timestamp", "timestampStr", "lastClosePrice", "dailyTradeAvgRatio"}


def few_columns(market: str) -> list[dict[str, int | float | str]]:
    """Rows that all lack the same columns, as the documented ones do."""
    rows = make_rows(market, 12, seed=5)
    return [{name: row[name] for name in row if name in DOCUMENTED} for row in rows]


def extremes(market: str) -> list[dict[str, int | float | str]]:
    """The smallest and the largest numbers that both clients have a dtype for."""
    counts = [0, 2**53 + 1, 2**63 - 1]
    numbers = [-0.0, 5e-324, sys.float_info.max, -1.5, math.inf, -math.inf]
    rows = make_rows(market, 12, seed=7)
    for i, row in enumerate(rows):
        for j, name in enumerate(list(FIELDS[market])[2:]):
            of_kind = counts if name in COUNTS else numbers
            row[name] = of_kind[(i + j) % len(of_kind)]
    return rows


def histories(market: str) -> dict[str, History]:
    with_aggregates = AGGREGATES if market == "HK" else {}
    two_of_them = {k: v for k, v in with_aggregates.items() if k != "aggregatedShortRatio"}
    return {
        "full": History(market, make_rows(market, 23), with_aggregates),
        "fields missing": History(market, make_rows(market, 60, seed=3, missing=0.3), two_of_them),
        "extremes": History(market, extremes(market), with_aggregates),
        "columns missing": History(market, few_columns(market)),
        "no rows": History(market, [], with_aggregates),
    }


CASES = [(market, name) for market in CODES for name in histories(market)]


def own(history: History, code: str) -> OwnHistory:
    """The same for the package's own gateway, which knows rows by their columns."""
    rows = [{FIELDS[history.market][name]: v for name, v in row.items()} for row in history.rows]
    aggregates: dict[str, Any] = {AGGREGATE_COLUMNS[k]: v for k, v in history.aggregates.items()}
    return OwnHistory(Security.parse(code), rows, **aggregates)


@dataclass(frozen=True)
class Reading:
    """A gateway, what it serves, and what the official client made of it."""

    port: int
    history: History
    pages: list[dict[str, Any]]

    @property
    def code(self) -> str:
        return CODES[self.history.market]

    @property
    def key(self) -> str:
        return self.history.market.lower()


@pytest.fixture(scope="module", params=["second gateway", "own gateway"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=CASES, ids=" ".join)
def reading(
    kind: str, request: pytest.FixtureRequest, official_client: Callable[..., dict[str, Any]]
) -> Iterator[Reading]:
    market, name = request.param
    history, code = histories(market)[name], CODES[market]
    gateway: SecondGateway | Gateway
    if kind == "second gateway":
        gateway = SecondGateway({code: history})
    else:
        gateway = Gateway({code: own(history, code)})
    with gateway:
        said = official_client(gateway.port, code, NUM)
        assert said["error"] is None
        yield Reading(gateway.port, history, said["pages"])


def is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def derived(row: Row, field: str, market: str) -> int | str:
    """The timestamp that a day means, or the day that a timestamp means."""
    if field == "timestamp":
        day = dt.date.fromisoformat(str(row["timestampStr"]))
        return int(dt.datetime.combine(day, dt.time(), ZONES[market]).timestamp())
    return dt.datetime.fromtimestamp(int(row["timestamp"]), ZONES[market]).date().isoformat()


def test_the_official_client_got_every_row(reading: Reading) -> None:
    rows = [row for page in reading.pages for row in page[reading.key]["rows"]]
    names = list(FIELDS[reading.history.market])
    assert len(rows) == len(reading.history.rows)
    for values, row in zip(rows, reading.history.rows, strict=True):
        for name, value in zip(names, values, strict=True):
            assert is_missing(value) if name not in row else value == row[name]


def test_each_partition_equals_the_official_client_s_page(reading: Reading) -> None:
    market = reading.history.market
    with_rows = [page[reading.key] for page in reading.pages if page[reading.key]["rows"]]
    url = f"opend://127.0.0.1:{reading.port}"
    with closing(FutuShortSource(reading.code, num=NUM, gateway=url)) as source:
        number = 0
        for i, theirs in enumerate(with_rows):
            frame = source.read_partition(i)
            assert list(frame.columns) == theirs["columns"]
            assert len(frame) == len(theirs["rows"])
            for values, expected in zip(
                frame.astype(object).itertuples(index=False), theirs["rows"], strict=True
            ):
                row = reading.history.rows[number]
                number += 1
                for field, value, wanted in zip(FIELDS[market], values, expected, strict=True):
                    if not is_missing(wanted):
                        assert value == wanted
                    elif field in {"timestamp", "timestampStr"}:
                        assert value == derived(row, field, market)
                    else:
                        assert is_missing(value)
            for name, value in theirs["attrs"].items():
                assert frame.attrs[name] == value
        with pytest.raises(IndexError):
            source.read_partition(len(with_rows))
        assert source.discover()["npartitions"] == len(with_rows)


def as_json(frame: pd.DataFrame) -> dict[str, Any]:
    """As official_client.py says it."""
    return {
        "columns": list(frame.columns),
        "dtypes": [str(dtype) for dtype in frame.dtypes],
        "rows": [list(row) for row in frame.astype(object).itertuples(index=False)],
        "attrs": frame.attrs,
    }


def test_our_quote_context_gives_the_official_one_s_frames(reading: Reading) -> None:
    pages = []
    next_key = None
    with OpenQuoteContext(host="127.0.0.1", port=reading.port) as context:
        for _ in reading.pages:
            ret, us_df, hk_df = context.get_daily_short_volume(reading.code, next_key, NUM)
            assert ret == RET_OK
            assert isinstance(us_df, pd.DataFrame)
            assert isinstance(hk_df, pd.DataFrame)
            assert us_df.attrs["next_key"] == hk_df.attrs["next_key"]
            next_key = us_df.attrs["next_key"]
            pages.append({"us": as_json(us_df), "hk": as_json(hk_df)})
    assert next_key == "-1"
    for page, expected in zip(pages, reading.pages, strict=True):
        for key in ("us", "hk"):
            assert page[key]["columns"] == expected[key]["columns"]
            assert page[key]["dtypes"] == expected[key]["dtypes"]
            assert page[key]["attrs"] == expected[key]["attrs"]
            # Spelled out, an int is no float, None is no NaN, and NaN equals NaN.
            assert repr(page[key]["rows"]) == repr(expected[key]["rows"])


@pytest.mark.parametrize("code", ["US.NONE", "HK.NONE"])
def test_an_unknown_code_is_told_in_the_official_convention(
    kind: str, code: str, official_client: Callable[..., dict[str, Any]]
) -> None:
    with SecondGateway() if kind == "second gateway" else Gateway({}) as gateway:
        said = official_client(gateway.port, code, NUM)
        with OpenQuoteContext(host="127.0.0.1", port=gateway.port) as context:
            ret, us_df, hk_df = context.get_daily_short_volume(code)
    assert said["pages"] == []
    assert said["error"] == "Unknown stock. NONE"
    assert ret == RET_ERROR == -1
    assert isinstance(us_df, str)
    assert said["error"] in us_df
    assert hk_df is None
