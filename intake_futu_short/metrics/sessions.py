"""Sorts the rows of a frame by ticker and trading day, for every metric and check. Pure.

A frame holds the rows of one ticker, or of several that a column or index level ``code`` tells
apart. The rows may be in any order, and the frame is never changed.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from intake_futu_short.calls import SHORT_INTEREST, SHORT_VOLUME
from intake_futu_short.days import date
from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError, NotShortVolumeError
from intake_futu_short.security import HK, US

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from intake_futu_short.security import Market

__all__ = [
    "DAYS",
    "MARKS",
    "RESAMPLED",
    "Sessions",
    "by_date",
    "code_of",
    "floats",
    "labels_of",
    "market_of",
    "numbers",
    "refuse_periods",
]

T = TypeVar("T", bound=np.generic)

# Key of attrs that holds the period, if the rows of a frame are periods and not days.
RESAMPLED = "resampled"

# A panel is sorted by filling in places if it has at most this many ticker-days for each row.
_SPARSEST = 8

# Columns or index levels that hold the days. The first one that the frame has is used.
DAYS = ("timestamp_str", "timestamp", "date")

# A frame with one of these columns is of that market, so a frame with only the columns of one
# metric is still recognised. Other tables have no columns of these names.
MARKS = {
    "US": ("total_shares_short",),
    "HK": ("short_sell_shares_traded", "short_sell_turnover"),
}


def market_of(frame: pd.DataFrame) -> Market:
    """Recognise the market by the names of the short columns.

    Raises
    ------
    NotShortVolumeError
        When the columns are of neither market or of both, or one of them is there twice.
    """
    names = frame.columns if frame.columns.nlevels == 1 else pd.Index([])
    found = [market for market in (US, HK) if any(mark in names for mark in MARKS[market.name])]
    if len(found) > 1:
        raise NotShortVolumeError(
            "the frame has columns of US and of HK rows: keep each market in a frame of its own"
        )
    if not found:
        if any({*table.column_names} <= {*names} for table in SHORT_INTEREST.tables.values()):
            raise NotShortVolumeError(
                "the frame holds short interest, no daily short volume: pass it to what is derived "
                "from both, such as rows.shortvol.days_to_cover(20, positions=interest)"
            )
        missing = [
            f"missing of {name}: {[n for n in table.column_names if n not in names]}"
            for name, table in SHORT_VOLUME.tables.items()
        ]
        raise NotShortVolumeError(
            "the frame holds no daily short volume. US rows are recognised by "
            f"{' or '.join(MARKS['US'])}, HK rows by {' or '.join(MARKS['HK'])}; "
            + "; ".join(missing)
        )
    ours = {*SHORT_VOLUME.table(found[0]).column_names, "code", "date"}
    twice = [name for name in names[names.duplicated()] if name in ours]
    if twice:
        raise NotShortVolumeError(f"the frame has columns more than once: {', '.join(twice)}")
    return found[0]


def code_of(frame: pd.DataFrame) -> str | None:
    """The one code that all rows have; for a frame without codes, the code in ``attrs``."""
    codes = labels_of(frame, "code")
    if codes is None or not len(codes):
        code = frame.attrs.get("code")
        return code if isinstance(code, str) else None
    with _hashing(codes):
        return str(codes[0]) if codes.nunique() == 1 and not codes.hasnans else None


def refuse_periods(frame: pd.DataFrame, metric: str) -> None:
    """Raise NotShortVolumeError if the rows are weeks or the like, for a metric that needs days."""
    if RESAMPLED in frame.attrs:
        raise NotShortVolumeError(
            f"{metric} needs trading days, and each row of this frame is a period of "
            f"{frame.attrs[RESAMPLED]}: use the frame as it was before resample()"
        )


def by_date(frame: pd.DataFrame) -> pd.DataFrame:
    """Copy the rows in ascending order, indexed by day, or by ``code`` and day."""
    sessions = Sessions.of(frame)
    index: pd.Index[Any] = pd.DatetimeIndex(sessions.days, name="date")
    if sessions.codes is not None:
        index = pd.MultiIndex.from_arrays([sessions.codes, index], names=["code", "date"])
    # Drop the columns: pandas could not tell them from the index levels of the same names.
    ascending = frame.take(sessions.order).drop(columns=["code", "date"], errors="ignore")
    ascending.index = index
    return ascending


@dataclass(frozen=True)
class Sessions:
    """The rows of a frame sorted by ticker and trading day. Every window is computed on these.

    Attributes
    ----------
    order : numpy.ndarray
        Positions in the frame of the sorted rows; rows of one day keep their order.
    begins : numpy.ndarray
        Sorted position of each ticker's first row.
    days : numpy.ndarray
        Trading days of the sorted rows, datetime64[ns].
    labels : pandas.Index or None
        Code of each row of the frame, in the frame's order; None when the frame has none.
    """

    order: NDArray[np.intp]
    begins: NDArray[np.intp]
    days: NDArray[np.datetime64]
    labels: pd.Index[Any] | None

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Sessions:
        """Sort the rows of a frame.

        Raises
        ------
        NotShortVolumeError
            When no column or index level says the days.
        ConfigError
            When a row has no day, or one that cannot be read, or a list in the place of a code.
        """
        days = _trading_days(frame)
        labels = labels_of(frame, "code")
        tickers = np.zeros(len(frame), dtype=np.intp)
        if labels is not None:
            with _hashing(labels):
                tickers, _ = pd.factorize(labels, sort=True, use_na_sentinel=False)
        order = _sorting(tickers, days)
        counts = np.bincount(tickers)  # every ticker has a row
        return cls(order, np.cumsum(counts) - counts, days[order], labels)

    @cached_property
    def codes(self) -> pd.Index[Any] | None:
        """Codes of the sorted rows; None when the frame has none."""
        return None if self.labels is None else self.labels.take(self.order)

    @cached_property
    def tickers(self) -> pd.Index[Any] | None:
        """Code of each ticker; None when the frame has none."""
        return None if self.labels is None else self.labels.take(self.order[self.begins])

    @cached_property
    def lengths(self) -> NDArray[np.intp]:
        """How many rows each ticker has."""
        return np.diff(self.begins, append=len(self.order))

    @cached_property
    def first(self) -> NDArray[np.intp]:
        """For each sorted row, the sorted position of its ticker's first row."""
        return np.repeat(self.begins, self.lengths)

    @cached_property
    def gaps(self) -> NDArray[np.int64]:
        """Calendar days since the ticker's row before; -1 for its first row."""
        here = np.arange(len(self.days))
        days = self.days.astype("datetime64[D]").astype(np.int64)
        return np.where(here > self.first, np.diff(days, prepend=0), -1)

    def refuse_repeated_days(self, metric: str) -> None:
        """Raise ConfigError if a ticker has a day twice, because windows would count it twice."""
        repeated = np.flatnonzero(self.gaps == 0)
        if not len(repeated):
            return
        day = np.datetime_as_string(self.days[repeated[0]], unit="D")
        whose = "" if self.codes is None else f" of {self.codes[repeated[0]]}"
        raise ConfigError(
            f"{metric} takes one row per trading day, but {day}{whose} is there more than once "
            f"(surplus rows in all: {len(repeated)}; df.shortvol.check() lists the days). "
            "Drop the surplus rows; rows of several tickers need a column 'code'"
        )

    def to_rows(self, values: NDArray[T]) -> NDArray[T]:
        """Put values of the sorted rows into the order of the frame."""
        rows = np.empty_like(values)
        rows[self.order] = values
        return rows


