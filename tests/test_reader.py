"""Intake 2: the data type and its readers, in catalogs, pipelines and fresh processes."""

from __future__ import annotations

import datetime as dt
import json
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import intake
import pandas as pd
import pytest
from fsspec.callbacks import Callback
from intake.readers.entry import Catalog

from intake_futu_short import FutuShort
from intake_futu_short.errors import ConfigError
from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.reader import DaskFutuShort, PandasFutuShort

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.compat


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway(sample_histories()) as server:
        yield server


def test_pandas_reads_what_the_source_reads() -> None:
    data = FutuShort("sample://", "HK.00700")
    frame = data.to_reader("pandas").read()
    with intake.open_futu_short("HK.00700", gateway="sample://") as source:
        pd.testing.assert_frame_equal(frame, source.read())
    assert frame.attrs["aggregated_short"] == 51480638
    assert len(frame.shortvol.by_date()) == 10


def test_dask_has_a_partition_a_page_and_outlives_the_connection() -> None:
    frame = FutuShort("sample://", "US.AAPL", num=10).to_reader("dask").read()
    assert frame.npartitions == 3
    assert frame.compute()["timestamp_str"].iloc[[0, -1]].tolist() == ["2024-10-11", "2024-09-03"]


def test_several_codes_are_a_panel() -> None:
    data = FutuShort("sample://", ["US.AAPL", "US.SAMPLE"], max_pages=1)
    frame = data.to_reader("pandas").read()
    assert frame["code"].drop_duplicates().tolist() == ["US.AAPL", "US.SAMPLE"]
    assert len(data.to_reader("dask").read().compute()) == len(frame) == 29 + 50
    assert data.to_entry().to_data() == data


def test_a_kept_history_is_read_without_the_gateway(gateway: Gateway, tmp_path: Path) -> None:
    store = str(tmp_path / "kept")
    data = FutuShort(gateway.url, "US.AAPL", store=store)
    assert len(data.to_reader("pandas").read()) == 29
    asked = len(gateway.requests)
    kept = FutuShort(gateway.url, "US.AAPL", store=store, refresh="never")
    lazy = kept.to_reader("dask").read()  # its tasks read the store, the source is closed by now
    assert lazy.compute()["timestamp_str"].iloc[-1] == "2024-09-03"
    assert len(gateway.requests) == asked


def test_progress_is_told_to_whoever_asks() -> None:
    told = Callback()
    FutuShort("sample://", "US.AAPL", num=10).to_reader("pandas").read(callback=told)
    assert told.value == 3


def test_discovering_asks_for_one_page_only(gateway: Gateway) -> None:
    data = FutuShort(gateway.url, "US.SAMPLE", num=7)
    assert len(data.to_reader("pandas").discover()) == 7
    assert data.to_reader("dask").discover().npartitions == 1
    assert len(gateway.requests) == 2


def test_making_one_asks_for_nothing_and_keeps_plain_values(gateway: Gateway) -> None:
    data = FutuShort(
        f"{gateway.url}?limit=05/1", "US.AAPL",
        start=dt.date(2024, 10, 1), end=pd.Timestamp("2024-10-04"), num="10",
    )  # fmt: skip
    assert json.loads(json.dumps(vars(data))) == {
        "metadata": {},
        "url": f"{gateway.url}?limit=5/1",
        "code": "US.AAPL",
        "start": "2024-10-01",
        "end": "2024-10-04",
        "num": 10,
        "timeout": 12.0,
    }
    assert gateway.requests == []


