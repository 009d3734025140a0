"""A history as it was known at a moment: literal answers of a few days."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from store_rows import TENCENT, hk_rows, report

from intake_futu_short.history import revisions
from intake_futu_short.history.as_of import known_at
from intake_futu_short.history.ticker_history import Revision, TickerHistory

TABLE, MARKET = TENCENT.table, TENCENT.market
PRICES = TABLE.price_names
MONDAY, TUESDAY, WEDNESDAY, THURSDAY = DAYS = [f"2026-03-{n:02}" for n in (2, 3, 4, 5)]


def at(moment: str) -> float:
    """Unix seconds of a time in Hong Kong."""
    return pd.Timestamp(f"{moment}+08:00").timestamp()


def then(history: TickerHistory, moment: str) -> TickerHistory:
    return known_at(history, at(moment), TABLE, MARKET)


def rows(seen: dict[str, str | None], *counts: int | None) -> pd.DataFrame:
    """Rows of days, with the moments at which they were first seen, and counts."""
    moments = [np.nan if moment is None else at(moment) for moment in seen.values()]
    shares = pd.array(counts or [0] * len(seen), dtype="Int64")
    return hk_rows(list(seen)).assign(shares_traded=shares, first_seen=moments)


def days(history: TickerHistory) -> list[str]:
    return history.rows["timestamp_str"].tolist()


def counts(history: TickerHistory) -> list[Any]:
    return [None if pd.isna(count) else count for count in history.rows["shares_traded"]]


@pytest.mark.parametrize(
    ("moment", "known"),
    [
        (f"{MONDAY}T15:59:59", []),
        (f"{MONDAY}T16:00", [MONDAY]),
        (f"{TUESDAY}T15:59", [MONDAY]),
        (f"{WEDNESDAY}T16:00", [MONDAY, TUESDAY]),
        (f"{WEDNESDAY}T18:29:59", [MONDAY, TUESDAY]),
        (f"{WEDNESDAY}T18:30", [MONDAY, TUESDAY, WEDNESDAY]),
        (f"{THURSDAY}T20:00", [MONDAY, TUESDAY, WEDNESDAY]),
        ("2026-03-09T09:00", DAYS),
    ],
)
def test_rows_are_known_from_when_they_were_seen_or_from_their_close(
    moment: str, known: list[str]
) -> None:
    seen = {
        MONDAY: None, TUESDAY: None, WEDNESDAY: f"{WEDNESDAY}T18:30", THURSDAY: "2026-03-09T09:00",
    }  # fmt: skip
    history = TickerHistory(rows(seen), True, checked_s=at("2026-03-09T09:00"))
    assert days(then(history, moment)) == known


def test_what_is_known_to_the_last_is_given_as_it_is() -> None:
    history = TickerHistory(rows(dict.fromkeys(DAYS)), True)
    assert then(history, "2026-03-06T00:00").rows is history.rows


@pytest.mark.parametrize(
    ("moment", "count"),
    [("2026-03-05T17:00", None), ("2026-03-06T18:00", 7), ("2026-03-08T00:00", 7),
     ("2026-03-09T18:00", 9)],
)  # fmt: skip
def test_revisions_that_were_seen_later_are_undone(moment: str, count: int | None) -> None:
    records = (
        Revision(TUESDAY, "shares_traded", None, 7, at("2026-03-06T18:00")),
        Revision(TUESDAY, "shares_traded", 7, 9, at("2026-03-09T18:00")),
        Revision(TUESDAY, "turnover", 1.5, None, at("2026-03-09T18:00")),
    )
    history = TickerHistory(rows(dict.fromkeys(DAYS), 1, 9, 3, 4), True, revisions=records)
    known = then(history, moment)
    assert counts(known) == [1, count, 3, 4]
    assert known.rows.dtypes.equals(history.rows.dtypes)
    turnover = history.rows["turnover"].iloc[1] if count == 9 else 1.5
    np.testing.assert_array_equal(known.rows["turnover"].iloc[1], turnover)
    assert known.revisions == records[: {None: 0, 7: 1, 9: 3}[count]]
    assert counts(history) == [1, 9, 3, 4]  # nothing of the argument has changed


def withdrawn(adjusted: str | None = None) -> TickerHistory:
    """Tuesday's row: seen on Tuesday, revised, withdrawn, and there again with another count."""
    seen: dict[str, str | None] = {**dict.fromkeys(DAYS), TUESDAY: f"{TUESDAY}T20:00"}
    first = rows(seen, 1, 5, 3, 4)
    records = (
        Revision(TUESDAY, "shares_traded", 2, 5, at("2026-03-06T18:00")),
        *revisions.withdrawn(first, [TUESDAY], at("2026-03-09T18:00")),
        Revision(TUESDAY, "shares_traded", 8, 9, at("2026-03-11T18:00")),
    )
    again = rows({**seen, TUESDAY: "2026-03-10T18:00"}, 1, 9, 3, 4)
    adjusted_s = None if adjusted is None else at(adjusted)
    return TickerHistory(again, True, revisions=records, adjusted_s=adjusted_s)


