"""Figures with reports of open positions that were passed: which step is drawn, and from when."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from figures import drawn, labels, line, panel, said, sample, with_history, words
from interest_frames import hk_interest, sample_interest, us_interest

from intake_futu_short.errors import ConfigError

pytestmark = pytest.mark.usefixtures("no_window")


def steps(ax: Any) -> dict[str, float]:
    (label,) = labels(ax)
    assert ax.lines[0].get_drawstyle() == "steps-post"
    return {f"{day:%m-%d}": value for day, value in line(ax, label).items()}


def test_us_reports_are_steps_from_their_publication_on() -> None:
    interest = us_interest(
        ["2026-05-15", "2026-05-29"], [2_000_000, 3_000_000], [1.0, 1.5], "US.SAMPLE"
    )
    axes = sample("US.SAMPLE").shortvol.plot(positions=interest, start="2026-06-01")
    drawn(axes[0].figure)
    assert axes[2].get_ylabel() == "Open position\n(million shares)"
    # FINRA's rule: the eighth business day after, with Memorial Day and Juneteenth off.
    assert labels(axes[2]) == [
        "Open short position published by FINRA (inferred), from its publication on; newest: "
        "3,000,000 shares, 1.5 % of the gateway's share base, as of 2026-05-29, published about "
        "2026-06-10"
    ]
    assert steps(axes[2]) == {"06-01": 2.0, "06-10": 3.0, "06-18": 3.0}


def test_what_is_passed_stands_for_what_attrs_have() -> None:
    frame = with_history(sample("HK.SAMPLE"))
    interest = hk_interest(
        ["2026-05-01", "2026-05-08"], [4, 5], 0.1, "HK.SAMPLE", ["2026-06-02", "2026-06-09"]
    )
    axes = frame.shortvol.plot(positions=interest, start="2026-06-01")
    assert steps(axes[2]) == {"06-02": 4.0, "06-09": 5.0, "06-18": 5.0}
    assert "published by the SFC" in labels(axes[2])[0]
    assert said(frame.shortvol.plot(positions=interest, end="2026-06-01")[2]) == [
        "no reported open short position"
    ]


def test_a_late_report_takes_the_place_of_no_newer_one() -> None:
    interest = hk_interest(
        ["2026-05-01", "2026-05-08", "2026-04-24", "2026-05-08", "2026-05-15"],
        [4, 5, 9, 6, None],
        0.1,
        "HK.SAMPLE",
        ["2026-06-02", "2026-06-04", "2026-06-08", "2026-06-10", "2026-06-11"],
    )
    axes = sample("HK.SAMPLE").shortvol.plot(positions=interest, start="2026-06-01")
    assert steps(axes[2]) == {"06-02": 4.0, "06-04": 5.0, "06-10": 6.0, "06-18": 6.0}


def test_what_was_seen_early_is_drawn_from_then_on() -> None:
    interest = hk_interest(
        ["2026-05-01", "2026-05-08"], [4, 5], 0.1, "HK.SAMPLE", ["2026-06-02", "2026-06-09"]
    )
    seen = pd.Timestamp("2026-06-05 23:30", tz="Asia/Hong_Kong").timestamp()
    interest["first_seen"] = [float("nan"), seen]
    axes = sample("HK.SAMPLE").shortvol.plot(positions=interest, start="2026-06-01")
    assert steps(axes[2]) == {"06-02": 4.0, "06-05": 5.0, "06-18": 5.0}


def test_a_single_report_is_written_below_the_panels() -> None:
    interest = us_interest(["2026-05-29"], [3_000_000], float("nan"), "US.X")
    frame = sample("US.SAMPLE").iloc[:40]
    frame.attrs = {"code": "US.X", "market": "US"}
    axes = frame.shortvol.plot(positions=interest)
    assert len(axes) == 2
    text = words(axes[0].figure).replace("\n", " ")
    assert (
        "Open short position published by FINRA (inferred): 3,000,000 shares, as of 2026-05-29, "
        "published about 2026-06-10." in text
    )
    assert text.endswith("open positions: FINRA (inferred).")


def test_each_ticker_of_a_panel_has_its_own_or_none() -> None:
    both = sample("HK.SAMPLE").iloc[:40]
    both.attrs = {}
    both = pd.concat([both.assign(code="HK.2"), both.assign(code="HK.1")])
    interest = sample_interest("HK.SAMPLE", 3).assign(code="HK.2")
    one = both[both["code"] == "HK.2"]
    assert len(one.shortvol.plot(positions=interest)) == 3
    other = both[both["code"] == "HK.1"]
    assert len(other.shortvol.plot(positions=interest)) == 2
    assert len(both.shortvol.plot(positions=interest)) == 2  # the short ratio of each


def test_reports_of_another_ticker_are_refused_before_a_figure_is_made() -> None:
    before = plt.get_fignums()
    frame = sample("HK.SAMPLE")
    with pytest.raises(ConfigError, match=r"plot\(\): positions is of HK\.1 by its attrs"):
        frame.shortvol.plot(positions=hk_interest(["2026-05-01"], [4], 0.1, "HK.1"))
    with pytest.raises(ConfigError, match=r"plot\(\): positions has no column aggregated_short"):
        panel(2).shortvol.plot(positions=pd.DataFrame({"as_of": ["2026-05-01"]}))
    assert plt.get_fignums() == before
