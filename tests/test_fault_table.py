"""Every fault, at several places of a walk of 31 pages: the whole history, or the named error.

The walks are those of both calls with pages: daily short volume and short interest.

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
from fault_table import FAULTS, PLACES, ROWS_OF, Fault, Tricky
from second_rows import DAILY_SHORT_VOLUME, FIELDS_OF, SHORT_INTEREST, History, make_rows

from intake_futu_short.errors import FutuShortError
from intake_futu_short.gateway import Gateway
from intake_futu_short.gateway import History as OwnHistory
from intake_futu_short.interest_source import FutuShortInterestSource
from intake_futu_short.security import Security
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from intake_futu_short.paged_source import PagedSource

SOURCES: dict[int, type[PagedSource]] = {
    DAILY_SHORT_VOLUME: FutuShortSource,
    SHORT_INTEREST: FutuShortInterestSource,
}
CALLS = [pytest.param(call, id=source.call.name) for call, source in SOURCES.items()]
OWN_GATEWAY_PLACE = 16
HISTORIES = {
    call: {
        "US.AAPL": History("US", rows),
        "HK.00700": History("HK", make_rows("HK", 240, call=call)),
    }
    for call, rows in ROWS_OF.items()
}
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


def own_history(call: int) -> OwnHistory:
    columns = FIELDS_OF[call]["US"]
    rows = [{columns[name]: row[name] for name in row} for row in ROWS_OF[call]]
    return OwnHistory(Security.parse("US.AAPL"), rows, call=SOURCES[call].call)


def is_whole(frame: pd.DataFrame, call: int, code: str) -> bool:
    """Every row once, in its place, with every value as it was."""
    history = HISTORIES[call][code]
    fields = FIELDS_OF[call][history.market]
    columns = {column: [row[name] for row in history.rows] for name, column in fields.items()}
    sent = frame.drop(columns="published", errors="ignore")
    return {str(name): sent[name].tolist() for name in sent} == columns


def outcome(source: PagedSource, call: int, code: str) -> str:
    with closing(source):
        try:
            return "whole" if is_whole(source.read(), call, code) else "WRONG"
        except FutuShortError as error:
            return type(error).__name__


def read(fault: Fault, url: str, call: int) -> str:
    def read_one(code: str) -> str:
        source = SOURCES[call](code, gateway=f"{url}?{LIMIT}", timeout=fault.timeout_s)
        return outcome(source, call, code)

    if not fault.everywhere:
        return read_one("US.AAPL")
    with ThreadPoolExecutor(1) as pool:  # answers to be shuffled must be in flight together
        other = pool.submit(read_one, "HK.00700")
        assert read_one("US.AAPL") == other.result()
        return other.result()


def told(name: str, call: int) -> str:
    return name if call == DAILY_SHORT_VOLUME else f"{name} (interest)"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("name", "place"), SOME_SLOW)
def test_a_walk_ends_whole_or_in_the_named_error(
    name: str,
    place: int,
    call: int,
    tell_outcome: Callable[[str, int, str], None],
    patience: Callable[..., None],
) -> None:
    fault = FAULTS[name]
    patience(**dict(fault.patience))
    with (
        Tricky(fault, place, HISTORIES[call], call) as gateway,
        FaultProxy(gateway.port, fault.act, place or None, always=fault.always) as proxy,
    ):
        begin = time.monotonic()
        became = read(fault, proxy.url, call)
        took = time.monotonic() - begin
        assert our_threads() == []
    tell_outcome(told(name, call), place, became)
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
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", OF_THE_NETWORK)
def test_so_does_a_walk_of_the_package_s_own_gateway(
    name: str,
    call: int,
    tell_outcome: Callable[[str, int, str], None],
    patience: Callable[..., None],
) -> None:
    fault = FAULTS[name]
    patience(**dict(fault.patience))
    own = {"US.AAPL": own_history(call)}
    volume, interest = (own, {}) if call == DAILY_SHORT_VOLUME else ({}, own)
    with (
        Gateway(volume, short_interest=interest) as gateway,
        FaultProxy(gateway.port, fault.act, OWN_GATEWAY_PLACE, always=fault.always) as proxy,
    ):
        became = read(fault, proxy.url, call)
    tell_outcome(f"{told(name, call)} (own gateway)", OWN_GATEWAY_PLACE, became)
    assert became == (fault.error or "whole")
    assert proxy.spoiled
    assert our_threads() == []


def our_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("intake-futu-short")]
