"""Sources over a store on disk, against our gateway and against an independent one."""

from __future__ import annotations

import datetime as dt
import json
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import intake
import pandas as pd
import pytest
import yaml
from fsspec.callbacks import Callback
from meeting_store import lockable
from model_gateway import ModelGateway
from second_gateway import SecondGateway
from second_rows import History as SecondHistory
from second_rows import make_rows

from intake_futu_short.calls import SHORT_VOLUME, Ticker
from intake_futu_short.errors import (
    ConfigError,
    CorruptStoreError,
    GatewayUnreachableError,
    PanelError,
    StoreError,
    UnknownSecurityError,
)
from intake_futu_short.gateway import Gateway, History, sample_histories
from intake_futu_short.security import Security
from intake_futu_short.source import FutuShortSource
from intake_futu_short.store import FutuShortStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOWHERE = "opend://127.0.0.1:9"  # the discard port; nothing listens there


def unlimited(gateway: Gateway | SecondGateway) -> str:
    return f"{gateway.url}?limit=off"


def served(model: ModelGateway, code: str = "US.A") -> dict[str, History]:
    return {code: History(Security.parse(code), model.rows, **model.aggregates)}


@pytest.fixture
def histories() -> dict[str, History]:
    return {**sample_histories(), **served(ModelGateway(1500))}


@pytest.fixture
def gateway(histories: dict[str, History]) -> Iterator[Gateway]:
    with Gateway(histories) as server:
        yield server


@pytest.fixture
def asked(gateway: Gateway) -> Asked:
    return Asked(gateway)


