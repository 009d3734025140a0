"""Panels: many tickers as one source, over real sockets."""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import intake
import pandas as pd
import pytest
import yaml
from forking import unmeasured
from second_gateway import Exchange, History, SecondGateway, make_rows, obliging

from intake_futu_short import table
from intake_futu_short.errors import (
    GatewayDisconnectedError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    PanelError,
    PanelWarning,
    QuoteRightError,
    UnknownSecurityError,
)
from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
        "HK.1": History("HK", make_rows("HK", 3, seed=1), AGGREGATES),
        "HK.2": History("HK", make_rows("HK", 2, seed=2)),
    }
    return {**us, **hk}


@pytest.fixture
def gateway() -> Iterator[SecondGateway]:
    with SecondGateway(histories()) as server:
        yield server


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


def test_a_list_of_codes_is_one_frame_ticker_after_ticker(gateway: SecondGateway) -> None:
    with panel(gateway) as src:
        frame = src.read()
        assert rows_of(frame) == expected()
        assert list(frame.columns)[:3] == ["code", "timestamp", "timestamp_str"]
        assert frame["code"].dtype == table.text_dtype() == frame["timestamp_str"].dtype
        assert frame.index.equals(pd.RangeIndex(24))
        assert frame.attrs == {"market": "US"}
        assert src.npartitions == 6
        assert src.shape == (24, 11)
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == src.dtype
    # US.B has a whole page, which an empty one follows.
    assert pages_asked(gateway) == {"US.A": 2, "US.B": 2, "US.C": 3}
    assert gateway.connections == 1


def test_a_panels_order_and_its_repeats_are_the_lists(gateway: SecondGateway) -> None:
    with panel(gateway, ["US.C", "US.A", "US.C"]) as src:
        assert rows_of(src.read()) == expected(["US.C", "US.A"])


def test_a_list_of_one_is_a_panel(gateway: SecondGateway) -> None:
    with panel(gateway, ["US.A"]) as src:
        assert rows_of(src.read()) == expected(["US.A"])


def test_the_attributes_of_a_panel_are_the_same_when_one_ticker_is_read(
    gateway: SecondGateway,
) -> None:
    with panel(gateway, ["HK.1"]) as src:
        assert set(src.read().attrs) == {"aggregates", "market"}
        assert src.discover()["metadata"] == src.read().attrs
    with panel(gateway, ["US.A", "US.NOPE"]) as src:
        with pytest.raises(PanelError) as caught:
            src.read()
        assert caught.value.partial is not None
        assert caught.value.partial.attrs == {"market": "US", "failed": ["US.NOPE"]}


def test_hk_aggregates_come_as_one_json_string(gateway: SecondGateway) -> None:
    first = {"aggregated_short": 51_480_638, "aggregated_short_ratio": 0.56,
             "new_time_str": "2026-04-30"}  # fmt: skip
    none = dict.fromkeys(first)
    with panel(gateway, ["HK.1", "HK.2"]) as src:
        assert src.aggregates() == {"HK.1": first, "HK.2": none}
        assert pages_asked(gateway) == {"HK.1": 1, "HK.2": 1}
        frame = src.read()
        assert frame.attrs["market"] == "HK"
        assert json.loads(frame.attrs["aggregates"]) == {"HK.1": first, "HK.2": none}
        assert frame.shortvol.aggregates["code"].tolist() == ["HK.1"]
        assert src.discover()["metadata"] == frame.attrs
    assert pages_asked(gateway) == {"HK.1": 1, "HK.2": 1}


def test_us_has_no_aggregates_and_is_not_asked(gateway: SecondGateway) -> None:
    with panel(gateway) as src:
        assert set(src.aggregates()) == set(CODES)
        assert set(src.aggregates()["US.A"].values()) == {None}
    assert gateway.queries == []


def test_nothing_is_asked_before_it_is_needed(gateway: SecondGateway) -> None:
    with panel(gateway) as src:
        assert (src.npartitions, src.shape) == (None, None)
        assert next(iter(src.dtype)) == "code"
        repr(src)
        hash(src)
    assert gateway.connections == 0


