"""Rows held and rows sent, compared and put together: literal answers of a few days."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from store_contract import TENCENT, hk_rows

from intake_futu_short.history import join
from intake_futu_short.history.ticker_history import TickerHistory

TABLE = TENCENT.table
PRICES = ["open_price", "close_price", "last_close_price"]
D1, D2, D3, D4, D5 = DAYS = [f"2026-01-0{n}" for n in range(5, 10)]


def rows(*days: str, **values: list[Any]) -> pd.DataFrame:
    """Of a day, always the same rows; without a missing value."""
    number = [int(day[-2:]) for day in days]
    counts = {"shares_traded": 1000, "short_sell_shares_traded": 100}
    others = {"turnover": 7.5, "short_sell_turnover": 0.5, "daily_trade_avg_ratio": 10.0}
    frame = hk_rows(list(days)).assign(
        **{name: pd.array([size + n for n in number], "Int64") for name, size in counts.items()},
        **{name: [size + n for n in number] for name, size in others.items()},
        **{name: [600.0 + n for n in number] for name in PRICES},
    )
    for name, column in values.items():
        frame[name] = pd.Series(column, dtype=frame[name].dtype)
    return frame


def priced(*values: float) -> dict[str, list[Any]]:
    """The same for each of the prices."""
    return {name: [*values] for name in PRICES}


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(left, right)


def compared(held: pd.DataFrame, sent: pd.DataFrame) -> tuple[Any, ...]:
    answer = join.compare(held, sent, TABLE)
    return answer.is_same_basis, answer.has_common, answer.revised, answer.repriced


# -- compared -----------------------------------------------------------------------------------


def test_equal_rows_are_of_one_basis_and_differ_in_nothing() -> None:
    assert compared(rows(D1, D2, D3), rows(D2, D3, D4)) == (True, True, (), ())


def test_without_a_common_day_nothing_is_told() -> None:
    assert compared(rows(D1), rows(D2)) == (None, False, (), ())
    assert compared(rows(), rows(D2)) == (None, False, (), ())
    assert compared(rows(D1), rows()) == (None, False, (), ())


@pytest.mark.parametrize("name", PRICES)
def test_the_oldest_common_price_tells_the_basis(name: str) -> None:
    held = rows(D1, D2, D3)
    older, newer = [1.0, 607.0], [606.0, 1.0]
    assert compared(held, rows(D2, D3, **{name: older})) == (False, True, (), (D2,))
    assert compared(held, rows(D2, D3, **{name: newer})) == (True, True, (), (D3,))


@pytest.mark.parametrize(
    "name",
    ["shares_traded", "short_sell_shares_traded", "turnover", "short_sell_turnover",
     "daily_trade_avg_ratio", "timestamp"],
)  # fmt: skip
def test_what_is_no_price_is_a_revision(name: str) -> None:
    held = rows(D1, D2)
    changed = held.assign(**{name: held[name] + 1})
    assert compared(held, changed) == (True, True, (D1, D2), ())


def test_each_side_may_lack_what_the_other_has() -> None:
    held = rows(D1, D2, D3, shares_traded=[None, 0, None], turnover=[np.nan, np.nan, 1.0])
    sent = rows(D1, D2, D3, shares_traded=[0, None, None], turnover=[np.nan, 1.0, np.nan])
    assert compared(held, sent) == (True, True, (D1, D2, D3), ())
    assert compared(held, held) == (True, True, (), ())


def test_counts_are_compared_to_the_last_share_also_beside_a_missing_one() -> None:
    held, sent = (rows(D1, D2, shares_traded=[None, n]) for n in (2**62, 2**62 + 1))
    assert compared(held, sent) == (True, True, (D2,), ())


@pytest.mark.parametrize("nothing", [0.0, np.nan])
def test_a_day_without_prices_on_both_sides_cannot_tell(nothing: float) -> None:
    none = priced(nothing, 606.0)
    other = priced(nothing, 5.0)
    assert compared(rows(D1, D2, **none), rows(D1, D2, **other)) == (False, True, (), (D2,))
    assert compared(rows(D1, D2, **none), rows(D1, D2, **none)) == (True, True, (), ())
    only = rows(D1, **priced(nothing))
    assert compared(only, only) == (None, True, (), ())


def test_one_price_of_a_day_on_one_side_is_enough_to_tell() -> None:
    none = priced(np.nan)
    one = rows(D1, **{**none, "close_price": [605.0]})
    for left, right in ((one, rows(D1, **none)), (rows(D1, **none), one)):
        assert compared(left, right) == (False, True, (), (D1,))
    assert compared(one, one) == (True, True, (), ())


@pytest.mark.parametrize(("factor", "is_same"), [(1 + 9e-10, True), (1 + 1.1e-9, False)])
def test_prices_are_compared_relative_to_their_size(factor: float, is_same: bool) -> None:
    for size in (1e-7, 600.0, 1e12):
        held = rows(D1, **priced(size))
        sent = rows(D1, **priced(size * factor))
        assert compared(held, sent)[0] is is_same


def test_an_infinite_price_is_equal_to_itself() -> None:
    endless = rows(D1, **priced(np.inf))
    assert compared(endless, endless) == (True, True, (), ())
    assert compared(endless, rows(D1))[0] is False


# -- put together -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "older", "newer", "gone"),
    [
        ([], [D1, D3, D4], [], ()),
        ([D1, D3, D4], [], [], ()),
        ([D2], [D1], [D3, D4], ()),
        ([D3], [D1], [D4], ()),
        ([D1, D4], [], [], (D3,)),
        ([D2, D5], [D1], [], (D3, D4)),
        ([D5], [D1, D3, D4], [], ()),
        (["2026-01-01"], [], [D1, D3, D4], ()),
    ],
)
def test_rows_held_are_older_or_newer_or_gone(
    sent: list[str], older: list[str], newer: list[str], gone: tuple[str, ...]
) -> None:
    before, after, missing = join.split(rows(D1, D3, D4), rows(*sent))
    assert list(before["timestamp_str"]) == older
    assert list(after["timestamp_str"]) == newer
    assert missing == gone


def test_of_two_sets_the_second_counts_on_a_common_day() -> None:
    first, second = rows(D2, D4), rows(D1, D2, D3, shares_traded=[1, 2, 3])
    expected = rows(D1, D2, D3, D4, shares_traded=[1, 2, 3, 1008])
    same(join.unite(first, second), expected)
    same(join.unite(rows(), second), second)
    same(join.unite(first, rows()), first)
    same(join.unite(rows(), rows()), rows())


def test_rows_of_the_same_adjustment_stay_around_what_was_sent() -> None:
    old = rows(D5)[["timestamp_str", *PRICES]]
    held = TickerHistory(rows(D1, D2, D4), cursor="c", superseded=old)
    sent = rows(D2, D3, shares_traded=[2, 3])
    history, gone = join.put_in_place(held, sent, TABLE, stands=True)
    same(history.rows, rows(D1, D2, D3, D4, shares_traded=[1005, 2, 3, 1008]))
    assert (gone, history.cursor, history.is_complete) == ((), "c", False)
    assert history.superseded is not None
    same(history.superseded, old)


def test_rows_of_another_adjustment_give_up_their_prices_but_not_their_counts() -> None:
    held = TickerHistory(rows(D1, D2, D3, D4, D5), is_complete=True)
    sent = rows(D2, D4, **priced(1.0, 2.0))
    history, gone = join.put_in_place(held, sent, TABLE, stands=False)
    nan = np.nan
    prices = priced(nan, 1.0, 2.0, nan)
    same(history.rows, rows(D1, D2, D4, D5, **prices))
    assert gone == (D3,)
    assert history.superseded is not None
    same(history.superseded, rows(D1, D5)[["timestamp_str", *PRICES]])


def test_a_superseded_price_ends_when_its_day_is_sent_again() -> None:
    old = rows(D1, D2)[["timestamp_str", *PRICES]]
    held = TickerHistory(rows(D1, D2, D3), superseded=old)
    history, _ = join.put_in_place(held, rows(D2, D3), TABLE, stands=True)
    assert history.superseded is not None
    same(history.superseded, rows(D1)[["timestamp_str", *PRICES]])
    history, _ = join.put_in_place(held, rows(D1, D2, D3), TABLE, stands=True)
    assert history.superseded is None


def test_prices_blanked_before_are_not_blanked_again() -> None:
    nan = np.nan
    partly = rows(D1, D2, D3, open_price=[nan, nan, 5.0], close_price=[nan, 4.0, 5.0],
                  last_close_price=[nan, nan, nan])  # fmt: skip
    old = rows(D1, D3)[["timestamp_str", *PRICES]]
    blanked, superseded = join.blank(partly, old, TABLE)
    assert blanked[PRICES].isna().all(axis=None)
    same(blanked.drop(columns=PRICES), partly.drop(columns=PRICES))
    assert superseded is not None
    # The oldest of two adjustments stays: that one was never blanked.
    assert superseded["timestamp_str"].tolist() == [D1, D2, D3]
    assert superseded["close_price"].tolist() == [605.0, 4.0, 607.0]
    assert superseded.index.equals(pd.RangeIndex(3))
    assert join.blank(rows(), None, TABLE)[1] is None
    assert join.blank(blanked, None, TABLE)[1] is None


def test_rows_put_one_after_the_other_keep_their_columns_and_dtypes() -> None:
    same(join.join([rows(), rows(D1), rows(), rows(D2)]), rows(D1, D2))
    same(join.join([rows(), rows()]), rows())


def test_days_are_one_array_that_sorts() -> None:
    days = join.days_of(rows(D2, D1))
    assert days.tolist() == [D2, D1]
    assert days.dtype == "U10"