class Asked:
    """Counts what arrived at the gateway since it was last looked at."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._before = 0

    def __call__(self) -> int:
        new = len(self._gateway.requests) - self._before
        self._before += new
        return new


def read(gateway: Gateway, store: Path | None, code: Any = "US.A", **arguments: Any) -> Any:
    with FutuShortSource(code, gateway=unlimited(gateway), store=store, **arguments) as src:
        return src.read()


def without_attrs(frame: pd.DataFrame) -> pd.DataFrame:
    plain = frame.copy()
    plain.attrs = {}
    return plain


def test_requests_are_as_few_as_promised(
    tmp_path: Path, gateway: Gateway, histories: dict[str, History], asked: Asked
) -> None:
    model = ModelGateway(1500)
    pd.testing.assert_frame_equal(read(gateway, tmp_path), read(gateway, None))
    assert asked() == 31 + 31
    for days, refresh, requests in [
        (0, "auto", 0), (0, "always", 1), (1, "always", 1), (40, "always", 1), (60, "always", 2),
    ]:  # fmt: skip
        model.add(days)
        histories.update(served(model))
        frame = read(gateway, tmp_path, refresh=refresh)
        assert asked() == requests
        pd.testing.assert_frame_equal(without_attrs(frame)[:1500], model.frame())
    assert len(frame) == 1601
    model.adjust(back=1)
    histories.update(served(model))
    for requests in (31, 1):
        frame = read(gateway, tmp_path, refresh="always")
        assert asked() == requests
        pd.testing.assert_frame_equal(without_attrs(frame)[:1500], model.frame())
    model.revise(1000, "volume", 5)
    histories.update(served(model))
    assert read(gateway, tmp_path, refresh="always").loc[1000, "volume"] != 5
    assert read(gateway, tmp_path, refresh="full").loc[1000, "volume"] == 5
    assert asked() == 1 + 31
    # Days beyond the gateway's window are all there, without the prices that cannot be had again.
    frame = read(gateway, tmp_path, refresh="never")
    assert asked() == 0
    assert frame["timestamp_str"].tolist() == model.frame(model.all[::-1])["timestamp_str"].tolist()
    assert frame["close_price"].isna().sum() == 101


@pytest.mark.parametrize("market", ["US", "HK"])
@pytest.mark.parametrize("cursor", ["offset", "timestamp"])
def test_an_independent_gateway_sees_the_same_requests(
    tmp_path: Path, market: str, cursor: str
) -> None:
    rows = make_rows(market, 400, missing=0.0)
    code = f"{market}.X"
    aggregates: dict[str, int | float | str] = {}
    if market == "HK":
        aggregates = {"aggregatedShort": 5, "newTimeStr": "2026-06-12"}
    with SecondGateway(cursor=cursor) as second:

        def fresh_and_kept(**arguments: Any) -> tuple[Any, Any, int]:
            with FutuShortSource(code, gateway=unlimited(second)) as src:
                fresh = src.read()
            before = len(second.queries)
            with FutuShortSource(
                code, gateway=unlimited(second), store=tmp_path, **arguments
            ) as src:
                kept = src.read()
            return fresh, kept, len(second.queries) - before

        for newest, refresh, requests in [(60, "auto", 7), (60, "auto", 0), (20, "always", 1)]:
            second.histories[code] = SecondHistory(market, rows[newest:], aggregates)
            fresh, kept, asked = fresh_and_kept(refresh=refresh)
            assert asked == requests
            pd.testing.assert_frame_equal(without_attrs(kept), without_attrs(fresh))
            del kept.attrs["next_key"], fresh.attrs["next_key"]
            kept.attrs.pop("aggregates_history", None)
            assert kept.attrs == fresh.attrs
        # A dividend, and a new day.
        prices = {"openPrice", "closePrice", "lastClosePrice"}
        adjusted = [
            {k: v * 0.97 if k in prices else v for k, v in row.items()}  # type: ignore[operator]  # prices are numbers
            for row in rows[20:]
        ]
        second.histories[code] = SecondHistory(market, [*rows[19:20], *adjusted], aggregates)
        fresh, kept, asked = fresh_and_kept(refresh="always")
        assert asked == 8  # 381 rows
        pd.testing.assert_frame_equal(without_attrs(kept), without_attrs(fresh))


BOUNDS: list[dict[str, Any]] = [
    {},
    {"num": 7},
    {"num": 7, "max_pages": 2},
    {"num": 10, "start": "2024-09-20"},
    {"num": 10, "start": "2024-09-20", "end": "2024-10-03"},
    {"num": 10, "end": "2024-10-03", "max_pages": 1},
    {"num": 10, "end": "1999-12-31"},
    {"num": 10, "start": "2030-01-01"},
    {"num": 29},
]


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("held", ["nothing", "all", "some"])
def test_partitions_are_the_same_slices_whichever_way_the_rows_came(
    tmp_path: Path, gateway: Gateway, bounds: dict[str, Any], held: str
) -> None:
    if held != "nothing":
        read(gateway, tmp_path, "US.AAPL", **({"num": 4, "max_pages": 3} if held == "some" else {}))
    with FutuShortSource("US.AAPL", gateway=unlimited(gateway), **bounds) as plain:
        expected = [without_attrs(part) for part in plain.read_chunked()]
        whole = plain.read()
        shape = plain.discover()["shape"]
    with FutuShortSource("US.AAPL", gateway=unlimited(gateway), store=tmp_path, **bounds) as src:
        parts = list(src.read_chunked())
        assert len(parts) == len(expected)
        for part, right in zip(parts, expected, strict=True):
            pd.testing.assert_frame_equal(without_attrs(part), right)
        pd.testing.assert_frame_equal(without_attrs(src.read()), without_attrs(whole))
        assert src.npartitions == len(expected)
        assert src.shape == shape
        with pytest.raises(IndexError):
            src.read_partition(len(expected))


def test_a_partition_of_a_first_fill_costs_its_pages_only(
    tmp_path: Path, gateway: Gateway, asked: Asked
) -> None:
    with FutuShortSource("US.A", gateway=unlimited(gateway), store=tmp_path) as src:
        assert src.npartitions is None
        assert asked() == 0
        assert len(src.read_partition(2)) == 50
        assert asked() == 3
        assert src.npartitions is None
        src.read_partition(0)
        assert asked() == 0
        assert src.read_partition(3).attrs["next_key"] is None
        assert asked() == 1
    # Another process goes on from there.
    with FutuShortSource("US.A", gateway=unlimited(gateway), store=tmp_path) as src:
        src.read_partition(3)
        assert asked() == 0
        src.read_partition(4)
        assert asked() == 1 + 1
        assert src.read().attrs["next_key"] == "-1"
        assert asked() == 26
        assert src.read_partition(4).attrs["next_key"] == "-1"


def test_start_is_as_far_as_is_walked_and_an_earlier_one_goes_on(
    tmp_path: Path, gateway: Gateway, asked: Asked
) -> None:
    days = ModelGateway(1500).frame()["timestamp_str"]
    assert len(read(gateway, tmp_path, start=days[80])) == 81
    assert asked() == 2
    assert len(read(gateway, tmp_path, start=days[99])) == 100
    assert asked() == 0
    assert len(read(gateway, tmp_path, start=days[120])) == 121
    assert asked() == 1 + 1
    frame = read(gateway, tmp_path, start=days[130], refresh="never")
    assert len(frame) == 131
    assert frame.attrs["next_key"] is None
    with pytest.raises(StoreError, match=f"holds US.A back to {days[149]} only"):
        read(gateway, tmp_path, start=days[150], refresh="never")
    with pytest.raises(StoreError, match="older rows are asked for"):
        read(gateway, tmp_path, refresh="never")
    assert len(read(gateway, tmp_path, refresh="never", max_pages=3)) == 150
    assert asked() == 0


def test_days_that_come_while_partitions_are_read_do_not_move_them(
    tmp_path: Path, gateway: Gateway, histories: dict[str, History]
) -> None:
    model = ModelGateway(1000)
    histories.update(served(model))
    expected = model.frame()
    with FutuShortSource("US.A", gateway=unlimited(gateway), store=tmp_path) as src:
        first = src.read_partition(0)
        model.add(3)
        histories.update(served(model))
        # Another process refreshes meanwhile, and knows of the new days.
        assert len(read(gateway, tmp_path, refresh="always", max_pages=4)) == 200
        rest = [src.read_partition(i) for i in range(1, 6)]
        frame = pd.concat([first, *rest], ignore_index=True)
        pd.testing.assert_frame_equal(without_attrs(frame), expected[:300])
    assert len(read(gateway, tmp_path)) == 1003


def test_partitions_of_before_and_after_an_adjustment_are_not_given_together(
    tmp_path: Path, gateway: Gateway, histories: dict[str, History]
) -> None:
    model = ModelGateway(300)
    histories.update(served(model))
    with FutuShortSource("US.A", gateway=unlimited(gateway), store=tmp_path) as src:
        first = src.read_partition(0)
        model.adjust(back=0, factor=0.9)
        histories.update(served(model))
        # Another process takes the new prices over meanwhile.
        read(gateway, tmp_path, refresh="always")
        for _ in range(2):
            with pytest.raises(StoreError, match=r"prices of US\.A .* adjusted .* close\(\) it"):
                src.read_partition(1)
        pd.testing.assert_frame_equal(src.read_partition(0), first)
        src.close()
        parts = [src.read_partition(i) for i in range(6)]
        frame = pd.concat(parts, ignore_index=True)
        pd.testing.assert_frame_equal(without_attrs(frame), model.frame())


@pytest.mark.parametrize("what", ["a count", "a price", "a withdrawn day"])
def test_partitions_of_before_and_after_a_revision_are_not_given_together(
    tmp_path: Path, gateway: Gateway, histories: dict[str, History], what: str
) -> None:
    model = ModelGateway(300)
    histories.update(served(model))
    with FutuShortSource("US.A", gateway=unlimited(gateway), store=tmp_path) as src:
        first = src.read_partition(0)
        if what == "a withdrawn day":  # each row behind it would move into the partition before
            del model.all[-5]
        else:
            model.revise(4, "volume" if what == "a count" else "close_price", 5)
        histories.update(served(model))
        read(gateway, tmp_path, refresh="always", max_pages=3)
        for _ in range(2):
            with pytest.raises(StoreError, match=r"rows of US\.A .* revised or .* close\(\) it"):
                src.read_partition(1)
        pd.testing.assert_frame_equal(src.read_partition(0), first)
        src.close()
        frame = pd.concat(list(src.read_chunked()), ignore_index=True)
        pd.testing.assert_frame_equal(without_attrs(frame), model.frame())


def test_a_revision_behind_what_was_given_is_taken_in(
    tmp_path: Path, gateway: Gateway, histories: dict[str, History]
) -> None:
    model = ModelGateway(300)
    histories.update(served(model))
    with FutuShortSource("US.A", gateway=unlimited(gateway), store=tmp_path) as src:
        assert len(src.read_partition(1)) == 50
        first = src.read_partition(0)
        read(gateway, tmp_path)
        model.revise(100, "volume", 5)
        histories.update(served(model))
        read(gateway, tmp_path, refresh="full")
        frame = pd.concat([first, *(src.read_partition(i) for i in range(1, 6))], ignore_index=True)
        pd.testing.assert_frame_equal(without_attrs(frame), model.frame())


def test_between_two_calls_another_process_may_write(tmp_path: Path, gateway: Gateway) -> None:
    with FutuShortSource("US.A", gateway=unlimited(gateway), store=tmp_path) as src:
        src.read_partition(0)
        assert lockable(tmp_path, "US.A") == ["US.A"]
        chunks = src.read_chunked()
        for _ in range(3):
            next(chunks)
        assert lockable(tmp_path, "US.A") == ["US.A"]
        with FutuShortSource("US.A", gateway=unlimited(gateway), store=tmp_path) as other:
            assert len(other.read()) == 1500
        assert sum(map(len, chunks)) == 1500 - 150


class AtPage(Callback):  # type: ignore[misc]  # fsspec has no types
    """Does something when so many pages are there."""

    def __init__(self, number: int, then: Callable[[], object]) -> None:
        super().__init__()
        self._number, self._then = number, then

    def absolute_update(self, value: int) -> None:
        if value == self._number:
            self._then()


@pytest.mark.parametrize("how", ["interrupted", "failed"])
def test_a_read_that_ends_early_keeps_its_pages_and_lets_go(
    tmp_path: Path, gateway: Gateway, histories: dict[str, History], asked: Asked, how: str
) -> None:
    def end() -> None:
        assert lockable(tmp_path, "US.A") == []
        if how == "interrupted":
            signal.raise_signal(signal.SIGINT)
        else:
            histories.clear()

    with FutuShortSource("US.A", gateway=unlimited(gateway), store=tmp_path) as src:
        with pytest.raises(KeyboardInterrupt if how == "interrupted" else UnknownSecurityError):
            src.read(callback=AtPage(2, end))
        assert lockable(tmp_path, "US.A") == ["US.A"]
        assert len(FutuShortStore(tmp_path).read()) >= 100
        histories.update(served(ModelGateway(1500)))
        asked()
        assert len(src.read()) == 1500
        assert asked() <= 1 + 29


def test_never_needs_no_gateway_and_starts_none(tmp_path: Path, gateway: Gateway) -> None:
    whole = read(gateway, tmp_path)
    script = f"""
