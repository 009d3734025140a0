"""Two writers' histories of one ticker: none of what either knew is lost."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from bucket import Bucket
from store_contract import DAYS, TENCENT, TENCENT_FILE, assert_same, hk_rows, locked, report, ticker

from intake_futu_short import FutuShortStore, StoreError
from intake_futu_short.history.ticker_history import TickerHistory
from intake_futu_short.store import merge as store_merge

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD, MIDDLE, NEW = DAYS
BEFORE = ["2025-12-28", "2025-12-29"]


def priced(days: list[str], price: float = 600.0) -> pd.DataFrame:
    """Rows whose values depend on the day alone, so that two sets of them agree."""
    offset = np.array([int(day.replace("-", "")) % 1000 for day in days], dtype=np.float64)
    shares = pd.array([int(o) for o in offset], dtype="Int64")
    return hk_rows(days).assign(
        shares_traded=shares, turnover=offset,
        short_sell_shares_traded=shares, short_sell_turnover=offset,
        open_price=price + offset, close_price=price + offset, last_close_price=price + offset,
    )  # fmt: skip


def merge(ours: TickerHistory, theirs: TickerHistory) -> TickerHistory:
    return store_merge.merge(ours, theirs, TENCENT.table)


def test_days_of_one_adjustment_are_put_together() -> None:
    ours = TickerHistory(priced([OLD, MIDDLE]), cursor="old", checked_s=1.0, walked_s=None)
    theirs = TickerHistory(priced([MIDDLE, NEW]), cursor="middle", checked_s=2.0)
    for one, other in ((ours, theirs), (theirs, ours)):
        merged = merge(one, other)
        pd.testing.assert_frame_equal(merged.rows, priced(DAYS))
        # The walk goes on from where the one that came farther was.
        assert (merged.is_complete, merged.cursor, merged.checked_s) == (False, "old", 2.0)
        assert merged.superseded is None


def test_a_history_that_is_whole_stays_whole_with_the_days_of_another() -> None:
    whole = TickerHistory(priced([*BEFORE, OLD, MIDDLE]), True, None, 1.0, 0.5)
    newer = TickerHistory(priced([MIDDLE, NEW]), cursor="c", checked_s=2.0)
    merged = merge(newer, whole)
    pd.testing.assert_frame_equal(merged.rows, priced([*BEFORE, *DAYS]))
    assert (merged.is_complete, merged.cursor, merged.walked_s) == (True, None, 0.5)


def test_of_a_day_that_both_have_the_later_check_counts() -> None:
    ours, theirs = priced(DAYS), priced(DAYS)
    ours["short_sell_shares_traded"] = pd.array([1, 2, 3], dtype="Int64")
    own, other = [1, 2, 3], [230, 231, 102]
    for checked_s, expected in ((2.0, own), (1.0, own), (0.5, other)):
        merged = merge(
            TickerHistory(ours, True, checked_s=checked_s),
            TickerHistory(theirs, True, checked_s=1.0),
        )
        assert list(merged.rows["short_sell_shares_traded"]) == expected
    never = merge(TickerHistory(ours), TickerHistory(theirs))
    assert list(never.rows["short_sell_shares_traded"]) == [1, 2, 3]


def test_days_of_an_older_adjustment_keep_their_counts_and_give_up_their_prices() -> None:
    adjusted = TickerHistory(priced(DAYS, 300.0), True, None, 2.0, 2.0)
    oldest = priced(["2019-01-02"], 9.0)[["timestamp_str", "open_price"]]
    former = TickerHistory(priced([*BEFORE, OLD]), True, None, 1.0, 1.0, superseded=oldest)
    merged = merge(adjusted, former)
    assert list(merged.rows["timestamp_str"]) == [*BEFORE, *DAYS]
    assert list(merged.rows["shares_traded"]) == list(priced([*BEFORE, *DAYS])["shares_traded"])
    prices = merged.rows[["open_price", "close_price", "last_close_price"]]
    assert prices.isna().to_numpy().tolist() == [[True] * 3] * 2 + [[False] * 3] * 3
    pd.testing.assert_frame_equal(merged.rows[2:].reset_index(drop=True), adjusted.rows)
    assert merged.superseded is not None
    assert list(merged.superseded["timestamp_str"]) == ["2019-01-02", *BEFORE]
    assert list(merged.superseded["open_price"])[1:] == list(priced(BEFORE)["open_price"])
    assert merged.is_complete


def test_a_walk_of_another_adjustment_that_is_not_done_takes_nothing_away() -> None:
    former = TickerHistory(priced([*BEFORE, OLD, MIDDLE]), True, None, 1.0, 1.0)
    under_way = TickerHistory(priced([MIDDLE, NEW], 300.0), cursor="middle", checked_s=2.0)
    for merged in (merge(under_way, former), merge(former, under_way)):
        assert_same(merged, former)


def test_without_a_common_day_nobody_can_tell_that_the_adjustment_is_the_same() -> None:
    former = TickerHistory(priced([OLD]), True, checked_s=1.0)
    assert_same(merge(TickerHistory(priced([NEW]), cursor="new", checked_s=2.0), former), former)


def test_reports_are_kept_of_a_walk_that_is_not() -> None:
    first, second = report(1, 0.5, "2026-01-01"), report(2, 0.5, "2026-01-02")
    former = TickerHistory(priced(DAYS), True, checked_s=1.0, reports=(first,))
    under_way = TickerHistory(
        priced(DAYS, 300.0), cursor="c", checked_s=2.0, reports=(first, second)
    )
    assert_same(merge(under_way, former), replace(former, reports=(first, second)))


def test_missing_prices_speak_neither_for_nor_against() -> None:
    gone = priced(DAYS).assign(close_price=np.nan)
    merged = merge(
        TickerHistory(gone, True, checked_s=2.0), TickerHistory(priced([*BEFORE, *DAYS]), True)
    )
    assert merged.superseded is None
    assert merged.rows["close_price"].isna().tolist() == [False, False, True, True, True]


@pytest.mark.parametrize("is_complete", [True, False])
def test_a_price_revised_late_is_no_adjustment(is_complete: bool) -> None:
    revised = priced(DAYS)
    revised.loc[2, "close_price"] = 602.5
    newer = TickerHistory(revised, is_complete, None if is_complete else "c", 2.0)
    merged = merge(newer, TickerHistory(priced([*BEFORE, *DAYS]), True, checked_s=1.0))
    assert merged.superseded is None
    expected = priced([*BEFORE, *DAYS])
    expected.loc[4, "close_price"] = 602.5
    pd.testing.assert_frame_equal(merged.rows, expected)


def test_a_price_of_zero_tells_no_adjustment() -> None:
    prices = ["open_price", "close_price", "last_close_price"]
    halted, adjusted = priced(DAYS), priced(DAYS, 300.0)
    halted.loc[0, prices] = adjusted.loc[0, prices] = 0.0
    former = TickerHistory(
        pd.concat([priced(BEFORE), halted], ignore_index=True), True, checked_s=1.0
    )
    merged = merge(TickerHistory(adjusted, True, checked_s=2.0), former)
    assert merged.rows["close_price"].isna().tolist() == [True, True, False, False, False]


def test_no_rows_take_nothing_away() -> None:
    some = TickerHistory(priced(DAYS), cursor="c", checked_s=1.0)
    nothing = TickerHistory(priced([]), checked_s=2.0)
    for merged in (merge(nothing, some), merge(some, nothing)):
        pd.testing.assert_frame_equal(merged.rows, priced(DAYS))
        assert merged.cursor == "c"
    assert len(merge(nothing, nothing).rows) == 0


def test_reports_of_both_are_kept_in_the_order_of_their_dates() -> None:
    first, second, third = (report(n, 0.5, f"2026-01-0{n}") for n in (1, 2, 3))
    ours = TickerHistory(priced(DAYS), True, checked_s=2.0, reports=(first, third))
    theirs = TickerHistory(priced(DAYS), True, checked_s=1.0, reports=(first, second))
    assert merge(ours, theirs).reports == (first, second, third)


# -- on an object store -------------------------------------------------------------------------


@pytest.fixture
def url() -> Iterator[str]:
    Bucket.reset()
    yield "bucket://desk/short"
    Bucket.reset()


def test_who_publishes_second_takes_in_what_was_published_meanwhile(url: str) -> None:
    here, elsewhere = FutuShortStore(url), FutuShortStore(url)
    with locked(here, TENCENT):
        assert here.load(TENCENT) is None
        elsewhere.load(TENCENT)
        elsewhere.save(TENCENT, TickerHistory(priced([*BEFORE, OLD]), cursor="c", checked_s=1.0))
        here.save(TENCENT, TickerHistory(priced(DAYS), cursor="d", checked_s=2.0))
        # Its own publication is no news to a writer.
        here.save(TENCENT, TickerHistory(priced([*BEFORE, *DAYS]), True, checked_s=3.0))
    kept = elsewhere.load(TENCENT)
    assert kept is not None
    pd.testing.assert_frame_equal(kept.rows, priced([*BEFORE, *DAYS]))
    assert kept.is_complete
    elsewhere.save(TENCENT, replace(kept, checked_s=4.0))
    # Each of the four is announced before, and taken back afterwards.
    assert Bucket.requests.count("PUT") == 4 + 4
    assert list(Bucket.objects) == [f"desk/short/{TENCENT_FILE}"]


def test_a_reader_in_between_does_not_hide_what_was_published(url: str) -> None:
    store = FutuShortStore(url)
    store.load(TENCENT)
    FutuShortStore(url).save(TENCENT, TickerHistory(priced([OLD, MIDDLE]), checked_s=1.0))
    reader = threading.Thread(target=store.load, args=(TENCENT,))
    reader.start()
    reader.join()
    store.save(TENCENT, TickerHistory(priced([MIDDLE, NEW]), checked_s=2.0))
    kept = store.load(TENCENT)
    assert kept is not None
    assert list(kept.rows["timestamp_str"]) == DAYS


def test_a_put_that_fails_leaves_what_was_there(url: str) -> None:
    store = FutuShortStore(url)
    store.save(TENCENT, TickerHistory(priced(DAYS)))
    before = Bucket.objects[f"desk/short/{TENCENT_FILE}"]

    def fail(_path: str) -> None:
        raise RuntimeError("503 slow down")

    Bucket.before_put = fail
    with pytest.raises(StoreError, match=r"cannot write bucket://.*503 slow down") as caught:
        store.save(TENCENT, TickerHistory(priced([OLD])))
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert Bucket.objects == {f"desk/short/{TENCENT_FILE}": before}


def test_threads_of_a_process_take_turns_without_a_lock_file(url: str) -> None:
    def add(days: list[str]) -> None:
        store = FutuShortStore(url)
        for day in days:
            with locked(store, TENCENT):
                kept = store.load(TENCENT)
                before = [] if kept is None else list(kept.rows["timestamp_str"])
                store.save(TENCENT, TickerHistory(priced(sorted([*before, day]))))

    days = [f"2026-01-{n:02}" for n in range(1, 25)]
    threads = [threading.Thread(target=add, args=(days[i::3],)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = FutuShortStore(url).load(TENCENT)
    assert kept is not None
    assert list(kept.rows["timestamp_str"]) == days
    assert list(Bucket.objects) == [f"desk/short/{TENCENT_FILE}"]


def test_the_one_writer_of_a_process_is_one_whichever_store_object_it_has(url: str) -> None:
    lock = FutuShortStore(url).try_lock(TENCENT)
    assert lock is not None
    with lock:
        assert FutuShortStore(url).try_lock(TENCENT) is None
        with locked(FutuShortStore(url), ticker("HK.00005")):
            pass
    with locked(FutuShortStore(url), TENCENT):
        pass
