"""What is reported beside the rows: tables, days to cover, the base of the percentage."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from frames import days, same

from intake_futu_short import metrics, sample
from intake_futu_short.errors import ConfigError, NotShortVolumeError, PositionWarning

NAN = math.nan
REPORT = {"aggregated_short": 60, "aggregated_short_ratio": 0.5, "new_time_str": "2026-01-03"}


def hk(volume: list[Any], **attrs: Any) -> pd.DataFrame:
    """Ascending from 2026-01-15: the report below is published on the second day."""
    frame = pd.DataFrame(
        {
            "timestamp_str": days(len(volume), "2026-01-15"),
            "shares_traded": volume,
            "short_sell_shares_traded": 1,
        }
    )
    frame.attrs.update(attrs)
    return frame


def panel() -> pd.DataFrame:
    frame = pd.concat(
        [hk([10, 20, 30, 40]).assign(code="HK.1"), hk([1, 2, 3, 4]).assign(code="HK.2")],
        ignore_index=True,
    )
    other = {"aggregated_short": 7, "aggregated_short_ratio": 0.0, "new_time_str": "2026-01-04"}
    frame.attrs["aggregates"] = json.dumps({"HK.2": other, "HK.1": REPORT, "HK.9": REPORT})
    return frame


def test_days_to_cover_begins_after_the_publication_and_goes_on() -> None:
    answer = metrics.days_to_cover(hk([10, 20, 30, 40], **REPORT), 2)
    assert answer.name == "days_to_cover_2"
    same(answer, [NAN, NAN, 60 / 25, 60 / 35])
    shuffled = hk([10, 20, 30, 40], **REPORT).iloc[[2, 0, 3, 1]]
    same(metrics.days_to_cover(shuffled, 2), [60 / 25, NAN, 60 / 35, NAN], shuffled.index)


def test_days_to_cover_needs_its_window() -> None:
    frame = hk([10, None, 30, 40], **REPORT)
    assert metrics.days_to_cover(frame).isna().all()
    same(metrics.days_to_cover(frame, 2), [NAN, NAN, NAN, 60 / 35])
    same(metrics.days_to_cover(frame, 3, min_periods=2), [NAN, NAN, 3.0, 60 / 35])
    same(metrics.days_to_cover(hk([0, 0, 0], **REPORT), 3), [NAN] * 3)


def test_a_report_of_long_ago_is_used_from_the_first_row_on() -> None:
    frame = hk([10, 20, 30, 40], **{**REPORT, "new_time_str": "2025-12-31"})
    same(metrics.days_to_cover(frame, 1), [6.0, 3.0, 2.0, 1.5])
    same(metrics.implied_shares(frame), [12000.0] * 4)


def test_implied_shares_begin_after_the_publication() -> None:
    frame = hk([10, 20, 30, 40], **REPORT).iloc[::-1]
    same(metrics.implied_shares(frame), [12000.0, 12000.0, NAN, NAN], frame.index)


def test_on_the_documented_row_implied_shares_are_those_of_the_ticker() -> None:
    # 51480638 shares are 0.56 %: between 0.555 and 0.565 of 9.1 to 9.3 thousand million.
    frame = sample.frame("HK.00700")
    # Published on 2026-05-08, which is the newest row.
    with pytest.warns(PositionWarning, match=r"2026-04-30 was known on 2026-05-08 .* end on"):
        assert metrics.implied_shares(frame).isna().all()
    later = frame.assign(timestamp_str=frame["timestamp_str"].str.replace("-05-", "-06-"))
    shares = metrics.implied_shares(later).iloc[0]
    assert shares == pytest.approx(51480638 / 0.0056, rel=1e-12)


def test_a_panel_has_the_report_of_each_ticker() -> None:
    frame = panel()
    same(metrics.days_to_cover(frame, 2), [NAN, NAN, 2.4, 60 / 35, NAN, NAN, 2.8, 2.0])
    same(metrics.implied_shares(frame), [NAN, NAN, 12000.0, 12000.0, *[NAN] * 4])
    one = frame[frame["code"] == "HK.1"]
    same(metrics.days_to_cover(one, 2), [NAN, NAN, 2.4, 60 / 35])
    none = frame.replace({"code": {"HK.2": "HK.3"}})
    none.attrs = frame.attrs
    assert metrics.days_to_cover(none, 2).notna().sum() == 2


def test_a_ticker_of_which_nothing_is_reported_has_nan() -> None:
    frame = hk([10, 20], **dict.fromkeys(REPORT))
    assert metrics.days_to_cover(frame, 1).isna().all()
    assert metrics.implied_shares(frame).isna().all()


def test_no_rows_no_answers() -> None:
    same(metrics.days_to_cover(hk([10], **REPORT).iloc[:0]), [])
    same(metrics.implied_shares(panel().iloc[:0]), [])


def test_lost_attrs_are_named_and_can_be_given() -> None:
    frame = hk([10, 20, 30, 40])
    with pytest.raises(
        NotShortVolumeError,
        match=r"no aggregated_short and no new_time_str in attrs.*CSV.*new_time_str=",
    ):
        metrics.days_to_cover(frame, 2)
    with pytest.raises(NotShortVolumeError, match=r"no aggregated_short_ratio in attrs"):
        metrics.implied_shares(frame, aggregated_short=60, new_time_str="2026-01-03")
    given: dict[str, Any] = {"aggregated_short": 60, "new_time_str": pd.Timestamp("2026-01-03")}
    same(metrics.days_to_cover(frame, 2, **given), [NAN, NAN, 2.4, 60 / 35])
    same(
        metrics.implied_shares(frame, aggregated_short_ratio=0.5, **given),
        [NAN, NAN, 12000.0, 12000.0],
    )


def test_a_panel_is_given_mappings() -> None:
    frame = panel()
    frame.attrs = {}
    with pytest.raises(NotShortVolumeError, match=r"attrs\['aggregates'\].*{code: value, ...}"):
        metrics.days_to_cover(frame, 2)
    shares, dates = {"HK.1": 60, "HK.2": 7}, pd.Series({"HK.1": "2026-01-03"})
    answer = metrics.days_to_cover(frame, 2, aggregated_short=shares, new_time_str=dates)
    assert answer.dropna().tolist() == [2.4, 60 / 35]
    with pytest.raises(ConfigError, match="aggregated_short of a panel is a mapping"):
        metrics.days_to_cover(frame, 2, aggregated_short=60, new_time_str=dates)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"aggregated_short": "many"}, "aggregated_short is not a number"),
        ({"new_time_str": "some day"}, "new_time_str must be a trading day"),
    ],
)
def test_values_that_are_none_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        metrics.days_to_cover(hk([1], **REPORT), 1, **given)


def test_us_frames_say_what_to_pass() -> None:
    for metric in (metrics.days_to_cover, metrics.implied_shares):
        with pytest.raises(
            NotShortVolumeError, match=r"of a US frame needs positions=.*shares_sh"
        ) as e:
            metric(sample.frame("US.AAPL"))
        assert "positions=intake.open_futu_short_interest('US.AAPL').read()" in str(e.value)
    assert not [n for n in metrics.metrics(sample.frame("US.AAPL")) if "cover" in str(n)]


COLUMNS = {
    "as_of": "datetime64[ns]", "published": "datetime64[ns]", "first_seen": "float64",
    "aggregated_short": "Int64", "aggregated_short_ratio": "float64",
}  # fmt: skip


def test_history_of_one_report_and_of_many() -> None:
    frame = hk([1], code="HK.1", **REPORT)
    one = metrics.aggregates_history(frame)
    assert one.dtypes.astype(str).drop("code").to_dict() == COLUMNS
    assert list(one) == ["code", *COLUMNS]
    assert one.drop(columns="first_seen").iloc[0].tolist() == [
        "HK.1", pd.Timestamp("2026-01-03"), pd.Timestamp("2026-01-16"), 60, 0.5,
    ]  # fmt: skip
    assert one["first_seen"].isna().all()
    frame.attrs["aggregates_history"] = json.dumps(
        [
            ["HK.2", "2026-01-02", None, 5, None],
            ["HK.1", "2026-01-09", 1769162400.5, None, 0.6],
            ["HK.1", "2026-01-02", 1768557600.5, 51, 0.4],
            ["HK.1", "2026-01-02", 1768471200, 50, 0.4],
            ["HK.1", "2026-01-02", None, 49, 0.4],
            ["HK.1", None, 5.0, 1, 0.1],
        ]
    )
    many = metrics.aggregates_history(frame)
    assert many["code"].tolist() == ["HK.1", "HK.1", "HK.1", "HK.1", "HK.2"]
    assert many["as_of"].dt.strftime("%m-%d").tolist() == ["01-02"] * 3 + ["01-09", "01-02"]
    assert many["published"].dt.strftime("%m-%d").tolist() == ["01-09"] * 3 + ["01-16", "01-09"]
    np.testing.assert_array_equal(
        many["first_seen"], [NAN, 1768471200.0, 1768557600.5, 1769162400.5, NAN]
    )
    assert many["aggregated_short"].tolist() == [49, 50, 51, pd.NA, 5]
    np.testing.assert_array_equal(many["aggregated_short_ratio"], [0.4, 0.4, 0.4, 0.6, NAN])
    pd.testing.assert_series_equal(many.dtypes, one.dtypes)


def test_a_report_is_published_on_the_next_session_when_the_friday_is_none() -> None:
    # As of Thursday 2026-03-26 the Friday is Good Friday, and then there is Easter and Ching Ming.
    frame = hk([1], code="HK.1", **{**REPORT, "new_time_str": "2026-03-26"})
    assert metrics.aggregates_history(frame)["published"].tolist() == [pd.Timestamp("2026-04-08")]


def test_without_reports_the_history_is_empty_and_typed() -> None:
    for frame in (hk([1]), hk([1], aggregates_history="[]")):
        empty = metrics.aggregates_history(frame)
        assert len(empty) == 0
        assert empty.dtypes.astype(str).drop("code").to_dict() == COLUMNS
    assert len(metrics.aggregates_history(panel())) == 3


def test_a_ticker_of_null_has_no_report() -> None:
    frame = panel()
    frame.attrs["aggregates"] = json.dumps({"HK.1": REPORT, "HK.2": None})
    assert metrics.aggregates(frame)["code"].tolist() == ["HK.1"]
    assert metrics.days_to_cover(frame, 2).dropna().tolist() == [60 / 25, 60 / 35]


@pytest.mark.parametrize(
    "reports",
    [
        "[[1]]",
        "[5]",
        '[["HK.1", "2026-06-05", 5, 0.5]]',
        '[["HK.1", "2026-06-05", null, "x", 1]]',
        '[["HK.1", "2026-06-05", null, 0.5, 1]]',
        '[["HK.1", "2026-06-05", "soon", 5, 1]]',
    ],
)
def test_a_history_of_what_are_no_reports_is_named(reports: str) -> None:
    frame = sample.frame("HK.SAMPLE").head(3)
    frame.attrs["aggregates_history"] = reports
    with pytest.raises(
        ConfigError, match=r"attrs\['aggregates_history'\] holds what is not a report"
    ):
        metrics.aggregates_history(frame)


def test_a_position_that_is_no_number_is_named() -> None:
    frame = sample.frame("HK.SAMPLE").head(3)
    frame.attrs["aggregated_short"] = [1]
    with pytest.raises(ConfigError, match="attrs holds what is not a report"):
        metrics.aggregates(frame)


def test_a_report_of_a_day_beyond_all_calendars_is_known_on_none_of_the_rows() -> None:
    frame = hk([10, 20, 30], code="HK.1")
    frame.attrs["aggregates_history"] = '[["HK.1", "2262-04-11", null, 5, 1]]'
    assert metrics.aggregates_history(frame)["published"].isna().all()
    with pytest.warns(PositionWarning, match="as of 2262-04-11 was known on 2262-04-11"):
        assert metrics.days_to_cover(frame, 1).isna().all()


@pytest.mark.parametrize("value", ["{", 5, "[]", '{"HK.1": 5}'])
def test_what_is_no_json_is_named(value: Any) -> None:
    frame = panel()
    frame.attrs["aggregates"] = value
    with pytest.raises(ConfigError, match=r"attrs\['aggregates'\]"):
        metrics.aggregates(frame)


def test_reports_survive_parquet_and_are_missed_after_csv(tmp_path: Any) -> None:
    frame = sample.frame("HK.SAMPLE")
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_csv(tmp_path / "a.csv", index=False)
    parquet, text = pd.read_parquet(tmp_path / "a.parquet"), pd.read_csv(tmp_path / "a.csv")
    expected = metrics.metrics(frame)
    pd.testing.assert_frame_equal(metrics.metrics(parquet), expected)
    lost = ["implied_shares", "days_to_cover_5", "days_to_cover_20"]
    assert [name for name in expected if name not in metrics.metrics(text)] == lost
    np.testing.assert_allclose(metrics.metrics(text), expected.drop(columns=lost), rtol=1e-12)
    assert metrics.metrics(parquet).attrs == frame.attrs


def test_reports_of_a_panel_are_of_no_frame_that_does_not_say_its_code() -> None:
    # One ticker of a panel, whose attrs pandas keeps when the column goes.
    frame = panel().query("code == 'HK.1'").drop(columns="code")
    for metric in (metrics.days_to_cover, metrics.implied_shares):
        with pytest.raises(NotShortVolumeError, match="does not say whose its rows are"):
            metric(frame)
    assert "implied_shares" not in metrics.metrics(frame, 2)
    given: dict[str, Any] = {"aggregated_short": 60, "new_time_str": "2026-01-03"}
    same(metrics.days_to_cover(frame, 2, **given), [NAN, NAN, 2.4, 60 / 35])
    same(metrics.days_to_cover(frame.iloc[:0], 2), [])
    frame.attrs["code"] = "HK.1"
    same(metrics.days_to_cover(frame, 2), [NAN, NAN, 2.4, 60 / 35])


def test_the_report_of_one_ticker_is_not_given_to_rows_of_another() -> None:
    frame = hk([10, 20, 30, 40], code="HK.1", **REPORT)
    expected = [NAN, NAN, 60 / 25, 60 / 35]
    same(metrics.days_to_cover(frame, 2), expected)
    same(metrics.days_to_cover(frame.assign(code="HK.1"), 2), expected)
    other = frame.assign(code="HK.2")
    for metric in (metrics.days_to_cover, metrics.implied_shares):
        with pytest.raises(NotShortVolumeError, match=r"attrs, which are of HK\.1, .* of HK\.2"):
            metric(other)
    assert "days_to_cover_2" not in metrics.metrics(other, 2)
    assert metrics.aggregates(other)["code"].tolist() == ["HK.1"]


def test_what_is_no_day_is_no_date_of_the_history() -> None:
    rows = [["HK.1", "2026-01-03", None, 60, 0.5], ["HK.1", "2026-01-10 00:00:00", 5, 70, None],
            ["HK.1", "soon", 5, 80, None], ["HK.1", "", None, 90, None]]  # fmt: skip
    frame = hk([1], code="HK.1", aggregates_history=json.dumps(rows))
    history = metrics.aggregates_history(frame)
    assert history["as_of"].tolist() == [pd.Timestamp("2026-01-03"), pd.Timestamp("2026-01-10")]
    assert history["aggregated_short"].tolist() == [60, 70]


def test_an_as_of_date_that_is_no_day_costs_its_ticker_only() -> None:
    frame = panel()
    reports = json.loads(frame.attrs["aggregates"])
    reports["HK.2"]["new_time_str"] = "soon"
    frame.attrs["aggregates"] = json.dumps(reports)
    found = metrics.metrics(frame, 2)
    assert found["days_to_cover_2"].dropna().tolist() == [60 / 25, 60 / 35]
    assert found["implied_shares"].dropna().tolist() == [12000.0, 12000.0]


@pytest.mark.parametrize(
    "day", [20260103, "20260103", "2026-01-03 00:00:00", "2026-01-03T16:00:00+08:00"]
)
def test_as_of_dates_are_days_however_they_are_written(day: Any) -> None:
    frame = hk([10, 20, 30, 40], **{**REPORT, "new_time_str": day})
    same(metrics.days_to_cover(frame, 2), [NAN, NAN, 60 / 25, 60 / 35])
    history = metrics.aggregates_history(frame)
    assert history["as_of"].dtype == "datetime64[ns]"
    assert history["as_of"].tolist() == [pd.Timestamp("2026-01-03")]
