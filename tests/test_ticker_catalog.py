"""The catalog driver: entries from codes and from watchlists."""

from __future__ import annotations

import io
import pickle
import sys
from typing import TYPE_CHECKING, Any

import fsspec
import intake
import numpy as np
import pandas as pd
import pytest

from intake_futu_short import FutuShortCatalog
from intake_futu_short.errors import ConfigError
from intake_futu_short.gateway import Gateway, sample_histories

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.compat


def sample(codes: Any = ("US.AAPL", "HK.00700", "US.SAMPLE"), **arguments: Any) -> FutuShortCatalog:
    return FutuShortCatalog(codes=codes, gateway="sample://", **arguments)


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_intake_knows_the_driver_by_its_entry_point() -> None:
    assert intake.open_futu_short_catalog is FutuShortCatalog


def test_there_is_an_entry_a_ticker_and_a_panel_a_market() -> None:
    catalog = sample()
    assert list(catalog) == ["US.AAPL", "HK.00700", "US.SAMPLE", "US", "HK"]
    assert len(catalog) == 5
    assert list(sample(["HK.00700"])) == ["HK.00700", "HK"]
    assert "HK.00700" in catalog
    assert "HK.00005" not in catalog


def test_an_entry_reads_its_ticker_with_the_catalogs_arguments() -> None:
    catalog = sample(start="2024-10-01", num="5")
    with catalog["US.AAPL"] as source:
        assert source.read()["timestamp_str"].iloc[-1] == "2024-10-01"
        assert source.npartitions == 2
    assert "num: 3" in catalog["US.AAPL"](num=3).yaml()


def test_a_panel_reads_all_tickers_of_its_market() -> None:
    catalog = sample(max_pages=1)
    with catalog["US"] as panel:
        frame = panel.read()
    assert frame["code"].drop_duplicates().tolist() == ["US.AAPL", "US.SAMPLE"]
    assert frame.attrs["market"] == "US"
    with catalog.hk as panel:
        assert panel.read()["code"].unique().tolist() == ["HK.00700"]


def test_entries_share_the_store_and_its_options(tmp_path: Path) -> None:
    store = str(tmp_path / "kept")
    with sample(["US.AAPL"], store=store, storage_options={"auto_mkdir": True}) as catalog:
        assert "storage_options" in catalog["US.AAPL"].yaml()
        assert len(catalog["US.AAPL"].read()) == 29
    again = sample(["US.AAPL"], store=store, refresh="never")
    assert len(again["US.AAPL"].read()) == 29
    assert "storage_options" not in sample(["US.AAPL"], storage_options={"a": 1})["US.AAPL"].yaml()


def test_closing_the_catalog_closes_the_sources_it_handed_out() -> None:
    with Gateway(sample_histories()) as gateway:
        with FutuShortCatalog(codes=["US.AAPL", "HK.00700"], gateway=gateway.url) as catalog:
            source = catalog["US.AAPL"]
            source.read()
            assert source.npartitions == 1
        assert source.npartitions is None
        catalog.close()  # again, and nothing happens


def test_names_that_python_takes_are_the_same_entries() -> None:
    catalog = sample(["US.BRK.B", "HK.00700"])
    assert catalog.HK_00700 is catalog["HK.00700"]
    assert catalog.US_BRK_B is catalog["US.BRK.B"]
    assert {"HK_00700", "US_BRK_B", "hk", "us", "reload"} <= set(dir(catalog))
    assert not {"HK_00700", "hk"} & set(catalog)


def test_a_name_that_two_tickers_would_bear_is_none() -> None:
    catalog = sample(["US.BRK.B", "US.BRK_B"])
    with pytest.raises(AttributeError):
        catalog.US_BRK_B  # noqa: B018 - the access is the test


def test_an_unknown_ticker_is_a_key_error_that_says_what_there_is() -> None:
    for name in ("HK.00005", "HK.00700.x", "nothing"):
        with pytest.raises(KeyError, match=r"US\.AAPL, HK\.00700"):
            sample()[name]


def test_making_one_asks_for_nothing() -> None:
    with Gateway(sample_histories()) as gateway:
        catalog = FutuShortCatalog(codes=["US.AAPL"], gateway=gateway.url)
        assert list(catalog) == ["US.AAPL", "US"]
        assert "gateway" in catalog.yaml()
        assert gateway.requests == []


