"""The Intake driver, against our gateway over real sockets."""

from __future__ import annotations

import csv
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import intake
import numpy as np
import pandas as pd
import pytest
import yaml
from forking import unmeasured

import intake_futu_short
from intake_futu_short.errors import ConfigError, UnknownSecurityError
from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.compat

SAMPLE = Path(intake_futu_short.__file__).parent / "sample"


def file_rows(code: str) -> list[dict[str, str]]:
    """Rows of a sample file, newest first, read without the code under test."""
    with (SAMPLE / f"{code}.csv").open(newline="") as file:
        return sorted(csv.DictReader(file), key=lambda row: row["timestamp_str"], reverse=True)


def file_days(code: str) -> list[str]:
    return [row["timestamp_str"] for row in file_rows(code)]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway(sample_histories()) as server:
        yield server


def open_aapl(gateway: Gateway, **arguments: Any) -> FutuShortSource:
    return FutuShortSource("US.AAPL", gateway=gateway.url, **arguments)


def cursors(gateway: Gateway) -> int:
    return len(gateway.requests)


def test_intake_knows_the_driver_by_its_entry_point() -> None:
    assert intake.open_futu_short is FutuShortSource


def test_read_gives_every_row_newest_first(gateway: Gateway) -> None:
    with open_aapl(gateway, num=10) as src:
        frame = src.read()
    expected = file_rows("US.AAPL")
    assert frame["timestamp_str"].tolist() == [row["timestamp_str"] for row in expected]
    for column in frame.columns.drop("timestamp_str"):
        assert frame[column].tolist() == [float(row[column]) for row in expected]
    assert frame.attrs == {"code": "US.AAPL", "market": "US", "next_key": "-1"}
    assert cursors(gateway) == 3
    assert [request.num for request in gateway.requests] == [10, 10, 10]


def test_documented_hk_rows_come_with_aggregates_and_missing_columns() -> None:
    with intake.open_futu_short("HK.00700", gateway="sample://") as src:
        frame = src.read()
    # Days and values as the call's own documentation prints them.
    assert frame["timestamp_str"].iloc[[0, -1]].tolist() == ["2026-05-08", "2026-04-24"]
    assert frame["last_close_price"].tolist() == [
        477.4, 463.0, 472.2, 473.0, 467.8, 479.2, 473.8, 478.6, 493.4, 495.2,
    ]  # fmt: skip
    assert frame["daily_trade_avg_ratio"].iloc[0] == 11.36
    missing = ["shares_traded", "turnover", "short_sell_shares_traded", "short_sell_turnover",
               "open_price", "close_price"]  # fmt: skip
    assert frame[missing].isna().all(axis=None)
    assert frame["shares_traded"].dtype == pd.Int64Dtype()
    assert frame.attrs == {
        "code": "HK.00700", "market": "HK", "next_key": "-1", "aggregated_short": 51_480_638,
        "aggregated_short_ratio": 0.56, "new_time_str": "2026-04-30",
    }  # fmt: skip


def test_a_history_of_whole_pages_has_no_empty_partition() -> None:
    with intake.open_futu_short("HK.SAMPLE", gateway="sample://") as src:
        assert src.discover()["npartitions"] == 30
        assert src.shape == (1500, 10)
        assert src.read()["timestamp_str"].tolist() == file_days("HK.SAMPLE")


def test_nothing_is_asked_before_it_is_needed(gateway: Gateway) -> None:
    with open_aapl(gateway, num=10) as src:
        assert src.npartitions is None
        assert src.shape is None
        assert list(src.dtype) == list(file_rows("US.AAPL")[0])
        assert src.metadata == {}
        repr(src)
        src.yaml()
        hash(src)
        pickle.dumps(src)
        assert cursors(gateway) == 0
        assert gateway.requests == []


def test_a_partition_walks_only_as_far_as_it_must_and_nothing_is_asked_twice(
    gateway: Gateway,
) -> None:
    days = file_days("US.AAPL")
    with open_aapl(gateway, num=10) as src:
        second = src.read_partition(1)
        assert second["timestamp_str"].tolist() == days[10:20]
        assert second.index.equals(pd.RangeIndex(10))
        assert cursors(gateway) == 2
        assert src.read_partition(0)["timestamp_str"].tolist() == days[:10]
        assert src.npartitions is None
        assert cursors(gateway) == 2
        assert len(src.read()) == 29
        assert src.npartitions == 3
        src.discover()
        src.read_partition(np.int64(2))  # type: ignore[arg-type]  # what numpy users have
        assert cursors(gateway) == 3
        assert second.attrs["next_key"] not in {"-1", None, ""}


