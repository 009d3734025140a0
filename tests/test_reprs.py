"""What sources and ``df.shortvol`` show of themselves, as text and in notebooks."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import intake
import pandas as pd
import pytest

from intake_futu_short import (
    FutuShort,
    FutuShortCatalog,
    FutuShortInterestSource,
    FutuShortRankSource,
    FutuShortStore,
    OpenQuoteContext,
    sample,
)
from intake_futu_short.errors import ConfigError, NotShortVolumeError
from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.source import FutuShortSource
from intake_futu_short.store.file_system import StoreFileSystem

if TYPE_CHECKING:
    from pathlib import Path


def facts(text: str) -> dict[str, str]:
    """What the lines below the title say, by name."""
    lines = [re.fullmatch(r"  (\S+) +(.*)", line) for line in text.splitlines()[1:]]
    assert all(lines)
    return {found[1]: found[2] for found in lines if found}


class Table(HTMLParser):
    """The cells of a table; tags and attributes beside them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self._is_new = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag in {"th", "td", "caption"}:
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        self.cells[-1] += data


def shown_twice(thing: Any) -> dict[str, str]:
    """The facts, which text and HTML agree on."""
    text, table = repr(thing), Table(thing._repr_html_())
    said = facts(text)
    assert table.tags == {"table", "caption", "tbody", "tr", "th", "td"}
    assert table.attributes == {"scope"}  # no style, whatever the notebook's theme
    assert table.cells[0] == text.splitlines()[0]
    assert dict(zip(table.cells[1::2], table.cells[2::2], strict=True)) == said
    return said


# -- a source --------------------------------------------------------------------------------


def test_a_source_shows_whom_it_asks_and_what_it_has_read() -> None:
    with Gateway(sample_histories()) as gateway:
        src = FutuShortSource("US.AAPL", start="2024-09-10", num=10, gateway=gateway.url)
        unread = shown_twice(src)
        assert unread == {
            "code": "US.AAPL", "gateway": gateway.url,
            "arguments": "start='2024-09-10', num=10, timeout=12.0", "read": "no",
        }  # fmt: skip
        assert gateway.requests == []
        src.read_partition(0)
        assert shown_twice(src) == {
            **unread, "rows": "10", "days": "2024-09-30 to 2024-10-11",
            "read": "in part, 1 partition so far",
        }  # fmt: skip
        src.read()
        assert shown_twice(src) == {
            **unread, "rows": "24", "days": "2024-09-10 to 2024-10-11",
            "read": "yes, 3 partitions",
        }  # fmt: skip
        assert len(gateway.requests) == 3
        src.close()
        assert shown_twice(src) == unread
        assert repr(src).splitlines()[0] == "FutuShortSource: daily short volume"


def test_a_panel_shows_all_of_its_tickers_together() -> None:
    with intake.open_futu_short(["US.AAPL", "US.SAMPLE"], gateway="sample://") as src:
        src.read_partition(0)
        said = shown_twice(src)
        assert said["code"] == "US.AAPL, US.SAMPLE (2 tickers)"
        assert (said["rows"], said["days"]) == ("29", "2024-09-03 to 2024-10-11")
        src.read()
        said = shown_twice(src)
    assert said["rows"] == "1,529"
    assert said["days"].endswith(" to 2026-06-18")
    assert said["read"] == "yes, 31 partitions"


def test_of_many_tickers_the_first_are_named() -> None:
    codes = [f"US.T{letter}" for letter in "ABCDEFGH"]
    said = shown_twice(FutuShortSource(codes, gateway="sample://"))
    assert said["code"] == "US.TA, US.TB, US.TC and 5 more (8 tickers)"


def test_a_source_over_a_store_shows_what_is_known_of_it(tmp_path: Path) -> None:
    given: dict[str, Any] = {"store": tmp_path, "start": "2024-10-01", "warmup": 2}
    with intake.open_futu_short("US.AAPL", gateway="sample://", **given) as src:
        assert "rows" not in shown_twice(src)
        src.read()
        said = shown_twice(src)
    assert said["store"] == str(tmp_path)
    assert (said["rows"], said["days"]) == ("11", "2024-09-27 to 2024-10-11")
    never = FutuShortSource("US.AAPL", refresh="never", **given)
    assert shown_twice(never)["gateway"] == "none, the store alone"


def test_secrets_are_not_shown() -> None:
    src = FutuShortSource(
        "US.AAPL",
        gateway="opend://h:5?rsa_key=~/opend.pem",
        store="s3://bucket/short",
        storage_options={"key": "AKIAHIDDEN", "secret": "hunter2"},
    )
    said = shown_twice(src)
    assert said["gateway"] == "opend://h:5?rsa_key=~/opend.pem"
    assert said["arguments"] == "num=50, timeout=12.0, storage_options of key, secret"
    assert "hunter2" not in repr(src) + src._repr_html_()
    assert "AKIAHIDDEN" not in repr(src) + src._repr_html_()


