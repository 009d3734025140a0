"""Turns arguments of users and catalogs into plain YAML values, or raises a `ConfigError`. Pure.

Templates of catalogs give strings: ``""`` for a variable that is not set, ``"50"`` for a number,
``"2026-01-02 00:00:00"`` for a date, ``"['US.A', 'US.B']"`` for a list.

`intake_futu_short.days.date` reads days; this module exports it too.
"""

from __future__ import annotations

import ast
import copy
import datetime as dt
import difflib
import math
import numbers
import os
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from intake_futu_short import days
from intake_futu_short.days import date
from intake_futu_short.described import described, is_like_key
from intake_futu_short.errors import ConfigError
from intake_futu_short.opend.address import GatewayURL, key_path
from intake_futu_short.security import Security
from intake_futu_short.wording import argument, either, keyword

if TYPE_CHECKING:
    from intake_futu_short.security import Market

__all__ = [
    "any_codes",
    "choice",
    "codes",
    "date",
    "errors",
    "flag",
    "gateways",
    "interval",
    "listed",
    "metadata",
    "moment",
    "pages",
    "plates",
    "refresh",
    "rows",
    "rows_a_page",
    "rsa_key",
    "seconds",
    "storage_options",
    "store",
    "warmup",
    "whole",
]

MAX_ROWS_A_PAGE = 50
DEFAULT_TIMEOUT_S = 12.0
DEFAULT_ROWS = 100
# The largest number that fits the offset of a request.
MAX_ROWS = 2**31 - 1
REFRESHES = ("auto", "always", "full", "never")


def any_codes(value: object) -> list[str]:
    """Codes of any markets, each once in the order given; one code is a list of one."""
    items = listed(value)
    given = [value] if items is None else items
    return list(dict.fromkeys(Security.parse(item).code for item in given))


def codes(value: object) -> str | list[str]:
    """``code``: one code, or a list of codes of one market, each once in the order given."""
    given = listed(value)
    if given is None:
        return Security.parse(value).code
    if not given:
        raise ConfigError("code is an empty list: a panel needs one code or more")
    securities = [Security.parse(item) for item in given]
    first = securities[0]
    other = next((s for s in securities if s.market != first.market), None)
    if other is not None:
        raise ConfigError(
            f"code names the markets {first.market.name} ({first}) and {other.market.name} "
            f"({other}), whose columns differ: read a panel of each"
        )
    return list(dict.fromkeys(security.code for security in securities))


def whole(name: str, value: object, low: int, high: int | None, unit: str) -> int:
    """Give a whole number within bounds; None for `high` sets none."""
    number = _number(value)
    bounds = f"{low} to {high}" if high is not None else f"{low} or more"
    if (
        number is None
        or not number.is_integer()
        or number < low
        or (high is not None and number > high)
    ):
        raise ConfigError(
            f"{name} must be a whole number, {bounds} ({unit}), not {described(value)}"
        )
    return int(number)


def rows_a_page(value: object) -> int:
    """``num``: rows per page, 1 to 50; 50 when left open."""
    if _is_open(value):
        return MAX_ROWS_A_PAGE
    return whole("num", value, 1, MAX_ROWS_A_PAGE, "rows per page")


def pages(value: object) -> int | None:
    """``max_pages``: the largest number of pages; None (all) when left open."""
    if _is_open(value):
        return None
    return whole("max_pages", value, 1, None, "pages")


def choice(name: str, value: object, names: Collection[str], default: str) -> str:
    """One of some names; `default` when left open."""
    if _is_open(value):
        return default
    given = value.strip() if isinstance(value, str) else ""
    if given in names:
        return given
    same = [one for one in names if one.lower() == given.lower()]
    meant = same or difflib.get_close_matches(given.lower(), names, 1)
    advice = f". Did you mean {meant[0]!r}?" if meant else ""
    raise ConfigError(f"{name} must be one of {', '.join(names)}, not {described(value)}{advice}")


def rows(value: object) -> int:
    """``rows``: the largest number of rows; 100 when left open."""
    if _is_open(value):
        return DEFAULT_ROWS
    return whole("rows", value, 1, MAX_ROWS, "rows of the rank")


