"""Sessions before ``start`` that windows look back on: which rows, what they cost, who knows."""

from __future__ import annotations

import itertools
import json
import pickle
from typing import TYPE_CHECKING, Any

import intake
import numpy as np
import pandas as pd
import pytest
import yaml
from walked import AAPL, Script, answer, days_of

from intake_futu_short import FutuShort, FutuShortCatalog, FutuShortStore
from intake_futu_short.errors import ConfigError, StoreError
from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.source import FutuShortSource
from intake_futu_short.stored import Slices
from intake_futu_short.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# US.AAPL in the sample: 9 rows from 2024-10-01 on, and these before, 29 in all.
BEFORE_OCTOBER = ["2024-09-30", "2024-09-27", "2024-09-26", "2024-09-25", "2024-09-24"]
OCTOBER = [
    "2024-10-11", "2024-10-10", "2024-10-09", "2024-10-08", "2024-10-07", "2024-10-04",
    "2024-10-03", "2024-10-02", "2024-10-01",
]  # fmt: skip


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway(sample_histories()) as server:
        yield server


def october(gateway: Gateway, **arguments: Any) -> FutuShortSource:
    given = {"start": "2024-10-01", "num": 10, **arguments}
    return FutuShortSource(given.pop("code", "US.AAPL"), gateway=gateway.url, **given)


# -- the walk --------------------------------------------------------------------------------


def test_the_page_that_completes_the_warmup_ends_the_walk() -> None:
    script = Script(
        answer("2026-06-18", "2026-06-17", key="a"),
        answer("2026-06-16", "2026-06-15", key="b"),
        answer("2026-06-12", "2026-06-11", key="c"),
    )
    walk = Walk(AAPL, start="2026-06-17", warmup=3)
    assert days_of(walk, script) == [
        ["2026-06-18", "2026-06-17"], ["2026-06-16", "2026-06-15"], ["2026-06-12"],
    ]  # fmt: skip
    assert walk.is_finished
    assert script.cursors == [None, "a", "b"]


def test_without_warmup_the_page_that_holds_the_start_ends_the_walk() -> None:
    script = Script(answer("2026-06-18", "2026-06-17", key="a"))
    assert days_of(Walk(AAPL, start="2026-06-17", warmup=0), script) == [
        ["2026-06-18", "2026-06-17"]
    ]


def test_a_history_shorter_than_the_warmup_is_walked_to_its_end() -> None:
    script = Script(answer("2026-06-18", "2026-06-17", key="a"), answer("2026-06-16", key="-1"))
    pages = days_of(Walk(AAPL, start="2026-06-18", warmup=20), script)
    assert pages == [["2026-06-18", "2026-06-17"], ["2026-06-16"]]


def test_a_row_that_comes_again_counts_once() -> None:
    script = Script(
        answer("2026-06-18", "2026-06-17", key="a"),
        answer("2026-06-17", "2026-06-16", key="b"),
        answer("2026-06-15", key="c"),
    )
    pages = days_of(Walk(AAPL, start="2026-06-18", warmup=3), script)
    assert pages == [["2026-06-18", "2026-06-17"], ["2026-06-16"], ["2026-06-15"]]


def test_pages_in_another_order_lose_none_of_the_newest_rows() -> None:
    script = Script(
        answer("2026-06-18", "2026-06-10", key="a"),
        answer("2026-06-17", "2026-06-16", key="b"),
        answer("2026-06-15", "2026-06-09", key="-1"),
    )
    pages = days_of(Walk(AAPL, start="2026-06-18", warmup=2), script)
    # The tenth was the newest before the start when it was handed out.
    assert pages == [["2026-06-18", "2026-06-10"], ["2026-06-17", "2026-06-16"]]
    assert script.cursors == [None, "a", "b"]


