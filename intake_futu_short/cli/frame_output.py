"""Selects the rows of a frame that a command shows, and writes them as a table or as a file."""

from __future__ import annotations

import io
import json
import math
import shutil
from typing import TYPE_CHECKING

from intake_futu_short.calls import AGGREGATE_NAMES, PUBLISHED
from intake_futu_short.cli import tables
from intake_futu_short.repr_table import counted
from intake_futu_short.security import SYNTHETIC

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

__all__ = ["FORMATS", "cut", "format_of", "render", "summary", "synthetic_note"]

FORMATS = ("csv", "json", "parquet", "table")
# Longer tables show their two ends.
TABLE_ROWS = 40


def format_of(path: str) -> str | None:
    """The format by the ending of a file's name; None when the ending names none."""
    suffix = path.rpartition(".")[2].lower()
    return suffix if suffix in {"csv", "json", "parquet"} else None


def cut(frame: pd.DataFrame, start: str | None, last: int | None) -> pd.DataFrame:
    """Keep the rows from a day on, and of these the newest of each ticker.

    Parameters
    ----------
    frame : pandas.DataFrame
        With a RangeIndex, as the result has.
    start : str or None
        The first day, ``YYYY-MM-DD``.
    last : int or None
        How many rows of each ticker.
    """
    if start is not None:
        frame = frame[frame["timestamp_str"] >= start].reset_index(drop=True)
        frame.attrs.pop("start", None)  # the rows before it are cut off
    if last is not None:
        ordered = frame.sort_values("timestamp_str", ascending=False, kind="stable")
        newest = (ordered.groupby("code") if "code" in frame else ordered).head(last)
        frame = frame.loc[newest.index.sort_values()].reset_index(drop=True)
    return frame


def render(frame: pd.DataFrame, form: str) -> bytes:
    """Write a frame out.

    Parameters
    ----------
    frame : pandas.DataFrame
        With a RangeIndex, which is not written.
    form : {"csv", "json", "parquet", "table"}
        JSON is a list of objects, a row each. Missing values are empty in CSV and null in JSON,
        as is what JSON has no number for. Numbers are written so that they read back as they are.
        Parquet keeps the ``attrs``.

    Raises
    ------
    ImportError
        When Parquet is asked for and pyarrow is not installed.
    """
    if form == "parquet":
        buffer = io.BytesIO()
        frame.to_parquet(buffer, engine="pyarrow", index=False)
        return buffer.getvalue()
    if form == "csv":
        return frame.to_csv(index=False, lineterminator="\n").encode()
    if form == "json":
        if PUBLISHED in frame:
            frame = frame.assign(**{PUBLISHED: frame[PUBLISHED].dt.strftime("%Y-%m-%d")})
        # pandas' own to_json rounds prices.
        is_plain = frame.notna() & ~frame.isin([math.inf, -math.inf])
        plain = frame.astype(object).where(is_plain, None).to_dict("records")
        lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in plain)
        return ("[" + ",\n ".join(lines) + "]\n").encode()
    return _table(frame).encode()


def synthetic_note(codes: Iterable[str]) -> list[str]:
    """A line that names the synthetic tickers among some; none if there are none."""
    found = [code for code in dict.fromkeys(codes) if code in SYNTHETIC]
    return [f"Synthetic, there is no such security: {', '.join(found)}."] if found else []


def summary(frame: pd.DataFrame) -> str:
    """One line: how many rows of which days, and the values beside them."""
    days = frame["timestamp_str"]
    text = counted(len(frame), "row")
    if "code" in frame:
        text += f" of {counted(frame['code'].nunique(), 'ticker')}"
    text += (f", {days.min()} to {days.max()}") if len(frame) else ""
    shares, ratio, as_of = (frame.attrs.get(name) for name in AGGREGATE_NAMES)
    if shares is not None:
        text += f"; reported open short position {shares:,} shares"
        text += "" if ratio is None else f", {ratio} %"
        text += f", as of {as_of}" if as_of else ""
    return text


def _table(frame: pd.DataFrame) -> str:
    import pandas as pd

    if not len(frame):
        return f"{summary(frame)}\n"
    shown = frame
    if len(frame) > TABLE_ROWS:
        half = TABLE_ROWS // 4
        shown = pd.concat([frame.iloc[:half], frame.iloc[-half:]])
    days = tables.cells(shown.drop(columns="timestamp", errors="ignore"))
    if len(frame) > TABLE_ROWS:
        gap = pd.DataFrame([["..."] * days.shape[1]], columns=days.columns)
        days = pd.concat([days.iloc[:half], gap, days.iloc[half:]])
    return (
        f"{tables.wrapped(summary(frame))}\n\n{_laid_out(days, shutil.get_terminal_size().columns)}"
    )


def _laid_out(texts: pd.DataFrame, width: int) -> str:
    """Columns side by side, in blocks that fit a width; each block begins with ticker and day."""
    names = [name for name in ("code", "timestamp_str") if name in texts]
    others = [name for name in texts.columns if name not in names]
    widths = {name: max(len(name), *map(len, texts[name])) + 2 for name in texts.columns}
    room = width - sum(widths[name] for name in names)
    blocks: list[list[str]] = [[]]
    left = room
    for name in others:
        if blocks[-1] and widths[name] > left:
            blocks.append([])
            left = room
        blocks[-1].append(name)
        left -= widths[name]
    written = (tables.table(texts[[*names, *block]], ("code", "timestamp_str")) for block in blocks)
    return "\n".join(written)