def test_a_watchlist_is_read_when_an_entry_is_wanted_and_again_by_reload(tmp_path: Path) -> None:
    path = tmp_path / "watchlist.txt"
    catalog = FutuShortCatalog(watchlist=path, gateway="sample://")
    assert "watchlist" in catalog.yaml()
    with pytest.raises(FileNotFoundError):
        list(catalog)
    path.write_text("US.AAPL\n")
    assert list(catalog) == ["US.AAPL", "US"]
    path.write_text("HK.00700\n")
    assert list(catalog) == ["US.AAPL", "US"]
    catalog.reload()
    assert list(catalog) == ["HK.00700", "HK"]
    with catalog["HK.00700"] as source:
        assert len(source.read()) == 10


def test_a_watchlist_is_found_by_its_fsspec_url() -> None:
    with fsspec.open("memory://desk/list.csv", "w") as file:
        file.write("code,name\nUS.AAPL,Apple\n")
    catalog = intake.open_futu_short_catalog(watchlist="memory://desk/list.csv")
    assert list(catalog) == ["US.AAPL", "US"]


def test_storage_options_are_those_of_the_watchlists_file_system(tmp_path: Path) -> None:
    path = written(tmp_path / "list.txt", "US.AAPL\n")
    catalog = FutuShortCatalog(
        watchlist="simplecache::list.txt", storage_options={"no such option": 1}
    )
    assert "no such option" in catalog.yaml()
    with pytest.raises((TypeError, ValueError, FileNotFoundError)):
        list(catalog)
    options = {"simplecache": {"cache_storage": str(tmp_path / "cache")}}
    catalog = FutuShortCatalog(watchlist=f"simplecache::file://{path}", storage_options=options)
    assert "US.AAPL" in catalog
    assert list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(
    "codes",
    [
        ("US.AAPL", "HK.00700", "US.AAPL"),
        np.array(["US.AAPL", "HK.00700"]),
        pd.Series(["US.AAPL", "HK.00700"], index=[7, 8]),
        "('US.AAPL', 'HK.00700')",
    ],
)
def test_codes_are_any_list_that_a_panel_would_take(codes: Any) -> None:
    catalog = FutuShortCatalog(codes=codes)
    assert list(catalog) == ["US.AAPL", "HK.00700", "US", "HK"]
    assert "codes:\n      - US.AAPL\n      - HK.00700\n" in catalog.yaml()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "neither was given"),
        ({"codes": "", "watchlist": ""}, "neither was given"),
        ({"codes": ["US.AAPL"], "watchlist": "list.txt"}, "not both"),
        ({"codes": []}, "empty list"),
        ({"codes": ["us.aapl"]}, "Did you mean 'US.AAPL'"),
        ({"codes": "['US.AAPL'"}, "Several codes are a list"),
        ({"codes": 700}, "must be a string, not 700"),
        ({"watchlist": 700}, "URL or path"),
        ({"codes": ["US.AAPL"], "num": 99}, "1 to 50"),
        ({"watchlist": "list.txt", "gateway": "http://h"}, "opend://HOST:PORT"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_made(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        FutuShortCatalog(**arguments)


def test_a_watchlists_bad_line_is_named_when_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "list.txt", "US.AAPL\n\nus.msft  # lower\n")
    with pytest.raises(ConfigError, match=r"list.txt, line 3: .*Did you mean 'US.MSFT'"):
        list(FutuShortCatalog(watchlist=path))
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        list(FutuShortCatalog(watchlist=path))


def test_a_yaml_catalog_holds_one(tmp_path: Path) -> None:
    written(tmp_path / "list.txt", "US.AAPL\nHK.00700\n")
    path = written(
        tmp_path / "catalog.yaml",
        "sources:\n"
        "  desk:\n"
        "    driver: futu_short_catalog\n"
        "    description: what we look at\n"
        "    args:\n"
        '      watchlist: "{{ CATALOG_DIR }}/list.txt"\n'
        "      gateway: sample://\n"
        "  few:\n"
        "    driver: futu_short_catalog\n"
        "    args:\n"
        "      codes: \"['US.AAPL']\"\n"
        "      gateway: sample://\n",
    )
    catalog = intake.open_catalog(path)
    assert list(catalog.desk) == ["US.AAPL", "HK.00700", "US", "HK"]
    assert list(catalog.few) == ["US.AAPL", "US"]
    with catalog.desk["HK.00700"] as source:
        assert len(source.read()) == 10
    with catalog["desk.HK.00700"] as source:
        assert len(source.read()) == 10
    with catalog["desk", "US.AAPL"] as source:
        assert len(source.read()) == 29
    # Its own yaml() makes the same catalog again.
    again = intake.open_catalog(written(tmp_path / "again.yaml", catalog.desk.yaml()))
    assert list(again["desk"]) == list(catalog.desk)


def test_a_copy_is_equal_and_changed_arguments_make_another() -> None:
    catalog = sample(num=10, metadata={"desk": "hk"})
    copy = pickle.loads(pickle.dumps(catalog))  # noqa: S301 - our own
    assert copy == catalog
    assert copy.metadata == {"desk": "hk"}
    assert list(copy) == list(catalog)
    other = catalog(codes=["HK.00700"])
    assert list(other) == ["HK.00700", "HK"]
    assert other != catalog


def test_what_the_caller_does_to_its_arguments_later_changes_nothing() -> None:
    notes, options = {"desk": {"name": "a"}}, {"client": {"region": "b"}}
    catalog = sample(metadata=notes, store="memory://short", storage_options=options)
    notes["desk"]["name"] = options["client"]["region"] = "changed"
    assert catalog.metadata == {"desk": {"name": "a"}}
    assert "changed" not in catalog.yaml()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"metadata": 5}, "metadata must be a mapping, not 5"),
        ({"storage_options": 5}, "storage_options must be a mapping"),
        ({"storage_options": "secret"}, "storage_options must be a mapping"),
        ({"storage_options": {"key": object()}}, "must be a plain value"),
    ],
)
def test_what_cannot_stand_in_a_catalog_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        sample(**wrong)


