"""Reports of open positions in a store: the rules of short volume, a column more, other rhythms."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
import pyarrow.parquet as pq
import pytest
from model_gateway import ModelGateway
from parquet_readers import other_readers
from store_rows import hk_rows
from store_rows import ticker as volume_of

from intake_futu_short import FutuShortStore, sync
from intake_futu_short.calls import SHORT_INTEREST, SHORT_VOLUME, Ticker
from intake_futu_short.errors import ConfigError, CorruptStoreError, PanelError, StoreError
from intake_futu_short.gateway import Gateway, History
from intake_futu_short.history.ticker_history import ROW, Revision, TickerHistory
from intake_futu_short.history.update import Updater
from intake_futu_short.interest_source import FutuShortInterestSource
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.limit import HostLimit
from intake_futu_short.reading import open_gateways, read
from intake_futu_short.schema import dtypes
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

WHAT = "short_interest"
TENCENT, APPLE = (Ticker(Security.parse(code), SHORT_INTEREST) for code in ("HK.00700", "US.AAPL"))
TENCENT_FILE = "short_interest/market=HK/code=HK.00700/history.parquet"
PATIENCE_S = 30.0

# As-of days, and when their reports are published: the Friday after the next Thursday.
DAYS = ["2026-04-17", "2026-04-24", "2026-04-30"]
PUBLISHED = ["2026-04-24", "2026-05-04", "2026-05-08"]
HK_DTYPES = {
    "timestamp": "int64", "aggregated_short": "Int64", "aggregated_short_ratio": "float64",
    "close_price": "float64", "last_close_price": "float64", "published": "datetime64[ns]",
}  # fmt: skip


def rows(of: Ticker, days: Sequence[str] = DAYS, first_seen: Any = math.nan) -> pd.DataFrame:
    """Rows whose first position is missing."""
    n = len(days)
    positions: list[int | None] = [51_000_000 + i for i in range(n)]
    positions[:1] = [None][:n]
    own: dict[str, Any] = {
        "HK": {"aggregated_short": positions, "aggregated_short_ratio": [0.56] * n},
        "US": {"shares_short": positions, "short_percent": [0.9] * n,
               "avg_daily_share_volume": [2**53 + 1] * n, "days_to_cover": [2.31] * n},
    }[of.market.name]  # fmt: skip
    prices = {"close_price": [467.8] * n, "last_close_price": [479.2] * n}
    stamps = [of.market.midnight(day) for day in days]
    frame = pd.DataFrame({"timestamp": stamps, "timestamp_str": list(days), **own, **prices})
    kept = {name: dtypes(of.table)[name] for name in of.table.column_names}
    return frame.astype(kept).assign(first_seen=first_seen)


@pytest.fixture
def store(tmp_path: Path) -> FutuShortStore:
    """Two tickers, and beside them short volume of one."""
    store = FutuShortStore(tmp_path)
    store.save(TENCENT, TickerHistory(rows(TENCENT), True, checked_s=1.5))
    store.save(APPLE, TickerHistory(rows(APPLE), True))
    store.save(volume_of("HK.00700"), TickerHistory(hk_rows(), True))
    return store


def test_each_series_has_a_directory_of_its_own(store: FutuShortStore, tmp_path: Path) -> None:
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.parquet"))
    assert files == [
        TENCENT_FILE,
        "short_interest/market=US/code=US.AAPL/history.parquet",
        "short_volume/market=HK/code=HK.00700/history.parquet",
    ]
    assert store.codes() == ["HK.00700"]
    assert store.codes(what=WHAT) == ["HK.00700", "US.AAPL"]
    assert store.info(what=WHAT)[["code", "rows", "first", "last"]].to_numpy().tolist() == [
        ["HK.00700", 3, DAYS[0], DAYS[2]], ["US.AAPL", 3, DAYS[0], DAYS[2]],
    ]  # fmt: skip
    assert store.info(what=WHAT).dtypes.equals(store.info().dtypes)
    # What is worked out is not kept: a better estimate changes no file.
    assert "published" not in pq.read_schema(tmp_path / TENCENT_FILE).names


def test_rows_are_read_with_the_day_on_which_they_were_published(store: FutuShortStore) -> None:
    frame = store.read(what=WHAT, market="HK")
    assert list(frame) == ["code", "timestamp", "timestamp_str", *list(HK_DTYPES)[1:]]
    assert {name: str(frame[name].dtype) for name in HK_DTYPES} == HK_DTYPES
    assert frame["timestamp_str"].tolist() == DAYS[::-1]
    assert frame["aggregated_short"].isna().tolist() == [False, False, True]
    assert frame.attrs == {"market": "HK"}
    pytest.importorskip("exchange_calendars")
    assert frame["published"].dt.strftime("%Y-%m-%d").tolist() == PUBLISHED[::-1]


@pytest.mark.parametrize(
    "columns",
    [["published"], ["published", "first_seen", "close_price"], ["close_price", "published"], []],
)
def test_columns_are_chosen_with_it_and_without(store: FutuShortStore, columns: list[str]) -> None:
    asked: dict[str, Any] = {"what": WHAT, "market": "HK", "columns": columns}
    frame = store.read(start=DAYS[1], **asked)
    assert list(frame) == ["code", "timestamp_str", *columns]
    assert frame["timestamp_str"].tolist() == DAYS[:0:-1]
    for as_of in (None, "2026-12-31"):
        lazy = store.to_dask(start=DAYS[1], as_of=as_of, **asked)
        pd.testing.assert_frame_equal(lazy.compute(scheduler="synchronous"), frame)
    if columns:
        alone = store.to_dask(start=DAYS[1], **asked)[[columns[0]]]
        pd.testing.assert_frame_equal(alone.compute(scheduler="synchronous"), frame[[columns[0]]])


def test_both_series_may_have_the_same_codes_and_other_columns(store: FutuShortStore) -> None:
    with pytest.raises(ConfigError, match=r"columns must be names out of .*published, first_seen"):
        store.read(what=WHAT, market="HK", columns=["turnover"])
    with pytest.raises(ConfigError, match="columns must be names out of"):
        store.read(columns=["published"])
    with pytest.raises(ConfigError, match="what must be one of short_volume, short_interest"):
        store.read(what="interest")
    with pytest.raises(StoreError, match=r"no short interest of HK is kept there"):
        FutuShortStore(f"{store.url}/other").read(what=WHAT, market="HK")


@other_readers
def test_other_readers_read_a_market_as_it_lies(
    store: FutuShortStore, tmp_path: Path, reader: Callable[[Path], pd.DataFrame]
) -> None:
    other = Ticker(Security.parse("HK.00005"), SHORT_INTEREST)
    store.save(other, TickerHistory(rows(other), True))
    frame = reader(tmp_path / "short_interest" / "market=HK")
    assert set(frame.columns) >= {"code", *rows(TENCENT).columns}
    frame = frame.assign(code=frame["code"].astype(str)).sort_values(["code", "timestamp"])
    assert frame["code"].tolist() == ["HK.00005"] * 3 + ["HK.00700"] * 3
    assert frame["timestamp_str"].astype(str).tolist() == DAYS * 2
    assert frame["aggregated_short"].fillna(0).tolist() == [0, 51_000_001, 51_000_002] * 2


def test_a_file_of_the_other_series_is_damage(store: FutuShortStore, tmp_path: Path) -> None:
    volume = tmp_path / "short_volume/market=HK/code=HK.00700/history.parquet"
    (tmp_path / TENCENT_FILE).write_bytes(volume.read_bytes())
    with pytest.raises(CorruptStoreError, match="short_interest"):
        store.load(TENCENT)
    with pytest.raises(PanelError, match=r"1 of 1 tickers failed: HK\.00700"):
        store.read(what=WHAT, market="HK")


def test_a_damaged_file_costs_its_series_alone(store: FutuShortStore, tmp_path: Path) -> None:
    content = bytearray((tmp_path / TENCENT_FILE).read_bytes())
    content[len(content) // 3] ^= 1
    (tmp_path / TENCENT_FILE).write_bytes(content)
    with pytest.raises(CorruptStoreError, match="Delete the file and sync"):
        store.load(TENCENT)
    assert len(store.read()) == 3
    found = store.verify(what=WHAT)
    assert found["code"].tolist() == ["HK.00700", "US.AAPL"]
    assert found["sound"].tolist() == [False, True]
    assert found["findings"].isna().all()
    assert store.verify()["sound"].tolist() == [True]


def test_what_was_revised_is_listed_and_undone(store: FutuShortStore) -> None:
    changed = (
        Revision(DAYS[1], "aggregated_short", 7, 51_000_001, 1778900000.0),  # May 16
        Revision("2026-04-10", ROW, {**rows(TENCENT, ["2026-04-10"]).to_dict("records")[0],
                                     "aggregated_short": 5, "first_seen": None},
                 None, 1778900000.0),
    )  # fmt: skip
    kept = store.load(TENCENT)
    assert kept is not None
    store.save(TENCENT, replace(kept, revisions=changed))
    listed = store.revisions(what=WHAT, market="HK")
    assert listed[["code", "day", "column"]].to_numpy().tolist() == [
        ["HK.00700", DAYS[1], "aggregated_short"], ["HK.00700", "2026-04-10", "(row)"],
    ]  # fmt: skip
    then = store.read(what=WHAT, market="HK", as_of="2026-05-15")
    assert then["timestamp_str"].tolist() == [*DAYS[::-1], "2026-04-10"]
    assert then["aggregated_short"].fillna(0).tolist() == [51_000_002, 7, 0, 5]
    assert then["published"].notna().all()
    assert len(store.revisions(what="short_volume")) == 0


def test_a_report_of_a_first_fill_is_known_from_four_on_the_day_of_its_publication(
    store: FutuShortStore,
) -> None:
    pytest.importorskip("exchange_calendars")

    def known(moment: str) -> list[str]:
        found = store.read(what=WHAT, market="HK", as_of=moment)["timestamp_str"]
        return sorted(found)

    assert known("2026-05-08T15:59:59+08:00") == DAYS[:2]
    assert known("2026-05-08T16:00+08:00") == DAYS
    assert known("2026-04-23") == []


def test_a_series_is_set_aside_by_itself(store: FutuShortStore) -> None:
    before = store.read(what=WHAT, market="HK")
    where = store.set_aside("HK.00700", what=WHAT)
    assert where.endswith(
        f"/aside/short_interest/market=HK/code=HK.00700/{DAYS[0]}_{DAYS[2]}.parquet"
    )
    assert store.codes(what=WHAT) == ["US.AAPL"]
    assert store.codes() == ["HK.00700"]
    pd.testing.assert_frame_equal(store.read("HK.00700", what=WHAT, aside=True), before)
    with pytest.raises(StoreError, match=r"nothing of HK\.00700 was set aside"):
        store.read("HK.00700", aside=True)


# -- synced ---------------------------------------------------------------------------------------


def history(code: str, shares: Sequence[str] | Mapping[str, int]) -> History:
    """Reports of days, 100 shares each where it does not say otherwise."""
    security = Security.parse(code)
    name = {"HK": "aggregated_short", "US": "shares_short"}[security.market.name]
    counts = shares if isinstance(shares, Mapping) else dict.fromkeys(shares, 100)
    sent = [{"timestamp_str": day, name: counts[day]} for day in sorted(counts, reverse=True)]
    return History(security, cast("list[dict[str, Any]]", sent), call=SHORT_INTEREST)


def unlimited(gateway: Gateway) -> str:
    return f"{gateway.url}?limit=off"


def test_a_ticker_without_reports_is_whole_and_has_no_rows(tmp_path: Path) -> None:
    with Gateway({}, short_interest={"HK.00001": history("HK.00001", [])}) as gateway:
        done = sync("HK.00001", tmp_path, unlimited(gateway), what=WHAT)
        assert done[["rows", "requests", "complete"]].to_numpy().tolist() == [[0, 1, True]]
        again = sync("HK.00001", tmp_path, unlimited(gateway), what=WHAT)
        assert again["requests"].tolist() == [0]
        with FutuShortInterestSource(
            "HK.00001", gateway=unlimited(gateway), store=str(tmp_path)
        ) as source:
            assert source.discover()["shape"] == (0, 7)
            alone = source.read()
            lazy = source.to_dask().compute(scheduler="synchronous")
    assert len(alone) == len(lazy) == 0
    assert {name: str(alone[name].dtype) for name in HK_DTYPES} == HK_DTYPES
    pd.testing.assert_frame_equal(lazy, alone)
    store = FutuShortStore(tmp_path)
    frame = store.read(what=WHAT)
    assert len(frame) == 0
    assert {name: str(frame[name].dtype) for name in HK_DTYPES} == HK_DTYPES
    assert len(store.read(what=WHAT, as_of="2026-05-15")) == 0
    nothing = store.to_dask(what=WHAT).compute(scheduler="synchronous")
    pd.testing.assert_frame_equal(nothing, frame)
    assert store.info(what=WHAT)[["rows", "complete"]].to_numpy().tolist() == [[0, True]]
    assert store.verify(what=WHAT)[["sound", "complete", "rows"]].to_numpy().tolist() == [
        [True, True, 0]
    ]


def test_partitions_over_a_store_have_the_day_of_publication(tmp_path: Path) -> None:
    days = [f"{day:%Y-%m-%d}" for day in pd.date_range("2025-01-03", periods=60, freq="7D")]
    served = {code: history(code, days) for code in ("HK.00700", "HK.00005")}
    with Gateway({}, short_interest=served) as gateway:
        asked: dict[str, Any] = {"gateway": unlimited(gateway), "store": str(tmp_path), "num": 25}
        for code in ("HK.00700", ["HK.00700", "HK.00005"]):
            with FutuShortInterestSource(code, **asked) as source:
                whole = source.read()
                assert [len(part) for part in source.read_chunked()] == [25, 25, 10] * (
                    1 if code == "HK.00700" else 2
                )
                lazy = source.to_dask()
                assert (
                    lazy.partitions[1].compute(scheduler="synchronous")["published"].tolist()
                    == (whole["published"].tolist()[25:50])
                )
                assert list(lazy) == list(whole) == list(source.dtype)
                pd.testing.assert_frame_equal(lazy.compute(scheduler="synchronous"), whole)
        assert whole["published"].notna().all()


def test_a_history_all_newer_than_the_one_held_is_joined_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # As of a security without positions to report for a while, or a store not synced for years.
    served = {"HK.00700": history("HK.00700", ["2023-06-02", "2023-06-09"])}
    with Gateway({}, short_interest=served) as gateway:
        sync("HK.00700", tmp_path, unlimited(gateway), what=WHAT)
        assert caplog.messages == []
        served["HK.00700"] = history("HK.00700", ["2026-05-08", "2026-05-15"])
        for _ in range(2):
            done = sync("HK.00700", tmp_path, unlimited(gateway), what=WHAT, refresh="always")
            assert done[["rows", "complete"]].to_numpy().tolist() == [[4, True]]
    (said,) = caplog.messages
    assert said == (
        "HK.00700: the gateway's whole short interest is from 2026-05-08 to 2026-05-15 (2 rows), "
        f"all of it newer than what {tmp_path} held, from 2023-06-02 to 2023-06-09 (2 rows). Both "
        "were joined. If the code belongs to another security now, "
        f"FutuShortStore('{tmp_path}').set_aside('HK.00700', what='short_interest'), or on the "
        f"command line futu-short set-aside HK.00700 --store {tmp_path} --what short_interest, "
        "moves them to a file of their own, and the next sync starts anew"
    )


def test_as_of_each_sync_the_rows_are_those_that_were_read_then(tmp_path: Path) -> None:
    """A quarter of a ticker whose reports come, are corrected and withdrawn; two syncs a week."""
    store, served = FutuShortStore(tmp_path), {"HK.00700": history("HK.00700", [])}
    days = [f"{day:%Y-%m-%d}" for day in pd.date_range("2026-05-29", periods=14, freq="7D")]
    sent = dict.fromkeys(days[:4], 100)
    seen: list[tuple[float, pd.DataFrame]] = []
    with Gateway({}, short_interest=served) as gateway:
        gateways = open_gateways([GatewayURL.parse(unlimited(gateway))], PATIENCE_S)
        for week, day in enumerate(days[4:]):
            # The first fill has a report a day before it counts as published.
            friday = pd.Timestamp(day, tz="Asia/Hong_Kong") + pd.Timedelta(days=6)
            sent[day] = 100 + week
            if week == 3:
                sent[days[3]] = 7
            withdrawn = {days[5]} if week in {4, 5} else set()
            for hours in (17, 60):
                now_s = (friday + pd.Timedelta(hours=hours)).timestamp()
                now = {each: sent[each] for each in sent if each not in withdrawn}
                served["HK.00700"] = history("HK.00700", now)
                updater = Updater(store, TENCENT, 50, refresh="always", clock=lambda: now_s)  # noqa: B023 - done within
                _, failures = read({"": updater.update(lambda held: held.is_complete)}, gateways)
                assert not failures
                seen.append((now_s, store.read(what=WHAT)))
        gateways.close()
    assert {len(frame) for _, frame in seen} == {5, 6, 7, 8, 9, 11, 12, 13, 14}
    for moment_s, frame in seen:
        moment = pd.Timestamp(moment_s + 1, unit="s", tz="UTC")
        pd.testing.assert_frame_equal(store.read(what=WHAT, as_of=moment), frame)
    assert set(store.revisions(what=WHAT)["column"]) == {"aggregated_short", "(row)"}


SYNC = """
import logging, sys
from intake_futu_short import sync
logging.basicConfig(level=logging.INFO, format="%(message)s")
store, gateway, what = sys.argv[1:]
done = sync("HK.00700", store, gateway, what=what, num=1)
print(done["rows"].tolist(), done["requests"].tolist())
"""


def test_a_writer_of_one_series_does_not_wait_for_one_of_the_other(tmp_path: Path) -> None:
    store = FutuShortStore(tmp_path)
    store.save(volume_of("HK.00700"), TickerHistory(hk_rows(), True))
    held = store.try_lock(volume_of("HK.00700"))
    assert held is not None
    with held, Gateway({}, short_interest={"HK.00700": history("HK.00700", DAYS)}) as gateway:
        done = sync("HK.00700", tmp_path, unlimited(gateway), what=WHAT)
        assert done["rows"].tolist() == [3]
        with pytest.raises(StoreError, match="is being synced"):
            store.set_aside("HK.00700")


def test_two_processes_sync_the_two_series_of_one_directory_at_once(tmp_path: Path) -> None:
    model = ModelGateway(40, "HK")
    volume = {"HK.00700": History(TENCENT.security, model.rows)}
    days = [f"{day:%Y-%m-%d}" for day in pd.date_range("2025-01-03", periods=40, freq="7D")]
    reports = {"HK.00700": history("HK.00700", days)}
    with Gateway(volume, short_interest=reports, latency_s=0.01) as gateway:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", SYNC, str(tmp_path), unlimited(gateway), what],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for what in ("short_volume", WHAT)
        ]  # fmt: skip
        said = [process.communicate(timeout=PATIENCE_S) for process in processes]
    assert said == [("[40] [41]\n", "")] * 2
    store = FutuShortStore(tmp_path)
    assert len(store.read()) == len(store.read(what=WHAT)) == 40
    assert store.verify()["complete"].all()
    assert store.verify(what=WHAT)["complete"].all()


def test_thirty_requests_of_one_call_leave_the_other_free(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "intake_futu_short")
    volume = {"HK.00700": History(TENCENT.security, ModelGateway(29, "HK").rows)}
    days = [f"{day:%Y-%m-%d}" for day in pd.date_range("2025-01-03", periods=29, freq="7D")]
    reports = {"HK.00700": history("HK.00700", days)}
    with Gateway(volume, short_interest=reports, limit=(30, 30.0)) as gateway:
        done = sync("HK.00700", tmp_path, gateway.url, num=1)
        assert done["requests"].tolist() == [30]
        # Another process has all thirty of the other call at once, and then none is left here.
        other = subprocess.run(
            [sys.executable, "-c", SYNC, str(tmp_path), gateway.url, WHAT],
            capture_output=True, text=True, check=True, timeout=PATIENCE_S,
        )  # fmt: skip
        assert (other.stdout, other.stderr) == ("[29] [30]\n", "")
        for call in (SHORT_VOLUME, SHORT_INTEREST):
            user = HostLimit(f"127.0.0.1:{gateway.port}", call.name, call.limit, name=gateway.url)
            wait_s, slot = user.take(1.0)
            user.close()
            assert slot is None
            assert wait_s > 1.0
    assert caplog.messages == []
