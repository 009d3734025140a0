"""Frames of short interest as the source and the store give them, made by hand."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["hk_interest", "sample_interest", "us_interest"]


def _frame(days: Sequence[str], code: str | None, columns: dict[str, Any]) -> pd.DataFrame:
    zone = ZoneInfo("America/New_York" if "shares_short" in columns else "Asia/Hong_Kong")
    midnights = [dt.datetime.fromisoformat(day).replace(tzinfo=zone).timestamp() for day in days]
    frame = pd.DataFrame(
        {
            "timestamp": pd.Series(midnights, dtype="int64"),
            "timestamp_str": list(days),
            **columns,
        }
    )
    if code is not None:
        frame.attrs.update(code=code, market=code[:2], next_key="-1")
    return frame


def hk_interest(
    days: Sequence[str], shares: Sequence[Any], percents: Any = 0.5, code: str | None = None,
    published: Any = None,
) -> pd.DataFrame:  # fmt: skip
    """HK rows, in the documented columns; the day of publication only where it is given."""
    columns: dict[str, Any] = {
        "aggregated_short": pd.array(shares, dtype="Int64"),
        "aggregated_short_ratio": percents,
        "close_price": 10.0,
        "last_close_price": math.nan,
    }
    if published is not None:
        columns["published"] = pd.to_datetime(published)
    return _frame(days, code, columns)


def us_interest(
    days: Sequence[str], shares: Sequence[Any], percents: Any = 0.5, code: str | None = None,
    published: Any = None,
) -> pd.DataFrame:  # fmt: skip
    """US rows, likewise."""
    columns: dict[str, Any] = {
        "shares_short": pd.array(shares, dtype="Int64"),
        "short_percent": percents,
        "avg_daily_share_volume": pd.array([1000] * len(days), dtype="Int64"),
        "days_to_cover": 2.5,
        "close_price": 10.0,
        "last_close_price": math.nan,
    }
    if published is not None:
        columns["published"] = pd.to_datetime(published)
    return _frame(days, code, columns)


def sample_interest(code: str, reports: int = 60) -> pd.DataFrame:
    """Made-up reports up to the sample's newest days, newest first; weekly or twice a month."""
    newest = dt.date(2026, 6, 5)
    apart = dt.timedelta(days=7 if code.startswith("HK") else 15)
    days = [(newest - n * apart).isoformat() for n in range(reports)]
    make = hk_interest if code.startswith("HK") else us_interest
    shares = [17_650_300 + 900_000 * (n % 7) - 200_000 * n for n in range(reports)]
    return make(days, shares, [round(each / 2.0e7, 2) for each in shares], code)
