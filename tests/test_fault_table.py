"""Every fault, at several places of a walk of 31 pages: the whole history, or the named error.

A proxy between the real client and a real gateway does what networks do, and the gateway what
gateways do. The outcomes are printed as a table at the end of the run.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from fault_proxy import FaultProxy
from fault_table import FAULTS, PLACES, ROWS, Fault, Tricky
from second_gateway import FIELDS, History, make_rows

from intake_futu_short.errors import FutuShortError
from intake_futu_short.gateway import Gateway
from intake_futu_short.gateway import History as OwnHistory
from intake_futu_short.security import Security
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from second_gateway import Row

OWN = OwnHistory(
    Security.parse("US.AAPL"), [{FIELDS["US"][name]: row[name] for name in row} for row in ROWS]
)
OWN_GATEWAY_PLACE = 16
HISTORIES = {"US.AAPL": History("US", ROWS), "HK.00700": History("HK", make_rows("HK", 240))}
# Nobody is refused by it; it makes "too frequent" wait for no longer than this window.
LIMIT = "limit=1000/0.2"
# Much more than all takes but the answers that are waited for in vain.
GUARD_S = 15.0
CASES = [
    (name, place)
    for name, fault in FAULTS.items()
    for place in ((0,) if fault.everywhere else fault.places)
]
# Pages in the middle of a walk are much alike.
SOME_SLOW = [
    pytest.param(name, place, marks=[pytest.mark.slow] if place == PLACES[2] else [])
    for name, place in CASES
]


def is_whole(frame: pd.DataFrame, rows: Sequence[Row], market: str) -> bool:
    """Every row once, in its place, with every value as it was."""
    columns = {column: [row[name] for row in rows] for name, column in FIELDS[market].items()}
    return {str(name): frame[name].tolist() for name in frame} == columns


def outcome(source: FutuShortSource, rows: Sequence[Row], market: str = "US") -> str:
    with closing(source):
        try:
            return "whole" if is_whole(source.read(), rows, market) else "WRONG"
        except FutuShortError as error:
            return type(error).__name__


def read(fault: Fault, url: str) -> str:
    def source(code: str) -> FutuShortSource:
        return FutuShortSource(code, gateway=f"{url}?{LIMIT}", timeout=fault.timeout_s)

    if not fault.everywhere:
        return outcome(source("US.AAPL"), ROWS)
    with ThreadPoolExecutor(1) as pool:  # answers to be shuffled must be in flight together
        other = pool.submit(outcome, source("HK.00700"), HISTORIES["HK.00700"].rows, "HK")
        assert outcome(source("US.AAPL"), ROWS) == other.result()
        return other.result()


@pytest.mark.parametrize(("name", "place"), SOME_SLOW)
def test_a_walk_ends_whole_or_in_the_named_error(
    name: str,
    place: int,
    tell_outcome: Callable[[str, int, str], None],
    patience: Callable[..., None],
) -> None:
    fault = FAULTS[name]
    patience(**dict(fault.patience))
    with (
        Tricky(fault, place, HISTORIES) as gateway,
        FaultProxy(gateway.port, fault.act, place or None, always=fault.always) as proxy,
    ):
        begin = time.monotonic()
        became = read(fault, proxy.url)
        took = time.monotonic() - begin
        assert our_threads() == []
    tell_outcome(name, place, became)
    assert became == (fault.error or "whole")
    assert took < GUARD_S
    assert proxy.spoiled if fault.answer is None else gateway.tricks  # the fault did happen


# Without the two that take long and are the same whoever answers.
OF_THE_NETWORK = [
    name
    for name, fault in FAULTS.items()
    if not (fault.answer or fault.everywhere or name in {"gateway slow", "no answer, always"})
]


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_THE_NETWORK)
def test_so_does_a_walk_of_the_package_s_own_gateway(
    name: str, tell_outcome: Callable[[str, int, str], None], patience: Callable[..., None]
) -> None:
    fault = FAULTS[name]
    patience(**dict(fault.patience))
    with (
        Gateway({"US.AAPL": OWN}) as gateway,
        FaultProxy(gateway.port, fault.act, OWN_GATEWAY_PLACE, always=fault.always) as proxy,
    ):
        became = read(fault, proxy.url)
    tell_outcome(f"{name} (own gateway)", OWN_GATEWAY_PLACE, became)
    assert became == (fault.error or "whole")
    assert proxy.spoiled
    assert our_threads() == []


def our_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("intake-futu-short")]
