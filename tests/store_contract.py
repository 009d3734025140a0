"""What every store must do, whatever file system it is on.

A test module subclasses `StoreContract`, giving the fixture `place`. What the tests look at goes
past the store: raw bytes, and pyarrow.
"""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from store_rows import (
    APPLE,
    DAYS,
    HK_MIDNIGHTS,
    ODD_CODES,
    REVISIONS,
    TENCENT,
    TENCENT_FILE,
    TENCENT_REPORTS,
    WHOLE,
    Place,
    as_if_said,
    as_other_format,
    assert_same,
    footer_of,
    hk_reports,
    hk_rows,
    keep,
    report,
    said_in,
    ticker,
    us_rows,
)

from intake_futu_short.errors import ConfigError, CorruptStoreError, PanelError, StoreError
from intake_futu_short.history.ticker_history import TickerHistory
from intake_futu_short.schema import dtypes


class StoreContract:
    @pytest.fixture
    def place(self) -> Place:
        raise NotImplementedError

    def test_making_a_store_touches_nothing(self, place: Place) -> None:
        before = place.names()
        store = place.store()
        assert place.names() == before
        assert store.load(TENCENT) is None
        assert store.codes() == []

    def test_what_is_kept_comes_back_as_it_was(self, place: Place) -> None:
        gone = hk_rows(["2019-01-02"])[["timestamp_str", "open_price", "close_price"]]
        histories = [
            WHOLE,
            TickerHistory(hk_rows([]), checked_s=1.5),
            TickerHistory(hk_rows(), cursor="eyJ\u00e9"),
            TickerHistory(hk_rows(), reports=(report(None, None, None),)),
            replace(WHOLE, superseded=gone, adjusted_s=1767100000.0, revisions=REVISIONS),
            TickerHistory(hk_rows().assign(first_seen=[np.nan, 1767200000.5, 1767300000.0])),
        ]
        for kept in histories:
            assert_same(keep(place.store(), TENCENT, kept), kept)
            assert_same(place.store().load(TENCENT), kept)
        place.store().save(APPLE, TickerHistory(us_rows(), True))
        assert_same(place.store().load(APPLE), TickerHistory(us_rows(), True))

    def test_a_store_remembers_nothing_of_what_it_loads_and_saves(self, place: Place) -> None:
        store = place.store()
        fresh = pickle.dumps(store)
        for code in ("HK.00001", "HK.00005", "HK.00700"):
            for _ in range(2):
                keep(store, ticker(code), WHOLE)
        assert pickle.dumps(store) == fresh

    def test_a_history_that_was_saved_can_be_saved_again(self, place: Place) -> None:
        store = place.store()
        saved = store.save(TENCENT, TickerHistory(hk_rows(DAYS[:2])))
        for number in range(3):
            saved = store.save(TENCENT, replace(saved, checked_s=float(number)))
        assert_same(place.store().load(TENCENT), saved)

    def test_what_was_saved_meanwhile_is_not_overwritten(self, place: Place) -> None:
        late = place.store()
        late.save(TENCENT, TickerHistory(hk_rows(DAYS[:1]), checked_s=1.0))
        mine = late.load(TENCENT)
        assert mine is not None
        if not late._files.is_local:  # there a lock is held all the while
            keep(place.store(), TENCENT, TickerHistory(hk_rows(DAYS[:2]), checked_s=2.0))
            late.save(TENCENT, replace(mine, rows=hk_rows([DAYS[0], DAYS[2]]), checked_s=3.0))
            kept = late.load(TENCENT)
            assert kept is not None
            assert kept.rows["timestamp_str"].tolist() == DAYS
        # Who has loaded nothing has nothing to say of what is there.
        place.store().save(TENCENT, TickerHistory(hk_rows([DAYS[0], "2026-01-05"]), checked_s=4.0))
        kept = late.load(TENCENT)
        assert kept is not None
        assert kept.rows["timestamp_str"].tolist()[0] == DAYS[0]
        assert kept.rows["timestamp_str"].tolist()[-1] == "2026-01-05"

    def test_rows_that_come_back_may_be_changed(self, place: Place) -> None:
        place.store().save(APPLE, TickerHistory(us_rows()))
        kept = place.store().load(APPLE)
        assert kept is not None
        rows = kept.rows
        rows.loc[0, "close_price"] = 1.0
        rows.loc[0, "timestamp"] = 1
        rows.loc[0, "volume"] = pd.NA
        rows.loc[0, "first_seen"] = 2.0
        assert rows.isna().to_numpy().sum() == 3

    def test_rows_lie_there_as_plain_parquet(self, place: Place) -> None:
        place.store().save(TENCENT, WHOLE)
        assert [name for name in place.names() if "/." not in name] == [TENCENT_FILE]
        file = pq.ParquetFile(io.BytesIO(place.get(TENCENT_FILE)))
        assert {field.name: str(field.type) for field in file.schema_arrow} == {
            "timestamp": "int64", "timestamp_str": "string", "shares_traded": "int64",
            "turnover": "double", "short_sell_shares_traded": "int64",
            "short_sell_turnover": "double", "open_price": "double", "close_price": "double",
            "last_close_price": "double", "daily_trade_avg_ratio": "double",
            "first_seen": "double",
        }  # fmt: skip
        columns = file.read().to_pydict()
        assert columns["timestamp"] == HK_MIDNIGHTS
        assert columns["timestamp_str"] == DAYS
        assert columns["shares_traded"] == [None, 20_000_001, 20_000_002]
        assert columns["turnover"] == [1.2e10, None, 1.2e10 + 2]
        assert columns["first_seen"] == [None] * 3
        chunk = file.metadata.row_group(0).column(1)
        assert (chunk.statistics.min, chunk.statistics.max) == ("2025-12-30", "2026-01-02")
        said = said_in(place.get(TENCENT_FILE))
        assert (said["format"], said["code"], said["is_complete"]) == (3, "HK.00700", True)
        assert said["reports"][-1]["aggregated_short"] == 52_000_000

    def test_odd_codes_come_back_exact(self, place: Place) -> None:
        store = place.store()
        for number, code in enumerate(ODD_CODES):
            rows = hk_rows() if code.startswith("HK") else us_rows()
            store.save(ticker(code), TickerHistory(rows, checked_s=float(number)))
        assert store.codes() == sorted(ODD_CODES)
        assert store.codes("HK") == ["HK.00700"]
        for number, code in enumerate(ODD_CODES):
            kept = place.store().load(ticker(code))
            assert kept is not None
            assert kept.checked_s == number
        frame = store.read(market="US", columns=["volume"])
        assert list(frame["code"].unique()) == sorted(ODD_CODES)[1:]

    def test_a_later_history_takes_the_place_of_the_former(self, place: Place) -> None:
        store = place.store()
        store.save(TENCENT, TickerHistory(hk_rows(DAYS[:2]), cursor="c"))
        keep(store, TENCENT, WHOLE)
        assert_same(place.store().load(TENCENT), WHOLE)
        assert [name for name in place.names() if "/." not in name] == [TENCENT_FILE]

    @pytest.mark.parametrize("rows", [hk_rows()[::-1], hk_rows([DAYS[0]] * 2), us_rows()])
    def test_rows_that_are_not_the_tickers_are_not_written(
        self, place: Place, rows: pd.DataFrame
    ) -> None:
        with pytest.raises(ValueError, match=r"HK\.00700"):
            place.store().save(TENCENT, TickerHistory(rows))
        assert [name for name in place.names() if "/." not in name] == []

    def test_a_damaged_file_is_named_and_costs_its_ticker_alone(self, place: Place) -> None:
        store = place.store()
        store.save(TENCENT, WHOLE)
        store.save(ticker("HK.00005"), WHOLE)
        whole = place.get(TENCENT_FILE)
        other = io.BytesIO()
        pq.write_table(pa.table({"a": [1]}), other)
        stateless = io.BytesIO()
        pq.write_table(pq.read_table(io.BytesIO(whole)).replace_schema_metadata(None), stateless)
        chunk = pq.read_metadata(io.BytesIO(whole)).row_group(0).column(4)
        flipped = bytearray(whole)
        flipped[chunk.data_page_offset + chunk.total_compressed_size - 6] ^= 1
        moved = place.get(TENCENT_FILE.replace("00700", "00005"))
        forged = whole.replace(b'"is_complete": true', b'"is_complete": True')
        damaged = [b"", b"timestamp\n1\n", whole[:-1], whole[: len(whole) // 2], whole[:5]]
        damaged += [other.getvalue(), stateless.getvalue(), bytes(flipped), moved, forged]
        for content in damaged:
            place.put(TENCENT_FILE, content)
            with pytest.raises(CorruptStoreError, match="Delete the file and sync") as caught:
                store.load(TENCENT)
            assert TENCENT_FILE in str(caught.value)
            with pytest.raises(PanelError, match=r"1 of 2 tickers failed: HK\.00700") as panel:
                store.read()
            assert set(panel.value.failures) == {"HK.00700"}
            assert isinstance(panel.value.failures["HK.00700"], CorruptStoreError)
            assert panel.value.partial is not None
            assert list(panel.value.partial["code"]) == ["HK.00005"] * 3
            with pytest.warns(UserWarning, match="without them"):
                frame = store.read(errors="warn")
            assert frame.attrs["failed"] == ["HK.00700"]
            assert list(frame["timestamp_str"]) == DAYS[::-1]

    def test_a_newer_format_is_named_and_not_overwritten(self, place: Place) -> None:
        store = place.store()
        store.save(TENCENT, WHOLE)
        newer = as_other_format(place.get(TENCENT_FILE), 4)
        place.put(TENCENT_FILE, newer)
        with pytest.raises(
            StoreError, match=r"format 4, written by a newer .* upgrade it"
        ) as caught:
            store.load(TENCENT)
        assert not isinstance(caught.value, CorruptStoreError)
        with pytest.raises(StoreError, match="format 4"):
            place.store().save(TENCENT, WHOLE)
        with pytest.raises(PanelError, match="format 4") as panel:
            store.read(market="HK")
        assert not isinstance(panel.value.failures["HK.00700"], CorruptStoreError)
        with pytest.raises(PanelError, match="format 4") as panel:
            store.info()
        assert not isinstance(panel.value.failures["HK.00700"], CorruptStoreError)
        assert place.get(TENCENT_FILE) == newer

    def test_an_earlier_format_says_how_to_have_the_ticker_again(self, place: Place) -> None:
        store = place.store()
        store.save(TENCENT, WHOLE)
        earlier = as_other_format(place.get(TENCENT_FILE), 2)
        place.put(TENCENT_FILE, earlier)
        words = r"history\.parquet has format 2 of an earlier .* Delete the file and sync the tic"
        with pytest.raises(StoreError, match=words) as caught:
            store.load(TENCENT)
        assert not isinstance(caught.value, CorruptStoreError)
        for action in (store.read, store.info):
            with pytest.raises(PanelError, match=words):
                action()
        assert place.get(TENCENT_FILE) == earlier

    def test_what_a_later_version_says_beside_is_no_damage(self, place: Place) -> None:
        store = place.store()
        store.save(TENCENT, WHOLE)
        whole = place.get(TENCENT_FILE)
        more = {**said_in(whole), "remark": "checked by hand"}
        place.put(TENCENT_FILE, as_if_said(whole, more))
        assert_same(place.store().load(TENCENT), WHOLE)
        assert len(store.info()) == 1

    def test_many_tickers_come_in_one_frame(self, place: Place) -> None:
        store = place.store()
        store.save(TENCENT, WHOLE)
        store.save(ticker("HK.00005"), TickerHistory(hk_rows(DAYS[1:], 70.0), True))
        frame = store.read()
        names = ["code", *dtypes(TENCENT.table)]
        assert list(frame.columns) == names
        kept_dtypes = {name: str(dtype) for name, dtype in frame.dtypes.items()}
        assert kept_dtypes == {"code": kept_dtypes["timestamp_str"], **dtypes(TENCENT.table)}
        assert list(frame["code"]) == ["HK.00005"] * 2 + ["HK.00700"] * 3
        assert list(frame["timestamp_str"]) == [DAYS[2], DAYS[1], *DAYS[::-1]]
        assert list(frame["close_price"]) == [72.25, 71.25, 603.25, 602.25, 601.25]
        assert list(frame["shares_traded"].isna()) == [False, True, False, False, True]
        assert frame.index.equals(pd.RangeIndex(5))
        assert frame.attrs["market"] == "HK"
        assert list(frame.shortvol.aggregates["aggregated_short"]) == [52_000_000]
        assert frame.shortvol.short_ratio().notna().sum() == 3
        frame.loc[0, "close_price"] = 1.0

    def test_days_columns_and_codes_are_chosen(self, place: Place) -> None:
        store = place.store()
        days = [f"{day:%Y-%m-%d}" for day in pd.bdate_range("2020-01-01", periods=1600)]
        store.save(APPLE, TickerHistory(us_rows(days), True))
        store.save(ticker("US.B"), TickerHistory(us_rows(["2019-12-31", *days[:2]]), True))
        frame = store.read(start="2020-01-02", end=pd.Timestamp("2020-01-03"), columns=["volume"])
        assert list(frame.columns) == ["code", "timestamp_str", "volume"]
        assert list(frame["timestamp_str"]) == ["2020-01-03", "2020-01-02", "2020-01-02"]
        assert list(frame["code"]) == ["US.AAPL", "US.AAPL", "US.B"]
        assert list(frame["volume"]) == [2**53 + 3, 2**53 + 2, 2**53 + 3]
        last_year = store.read(start="2025-01-01")
        assert len(last_year) == sum(day >= "2025" for day in days)
        assert last_year["timestamp_str"].iloc[[0, -1]].tolist() == [days[-1], "2025-01-01"]
        both = store.read(["US.B", "US.AAPL"], columns=["timestamp_str", "code"], end="2020-01-01")
        assert both.to_numpy().tolist() == [
            ["US.B", "2020-01-01"], ["US.B", "2019-12-31"], ["US.AAPL", "2020-01-01"],
        ]  # fmt: skip
        assert len(store.read("US.B")) == 3

    def test_the_moment_a_row_was_first_seen_is_given_when_asked_for(self, place: Place) -> None:
        store = place.store()
        seen = [np.nan, 1767200000.5, 1767300000.0]
        store.save(TENCENT, TickerHistory(hk_rows().assign(first_seen=seen), True))
        store.save(ticker("HK.00005"), TickerHistory(hk_rows(), True))
        assert "first_seen" not in store.read().columns
        names = ["first_seen", "timestamp_str", "turnover", "code"]
        frame = store.read(columns=names)
        assert list(frame.columns) == ["code", "timestamp_str", "first_seen", "turnover"]
        assert frame["first_seen"].fillna(0.0).tolist() == [0, 0, 0, 1767300000.0, 1767200000.5, 0]
        lazy = store.to_dask(columns=names).compute(scheduler="synchronous")
        pd.testing.assert_frame_equal(lazy, frame)

    def test_reports_come_with_the_moment_they_were_first_seen(self, place: Place) -> None:
        old = {**report(51_480_638, 0.56, "2025-12-19"), "first_seen": 1767000000.0}
        new = {**report(52_000_000, None, "2025-12-31"), "first_seen": 1767300000.5}
        place.store().save(TENCENT, TickerHistory(hk_rows(), reports=(old, new, old)))
        attrs = place.store().read().attrs
        assert json.loads(attrs["aggregates"]) == {
            "HK.00700": report(51_480_638, 0.56, "2025-12-19")
        }
        assert json.loads(attrs["aggregates_history"]) == [
            ["HK.00700", "2025-12-19", 1767000000.0, 51_480_638, 0.56],
            ["HK.00700", "2025-12-31", 1767300000.5, 52_000_000, None],
        ]

    def test_no_rows_have_the_same_columns(self, place: Place) -> None:
        store = place.store()
        store.save(TENCENT, WHOLE)
        empty = store.read(end="1999-01-01")
        assert len(empty) == 0
        pd.testing.assert_frame_equal(empty, store.read().iloc[:0])

    def test_two_series_of_a_code_lie_beside_each_other(self, place: Place) -> None:
        store = place.store()
        store.save(TENCENT, WHOLE)
        kept = TickerHistory(hk_reports(), True, None, 1767300000.5)
        assert_same(store.save(TENCENT_REPORTS, kept), kept)
        assert_same(place.store().load(TENCENT_REPORTS), kept)
        assert_same(place.store().load(TENCENT), WHOLE)
        file = TENCENT_FILE.replace("short_volume", "short_interest")
        assert [name for name in place.names() if "/." not in name] == [file, TENCENT_FILE]
        frame = store.read(what="short_interest")
        assert list(frame["aggregated_short"]) == [51_000_002, 51_000_001, 51_000_000]
        assert frame["published"].dtype == "datetime64[ns]"
        lazy = store.to_dask(what="short_interest").compute(scheduler="synchronous")
        pd.testing.assert_frame_equal(lazy, frame)
        place.put(file, place.get(TENCENT_FILE))
        with pytest.raises(CorruptStoreError, match="short_interest"):
            store.load(TENCENT_REPORTS)
        place.remove(file)
        store.save(TENCENT_REPORTS, kept)
        store.set_aside("HK.00700", what="short_interest")
        assert store.codes(what="short_interest") == []
        assert len(store.read()) == 3

    def test_nothing_kept_is_an_error_that_names_the_place(self, place: Place) -> None:
        store = place.store()
        assert store.codes() == []
        for action in (store.read, store.to_dask, store.info):
            with pytest.raises(
                StoreError, match=r"no daily short volume is kept there\. Is this the path"
            ) as caught:
                action()
            assert store.url in str(caught.value)
            with pytest.raises(StoreError, match="no daily short volume of HK is kept there"):
                action(market="HK")
        store.save(APPLE, TickerHistory(us_rows()))
        with pytest.raises(StoreError, match="no daily short volume of HK is kept there"):
            store.read(market="HK")
        assert store.codes() == ["US.AAPL"]

    def test_a_file_in_a_wrong_place_is_named_and_not_left_out(self, place: Place) -> None:
        store = place.store()
        store.save(TENCENT, WHOLE)
        store.save(APPLE, TickerHistory(us_rows()))
        for wrong in ("backup/history.parquet", "code=HK.00005/old/history.parquet",
                      "code=hk.00005/history.parquet", "history.parquet"):  # fmt: skip
            name = f"short_volume/market=HK/{wrong}"
            place.put(name, b"")
            for action in (store.codes, store.read, store.to_dask, store.info):
                with pytest.raises(StoreError, match="where this store keeps no ticker") as caught:
                    action(market="HK")
                assert name in str(caught.value)
            place.remove(name)
        # What bears another name is nobody's.
        place.put("short_volume/market=HK/notes.txt", b"")
        assert store.codes() == ["HK.00700", "US.AAPL"]

    def test_what_cannot_be_read_is_said(self, place: Place) -> None:
        store = place.store()
        with pytest.raises(StoreError, match="no daily short volume is kept there"):
            store.read()
        store.save(TENCENT, WHOLE)
        store.save(APPLE, TickerHistory(us_rows()))
        with pytest.raises(ConfigError, match="holds US and HK"):
            store.read()
        with pytest.raises(PanelError, match=r"HK\.00001") as caught:
            store.read(["HK.00001", "HK.00700"])
        assert isinstance(caught.value.failures["HK.00001"], StoreError)
        assert "Sync the ticker first" in str(caught.value.failures["HK.00001"])
        assert "Sync the ticker first. This error's" in str(caught.value)
        assert caught.value.partial is not None
        assert len(caught.value.partial) == 3
        for bad, words in [
            ({"codes": ["HK.00700", "US.AAPL"]}, "one market"),
            ({"codes": []}, "at least one ticker"),
            ({"codes": "HK.00700", "market": "US"}, "one market"),
            ({"market": "CN"}, "market must be one of HK, US"),
            ({"market": "HK", "columns": ["volume"]}, "columns must be names out of timestamp"),
            ({"market": "HK", "columns": ["turnover", "turnover"]}, "each once"),
            ({"market": "HK", "columns": [["turnover"]]}, "columns must be names out of"),
            ({"market": "HK", "columns": "turnover"}, "list of names"),
            (
                {"market": "HK", "columns": 5},
                r"columns must be a list of names, such as \['volume'\], not 5",
            ),
            ({"codes": 5}, "code must be a string, not 5"),
            ({"market": "HK", "start": "2026-02-01", "end": "2026-01-01"}, "is after end"),
            ({"market": "HK", "errors": "ignore"}, "errors must be"),
            ({"market": "HK", "errors": ["warn"]}, "errors must be"),
        ]:
            with pytest.raises(ConfigError, match=words):
                store.read(**bad)  # type: ignore[arg-type]  # that is the test

    def test_info_has_a_row_a_ticker(self, place: Place) -> None:
        store = place.store()
        store.save(TENCENT, WHOLE)
        store.save(APPLE, TickerHistory(us_rows([]), cursor="c"))
        info = store.info()
        assert info.drop(columns="size_bytes").astype(object).where(
            info.drop(columns="size_bytes").notna(), None
        ).to_numpy().tolist() == [
            ["HK.00700", 3, "2025-12-30", "2026-01-02", True,
             pd.Timestamp("2026-01-01T20:40:00.5Z")],
            ["US.AAPL", 0, None, None, False, None],
        ]  # fmt: skip
        assert info["size_bytes"][0] == len(place.get(TENCENT_FILE))
        assert list(store.info("US")["code"]) == ["US.AAPL"]
        assert store.info().dtypes.equals(store.info("US").dtypes)

    def test_a_long_footer_is_read_whole(self, place: Place) -> None:
        store = place.store()
        days = [f"{day:%Y-%m-%d}" for day in pd.date_range("2019-01-01", periods=6000)]
        kept = TickerHistory(hk_rows(), superseded=hk_rows(days))
        store.save(TENCENT, kept)
        assert len(footer_of(place.get(TENCENT_FILE))) > 40_000
        assert list(store.info()["last"]) == ["2026-01-02"]
        assert_same(place.store().load(TENCENT), kept)

    def test_dask_gives_the_same(self, place: Place) -> None:
        store = place.store()
        store.save(TENCENT, WHOLE)
        store.save(ticker("HK.00001"), TickerHistory(hk_rows([])))
        store.save(ticker("HK.00005"), TickerHistory(hk_rows(DAYS[:2])))
        lazy = store.to_dask()
        assert lazy.npartitions == 2
        assert not lazy.known_divisions
        whole = lazy.compute(scheduler="synchronous")
        pd.testing.assert_frame_equal(whole, store.read())
        attrs = store.read().attrs
        # Each partition would carry the reports of all tickers.
        assert attrs.pop("aggregates_history") is not None
        assert whole.attrs == attrs
        part = lazy.partitions[1].compute(scheduler="synchronous")
        assert list(part["code"].unique()) == ["HK.00700"]
        assert part.shortvol.aggregates["aggregated_short"].tolist() == [52_000_000]
        late = store.to_dask(start="2026-01-02", columns=["turnover"])
        assert late.npartitions == 1
        assert late.compute(scheduler="synchronous").to_numpy().tolist() == [
            ["HK.00700", "2026-01-02", 12000000002.0]
        ]
        nothing = store.to_dask(start="2027-01-01").compute(scheduler="synchronous")
        pd.testing.assert_frame_equal(nothing, store.read(start="2027-01-01"))
