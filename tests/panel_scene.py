"""Tickers of a second gateway to read as panels, and what must come of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from second_rows import History, make_rows

from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    import pandas as pd
    from second_gateway import SecondGateway

    from intake_futu_short.gateway import Gateway

AGGREGATES: dict[str, int | float | str] = {
    "aggregatedShort": 51_480_638,
    "aggregatedShortRatio": 0.56,
    "newTimeStr": "2026-04-30",
}
CODES = ["US.A", "US.B", "US.C"]
ROWS = {"US.A": 7, "US.B": 5, "US.C": 12}


def histories() -> dict[str, History]:
    us = {code: History("US", make_rows("US", n, seed=n)) for code, n in ROWS.items()}
    hk = {
        "HK.00001": History("HK", make_rows("HK", 3, seed=1), AGGREGATES),
        "HK.00002": History("HK", make_rows("HK", 2, seed=2)),
    }
    return {**us, **hk}


def panel(
    gateway: SecondGateway | Gateway, codes: Any = CODES, **arguments: Any
) -> FutuShortSource:
    return FutuShortSource(codes, gateway=gateway.url, **{"num": 5, **arguments})


def expected(codes: list[str] = CODES) -> list[tuple[str, str, int]]:
    """Code, day and shares of every row, straight from the gateway's own rows."""
    known = histories()
    return [
        (code, str(row["timestampStr"]), int(row["totalSharesShort"]))
        for code in codes
        for row in known[code].rows
    ]


def rows_of(frame: pd.DataFrame) -> list[tuple[str, str, int]]:
    return list(
        zip(frame["code"], frame["timestamp_str"], frame["total_shares_short"], strict=True)
    )


def pages_asked(gateway: SecondGateway) -> dict[str, int]:
    codes = [query.code for query in gateway.queries]
    return {code: codes.count(code) for code in codes}
