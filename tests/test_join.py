"""Rows held and rows sent, compared and put together: literal answers of a few days."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from store_rows import TENCENT, hk_rows

from intake_futu_short.history import join, revisions
from intake_futu_short.history.ticker_history import Revision, TickerHistory, days_of

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


def test_a_price_that_only_one_side_has_cannot_tell() -> None:
    none = priced(np.nan)
    one = rows(D1, **{**none, "close_price": [605.0]})
    for left, right in ((one, rows(D1, **none)), (rows(D1, **none), one)):
        assert compared(left, right) == (None, True, (), (D1,))
    assert compared(one, one) == (True, True, (), ())


@pytest.mark.parametrize("nothing", [0.0, np.nan])
def test_a_price_that_came_late_is_a_revision_where_a_newer_one_stands(nothing: float) -> None:
    held, sent = rows(D1, D2, **priced(nothing, 10.0)), rows(D1, D2, **priced(9.0, 10.0))
    assert compared(held, sent) == (True, True, (), (D1,))
    assert compared(sent, held) == (True, True, (), (D1,))


def test_where_no_common_price_tells_nothing_held_may_have_another() -> None:
    def is_one_basis(held: pd.DataFrame, sent: pd.DataFrame) -> bool:
        return join.is_one_basis(join.compare(held, sent, TABLE), held, sent, TABLE)

    unpriced = rows(D1, D2, **priced(np.nan, np.nan))
    assert is_one_basis(unpriced, rows(D2, D3, **priced(np.nan, 7.0)))
    assert not is_one_basis(rows(D1, D2, **priced(5.0, np.nan)), rows(D2, D3))
    assert not is_one_basis(unpriced, rows(D3))
    assert is_one_basis(rows(D1, D2), rows(D2, **priced(606.0)))
    assert not is_one_basis(rows(D1, D2), rows(D2, **priced(303.0)))


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
    ("sent", "gone"),
    [
        ([], ()),
        ([D1, D3, D4], ()),
        ([D2], ()),
        ([D3], ()),
        ([D1, D4], (D3,)),
        ([D2, D5], (D3, D4)),
        ([D5], ()),
        (["2026-01-01"], ()),
    ],
)
def test_days_between_those_sent_that_were_not_sent_again_are_withdrawn(
    sent: list[str], gone: tuple[str, ...]
) -> None:
    assert join.withdrawn_days(rows(D1, D3, D4), rows(*sent)) == gone


def test_of_two_sets_the_second_counts_on_a_common_day() -> None:
    first, second = rows(D2, D4), rows(D1, D2, D3, shares_traded=[1, 2, 3])

    def united(held: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
        return join.unite(TickerHistory(held), more, TABLE, is_one_basis=True).rows

    same(united(first, second), rows(D1, D2, D3, D4, shares_traded=[1, 2, 3, 1008]))
    same(united(rows(), second), second)
    same(united(first, rows()), first)
    same(united(rows(), rows()), rows())


def test_of_two_moments_at_which_a_row_was_first_seen_the_earlier_known_one_is_kept() -> None:
    nan = np.nan
    held = TickerHistory(rows(D1, D2, D3, D4, first_seen=[nan, 2.0, 3.0, nan]))
    sent = rows(D1, D2, D3, D4, D5, first_seen=[1.0, 4.0, 2.5, nan, 5.0])
    united = join.unite(held, sent, TABLE, is_one_basis=True)
    same(united.rows, rows(D1, D2, D3, D4, D5, first_seen=[1.0, 2.0, 2.5, nan, 5.0]))


def test_rows_of_the_same_adjustment_stay_around_what_was_sent() -> None:
    old = rows(D5)[["timestamp_str", *PRICES]]
    held = TickerHistory(rows(D1, D2, D4), cursor="c", superseded=old)
    sent = rows(D2, D3, shares_traded=[2, 3])
    history = join.unite(held, sent, TABLE, is_one_basis=True)
    same(history.rows, rows(D1, D2, D3, D4, shares_traded=[1005, 2, 3, 1008]))
    assert (history.cursor, history.is_complete) == ("c", False)
    assert history.superseded is not None
    same(history.superseded, old)


def test_rows_of_another_adjustment_give_up_their_prices_but_not_their_counts() -> None:
    held = TickerHistory(rows(D1, D2, D3, D4, D5), is_complete=True)
    sent = rows(D2, D4, **priced(1.0, 2.0))
    history = join.unite(held, sent, TABLE, is_one_basis=False, withdrawn=(D3,))
    nan = np.nan
    prices = priced(nan, 1.0, 2.0, nan)
    same(history.rows, rows(D1, D2, D4, D5, **prices))
    assert history.superseded is not None
    same(history.superseded, rows(D1, D5)[["timestamp_str", *PRICES]])


def test_a_superseded_price_ends_when_its_day_has_one_again() -> None:
    old = rows(D1, D2)[["timestamp_str", *PRICES]]
    nan = np.nan
    held = TickerHistory(rows(D1, D2, D3, **priced(nan, nan, 7.0)), superseded=old)
    for sent, left in (
        (rows(D2, D3), [D1]), (rows(D2, D3, **priced(nan, 7.0)), [D1, D2]), (rows(D1, D2, D3), []),
    ):  # fmt: skip
        history = join.unite(held, sent, TABLE, is_one_basis=True)
        days = [] if history.superseded is None else history.superseded["timestamp_str"].tolist()
        assert days == left


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


def test_rows_put_in_order_keep_their_columns_and_dtypes() -> None:
    same(join.in_order([rows(), rows(D1), rows(), rows(D2)]), rows(D1, D2))
    same(join.in_order([rows(D2), rows(D1, D3)]), rows(D1, D2, D3))
    same(join.in_order([rows(), rows()]), rows())


def test_days_are_one_array_that_sorts() -> None:
    days = days_of(rows(D2, D1))
    assert days.tolist() == [D2, D1]
    assert days.dtype == "U10"


# -- what was replaced ----------------------------------------------------------------------------


def test_replaced_counts_and_numbers_are_recorded_and_prices_are_not() -> None:
    held = rows(D1, D2, D3, shares_traded=[1, None, 3], turnover=[1.5, np.nan, 3.5])
    sent = rows(D2, D3, D4, shares_traded=[0, None, 4], turnover=[2.5, np.nan, 4.5])
    sent = sent.assign(close_price=1.0, timestamp=0)
    assert revisions.replaced(held, sent, TABLE, 9.0) == [
        Revision(D2, "shares_traded", None, 0, 9.0),
        Revision(D2, "turnover", None, 2.5, 9.0),
        Revision(D3, "shares_traded", 3, None, 9.0),
        Revision(D3, "turnover", 3.5, None, 9.0),
    ]


def test_a_withdrawn_row_is_recorded_with_all_its_values() -> None:
    held = rows(D1, D2, D3, shares_traded=[1, None, 3], turnover=[1.5, np.nan, 3.5])
    (record,) = revisions.withdrawn(held, [D2], 9.0)
    assert record._replace(old=None) == Revision(D2, "(row)", None, None, 9.0)
    assert record.old == {
        "timestamp": TENCENT.market.midnight(D2), "timestamp_str": D2, "shares_traded": None,
        "turnover": None, "short_sell_shares_traded": 106, "short_sell_turnover": 6.5,
        "open_price": 606.0, "close_price": 606.0, "last_close_price": 606.0,
        "daily_trade_avg_ratio": 16.0, "first_seen": None,
    }  # fmt: skip
    assert json.loads(json.dumps(record)) == [D2, "(row)", record.old, None, 9.0]
    assert revisions.withdrawn(held, [], 9.0) == []
