"""``aggregates_history(fill=True)``: the reports beside the rows, and the short interest before."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import intake
import numpy as np
import pandas as pd
import pytest
from interest_frames import hk_interest

from intake_futu_short import FutuShortStore, sample
from intake_futu_short.calls import SHORT_INTEREST
from intake_futu_short.errors import ConfigError, GatewayError, StoreError
from intake_futu_short.gateway import Gateway
from intake_futu_short.gateway.histories import History, sample_histories
from intake_futu_short.metrics.aggregates import aggregates_history, with_past, with_replaced
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = "HK.00700"
NAN = math.nan
# The documentation's rows: the newest is also what comes beside the daily rows.
NEWEST, SHARES, PERCENT = "2026-04-30", 51480638, 0.56


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway(sample_histories(), short_interest=sample_histories(SHORT_INTEREST)) as served:
        yield served


def source(gateway: Gateway, code: Any = CODE, **more: Any) -> Any:
    return intake.open_futu_short(code, gateway=f"{gateway.url}?limit=off", **more)


def test_the_past_is_asked_for_when_it_is_wanted(gateway: Gateway) -> None:
    src = source(gateway)
    now = src.aggregates_history()
    assert len(now) == 1
    assert len(gateway.requests) == 1
    history = src.aggregates_history(fill=True)
    assert len(gateway.requests) == 2  # ten reports are a page
    pd.testing.assert_series_equal(history.dtypes, now.dtypes)
    assert set(history["code"]) == {CODE}
    assert len(history) == 10
    assert history["as_of"].is_monotonic_increasing
    last = history.iloc[-1]
    assert (str(last["as_of"])[:10], last["aggregated_short"]) == (NEWEST, SHARES)
    assert last["aggregated_short_ratio"] == PERCENT
    assert history["first_seen"].isna().all()
    pd.testing.assert_frame_equal(src.aggregates_history(), now)


@pytest.mark.parametrize("has_store", [True, False])
def test_the_past_is_asked_for_once_until_the_source_is_closed(
    gateway: Gateway, tmp_path: Path, has_store: bool
) -> None:
    src = source(gateway, store=tmp_path if has_store else None, refresh="always")
    history = src.aggregates_history(fill=True)
    asked = len(gateway.requests)
    pd.testing.assert_frame_equal(src.aggregates_history(fill=True), history)
    assert len(gateway.requests) == asked
    src.close()
    src.aggregates_history(fill=True)
    assert len(gateway.requests) == 2 * asked


def test_days_to_cover_takes_it(gateway: Gateway) -> None:
    history = source(gateway).aggregates_history(fill=True)
    frame = sample.frame("HK.SAMPLE")
    frame.attrs = {"code": CODE, "market": "HK"}
    cover = frame.shortvol.days_to_cover(1, positions=history)
    row = frame["timestamp_str"] == "2026-05-11"  # the Monday after 2026-05-08
    volume = int(frame["shares_traded"][row].iloc[0])
    assert cover[row].iloc[0] == pytest.approx(SHARES / volume, rel=1e-15)


def test_a_store_keeps_the_past(gateway: Gateway, tmp_path: Path) -> None:
    src = source(gateway, store=tmp_path)
    history = src.aggregates_history(fill=True)
    asked = len(gateway.requests)
    assert FutuShortStore(tmp_path).codes(what="short_interest") == [CODE]
    # The report beside the rows was seen by the store as it came.
    assert history["first_seen"].notna().tolist() == [False] * 9 + [True]
    again = source(gateway, store=tmp_path, refresh="never").aggregates_history(fill=True)
    pd.testing.assert_frame_equal(again, history)
    assert len(gateway.requests) == asked


def test_nothing_kept_is_an_error_that_says_so(gateway: Gateway, tmp_path: Path) -> None:
    source(gateway, store=tmp_path).read()
    src = source(gateway, store=tmp_path, refresh="never")
    assert len(src.aggregates_history()) == 1
    with pytest.raises(StoreError, match=CODE):
        src.aggregates_history(fill=True)


def test_a_panel_and_what_fails_of_it(gateway: Gateway) -> None:
    with Gateway(
        sample_histories(), short_interest={CODE: sample_histories(SHORT_INTEREST)[CODE]}
    ) as less:
        panel = source(less, [CODE, "HK.SAMPLE"])
        with pytest.raises(GatewayError):
            source(less, "HK.SAMPLE").aggregates_history(fill=True)
        with pytest.raises(Exception, match=r"HK\.SAMPLE"):
            panel.aggregates_history(fill=True)
        warned = source(less, [CODE, "HK.SAMPLE"], errors="warn")
        with pytest.warns(UserWarning, match=r"HK\.SAMPLE"):
            history = warned.aggregates_history(fill=True)
        with pytest.warns(UserWarning, match=r"HK\.SAMPLE"):  # it is asked for again
            pd.testing.assert_frame_equal(warned.aggregates_history(fill=True), history)
    assert history["code"].value_counts().to_dict() == {CODE: 10, "HK.SAMPLE": 1}


@pytest.mark.parametrize("code", ["US.AAPL", ["US.AAPL", "US.SAMPLE"]])
def test_us_tickers_have_another_way(gateway: Gateway, code: Any) -> None:
    src = source(gateway, code)
    with pytest.raises(ConfigError) as error:
        src.aggregates_history(fill=True)
    assert f"intake.open_futu_short_interest({code!r}).read()" in str(error.value)
    assert gateway.requests == []
    assert src.aggregates_history().empty


def test_a_value_that_was_replaced_is_not_known_before(tmp_path: Path) -> None:
    def history_of(shares: int, percent: float) -> History:
        table = hk_interest(["2026-06-05", "2026-05-29"], [shares, 7], [percent, 0.1])
        rows: Any = table.drop(columns="last_close_price").to_dict("records")
        return History(Security.parse("HK.SAMPLE"), rows, call=SHORT_INTEREST)

    with Gateway(sample_histories(), short_interest={"HK.SAMPLE": history_of(50, 0.5)}) as before:
        source(before, "HK.SAMPLE", store=tmp_path).aggregates_history(fill=True)
    with Gateway(sample_histories(), short_interest={"HK.SAMPLE": history_of(40, 0.4)}) as after:
        src = source(after, "HK.SAMPLE", store=tmp_path, refresh="always")
        history = src.aggregates_history(fill=True)
    told = history[history["as_of"] == "2026-06-05"]
    (revised,) = FutuShortStore(tmp_path).revisions(what="short_interest")["seen"].unique()
    # What came beside the rows all the while, and both states of the short interest.
    beside = told["aggregated_short"] == 17_650_300
    assert told[~beside]["aggregated_short"].tolist() == [50, 40]
    assert told[~beside]["aggregated_short_ratio"].tolist() == [0.5, 0.4]
    assert [None if math.isnan(s) else s for s in told[~beside]["first_seen"]] == [None, revised]
    frame = sample.frame("HK.SAMPLE")
    known = frame.shortvol.with_positions(history)
    newest = known[known["timestamp_str"] == "2026-06-18"]
    # Published on 2026-06-12; all that was seen since is of today, long after the rows.
    assert newest["position"].tolist() == [50]


# --- how the two go together


def history(rows: list[list[Any]]) -> pd.DataFrame:
    frame = sample.frame("HK.SAMPLE").head(1)
    frame.attrs["aggregates_history"] = json.dumps(rows)
    return aggregates_history(frame)


def united(rows: list[list[Any]], interest: list[tuple[str, Any, float, float]]) -> list[Any]:
    days, shares, percents, seen = zip(*interest, strict=True) if interest else ([],) * 4
    frame = hk_interest(days, shares, np.array(percents, dtype=float), "HK.1", list(days))
    frame = frame.assign(code="HK.1", first_seen=np.array(seen, dtype=float))
    answer = with_past(history(rows), frame)
    names = ["as_of", "aggregated_short", "aggregated_short_ratio", "first_seen"]
    table = answer[names].astype({"as_of": str}).astype(object)
    assert answer.dtypes.equals(history([["HK.1", "2026-01-02", 5.0, 1, 1.0]]).dtypes)
    return [tuple(None if pd.isna(v) else v for v in row) for row in table.itertuples(index=False)]


def test_a_report_of_both_counts_once_as_first_seen() -> None:
    rows = [["HK.1", "2026-01-02", 500.0, 10, 1.0], ["HK.1", "2026-01-09", 700.0, 20, None]]
    assert united(
        rows,
        [("2026-01-16", 30, 3.0, 900.0), ("2026-01-09", 20, 2.0, 600.0),
         ("2026-01-02", 10, 1.5, NAN), ("2025-12-26", 5, 0.5, NAN)],
    ) == [
        ("2025-12-26", 5, 0.5, None),
        ("2026-01-02", 10, 1.0, 500.0),
        ("2026-01-09", 20, 2.0, 600.0),
        ("2026-01-16", 30, 3.0, 900.0),
    ]  # fmt: skip


def test_other_shares_of_a_day_are_a_correction() -> None:
    rows = [["HK.1", "2026-01-02", 500.0, 10, 1.0]]
    assert united(rows, [("2026-01-02", 11, 1.1, 900.0)]) == [
        ("2026-01-02", 10, 1.0, 500.0), ("2026-01-02", 11, 1.1, 900.0),
    ]  # fmt: skip
    assert united(rows, [("2026-01-02", 9, 0.9, 400.0)]) == [
        ("2026-01-02", 9, 0.9, 400.0), ("2026-01-02", 10, 1.0, 500.0),
    ]  # fmt: skip
    rows[0][2] = None
    assert united(rows, [("2026-01-02", 11, 1.1, NAN)])[-1] == ("2026-01-02", 11, 1.1, None)


def test_states_of_a_report_are_in_order() -> None:
    interest = hk_interest(["2026-01-09", "2026-01-02"], [30, 20], [3.0, 2.0]).assign(
        code="HK.1", first_seen=[NAN, 100.0]
    )
    revisions = pd.DataFrame(
        [("HK.1", "2026-01-02", "aggregated_short", 9, 8, 50.0),  # of a row withdrawn since
         ("HK.1", "2026-01-02", "aggregated_short", 10, None, 200.0),
         ("HK.1", "2026-01-02", "aggregated_short_ratio", 1.0, None, 200.0),
         ("HK.1", "2026-01-09", "(row)", {"aggregated_short": 1}, None, 250.0),
         ("HK.1", "2026-01-02", "aggregated_short", None, 20, 300.0),
         ("HK.1", "2026-01-02", "aggregated_short_ratio", None, 2.0, 400.0),
         ("HK.2", "2026-01-02", "aggregated_short", 5, 6, 500.0)],
        columns=["code", "day", "column", "old", "new", "seen"],
    )  # fmt: skip
    answer = with_replaced(interest, revisions)
    pd.testing.assert_series_equal(answer.dtypes, interest.dtypes)
    names = ["timestamp_str", "first_seen", "aggregated_short", "aggregated_short_ratio"]
    table = answer[names].astype(object)
    assert [tuple(None if pd.isna(v) else v for v in row) for row in table.to_numpy()] == [
        ("2026-01-09", None, 30, 3.0),
        ("2026-01-02", 400.0, 20, 2.0),
        ("2026-01-02", 300.0, 20, None),
        ("2026-01-02", 200.0, None, None),
        ("2026-01-02", 100.0, 10, 1.0),
    ]
    assert with_replaced(interest, revisions.iloc[:0]) is interest


def test_what_was_told_again_is_there_again() -> None:
    told = [["HK.1", "2026-01-02", 500.0, 10, 1.0]]
    frame = hk_interest(["2026-01-02"] * 3, [10, 12, 10], 1.0, None, ["2026-01-09"] * 3)
    frame = frame.assign(code="HK.1", first_seen=[450.0, 600.0, 700.0])
    answer = with_past(history(told), frame)
    assert answer["aggregated_short"].tolist() == [10, 12, 10]
    assert answer["first_seen"].tolist() == [450.0, 600.0, 700.0]


def test_what_was_told_twice_stays() -> None:
    rows = [["HK.1", "2026-01-02", s, n, 1.0] for s, n in ((500.0, 10), (600.0, 12), (700.0, 10))]
    assert united(rows, [("2026-01-02", 10, 1.0, 450.0)]) == [
        ("2026-01-02", n, 1.0, s) for s, n in ((450.0, 10), (600.0, 12), (700.0, 10))
    ]


def test_nothing_beside_nothing() -> None:
    assert united([], []) == []
    assert united([], [("2026-01-02", None, NAN, NAN)]) == [("2026-01-02", None, None, None)]
    assert united([["HK.1", "2026-01-02", 5.0, 1, 1.0]], []) == [("2026-01-02", 1, 1.0, 5.0)]
