"""``df.shortvol.with_positions``: open positions beside the rows, each from when it was known."""

from __future__ import annotations

import datetime as dt
import math
import random
import warnings
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from frames import days, us
from interest_frames import hk_interest, us_interest

from intake_futu_short import metrics, sample
from intake_futu_short.errors import ConfigError, NotShortVolumeError, PositionWarning

NEW = ["position", "position_ratio", "position_as_of", "position_age_days"]
DTYPES = ["Int64", "float64", "datetime64[ns]", "Int64"]
FIRST = dt.date(2026, 5, 1)


def hk(n: int = 30, code: str | None = None) -> Any:  # mypy takes shortvol for a column
    frame = pd.DataFrame(
        {
            "timestamp_str": days(n, FIRST.isoformat()),
            "shares_traded": 10,
            "short_sell_shares_traded": 1,
        }
    )
    return frame if code is None else frame.assign(code=code)


def cells(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """The four columns row by row, None where missing."""
    table = frame[NEW].astype(object)
    return [tuple(None if pd.isna(v) else v for v in row) for row in table.itertuples(index=False)]


def test_a_report_is_beside_the_rows_from_the_session_after_its_publication_on() -> None:
    frame = hk(30, None).iloc[[9, 7, 8, 29, 0]]  # 05-10, 05-08, 05-09, 05-30, 05-01
    frame.attrs.update(code="HK.1", market="HK", next_key="-1")
    # Published by the rule on 05-08 and 05-15.
    interest = hk_interest(["2026-05-08", "2026-04-30"], [300, 200], [3.5, 2.0], "HK.1")
    answer = frame.shortvol.with_positions(interest)
    assert list(answer) == [*frame, *NEW]
    assert answer[NEW].dtypes.astype(str).tolist() == DTYPES
    early, late = pd.Timestamp("2026-04-30"), pd.Timestamp("2026-05-08")
    assert cells(answer) == [
        (200, 0.02, early, 10),
        (None, None, None, None),
        (200, 0.02, early, 9),
        (300, 0.035, late, 22),
        (None, None, None, None),
    ]
    pd.testing.assert_frame_equal(answer[list(frame)], frame)
    assert answer.attrs == frame.attrs
    assert list(frame) == ["timestamp_str", "shares_traded", "short_sell_shares_traded"]


def test_a_us_report_is_known_on_the_eighth_business_day() -> None:
    # FINRA's calendar: settlement 2026-04-15, published on 2026-04-27.
    frame = us([1] * 20, [10] * 20).assign(timestamp_str=days(20, "2026-04-15"))
    frame.attrs["code"] = "US.X"
    interest = us_interest(["2026-04-15"], [50], 0.5, "US.X", ["2026-04-27"])
    answer = metrics.with_positions(frame, interest)
    assert answer["position"].notna().tolist() == [False] * 13 + [True] * 7
    assert cells(answer)[13] == (50, 0.005, pd.Timestamp("2026-04-15"), 13)


def test_columns_of_these_names_are_worked_out_anew_in_their_place() -> None:
    interest = hk_interest(["2026-04-24"], [200], 1.0, "HK.1", ["2026-05-01"])
    frame = hk(3, "HK.1").assign(position=5, position_ratio=9.9)
    once = metrics.with_positions(frame, interest)
    assert list(once) == [*frame, *NEW[2:]]
    assert once["position"].tolist() == [pd.NA, 200, 200]
    pd.testing.assert_frame_equal(metrics.with_positions(once, interest), once)


def test_hk_rows_have_reports_of_their_own() -> None:
    frame: Any = sample.frame("HK.SAMPLE")  # as of 2026-06-05, published on 2026-06-12
    answer = frame.shortvol.with_positions()
    known = answer[answer["position"].notna()]
    assert known["timestamp_str"].tolist() == [f"2026-06-{day}" for day in (18, 17, 16, 15)]
    assert set(known["position"]) == {17_650_300}
    assert set(known["position_ratio"]) == {0.88 / 100}
    assert known["position_age_days"].tolist() == [13, 12, 11, 10]


def test_each_ticker_has_its_own() -> None:
    frame = pd.concat([hk(4, "HK.1"), hk(4, "HK.2"), hk(4, "HK.3")], ignore_index=True)
    frame = frame.sample(frac=1, random_state=1)
    interest = pd.concat(
        [hk_interest(["2026-04-24"], [n], 1.0, None, ["2026-05-01"]).assign(code=f"HK.{n}")
         for n in (2, 1, 9)]
    )  # fmt: skip
    answer = metrics.with_positions(frame, interest)
    after = frame["timestamp_str"] > "2026-05-01"
    expected = frame["code"].map({"HK.1": 1, "HK.2": 2}).where(after).astype("Int64")
    pd.testing.assert_series_equal(answer["position"], expected, check_names=False)
    by_date = metrics.with_positions(frame.shortvol.by_date(), interest)
    assert by_date["position"].tolist() == [pd.NA, 1, 1, 1, pd.NA, 2, 2, 2] + [pd.NA] * 4


def test_a_report_without_a_number_ends_the_one_before() -> None:
    interest = hk_interest(
        ["2026-04-23", "2026-04-24"], [7, None], [1.0, math.nan], None,
        ["2026-05-01", "2026-05-03"],
    )  # fmt: skip
    late = pd.Timestamp("2026-04-24")
    assert cells(metrics.with_positions(hk(4), interest))[2:] == [
        (7, 0.01, pd.Timestamp("2026-04-23"), 10), (None, None, late, 10),
    ]  # fmt: skip


def test_a_frame_without_percents_or_rows_has_the_columns_too() -> None:
    interest = hk_interest(["2026-04-24"], [7], 1.0, None, ["2026-05-01"])
    answer = metrics.with_positions(hk(2), interest.drop(columns="aggregated_short_ratio"))
    assert answer[NEW].dtypes.astype(str).tolist() == DTYPES
    assert answer["position"].tolist() == [pd.NA, 7]
    assert answer["position_ratio"].isna().all()
    for rows, reports in ((hk(0), interest), (hk(2), interest.iloc[:0])):
        none = metrics.with_positions(rows, reports)
        assert none[NEW].dtypes.astype(str).tolist() == DTYPES
        assert none["position"].isna().all()


def test_what_cannot_be_joined_is_said() -> None:
    interest = hk_interest(["2026-04-24"], [7], 1.0, "HK.1", ["2026-05-01"])
    with pytest.raises(
        ConfigError, match=r"with_positions\(\): positions is of HK\.1 by its attrs"
    ):
        metrics.with_positions(hk(2, "HK.2"), interest)
    with pytest.raises(
        NotShortVolumeError, match=r"with_positions\(\) needs trading days, and eac"
    ):
        metrics.with_positions(metrics.resample(hk(20), "W-FRI"), interest)
    with pytest.raises(NotShortVolumeError, match=r"needs positions=.*interest\('US.AAPL'\)"):
        metrics.with_positions(sample.frame("US.AAPL"))
    with pytest.raises(NotShortVolumeError, match=r"short_interest\(codes\)\.read\(\)$"):
        metrics.with_positions(hk(2))
    with pytest.raises(ConfigError, match=r"a position of 7\.5 shares, which is no count"):
        metrics.with_positions(hk(2), interest.assign(aggregated_short=7.5))
    with pytest.warns(PositionWarning, match="as of 2026-06-05 was known on 2026-06-12"):
        metrics.with_positions(hk(2), hk_interest(["2026-06-05"], [7], 1.0, "HK.1"))


# --- by the book: the rule as three loops, over frames that are made up


def by_hand(
    rows: list[tuple[str, dt.date]], reports: list[dict[str, Any]], zone: str
) -> list[tuple[Any, ...]]:
    """Look at every report at every row, in the words of the documentation."""
    known = []
    for report in reports:
        # "From the day of its publication, or, if that is earlier, from the day on which a store
        # first saw it", in the market's time.
        seen = report["first_seen"]
        seen_day = None if math.isnan(seen) else dt.datetime.fromtimestamp(seen, ZoneInfo(zone))
        moments = [report["published"], *([] if seen_day is None else [seen_day.date()])]
        first = all(
            other["code"] != report["code"] or other["as_of"] != report["as_of"]
            for other in reports[: reports.index(report)]
        )
        # "Another report of an as-of date that had one is a correction, known when it was seen."
        day = min(moments) if first or seen_day is None else seen_day.date()
        known.append(max(day, report["as_of"]))
    answers: list[tuple[Any, ...]] = []
    for code, day in rows:
        best, place = None, None
        for number, report in enumerate(reports):
            if report["code"] == code and known[number] < day:
                # "Of the reports known, that of the newest as-of date counts"; of several of it
                # the one that was known last, and at last the one that was seen last.
                rank = (report["as_of"], known[number], number)
                if best is None or rank > best:
                    best, place = rank, number
        if place is None:
            answers.append((None, None, None, None))
            continue
        report = reports[place]
        answers.append(
            (
                report["shares"],
                report["percent"] / 100,
                pd.Timestamp(report["as_of"]),
                (day - report["as_of"]).days,
            )
        )
    return answers


def made_up(chance: random.Random, zone: str, codes: list[str]) -> list[dict[str, Any]]:
    """Reports, some seen early or late, some corrected once or twice, with equal numbers too."""
    found = []
    for code in codes:
        for back in chance.sample(range(-25, 25), chance.randint(0, 6)):
            as_of = FIRST + dt.timedelta(days=back)
            published = as_of + dt.timedelta(days=chance.randint(0, 12))
            seen = math.nan
            for correction in range(chance.choice([1, 1, 1, 2, 3])):
                if correction or chance.random() < 0.5:
                    # A correction is seen after what it corrects, and after its publication.
                    after = dt.datetime.combine(
                        published if correction else as_of, dt.time(), ZoneInfo(zone)
                    ).timestamp()
                    hours = chance.randint(1, 24 * 8)
                    seen = max(after, 0.0 if math.isnan(seen) else seen) + 3600.0 * hours
                found.append(
                    {
                        "code": code, "as_of": as_of, "published": published, "first_seen": seen,
                        "shares": chance.randint(0, 10**12), "percent": chance.randint(0, 900) / 8,
                    }
                )  # fmt: skip
    return found


def as_interest(reports: list[dict[str, Any]], market: str) -> pd.DataFrame:
    make = {"HK": hk_interest, "US": us_interest}[market]
    frame = make(
        [f"{one['as_of']}" for one in reports],
        [one["shares"] for one in reports],
        np.array([one["percent"] for one in reports], dtype=float),
        None,
        pd.DatetimeIndex([pd.Timestamp(one["published"]) for one in reports]),
    )
    return frame.assign(
        code=pd.Series([one["code"] for one in reports], dtype=object),
        first_seen=np.array([one["first_seen"] for one in reports], dtype=float),
    )


@pytest.mark.parametrize("market", ["HK", "US"])
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (50, 100))])
def test_random_frames_are_joined_as_by_hand(market: str, seed: int) -> None:
    zone = {"HK": "Asia/Hong_Kong", "US": "America/New_York"}[market]
    short = {"HK": "short_sell_shares_traded", "US": "total_shares_short"}[market]
    volume = {"HK": "shares_traded", "US": "volume"}[market]
    for case in range(seed, seed + 50):
        chance = random.Random(case)
        codes = [f"{market}.{n}" for n in range(1, 1 + chance.choice([1, 2, 3]))]
        reports = made_up(chance, zone, codes)
        rows = [
            (code, FIRST + dt.timedelta(days=n))
            for code in codes
            for n in chance.sample(range(30), chance.randint(1, 30))
        ]
        chance.shuffle(rows)
        frame = pd.DataFrame(
            {
                "code": [code for code, _ in rows],
                "timestamp_str": [f"{day}" for _, day in rows],
                short: 1,
                volume: 2.0,
            },
            index=[chance.randint(0, 5) for _ in rows],
        )
        interest = as_interest(reports, market)
        if len(codes) == 1 and chance.random() < 0.5:  # as the source gives one ticker's
            frame, interest = frame.drop(columns="code"), interest.drop(columns="code")
            frame.attrs["code"] = interest.attrs["code"] = codes[0]
        expected = by_hand(rows, reports, zone)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PositionWarning)
            answer = metrics.with_positions(frame, interest)
            cover = metrics.days_to_cover(frame, 1, positions=interest)
            base = metrics.implied_shares(frame, positions=interest)
        assert cells(answer) == expected, case
        pd.testing.assert_index_equal(answer.index, frame.index)
        assert answer.attrs == frame.attrs
        # The metrics use the same report.
        for (shares, ratio, _, _), covered, implied in zip(expected, cover, base, strict=True):
            assert same_number(covered, None if shares is None else shares / 2.0), case
            assert same_number(implied, shares / ratio if ratio else None), case


def same_number(one: float, other: float | None) -> bool:
    return math.isnan(one) if other is None else math.isclose(one, other, rel_tol=1e-12)


# --- lazily


def test_a_dask_frame_of_whole_tickers_has_the_same() -> None:
    dd = pytest.importorskip("dask.dataframe")
    import intake_futu_short.dask  # noqa: F401, PLC0415 - registers the accessor

    frame = pd.concat([hk(9, "HK.1"), hk(9, "HK.2")], ignore_index=True)
    interest = pd.concat(
        [hk_interest(["2026-04-24"], [n], 1.0, None, ["2026-05-04"]).assign(code=f"HK.{n}")
         for n in (1, 2)]
    )  # fmt: skip
    lazy = dd.from_pandas(frame, npartitions=2, sort=False).shortvol.by_ticker()
    answer = lazy.with_positions(interest)
    expected = metrics.with_positions(frame, interest)
    assert answer._meta[NEW].dtypes.astype(str).tolist() == DTYPES
    pd.testing.assert_frame_equal(answer.compute()[NEW], expected[NEW])
