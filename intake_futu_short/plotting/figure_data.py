"""What a figure shows, worked out by day and ticker; and its words. Pure: no matplotlib."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from intake_futu_short import metrics
from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.metrics.aggregates import as_of_days
from intake_futu_short.metrics.sessions import RESAMPLED, Sessions, market_of, numbers
from intake_futu_short.security import US

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from intake_futu_short.security import Market

__all__ = ["Step", "Ticker", "heading_of", "newest_day", "tickers_of"]

WINDOW = 20
# Rows made up for trying things out; there are no such securities.
SYNTHETIC = ("HK.SAMPLE", "US.SAMPLE")
# HKEX gives its counters in renminbi the numbers from 80000 on.
_RENMINBI_COUNTER = re.compile(r"HK\.8\d{4}")


_PERIODS = {"W": "week", "M": "month", "Q": "quarter", "Y": "year"}


class Step(NamedTuple):
    """What a row stands for: a trading day, or what `resample` took together."""

    name: str = "day"
    several: str = "trading days"
    days: float = 1.0

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Step:
        """Tell by attrs."""
        if RESAMPLED not in frame.attrs:
            return cls()
        offset = pd.tseries.frequencies.to_offset(frame.attrs[RESAMPLED])
        # W-FRI is a week, BME and MS are months; WOM-1MON, a Monday of each month, is neither.
        alias = offset.freqstr.partition("-")[0].removeprefix("B").rstrip("ES")
        name = _PERIODS.get(alias, "period")
        some = pd.Timestamp("2026-01-01") + offset
        return cls(name, f"{name}s", (some + offset - some) / pd.Timedelta(days=1))

    @property
    def title(self) -> str:
        """Begins a title, in the middle of a line."""
        return "daily short volume" if self.name == "day" else f"short volume by {self.name}"

    @property
    def pooled(self) -> str:
        """Name of the ratio of a window's sums."""
        return f"{WINDOW}-{self.name} pooled ratio"

    @property
    def mean(self) -> str:
        """Name of what the day is compared with."""
        return f"Mean of the {WINDOW} {self.several} before"

    def as_of(self, newest: pd.Timestamp | None) -> str:
        """Words that end a title."""
        if newest is None:
            return ""
        return f", {'as of' if self.name == 'day' else f'newest {self.name}'} {newest:%Y-%m-%d}"


@dataclass(frozen=True)
class Ticker:
    """What is drawn of one ticker.

    Attributes
    ----------
    code : str
        ``""`` when it is not known.
    market : Market
        Of all tickers of a frame.
    days : pandas.DataFrame
        The days shown, ascending: ``price``, ``short_value`` (amounts of money), ``short_ratio``,
        ``pooled``, ``mean``, ``sd``, ``reported_pooled`` (fractions); NaN where not known.
    positions : pandas.DataFrame
        Reported open short positions, by as-of date, ascending: ``aggregated_short``
        (shares), ``aggregated_short_ratio`` (percent).
    newest : pandas.Timestamp or None
        As-of date: the newest day that the frame has of the ticker, shown or not.
    lacking : tuple of str
        Columns of the market that hold nothing on the days shown.
    price_column : str
        Where ``price`` comes from.
    step : Step
        What a row stands for; "day" above is that.
    """

    code: str
    market: Market
    days: pd.DataFrame
    positions: pd.DataFrame
    newest: pd.Timestamp | None
    lacking: tuple[str, ...]
    price_column: str
    step: Step

    @property
    def name(self) -> str:
        """The code, and whether its rows are made up."""
        plain = self.code.replace("$", r"\$")  # two of them would begin a formula
        return f"{plain} (synthetic)" if self.code in SYNTHETIC else plain

    @property
    def currency(self) -> str:
        """What its prices are in."""
        if self.market is US:
            return "USD"
        return "CNY" if _RENMINBI_COUNTER.fullmatch(self.code) else "HKD"

    @property
    def heading(self) -> str:
        """Title: code and as-of date."""
        name = self.name or f"{self.market.name}, code unknown"
        return f"{name}: {self.step.title}{self.step.as_of(self.newest)}"

    @property
    def extent(self) -> str:
        """Market and the days shown."""
        days = self.days.index
        market = {"US": "US market", "HK": "Hong Kong market"}[self.market.name]
        if not len(days):
            return f"{market}, no rows"
        if len(days) == 1:
            return f"{market}, one {self.step.several[:-1]}, {days[0]:%Y-%m-%d}"
        span = f"{days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}"
        return f"{market}, {len(days):,} {self.step.several}, {span}"

    @property
    def newest_position(self) -> str:
        """The last of the reported open short positions."""
        day, newest = self.positions.index[-1], self.positions.iloc[-1]
        text = f"Open short position published by the SFC: {newest['aggregated_short']:,.0f} shares"
        if pd.notna(newest["aggregated_short_ratio"]):
            text += f", {newest['aggregated_short_ratio']:g} % of the gateway's share base"
        return f"{text}, as of {day:%Y-%m-%d}"

    @property
    def notes(self) -> list[str]:
        """What a reader of the figure must know and the axes do not say."""
        notes = []
        if self.days["short_ratio"].notna().any():
            notes.append(
                "Short ratio: shares sold short / volume. Pooled: Σ short / Σ volume of the 20 "
                f"{self.step.several} that end there."
            )
            if not self.days["mean"].notna().any():
                notes.append(
                    f"Of fewer {self.step.name}s there is no pooled ratio, and no mean of 20 "
                    f"{self.step.name}s before."
                )
        if len(self.positions) == 1:
            notes.append(f"{self.newest_position}.")
        if self.market is US and len(self.days):
            notes.append(
                "Short shares are those of Nasdaq and NYSE only. Prices are adjusted for later "
                "dividends and splits, share counts are as traded."
            )
        if self.lacking:
            notes.append(f"Not in these rows: {', '.join(self.lacking)}.")
        return notes


