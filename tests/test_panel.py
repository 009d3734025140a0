"""Panels: many tickers as one source, over real sockets; rows, partitions and attributes."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING

import intake
import pandas as pd
import pytest
import yaml
from panel_scene import CODES, expected, histories, pages_asked, panel, rows_of
from second_gateway import SecondGateway

from intake_futu_short import schema
from intake_futu_short.errors import PanelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def gateway() -> Iterator[SecondGateway]:
    with SecondGateway(histories()) as server:
        yield server


def test_a_list_of_codes_is_one_frame_ticker_after_ticker(gateway: SecondGateway) -> None:
    with panel(gateway) as src:
        frame = src.read()
        assert rows_of(frame) == expected()
        assert list(frame.columns)[:3] == ["code", "timestamp", "timestamp_str"]
        assert frame["code"].dtype == schema.text_dtype() == frame["timestamp_str"].dtype
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
    with panel(gateway, ["HK.00001"]) as src:
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
    with panel(gateway, ["HK.00001", "HK.00002"]) as src:
        assert src.aggregates() == {"HK.00001": first, "HK.00002": none}
        assert pages_asked(gateway) == {"HK.00001": 1, "HK.00002": 1}
        frame = src.read()
        assert frame.attrs["market"] == "HK"
        assert json.loads(frame.attrs["aggregates"]) == {"HK.00001": first, "HK.00002": none}
        assert frame.shortvol.aggregates["code"].tolist() == ["HK.00001"]
        assert src.discover()["metadata"] == frame.attrs
    assert pages_asked(gateway) == {"HK.00001": 1, "HK.00002": 1}


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
