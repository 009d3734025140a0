"""Watchlists: a file that names codes → the codes, or a `ConfigError` that says which line.

The text is read elsewhere; here it is only understood. Pure.
"""

from __future__ import annotations

import csv
import json
from typing import Any

import yaml

from intake_futu_short.errors import ConfigError
from intake_futu_short.security import Security

__all__ = ["parse"]

ACCEPTED = (
    "a code a line (# begins a comment), a CSV file with a column 'code', or a YAML or JSON list"
)


def parse(text: str, name: str) -> list[str]:
    """Read the codes of a watchlist, each once, in the order of the file.

    Parameters
    ----------
    text : str
        What the file holds. A suffix ``.csv``, ``.json``, ``.yaml`` or ``.yml`` of `name` says how
        it is written; any other file holds a code a line.
    name : str
        URL or path of the file, for its suffix and for messages.

    Raises
    ------
    ConfigError
        For a line that holds no code, with its number, and for a file without any code.
    """
    suffix = name.partition("?")[0].rpartition(".")[2].lower()
    text = text.removeprefix("\ufeff")
    if suffix == "csv":
        found = _csv(text, name)
    elif suffix in {"json", "yaml", "yml"}:
        found = _items(text, name, suffix)
    else:
        found = _lines(text)
    codes = [_code(value, f"watchlist {name}, {where}") for where, value in found]
    if not codes:
        raise ConfigError(f"watchlist {name} holds no codes; expected {ACCEPTED}")
    return list(dict.fromkeys(codes))


Found = list[tuple[str, object]]


def _code(value: object, where: str) -> str:
    try:
        return Security.parse(value).code
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _lines(text: str) -> Found:
    lines = enumerate(text.splitlines(), 1)
    stripped = ((number, line.partition("#")[0].strip()) for number, line in lines)
    return [(f"line {number}", line) for number, line in stripped if line]


def _csv(text: str, name: str) -> Found:
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    columns = {column.strip().lower(): column for column in rows.fieldnames or () if column}
    if "code" not in columns:
        raise ConfigError(
            f"watchlist {name} has no column 'code', only {list(rows.fieldnames or ())!r}"
        )
    found: Found = []
    try:
        for row in rows:
            value = (row[columns["code"]] or "").strip()
            if value or any(row.values()):
                found.append((f"line {rows.line_num}", value))
    except csv.Error as error:
        raise ConfigError(f"watchlist {name}, line {rows.line_num + 1}: {error}") from error
    return found


def _items(text: str, name: str, suffix: str) -> Found:
    try:
        # Every JSON file is YAML, but tabs and some escapes are not.
        items: Any = json.loads(text) if suffix == "json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"watchlist {name} is not valid {suffix.upper()}: {error}") from error
    if not isinstance(items, list):
        raise ConfigError(f"watchlist {name} holds no list of codes, but {type(items).__name__}")
    return [(f"item {number}", item) for number, item in enumerate(items, 1)]