def test_partitions_past_the_end_are_an_index_error(gateway: Gateway) -> None:
    with open_aapl(gateway, num=10) as src:
        with pytest.raises(IndexError, match=r"partition 3 is out of range: US\.AAPL has 3"):
            src.read_partition(3)
        with pytest.raises(IndexError, match="-1 is out of range"):
            src.read_partition(-1)
        with pytest.raises(TypeError):
            src.read_partition("0")  # type: ignore[arg-type]  # that is the test


def test_chunks_stream_page_by_page(gateway: Gateway) -> None:
    days = file_days("US.AAPL")
    with open_aapl(gateway, num=10) as src:
        chunks = src.read_chunked()
        assert next(chunks)["timestamp_str"].tolist() == days[:10]
        assert cursors(gateway) == 1
        assert [len(chunk) for chunk in chunks] == [10, 9]


@pytest.mark.parametrize(
    ("arguments", "first", "last", "requests"),
    [
        ({"start": "2024-10-01"}, 0, 9, 1),
        ({"start": "2024-09-30"}, 0, 10, 1),  # the tenth row, the last of its page
        ({"start": "2024-09-27"}, 0, 11, 2),
        ({"end": "2024-09-27"}, 10, 29, 3),
        ({"start": "2024-09-20", "end": "2024-09-27"}, 10, 16, 2),
        ({"max_pages": 1}, 0, 10, 1),
        ({"max_pages": 1, "end": "2024-09-27"}, 10, 20, 2),
        ({"start": "2030-01-01"}, 0, 0, 1),
        ({"end": "1999-12-31"}, 0, 0, 3),
        ({"start": "2024-09-28", "end": "2024-09-29"}, 0, 0, 2),  # a weekend
    ],
)
def test_start_end_and_max_pages_stop_the_walk(
    gateway: Gateway, arguments: dict[str, Any], first: int, last: int, requests: int
) -> None:
    with open_aapl(gateway, num=10, **arguments) as src:
        frame = src.read()
        assert frame["timestamp_str"].tolist() == file_days("US.AAPL")[first:last]
        assert cursors(gateway) == requests
        assert src.shape == (last - first, 10)


def test_an_empty_read_has_the_columns_and_dtypes_of_a_full_one(gateway: Gateway) -> None:
    with open_aapl(gateway) as full, open_aapl(gateway, start="2030-01-01") as empty:
        assert empty.discover()["npartitions"] == 0
        assert empty.read().dtypes.to_dict() == full.read().dtypes.to_dict()
        assert {name: str(dtype) for name, dtype in full.read().dtypes.items()} == full.dtype
        assert len(empty.read()) == 0
        assert empty.read().attrs["code"] == "US.AAPL"
        with pytest.raises(IndexError):
            empty.read_partition(0)


def test_sources_that_differ_in_the_order_of_options_alone_are_one(tmp_path: Path) -> None:
    one, other = (
        FutuShortSource("HK.00001", store=tmp_path, storage_options={"config": config})
        for config in ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    )
    assert one == other
    assert hash(one) == hash(other)
    assert one.__dask_tokenize__() == other.__dask_tokenize__()


def test_a_source_shares_nothing_with_the_dicts_it_was_made_with(tmp_path: Path) -> None:
    mine, options = {"desk": {"name": "a"}}, {"config": {"auto_mkdir": True}}
    src = FutuShortSource("HK.00001", store=tmp_path, storage_options=options, metadata=mine)
    before = src.yaml()
    mine["desk"]["name"] = "b"
    options["config"]["auto_mkdir"] = False
    src.metadata["desk"]["name"] = "c"
    assert src.yaml() == before
    assert mine["desk"]["name"] == "b"


def test_discover_says_what_there_is_and_leaves_the_callers_metadata_alone() -> None:
    mine = {"desk": "a"}
    with FutuShortSource("HK.00700", num=4, gateway="sample://", metadata=mine) as src:
        info = src.discover()
        assert info["npartitions"] == 3
        assert info["shape"] == (10, 10)
        assert info["dtype"]["shares_traded"] == "Int64"
        assert info["metadata"] == {
            "desk": "a", "code": "HK.00700", "market": "HK", "next_key": "-1",
            "aggregated_short": 51_480_638, "aggregated_short_ratio": 0.56,
            "new_time_str": "2026-04-30",
        }  # fmt: skip
        assert src.metadata == info["metadata"]
        assert src.aggregates() == {
            "aggregated_short": 51_480_638, "aggregated_short_ratio": 0.56,
            "new_time_str": "2026-04-30",
        }  # fmt: skip
    assert mine == {"desk": "a"}
    assert src.metadata == {"desk": "a"}