def plates(value: object, within: Market) -> list[str] | None:
    """``plates``: codes of plates of a market, each once in the order given; None for all."""
    if _is_open(value):
        return None
    given = listed(value)
    if given is not None and not given:
        raise ConfigError("plates is an empty list: name one plate or more, or leave it out")
    name = either("plates", "--plate")
    found: list[str] = []
    for item in [value] if given is None else given:
        try:
            plate = Security.parse(item)
        except ConfigError as error:
            raise ConfigError(
                f"plates must be codes of plates such as '{within.name}.BK2024', or a list of "
                f"them: {error}"
            ) from error
        if plate.market != within:
            raise ConfigError(
                f"{name} names {plate}, and the rank is of the market {within.name}: its plates "
                f"have codes such as '{within.name}.BK2024'"
            )
        found.append(plate.code)
    return list(dict.fromkeys(found))


def flag(name: str, value: object, default: bool) -> bool:
    """True or false, also as a template writes it; `default` when left open."""
    if _is_open(value):
        return default
    if isinstance(value, str) and value.strip().lower() in {"true", "false"}:
        return value.strip().lower() == "true"
    if isinstance(value, bool) or type(value).__name__ in {"bool", "bool_"}:  # also numpy's
        return bool(value)
    raise ConfigError(f"{name} must be true or false, not {described(value)}")


def seconds(value: object) -> float:
    """``timeout``: seconds, more than 0; 12 when left open."""
    if _is_open(value):
        return DEFAULT_TIMEOUT_S
    number = _number(value)
    if number is None or not 0 < number < math.inf:
        raise ConfigError(
            f"{argument('timeout')} must be a number of seconds greater than 0, "
            f"not {described(value)}"
        )
    return number


def interval(start: object, end: object) -> tuple[str | None, str | None]:
    """``start`` and ``end``, in order."""
    first, last = date("start", start), date("end", end)
    if first is not None and last is not None and first > last:
        raise ConfigError(f"{argument('start')} ({first}) is after {argument('end')} ({last})")
    return first, last


def warmup(value: object, start: str | None) -> int | None:
    """``warmup``: sessions before `start` that are returned too; None when left open, and for 0.

    An error without `start`.
    """
    sessions = 0 if _is_open(value) else whole("warmup", value, 0, None, "sessions before start")
    if sessions and start is None:
        raise ConfigError(
            f"warmup={sessions} asks for the sessions before start=, but no start= is given"
        )
    return sessions or None


def moment(name: str, value: Any, market: Market) -> float | None:
    """A moment as Unix seconds: a time with a zone, or a date for the end of its day in a market.

    None when left open. A time without a zone could be any market's, and is refused.
    """
    if _is_open(value):
        return None
    plain = value
    is_text = isinstance(value, str) or type(value).__name__ == "datetime64"
    text = str(value).strip() if is_text else ""
    try:
        if is_text and not days.is_day(text):
            # Python 3.10 reads no Z.
            plain = dt.datetime.fromisoformat(re.sub(r"[Zz]\Z", "+00:00", text))
    except ValueError:  # whose words quote all of it
        raise ConfigError(f"{_a_moment(name)}, not {described(value)}") from None
    if not isinstance(plain, dt.datetime):
        try:
            day = dt.date.fromisoformat(date(name, value) or "")
        except ConfigError as error:
            raise ConfigError(f"{_a_moment(name)}, not {described(value)}") from error
        # The last microsecond of the day: midnight belongs to the next day.
        return market.midnight((day + dt.timedelta(days=1)).isoformat()) - 1e-6
    if plain.tzinfo is None:
        raise ConfigError(f"{_a_moment(name)}; {value} has no zone")
    return plain.timestamp()


def _a_moment(name: str) -> str:
    return (
        f"{argument(name)} must be a time with a zone such as '2026-01-02T18:00+08:00', or a date "
        "such as '2026-01-02' or '20260102' (the end of that day in the market)"
    )


def gateways(value: object) -> str | list[str] | None:
    """``gateway``: a URL in its plain form, or a list of them; None asks the environment."""
    if _is_open(value):
        return None
    given = listed(value)
    if given is None:
        return str(GatewayURL.parse(value))
    if not given:
        raise ConfigError("gateway is an empty list: name one gateway or more, or leave it out")
    urls = list(dict.fromkeys(GatewayURL.parse(item) for item in given))
    if len(urls) > 1 and any(url.is_sample for url in urls):
        raise ConfigError("gateway names the sample beside others: their rows must not be mixed")
    places = [(url.host, url.port) for url in urls]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise ConfigError(f"gateway names {twice[0]}:{twice[1]} twice, with different options")
    return str(urls[0]) if len(urls) == 1 else [str(url) for url in urls]


