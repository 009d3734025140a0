"""Computes the numbers and texts of a figure by day and ticker. Pure: no matplotlib."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from intake_futu_short import metrics
from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.metrics.known import Asked
from intake_futu_short.metrics.registry import POSITION_ROLES
from intake_futu_short.metrics.reports import Given, reports_of
from intake_futu_short.metrics.sessions import Sessions, market_of, numbers
from intake_futu_short.metrics.trailing import band
from intake_futu_short.plotting.step import WINDOW, Step
from intake_futu_short.security import SYNTHETIC, US

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intake_futu_short.security import Market

__all__ = ["Ticker", "heading_of", "newest_day", "source_of", "tickers_of"]

# HKEX numbers its counters in renminbi from 80000 on.
_RENMINBI_COUNTER = re.compile(r"HK\.8\d{4}")


@dataclass(frozen=True)
class Ticker:
    """The numbers to draw for one ticker.

    Attributes
    ----------
    code : str
        Its code; ``""`` when unknown.
    market : Market
        The market of all tickers of the frame.
    days : pandas.DataFrame
        The days shown, ascending, with the market's numbers and ``short_value`` (an amount of
        money), ``short_ratio``, ``pooled``, ``mean``, ``sd`` (fractions); NaN where not known.
    newest : pandas.Timestamp or None
        As-of date: the ticker's newest day in the frame, shown or not.
    positions : pandas.DataFrame
        Reported open short positions by as-of date, ascending: ``published`` (the day on which the
        report was known), ``shares``, ``percent`` (of the gateway's share base).
    step : Step
        The period of a row; "day" above means this period.
    """

    code: str
    market: Market
    days: pd.DataFrame
    newest: pd.Timestamp | None
    positions: pd.DataFrame
    step: Step

    @property
    def is_synthetic(self) -> bool:
        """Whether its rows are made up."""
        return self.code in SYNTHETIC

    @property
    def name(self) -> str:
        """The code, and whether its rows are made up."""
        plain = self.code.replace("$", r"\$")  # matplotlib would read two of them as a formula
        return f"{plain} (synthetic)" if self.is_synthetic else plain

    @property
    def currency(self) -> str:
        """Currency of its prices."""
        if self.market is US:
            return "USD"
        return "CNY" if _RENMINBI_COUNTER.fullmatch(self.code) else "HKD"

    @property
    def ratio(self) -> str:
        """Definition of the short ratio."""
        where = " (on Nasdaq and NYSE only)" if self.market is US else ""
        return f"Short ratio: shares sold short{where} / volume; many are bought back the same day."

    @property
    def lacking(self) -> list[str]:
        """Columns of the market that are empty on the days shown."""
        return [name for name in _measured(self.market) if not self.days[name].notna().any()]

    @property
    def price_column(self) -> str:
        """The column that is drawn as the price."""
        closes = ("close_price", "last_close_price")
        return next((name for name in closes if self.days[name].notna().any()), "close_price")

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
    def publisher(self) -> str:
        """Publisher of its open positions. That US ones are FINRA's is inferred, not sent."""
        return "FINRA (inferred)" if self.market is US else "the SFC"

    @property
    def newest_position(self) -> str:
        """The last of the reported open short positions."""
        day, newest = self.positions.index[-1], self.positions.iloc[-1]
        text = f"{newest['shares']:,.0f} shares"
        if pd.notna(newest["percent"]):
            text += f", {newest['percent']:g} % of the gateway's share base"
        # The gateway sends no date of publication; it follows from the publisher's rule.
        text += f", as of {day:%Y-%m-%d}, published about {newest['published']:%Y-%m-%d}"
        shown = self.days.index
        is_later = len(shown) > 0 and newest["published"] > shown[-1]
        return f"{text}, after the days shown" if is_later else text

    @property
    def notes(self) -> list[str]:
        """Notes that a reader of the figure needs and the axes do not give."""
        notes: list[str] = []
        if self.days["short_ratio"].notna().any():
            notes = [self.ratio, self.step.meaning]
            if not self.days["mean"].notna().any():
                days = f"{WINDOW} {self.step.name}s"
                notes.append(f"The pooled ratio needs {days}, and the band the {days} before.")
        if len(self.positions) == 1:
            notes.append(
                f"Open short position published by {self.publisher}: {self.newest_position}."
            )
        if self.market is US and len(self.days):
            notes.append(
                "Prices are adjusted for later dividends and splits, share counts are as traded."
            )
        if len(self.days) and self.lacking:
            notes.append(f"Not in these rows: {', '.join(self.lacking)}.")
        return [*notes, source_of([self])]


def tickers_of(frame: pd.DataFrame, positions: pd.DataFrame | None = None) -> list[Ticker]:
    """All days of each ticker, sorted by code. At least one ticker, which may be empty.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows as ``df.shortvol`` takes them.
    positions : pandas.DataFrame, optional
        Reports as `metrics.days_to_cover` takes them, instead of those of ``attrs``.

    Raises
    ------
    NotShortVolumeError
        When no column or index level says the days.
    ConfigError
        When a ticker has a day twice or a row has no day, or when `positions` are not reports or
        belong to another ticker.
    """
    market = market_of(frame)
    sessions = Sessions.of(frame)
    sessions.refuse_repeated_days("plot")
    rows = _columns(frame.take(sessions.order), market, sessions)
    begins = np.unique(sessions.first) if len(rows) else np.zeros(1, dtype=np.intp)
    told = _positions(frame) if positions is None else _given(frame, sessions, positions)
    tickers = []
    for number, (begin, end) in enumerate(zip(begins, [*begins[1:], len(rows)], strict=True)):
        code, days = _code(frame, sessions.codes, begin), rows.iloc[begin:end]
        own = told[told["ticker"] == (code if positions is None else number)]
        tickers.append(
            Ticker(
                code,
                market,
                days,
                days.index[-1] if len(days) else None,
                own.set_index("as_of")[["published", "shares", "percent"]],
                Step.of(frame),
            )
        )
    return tickers


def _code(frame: pd.DataFrame, codes: pd.Index[Any] | None, row: int) -> str:
    code = frame.attrs.get("code") if codes is None or not len(codes) else codes[row]
    return "" if pd.isna(code) else str(code)


def _columns(rows: pd.DataFrame, market: Market, sessions: Sessions) -> pd.DataFrame:
    """Sorted rows → numbers by day for all tickers, including derived ones."""
    columns = {name: numbers(rows, name) for name in _measured(market)}
    # The position of a ticker's first row serves as its code, so that no window mixes tickers.
    table = pd.DataFrame({**columns, "date": sessions.days, "code": sessions.first})
    table["short_value"] = metrics.short_value(table)
    table["short_ratio"] = metrics.short_ratio(table)
    table["pooled"] = metrics.pooled_short_ratio(table, WINDOW)
    table["mean"], table["sd"] = band(table, WINDOW)
    return table.set_index("date")


def _measured(market: Market) -> list[str]:
    """Columns of a market except those of the day."""
    columns = SHORT_VOLUME.table(market).columns
    return [column.name for column in columns if column.kind not in {"timestamp", "day"}]


def _positions(frame: pd.DataFrame) -> pd.DataFrame:
    """Open short positions in ``attrs``, by code: the series and the single value."""
    plain = frame.iloc[:1].copy()
    plain.attrs = {k: v for k, v in frame.attrs.items() if k != "aggregates_history"}
    # If both have a day, the series has the value that was sent first.
    both = [metrics.aggregates_history(plain), metrics.aggregates_history(frame)]
    known = pd.concat(both, ignore_index=True).dropna(subset="aggregated_short")
    table = known.fillna({"code": ""}).drop_duplicates(["code", "as_of"], keep="last")
    table = table.astype({"aggregated_short": "float64"}).sort_values(["code", "as_of"])
    names = {"aggregated_short": "shares", "aggregated_short_ratio": "percent", "code": "ticker"}
    return table.rename(columns=names)


def _given(frame: pd.DataFrame, sessions: Sessions, positions: pd.DataFrame) -> pd.DataFrame:
    """Open short positions of a frame of reports, by position of the ticker's first row."""
    asked = Asked(frame, sessions, "plot()")
    reports = reports_of(asked, Given(positions, {}), POSITION_ROLES[:1], POSITION_ROLES)
    shares = reports.values["position"]
    table = pd.DataFrame(
        {
            "ticker": reports.ticker,
            "as_of": reports.as_of.astype("datetime64[ns]"),
            "published": reports.known.astype("datetime64[ns]"),
            "shares": shares,
            "percent": reports.values.get("position_percent", np.full(len(shares), np.nan)),
        }
    ).dropna(subset="shares")
    table = table.sort_values(["published", "as_of"], kind="stable")
    # A late report of an earlier day does not replace a newer one.
    return table[table["as_of"] >= table.groupby("ticker")["as_of"].cummax()]


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


def source_of(tickers: Sequence[Ticker], *, positions: bool = True) -> str:
    """Where the numbers of a figure come from, in one line."""
    made_up = [t.code for t in tickers if t.is_synthetic]
    if len(made_up) == len(tickers):
        return "Source: synthetic sample rows of intake-futu-short; there is no such security."
    source = "Source: Futu OpenD, daily short volume"
    if positions and any(len(t.positions) for t in tickers):
        source += f"; open positions: {tickers[0].publisher.removeprefix('the ')}"
    return source + (f"; {', '.join(made_up)}: synthetic." if made_up else ".")