def test_what_users_write_is_escaped(tmp_path: Path) -> None:
    src = FutuShortSource("US.AAPL", gateway="sample://", store=f"{tmp_path}/<b>&\"'")
    assert "<b>" not in src._repr_html_()
    assert shown_twice(src)["store"].endswith("/<b>&\"'")


def test_a_source_that_was_never_made_can_be_shown() -> None:
    unmade = FutuShortSource.__new__(FutuShortSource)
    assert shown_twice(unmade) == {"state": "not made, its arguments were refused"}
    with pytest.raises(ConfigError):
        unmade.__init__("us.aapl")  # type: ignore[misc]  # as a debugger sees it
    assert "not made" in repr(unmade)


def test_intakes_own_display_of_yaml_stands_back() -> None:
    assert FutuShortSource("US.AAPL", gateway="sample://")._ipython_display_ is None


def test_notebooks_show_the_table_and_not_intakes_yaml() -> None:
    formatters = pytest.importorskip("IPython.core.formatters")
    display = formatters.DisplayFormatter()
    with intake.open_futu_short("US.AAPL", gateway="sample://") as src:
        data, _ = display.format(src)
        frame = src.read()
        assert data["text/plain"] != src.yaml()
    assert data["text/html"].startswith("<table><caption>FutuShortSource")
    assert set(data) == {"text/plain", "text/html"}
    data, _ = display.format(frame.shortvol)
    assert data["text/html"].startswith("<table><caption>Daily short volume")


# -- df.shortvol -----------------------------------------------------------------------------


def test_an_accessor_shows_market_code_rows_and_days() -> None:
    frame = sample.frame("US.AAPL")
    assert shown_twice(frame.shortvol) == {
        "market": "US", "code": "US.AAPL", "rows": "29",
        "days": "2024-09-03 to 2024-10-11", "missing": "no column",
    }  # fmt: skip


def test_missing_columns_of_the_market_are_named() -> None:
    frame = sample.frame("HK.SAMPLE").drop(columns=["turnover", "open_price"])
    said = shown_twice(frame.shortvol)
    assert (said["market"], said["rows"]) == ("HK", "1,500")
    assert said["missing"] == "turnover, open_price"
    ascending = sample.frame("US.AAPL").shortvol.by_date()
    assert shown_twice(ascending.shortvol)["missing"] == "no column"


def test_a_panel_shows_how_many_tickers_it_has() -> None:
    frame = pd.concat([sample.frame(code).assign(code=code) for code in ("US.AAPL", "US.SAMPLE")])
    said = shown_twice(frame.shortvol)
    assert list(said) == ["market", "tickers", "rows", "days", "missing"]
    assert (said["tickers"], said["rows"]) == ("2", "1,529")


def test_what_is_not_known_is_said() -> None:
    bare = pd.DataFrame({"total_shares_short": [1], "volume": [2], "timestamp_str": ["2026-01-02"]})
    assert shown_twice(bare.shortvol)["code"] == "unknown"
    assert shown_twice(bare.iloc[:0].shortvol)["rows"] == "0"
    undated = bare.drop(columns="timestamp_str")
    assert shown_twice(undated.shortvol)["days"].startswith("unknown: the frame does not have its")
    odd = bare.assign(timestamp_str="<i>soon</i>")
    assert "<i>" not in odd.shortvol._repr_html_()
    assert shown_twice(odd.shortvol)["days"].startswith("unknown: ")


def test_the_first_day_that_metrics_answer_for_is_shown() -> None:
    frame = sample.frame("US.AAPL")
    frame.attrs["start"] = "2024-10-01"
    said = shown_twice(frame.shortvol)
    assert said["start"] == "2024-10-01: windowed metrics answer from here on"


def test_periods_are_not_taken_for_days() -> None:
    weeks = sample.frame("US.AAPL").shortvol.resample("W")
    assert shown_twice(weeks.shortvol)["rows"] == "6, a period of W-SUN each"


def test_a_frame_that_was_changed_in_place_can_still_be_shown() -> None:
    frame = sample.frame("US.AAPL")
    accessor = frame.shortvol
    del frame["total_shares_short"]
    assert shown_twice(accessor)["market"].startswith("unknown: the frame holds no daily short")


# -- stores, gateways, contexts, catalogs ----------------------------------------------------


def html_cells(thing: Any) -> list[str]:
    return Table(thing._repr_html_()).cells


def html_facts(thing: Any) -> dict[str, str]:
    title, *cells = html_cells(thing)
    assert repr(thing).startswith(f"{title}\n")
    return dict(zip(cells[::2], cells[1::2], strict=True))


