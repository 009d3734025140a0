"""Trading days as people and programs write them → ``YYYY-MM-DD``. Pure.

A day is written ``2026-01-02``, ``20260102`` (also as a number) or ``2026/01/02``, wherever one is
taken.
"""

from __future__ import annotations

import datetime as dt
import numbers
import re
from typing import Any

from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError
from intake_futu_short.wording import argument

__all__ = ["date", "is_day"]

_DAY = re.compile(r"(\d{4})([-/]?)(\d{2})\2(\d{2})", re.ASCII)
# How dates are written out as text by what holds a time as well. A zone says nothing of the day.
_MIDNIGHT = re.compile(r"[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]\d{2}:?\d{2})?\Z", re.ASCII)
_TIME = re.compile(r"\d[T ]\d?\d:\d\d")
_DAY_FORMS = "such as '2026-01-02', '20260102', '2026/01/02' or a date object"


def date(name: str, value: Any) -> str | None:
    """A day as ``YYYY-MM-DD``; None when left open.

    Of a datetime object it is the day, whatever its time of day and zone: a parameter of an Intake
    catalog has one that says ``today``. Text that names a time of day other than midnight means
    a moment, and is refused.
    """
    text = _text(value)
    if value is None or (isinstance(value, str) and not text):
        return None
    match = _DAY.fullmatch(_MIDNIGHT.sub("", text))
    if match is None:
        what = ", and has no time of day" if _TIME.search(text) else ""
        raise ConfigError(
            f"{argument(name)} must be a trading day {_DAY_FORMS}{what}, not {described(value)}"
        )
    try:
        return dt.date(int(match[1]), int(match[3]), int(match[4])).isoformat()
    except ValueError as error:
        raise ConfigError(
            f"{argument(name)} is not a date: {described(value)} ({error})"
        ) from error


def is_day(text: str) -> bool:
    """Whether a text is written as a day alone, without any time of day."""
    return _DAY.fullmatch(text) is not None


def _text(value: Any) -> str:
    """How a day is written that somebody gave as text, number or object; "" for other things."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, dt.datetime):  # Timestamps too
        return value.isoformat().partition("T")[0]  # NaT has no date()
    if isinstance(value, dt.date):
        return value.isoformat()
    if type(value).__name__ == "datetime64":
        return str(value).partition("T")[0]
    is_number = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if is_number and 0 < value < 10**8:  # Python refuses to write the longest out
        return str(int(value))
    return ""