def test_newer_rows_than_the_end_are_left_out_and_the_warmup_is_not() -> None:
    script = Script(answer("2026-06-18", "2026-06-17", "2026-06-16", "2026-06-15", key="a"))
    walk = Walk(AAPL, start="2026-06-17", end="2026-06-17", warmup=1)
    assert days_of(walk, script) == [["2026-06-17", "2026-06-16"]]


@pytest.mark.parametrize("start", ["2026-06-15", "2026-06-16", "2026-06-17", "2026-06-20"])
@pytest.mark.parametrize("warmup", [0, 1, 2, 3, 4, 9])
@pytest.mark.parametrize("num", [1, 2, 3, 7])
def test_a_walk_and_a_store_give_the_same_partitions(start: str, warmup: int, num: int) -> None:
    days = [f"2026-06-{day}" for day in (10, 11, 12, 15, 17, 18)]
    newest_first = days[::-1]
    cut = [newest_first[i : i + num] for i in range(0, len(days), num)]
    keys = [*(str(i) for i in range(1, len(cut))), "-1"]
    script = Script(*(answer(*page, key=key) for page, key in zip(cut, keys, strict=True)))
    walked = days_of(Walk(AAPL, num=num, start=start, warmup=warmup), script)
    later = [day for day in newest_first if day >= start]
    wanted = later + [day for day in newest_first if day < start][:warmup]
    assert list(itertools.chain(*walked)) == wanted
    slices = Slices(num, start=start, warmup=warmup)
    parts, is_finished = slices.of(np.array(days), is_complete=True)
    assert is_finished
    assert [newest_first[begin:end] for begin, end in parts] == walked


def test_a_history_that_ends_in_the_warmup_is_not_enough() -> None:
    days = np.array(["2026-06-15", "2026-06-16", "2026-06-17", "2026-06-18"])
    slices = Slices(2, start="2026-06-17", warmup=2)
    assert slices.of(days, is_complete=False) == ([(0, 2), (2, 4)], True)
    assert Slices(2, start="2026-06-17", warmup=3).of(days, is_complete=False)[1] is False
    assert Slices(2, start="2026-06-14", warmup=1).of(days, is_complete=False)[1] is False


# -- a source --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("warmup", "requests", "sizes"),
    [(1, 1, [10]), (2, 2, [10, 1]), (11, 2, [10, 10]), (12, 3, [10, 10, 1]), (99, 3, [10, 10, 9])],
)
def test_a_source_asks_for_no_more_pages_than_the_warmup_needs(
    gateway: Gateway, warmup: int, requests: int, sizes: list[int]
) -> None:
    with october(gateway, warmup=warmup) as src:
        assert [len(part) for part in src.read_chunked()] == sizes
        frame = src.read()
        assert src.npartitions == len(sizes)
        assert src.shape == (sum(sizes), 10)
    assert len(gateway.requests) == requests
    assert frame["timestamp_str"].tolist()[:9] == OCTOBER
    assert frame["timestamp_str"].tolist()[9:14] == BEFORE_OCTOBER[: min(warmup, 5)]


def test_a_start_that_is_no_session_has_the_sessions_before_it(gateway: Gateway) -> None:
    with october(gateway, start="2024-10-05", end="2024-10-06", warmup=2) as src:  # a weekend
        assert src.read()["timestamp_str"].tolist() == ["2024-10-04", "2024-10-03"]
    with october(gateway, start="2024-10-05", warmup=2) as src:
        assert src.read()["timestamp_str"].tolist() == OCTOBER[:7]


def test_pages_at_most_are_those_of_the_warmup_too(gateway: Gateway) -> None:
    with october(gateway, warmup=5, max_pages=1) as src:
        assert src.read()["timestamp_str"].tolist() == [*OCTOBER, BEFORE_OCTOBER[0]]
    assert len(gateway.requests) == 1