def test_a_partition_reads_no_ticker_behind_it(gateway: SecondGateway) -> None:
    with panel(gateway) as src:
        third = src.read_partition(2)
        assert rows_of(third) == expected()[7:12]  # the only page of US.B
        assert third.attrs["code"] == "US.B"
        assert third.index.equals(pd.RangeIndex(5))
        assert pages_asked(gateway) == {"US.A": 2, "US.B": 1}
        assert src.npartitions is None
        with pytest.raises(IndexError, match="partition 6 is out of range: the panel of 3 tickers"):
            src.read_partition(6)
        assert src.npartitions == 6
        assert pages_asked(gateway) == {"US.A": 2, "US.B": 2, "US.C": 3}
        assert rows_of(src.read()) == expected()
    assert pages_asked(gateway) == {"US.A": 2, "US.B": 2, "US.C": 3}


def test_chunks_and_partitions_are_the_rows_of_the_whole(gateway: SecondGateway) -> None:
    with panel(gateway) as src:
        chunks = list(src.read_chunked())
        assert [len(chunk) for chunk in chunks] == [5, 2, 5, 5, 5, 2]
        assert [row for chunk in chunks for row in rows_of(chunk)] == expected()
        pd.testing.assert_frame_equal(pd.concat(chunks, ignore_index=True), src.read())


def test_dask_partitions_are_the_pages_ticker_after_ticker(gateway: SecondGateway) -> None:
    with panel(gateway) as src:
        ddf = src.to_dask()
        whole = src.read()
    assert ddf.npartitions == 6
    computed = ddf.compute(scheduler="sync")
    pd.testing.assert_frame_equal(computed, whole)
    assert computed.attrs == whole.attrs


def test_an_empty_panel_has_the_columns_of_a_full_one(gateway: SecondGateway) -> None:
    with panel(gateway, start="2030-01-01") as empty, panel(gateway) as full:
        assert empty.discover()["npartitions"] == 0
        assert empty.read().dtypes.to_dict() == full.read().dtypes.to_dict()
        assert len(empty.to_dask().compute(scheduler="sync")) == 0


def test_start_and_max_pages_are_each_tickers_own(gateway: SecondGateway) -> None:
    with panel(gateway, max_pages=1) as src:
        assert [code for code, *_ in rows_of(src.read())] == ["US.A"] * 5 + ["US.B"] * 5 + [
            "US.C"
        ] * 5


def test_a_list_is_printed_pickled_and_opened_again(tmp_path: Path, gateway: SecondGateway) -> None:
    src = panel(gateway, "['US.A', 'US.B']", errors="warn")
    entry = yaml.safe_load(src.yaml())["sources"]["futu_short"]
    assert entry["args"]["code"] == ["US.A", "US.B"]
    assert entry["args"]["errors"] == "warn"
    twin = pickle.loads(pickle.dumps(src))  # noqa: S301 - pickled in this line
    assert twin == src == panel(gateway, ["US.A", "US.B"], errors="warn")
    assert hash(twin) == hash(src)
    assert twin.__dask_tokenize__() == src.__dask_tokenize__()
    assert src != panel(gateway, ["US.B", "US.A"], errors="warn")
    path = tmp_path / "catalog.yaml"
    path.write_text(src.yaml())
    with intake.open_catalog(str(path)).futu_short as again:
        assert again == src
        assert rows_of(again.read()) == expected(["US.A", "US.B"])


# -- some fail ----------------------------------------------------------------------------------


