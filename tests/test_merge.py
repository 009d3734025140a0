"""Two writers' histories of one ticker: none of what either knew is lost."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from bucket import Bucket
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from store_rows import DAYS, TENCENT, TENCENT_FILE, assert_same, hk_rows, locked, report, ticker

from intake_futu_short import FutuShortStore, StoreError
from intake_futu_short.history import join, revisions
from intake_futu_short.history.ticker_history import Revision, TickerHistory

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
    return join.merge(ours, theirs, TENCENT.table)


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
    first, second = ({**report(n, 0.5, f"2026-01-0{n}"), "first_seen": float(n)} for n in (1, 2))
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


def reported(*seen: tuple[str, float]) -> tuple[dict[str, Any], ...]:
    """Reports, each named by one letter, and when they were first seen."""
    return tuple(
        {**report(ord(name), 0.5, "2026-01-02"), "first_seen": seen_s} for name, seen_s in seen
    )


@pytest.mark.parametrize(
    ("earlier", "later", "both"),
    [
        ("A1 C3", "A1 B2", "A1 B2 C3 B3"),  # B is what the later one saw last
        ("A1 B2", "A1 C3", "A1 B2 C3"),
        ("A2 B3", "A1 B4", "A1 B3"),
        ("A1 B2", "A1 B2 A3", "A1 B2 A3"),
        ("A1 B2 A4", "A1 B2 A3", "A1 B2 A3"),
        ("A1", "B2 A3", "A1 B2 A3"),
        ("A1 B3", "A4 B6", "A1 B3"),
        ("A1 B3", "", "A1 B3"),
        ("", "A1 B3", "A1 B3"),
    ],
)
def test_reports_of_both_are_kept_once_in_the_order_in_which_they_came(
    earlier: str, later: str, both: str
) -> None:
    def told(text: str) -> tuple[dict[str, Any], ...]:
        return reported(*((one[0], float(one[1])) for one in text.split()))

    one = TickerHistory(priced(DAYS), True, checked_s=1.0, reports=told(earlier))
    other = TickerHistory(priced(DAYS), True, checked_s=2.0, reports=told(later))
    for merged in (merge(one, other), merge(other, one)):
        assert merged.reports == told(both)


# -- revisions ------------------------------------------------------------------------------------


def counted(*values: int | None, days: list[str] = DAYS) -> pd.DataFrame:
    return priced(days).assign(shares_traded=pd.array(values, dtype="Int64"))


def revision(old: int | None, new: int | None, seen_s: float) -> Revision:
    return Revision(MIDDLE, "shares_traded", old, new, seen_s)


def revised(now: int | None, checked_s: float, *records: Revision) -> TickerHistory:
    """A history whose middle count is `now`."""
    rows = counted(230, now, 102)
    return TickerHistory(rows, True, checked_s=checked_s, revisions=records)


def seen_at(moment_s: float, history: TickerHistory) -> TickerHistory:
    return replace(history, rows=history.rows.assign(first_seen=moment_s))


A, B, C = 1, 2, 3


@pytest.mark.parametrize(
    ("earlier", "later", "both"),
    [
        # Both have seen the same: the first has seen it.
        (revised(B, 5.0, revision(A, B, 5.0)), revised(B, 6.0, revision(A, B, 6.0)),
         [revision(A, B, 5.0)]),
        # One after the other.
        (revised(C, 5.0, revision(A, C, 5.0)), revised(B, 6.0, revision(A, B, 6.0)),
         [revision(A, C, 5.0), revision(C, B, 6.0)]),
        # The later one has not walked that far since.
        (revised(B, 5.0, revision(A, B, 5.0)), revised(A, 6.0), [revision(A, B, 5.0)]),
        (revised(None, 5.0, revision(A, None, 5.0)), revised(A, 6.0), [revision(A, None, 5.0)]),
        # The later one has walked all of it.
        (revised(B, 5.0, revision(A, B, 5.0)), replace(revised(A, 6.0), walked_s=6.0),
         [revision(A, B, 5.0), revision(B, A, 6.0)]),
        # The later one has first seen the row after that.
        (revised(B, 5.0, revision(A, B, 5.0)), seen_at(5.5, revised(C, 6.0)),
         [revision(A, B, 5.0), revision(B, C, 6.0)]),
        # Nobody has a record.
        (revised(A, 5.0), revised(None, 6.0), [revision(A, None, 6.0)]),
        (revised(A, 5.0), revised(A, 6.0), []),
        # A record of a slow walk may come after the check of another one.
        (revised(C, 5.0, revision(A, C, 9.0)), revised(B, 6.0, revision(A, B, 6.0)),
         [revision(A, B, 6.0), revision(B, C, 9.0)]),
    ],
)  # fmt: skip
def test_revisions_of_both_are_a_chain_that_ends_at_the_value_that_counts(
    earlier: TickerHistory, later: TickerHistory, both: list[Revision]
) -> None:
    for merged in (merge(earlier, later), merge(later, earlier)):
        assert list(merged.revisions) == both
        count = both[-1].new if both else A
        assert merged.rows["shares_traded"].fillna(0).tolist() == [230, count or 0, 102]
        for again in (merge(merged, later), merge(merged, earlier), merge(merged, merged)):
            assert again.revisions == merged.revisions


def test_a_replaced_value_of_a_row_that_was_withdrawn_since_is_not_that_of_the_new_row() -> None:
    one = seen_at(8.0, revised(C, 8.0))
    withdrawn = revisions.withdrawn(counted(230, B, 102), [MIDDLE], 6.0)
    other = revised(C, 9.0, revision(A, B, 5.0), *withdrawn)
    for merged in (merge(one, other), merge(other, one)):
        assert merged.rows["shares_traded"].tolist() == [230, C, 102]


def test_a_walk_of_another_adjustment_that_is_not_done_gives_its_revisions() -> None:
    former = revised(A, 5.0)
    rows = priced([MIDDLE, NEW], 300.0).assign(shares_traded=pd.array([B, 102], dtype="Int64"))
    under_way = TickerHistory(rows, cursor="c", checked_s=6.0, revisions=(revision(A, B, 6.0),))
    merged = merge(under_way, former)
    assert_same(merged, replace(revised(B, 5.0), revisions=(revision(A, B, 6.0),)))


def without_middle(
    checked_s: float, withdrawn_s: float, *, count: int = 231, first_seen: float | None = None
) -> TickerHistory:
    """A history whose middle row was withdrawn."""
    rows = counted(230, count, 102).assign(first_seen=first_seen or np.nan)
    return TickerHistory(
        rows.drop(index=1).reset_index(drop=True),
        True,
        checked_s=checked_s,
        revisions=tuple(revisions.withdrawn(rows, [MIDDLE], withdrawn_s)),
    )


@pytest.mark.parametrize("checked_s", [5.0, 7.0])
def test_a_row_that_one_of_them_saw_withdrawn_is_withdrawn(checked_s: float) -> None:
    gone, there = without_middle(6.0, 6.0), revised(231, checked_s)
    for merged in (merge(gone, there), merge(there, gone)):
        assert merged.rows["timestamp_str"].tolist() == [OLD, NEW]
        assert merged.revisions == gone.revisions


def test_a_row_that_came_again_after_it_was_withdrawn_stays() -> None:
    gone = without_middle(6.0, 6.0)
    rows = counted(230, 5, 102).assign(first_seen=[np.nan, 7.0, np.nan])
    again = TickerHistory(rows, True, checked_s=7.0)
    for merged in (merge(gone, again), merge(again, gone)):
        pd.testing.assert_frame_equal(merged.rows, rows)
        assert merged.revisions == gone.revisions
    # Somebody who has seen neither takes nothing back.
    for still in (merge(merged, revised(231, 5.0)), merge(revised(231, 9.0), merged)):
        pd.testing.assert_frame_equal(still.rows, rows)
        assert still.revisions == gone.revisions


def test_a_withdrawal_that_both_have_seen_stands_once_and_ends_the_chain() -> None:
    first = without_middle(5.0, 5.0, count=B)
    first = replace(first, revisions=(revision(A, B, 4.0), *first.revisions))
    second = without_middle(6.0, 6.0, count=A)
    for merged in (merge(first, second), merge(second, first)):
        assert merged.revisions == first.revisions
    back = replace(revised(C, 9.0), rows=counted(230, C, 102).assign(first_seen=8.0))
    back = replace(back, revisions=(*first.revisions, revision(B, C, 9.0)))
    assert merge(back, second).revisions == back.revisions


def test_prices_of_a_row_withdrawn_before_the_adjustment_of_the_other_are_of_the_older() -> None:
    gone = without_middle(5.0, 7.0)
    adjusted = TickerHistory(priced([OLD, NEW], 300.0), True, checked_s=6.0, adjusted_s=6.0)
    assert merge(gone, adjusted).adjusted_s == 7.0


# -- whatever two writers have --------------------------------------------------------------------

DAY_NAMES = [f"2026-02-{n:02}" for n in range(2, 10)]


@st.composite
def histories(draw: st.DrawFn) -> TickerHistory:
    days = draw(st.lists(st.sampled_from(DAY_NAMES), unique=True, min_size=1).map(sorted))
    rows = priced(days, draw(st.sampled_from([600.0, 300.0])))
    rows["shares_traded"] = pd.array(
        draw(st.lists(st.sampled_from([1, 2, None]), min_size=len(days), max_size=len(days))),
        dtype="Int64",
    )
    moments = st.sampled_from([float("nan"), *map(float, range(100))])
    rows["first_seen"] = draw(st.lists(moments, min_size=len(days), max_size=len(days)))
    is_complete = draw(st.booleans())
    return TickerHistory(
        rows,
        is_complete,
        None if is_complete else f"cursor of {days[0]}",
        checked_s=draw(st.floats(1.0, 100.0)),
    )


@settings(max_examples=40)
@given(histories(), histories())
def test_no_day_and_no_count_is_lost_whoever_comes_first(
    one: TickerHistory, other: TickerHistory
) -> None:
    assume(one.checked_s != other.checked_s)
    merged = merge(one, other)
    assert_same(merged, merge(other, one))
    for again in (merge(merged, one), merge(other, merged), merge(merged, merged)):
        assert_same(again, merged)
        assert again.revisions == merged.revisions
    later, earlier = sorted((one, other), key=lambda each: -(each.checked_s or 0.0))
    is_kept = merged.checked_s == later.checked_s
    days = set(merged.rows["timestamp_str"])
    assert days >= set((later if is_kept else earlier).rows["timestamp_str"])
    if is_kept:
        assert days == {*one.rows["timestamp_str"], *other.rows["timestamp_str"]}
    # A count that is no longer there is in a record.
    counts = counts_by_day(merged)
    for day, count in counts_by_day(earlier).items():
        old = [record.old for record in merged.revisions if record.day == day]
        assert old == ([] if counts[day] == count else [count])


def counts_by_day(history: TickerHistory) -> dict[str, int | None]:
    counts = [None if pd.isna(count) else int(count) for count in history.rows["shares_traded"]]
    return dict(zip(history.rows["timestamp_str"], counts, strict=True))


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
        saved = here.save(TENCENT, TickerHistory(priced(DAYS), cursor="d", checked_s=2.0))
        # Its own publication is no news to a writer.
        rows = priced([*BEFORE, *DAYS])
        here.save(TENCENT, replace(saved, rows=rows, is_complete=True, checked_s=3.0))
    kept = elsewhere.load(TENCENT)
    assert kept is not None
    pd.testing.assert_frame_equal(kept.rows, priced([*BEFORE, *DAYS]))
    assert kept.is_complete
    elsewhere.save(TENCENT, replace(kept, checked_s=4.0))
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
