"""Parses watchlists: the text of a file → its codes, or a `ConfigError` that names the line. Pure.

`intake_futu_short.watchlist_reading` reads the file itself.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from typing import Any

import yaml

from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError
from intake_futu_short.security import Security

__all__ = ["decoded", "parse"]

ACCEPTED = (
    "one code per line (# begins a comment), a CSV file with a column 'code', or a list in YAML "
    "or JSON"
)

# Lines end here. Python, and YAML too, would also end them within names of companies.
_LINE_END = re.compile(r"\r\n|\r|\n")
_NO_LINE_END = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Tried in this order.
_SEPARATORS = ",\t;|"
_COLUMNS_SHOWN = 10
# A first line that tells Excel the separator.
_SEP_LINE = re.compile(r'"?sep=.?"?,?', re.IGNORECASE)


def decoded(data: bytes, name: str) -> str:
    """Decode a watchlist, which must be UTF-8.

    Parameters
    ----------
    data : bytes
        The file's content.
    name : str
        URL or path of the file, for messages.

    Raises
    ------
    ConfigError
        When it is not UTF-8. The message says what it seems to be.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf_8(data, name) from error
    if "\0" in text:
        raise _not_utf_8(data, name)
    return text


def _not_utf_8(data: bytes, name: str) -> ConfigError:
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return ConfigError(
            f"watchlist {name} is no text, but an Excel workbook or a zip file. Save the sheet as "
            "CSV in UTF-8; of a file in an archive the URL is 'zip://codes.csv::list.zip'"
        )
    if data.startswith(b"\x1f\x8b"):
        return ConfigError(f"watchlist {name} is no text, but a file of gzip: unpack it first")
    zeros = data.count(0)
    if zeros > len(data) // 2 or data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        likely = ["UTF-32"]
    elif zeros > 1 or data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        likely = ["UTF-16"]
    elif zeros:
        likely = []
    elif not re.search(rb"[\x80-\xff]{2}", data):  # letters with accents stand alone
        likely = ["Windows-1252"]
    else:
        likely = [label for label in ("GBK", "Big5") if _is_text_in(label, data)]
    advice = (
        f"It seems to be in {' or '.join(likely)}: save it as UTF-8" if likely else "Save it so"
    )
    return ConfigError(f"watchlist {name} is not text in UTF-8. {advice}")


def _is_text_in(encoding: str, data: bytes) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def parse(text: str, name: str) -> list[str]:
    """Read the codes of a watchlist, each once, in the order of the file.

    Parameters
    ----------
    text : str
        The file's content. The suffix of `name` (``.csv``, ``.tsv``, ``.json``, ``.yaml`` or
        ``.yml``) gives its format. Any other file has one code per line, unless its first line
        names columns, among them ``code``. Lines end only with CR, LF or CRLF. Columns may be
        separated by commas, tabs, semicolons or bars.
    name : str
        URL or path of the file, for its suffix and for messages. In a chained URL the first part
        counts, which is the file in an archive.

    Raises
    ------
    ConfigError
        For a line that holds no code, with its number, and for a file without any code.
    """
    suffix = _suffix(name)
    text = text.removeprefix("\ufeff")
    if suffix in {"json", "yaml", "yml"}:
        found = _items(text, name, suffix)
    elif suffix in {"csv", "tsv"} or _names_columns(text):
        found = _csv(text, name)
    else:
        found = _lines(text)
    codes = [_code(value, f"watchlist {name}, {where}") for where, value in found]
    if not codes:
        raise ConfigError(f"watchlist {name} holds no codes; expected {ACCEPTED}")
    return list(dict.fromkeys(codes))


Found = list[tuple[str, object]]


def _suffix(name: str) -> str:
    parts = name.split("::")
    # A part without a path, as in simplecache::URL, is not a file.
    file = next((part for part in parts if "://" in part), parts[-1])
    found = re.search(r"\.(\w+)(?=[?#]|\Z)", file)
    return found[1].lower() if found else ""


def _code(value: object, where: str) -> str:
    try:
        return Security.parse(value).code
    except ConfigError as error:
        # One code and more beside it.
        is_named = "Did you mean" in str(error) and len(str(value).split()) > 1
        advice = " A name stands behind a #, or in a column of its own." if is_named else ""
        if "Several codes" in str(error):
            advice = " In a watchlist each has a line or an item of its own."
        raise ConfigError(f"{where}: {error}{advice}") from error


