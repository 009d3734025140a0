"""Short interest as the source and the store give it, joined to the rows of the same gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import intake
import pandas as pd
import pytest
from interest_frames import sample_interest

from intake_futu_short import FutuShortStore, sync
from intake_futu_short.calls import SHORT_INTEREST
from intake_futu_short.errors import ConfigError, NotShortVolumeError
from intake_futu_short.gateway import Gateway
from intake_futu_short.gateway.histories import History, sample_histories
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODES = ("HK.SAMPLE", "US.SAMPLE")
NEW = ["position", "position_ratio", "position_as_of", "position_age_days"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    reports = {}
    for code in CODES:
        table = sample_interest(code).astype(object)
        rows: Any = table.where(table.notna(), None).to_dict("records")
        reports[code] = History(Security.parse(code), rows, call=SHORT_INTEREST)
    with Gateway(sample_histories(), short_interest=reports) as served:
        yield f"{served.url}?limit=off"


@pytest.mark.parametrize(("code", "as_of", "first"), [
    # As of Friday 2026-06-05, published on 2026-06-12; a settlement then would be on 2026-06-17.
    ("HK.SAMPLE", "2026-06-05", "2026-06-15"),
    ("US.SAMPLE", "2026-06-05", "2026-06-18"),
])  # fmt: skip
def test_one_ticker(url: str, code: str, as_of: str, first: str) -> None:
    frame = intake.open_futu_short(code, gateway=url, max_pages=3).read()
    interest = intake.open_futu_short_interest(code, gateway=url).read()
    assert "code" not in interest
    assert interest.attrs["code"] == code
    joined = frame.shortvol.with_positions(interest)
    newest = joined[joined["position_as_of"] == as_of]
    assert newest["timestamp_str"].min() == first
    assert set(newest["position"]) == {17_650_300}
    assert joined["position"].notna().all()
    volume = "shares_traded" if code == "HK.SAMPLE" else "volume"
    means = frame[volume].astype(float)[::-1].rolling(20).mean()
    cover = frame.shortvol.days_to_cover(20, positions=interest)
    expected = joined["position"].astype(float) / means
    pd.testing.assert_series_equal(cover, expected, check_names=False, rtol=1e-12)
    base = frame.shortvol.implied_shares(positions=interest)
    expected = joined["position"].astype(float) / joined["position_ratio"]
    pd.testing.assert_series_equal(base, expected, check_names=False, rtol=1e-12)
    # Reports of the other one are refused, whatever is asked for.
    (other,) = {*CODES} - {code}
    theirs = intake.open_futu_short_interest(other, gateway=url).read()
    for ask in (frame.shortvol.with_positions, lambda p: frame.shortvol.metrics(positions=p)):
        with pytest.raises(ConfigError, match="by its attrs, and the rows are of"):
            ask(theirs)


@pytest.mark.parametrize("code", CODES)
def test_panels_and_stores_tell_the_same(url: str, tmp_path: Path, code: str) -> None:
    alone = intake.open_futu_short(code, gateway=url).read()
    interest = intake.open_futu_short_interest(code, gateway=url).read()
    expected = alone.shortvol.with_positions(interest)[NEW]
    market = code[:2]
    sync([code], store=tmp_path, gateway=url)
    sync([code], store=tmp_path, gateway=url, what="short_interest")
    store = FutuShortStore(tmp_path)
    frame: Any = store.read(market=market)
    columns = [*[name for name in interest if "short" in str(name)], "first_seen"]
    for kept in (
        intake.open_futu_short_interest([code], gateway=url).read(),
        store.read(market=market, what="short_interest"),
        # What a first fill brought was not seen as it arrived.
        store.read(market=market, what="short_interest", columns=columns),
    ):
        assert set(kept["code"]) == {code}
        pd.testing.assert_frame_equal(frame.shortvol.with_positions(kept)[NEW], expected)
    early = store.read(market=market, what="short_interest", columns=columns)
    newest = early["timestamp_str"].idxmax()
    early.loc[newest, "first_seen"] = pd.Timestamp("2026-06-09T12:00Z").timestamp()
    joined = frame.shortvol.with_positions(early)
    first = joined.loc[joined["position_as_of"] == "2026-06-05", "timestamp_str"].min()
    assert first == "2026-06-10"


@pytest.mark.parametrize("code", CODES)
def test_reports_are_no_rows_and_are_told_what_they_are_for(code: str) -> None:
    interest = sample_interest(code)
    assert not hasattr(interest, "shortvol")
    with pytest.raises(NotShortVolumeError, match=r"short interest.*positions=interest"):
        _ = interest.shortvol