def errors(value: object) -> str | None:
    """``errors``: "warn", or None for "raise", the default."""
    if _is_open(value):
        return None
    if not isinstance(value, str) or value not in {"raise", "warn"}:
        raise ConfigError(
            "errors must be 'raise' or 'warn' (what to do if a ticker of many fails), "
            f"not {described(value)}"
        )
    return None if value == "raise" else "warn"


def rsa_key(value: object) -> str | None:
    """Path of an RSA key, as it was given; None when left open."""
    if _is_open(value):
        return None
    return key_path(os.fspath(value) if isinstance(value, os.PathLike) else value)


def store(value: object) -> str | None:
    """URL or directory of a store, as it was given; None when left open."""
    if _is_open(value):
        return None
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str) or ("://" not in path and is_like_key(path)):
        raise ConfigError(
            f"{argument('store')} must be a directory or a URL such as 's3://bucket/short', "
            f"not {described(value)}"
        )
    return path.strip()


def storage_options(value: object) -> dict[str, Any] | None:
    """Options of a store's file system, in the order of their names; None for none."""
    if _is_open(value):
        return None
    options = _mapping(value) if isinstance(value, str) else value
    if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
        # The message does not show the value, because it may be a secret.
        raise ConfigError(
            "storage_options must be a mapping of names to values, such as {'anon': True}, not "
            f"{type(value).__name__}"
        )
    for name, option in options.items():
        if is_like_key(name):
            raise ConfigError(
                f"storage_options must name options such as 'anon', not {described(name)}"
            )
        if not _is_plain(option):
            raise ConfigError(
                f"storage_options[{described(name)}] must be a plain value (text, number, true or "
                f"false, or a list or mapping of these), not {type(option).__name__}"
            )
    return {name: copy.deepcopy(options[name]) for name in sorted(options)} or None


def metadata(value: object) -> dict[str, Any]:
    """``metadata``: a copy of the caller's mapping; an empty one when left open."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"metadata must be a mapping, not {described(value)}")
    return copy.deepcopy(dict(value))


def refresh(value: object, store: str | None) -> str | None:
    """``refresh``: one of `REFRESHES`, or None for "auto", the default."""
    if _is_open(value):
        return None
    if not isinstance(value, str) or value not in REFRESHES:
        raise ConfigError(
            f"{argument('refresh')} must be one of {', '.join(REFRESHES)}, not {described(value)}"
        )
    if value == "never" and store is None:
        raise ConfigError(
            f"{argument('refresh', 'never')} reads only a store, but no {keyword('store')} is given"
        )
    return None if value == "auto" else str(value)


def _is_plain(value: object) -> bool:
    if type(value) is dict:
        return all(isinstance(name, str) and _is_plain(item) for name, item in value.items())
    if type(value) is list:
        return all(map(_is_plain, value))
    return value is None or type(value) in {str, int, float, bool}


def _is_open(value: object) -> bool:
    """Whether nothing was given: None, or the empty string of a template that found nothing."""
    return value is None or (isinstance(value, str) and not value.strip())


def listed(value: Any) -> list[Any] | None:
    """Items of any iterable, or of a list that a template wrote as text.

    None for a single value. Sets have no order and are sorted.
    """
    if isinstance(value, str) and value.strip()[:1] in {"[", "("}:
        try:
            value = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None  # whoever reads it as something else says what is expected
    if isinstance(value, (str, bytes, bytearray, Mapping)):
        return None
    try:
        items = iter(value)
    except TypeError:  # also an array of no dimension
        return None
    # Arrow's arrays hold scalars of Arrow's own types.
    plain = [item.as_py() if hasattr(item, "as_py") else item for item in items]
    return sorted(plain, key=str) if isinstance(value, (set, frozenset)) else plain


def _mapping(text: str) -> object:
    """The value that a string spells out in Python or JSON; else the string itself."""
    import yaml  # noqa: PLC0415 - reads both, and is needed here only

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # no such date; too many brackets
        return text


def _number(value: Any) -> float | None:
    """A number, also one written as a string; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, numbers.Real)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
