"""The output of ``futu-short screen``: a table, CSV, JSON or a page."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from intake_futu_short.cli import frame_output, tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from intake_futu_short.screening import Recent
    from intake_futu_short.store import FutuShortStore

__all__ = ["FORMATS", "Order", "Screen", "format_of"]

FORMATS = ("csv", "json", "html")
# Columns for which a page has room, and a terminal does not.
_TOO_MUCH = {"short_ratio_rank_20", "short_turnover_ratio"}
# How many codes a line names; it counts the others.
_CODES_SHOWN = 8
# No history is as long.
_ALL_SESSIONS = 20_000


def format_of(output: str | None) -> str:
    """The format of a screen: by the file's ending, or what suits standard output."""
    if output is None:
        return "table" if sys.stdout.isatty() else "csv"
    return output.rpartition(".")[2].lower()


class Order(NamedTuple):
    """Which tickers come first, and how many."""

    by: str
    top: int | None
    ascending: bool


@dataclass(frozen=True)
class Screen:
    """The result of a screen.

    Attributes
    ----------
    text : str
        In the requested format.
    summary : str
        One line: how many tickers, and as of when.
    notes : list of str
        Lines about what the text leaves out, and why.
    failures : dict of str to Exception
        Tickers that could not be read.
    """

    text: str
    summary: str
    notes: list[str]
    failures: dict[str, Exception]

    @classmethod
    def of(
        cls,
        store: FutuShortStore,
        market: str | None,
        order: Order,
        form: str,
        last: int | Literal["all"] | None,
    ) -> Screen:
        """Screen a store, with the `last` newest sessions of each ticker."""
        # Imported late, so that --help is quick.
        from intake_futu_short import report, screening, sparklines

        usual = sparklines.SESSIONS if form == "html" else 1
        sessions = _ALL_SESSIONS if last == "all" else min(last or usual, _ALL_SESSIONS)
        recent = screening.recent_rows(store, market, order.by, sessions)
        table = recent.rows.shortvol.latest(order.by, order.top, ascending=order.ascending)
        summary = _summary(recent, table, order)
        if form != "html" and sessions > 1:
            table = _sessions(recent.rows, table, order.by, sessions)
        if form == "html":
            text = report.screen_html(
                recent.rows, order.by, order.top, ascending=order.ascending,
                store=store.url, older=recent.older, failures=recent.failures, sessions=sessions,
            )  # fmt: skip
        elif form == "table":
            text = f"{tables.wrapped(summary)}\n\n{_table(table, order.by, sessions == 1)}"
        else:
            plain = table.assign(date=table["date"].dt.strftime("%Y-%m-%d"))
            text = frame_output.render(plain, form).decode()
        return cls(text, summary, [*_notes(recent, table)], recent.failures)


def _summary(recent: Recent, table: pd.DataFrame, order: Order) -> str:
    days = recent.rows["timestamp_str"]
    return (
        f"{table.attrs['market']}, newest session {days.max()}: {table['code'].nunique()} of "
        f"{recent.rows['code'].nunique()} tickers, {'lowest' if order.ascending else 'highest'} "
        f"{order.by} first"
    )


def _notes(recent: Recent, table: pd.DataFrame) -> Iterator[str]:
    yield from frame_output.synthetic_note(table["code"])
    if recent.older:
        listed = [f"{code} (newest {day})" for code, day in recent.older.items()]
        more = len(listed) - _CODES_SHOWN
        yield (
            f"Left out, without a session since {recent.since}: {', '.join(listed[:_CODES_SHOWN])}"
            + (f" and {more} more." if more > 0 else ".")
        )


def _sessions(panel: pd.DataFrame, table: pd.DataFrame, by: str, newest: int) -> pd.DataFrame:
    """The newest sessions of the tickers of a table, in its order and under its columns."""
    import pandas as pd

    from intake_futu_short.metrics import metrics
    from intake_futu_short.metrics.newest import BEHIND, windows_of
    from intake_futu_short.metrics.registry import WINDOWS

    days = pd.to_datetime(panel["timestamp_str"])
    found = metrics(panel, [*WINDOWS, *windows_of(by)])
    named = {"code": panel["code"], "date": days, BEHIND: days.rank(method="dense")}
    named[BEHIND] = (named[BEHIND].max() - named[BEHIND]).astype("int64")
    columns = {
        name: named.get(name, found[name] if name in found else panel.get(name))
        for name in table.columns
    }
    rows = pd.DataFrame(columns).sort_values("date", ascending=False, kind="stable")
    rows = rows.groupby("code", sort=False).head(newest)
    rank = {code: place for place, code in enumerate(table["code"])}
    rows = rows[rows["code"].isin(list(rank))]
    rows = rows.sort_values("code", key=lambda codes: codes.map(rank), kind="stable")
    rows = rows.reset_index(drop=True)
    rows.attrs = table.attrs
    return rows


def _table(table: pd.DataFrame, by: str, is_newest: bool) -> str:
    """A table with headings of three lines, about 80 characters wide."""
    from intake_futu_short.metrics.newest import BEHIND
    from intake_futu_short.screen_columns import shown
    from intake_futu_short.security import MARKETS

    blocks = [
        _block("ticker", "", table["code"].tolist(), is_text=True),
        _block("session", "", table["date"].dt.strftime("%Y-%m-%d").tolist(), is_text=True),
    ]
    if is_newest and table[BEHIND].any() and by != BEHIND:
        behind = [str(n) if n else "" for n in table[BEHIND]]
        blocks.append(_block("sessions behind", "", behind))
    for column in shown(table, by, MARKETS[table.attrs["market"]]):
        if column.name == by or column.name not in _TOO_MUCH:
            texts = [column.text(value) for value in table[column.name]]
            blocks.append(_block(column.short, column.unit, texts))
    return tables.beside(blocks)


def _block(name: str, unit: str, texts: Sequence[str], *, is_text: bool = False) -> list[str]:
    """A column: its name in two lines, its unit in a third, its values; all of one width."""
    upper, _, lower = name.rpartition(" ")
    return tables.padded([upper, lower, unit, *texts], is_text=is_text)
