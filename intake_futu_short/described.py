"""Describes values in messages: short harmless ones as they are, others by type and length. Pure.

Users sometimes put keys and passwords in the wrong place, and messages end up in logs and reports.
"""

from __future__ import annotations

import datetime as dt
import numbers
import re
from collections.abc import Sized
from typing import Any
from urllib.parse import unquote

__all__ = ["described", "described_path", "is_like_key", "is_like_secret", "kind"]

MAX_SHOWN = 60
# Longest name of a file and longest path that operating systems accept.
_MAX_NAME, _MAX_PATH = 255, 4096
# An unbroken run of base64's characters, from both of its alphabets.
_RUN = re.compile(r"[A-Za-z0-9+/=_-]{24,}")
# A line of a key has 64 of them; the names of a path have other characters between them.
_LINES = re.compile(r"[A-Za-z0-9+/=]{64,}")
# Words within names of a path; those of base64 are shorter than any language's.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^A-Za-z0-9/]+")
_WORD_LENGTH = 3
# What may stand between the pieces of a key: blanks, also as text, quotes and brackets.
_BETWEEN = re.compile(r"\\+[nrt]|[\s\"',()\[\]{}]")


def described(value: Any) -> str:
    """Describe a value that a user gave, for a message.

    Parameters
    ----------
    value : object
        Any object.

    Returns
    -------
    str
        ``repr`` of short text that looks like no secret, of numbers, dates and pairs of numbers;
        the type and the length of anything else.
    """
    if isinstance(value, str):
        is_shown = len(value) <= MAX_SHOWN and not is_like_secret(value)
        return repr(str(value)) if is_shown else kind(value)
    if _is_harmless(value):
        return repr(value)
    if type(value) in {tuple, list} and len(value) <= 2 and all(map(_is_harmless, value)):
        return repr(value)
    return kind(value)


def described_path(path: str) -> str:
    """A path for a message: the path itself, unless it looks like a secret in the wrong place."""
    is_run = _LINES.fullmatch(path) and not _is_words(path)
    return kind(path) if is_run or is_like_key(path) else repr(path)


def is_like_key(text: str) -> bool:
    """Whether a text given as a path is a key or a part of one, in any notation."""
    plain = _BETWEEN.sub("", unquote(text))
    if "-----" in plain or "\n" in text or "\r" in text or len(text) > _MAX_PATH:
        return True
    if any(len(name) > _MAX_NAME for name in re.split(r"[/\\]", text)):
        return True
    # An absolute path may consist only of such characters.
    is_absolute = plain.startswith("/")
    is_run = bool(_LINES.fullmatch(plain)) and _is_mixed(plain)
    return is_run and not is_absolute and not _is_words(plain)


def is_like_secret(text: str) -> bool:
    """Whether a text looks like a key or a token, or has one in it."""
    return is_like_key(text) or any(map(_is_mixed, _RUN.findall(unquote(text))))


def _is_mixed(run: str) -> bool:
    """Whether letters and digits are mixed as in base64 and in hexadecimal, and not as in words."""
    has_digit = any(c.isdigit() for c in run)
    has_both_cases = run != run.lower() and run != run.upper()
    return has_digit and (has_both_cases or bool(re.fullmatch("[0-9A-Fa-f]+", run)))


def _is_words(run: str) -> bool:
    """Whether letters and digits are those of names that people give, such as Reports2024."""
    words = _WORD.findall(run)
    return sum(map(len, words)) >= _WORD_LENGTH * len(words)


def _is_harmless(value: Any) -> bool:
    """Whether it is a short number, a date, or a missing value."""
    if isinstance(value, int):
        return value.bit_length() < 128  # Python refuses to write the longest out
    if value is None or isinstance(value, (dt.date, dt.timedelta, float)):
        return True
    # Types are known by their names, so that NumPy and pandas need not be imported.
    is_numpys = type(value).__module__ == "numpy" and isinstance(value, numbers.Number)
    return is_numpys or type(value).__name__ in {"bool", "bool_", "datetime64", "NAType"}


def kind(value: Any) -> str:
    """Type of a value, and its length where it has one."""
    name = type(value).__name__
    try:
        length = len(value) if isinstance(value, Sized) else None
    except Exception:  # noqa: BLE001 - the length of anything at all, such as an array of none
        length = None
    if not (name.isidentifier() and len(name) <= MAX_SHOWN):
        name = "object"
    return name if length is None else f"{name} of length {length:,}"