@pytest.mark.parametrize(
    ("moment", "count"),
    [("2026-03-05T18:00", [2]), ("2026-03-06T18:00", [5]), ("2026-03-09T17:59", [5]),
     ("2026-03-09T18:00", []), ("2026-03-10T17:59", []), ("2026-03-10T18:00", [8]),
     ("2026-03-11T18:00", [9])],
)  # fmt: skip
def test_a_withdrawn_row_is_there_until_then_and_from_when_it_came_back(
    moment: str, count: list[int]
) -> None:
    known = then(withdrawn(), moment)
    assert counts(known) == [1, *count, 3, 4]
    assert known.rows.dtypes.equals(withdrawn().rows.dtypes)
    assert days(known) == [MONDAY, *[TUESDAY] * len(count), WEDNESDAY, THURSDAY]


def test_a_withdrawn_row_is_not_known_before_it_was_seen() -> None:
    assert days(then(withdrawn(), f"{TUESDAY}T19:59")) == [MONDAY]
    assert days(then(withdrawn(), f"{TUESDAY}T20:00")) == [MONDAY, TUESDAY]
    # Without a moment it counts from its close.
    (record,) = revisions.withdrawn(rows({TUESDAY: None}), [TUESDAY], at("2026-03-09T18:00"))
    history = TickerHistory(rows({MONDAY: None}), True, revisions=(record,))
    assert days(then(history, f"{TUESDAY}T15:59")) == [MONDAY]
    assert days(then(history, f"{TUESDAY}T16:00")) == [MONDAY, TUESDAY]
    alone = replace(history, rows=history.rows[:0])
    assert days(then(alone, f"{TUESDAY}T16:00")) == [TUESDAY]


@pytest.mark.parametrize(
    ("adjusted", "has_prices"),
    [(None, True), ("2026-03-09T17:59", True), ("2026-03-09T18:00", False),
     ("2026-03-12T00:00", False)],
)  # fmt: skip
def test_a_withdrawn_row_has_no_prices_of_an_older_adjustment(
    adjusted: str | None, has_prices: bool
) -> None:
    known = then(withdrawn(adjusted), "2026-03-07T00:00")
    assert known.rows[PRICES].notna().to_numpy().tolist() == [
        [True] * 3, [has_prices] * 3, [True] * 3, [True] * 3
    ]  # fmt: skip


def test_reports_are_known_from_when_they_were_seen_or_published() -> None:
    def seen(short: int, as_of: str | None, moment: str) -> dict[str, Any]:
        return {**report(short, 0.5, as_of), "first_seen": at(moment)}

    reports = (
        seen(1, "2026-02-27", "2026-03-05T10:00"),  # seen before it counts as published
        seen(2, "2026-03-06", "2026-03-20T10:00"),  # published on the 13th
        seen(3, "2026-03-06", "2026-03-21T10:00"),  # another one of that day: a correction
        seen(4, None, "2026-03-22T10:00"),
        seen(5, "soon", "2026-03-23T10:00"),
        seen(2, "2026-03-06", "2026-03-24T10:00"),  # again
    )
    history = TickerHistory(rows({}), True, reports=reports)
    for moment, number in [
        ("2026-03-05T09:59", 0), ("2026-03-05T10:00", 1), ("2026-03-13T15:59", 1),
        ("2026-03-13T16:00", 2), ("2026-03-20T23:00", 2), ("2026-03-21T10:00", 3),
        ("2026-03-22T10:00", 4), ("2026-03-23T10:00", 5), ("2026-03-24T10:00", 6),
    ]:  # fmt: skip
        assert then(history, moment).reports == reports[:number]


def test_a_report_may_lack_its_day() -> None:
    told = ({"aggregated_short": 1, "first_seen": at(f"{TUESDAY}T18:00")},)
    history = TickerHistory(rows({MONDAY: None}), reports=told)
    assert then(history, f"{MONDAY}T20:00").reports == ()
    assert then(history, f"{WEDNESDAY}T20:00").reports == told
