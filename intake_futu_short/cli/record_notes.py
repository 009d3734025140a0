"""Turns answers into entries of a record, without anything private. Pure.

A record is for others to read. It has market data and the gateway's own words. A cursor, which may
hold anything, is described by its shape only.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import TYPE_CHECKING, Any

from google.protobuf.unknown_fields import UnknownFieldSet

from intake_futu_short.errors import ProtocolError, ReplyError
from intake_futu_short.opend.replies import text
from intake_futu_short.pages import END
from intake_futu_short.security import MARKETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from intake_futu_short.calls import Column, Table

__all__ = ["cursor_shape", "error_note", "page_note", "rank_note", "scrubbed", "summary"]

# Cursors have about ten characters. Of a much longer one, the first hundred show the shape.
MAX_PATTERN = 100
# Rows of a rank that are kept whole: enough to see what a row holds.
RANK_ROWS = 5

_PART = r"[^\s/\\'\"]+(?: [^\s/\\'\"]+)*"
_MASKS = (
    ("<url>", re.compile(r"\w+://\S+")),
    ("<mail>", re.compile(r"[\w.+-]+@[\w.-]+")),
    # With their ports. This also matches times of day, which does no harm.
    ("<address>", re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", re.ASCII)),
    ("<address>", re.compile(r"(?<![\w:])\[?(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}\]?")),
    (
        "<host>",
        re.compile(
            r"\b(?:[\w-]*[A-Za-z][\w-]*\.)+(?:com|net|org|io|cn|local|localdomain|lan|internal|home)"
            r"\b(?::\d+)?",
            re.ASCII | re.IGNORECASE,
        ),
    ),
    # A part of a path may hold blanks if a separator follows.
    (
        "<path>",
        re.compile(
            rf"(?:(?:~|(?<![A-Za-z])[A-Za-z]:)[/\\](?:{_PART}[/\\])*"
            rf"|(?<![A-Za-z0-9_/\\])[/\\][A-Za-z_.][^\s/\\]*[/\\](?:{_PART}[/\\])*)[^\s'\",;)\uff0c\u3002\uff1b\uff09]+"
        ),
    ),
    ("<port>", re.compile(r"(?<=port )\d+|(?<=端口)\d+", re.IGNORECASE)),
    ("<token>", re.compile(r"\b(?=[A-Za-z]*\d)[A-Za-z0-9]{16,}\b", re.ASCII)),
    # Accounts, users and connections have numbers of this length; HK codes have five digits.
    ("<number>", re.compile(r"\d{6,}", re.ASCII)),
)  # fmt: skip
_MARKETS_BY_NUMBER = {market.number: market.name for market in MARKETS.values()}


def scrubbed(words: str, secrets: Iterable[str] = ()) -> str:
    """A text without anything that could identify the gateway's owner.

    Parameters
    ----------
    words : str
        Of the gateway, or of an error.
    secrets : iterable of str
        Texts that are private, such as the host; masked wherever they stand alone.
    """
    for name, mask in _MASKS:
        words = mask.sub(name, words)
    for secret in filter(None, secrets):
        words = re.sub(rf"(?<![A-Za-z0-9_]){re.escape(secret)}(?![A-Za-z0-9_])", "<private>", words)
    return words


def cursor_shape(cursor: str, equals: str | None = None) -> dict[str, Any]:
    """The shape of a cursor, without its content.

    Parameters
    ----------
    cursor : str
        As the gateway sent it.
    equals : str, optional
        The public value that it was found to equal.
    """
    shape: dict[str, Any] = {
        "length": len(cursor),
        "characters": _classes(cursor),
        "pattern": _pattern(cursor),
        "reads_as": _readings(cursor),
    }
    if equals is not None:
        shape["equals"] = equals
    return shape


def page_note(answer: Any, table: Table) -> dict[str, Any]:
    """The entry for one page of a ticker: its rows as they came, its cursor, the absent fields."""
    rows = list(getattr(answer, table.field))
    days = [day for row in rows if (day := _day(row, table))]
    note: dict[str, Any] = {
        "rows": len(rows),
        "newest": max(days, default=None),
        "oldest": min(days, default=None),
        "next_key": _cursor_note(answer, rows),
    }
    others = {"us_items", "hk_items"} - {table.field}
    if number := sum(len(getattr(answer, other)) for other in others):
        note["rows_of_another_market"] = number
    if beside := _values(answer, table.attrs):
        note["beside_the_rows"] = beside
    return note | _of_rows(answer, rows, table.columns) | {"values": _all_values(rows, table)}


def rank_note(answer: Any, table: Table) -> dict[str, Any]:
    """The entry for one answer of the rank: its securities, and the first rows whole."""
    rows = list(getattr(answer, table.field))
    codes = [_code(row) for row in rows]
    note: dict[str, Any] = {
        "rows": len(rows),
        "all_count": answer.all_count if answer.HasField("all_count") else None,
        "codes": codes,
    }
    values = [
        {"code": code, **row}
        for code, row in zip(codes, _all_values(rows[:RANK_ROWS], table), strict=False)
    ]
    return note | _of_rows(answer, rows, table.columns) | {"values": values}


def error_note(error: Exception, secrets: Sequence[str]) -> dict[str, Any]:
    """The entry for a missing answer: the gateway's own words if it refused, else the error's."""
    if isinstance(error, ReplyError):
        return {
            "came": "refusal",
            "ret_type": error.ret_type,
            "err_code": error.err_code,
            "text": scrubbed(error.message, secrets),
        }
    came = "unreadable" if isinstance(error, ProtocolError) else "nothing"
    return {"came": came, "error": type(error).__name__, "text": scrubbed(str(error), secrets)}


def summary(note: dict[str, Any]) -> str:
    """An entry in a few words, for a line of progress."""
    if note["came"] != "answer":
        return f"{note['came']}: {note['text']}" if note.get("text") else str(note["came"])
    of_all = f" of {note['all_count']}" if note.get("all_count") is not None else ""
    return f"{note['rows']} rows{of_all}"


# -- cursors ----------------------------------------------------------------------------------


def _cursor_note(answer: Any, rows: Sequence[Any]) -> Any:
    if not answer.HasField("next_key"):
        return None
    cursor = text(answer.next_key)
    if cursor in {"", END}:
        return cursor
    last = rows[-1] if rows else None
    public = {str(len(rows)): "the number of rows"}
    if last is not None and last.timestamp_str:
        public[text(last.timestamp_str)] = "the last row's timestamp_str"
    if last is not None and last.HasField("timestamp"):
        public[str(last.timestamp)] = "the last row's timestamp"
        public[str(1000 * last.timestamp)] = "the last row's timestamp in milliseconds"
    return cursor_shape(cursor, public.get(cursor))


def _classes(words: str) -> list[str]:
    classes = {
        "digits": r"[0-9]",
        "lower case": r"[a-z]",
        "upper case": r"[A-Z]",
        "blanks": r"\s",
        "beyond ASCII": r"[^\x00-\x7f]",
    }
    found = [name for name, pattern in classes.items() if re.search(pattern, words)]
    others = sorted(set(re.findall(r"[!-/:-@\[-`{-~]", words)))
    return found + others


def _pattern(words: str) -> str:
    """Digits become 0, letters a or A; other characters stay."""
    for letters, sign in ((r"[0-9]", "0"), (r"[a-z]", "a"), (r"[A-Z]", "A"), (r"[^ -~]", "?")):
        words = re.sub(letters, sign, words)
    return words if len(words) <= MAX_PATTERN else f"{words[:MAX_PATTERN]}..."


def _readings(cursor: str) -> list[str]:
    """Possible meanings of a cursor."""
    if re.fullmatch(r"-?[0-9]+", cursor):
        return ["number"]
    if (kind := _json_kind(cursor)) is not None:
        return [kind]
    standard = cursor.replace("-", "+").replace("_", "/")
    try:
        padded = standard.rstrip("=") + "=" * (-len(standard.rstrip("=")) % 4)
        content = base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        return []
    return [f"base64 of {_content(content)}"]


def _content(content: bytes) -> str:
    try:
        words = content.decode("utf-8")
    except ValueError:
        words = ""
    if not words.isprintable() or not words:
        return f"{len(content)} bytes"
    return _json_kind(words) or f"the text {_pattern(words)}"


def _json_kind(words: str) -> str | None:
    try:
        content = json.loads(words)
    except (ValueError, RecursionError):
        return None
    if isinstance(content, dict):
        return "JSON object"
    return "JSON array" if isinstance(content, list) else None


# -- rows -------------------------------------------------------------------------------------


def _of_rows(answer: Any, rows: Sequence[Any], columns: Sequence[Column]) -> dict[str, Any]:
    """The columns that rows lack, and fields of the wire that this package does not know."""
    absent = {
        column.name: [i for i, row in enumerate(rows) if not row.HasField(column.name)]
        for column in columns
    }
    note: dict[str, Any] = {"absent_in_rows": {name: at for name, at in absent.items() if at}}
    unknown = {
        "answer": _unknown_fields([answer]),
        "rows": _unknown_fields(rows),
    }
    if any(unknown.values()):
        note["unknown_fields"] = unknown
    return note


def _unknown_fields(messages: Iterable[Any]) -> list[int]:
    sets = [UnknownFieldSet(each) for each in messages]
    return sorted({each[i].field_number for each in sets for i in range(len(each))})


def _all_values(rows: Iterable[Any], table: Table) -> list[dict[str, Any]]:
    return [_values(row, table.columns) for row in rows]


def _values(message: Any, columns: Iterable[Column]) -> dict[str, Any]:
    names = [column.name for column in columns]
    return {name: _value(getattr(message, name)) for name in names if message.HasField(name)}


def _value(value: Any) -> Any:
    if isinstance(value, (str, bytes)):
        return text(value)
    # JSON has neither NaN nor infinity.
    return value if math.isfinite(value) else str(value)


def _day(row: Any, table: Table) -> str:
    if row.timestamp_str or not row.HasField("timestamp"):
        return text(row.timestamp_str)
    try:
        return table.market.day(row.timestamp)
    except (ValueError, OverflowError, OSError):  # of no day at all
        return ""


def _code(row: Any) -> str | None:
    if not row.HasField("security"):
        return None
    market = row.security.market
    return f"{_MARKETS_BY_NUMBER.get(market, market)}.{text(row.security.code)}"
