"""Trading days as people and programs write them → ``YYYY-MM-DD``. Pure.

Every argument that takes a day accepts ``2026-01-02``, ``20260102`` (text or number) and
``2026/01/02``.
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
# A type that also holds a time writes a date with midnight. Its zone does not change the day.
_MIDNIGHT = re.compile(r"[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]\d{2}:?\d{2})?\Z", re.ASCII)
_TIME = re.compile(r"\d[T ]\d?\d:\d\d")
_DAY_FORMS = "such as '2026-01-02', '20260102', '2026/01/02' or a date object"


def date(name: str, value: Any) -> str | None:
    """A day as ``YYYY-MM-DD``; None when left open.

    A datetime object gives its day, whatever its time and zone, because ``today`` in a parameter of
    an Intake catalog comes with the present time. Text with a time other than midnight means a
    moment, and is refused.
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
    """Whether a text is a day without a time of day."""
    return _DAY.fullmatch(text) is not None


def _text(value: Any) -> str:
    """A day given as text, number or object, as text; "" for anything else."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, dt.datetime):  # Timestamps too
        return value.isoformat().partition("T")[0]  # NaT has no date()
    if isinstance(value, dt.date):
        return value.isoformat()
    if type(value).__name__ == "datetime64":
        return str(value).partition("T")[0]
    is_number = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if is_number and 0 < value < 10**8:  # Python does not print very long numbers
        return str(int(value))
    return ""