def test_aggregates_cost_one_request_and_us_has_none(gateway: Gateway) -> None:
    with FutuShortSource("HK.00700", num=1, gateway=gateway.url) as src:
        assert src.aggregates()["aggregated_short"] == 51_480_638
        assert cursors(gateway) == 1
    with open_aapl(gateway) as us:
        assert set(us.aggregates().values()) == {None}


def test_close_forgets_and_reading_again_walks_anew(gateway: Gateway) -> None:
    src = open_aapl(gateway, num=10)
    src.discover()
    src.close()
    assert (src.npartitions, src.shape, src.metadata) == (None, None, {})
    src.close()
    assert len(src.read_partition(0)) == 10
    assert cursors(gateway) == 4
    src.close()


def test_the_sample_leaves_no_thread_behind_a_walk_that_ended_or_was_closed() -> None:
    before = set(threading.enumerate())
    ended = FutuShortSource("HK.00700", gateway="sample://")
    for method in (ended.read, ended.discover, ended.aggregates):
        method()
        assert set(threading.enumerate()) == before
    unfinished = FutuShortSource("HK.SAMPLE", gateway="sample://")
    unfinished.read_partition(0)
    assert set(threading.enumerate()) > before
    unfinished.close()
    assert set(threading.enumerate()) == before


def test_threads_share_one_walk(gateway: Gateway) -> None:
    frames: dict[int, pd.DataFrame] = {}
    with open_aapl(gateway, num=3) as src:

        def read(i: int) -> None:
            frames[i] = src.read_partition(i)

        threads = [threading.Thread(target=read, args=(i,)) for i in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    whole = pd.concat([frames[i] for i in range(10)])
    assert whole["timestamp_str"].tolist() == file_days("US.AAPL")
    assert cursors(gateway) == 10


FORKED = """
import os, threading
from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.source import FutuShortSource

with Gateway(sample_histories(), latency_s=1.0) as gateway:
    source = FutuShortSource("US.AAPL", gateway=gateway.url)
    reader = threading.Thread(target=source.read)
    reader.start()
    while not gateway.requests:  # until the thread is in the middle of its read
        pass
    child = os.fork()
    if not child:
        os._exit(0 if len(source.read()) == 29 else 1)
    reader.join()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(source.read()))
    source.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_child_forked_in_the_middle_of_a_read_reads_for_itself() -> None:
    # Python 3.12 and newer warn of every fork of a process with threads.
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED],
        capture_output=True, text=True, check=False, timeout=60, env=unmeasured(),
    )  # fmt: skip
    assert result.stdout.split() == ["0", "29"], result.stderr


FORKED_AT_WORST = """
import faulthandler, os, sys, threading
from intake_futu_short.source import FutuShortSource

source = FutuShortSource("US.AAPL", gateway="sample://", num=3)
source.read_partition(0)
held, done = threading.Event(), threading.Event()

def hold():
    with source._alone():
        held.set()
        done.wait()

holder = threading.Thread(target=hold)
holder.start()
assert held.wait(20)
child = os.fork()
if not child:
    faulthandler.dump_traceback_later(20, exit=True)
    if sys.argv[1] == "read":
        parts = [None] * 10
        def read(i):
            parts[i] = len(source.read_partition(i))
        threads = [threading.Thread(target=read, args=(i,)) for i in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert parts == [3] * 9 + [2], parts
    source.close()
    os._exit(0)
done.set()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(source.read()))
source.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("what", ["read", "close"])
def test_a_child_does_not_wait_for_what_its_parent_held_at_the_fork(what: str) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED_AT_WORST, what],
        capture_output=True, text=True, check=False, timeout=60, env=unmeasured(),
    )  # fmt: skip
    assert result.stdout.split() == ["0", "29"], result.stderr


def test_dask_partitions_are_the_pages_with_the_attributes_of_the_whole(gateway: Gateway) -> None:
    with FutuShortSource("HK.00700", num=4, gateway=gateway.url) as src:
        ddf = src.to_dask()
        whole = src.read()
        asked = cursors(gateway)
    assert ddf.npartitions == 3
    assert ddf.divisions == (None, None, None, None)
    computed = ddf.compute(scheduler="sync")
    pd.testing.assert_frame_equal(computed, whole)
    assert computed.attrs == whole.attrs
    for i in range(3):
        part = ddf.get_partition(i).compute(scheduler="sync")
        assert part.attrs == whole.attrs
        assert len(part) == (4, 4, 2)[i]
    assert cursors(gateway) == asked
    assert ddf["last_close_price"].sum().compute(scheduler="sync") == pytest.approx(4773.6)


