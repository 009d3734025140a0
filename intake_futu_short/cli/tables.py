"""Tables for terminals: aligned numbers with thousands separators, the same in every command."""

from __future__ import annotations

import math
import shutil
import textwrap
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

__all__ = ["MISSING", "beside", "cell", "cells", "padded", "table", "width", "wrapped"]

MISSING = "-"
# Of numbers all as large as this, such as turnovers, nobody reads the decimals.
_LARGE = 100_000


def cell(value: Any) -> str:
    """Write one value: ``1,500``, ``221.1125``, ``yes``, ``2026-01-02``; a dash when missing."""
    import pandas as pd

    if pd.isna(value):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}" if value == value.normalize() else f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4f}" if _has_decimals(value) else str(value)


def cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Write every value of a frame; the numbers of a column have equally many decimals."""
    import pandas as pd

    written = {name: _column(frame[name].tolist()).to_numpy() for name in frame.columns}
    return pd.DataFrame(written, index=frame.index)


def _column(values: list[Any]) -> pd.Series[str]:
    import pandas as pd

    texts = [cell(value) for value in values]
    sizes = [abs(value) for value in values if _has_decimals(value) and value]
    if sizes and min(sizes) >= _LARGE:
        texts = [
            f"{value:,.0f}" if _has_decimals(value) else text
            for text, value in zip(texts, values, strict=True)
        ]
        return pd.Series(texts, dtype=object)
    numbers = [text for text, value in zip(texts, values, strict=True) if _has_decimals(value)]
    spare = min((len(text) - len(text.rstrip("0")) for text in numbers if "." in text), default=0)
    if spare:
        cut = spare + 1 if spare >= 4 else spare
        texts = [
            text[:-cut] if _has_decimals(value) and "." in text else text
            for text, value in zip(texts, values, strict=True)
        ]
    return pd.Series(texts, dtype=object)


def _has_decimals(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def table(frame: pd.DataFrame, left: tuple[str, ...] = ("code",)) -> str:
    """Format a frame: a heading, and a line for each row. Columns in `left` are aligned left."""
    return beside(
        padded([str(name), *_column(frame[name].tolist())], is_text=name in left)
        for name in frame.columns
    )


def padded(texts: Sequence[str], *, is_text: bool) -> list[str]:
    """Pad the texts of a column to one width, aligned right unless `is_text`."""
    most = max(map(width, texts))
    pads = [" " * (most - width(text)) for text in texts]
    return [text + pad if is_text else pad + text for text, pad in zip(texts, pads, strict=True)]


def wrapped(text: str, indent: int = 0) -> str:
    """Break a sentence where the terminal ends; further lines are indented."""
    return textwrap.fill(
        text, shutil.get_terminal_size().columns, subsequent_indent=" " * indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def width(text: str) -> int:
    """Columns that a text takes on a terminal; a Chinese character takes two."""
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def beside(columns: Iterable[Sequence[str]]) -> str:
    """Put padded columns beside each other: one line per row."""
    return "".join(f"{'  '.join(line).rstrip()}\n" for line in zip(*columns, strict=True))