def tickers_of(
    frame: pd.DataFrame, start: str | None = None, end: str | None = None, last: int | None = None
) -> list[Ticker]:
    """What is drawn, a ticker after the other by code; at least one, which may be empty.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows as ``df.shortvol`` takes them.
    start, end : str, optional
        Days shown, ``YYYY-MM-DD``, both included.
    last : int, optional
        How many days of those, the newest that any ticker has.

    Raises
    ------
    NotShortVolumeError
        When no column or index level says the days.
    ConfigError
        When a ticker has a day twice, or a row has no day.
    """
    market = market_of(frame)
    sessions = Sessions.of(frame)
    sessions.refuse_repeated_days("plot")
    rows = _columns(frame.take(sessions.order), market, sessions)
    # Windows look back at days that are not shown.
    shown = np.ones(len(rows), dtype=bool)
    shown &= (sessions.days >= np.datetime64(start)) if start else True
    shown &= (sessions.days <= np.datetime64(end)) if end else True
    if last is not None and shown.any():
        days = np.unique(sessions.days[shown])
        shown &= sessions.days >= days[-min(last, len(days))]
    begins = np.unique(sessions.first) if len(rows) else np.zeros(1, dtype=np.intp)
    ends = np.append(begins[1:], len(rows))
    positions = _positions(frame)
    by_code = {str(code): of.droplevel(0) for code, of in positions.groupby(level=0)}
    none = positions.droplevel(0).iloc[:0]
    return [
        _ticker(
            rows.iloc[begin:end],
            shown[begin:end],
            code=(code := _code(frame, sessions.codes, begin)),
            market=market,
            positions=by_code.get(code, none),
            step=Step.of(frame),
        )
        for begin, end in zip(begins, ends, strict=True)
    ]


def _code(frame: pd.DataFrame, codes: pd.Index[Any] | None, row: int) -> str:
    code = frame.attrs.get("code") if codes is None or not len(codes) else codes[row]
    return "" if pd.isna(code) else str(code)


def _columns(rows: pd.DataFrame, market: Market, sessions: Sessions) -> pd.DataFrame:
    """Sorted rows → numbers by day, all tickers below each other, with the columns they need."""
    columns = {name: numbers(rows, name) for name in _measured(market)}
    table = pd.DataFrame({**columns, "date": sessions.days})
    # Sums and quotients that no window may mix over tickers.
    table["code"] = sessions.first
    table["short_value"] = metrics.short_value(table)
    table["short_ratio"] = metrics.short_ratio(table)
    table["pooled"] = metrics.pooled_short_ratio(table, WINDOW)
    table["reported_pooled"] = table["daily_trade_avg_ratio"] / 100
    return table.set_index("date")


def _measured(market: Market) -> list[str]:
    """Columns of a market other than those that say the day."""
    columns = SHORT_VOLUME.table(market).columns
    return [column.name for column in columns if column.kind not in {"timestamp", "day"}]


def _ticker(
    rows: pd.DataFrame,
    shown: NDArray[np.bool_],
    *,
    code: str,
    market: Market,
    positions: pd.DataFrame,
    step: Step,
) -> Ticker:
    before = rows["short_ratio"].shift(1).rolling(WINDOW)
    rows = rows.assign(mean=before.mean(), sd=before.std(ddof=1))
    newest = rows.index[-1] if len(rows) else None
    days = rows[shown]
    lacking = tuple(name for name in _measured(market) if not days[name].notna().any())
    instead = "close_price" in lacking and "last_close_price" not in lacking
    price = "last_close_price" if instead else "close_price"
    kept = ["short_value", "short_ratio", "pooled", "mean", "sd", "reported_pooled"]
    return Ticker(
        code,
        market,
        days[kept].assign(price=days[price]),
        positions,
        newest,
        lacking if len(days) else (),
        price,
        step,
    )


def _positions(frame: pd.DataFrame) -> pd.DataFrame:
    """Open short positions that attrs bear: the series, or the one value; by code and date."""
    now, history = metrics.aggregates(frame), metrics.aggregates_history(frame)
    now["date"] = as_of_days(now.pop("new_time_str").tolist(), errors="coerce")
    # Of a day that is there several times the last one counts, which is its newest correction.
    reported = pd.concat([now, history.rename(columns={"as_of": "date"})], ignore_index=True)
    known = reported.dropna(subset=["date", "aggregated_short"]).fillna({"code": ""})
    table = known.drop_duplicates(["code", "date"], keep="last").set_index(["code", "date"])
    return table.sort_index()[["aggregated_short", "aggregated_short_ratio"]].astype(np.float64)


def newest_day(tickers: Sequence[Ticker]) -> pd.Timestamp | None:
    """As-of date of several tickers."""
    return max((t.newest for t in tickers if t.newest is not None), default=None)


def heading_of(tickers: Sequence[Ticker]) -> str:
    """Title of a figure of one ticker or of several."""
    if len(tickers) == 1:
        return tickers[0].heading
    market, step = tickers[0].market.name, tickers[0].step
    title = step.title[0].upper() + step.title[1:]
    return f"{title}, {market}, {len(tickers)} tickers{step.as_of(newest_day(tickers))}"