def _sorting(tickers: NDArray[np.intp], days: NDArray[np.datetime64]) -> NDArray[np.intp]:
    """Positions of the rows in ascending order of ticker and day; equal ones keep their order."""
    rows = np.arange(len(days))
    if not len(rows):
        return rows
    numbers = days.astype("datetime64[D]").astype(np.int64)
    numbers -= numbers.min()
    span = int(numbers.max()) + 1
    places = tickers * span + numbers
    if (np.diff(places) >= 0).all():
        return rows
    size = (int(tickers.max()) + 1) * span
    # Most panels have a row for most ticker-days. Then filling in places is several times faster
    # than comparing rows. If two rows share a place, one is lost, and the length shows that.
    if size <= _SPARSEST * len(rows):
        rows_of_places = np.full(size, -1)
        rows_of_places[places] = rows
        order = rows_of_places[rows_of_places >= 0]
        if len(order) == len(rows):
            return order
    return np.argsort(places, kind="stable")


def labels_of(frame: pd.DataFrame, name: str) -> pd.Index[Any] | None:
    """The column of this name, or else the index level."""
    if name in frame.columns:
        labels: pd.Index[Any] = pd.Index(frame[name])
    elif name in frame.index.names:
        labels = frame.index.get_level_values(name)
    else:
        return None
    return labels