def test_one_unknown_ticker_leaves_the_others_read(gateway: SecondGateway) -> None:
    with panel(gateway, ["US.A", "US.NOPE", "US.B"]) as src:
        with pytest.raises(
            PanelError, match=r"1 of 3 tickers failed: US\.NOPE\. .*Unknown"
        ) as caught:
            src.read()
        assert list(caught.value.failures) == ["US.NOPE"]
        assert isinstance(caught.value.failures["US.NOPE"], UnknownSecurityError)
        assert isinstance(caught.value.__cause__, UnknownSecurityError)
        partial = caught.value.partial
        assert partial is not None
        assert rows_of(partial) == expected(["US.A", "US.B"])
        assert partial.attrs == {"market": "US", "failed": ["US.NOPE"]}
        copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - pickled in this line
        assert list(copy.failures) == ["US.NOPE"]
        # Nothing is asked for twice but what is missing.
        gateway.histories["US.NOPE"] = gateway.histories["US.A"]
        assert len(src.read()) == 7 + 7 + 5
    assert pages_asked(gateway) == {"US.A": 2, "US.NOPE": 3, "US.B": 2}


def test_errors_warn_gives_the_rest_and_names_what_is_left_out(gateway: SecondGateway) -> None:
    with panel(gateway, ["US.A", "US.NOPE", "US.B"], errors="warn") as src:
        with pytest.warns(PanelWarning, match=r"1 of 3 tickers failed: US\.NOPE") as warned:
            frame = src.read()
        assert [w.filename for w in warned] == [__file__]
        assert rows_of(frame) == expected(["US.A", "US.B"])
        assert frame.attrs == {"market": "US", "failed": ["US.NOPE"]}
        assert src.npartitions == 3
        assert src.metadata["failed"] == ["US.NOPE"]
        pd.testing.assert_frame_equal(src.read(), frame)  # said once
        assert src.to_dask().npartitions == 3
    assert pages_asked(gateway)["US.NOPE"] == 1


def test_errors_warn_without_failures_says_that_there_are_none(gateway: SecondGateway) -> None:
    with panel(gateway, errors="warn") as src:
        assert src.read().attrs == {"market": "US", "failed": []}


def test_errors_warn_skips_a_failed_ticker_in_chunks_too(gateway: SecondGateway) -> None:
    with panel(gateway, ["US.NOPE", "US.A"], errors="warn") as src:
        with pytest.warns(PanelWarning, match="US.NOPE"):
            chunks = list(src.read_chunked())
        assert [row for chunk in chunks for row in rows_of(chunk)] == expected(["US.A"])
        assert rows_of(src.read_partition(0)) == expected(["US.A"])[:5]


def test_when_all_fail_there_is_an_empty_frame_or_an_error_that_names_some(
    gateway: SecondGateway,
) -> None:
    codes = [f"US.NOPE{i}" for i in range(7)]
    with panel(gateway, codes) as src:
        with pytest.raises(PanelError, match=r"7 of 7 .*NOPE4 and 2 more\.") as caught:
            src.read()
        assert caught.value.partial is not None
        assert len(caught.value.partial) == 0
        assert list(caught.value.failures) == codes
    with panel(gateway, codes, errors="warn") as src, pytest.warns(PanelWarning):
        frame = src.read()
    assert list(frame.columns) == list(src.dtype)
    assert frame.attrs["failed"] == codes


def test_a_ticker_that_fails_after_its_first_partition_was_given_cannot_be_left_out() -> None:
    def no_right_at_last(exchange: Exchange) -> None:
        query = exchange.query
        if query and query.code == "US.C" and query.next_key == "10":
            exchange.send(refusal(exchange, "No permission"))
        else:
            obliging(exchange)

    with SecondGateway(histories(), no_right_at_last) as gateway:
        with panel(gateway, ["US.C", "US.A"], errors="warn") as src:
            src.read_partition(0)
            with pytest.raises(PanelError) as caught:
                src.read()
            assert isinstance(caught.value.failures["US.C"], QuoteRightError)
            with pytest.raises(PanelError):
                list(src.read_chunked())
        with panel(gateway, ["US.C", "US.A"], errors="warn") as src, pytest.warns(PanelWarning):
            # Never a short history as if it were whole.
            assert rows_of(src.read()) == expected(["US.A"])


def refusal(exchange: Exchange, words: str) -> bytes:
    from second_gateway import frame, refusal_body  # noqa: PLC0415

    return frame(exchange.proto_id, exchange.serial, refusal_body(words))


