"""Reported open short positions, as ``attrs`` bear them: pure functions of a DataFrame.

The gateway sends one number a ticker, as of a day (``new_time_str``), beside the daily rows. These
are taken to be the aggregated reportable short positions that Hong Kong's Securities and Futures
Commission (SFC) publishes every week. A frame of one ticker has it in ``attrs`` itself, a panel in
``attrs["aggregates"]``, a JSON text of an object by code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import contextmanager
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from intake_futu_short import calendars
from intake_futu_short.calls import AGGREGATE_NAMES
from intake_futu_short.errors import ConfigError, NotShortVolumeError
from intake_futu_short.metrics.columns import Columns, answer
from intake_futu_short.metrics.sessions import Sessions, code_of, refuse_periods
from intake_futu_short.metrics.window_metrics import trailing, window
from intake_futu_short.metrics.windows import quotient
from intake_futu_short.schema import text_dtype
from intake_futu_short.security import HK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "AsOf",
    "aggregates",
    "aggregates_history",
    "as_of_days",
    "days_to_cover",
    "implied_shares",
]

_VOLUME = {"HK": ("volume",)}


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
    tickers: Mapping[Any, Mapping[Any, Any]] | None = _reports(frame)
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
                "as_of": as_of_days(days, errors="coerce"),
                "first_seen": pd.Series(moments, dtype="float64"),
                "aggregated_short": pd.array(shares, dtype="Int64"),
                "aggregated_short_ratio": pd.Series(percents, dtype="float64"),
            }
        ).dropna(subset="as_of")
        history.insert(2, "published", _published(history["as_of"]))
    keys = ["code", "as_of", "first_seen"]
    return history.sort_values(keys, kind="stable", na_position="first", ignore_index=True)


def _published(as_of: pd.Series[Any]) -> pd.Series[Any]:
    """When reports of these days were published; by the rule for HK, which alone has any."""
    days = {day: calendars.published(HK, day.date()) for day in as_of.unique()}
    return pd.to_datetime(as_of.map(days)).astype("datetime64[ns]")


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Say of reports that are none where they stand."""
    try:
        yield
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{where} holds what is not a report of an open position: {error}"
        ) from error


def as_of_days(values: list[Any], *, errors: Literal["raise", "coerce"]) -> pd.DatetimeIndex:
    """As-of dates, which are texts or dates; of a number (20260430) its digits are read."""
    texts = [str(value) if isinstance(value, Integral) else value for value in values]
    read = pd.to_datetime(pd.Index(texts, dtype=object), format="mixed", errors=errors)
    return pd.DatetimeIndex(read).tz_localize(None).normalize().as_unit("ns")


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


def _reports(frame: pd.DataFrame) -> dict[Any, dict[str, Any]] | None:
    """What a panel's ``attrs`` bear by code; a ticker of null has no report."""
    kept: dict[Any, Any] | None = _kept(frame, "aggregates", dict)
    if kept is None:
        return None
    reports = {code: {} if report is None else report for code, report in kept.items()}
    for code, report in reports.items():
        if not isinstance(report, dict):
            raise ConfigError(f"attrs['aggregates'] holds {report!r} for {code}, no JSON object")
    return reports