def test_options_may_come_from_a_template(tmp_path: Path) -> None:
    path = written(tmp_path / "list.txt", "US.AAPL\n")
    options: Any = "{'auto_mkdir': True}"
    catalog = FutuShortCatalog(codes="", watchlist=path, storage_options=options)
    assert list(catalog) == ["US.AAPL", "US"]
    with pytest.raises(ConfigError, match="neither was given"):
        FutuShortCatalog(codes="", watchlist=" ")


def test_where_a_catalog_lay_is_not_printed(tmp_path: Path) -> None:
    catalog = sample()
    path = written(tmp_path / "desk.yaml", catalog.yaml())
    again = intake.open_catalog(path)["futu_short_catalog"]
    assert str(tmp_path) not in again.yaml()
    assert again == catalog


def test_its_entries_can_be_searched_and_saved(tmp_path: Path) -> None:
    catalog = sample(num=10)
    assert list(catalog.search("aapl")) == ["US.AAPL", "US"]
    path = str(tmp_path / "saved.yaml")
    catalog.save(path)
    saved = intake.open_catalog(path)
    with saved["US.AAPL"] as source:
        assert source.discover()["npartitions"] == 3


def test_what_a_watchlist_holds_is_never_run_as_a_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "US.AAPL")
    path = written(tmp_path / "list.txt", "US.{{env(SECRET)}}\n")
    with pytest.raises(ConfigError, match="line 1"):
        list(FutuShortCatalog(watchlist=path))


def test_entries_added_by_hand_are_there_until_the_catalog_is_read_again() -> None:
    catalog = sample(["US.AAPL"])
    catalog["mine"] = catalog._entries["US.AAPL"]
    assert list(catalog) == ["US.AAPL", "US", "mine"]
    catalog.pop("US")
    assert list(catalog) == ["US.AAPL", "mine"]
    catalog.reload()
    assert list(catalog) == ["US.AAPL", "US"]


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


@pytest.mark.parametrize(
    "given", [_Bytes(b"US.AAPL # ours\nHK.00700\n"), io.StringIO("US.AAPL\nHK.00700")]
)
def test_standard_input_is_a_watchlist_and_read_once(
    given: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", given)
    catalog = FutuShortCatalog(watchlist="-", gateway="sample://")
    assert "watchlist: '-'" in catalog.yaml()
    assert list(catalog) == ["US.AAPL", "HK.00700", "US", "HK"]
    catalog.reload()
    assert list(catalog) == ["US.AAPL", "HK.00700", "US", "HK"]