def test_every_way_to_read_bears_the_start(gateway: Gateway) -> None:
    with october(gateway, warmup=2) as src:
        assert src.read_partition(0).attrs["start"] == "2024-10-01"
        assert [part.attrs["start"] for part in src.read_chunked()] == ["2024-10-01"] * 2
        assert src.discover()["metadata"]["start"] == "2024-10-01"
        lazy = src.to_dask()
        assert lazy.partitions[1].compute().attrs["start"] == "2024-10-01"
        frame = src.read()
    assert frame.attrs == {
        "code": "US.AAPL", "market": "US", "next_key": frame.attrs["next_key"],
        "start": "2024-10-01",
    }  # fmt: skip


@pytest.mark.parametrize("warmup", [0, "", None, "0"])
def test_without_warmup_there_is_no_start_in_attrs(gateway: Gateway, warmup: Any) -> None:
    with october(gateway, warmup=warmup) as src:
        assert src.read()["timestamp_str"].tolist() == OCTOBER
        assert "start" not in src.read().attrs
        assert "start" not in src.read_partition(0).attrs
        assert src == october(gateway)
        assert "warmup" not in src.yaml()


def test_each_ticker_of_a_panel_has_its_own_sessions_before(gateway: Gateway) -> None:
    codes = ["US.AAPL", "US.SAMPLE"]
    with october(gateway, code=codes, warmup=3, end="2024-10-11", num=50) as src:
        first = src.read_partition(0)
        frame = src.read()
        lazy = src.to_dask().compute()
        assert src.discover()["metadata"]["start"] == "2024-10-01"
    assert first.attrs["start"] == frame.attrs["start"] == lazy.attrs["start"] == "2024-10-01"
    for code in codes:
        days = frame.loc[frame["code"] == code, "timestamp_str"].tolist()
        assert days == [*OCTOBER, *BEFORE_OCTOBER[:3]]
    # US.SAMPLE has 421 newer rows, and the 433rd lies on the ninth page.
    asked = [request.code for request in gateway.requests]
    assert asked.count("US.AAPL") == 1
    assert asked.count("US.SAMPLE") == 9


# -- over a store ----------------------------------------------------------------------------


def test_over_a_store_a_first_fill_goes_as_far_as_the_warmup(
    gateway: Gateway, tmp_path: Path
) -> None:
    kept = {"store": str(tmp_path), "num": 10}
    with october(gateway, **kept) as src:
        assert len(src.read()) == 9
    assert len(gateway.requests) == 1
    # The page is there already.
    with october(gateway, **kept, warmup=1) as src:
        assert src.read()["timestamp_str"].tolist() == [*OCTOBER, "2024-09-30"]
    assert len(gateway.requests) == 1
    short = "back to 2024-09-30 only, and older rows are asked"
    with (
        october(gateway, **kept, warmup=12, refresh="never") as src,
        pytest.raises(StoreError, match=short),
    ):
        src.read()
    with october(gateway, **kept, warmup=2) as src:
        assert [len(part) for part in src.read_chunked()] == [10, 1]


def test_over_a_whole_history_the_warmup_costs_no_request(gateway: Gateway, tmp_path: Path) -> None:
    whole = FutuShortSource("US.AAPL", gateway=gateway.url, store=str(tmp_path))
    whole.read()
    asked = len(gateway.requests)
    for warmup, rows in ((5, 14), (500, 29)):
        with october(gateway, store=str(tmp_path), warmup=warmup) as src:
            frame = src.read()
            lazy = src.to_dask()
        assert len(frame) == rows
        assert frame.attrs == {
            "code": "US.AAPL", "market": "US", "next_key": "-1", "start": "2024-10-01",
        }  # fmt: skip
        pd.testing.assert_frame_equal(lazy.compute(), frame)
        assert lazy.partitions[0].compute().attrs == frame.attrs
    assert len(gateway.requests) == asked
    assert len(FutuShortStore(str(tmp_path)).read(market="US")) == 29