class AsOf:
    """What is reported of each ticker of a frame, in the order of its sorted rows.

    Parameters
    ----------
    frame : pandas.DataFrame
        Whose ``attrs`` bear the reports.
    sessions : Sessions
        Of the same frame.
    metric : str
        Who asks; for messages.
    given : mapping of str to object
        What to take instead of ``attrs``: a value of the one ticker, or a mapping by code; None
        takes ``attrs``.

    Raises
    ------
    NotShortVolumeError
        When neither ``attrs`` nor ``given`` has one of the names, and when it is not known that
        what ``attrs`` have is of the frame's tickers.
    """

    def __init__(
        self, frame: pd.DataFrame, sessions: Sessions, metric: str, given: Mapping[str, Any]
    ) -> None:
        codes, own = sessions.tickers, frame.attrs.get("code")
        self._tickers = [own] * len(sessions.begins) if codes is None else codes.tolist()
        self._columns: dict[str, list[Any]] = {}
        self._day_is_given = given.get("new_time_str") is not None
        by_code = _reports(frame)
        missing = []
        for name, value in given.items():
            if value is not None:
                self._columns[name] = self._given(metric, name, value)
            elif by_code is not None:
                if codes is None and own is None and self._tickers:
                    raise NotShortVolumeError(
                        f"{metric} takes {name} from attrs['aggregates'] by code, and the frame "
                        f"does not say whose its rows are: add a column 'code', or pass {name}=..."
                    )
                self._columns[name] = [by_code.get(c, {}).get(name) for c in self._tickers]
            elif name in frame.attrs and len(self._tickers) <= 1:
                if own is not None and self._tickers not in ([], [own]):
                    raise NotShortVolumeError(
                        f"{metric} takes {name} from attrs, which are of {own}, and the rows are "
                        f"of {self._tickers[0]}: pass {name}=..."
                    )
                self._columns[name] = [frame.attrs[name]] * len(self._tickers)
            else:
                missing.append(name)
        if missing:
            raise NotShortVolumeError(_lost(metric, missing, len(self._tickers) > 1))

    def _given(self, metric: str, name: str, value: Any) -> list[Any]:
        if isinstance(value, (Mapping, pd.Series)):
            return [value.get(code) for code in self._tickers]
        if len(self._tickers) > 1:
            raise ConfigError(
                f"{metric}: {name} of a panel is a mapping, code to value, not {value!r}"
            )
        return [value] * len(self._tickers)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A number a ticker; NaN where there is none."""
        try:
            values = [np.nan if pd.isna(v) else float(v) for v in self._columns[name]]
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{name} is not a number: {error}") from error
        return np.array(values, dtype=np.float64)

    def days(self) -> NDArray[np.datetime64]:
        """As-of date of each ticker; NaT where there is none."""
        # One that the gateway has sent and that is not a day costs that ticker's answers only.
        errors: Literal["raise", "coerce"] = "raise" if self._day_is_given else "coerce"
        try:
            return as_of_days(self._columns["new_time_str"], errors=errors).to_numpy()
        except (TypeError, ValueError) as error:
            raise ConfigError(f"new_time_str is not a day like 2026-04-30: {error}") from error


def _lost(metric: str, missing: list[str], panel: bool) -> str:
    where = "attrs['aggregates']" if panel else "attrs"
    example = "{code: value, ...}" if panel else "..."
    return (
        f"{metric} needs the open position reported beside the rows, and this frame has no "
        f"{' and no '.join(missing)} in {where}. pandas drops attrs when a frame goes through CSV, "
        "and when frames whose attrs differ are joined. Take them from the frame as it was read "
        f"(its attrs), or pass them: {', '.join(f'{name}={example}' for name in missing)}"
    )


def days_to_cover(
    frame: pd.DataFrame,
    n: int = 20,
    *,
    min_periods: int | None = None,
    aggregated_short: Any = None,
    new_time_str: Any = None,
) -> pd.Series[float]:
    """Days of usual volume that the open short position amounts to; HK only.

    The reported open short position / mean volume of the ``n`` trading days, that is rows of the
    ticker, that end at its as-of date. The number is given on the row of that date; all
    other rows are NaN, for the position on other days is not known. Where the frame has no row of
    that date, all are.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    n : int
        Trading days in the window, the as-of date included.
    min_periods : int, optional
        How many days of the window, 1 to ``n``, must have a volume. By default all ``n``.
    aggregated_short : int or mapping, optional
        The open short position in shares, of a panel by code; by default that of ``attrs``.
    new_time_str : str, date or mapping, optional
        Its as-of date, of a panel by code; by default that of ``attrs``.

    Returns
    -------
    pandas.Series
        ``days_to_cover_<n>``. NaN also of tickers of which nothing is reported or whose as-of date
        is not a day, and where the mean volume is 0.

    Raises
    ------
    NotShortVolumeError
        On a US frame and on what `resample` gave; when ``shares_traded`` or what says the day is
        missing; when ``attrs`` were lost, as in CSV, or are not known to be of these tickers, and
        nothing is passed instead.
    ConfigError
        When an argument is no such value, a ticker has a day twice, or a row has no day.

    References
    ----------
    Hong, Li, Ni, Scheinkman and Yan (2015), "Days to Cover and Stock Returns", NBER Working
    Paper 21166.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("HK.SAMPLE")
    >>> df.shortvol.days_to_cover(20).dropna().round(4).tolist()
    [2.5464]
    """
    n, min_periods = window(n, min_periods)
    name = f"days_to_cover_{n}"
    columns = Columns(frame)
    columns.require(name, _VOLUME)
    refuse_periods(frame, name)
    sessions = Sessions.of(frame)
    sessions.refuse_repeated_days(name)
    given = {"aggregated_short": aggregated_short, "new_time_str": new_time_str}
    as_of = AsOf(frame, sessions, name, given)
    usual = trailing(columns, sessions, ["mean_volume"], [n], min_periods)[f"mean_volume_{n}"]
    return answer(frame, name, cover(sessions, as_of, usual))


def cover(sessions: Sessions, as_of: AsOf, mean_volume: NDArray[np.float64]) -> NDArray[np.float64]:
    """Open short position / mean volume on the as-of row, in the order of the frame."""
    on_day = np.flatnonzero(sessions.days == np.repeat(as_of.days(), sessions.lengths))
    rows = sessions.order[on_day]
    shares = np.repeat(as_of.numbers("aggregated_short"), sessions.lengths)[on_day]
    days = np.full(len(sessions.order), np.nan)
    days[rows] = quotient(shares, mean_volume[rows])
    return days


def implied_shares(
    frame: pd.DataFrame,
    *,
    aggregated_short: Any = None,
    aggregated_short_ratio: Any = None,
    new_time_str: Any = None,
) -> pd.Series[float]:
    """Shares that the gateway relates the open short position to; HK only.

    ``aggregated_short`` / (``aggregated_short_ratio`` / 100), in shares. The gateway's documents
    call this base the shares outstanding and the float. It is as precise as the ratio's two
    decimals: with a ratio of 0.56 to within 1 %.

    The number is given from its as-of date on; earlier rows are NaN, for it was not known then.
    (The SFC publishes a report some days after its as-of date.)

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    aggregated_short : int or mapping, optional
        The open short position in shares, of a panel by code; by default that of ``attrs``.
    aggregated_short_ratio : float or mapping, optional
        The same in percent, of a panel by code; by default that of ``attrs``.
    new_time_str : str, date or mapping, optional
        Its as-of date, of a panel by code; by default that of ``attrs``.

    Returns
    -------
    pandas.Series
        ``implied_shares``. NaN also of tickers of which nothing is reported or whose as-of date is
        no day, and where the ratio is 0.

    Raises
    ------
    NotShortVolumeError
        On a US frame; when nothing says the day; when ``attrs`` were lost, as in CSV, or are not
        known to be of these tickers, and nothing is passed instead.
    ConfigError
        When an argument is no such value, or a row has no day.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("HK.00700")
    >>> df.shortvol.implied_shares().head(1).round(-6).tolist()
    [9193000000.0]
    """
    Columns(frame).require("implied_shares", {"HK": ()})
    given = {
        "aggregated_short": aggregated_short,
        "aggregated_short_ratio": aggregated_short_ratio,
        "new_time_str": new_time_str,
    }
    sessions = Sessions.of(frame)
    as_of = AsOf(frame, sessions, "implied_shares", given)
    return answer(frame, "implied_shares", base(sessions, as_of))


def base(sessions: Sessions, as_of: AsOf) -> NDArray[np.float64]:
    """Open short position / its ratio from the as-of row on, in the order of the frame."""
    shares = quotient(
        100.0 * as_of.numbers("aggregated_short"), as_of.numbers("aggregated_short_ratio")
    )
    known = sessions.days >= np.repeat(as_of.days(), sessions.lengths)
    return sessions.to_rows(np.where(known, np.repeat(shares, sessions.lengths), np.nan))