@pytest.mark.parametrize(
    ("url", "code", "arguments", "error"),
    [
        ("sample://", "us.aapl", {}, "'US.AAPL'"),
        ("http://h", "US.AAPL", {}, "opend://HOST:PORT"),
        ("sample://", "US.AAPL", {"num": 51}, "1 to 50"),
        ("sample://", "US.AAPL", {"start": "soon"}, "2026-01-02"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_made(
    url: str, code: str, arguments: dict[str, Any], error: str
) -> None:
    with pytest.raises(ConfigError, match=error):
        FutuShort(url, code, **arguments)


def test_an_argument_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="strat"):
        FutuShort("sample://", "US.AAPL", strat="2024-10-01")


def test_without_a_url_the_environment_says_which_gateway(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = FutuShort(None, "US.AAPL")
    monkeypatch.setenv("FUTU_OPEND", gateway.url)
    assert len(data.to_reader().read()) == 29
    assert len(gateway.requests) == 1


def test_arguments_of_the_reader_and_of_the_read_go_before_those_of_the_data() -> None:
    reader = FutuShort("sample://", "US.AAPL", start="2024-10-01").to_reader(end="2024-10-04")
    assert len(reader.read()) == 4
    assert len(reader.read(start="2024-10-04")) == 1
    assert reader.read(code="US.SAMPLE", end=None, max_pages=1).attrs["code"] == "US.SAMPLE"
    with pytest.raises(ConfigError, match="num"):
        reader.read(num=0)


def test_pandas_is_what_one_gets_without_asking() -> None:
    data = FutuShort("sample://", "US.AAPL")
    assert isinstance(data.to_reader(), PandasFutuShort)
    assert isinstance(data.to_reader("dask"), DaskFutuShort)
    assert isinstance(data.to_reader(reader="Dask"), DaskFutuShort)
    assert set(intake.recommend(data)["importable"]) == {PandasFutuShort, DaskFutuShort}


def test_a_gateways_url_is_recognised_once_the_readers_were_imported() -> None:
    code = (
        "import intake, intake_futu_short.reader\n"
        "for url in ('opend://10.0.0.5:11111', 'sample://'):\n"
        "    print(intake.recommend(url, head=False)[0].__name__)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (result.stdout.split(), result.stderr) == (["FutuShort", "FutuShort"], "")


def test_equal_arguments_make_equal_data_and_readers() -> None:
    data = FutuShort("opend://localhost", "US.AAPL", start="2024-10-01")
    same = FutuShort("opend://localhost:11111", "US.AAPL", start=dt.date(2024, 10, 1), num=50)
    other = FutuShort("opend://localhost", "US.AAPL", start="2024-10-02")
    assert data == same
    assert data.token == same.token
    assert data != other
    assert data.to_reader() == same.to_reader()
    assert data.to_reader() != data.to_reader("dask")
    for thing in (data, data.to_reader(), data.to_reader("dask")):
        copy = pickle.loads(pickle.dumps(thing))  # noqa: S301 - our own
        assert type(copy) is type(thing)
        assert copy == thing


def rows(frame: pd.DataFrame) -> int:
    return len(frame)


def test_a_catalog_comes_back_from_its_file(tmp_path: Path) -> None:
    data = FutuShort("sample://", "US.AAPL", start="2024-10-01", metadata={"desk": "hk"})
    catalog = Catalog()
    catalog["frame"] = data.to_reader("pandas")
    catalog["lazy"] = data.to_reader("dask")
    catalog["rows"] = data.to_reader("pandas").apply(len, output_instance="builtins:int")
    path = str(tmp_path / "catalog.yaml")
    catalog.to_yaml_file(path)
    for again in (intake.from_yaml_file(path), intake.open_catalog(path)):
        assert again["frame"] == data.to_reader("pandas")
        assert again["frame"].token == data.to_reader("pandas").token
        assert again["frame"].metadata["desk"] == "hk"
        assert len(again["frame"].read()) == 9
        assert len(again["lazy"].read().compute()) == 9
        assert again["rows"].read() == 9


def test_a_catalog_of_another_process_needs_no_import_of_this_package(tmp_path: Path) -> None:
    path = str(tmp_path / "catalog.yaml")
    catalog = Catalog()
    catalog["hk"] = FutuShort("sample://", "HK.00700").to_reader()
    catalog.to_yaml_file(path)
    code = (
        "import sys, intake\n"
        "frame = intake.open_catalog(sys.argv[1])['hk'].read()\n"
        "print(len(frame), frame.shortvol.market)\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.stdout.split(), result.stderr) == (["10", "HK"], "")


def test_a_code_of_a_catalog_can_be_a_parameter(tmp_path: Path) -> None:
    catalog = Catalog()
    catalog["ticker"] = FutuShort("sample://", "US.AAPL").to_reader()
    token = next(iter(catalog.data))
    catalog.extract_parameter(token, "ticker", path="code")
    catalog.move_parameter(token, "Catalog", "ticker")
    path = str(tmp_path / "catalog.yaml")
    catalog.to_yaml_file(path)
    again = intake.from_yaml_file(path)
    assert again["ticker"].read().attrs["code"] == "US.AAPL"
    assert again(ticker="HK.00700")["ticker"].read().attrs["code"] == "HK.00700"


def test_pipelines_go_on_from_the_frame() -> None:
    reader = FutuShort("sample://", "US.AAPL").to_reader("pandas")
    assert reader.apply(rows, output_instance="builtins:int").read() == 29
    assert reader.head(2).read()["timestamp_str"].tolist() == ["2024-10-11", "2024-10-10"]