def test_a_gateway_shows_where_it_listens_and_what_it_serves() -> None:
    gateway = Gateway(sample_histories())
    said = html_facts(gateway)
    count = f"{len(sample_histories())} tickers"
    assert said == {
        "url": "opend://127.0.0.1:0", "runs": "no",
        "daily short volume": count, "short interest": "0 tickers",
    }  # fmt: skip
    with gateway:
        assert html_facts(gateway) == {**said, "url": gateway.url, "runs": "yes"}
        assert gateway.requests == []


def test_a_gateway_does_not_count_what_it_would_have_to_load() -> None:
    class Other(Mapping[str, Any]):
        def __getitem__(self, code: str) -> Any:
            raise AssertionError("looked up")

        def __iter__(self) -> Any:
            raise AssertionError("listed")

        def __len__(self) -> int:
            raise AssertionError("counted")

    assert set(html_facts(Gateway(Other()))) == {"url", "runs", "short interest"}


def test_a_context_shows_whom_it_asks() -> None:
    with OpenQuoteContext(port=5) as context:
        assert shown_twice(context) == {"gateway": "opend://127.0.0.1:5"}


def test_a_store_shows_its_url_without_a_look_into_it(tmp_path: Path) -> None:
    store = FutuShortStore(tmp_path / "<b>new")
    assert "<b>" not in store._repr_html_()
    assert html_cells(store)[1:] == ["url", f"{tmp_path}/<b>new", "place", "a local directory"]
    assert list(tmp_path.iterdir()) == []
    remote = FutuShortStore("memory://x", {"secret": "hunter2"})
    assert html_cells(remote)[1:] == ["url", "memory://x", "place", "reached through fsspec"]


def test_a_catalog_shows_its_list_without_a_look_into_the_watchlist() -> None:
    options = {"key": "AKIAHIDDEN"}
    catalog = FutuShortCatalog(
        watchlist="memory://<i>nosuch.txt", storage_options=options, gateway="sample://"
    )
    assert shown_twice(catalog) == {
        "watchlist": "memory://<i>nosuch.txt",
        "arguments": "gateway='sample://', storage_options of key",
    }
    assert "<i>" not in catalog._repr_html_()
    assert "AKIAHIDDEN" not in repr(catalog) + catalog._repr_html_()
    assert catalog._ipython_display_ is None
    assert shown_twice(FutuShortCatalog(codes=["US.AAPL"])) == {"codes": "US.AAPL (1 ticker)"}


def test_data_of_intake_2_shows_its_arguments() -> None:
    data = FutuShort("sample://", "US.AAPL", storage_options={"key": "AKIAHIDDEN"}, store="s3://b")
    cells = html_cells(data)
    assert cells[:5] == ["FutuShort: daily short volume", "url", "sample://", "code", "US.AAPL"]
    assert "AKIAHIDDEN" not in data._repr_html_()


# -- what was never made ---------------------------------------------------------------------


REFUSED: dict[str, Any] = {
    "source": lambda: FutuShortSource("BAD"),
    "source with a store": lambda: FutuShortSource("US.AAPL", store="nosuch://x"),
    "interest": lambda: FutuShortInterestSource("BAD"),
    "rank": lambda: FutuShortRankSource("BAD"),
    "catalog": lambda: FutuShortCatalog(codes=["BAD"]),
    "store": lambda: FutuShortStore("nosuch://x"),
    "context": lambda: OpenQuoteContext(host=""),
    "gateway": lambda: Gateway(5),  # type: ignore[arg-type]  # refused
    "data": lambda: FutuShort("sample://", "BAD"),
    "accessor": lambda: pd.DataFrame({"a": [1]}).shortvol,
}


@pytest.mark.parametrize("what", REFUSED)
def test_tracebacks_that_show_locals_show_what_was_refused(what: str) -> None:
    with pytest.raises((ConfigError, NotShortVolumeError)) as caught:
        REFUSED[what]()
    lines = traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    assert "repr() failed" not in "".join(lines)
    seen = [
        thing
        for frame, _ in traceback.walk_tb(caught.value.__traceback__)
        for thing in frame.f_locals.values()
        if type(thing).__module__.startswith("intake_futu_short")
    ]
    for thing in seen:
        repr(thing), str(thing)
        if type(thing).__hash__ is not None:
            hash(thing)
        if hasattr(type(thing), "close"):
            thing.close()


@pytest.mark.parametrize(
    "kind",
    [
        FutuShortSource, FutuShortInterestSource, FutuShortRankSource, FutuShortCatalog,
        FutuShortStore, StoreFileSystem, OpenQuoteContext, Gateway, FutuShort,
    ],
)  # fmt: skip
def test_what_was_never_made_can_be_shown_hashed_and_closed(kind: Any) -> None:
    unmade = kind.__new__(kind)
    assert repr(unmade)
    if kind is not StoreFileSystem:
        assert "not made" in unmade._repr_html_()
    if kind is not FutuShort:  # Intake's own
        hash(unmade)
    if hasattr(kind, "close"):
        unmade.close()