def test_a_panel_over_a_store_bears_the_start(gateway: Gateway, tmp_path: Path) -> None:
    given = {"code": ["HK.00700", "HK.SAMPLE"], "start": "2026-05-07", "warmup": 1, "num": 50}
    with october(gateway, **given, end="2026-05-08", store=str(tmp_path)) as src:
        frame = src.read()
    assert frame.attrs["start"] == "2026-05-07"
    assert frame["timestamp_str"].tolist() == ["2026-05-08", "2026-05-07", "2026-05-06"] * 2


# -- who knows -------------------------------------------------------------------------------


def test_yaml_pickles_and_comparisons_have_the_warmup(gateway: Gateway, tmp_path: Path) -> None:
    src = october(gateway, warmup="3")
    assert yaml.safe_load(src.yaml())["sources"]["futu_short"]["args"]["warmup"] == 3
    assert src != october(gateway)
    assert src == october(gateway, warmup=3)
    assert hash(src) == hash(october(gateway, warmup=3))
    path = tmp_path / "catalog.yaml"
    path.write_text(src.yaml())
    for again in (intake.open_catalog(str(path)).futu_short, pickle.loads(pickle.dumps(src))):  # noqa: S301 - our own
        with again:
            assert again == src
            assert len(again.read()) == 12
    assert src.configure_new(warmup=0) == october(gateway)


# Intake says it of every string parameter that a user's catalog has.
@pytest.mark.filterwarnings("ignore:Shell command not executed")
def test_catalogs_hand_over_strings(gateway: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    names = ("start", "warmup")
    parameters = {name: {"description": "", "type": "str", "default": ""} for name in names}
    arguments = {name: f"{{{{ {name} }}}}" for name in names}
    entry = {
        "driver": "futu_short", "description": "", "parameters": parameters,
        "args": {"code": "US.AAPL", "gateway": gateway.url, **arguments},
    }  # fmt: skip
    path.write_text(json.dumps({"sources": {"aapl": entry}}))
    catalog = intake.open_catalog(str(path))
    with catalog.aapl() as src:
        assert len(src.read()) == 29
    with catalog.aapl(start="20241001", warmup="2") as src:
        assert len(src.read()) == 11
    with pytest.raises(ConfigError, match="warmup=20 asks for the sessions before start="):
        catalog.aapl(warmup="20")


def test_the_ticker_catalog_hands_it_on(gateway: Gateway) -> None:
    catalog = FutuShortCatalog(["US.AAPL"], gateway=gateway.url, start="2024-10-01", warmup="2")
    with catalog["US.AAPL"] as ticker, catalog["US"] as panel:
        assert len(ticker.read()) == len(panel.read()) == 11
        assert panel.read().attrs["start"] == "2024-10-01"
    assert "warmup: 2" in catalog.yaml()
    with pytest.raises(ConfigError, match="no start= is given"):
        FutuShortCatalog(["US.AAPL"], warmup=2)


def test_the_readers_of_intake_2_take_it_and_change_it(gateway: Gateway) -> None:
    data = FutuShort(gateway.url, "US.AAPL", start="2024-10-01", warmup="2")
    assert vars(data)["warmup"] == 2
    assert len(data.to_reader("pandas").read()) == 11
    assert len(data.to_reader("dask").read().compute()) == 11
    frame = data.to_reader("pandas", warmup=5).read()
    assert frame["timestamp_str"].tolist() == [*OCTOBER, *BEFORE_OCTOBER]
    assert frame.attrs["start"] == "2024-10-01"
    assert "warmup" not in vars(FutuShort(gateway.url, "US.AAPL", start="2024-10-01", warmup=0))


def test_warmup_without_start_is_refused_before_anything_is_asked(gateway: Gateway) -> None:
    with pytest.raises(ConfigError, match=r"warmup=20 asks for .* no start= is given"):
        FutuShortSource("US.AAPL", warmup=20, gateway=gateway.url)
    with pytest.raises(ConfigError, match="warmup must be a whole number, 0 or more"):
        october(gateway, warmup=-1)
    assert gateway.requests == []
