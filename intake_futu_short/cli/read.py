"""``futu-short read``: rows of tickers, as a table, CSV or a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from intake_futu_short.calls import SERIES, SHORT_VOLUME
from intake_futu_short.cli import frame_output
from intake_futu_short.cli.options import (
    Choice,
    codes_argument,
    last_option,
    output_option,
    past_options,
    source_options,
    watchlist_option,
    what_option,
)
from intake_futu_short.cli.outcome import NOTHING, SOME_FAILED, Failure, note, tell_failures
from intake_futu_short.cli.reading import Tickers, read_rows
from intake_futu_short.security import Security

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read"]

# They identify the row, and are always written.
_KEYS = ("code", "timestamp_str")


class _Names(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from 8.2 on
    """Names of columns, separated by commas."""

    name = "names"

    def convert(self, value: Any, _: click.Parameter | None, __: click.Context | None) -> list[str]:
        if not isinstance(value, str):
            return list(value)
        return [name.strip() for name in value.split(",") if name.strip()]


@click.command(short_help="Read short volume: a table, CSV or a file.")
@codes_argument(has_list=True)
@watchlist_option
@what_option
@source_options(
    "start", "end", "num", "gateway", "store", "refresh", "max-pages", "rsa-key", "timeout"
)
@past_options
@click.option(
    "--metrics", is_flag=True, help="Add what df.shortvol derives of short volume, as columns."
)
@click.option(
    "--columns", type=_Names(), multiple=True, metavar="NAME,...",
    help="Only these columns, in this order, after the ticker and the day.",
)  # fmt: skip
@last_option("all", things="sessions (or reports)")
@click.option(
    "--format", "form", type=Choice(frame_output.FORMATS),
    help="By default as FILE ends; else a table on a terminal and CSV in a pipe.",
)  # fmt: skip
@output_option("Write to FILE: .csv, .json or .parquet.", endings=())
def read(
    codes: tuple[str, ...],
    *,
    watchlist: str | None,
    metrics: bool,
    columns: tuple[list[str], ...],
    last: int | Literal["all"],
    form: str | None,
    output: str | None,
    **given: Any,
) -> None:
    """Read the short volume of one ticker, or of several of one market.

    With --what short_interest, the reports of its open positions; the last column, published, is
    when each became public: an estimate.

    Metrics need days before --start, which are read too and not written.
    With --as-of or --aside only the store is read, and no gateway is asked.

    Exit codes: 1 when there are no rows, 3 when some tickers failed; the others are written.
    """
    if metrics and given["what"] != SHORT_VOLUME.name:
        raise click.UsageError(f"--metrics are of {SHORT_VOLUME.name}, not of {given['what']}.")
    if form is None:
        form = _format(output)
    elif form == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is not text: give a file with -o FILE, or a pipe.")
    tickers = Tickers.named(codes, watchlist, given)
    tickers.refuse_two_markets()
    wanted = [name for names in columns for name in names]
    _refuse_unknown(wanted, tickers, given["what"], has_metrics=metrics)
    from intake_futu_short.metrics.registry import WINDOWS

    # Some metrics compare a day with the longest window before it.
    frame, failures = read_rows(tickers, given, max(WINDOWS) if metrics else 0)
    if metrics:
        frame = frame.shortvol.with_metrics()
    frame = frame_output.cut(frame, given["start"], None if last == "all" else last)
    data = frame_output.render(_chosen(frame, wanted), form)
    if output is None:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    else:
        Path(output).write_bytes(data)
        note(f"{output}: {frame_output.summary(frame)}")
    tell_failures(failures)
    if failures:
        raise click.exceptions.Exit(SOME_FAILED)
    if frame.empty:
        click.echo("There are no rows of these tickers and days.", err=True)
        raise click.exceptions.Exit(NOTHING)


def _format(output: str | None) -> str:
    if output is None:
        return "table" if sys.stdout.isatty() else "csv"
    form = frame_output.format_of(output)
    if form is None:
        raise click.UsageError(
            f"{output!r} does not say how to write it: end it in .csv, .json or .parquet, or give "
            "--format."
        )
    return form


def _refuse_unknown(wanted: list[str], tickers: Tickers, what: str, *, has_metrics: bool) -> None:
    """Refuse names of columns that cannot exist, before any request."""
    if not wanted:
        return
    market = Security.known(tickers.codes[0]).market
    known = ["code"] if tickers.is_panel else []
    known += SERIES[what].table(market).frame_names
    if has_metrics:
        known += _metric_names(market.name)
    unknown = next((name for name in wanted if name not in known), None)
    if unknown is not None:
        is_metric = not has_metrics and unknown in _metric_names(market.name)
        advice = " It comes with --metrics." if is_metric else ""
        raise click.BadParameter(
            f"There is no column {unknown!r}.{advice} There are: {', '.join(known)}.",
            param_hint="'--columns'",
        )


def _metric_names(market: str) -> list[str]:
    import intake_futu_short.metrics  # noqa: F401 - fills the list
    from intake_futu_short.metrics.registry import METRICS, WINDOWS

    had = [one for one in METRICS.values() if market in one.recipes]
    windowed = [f"{one.name}_{n}" for n in WINDOWS for one in had if one.has_window]
    return [*(one.name for one in had if not one.has_window), *windowed]


def _chosen(frame: pd.DataFrame, wanted: list[str]) -> pd.DataFrame:
    if not wanted:
        return frame
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise Failure(
            f"these rows have no {', '.join(missing)}: the gateway sent nothing to make it of"
        )
    keys = [name for name in _KEYS if name in frame.columns]
    return frame[list(dict.fromkeys([*keys, *wanted]))]
