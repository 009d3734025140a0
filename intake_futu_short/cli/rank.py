"""``futu-short rank``: the tickers of a market that were sold short most on its newest day."""

from __future__ import annotations

import datetime as dt
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from intake_futu_short.cli import frame_output, tables
from intake_futu_short.cli.options import (
    CODE,
    Choice,
    as_arguments,
    output_option,
    source_options,
)
from intake_futu_short.cli.outcome import NOTHING, note
from intake_futu_short.cli.reading import callback, notes_of_a_rank
from intake_futu_short.rank_requests import SORTS, column_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["rank"]

_WIDTH = 100
# The name gets the rest of the width, between these bounds.
_NAME_WIDTHS = (6, 18)


class _Shown(NamedTuple):
    """A column of the table: its heading in two lines, and how its values are written."""

    upper: str
    lower: str
    decimals: int | None  # None: shares, in thousands and so on


_SHOWN = {
    "close_price": _Shown("", "close", 2),
    "change_ratio": _Shown("change", "%", 2),
    "volume": _Shown("", "volume", None),
    "short_number": _Shown("sold", "short", None),
    "short_ratio": _Shown("short", "%", 2),
    "short_position_volume": _Shown("open", "pos.", None),
    "short_position_ratio": _Shown("pos.", "%", 2),
    "days_to_cover": _Shown("days to", "cover", 2),
}
_OTHERS = {
    "short_number_change": _Shown("change of", "short", None),
    "short_ratio_change": _Shown("change of", "short %", 2),
    "week_avg_short_number": _Shown("week's", "mean", None),
    "week_avg_short_ratio": _Shown("week's", "mean %", 2),
    "month_avg_short_number": _Shown("month's", "mean", None),
    "month_avg_short_ratio": _Shown("month's", "mean %", 2),
}


@click.command(short_help="Show what a market sold short most.")
@click.argument("market", type=Choice(["US", "HK"]), default="US")
@click.option(
    "--by", "sort", default="short_ratio", show_default=True, type=Choice(list(SORTS)),
    help="What to sort by.",
)  # fmt: skip
@click.option(
    "--top", default=20, type=click.IntRange(1), show_default=True, help="How many tickers."
)
@click.option("--ascending", is_flag=True, help="The lowest first.")
@click.option(
    "--plate", "plates", metavar="CODE", type=CODE, multiple=True,
    help="Only of this plate, such as US.BK2024. May be given several times.",
)  # fmt: skip
@source_options("gateway", "rsa-key", "timeout")
@output_option("Write to FILE: .csv, .json or .parquet.", endings=("csv", "json", "parquet"))
def rank(
    *, market: str, sort: str, top: int, ascending: bool, plates: tuple[str, ...],
    output: str | None, **given: Any,
) -> None:  # fmt: skip
    """Show what was sold short most on the newest day of a market: US unless given, or HK.

    Asks the gateway: one request for each 35 tickers. Prints a table on a terminal, CSV with every
    column in a pipe. Whether the gateway lists the whole market is not known.
    """
    from intake_futu_short.rank_source import FutuShortRankSource

    form = "csv" if output is None else frame_output.format_of(output) or "csv"

    with (
        notes_of_a_rank(),
        FutuShortRankSource(
            market, sort, not ascending, top, plates or None, **as_arguments(given)
        ) as source,
    ):
        frame = source.read(callback=callback())
    if output is not None:
        Path(output).write_bytes(frame_output.render(frame, form))
        note(f"{output}: {_summary(frame)}")
    elif sys.stdout.isatty():
        click.echo(f"{tables.wrapped(_summary(frame))}\n\n{_table(frame)}", nl=False)
        for line in frame_output.synthetic_note(frame["code"]):
            note(line)
    else:
        sys.stdout.buffer.write(frame_output.render(frame, form))
        sys.stdout.flush()
    if frame.empty:
        click.echo("The gateway's rank is empty.", err=True)
        raise click.exceptions.Exit(NOTHING)


def _summary(frame: pd.DataFrame) -> str:
    attrs = frame.attrs
    asked = dt.datetime.fromisoformat(attrs["asked"])
    of = "" if attrs["all_count"] is None else f" of {attrs['all_count']:,}"
    order = "highest" if attrs["descending"] else "lowest"
    within = f" of {', '.join(attrs['plates'])}" if attrs["plates"] else ""
    return (
        f"{attrs['market']}{within}, asked {asked:%Y-%m-%d %H:%M} UTC: {len(frame)}{of} tickers, "
        f"{order} {attrs['sort']} first"
    )


def _table(frame: pd.DataFrame) -> str:
    """A table with headings of two lines, at most 100 characters wide."""
    by = column_of(frame.attrs["sort"])
    shown = dict(_SHOWN)
    if by in _OTHERS:
        # It replaces the column that says least about the day.
        del shown["days_to_cover"]
        shown[by] = _OTHERS[by]
    names = frame["name"].where(frame["name"].notna(), "")
    before = [
        tables.padded(["", "", *(str(i) for i in range(1, len(frame) + 1))], is_text=False),
        tables.padded(["", "ticker", *frame["code"]], is_text=True),
    ]
    after = []
    for name, one in shown.items():
        is_known = frame[name].notna()
        texts = [
            _number(value, one.decimals) if there else "-"
            for value, there in zip(frame[name], is_known, strict=True)
        ]
        after.append(tables.padded([one.upper, one.lower, *texts], is_text=False))
    rest = _WIDTH - sum(tables.width(column[0]) + 2 for column in [*before, *after])
    least, most = _NAME_WIDTHS
    width = max(least, min(most, rest))
    middle = tables.padded(["", "name", *(_cut(name, width) for name in names)], is_text=True)
    return tables.beside([*before, middle, *after])


def _cut(name: str, width: int) -> str:
    # Control characters would move the cursor.
    name = "".join(c if c.isprintable() else " " for c in name)
    if tables.width(name) <= width:
        return name
    while tables.width(name) > width - 1:
        name = name[:-1]
    return f"{name.rstrip()}…"


def _number(value: float, decimals: int | None) -> str:
    if decimals is not None:
        return f"{value:,.{decimals}f}" if math.isfinite(value) else str(value)
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:,.1f}{unit}"
    return f"{value:,}"