import sys, threading
from intake_futu_short import FutuShortSource
for gateway in ({NOWHERE!r}, "sample://"):
    with FutuShortSource("US.A", gateway=gateway, store={str(tmp_path)!r}, refresh="never") as src:
        print(len(src.read()), len(src.read_partition(29)), threading.active_count())
        try:
            FutuShortSource("US.B", store={str(tmp_path)!r}, refresh="never").read()
        except OSError as error:
            print(type(error).__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["1500", "50", "1", "StoreError"] * 2
    assert len(whole) == 1500


def test_auto_says_nothing_to_a_gateway_when_nothing_can_be_new(
    tmp_path: Path, gateway: Gateway
) -> None:
    read(gateway, tmp_path)
    with FutuShortSource("US.A", gateway=NOWHERE, store=tmp_path) as src:
        assert len(src.read()) == 1500
    store = FutuShortStore(tmp_path)
    ticker = Ticker(Security.parse("US.A"), SHORT_VOLUME)
    kept = store.load(ticker)
    assert kept is not None
    store.save(ticker, replace(kept, checked_s=None))
    with (
        FutuShortSource("US.A", gateway=NOWHERE, store=tmp_path) as src,
        pytest.raises(GatewayUnreachableError, match=r"1500 rows up to .*: refresh='never' reads"),
    ):
        src.read()


def test_hk_reports_become_a_series(
    tmp_path: Path, gateway: Gateway, histories: dict[str, History]
) -> None:
    model = ModelGateway(20, "HK")
    for day, short in [("2026-04-10", 100), ("2026-04-17", 120), ("2026-04-17", 120)]:
        model.aggregates = {
            "aggregated_short": short, "aggregated_short_ratio": 0.5, "new_time_str": day,
        }  # fmt: skip
        histories.update(served(model, "HK.00001"))
        frame = read(gateway, tmp_path, "HK.00001", refresh="always")
    assert frame.attrs["aggregated_short"] == 120
    told = json.loads(frame.attrs["aggregates_history"])
    assert [[*row[:2], *row[3:]] for row in told] == [
        ["HK.00001", "2026-04-10", 100, 0.5], ["HK.00001", "2026-04-17", 120, 0.5],
    ]  # fmt: skip
    assert "first_seen" not in frame.attrs
    with FutuShortSource("HK.00001", gateway=NOWHERE, store=tmp_path, refresh="never") as src:
        assert src.aggregates()["new_time_str"] == "2026-04-17"
        assert src.discover()["metadata"] == frame.attrs
        series = src.aggregates_history()
        days = {name: series[name].dt.strftime("%Y-%m-%d") for name in ("as_of", "published")}
        assert series.assign(**days).drop(columns="first_seen").to_dict("list") == {
            "code": ["HK.00001", "HK.00001"],
            "as_of": ["2026-04-10", "2026-04-17"],
            "published": ["2026-04-17", "2026-04-24"],
            "aggregated_short": [100, 120], "aggregated_short_ratio": [0.5, 0.5],
        }  # fmt: skip
        assert src.read_partition(0).attrs == frame.attrs
    pd.testing.assert_frame_equal(
        FutuShortStore(str(tmp_path)).read().shortvol.aggregates_history(), series
    )
    panel = read(gateway, tmp_path, ["HK.00700", "HK.00001"])
    assert [row[:2] for row in json.loads(panel.attrs["aggregates_history"])] == [
        ["HK.00700", "2026-04-30"], ["HK.00001", "2026-04-10"], ["HK.00001", "2026-04-17"],
    ]  # fmt: skip
    assert "aggregates_history" not in read(gateway, None, "HK.00001").attrs
    assert "aggregates_history" not in read(gateway, tmp_path).attrs


def test_aggregates_cost_one_request(tmp_path: Path, gateway: Gateway, asked: Asked) -> None:
    with FutuShortSource("HK.SAMPLE", gateway=unlimited(gateway), store=tmp_path) as src:
        assert src.aggregates()["new_time_str"] is not None
        assert asked() == 1
        src.aggregates()
        src.read_partition(0)
        assert asked() == 0


def test_dask_reads_the_store_in_its_workers(tmp_path: Path, gateway: Gateway) -> None:
    with FutuShortSource("HK.SAMPLE", gateway=unlimited(gateway), store=tmp_path) as src:
        whole = src.read()
        ddf = src.to_dask()
    graph = len(pickle.dumps(ddf.dask))
    assert ddf.npartitions == 30
    assert graph < 60_000  # the rows alone are 120 KB
    gateway.close()
    computed = ddf.compute(scheduler="sync")
    pd.testing.assert_frame_equal(computed, whole)
    assert computed.attrs == whole.attrs
    part = ddf.get_partition(29).compute(scheduler="sync")
    assert part.attrs == whole.attrs
    assert part.index.equals(pd.RangeIndex(1450, 1500))
    Path(next(tmp_path.rglob("*.parquet"))).unlink()
    with pytest.raises(StoreError, match=r"holds 0 rows of HK.SAMPLE .* call it again"):
        ddf.compute(scheduler="sync")


@pytest.mark.slow
def test_two_worker_processes_read_the_store_and_no_gateway(
    tmp_path: Path, gateway: Gateway
) -> None:
    with FutuShortSource("HK.SAMPLE", gateway=unlimited(gateway), store=tmp_path) as src:
        whole = src.read()
        ddf = src.to_dask()
    connections = len(gateway.requests)
    script = f"""
import pickle, sys
from distributed import Client, LocalCluster
if __name__ == "__main__":
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        ddf = pickle.loads(open({str(tmp_path / "ddf")!r}, "rb").read())
        ratio = ddf.map_partitions(lambda part: part.shortvol.short_ratio()).compute()
        pickle.dump((ddf.compute(), ratio), open({str(tmp_path / "answer")!r}, "wb"))
"""
    (tmp_path / "ddf").write_bytes(pickle.dumps(ddf))
    (tmp_path / "cluster.py").write_text(script)
    subprocess.run([sys.executable, str(tmp_path / "cluster.py")], timeout=100, check=True)
    computed, ratio = pickle.loads((tmp_path / "answer").read_bytes())  # noqa: S301 - made here
    pd.testing.assert_frame_equal(computed, whole)
    assert computed.attrs == whole.attrs
    pd.testing.assert_series_equal(ratio, whole.shortvol.short_ratio())
    assert len(gateway.requests) == connections


def test_dask_panels_and_empty_frames(tmp_path: Path, gateway: Gateway) -> None:
    with FutuShortSource(
        ["US.AAPL", "US.A"], num=20, max_pages=2, gateway=unlimited(gateway), store=tmp_path
    ) as src:
        whole = src.read()
        computed = src.to_dask().compute(scheduler="sync")
        assert whole["code"].value_counts().to_dict() == {"US.A": 40, "US.AAPL": 29}
    pd.testing.assert_frame_equal(computed, whole)
    assert computed.attrs == whole.attrs
    with FutuShortSource(
        "US.A", start="2030-01-01", gateway=unlimited(gateway), store=tmp_path
    ) as src:
        assert len(src.to_dask().compute(scheduler="sync")) == 0


def test_panels_are_filled_and_refreshed_together(
    tmp_path: Path, gateway: Gateway, asked: Asked
) -> None:
    codes = ["US.AAPL", "US.A", "US.SAMPLE"]
    plain, kept = read(gateway, None, codes), read(gateway, tmp_path, codes)
    pd.testing.assert_frame_equal(kept, plain)
    asked()
    pd.testing.assert_frame_equal(read(gateway, tmp_path, codes, refresh="always"), plain)
    assert asked() == 3
    # A damaged file costs its own ticker only.
    (file,) = (file for file in tmp_path.rglob("*.parquet") if "AAPL" in str(file))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(PanelError) as failed:
        read(gateway, tmp_path, codes)
    assert isinstance(failed.value.failures["US.AAPL"], CorruptStoreError)
    assert failed.value.partial is not None
    assert set(failed.value.partial["code"]) == {"US.A", "US.SAMPLE"}
    assert asked() == 0


def test_arguments_come_back_from_yaml_pickle_and_catalogs(
    tmp_path: Path, gateway: Gateway
) -> None:
    src = FutuShortSource(
        "US.AAPL",
        gateway=unlimited(gateway),
        store=tmp_path / "short",
        storage_options={"auto_mkdir": True},
        refresh="always",
    )
    arguments = yaml.safe_load(src.yaml())["sources"]["futu_short"]["args"]
    assert arguments["store"] == str(tmp_path / "short")
    assert arguments["storage_options"] == {"auto_mkdir": True}
    assert arguments["refresh"] == "always"
    twin = pickle.loads(pickle.dumps(src))  # noqa: S301 - pickled here
    assert twin == src
    assert hash(twin) == hash(src)
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(src.yaml())
    with intake.open_catalog(str(catalog)).futu_short as again, src:
        assert again == src
        pd.testing.assert_frame_equal(again.read(), src.read())
    templated = FutuShortSource("US.AAPL", store="", storage_options="", refresh="")  # type: ignore[arg-type]  # as catalogs hand them over
    assert templated == FutuShortSource("US.AAPL")
    spelled = FutuShortSource("US.AAPL", store="x", storage_options="{'auto_mkdir': true}")  # type: ignore[arg-type]  # the same
    assert "auto_mkdir: true" in spelled.yaml()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"refresh": "sometimes"}, "refresh must be one of auto, always, full, never"),
        ({"refresh": "never"}, "refresh='never' reads only a store"),
        ({"store": 7}, "store must be a directory or a URL"),
        ({"store": "nosuchprotocol://x"}, "nosuchprotocol"),
        ({"store": "x", "storage_options": 3}, "storage_options must be a mapping"),
        ({"store": "x", "storage_options": "secret"}, "a mapping of names to values, .* not str"),
        ({"store": "x", "storage_options": "{a: ["}, "a mapping of names to values, .* not str"),
        ({"store": "x", "storage_options": {"a": {"b": [1, object()]}}}, "must be a plain value"),
        ({"store": "x", "storage_options": {"a": object()}}, r"\['a'\] must be a plain value"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        FutuShortSource("US.AAPL", **arguments)


def test_without_dask_to_dask_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "intake_futu_short.dask", raising=False)
    monkeypatch.setitem(sys.modules, "dask.dataframe", None)
    with (
        FutuShortSource("US.AAPL", gateway=NOWHERE) as src,
        pytest.raises(ImportError, match=r"pip install .dask\[dataframe\]. distributed"),
    ):
        src.to_dask()


def test_nothing_is_written_outside_of_the_store(tmp_path: Path, gateway: Gateway) -> None:
    before = set(Path.cwd().iterdir())
    read(gateway, tmp_path / "deep" / "store", "US.AAPL")
    assert set(Path.cwd().iterdir()) == before
    assert os.listdir(tmp_path) == ["deep"]
    ticker = Ticker(Security.parse("US.AAPL"), SHORT_VOLUME)
    kept = FutuShortStore(tmp_path / "deep" / "store").load(ticker)
    assert kept is not None
    assert kept.checked_s is not None
    assert abs(kept.checked_s - dt.datetime.now(dt.timezone.utc).timestamp()) < 600