def _lines(text: str) -> Found:
    lines = enumerate(_LINE_END.split(text), 1)
    stripped = ((number, line.partition("#")[0].strip()) for number, line in lines)
    return [(f"line {number}", line) for number, line in stripped if line]


def _names_columns(text: str) -> bool:
    """Whether the first line holds the names of columns, as in a CSV file that is piped in."""
    _, table = _without_preamble(text)
    line, *_ = _LINE_END.split(table, 1)
    return "code" in {cell.strip(" \"'").lower() for cell in re.split(f"[{_SEPARATORS}]", line)}


def _csv(text: str, name: str) -> Found:
    found: Found = []
    begins, text = _without_preamble(text)
    rows = _rows(text, ",")
    try:
        tried = [(rows, _columns(rows)) for rows in (_rows(text, one) for one in _SEPARATORS)]
        rows, columns = next((one for one in tried if "code" in one[1]), tried[0])
        if "code" not in columns:
            raise ConfigError(
                f"watchlist {name} has no column 'code', only {_named(rows)}: its first line has "
                "to name the columns"
            )
        if len(columns["code"]) > 1:
            raise ConfigError(f"watchlist {name} has {len(columns['code'])} columns 'code'")
        (column,) = columns["code"]
        first = (rows.fieldnames or [column])[0]
        for row in rows:
            value = (row[column] or "").strip()
            is_comment = (row[first] or "").lstrip().startswith("#")
            if not is_comment and (value or any(row.values())):
                found.append((f"line {begins + rows.line_num}", value))
        _check_quotes(text, rows)
    except csv.Error as error:
        line = begins + rows.line_num + 1
        raise ConfigError(f"watchlist {name}, line {line}: {error}") from error
    return found


def _check_quotes(text: str, rows: csv.DictReader[str]) -> None:
    """Refuse a quote that is not closed, because it swallows the lines after it."""
    lines = io.StringIO(text, newline="")
    try:
        for _ in csv.reader(lines, rows.reader.dialect, strict=True):
            pass
    except csv.Error as error:
        if "end of data" in str(error):
            raise csv.Error("a quote is not closed") from error


def _without_preamble(text: str) -> tuple[int, str]:
    """Number of lines before the names of the columns, and the text without these lines."""
    begins = 0
    while text:
        line, *_ = _LINE_END.split(text, 1)
        if line.strip() and not line.lstrip().startswith("#") and not _SEP_LINE.fullmatch(line):
            break
        begins, text = begins + 1, _LINE_END.sub("", text[len(line) :], 1)
    return begins, text


def _rows(text: str, separator: str) -> csv.DictReader[str]:
    # Without newline="" StringIO would leave a CR within a line.
    lines = io.StringIO(text, newline="")
    return csv.DictReader(lines, delimiter=separator, skipinitialspace=True)


def _columns(rows: csv.DictReader[str]) -> dict[str, list[str]]:
    """Columns as the file names them, by their names in small letters."""
    found: dict[str, list[str]] = {}
    for column in rows.fieldnames or ():
        found.setdefault(column.strip().lower(), []).append(column)
    return found


def _named(rows: csv.DictReader[str]) -> str:
    # A file that is not a list of codes may be a key, so its text is described, not quoted.
    named = [described(column) for column in rows.fieldnames or ()]
    more = ", …" if len(named) > _COLUMNS_SHOWN else ""
    return f"[{', '.join(named[:_COLUMNS_SHOWN])}{more}]"


def _items(text: str, name: str, suffix: str) -> Found:
    try:
        # Every JSON file is YAML, but tabs and some escapes are not.
        is_json = suffix == "json"
        items: Any = json.loads(text) if is_json else yaml.safe_load(_NO_LINE_END.sub(" ", text))
    except RecursionError as error:
        raise ConfigError(
            f"watchlist {name} is nested too deeply; expected a plain list of codes"
        ) from error
    except (ValueError, yaml.YAMLError) as error:
        why, place = str(error), ""
        if isinstance(error, yaml.MarkedYAMLError):
            # Without the lines that it quotes, which may hold a secret.
            mark = error.problem_mark or error.context_mark
            place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            why = re.sub("'[^']{24,}'", "a name", error.problem or "")
        # json keeps all of the text in its error, and a traceback of YAML's quotes it.
        raise ConfigError(f"watchlist {name} is not valid {suffix.upper()}{place}: {why}") from None
    if not isinstance(items, list):
        raise ConfigError(f"watchlist {name} holds no list of codes, but {type(items).__name__}")
    return [(f"item {number}", item) for number, item in enumerate(items, 1)]
