"""Reported open short positions, as ``attrs`` bear them: pure functions of a DataFrame.

The gateway sends one number a ticker, as of a day (``new_time_str``), beside the daily rows. These
are taken to be the aggregated reportable short positions that Hong Kong's Securities and Futures
Commission (SFC) publishes every week. A frame of one ticker has it in ``attrs`` itself, a panel in
``attrs["aggregates"]``, a JSON text of an object by code.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from intake_futu_short.calls import AGGREGATE_NAMES
from intake_futu_short.days import date
from intake_futu_short.errors import ConfigError
from intake_futu_short.metrics.sessions import code_of, market_of
from intake_futu_short.schema import published, text_dtype

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping


__all__ = [
    "aggregates",
    "aggregates_history",
    "as_of_days",
    "by_code",
    "with_past",
    "with_replaced",
]

_TIME = re.compile(r"(?<=\d)[T ].*")


def aggregates(frame: pd.DataFrame) -> pd.DataFrame:
    """Open short positions as last reported, a row a ticker that has one; HK only.

    They come from attrs, whatever rows are left in the frame: those of one ticker, or of a panel
    ``attrs["aggregates"]``, a JSON object of them by code.

    Returns
    -------
    pandas.DataFrame
        ``code``; ``aggregated_short`` (shares, Int64); ``aggregated_short_ratio`` (percent,
        float64); ``new_time_str`` (as-of date). Without rows when there are none.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> sample.frame("HK.00700").shortvol.aggregates.to_dict("records")
    [{'code': 'HK.00700', 'aggregated_short': 51480638, 'aggregated_short_ratio': 0.56, \
'new_time_str': '2026-04-30'}]
    """
    tickers: Mapping[Any, Mapping[Any, Any]] | None = by_code(frame)
    if tickers is None:  # attrs of one ticker, which say themselves whose they are
        tickers = {frame.attrs.get("code") or code_of(frame): frame.attrs}
    rows = [
        (code, *(values.get(name) for name in AGGREGATE_NAMES))
        for code, values in tickers.items()
        if any(values.get(name) is not None for name in AGGREGATE_NAMES)
    ]
    text = text_dtype()
    dtypes = (text, "Int64", "float64", text)
    with _told("attrs"):
        table = pd.DataFrame(rows, columns=["code", *AGGREGATE_NAMES], dtype=object)
        return table.astype(dict(zip(table, dtypes, strict=True)))


def aggregates_history(frame: pd.DataFrame) -> pd.DataFrame:
    """Open short positions that were reported, a row a ticker and report; HK only.

    The gateway sends the newest report only; a store keeps each that it has seen. They come from
    ``attrs["aggregates_history"]``, a JSON list of [code, as-of date, first seen, shares, percent];
    a frame without it gives what `aggregates` gives.

    ``published`` is an estimate by the practice of the Securities and Futures Commission (SFC),
    whose aggregated reportable short positions these are taken to be: the first Friday at least
    seven days after the as-of date, or the next session after it when that is none.

    Returns
    -------
    pandas.DataFrame
        ``code``; ``as_of`` and ``published`` (dates, datetime64[ns]); ``first_seen``, the Unix
        seconds at which a store first saw the report (float64, NaN when none did);
        ``aggregated_short`` (shares, Int64); ``aggregated_short_ratio`` (percent, float64).
        Ascending by code, as-of date and moment. Without rows when there are none; a report
        without a date is none of them. A report that was corrected has a row for each value, the
        last of which counts. ``published`` is when the first of them came: a correction was known
        from its ``first_seen`` on, not before, as in ``FutuShortStore.read(as_of=...)``.

    References
    ----------
    Securities and Futures (Short Position Reporting) Rules (Cap. 571AJ), rule 6.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> history = sample.frame("HK.00700").shortvol.aggregates_history()
    >>> history["aggregated_short"].tolist()
    [51480638]
    >>> str(history["as_of"].iloc[-1].date()), str(history["published"].iloc[-1].date())
    ('2026-04-30', '2026-05-08')
    """
    kept = _kept(frame, "aggregates_history", list)
    if kept is None:
        now = aggregates(frame)
        columns = [now[n].tolist() for n in ("code", "new_time_str", *AGGREGATE_NAMES[:2])]
        rows = [(code, day, None, *rest) for code, day, *rest in zip(*columns, strict=True)]
    else:
        rows = kept
    with _told("attrs['aggregates_history']"):
        codes, days, moments, shares, percents = ([row[i] for row in rows] for i in range(5))
        history = pd.DataFrame(
            {
                "code": pd.Series(codes, dtype=text_dtype()),
                "as_of": as_of_days("as_of", days, errors="coerce"),
                "first_seen": pd.Series(moments, dtype="float64"),
                "aggregated_short": pd.array(shares, dtype="Int64"),
                "aggregated_short_ratio": pd.Series(percents, dtype="float64"),
            }
        ).dropna(subset="as_of")
        history.insert(2, "published", published(history["as_of"], market_of(frame)))
    return _in_order(history)


def with_past(history: pd.DataFrame, interest: pd.DataFrame) -> pd.DataFrame:
    """Unite reports that came beside the rows with those of a frame of short interest; HK only.

    A report that both have counts once, as first seen by either. Where they differ in the shares of
    a day, both stay: one is a correction of the other, and the one that was seen last counts, that
    of the short interest where neither was seen.

    Parameters
    ----------
    history : pandas.DataFrame
        As `aggregates_history` gives it.
    interest : pandas.DataFrame
        A row a report: ``code``, ``timestamp_str``, ``published``, ``aggregated_short``,
        ``aggregated_short_ratio``, and ``first_seen`` if that is known.

    Returns
    -------
    pandas.DataFrame
        As `aggregates_history` gives it.
    """
    more = interest.assign(
        as_of=as_of_days("timestamp_str", interest["timestamp_str"].tolist(), errors="raise"),
        first_seen=interest["first_seen"] if "first_seen" in interest.columns else np.nan,
    )[list(history)].astype(history.dtypes)
    # Reports that say the same shares of a day are one, unless others were told in between.
    keys = ["code", "as_of", "aggregated_short"]
    tables = [table for table in (history, _in_order(more)) if len(table)] or [history]
    times = [table.groupby(keys, dropna=False).cumcount() for table in tables]
    every = pd.concat(tables, ignore_index=True).assign(time=np.concatenate(times))
    same = every.groupby([*keys, "time"], dropna=False, sort=False, as_index=False)
    united = same.agg(
        {"published": "first", "first_seen": "min", "aggregated_short_ratio": "first"}
    )
    return _in_order(united[list(history)].astype(history.dtypes))


def with_replaced(interest: pd.DataFrame, revisions: pd.DataFrame) -> pd.DataFrame:
    """Give reports of a store the values that were replaced: nobody knew the later ones before.

    Parameters
    ----------
    interest : pandas.DataFrame
        A row a report, with ``code``, ``timestamp_str`` and ``first_seen``.
    revisions : pandas.DataFrame
        As ``FutuShortStore.revisions`` gives them.

    Returns
    -------
    pandas.DataFrame
        A row for each state in which a report was; it was first seen when that began.
    """
    by_report: dict[tuple[str, str], list[dict[Hashable, Any]]] = {}
    for one in revisions[revisions["column"].isin(interest.columns)].to_dict("records"):
        by_report.setdefault((one["code"], one["day"]), []).append(one)
    if not by_report:
        return interest
    states = []
    for row in interest.to_dict("records"):
        first_seen = row["first_seen"]
        replaced = by_report.get((row["code"], row["timestamp_str"]), [])
        # Those before are of a row that was withdrawn, and came again.
        later = [one for one in replaced if not one["seen"] <= first_seen]
        for seen, together in groupby(reversed(later), key=itemgetter("seen")):
            states.append({**row, "first_seen": seen})
            row |= {one["column"]: one["old"] for one in together}
        states.append({**row, "first_seen": first_seen})
    return pd.DataFrame(states, columns=interest.columns).astype(interest.dtypes)


def _in_order(history: pd.DataFrame) -> pd.DataFrame:
    keys = ["code", "as_of", "first_seen"]
    return history.sort_values(keys, kind="stable", na_position="first", ignore_index=True)


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Say of reports that are none where they stand."""
    try:
        yield
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{where} holds what is not a report of an open position: {error}"
        ) from error