@pytest.mark.parametrize("errors", ["raise", "warn"])
def test_a_gateway_that_is_down_is_one_error_of_its_own(errors: str) -> None:
    codes = [f"US.T{i}" for i in range(2000)]
    with (
        FutuShortSource(codes, gateway="opend://127.0.0.1:1", errors=errors) as src,
        pytest.raises(GatewayUnreachableError, match=r"opend://127\.0\.0\.1:1"),
    ):
        src.read()


def test_a_gateway_that_answers_nothing_is_one_error_of_its_own() -> None:
    with SecondGateway(histories(), lambda _: None) as gateway:
        codes = [f"US.T{i}" for i in range(500)]
        with panel(gateway, codes, timeout=0.2) as src, pytest.raises(GatewayTimeoutError):
            src.read()


def test_a_ticker_at_which_the_gateway_hangs_up_fails_alone(gateway: SecondGateway) -> None:
    def hang_up_at_b(exchange: Exchange) -> None:
        if exchange.query and exchange.query.code == "US.B":
            exchange.close()
        else:
            obliging(exchange)

    with panel(gateway) as src:
        src.read_partition(0)
        gateway.script = hang_up_at_b
        with pytest.raises(PanelError) as caught:
            src.read()
        assert isinstance(caught.value.failures["US.B"], GatewayDisconnectedError)
        gateway.script = obliging
        assert rows_of(src.read()) == expected()


def test_a_connection_that_ends_under_many_requests_is_one_warning(
    gateway: SecondGateway, caplog: pytest.LogCaptureFixture
) -> None:
    def hang_up_at_the_third(exchange: Exchange) -> None:
        if exchange.query is None or exchange.number > 3:
            obliging(exchange)
        elif exchange.number == 3:
            exchange.close()

    caplog.set_level(logging.INFO, "intake_futu_short")
    gateway.script = hang_up_at_the_third
    with panel(gateway) as src:
        assert rows_of(src.read()) == expected()
    said = [record for record in caplog.records if "asked for again" in record.getMessage()]
    assert [record.levelname for record in said] == ["WARNING", "INFO", "INFO"]
    assert {record.getMessage().split(" ")[0] for record in said} == set(CODES)


def test_a_single_code_raises_its_error_whatever_errors_says(gateway: SecondGateway) -> None:
    with panel(gateway, "US.NOPE", errors="warn") as src, pytest.raises(UnknownSecurityError):
        src.read()


# -- many at once -------------------------------------------------------------------------------


def test_requests_of_tickers_are_in_flight_together_and_answered_in_any_order() -> None:
    held: list[Exchange] = []
    lock = threading.Lock()

    def all_at_once_backwards(exchange: Exchange) -> None:
        if exchange.query is None:
            obliging(exchange)
            return
        with lock:
            held.append(exchange)
            if len(held) == 20:  # nobody is answered before all have asked
                for one in reversed(held):
                    obliging(one)

    codes = [f"US.T{i}" for i in range(20)]
    known = {code: History("US", make_rows("US", 3, seed=i)) for i, code in enumerate(codes)}
    with SecondGateway(known, all_at_once_backwards) as gateway, panel(gateway, codes) as src:
        frame = src.read()
    assert gateway.connections == 1
    assert frame["code"].tolist() == [code for code in codes for _ in range(3)]
    assert frame["total_shares_short"].tolist() == [
        row["totalSharesShort"] for code in codes for row in known[code].rows
    ]


def test_a_panel_keeps_the_limit() -> None:
    aapl = sample_histories()["US.AAPL"]
    codes = [f"US.T{i}" for i in range(25)]
    with Gateway(dict.fromkeys(codes, aapl), limit=(10, 0.5)) as gateway:
        with FutuShortSource(codes, gateway=f"{gateway.url}?limit=10/0.5") as src:
            assert len(src.read()) == 25 * 29
        assert len(gateway.requests) == 25


