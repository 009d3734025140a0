"""Reported open short positions in a frame's ``attrs``: pure functions of a DataFrame.

With the daily rows the gateway sends one report per ticker, as of a day (``new_time_str``). These
reports are taken to be the aggregated reportable short positions that Hong Kong's Securities and
Futures Commission (SFC) publishes every week. A frame of one ticker has its report in ``attrs``. A
panel has the reports in ``attrs["aggregates"]``, which is the JSON text of an object by code.
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
    """Newest reported open short positions, one row per ticker that has one; HK only.

    They come from ``attrs``, whatever rows are left in the frame. For one ticker they are values of
    ``attrs`` itself; for a panel ``attrs["aggregates"]`` is a JSON object of them by code.

    Returns
    -------
    pandas.DataFrame
        ``code``; ``aggregated_short`` (shares, Int64); ``aggregated_short_ratio`` (percent,
        float64); ``new_time_str`` (as-of date). No rows if there are no reports.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> sample.frame("HK.00700").shortvol.aggregates.to_dict("records")
    [{'code': 'HK.00700', 'aggregated_short': 51480638, 'aggregated_short_ratio': 0.56, \
'new_time_str': '2026-04-30'}]
    """
    tickers: Mapping[Any, Mapping[Any, Any]] | None = by_code(frame)
    if tickers is None:  # attrs of one ticker, with its code among them
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
    """All known reports of open short positions, one row per ticker and report; HK only.

    The gateway sends only the newest report with the daily rows, but a store keeps every report
    that it has seen. They come from ``attrs["aggregates_history"]``, a JSON list of [code, as-of
    date, first seen, shares, percent]. Without it, the result holds the reports of `aggregates`.

    ``published`` is an estimate. The reports are taken to be the aggregated reportable short
    positions of the Securities and Futures Commission (SFC). It publishes them on the first Friday
    at least seven days after the as-of date; if that is not a session, the next session counts.

    Returns
    -------
    pandas.DataFrame
        ``code``; ``as_of`` and ``published`` (dates, datetime64[ns]); ``first_seen``, the Unix
        seconds at which a store first saw the report (float64, NaN when none did);
        ``aggregated_short`` (shares, Int64); ``aggregated_short_ratio`` (percent, float64).
        Ascending by code, as-of date and ``first_seen``. No rows if there are no reports; a report
        without a date is left out. A report that was corrected has one row for each of its values,
        and the last one counts. ``published`` is the publication of the first one. A correction
        counts as known from its ``first_seen`` on, as in ``FutuShortStore.read(as_of=...)``.

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
    """Merge the reports that came with daily rows with those of a short interest frame; HK only.

    A report that is in both counts once, as first seen by either. If the two have different shares
    for the same day, both are kept, because one corrects the other. The one that was seen last
    counts; if it is not known when they were seen, the one of the short interest counts.

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
    # Reports of a day with the same shares are one, unless other shares were reported in between.
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
    """Add to the reports of a store their earlier values, which were later replaced.

    Parameters
    ----------
    interest : pandas.DataFrame
        One row per report, with ``code``, ``timestamp_str`` and ``first_seen``.
    revisions : pandas.DataFrame
        As ``FutuShortStore.revisions`` gives them.

    Returns
    -------
    pandas.DataFrame
        One row for each state of a report; its ``first_seen`` is when that state began.
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
        # Earlier revisions belong to a row that was withdrawn and came again.
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
    """Turn errors in malformed reports into a ConfigError that says where they are."""
    try:
        yield
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{where} holds what is not a report of an open position: {error}"
        ) from error


def as_of_days(
    name: str, values: list[Any], *, errors: Literal["raise", "coerce"]
) -> pd.DatetimeIndex:
    """Read days as `intake_futu_short.days` does; NaT if one is missing."""
    # Many tickers have reports for the same few days: each day is read once.
    places: dict[Any, int] = {}
    which = [places.setdefault(value, len(places)) for value in values]
    days = pd.Index([_day(name, value, errors) for value in places], dtype=object)
    return pd.DatetimeIndex(pd.to_datetime(days, errors=errors)).as_unit("ns").take(which)


def _day(name: str, value: Any, errors: Literal["raise", "coerce"]) -> str | None:
    if errors == "coerce" and isinstance(value, str):
        value = _TIME.sub("", value)  # a gateway may append a time, but means the day
    try:
        return None if pd.isna(value) else date(name, value)
    except ConfigError:
        if errors == "raise":
            raise
        return None


def _kept(frame: pd.DataFrame, name: str, kind: type) -> Any:
    """Read a JSON value of ``attrs``; None if it is not there."""
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
    """Reports in a panel's ``attrs``, by code. A ticker with null has no report."""
    kept: dict[Any, Any] | None = _kept(frame, "aggregates", dict)
    if kept is None:
        return None
    reports = {code: {} if report is None else report for code, report in kept.items()}
    for code, report in reports.items():
        if not isinstance(report, dict):
            raise ConfigError(f"attrs['aggregates'] holds {report!r} for {code}, no JSON object")
    return reports
