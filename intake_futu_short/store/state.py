"""The state in a ticker's file: `State` ↔ JSON values. Pure."""

from __future__ import annotations

import base64
import json
import math
import zlib
from dataclasses import dataclass
from reprlib import repr as shortened
from typing import TYPE_CHECKING

from intake_futu_short.history.ticker_history import FIRST_SEEN, Revision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from intake_futu_short.calls import Table

__all__ = ["State", "packed", "revisions", "unpacked"]

# pandas counts nanoseconds in 64 bits, which reach to the year 2262.
_LATEST_S = 9.2e9
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class State:
    """The state in a file's footer: a `TickerHistory` without its rows.

    Attributes
    ----------
    code : str
        Code of the ticker.
    rows : int
        Number of rows.
    first, last : str or None
        Oldest and newest trading day; None without rows.
    is_complete, cursor, checked_s, walked_s, adjusted_s, reports
        As in `TickerHistory`.
    revisions, superseded : str or None
        As in `TickerHistory`, but encoded by `packed`; None when there are none.
    """

    code: str
    rows: int
    first: str | None
    last: str | None
    is_complete: bool
    cursor: str | None
    checked_s: float | None
    walked_s: float | None
    adjusted_s: float | None
    reports: Sequence[Mapping[str, Any]]
    revisions: str | None
    superseded: str | None

    @classmethod
    def of(cls, said: Mapping[str, Any], table: Table) -> State:
        """Check and take the values of `said`. Unknown names are ignored: later versions add some.

        Raises
        ------
        KeyError, TypeError, ValueError
            When a value is missing or wrong.
        """
        for name, is_right in _IS_RIGHT.items():
            if not is_right(said[name]):
                raise ValueError(f"{name} is {shortened(said[name])}")
        state = cls(**{name: said[name] for name in _IS_RIGHT})
        if (state.rows > 0) != (state.first is not None and state.last is not None):
            raise ValueError(f"of {state.rows} rows it says {state.first} to {state.last}")
        _refuse_wrong_reports(state.reports, table)
        return state

    def values(self) -> dict[str, Any]:
        """What `of` takes."""
        return dict(vars(self))

    def has_any(self, start: str | None, end: str | None) -> bool:
        """Whether rows can be within two days, both inclusive. None is open."""
        return (
            self.first is not None
            and self.last is not None
            and (start is None or start <= self.last)
            and (end is None or end >= self.first)
        )


def packed(value: object) -> str:
    """Compressed JSON, because every reader of the footer has to read this too."""
    # Base64, because some readers expect the values in a footer to be UTF-8.
    return base64.b64encode(zlib.compress(json.dumps(value).encode(), 1)).decode()


def unpacked(text: str) -> Any:
    """Decode what `packed` returned.

    Raises
    ------
    ValueError
        When the text cannot come from `packed`.
    """
    try:
        return json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
    except (zlib.error, RecursionError) as error:
        raise ValueError(str(error)) from error


def revisions(state: State) -> tuple[Revision, ...]:
    """Revisions that a state holds.

    Raises
    ------
    TypeError, ValueError
        When the state holds something else there.
    """
    if state.revisions is None:
        return ()
    rows = unpacked(state.revisions)
    if type(rows) is not list:
        raise ValueError(f"revisions are {shortened(rows)}")
    found = tuple(Revision(*row) for row in rows)
    for one in found:
        if not (_is_day(one.day) and _is_text(one.column) and _is_moment(one.seen_s)):
            raise ValueError(f"a revision is {shortened(tuple(one))}")
    return found


def _refuse_wrong_reports(reports: Sequence[Mapping[str, Any]], table: Table) -> None:
    """Check the reports column by column, which is faster: there may be hundreds."""
    if not reports:
        return
    if not all(type(report) is dict for report in reports):
        raise ValueError("a report is not an object")
    checks = {attr.name: _REPORTED[attr.kind] for attr in table.attrs}
    for name, is_right in {**checks, FIRST_SEEN: _or_none(_is_moment)}.items():
        for value in [report.get(name) for report in reports]:
            if not is_right(value):
                raise ValueError(f"{name} of a report is {shortened(value)}")


# -- what a value may be ------------------------------------------------------------------------


def _or_none(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_right(value)


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_day(value: Any) -> bool:
    return type(value) is str and len(value) == len("YYYY-MM-DD")


def _is_int(value: Any) -> bool:
    # isinstance() would accept True.
    return type(value) is int and value in _INT64


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or _is_int(value)


def _is_moment(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value) and abs(value) < _LATEST_S


_IS_RIGHT: dict[str, Callable[[Any], bool]] = {
    "code": _is_text,
    "rows": lambda value: _is_int(value) and value >= 0,
    "first": _or_none(_is_day),
    "last": _or_none(_is_day),
    "is_complete": lambda value: type(value) is bool,
    "cursor": _or_none(_is_text),
    "checked_s": _or_none(_is_moment),
    "walked_s": _or_none(_is_moment),
    "adjusted_s": _or_none(_is_moment),
    "reports": lambda value: isinstance(value, (list, tuple)),
    "revisions": _or_none(_is_text),
    "superseded": _or_none(_is_text),
}
_REPORTED = {
    "count": _or_none(_is_int),
    "number": _or_none(_is_number),
    "price": _or_none(_is_number),
    "day": _or_none(_is_text),
}