def test_dask_gives_an_empty_frame_for_no_rows() -> None:
    with FutuShortSource("US.AAPL", start="2030-01-01", gateway="sample://") as src:
        computed = src.to_dask().compute(scheduler="sync")
        assert computed.dtypes.to_dict() == src.read().dtypes.to_dict()
        assert len(computed) == 0


def test_pickle_copies_are_equal_and_walk_for_themselves(gateway: Gateway) -> None:
    src = open_aapl(gateway, start="2024-10-01", num=7)
    src.read()
    twin = pickle.loads(pickle.dumps(src))  # noqa: S301 - pickled one line up
    assert twin == src
    assert hash(twin) == hash(src)
    assert twin.__dask_tokenize__() == src.__dask_tokenize__()
    assert twin.npartitions is None
    pd.testing.assert_frame_equal(twin.read(), src.read())
    assert twin != open_aapl(gateway)
    src.close()
    twin.close()


def test_yaml_prints_plain_values_and_opens_again(tmp_path: Path) -> None:
    src = FutuShortSource(
        "US.AAPL",
        start=pd.Timestamp("2024-10-01"),
        end="2024-10-11 00:00:00",
        num="10",  # type: ignore[arg-type]  # as catalogs hand it over
        gateway="sample://",
        max_pages="",  # type: ignore[arg-type]  # the same
        timeout="5",  # type: ignore[arg-type]  # the same
    )
    entry = yaml.safe_load(src.yaml())["sources"]["futu_short"]
    assert entry["args"] == {
        "code": "US.AAPL", "start": "2024-10-01", "end": "2024-10-11", "num": 10,
        "gateway": "sample://", "timeout": 5.0,
    }  # fmt: skip
    path = tmp_path / "catalog.yaml"
    path.write_text(src.yaml())
    with intake.open_catalog(str(path)).futu_short as again, src:
        assert again == src
        assert again.yaml() == src.yaml()
        pd.testing.assert_frame_equal(again.read(), src.read())
        assert len(again.read()) == 9


def test_configure_new_changes_one_argument(gateway: Gateway) -> None:
    src = open_aapl(gateway, num=10)
    other = src.configure_new(start="2024-10-01")
    assert len(other.read()) == 9
    assert other.npartitions == 1
    other.close()
    assert "start" not in src.yaml()


def test_the_environment_names_the_gateway(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUTU_OPEND", gateway.url)
    with FutuShortSource("HK.00700") as src:
        assert len(src.read()) == 10
    assert cursors(gateway) == 1
    assert "gateway" not in src.yaml()
    monkeypatch.setenv("FUTU_OPEND", "127.0.0.1")
    with pytest.raises(ConfigError, match=r"^\$FUTU_OPEND: .* no scheme"):
        FutuShortSource("HK.00700")
    monkeypatch.setenv("FUTU_OPEND", " ")
    FutuShortSource("HK.00700")


@pytest.mark.parametrize(
    "arguments",
    [
        {"code": "HK00700"},
        {"code": ""},
        {"code": "SH.600000"},
        {"code": "US."},
        {"code": 700},
        {"code": []},
        {"code": ["US.AAPL", "HK.00700"]},
        {"code": [["US.AAPL"]]},
        {"errors": "ignore"},
        {"num": 0},
        {"num": 51},
        {"num": "x"},
        {"num": True},
        {"start": "2026-01-03", "end": "2026-01-02"},
        {"start": "soon"},
        {"end": "2026-02-30"},
        {"gateway": "http://127.0.0.1:11111"},
        {"gateway": "opend://127.0.0.1:65536"},
        {"max_pages": 0},
        {"timeout": 0},
    ],
)
def test_bad_arguments_are_refused_at_construction(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        intake.open_futu_short(**{"code": "US.AAPL", **arguments})


def test_an_unknown_code_is_its_own_error() -> None:
    with (
        FutuShortSource("US.NOPE", gateway="sample://") as src,
        pytest.raises(
            UnknownSecurityError,
            match=r"^US\.NOPE \(newest page\) from sample://: the gateway answered 'Unknown",
        ),
    ):
        src.read()