def test_after_a_read_the_shared_thread_is_left_and_after_close_none(
    gateway: SecondGateway, nothing_left_behind: None
) -> None:
    before = set(threading.enumerate())

    def left() -> list[str]:
        ours = set(threading.enumerate()) - before
        return [t.name for t in ours if t.name.startswith("intake-futu-short")]

    src = panel(gateway)
    src.read()
    assert left() == ["intake-futu-short"]
    src.close()
    assert left() == []


@pytest.mark.parametrize("codes", [CODES, "US.A"])
def test_close_in_another_thread_ends_a_read_also_when_others_use_the_gateway(
    codes: Any, nothing_left_behind: None
) -> None:
    with SecondGateway(histories()) as gateway:
        url = f"{gateway.url}?limit=1/600"
        with FutuShortSource("US.A", gateway=url) as other, panel(gateway, codes) as src:
            other.read()
            errors: list[GatewayDisconnectedError] = []

            def read() -> None:
                try:
                    src.read()
                except GatewayDisconnectedError as error:
                    errors.append(error)

            reader = threading.Thread(target=read)
            reader.start()
            while src._opening is None or not src._progress._wait:
                time.sleep(0.001)
            src.close()
            reader.join(30)
            assert not reader.is_alive()
            assert len(errors) == 1
            assert len(other.read()) == 7


INTERRUPTED = """
import sys, threading
from intake_futu_short.source import FutuShortSource

other = FutuShortSource("US.A", gateway=sys.argv[1])
other.read()
source = FutuShortSource(["US.A", "US.B", "US.C"], gateway=sys.argv[1])
try:
    source.read()
except KeyboardInterrupt:
    print(sorted(t.name for t in threading.enumerate() if t.name.startswith("intake")))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_a_read_at_once_and_leaves_no_thread_of_it() -> None:
    with SecondGateway(histories(), only_first) as gateway:
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, gateway.url],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        gateway.wait_until(lambda: len(gateway.queries) == 4)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("['intake-futu-short']\n", "", 0)


def only_first(exchange: Exchange) -> None:
    if exchange.query is None or exchange.number == 1:
        obliging(exchange)


FORKED = """
import os, sys, threading
from intake_futu_short.source import FutuShortSource

source = FutuShortSource(["US.A", "US.B", "US.C"], gateway=sys.argv[1:], num=5)
reader = threading.Thread(target=source.read)
reader.start()
while source._progress._pages < 3:  # in the middle of the read
    pass
child = os.fork()
if not child:
    rows = len(source.read())
    source.close()
    os._exit(0 if rows == 24 else 1)
reader.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(source.read()))
source.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("number", [1, 2])
def test_a_child_forked_in_the_middle_of_a_panel_reads_for_itself(number: int) -> None:
    with ExitStack() as stack:
        gateways = [
            stack.enter_context(SecondGateway(histories(), cursor="timestamp"))
            for _ in range(number)
        ]
        result = subprocess.run(
            # Python 3.12 and newer warn of every fork of a process with threads.
            [sys.executable, "-W", "ignore", "-c", FORKED, *(gateway.url for gateway in gateways)],
            capture_output=True, text=True, check=False, timeout=60, env=unmeasured(),
        )  # fmt: skip
    assert (result.stdout.split(), result.stderr) == (["0", "24"], "")


LEFT = """
import sys, threading, time
from intake_futu_short.source import FutuShortSource

source = FutuShortSource(["US.A", "US.B", "US.C"], gateway=sys.argv[1], timeout=600)
threading.Thread(target=source.read, daemon=True).start()
sys.stdin.readline()
"""


def test_a_read_does_not_hold_the_process_open() -> None:
    with SecondGateway(histories(), only_first) as gateway:
        process = subprocess.Popen(
            [sys.executable, "-c", LEFT, gateway.url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        gateway.wait_until(lambda: len(gateway.queries) == 3)
        out, err = process.communicate("\n", timeout=30)
    assert (out, process.returncode) == ("", 0), err
