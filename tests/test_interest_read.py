"""`open_futu_short_interest` reads all that gateways have, whatever they leave out or say twice.

The gateway is the second one, and what a page should hold is what the official client makes of it.
Faults of the network stand in the fault table.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from official_client import SHORT_INTEREST as OFFICIAL_CALL
from second_gateway import Exchange, SecondGateway, obliging, official, refusal_body
from second_rows import COUNTS, INTEREST_FIELDS, SHORT_INTEREST, ZONES, History, make_rows

from intake_futu_short.errors import PaginationError, UnknownSecurityError
from intake_futu_short.interest_source import FutuShortInterestSource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from official_client import OfficialClient
    from second_rows import Row

pytestmark = pytest.mark.compat

COLUMN_DTYPES = {"timestamp": "int64", "timestampStr": str(pd.Series([""]).dtype)}


def dtypes(market: str) -> dict[str, str]:
    """Those that the columns have whatever came."""
    return {
        **{
            column: COLUMN_DTYPES.get(name, "Int64" if name in COUNTS else "float64")
            for name, column in INTEREST_FIELDS[market].items()
        },
        "published": "datetime64[ns]",
    }


def is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def day_of(row: Row, market: str) -> str:
    """The day that a row tells in one of two ways."""
    if "timestampStr" in row:
        return str(row["timestampStr"])
    moment = pd.Timestamp(int(row["timestamp"]), unit="s", tz=ZONES[market])
    return moment.date().isoformat()


@pytest.mark.parametrize("market", ["US", "HK"])
@pytest.mark.parametrize("missing", [0.0, 0.3, 0.9])
@pytest.mark.parametrize(("number", "num"), [(0, 10), (1, 10), (23, 10), (50, 50), (100, 50)])
def test_each_partition_is_a_page_of_the_official_client(
    market: str, missing: float, number: int, num: int, official_process: OfficialClient
) -> None:
    code = f"{market}.T"
    rows = make_rows(market, number, seed=number, missing=missing, call=SHORT_INTEREST)
    with (
        SecondGateway(short_interest={code: rows}) as gateway,
        FutuShortInterestSource(code, num=num, gateway=f"{gateway.url}?limit=off") as source,
    ):
        said = official_process.read(gateway.port, code, num, None, OFFICIAL_CALL)["pages"]
        pages = [page[market.lower()] for page in said]
        with_rows = [page for page in pages if page["rows"]]
        parts = list(source.read_chunked())
        whole = source.read()
        npartitions = source.npartitions
    assert len(parts) == npartitions == len(with_rows)
    number = 0
    for part, page in zip(parts, with_rows, strict=True):
        assert {str(k): str(v) for k, v in part.dtypes.items()} == dtypes(market)
        assert list(part.columns) == [*page["columns"], "published"]
        assert part.attrs == {"code": code, "market": market, **page["attrs"]}
        sent = part.drop(columns="published").astype(object)
        for values, expected in zip(sent.itertuples(index=False), page["rows"], strict=True):
            day = day_of(rows[number], market)
            number += 1
            for name, value, wanted in zip(INTEREST_FIELDS[market], values, expected, strict=True):
                if not is_missing(wanted):
                    assert value == wanted
                elif name == "timestampStr":
                    assert value == day
                elif name == "timestamp":
                    assert value == pd.Timestamp(day, tz=ZONES[market]).timestamp()
                else:
                    assert is_missing(value)
    assert {str(k): str(v) for k, v in whole.dtypes.items()} == dtypes(market)
    assert whole["timestamp_str"].tolist() == [day_of(row, market) for row in rows]
    if rows:
        pd.testing.assert_frame_equal(whole, pd.concat(parts, ignore_index=True))
        # Nothing that is a report of a day is public on that day.
        assert (whole["published"] > whole["timestamp_str"].astype("datetime64[ns]")).all()


def test_pages_that_overlap_give_each_report_once() -> None:
    class Overlapping(SecondGateway):
        def _next_key(self, begin: int, rows: Sequence[Row]) -> str:
            return str(begin + len(rows) - 3)  # three rows come again on every page

    rows = make_rows("HK", 120, missing=0.2, call=SHORT_INTEREST)
    with (
        Overlapping(short_interest={"HK.T": rows}) as gateway,
        FutuShortInterestSource("HK.T", gateway=f"{gateway.url}?limit=off") as source,
    ):
        frame = source.read()
        parts = [len(part) for part in source.read_chunked()]
    assert frame["timestamp_str"].tolist() == [day_of(row, "HK") for row in rows]
    assert parts == [50, 47, 23]


class Forgetful(SecondGateway):
    """Hangs up at a page, and does not know the cursors from before any more."""

    def __init__(self, rows: Sequence[Row], at_page: int, *, refuses: bool) -> None:
        super().__init__(script=self._once, short_interest={"US.T": rows})
        self._at_page = at_page
        self._refuses = refuses
        self.generation = "a"

    def _once(self, exchange: Exchange) -> None:
        is_page = exchange.query is not None and exchange.number == self._at_page
        if is_page and self.generation == "a":
            self.generation = "b"
            exchange.close()
        else:
            obliging(exchange)

    def interest_page(self, code: str, next_key: str | None, num: int | None) -> bytes:
        if next_key is not None and not next_key.startswith(self.generation):
            if self._refuses:
                return refusal_body("invalid nextKey")
            messages = official("Qot_GetShortInterest_pb2")
            answer = messages.Response(retType=0, s2c=messages.S2C(nextKey="-1"))
            return bytes(answer.SerializeToString())
        return super().interest_page(code, next_key and next_key[1:], num)

    def _next_key(self, begin: int, rows: Sequence[Row]) -> str:
        return self.generation + super()._next_key(begin, rows)


@pytest.mark.parametrize("refuses", [True, False])
@pytest.mark.parametrize("with_store", [True, False])
@pytest.mark.parametrize("page", [2, 3, 7])
def test_a_lost_cursor_never_ends_a_history(
    page: int, with_store: bool, refuses: bool, tmp_path: Path
) -> None:
    rows = make_rows("US", 300, missing=0.1, call=SHORT_INTEREST)
    with (
        Forgetful(rows, page, refuses=refuses) as gateway,
        FutuShortInterestSource(
            "US.T", gateway=f"{gateway.url}?limit=off", store=tmp_path if with_store else None
        ) as source,
    ):
        if not with_store and page > 2:  # the newest page is known to all
            with pytest.raises(PaginationError, match=r"^US\.T from .*leads nowhere any more"):
                source.read()
            source.close()
        frame = source.read()
    assert gateway.generation == "b"
    assert frame["timestamp_str"].tolist() == [day_of(row, "US") for row in rows]
    counts = frame["shares_short"].to_numpy(dtype="float64", na_value=np.nan)
    sent = [float(row.get("sharesShort", math.nan)) for row in rows]
    np.testing.assert_array_equal(counts, sent)


def test_short_interest_of_an_unknown_code_is_told_though_its_volume_is_known() -> None:
    rows = make_rows("US", 3)
    with (
        SecondGateway({"US.T": History("US", rows)}) as gateway,
        FutuShortInterestSource("US.T", gateway=gateway.url) as source,
        pytest.raises(UnknownSecurityError, match=r"US\.T"),
    ):
        source.read()
    assert [query.proto_id for query in gateway.queries] == [SHORT_INTEREST]