def as_of_days(
    name: str, values: list[Any], *, errors: Literal["raise", "coerce"]
) -> pd.DatetimeIndex:
    """Days as anywhere else (`intake_futu_short.days`); NaT for what is missing."""
    # Many tickers have reports of few days: each day is read once.
    places: dict[Any, int] = {}
    which = [places.setdefault(value, len(places)) for value in values]
    days = pd.Index([_day(name, value, errors) for value in places], dtype=object)
    return pd.DatetimeIndex(pd.to_datetime(days, errors=errors)).as_unit("ns").take(which)


def _day(name: str, value: Any, errors: Literal["raise", "coerce"]) -> str | None:
    if errors == "coerce" and isinstance(value, str):
        value = _TIME.sub("", value)  # a gateway may add one: it means the day
    try:
        return None if pd.isna(value) else date(name, value)
    except ConfigError:
        if errors == "raise":
            raise
        return None


def _kept(frame: pd.DataFrame, name: str, kind: type) -> Any:
    """What ``attrs`` bear as JSON; None where they don't."""
    text = frame.attrs.get(name)
    if text is None:
        return None
    try:
        kept = json.loads(text)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"attrs[{name!r}] is not JSON text: {error}") from error
    if not isinstance(kept, kind):
        raise ConfigError(f"attrs[{name!r}] is a {type(kept).__name__} of JSON, no {kind.__name__}")
    return kept


def by_code(frame: pd.DataFrame) -> dict[Any, dict[str, Any]] | None:
    """What a panel's ``attrs`` bear by code; a ticker of null has no report."""
    kept: dict[Any, Any] | None = _kept(frame, "aggregates", dict)
    if kept is None:
        return None
    reports = {code: {} if report is None else report for code, report in kept.items()}
    for code, report in reports.items():
        if not isinstance(report, dict):
            raise ConfigError(f"attrs['aggregates'] holds {report!r} for {code}, no JSON object")
    return reports
