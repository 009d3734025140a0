"""The public interface as typed code uses it. mypy and pyright check it; nothing runs it.

`test_typing` says what is missing here.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from typing_extensions import assert_type

import intake_futu_short
from intake_futu_short import (
    RET_ERROR,
    RET_OK,
    Discovered,
    FutuShort,
    FutuShortCatalog,
    FutuShortError,
    FutuShortInterestSource,
    FutuShortRankSource,
    FutuShortSource,
    FutuShortStore,
    OpenQuoteContext,
    PanelError,
    ReplyError,
    catalog_path,
    sample,
    sync,
)
from intake_futu_short.accessor import ShortVolumeAccessor
from intake_futu_short.dask import ByTicker, DaskShortVolumeAccessor
from intake_futu_short.gateway import Gateway, History, Request, read_histories
from intake_futu_short.report import screen_html

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import dask.dataframe as dd


def sources() -> None:
    FutuShortSource("HK.00700")
    FutuShortSource(["US.AAPL", "US.MSFT"], "2026-01-02", pd.Timestamp("2026-02-02"), 20, 50)
    with FutuShortSource(
        code="US.AAPL",
        start=dt.date(2026, 1, 2),
        end="2026-02-02",
        warmup=20,
        gateway="opend://127.0.0.1:11111",
        max_pages=3,
        rsa_key=Path("opend.pem"),
        store="s3://bucket/short",
        storage_options={"anon": False},
        refresh="always",
        timeout=5,
        errors="warn",
        metadata={"desk": "hk"},
    ) as source:
        assert_type(source.read(), pd.DataFrame)
        assert_type(source.read_partition(0), pd.DataFrame)
        chunks: Iterator[pd.DataFrame] = source.read_chunked()
        lazy: dd.DataFrame = source.to_dask()
        assert_type(source.discover(), Discovered)
        assert_type(source.aggregates(), dict[str, Any])
        assert_type(source.aggregates_history(fill=True), pd.DataFrame)
        del chunks, lazy
        source.close()
    assert_type(source.npartitions, int | None)
    assert_type(source.shape, tuple[int, int] | None)
    assert_type(source.dtype, dict[str, str])
    assert_type(source.metadata, dict[str, Any])
    assert_type(source.name, str)
    assert_type(source.description, str | None)
    assert_type(source.version, str)
    assert_type(source.container, str)
    assert_type(source.partition_access, bool)
    assert_type(source.call.name, str)
    text: str = source.yaml()
    del text


def discovered(source: FutuShortSource) -> None:
    info = source.discover()
    assert_type(info["npartitions"], int)
    assert_type(info["shape"], tuple[int, int])
    assert_type(info["dtype"], dict[str, str])
    assert_type(info["metadata"], dict[str, Any])
    for number in range(info["npartitions"]):
        source.read_partition(number)


def interest() -> None:
    with FutuShortInterestSource({"HK.00700", "HK.00005"}, warmup=3, start="2026-01-02") as source:
        assert_type(source.read(), pd.DataFrame)
        assert_type(source.read_partition(0), pd.DataFrame)
        assert_type(source.discover(), Discovered)
        assert_type(source.npartitions, int | None)
        assert_type(source.shape, tuple[int, int] | None)


def codes(frame: pd.DataFrame) -> None:
    """Whatever holds codes."""
    column = frame["code"]
    FutuShortSource(column)
    FutuShortSource(column.unique())
    FutuShortSource(column.array)
    FutuShortSource(column.to_numpy())
    FutuShortSource(pd.Categorical(column))
    FutuShortSource(pd.CategoricalIndex(column))
    FutuShortSource(code for code in ("US.AAPL", "US.MSFT"))
    FutuShortInterestSource(frozenset({"US.AAPL"}))
    FutuShortCatalog(codes={"US.AAPL"})
    FutuShort(("sample://",), column.unique())
    sync(column.unique(), store="s3://bucket/short", gateway=("sample://",))
    FutuShortStore("s3://bucket/short").read(column.unique(), columns=("volume",))
    FutuShortStore("s3://bucket/short").to_dask({"US.AAPL"})
    FutuShortStore("s3://bucket/short").revisions({"US.AAPL"})
    FutuShortStore("s3://bucket/short").verify(column)


def ranks() -> None:
    with FutuShortRankSource("HK", "volume", False, 70, ["HK.BK1001"], timeout=5) as source:
        assert_type(source.read(), pd.DataFrame)
        assert_type(source.read_partition(0), pd.DataFrame)
        assert_type(source.discover(), Discovered)
        assert_type(source.npartitions, int | None)
        assert_type(source.shape, tuple[int, int] | None)
    FutuShortRankSource.of_url("rank://US?rows=70", timeout=5).close()
    FutuShortCatalog(watchlist="rank://US?sort=short_ratio&rows=200")


def wrong() -> None:
    """An ignore that is not needed is an error: each line here must be one to mypy."""
    FutuShortSource()  # type: ignore[call-arg]  # mypy's to refuse
    FutuShortSource("US.AAPL", pages=3)  # type: ignore[call-arg]  # mypy's to refuse
    FutuShortSource("US.AAPL", num="many")  # type: ignore[arg-type]  # mypy's to refuse
    FutuShort("sample://")  # type: ignore[call-arg]  # mypy's to refuse
    FutuShortCatalog(codes=700)  # type: ignore[arg-type]  # mypy's to refuse
    intake_futu_short.FutuShortSauce  # type: ignore[attr-defined]  # noqa: B018 - likewise


def catalogs() -> None:
    FutuShortCatalog(codes=["US.AAPL"], gateway="sample://", start="2026-01-02")
    catalog = FutuShortCatalog(watchlist=Path("list.txt"), storage_options={"anon": True})
    catalog.reload()
    assert_type(catalog.serialize(), str)
    assert_type(catalog.name, str)
    assert_type(catalog.version, str)
    catalog["US.AAPL"].read()
    assert_type(catalog_path("sample"), str)


def readers() -> None:
    data = FutuShort("sample://", "US.AAPL", start=dt.date(2026, 1, 2), num=10)
    FutuShort(None, ["US.AAPL", "US.MSFT"], metadata={"desk": "us"})
    assert_type(data.url, str | list[str] | None)
    assert_type(data.code, str | list[str])
    assert_type(data.start, str | None)
    assert_type(data.end, str | None)
    data.to_reader("pandas").read()


def documented_call() -> None:
    with OpenQuoteContext(host="127.0.0.1", port=11111) as context:
        ret, us_rows, hk_rows = context.get_daily_short_volume("HK.00700", next_key=None, num=None)
        context.get_short_interest("HK.00700", next_key=None, num=None)
        _, ranked = context.get_short_selling_rank("US", "SHORT_RATIO", plate_list=["US.BK2024"])
    if ret == RET_OK or ret != RET_ERROR:
        print(us_rows, hk_rows)
    context.close()
    assert_type(ranked, tuple[int, pd.DataFrame] | str)


def accessor(frame: pd.DataFrame) -> None:
    shortvol = ShortVolumeAccessor(frame)
    assert_type(shortvol.market, str)
    assert_type(shortvol.code, str | None)
    assert_type(shortvol.next_key, str | None)
    assert_type(shortvol.aggregated_short, int | None)
    assert_type(shortvol.aggregated_short_ratio, float | None)
    assert_type(shortvol.new_time_str, str | None)
    aggregates: pd.DataFrame = shortvol.aggregates
    del aggregates
    assert_type(shortvol.by_date(), pd.DataFrame)
    assert_type(shortvol.short_ratio(), "pd.Series[float]")
    assert_type(shortvol.pooled_short_ratio(20), "pd.Series[float]")
    for series in (
        shortvol.abnormal_short_ratio(5, 20), shortvol.long_vwap(), shortvol.return_1d(),
        shortvol.short_ratio_rank(20), shortvol.short_ratio_zscore(20),
        shortvol.short_turnover_ratio(), shortvol.short_value(), shortvol.short_volume_surge(20),
        shortvol.short_vwap(), shortvol.short_vwap_premium(), shortvol.venue_share(),
        shortvol.vwap(),
    ):  # fmt: skip
        assert_type(series, "pd.Series[float]")
    assert_type(shortvol.rank("short_ratio"), "pd.Series[float]")
    assert_type(shortvol.pivot("short_ratio"), pd.DataFrame)
    assert_type(shortvol.resample("W"), pd.DataFrame)
    assert_type(shortvol.dollar_weighted_short_ratio(), "pd.Series[float]")
    assert_type(shortvol.check(), pd.DataFrame)
    assert_type(shortvol.metrics(windows=(5, 20)), pd.DataFrame)
    assert_type(shortvol.with_metrics(), pd.DataFrame)
    shortvol.plot(kind="panels", start="2026-01-02", last=250)
    shortvol.plot(last="all")
    shortvol.hvplot(last="all")
    assert_type(shortvol.latest(), pd.DataFrame)
    assert_type(shortvol.latest("short_ratio", None, windows=5, ascending=True), pd.DataFrame)
    assert_type(shortvol.short_ratio_mean(5, min_periods=3, start="2026-01-02"), "pd.Series[float]")
    assert_type(shortvol.days_to_cover(20, start="2026-01-02", positions=frame), "pd.Series[float]")
    assert_type(shortvol.implied_shares(positions=frame), "pd.Series[float]")
    assert_type(shortvol.metrics(start="2026-01-02", positions=frame), pd.DataFrame)
    assert_type(shortvol.with_metrics(start="2026-01-02", positions=frame), pd.DataFrame)
    assert_type(shortvol.with_positions(frame), pd.DataFrame)
    shortvol.plot(positions=frame)
    assert_type(shortvol.aggregates_history(), pd.DataFrame)


def screens(panel: pd.DataFrame) -> None:
    page = screen_html(panel, by="short_ratio", n=None, positions=panel, store="s3://bucket/short")
    assert_type(page, str)


def partitions(frame: dd.DataFrame) -> None:
    shortvol = DaskShortVolumeAccessor(frame)
    assert_type(shortvol.market, str)
    assert_type(shortvol.by_ticker(), ByTicker)


def store() -> None:
    kept = FutuShortStore("s3://bucket/short", {"anon": True})
    assert_type(kept.read(["US.AAPL"], start="2026-01-02", columns=["volume"]), pd.DataFrame)
    assert_type(kept.url, str)
    assert_type(kept.codes("HK"), list[str])
    assert_type(kept.info(), pd.DataFrame)
    assert_type(kept.verify(), pd.DataFrame)
    assert_type(kept.revisions(["US.AAPL"], errors="warn"), pd.DataFrame)
    assert_type(kept.set_aside("US.AAPL"), str)
    lazy: dd.DataFrame = kept.to_dask("US.AAPL", as_of=dt.date(2026, 1, 2))
    del lazy
    assert_type(sync(["HK.00700"], store="s3://bucket/short", gateway=None), pd.DataFrame)


def errors(error: FutuShortError) -> None:
    if isinstance(error, ReplyError):
        assert_type(error.ret_type, int)
        assert_type(error.message, str)
    if isinstance(error, PanelError):
        assert_type(error.failures, dict[str, Exception])
        assert_type(error.partial, pd.DataFrame | None)


def serving() -> None:
    histories = read_histories("rows")
    assert_type(histories, dict[str, History])
    with Gateway(
        histories, short_interest=None, limit=(30, 30.0), rsa_key=Path("opend.pem")
    ) as run:
        assert_type(run.start(), Gateway)
        assert_type(run.url, str)
        assert_type(run.port, int)
        assert_type(run.requests, list[Request])
        run.close()


def served(history: History, request: Request) -> None:
    assert_type(history.security.code, str)
    assert_type(history.aggregated_short, int | None)
    assert_type(history.aggregated_short_ratio, float | None)
    assert_type(history.new_time_str, str | None)
    assert_type(history.days, tuple[str, ...])
    assert_type(history.call.name, str)
    rows: Sequence[object] = history.rows
    del rows
    assert_type(request.arrived_s, float)
    assert_type(request.code, str)
    assert_type(request.next_key, str | None)
    assert_type(request.num, int | None)
    assert_type(request.offset, int)
    assert_type(request.call, str)


def samples() -> None:
    assert_type(sample.frame("HK.00700"), pd.DataFrame)
