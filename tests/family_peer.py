"""Questions about short interest and the rank, in the official messages and by its client."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from second_gateway import official
from second_rank import RANK_FIELDS

import intake_futu_short
from intake_futu_short.calls import SHORT_INTEREST
from intake_futu_short.gateway import (
    Gateway,
    History,
)
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway_peer import Peer

SAMPLE = Path(intake_futu_short.__file__).parent / "sample"
INTEREST, RANK = 3249, 3415
# A guard against hangs, never a measure of speed.
PATIENCE_S = 60.0
NUMBERS = {"HK": 1, "US": 11}
# Columns of the official client's frame, and the official names of its fields.
RANKED = {column: sent for sent, column in RANK_FIELDS.items() if sent != "security"}
ASK = """
import json, os, sys
output = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # the client logs to standard output
from futu import OpenQuoteContext
port, calls = json.load(sys.stdin)
context = OpenQuoteContext(host="127.0.0.1", port=port)

def plain(value):
    if hasattr(value, "columns"):
        rows = [list(row) for row in value.astype(object).itertuples(index=False)]
        return {"columns": list(value.columns), "rows": rows, "attrs": value.attrs}
    return [plain(one) for one in value] if isinstance(value, tuple) else value

said = [plain(getattr(context, name)(*args, **kwargs)) for name, args, kwargs in calls]
context.close()
print(json.dumps(said), file=output, flush=True)
os._exit(0)  # its threads would keep the process
"""


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def official_answers(
    gateway: Gateway, calls: Sequence[tuple[str, list[Any], dict[str, Any]]]
) -> Any:
    """What the official client returns for each call (name, args, kwargs), frames as JSON."""
    home = os.environ["HOME"]
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        input=json.dumps([gateway.port, calls]), env={**os.environ, "USERPROFILE": home},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def interest(peer: Peer, code: str, **asked: Any) -> Any:
    market, symbol = code.split(".", 1)
    request = official("Qot_GetShortInterest_pb2").Request()
    request.c2s.security.market = NUMBERS.get(market) or int(market)
    request.c2s.security.code = symbol
    for name, value in asked.items():
        setattr(request.c2s, name, value)
    return peer.ask(INTEREST, request.SerializeToString(), "Qot_GetShortInterest_pb2")


def rank(peer: Peer, plates: Sequence[str] = (), **asked: Any) -> Any:
    request = official("Qot_GetShortSellingRank_pb2").Request()
    request.c2s.SetInParent()
    for name, value in asked.items():
        setattr(request.c2s, name, value)
    for plate in plates:
        request.c2s.plateList.add(market=11, code=plate)
    return peer.ask(RANK, request.SerializeToString(), "Qot_GetShortSellingRank_pb2")


def codes(answer: Any) -> list[str]:
    assert answer.retType == 0, answer.retMsg
    return [item.security.code for item in answer.s2c.dataList]


def volume(code: str, number: int, day: str = "2026-06-18") -> History:
    """A history of one row whose every count and price is a number."""
    names = {"US": ("volume", "total_shares_short")}
    whole, short = names.get(code[:2], ("shares_traded", "short_sell_shares_traded"))
    row: dict[str, Any] = {
        "timestamp_str": day,
        whole: 100 * number,
        short: number,
        "close_price": float(number),
    }
    return History(Security.parse(code), [row])


def reports(code: str, number: int, **values: Any) -> History:
    """Reports of consecutive days, newest first, all with the same values."""
    last = pd.Timestamp("2026-06-18")
    rows = [
        {"timestamp_str": f"{last - pd.Timedelta(days=back):%Y-%m-%d}", **values}
        for back in range(number)
    ]
    return History(Security.parse(code), rows, call=SHORT_INTEREST)


def expected(code: str) -> list[dict[str, str]]:
    with (SAMPLE / "short_interest" / f"{code}.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))