@contextlib.contextmanager
def _hashing(codes: pd.Index[Any]) -> Iterator[None]:
    """Raise ConfigError for codes that have no hash, such as lists."""
    try:
        yield
    except (TypeError, ArithmeticError) as error:  # the latter from a Decimal
        other = next((code for code in codes if not isinstance(code, str)), None)
        raise ConfigError(f"code holds something that is not a code: {described(other)}") from error


def _trading_days(frame: pd.DataFrame) -> NDArray[np.datetime64]:
    """The day of each row. If one column lacks it for a row, the next column is used."""
    days: NDArray[np.datetime64] | None = None
    for found in _day_sources(frame):
        days = found if days is None else np.where(np.isnat(days), found, days)
        if not np.isnat(days).any():
            return days
    if days is None:
        raise NotShortVolumeError(
            "the frame does not have its trading days: it needs timestamp_str, timestamp or date, "
            "as a column or in the index, or a DatetimeIndex"
        )
    raise ConfigError(f"{int(np.isnat(days).sum())} of {len(frame)} rows have no trading day")


def _day_sources(frame: pd.DataFrame) -> Iterator[NDArray[np.datetime64]]:
    texts, moments, dates = (labels_of(frame, name) for name in DAYS)
    if texts is not None and not _is_made_up(texts):
        yield _days("timestamp_str", texts)
    if moments is not None:
        yield _days_of_moments(moments, market_of(frame).time_zone)
    if dates is not None:
        yield _days("date", dates)
    if isinstance(frame.index, pd.DatetimeIndex):
        yield _days("the index", frame.index)


def _days_of_moments(moments: pd.Series[Any] | pd.Index[Any], zone: str) -> NDArray[np.datetime64]:
    """Days of seconds since 1970, or of datetimes that a user has made of them."""
    if isinstance(moments.dtype, pd.DatetimeTZDtype):
        return _days("timestamp", moments, zone=zone)
    if moments.dtype.kind == "M":
        raise ConfigError(
            "timestamp holds datetimes without a time zone, so their day is not known: convert "
            "the seconds with pd.to_datetime(..., unit='s', utc=True), or name days 'date'"
        )
    return _days("timestamp", floats("timestamp", moments), zone=zone, unit="s", utc=True)


def _is_made_up(texts: pd.Series[Any] | pd.Index[Any]) -> bool:
    """Whether these are the two made-up rows that Dask calls a function with to find its meta."""
    return len(texts) == 2 and set(texts.dropna()) <= {"a", "b", "foo"}


def _days(name: str, values: Any, *, zone: str | None = None, **how: Any) -> NDArray[np.datetime64]:
    try:
        # A panel has many rows on few days: each day is read once.
        which, distinct = pd.factorize(values)
        if not how and zone is None and distinct.dtype.kind != "M":
            distinct, how = [date(name, day) for day in distinct], {"format": "%Y-%m-%d"}
        moments = pd.DatetimeIndex(pd.to_datetime(np.asarray(distinct), **how))
        local = moments if zone is None else moments.tz_convert(zone)
        days = local.tz_localize(None).normalize().as_unit("ns").to_numpy()
    # pandas has no days of other time zones after the year 9999.
    except (NotImplementedError, OverflowError, TypeError, ValueError) as error:
        # The first sentence names the value; then pandas gives advice on its own arguments.
        what = str(error).splitlines()[0].removesuffix(". You might want to try:")
        raise ConfigError(
            f"{name} holds something that is not a trading day: {what}. Days are "
            + ("seconds since 1970" if zone else "like 2026-01-02, or datetimes")
        ) from error
    return np.append(days, np.datetime64("NaT", "ns"))[which]  # a missing value is -1


def numbers(frame: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """A column as floats; NaN for missing and infinite values, and for a missing column."""
    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    return floats(name, frame[name])


def floats(name: str, column: pd.Series[Any] | pd.Index[Any]) -> NDArray[np.float64]:
    """Values as floats, as `numbers` gives them; `name` is for messages."""
    try:
        values: NDArray[np.float64] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    # Python's whole numbers can be too large for a float, and a Decimal can be a signalling NaN.
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ConfigError(f"{name} holds something that is not a number: {error}") from error
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, np.nan)
