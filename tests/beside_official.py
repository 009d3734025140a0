"""Both clients' frames side by side: what is compared, and a context that need not wait."""

from __future__ import annotations

from typing import Any

import pandas as pd
from official_client import as_json
from second_gateway import HEADER, SecondGateway

from intake_futu_short import RET_OK, OpenQuoteContext
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.reading import open_gateways

PATIENCE_S = 30.0


def unlimited(port: int) -> OpenQuoteContext:
    """A context that keeps no limit: it asks more than a live gateway would answer."""
    context = OpenQuoteContext(port=port)
    url = GatewayURL.parse(f"opend://127.0.0.1:{port}?limit=off")
    context._gateways = open_gateways([url], PATIENCE_S)
    return context


def interest_pages(port: int, code: str, num: int | None) -> list[dict[str, Any]]:
    """All pages of short interest, as `official_client.read` says them."""
    pages: list[dict[str, Any]] = []
    next_key = None
    with unlimited(port) as context:
        while next_key != "-1" and len(pages) < 100:
            ret, us_df, hk_df = context.get_short_interest(code, next_key, num)
            assert ret == RET_OK
            assert isinstance(us_df, pd.DataFrame)
            assert hk_df is not None
            pages.append({"us": as_json(us_df), "hk": as_json(hk_df)})
            next_key = (us_df if code.startswith("US") else hk_df).attrs["next_key"]
    return pages


def assert_same_frame(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Cell by cell and dtype by dtype."""
    assert ours["columns"] == theirs["columns"]
    assert ours["dtypes"] == theirs["dtypes"]
    assert ours["attrs"] == theirs["attrs"]
    # Spelled out, an int is no float, None is no NaN, and NaN equals NaN.
    assert repr(ours["rows"]) == repr(theirs["rows"])


def assert_same_pages(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    for page, expected in zip(ours, theirs, strict=True):
        for key in ("us", "hk"):
            assert_same_frame(page[key], expected[key])


def bodies(gateway: SecondGateway, proto_id: int) -> list[bytes]:
    """Bodies of the requests of one protocol, as they came over plain connections."""
    of_protocol = [
        sent for sent in gateway.frames if HEADER.unpack(sent[: HEADER.size])[2] == proto_id
    ]
    return [sent[HEADER.size :] for sent in of_protocol]
