"""One ticker or many as what a source reads: partitions one ticker after the other. Pure."""

from __future__ import annotations

import json
import sys
import warnings
from typing import TYPE_CHECKING, Any

from intake_futu_short import table
from intake_futu_short.errors import (
    PanelError,
    PanelWarning,
)
from intake_futu_short.security import AGGREGATE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import pandas as pd

    from intake_futu_short.partitions import Partitions
    from intake_futu_short.security import Security

    # Does jobs together, each of which may fail without the others; returns errors by number.
    Together = Callable[[Sequence[Callable[[], object]]], Mapping[int, Exception]]

__all__ = ["Panel", "Single"]


class Single:
    """One ticker's partitions, loaded in a thread, so that the caller's can show how far it is."""

    def __init__(self, ticker: Partitions, together: Together) -> None:
        self._together = together
        self.get = ticker.get
        self.frame = ticker.frame
        self.attributes = ticker.attributes
        self.aggregates = ticker.aggregates
        self._ticker = ticker

    @property
    def is_finished(self) -> bool:
        """Whether all partitions are known."""
        return self._ticker.is_finished

    @property
    def sizes(self) -> Sequence[int]:
        """Rows of each partition known so far."""
        return self._ticker.sizes

    def load(self) -> None:
        """Read to the end."""
        if not self._ticker.is_finished:
            for error in self._together([self._ticker.load]).values():
                raise error


class Panel:
    """Partitions of several tickers, those of the first one first.

    Parameters
    ----------
    tickers : mapping of Security to Partitions
        In the order of the rows; at least one, all of one market.
    together : callable
        Does jobs at the same time, and gives the errors by the number of the job. An error that
        concerns all of them it raises at once.
    concerns_all : callable
        Tells such an error.
    warns : bool
        A ticker that fails is left out for good, with a warning; else it makes an error once the
        others are read.
    """

    def __init__(
        self,
        tickers: Mapping[Security, Partitions],
        together: Together,
        concerns_all: Callable[[Exception], bool],
        *,
        warns: bool,
    ) -> None:
        self._tickers = {security.code: ticker for security, ticker in tickers.items()}
        self._market = next(iter(tickers)).market
        self._together = together
        self._concerns_all = concerns_all
        self._warns = warns
        self._left_out: set[str] = set()
        # Partitions that somebody has keep their numbers: their tickers stay.
        self._given: set[str] = set()

    @property
    def is_finished(self) -> bool:
        """Whether all partitions of all tickers are known."""
        return all(ticker.is_finished for ticker in self._kept().values())

    @property
    def sizes(self) -> Sequence[int]:
        """Rows of each partition whose number is known so far."""
        sizes: list[int] = []
        for ticker in self._kept().values():
            sizes += ticker.sizes
            if not ticker.is_finished:
                break
        return sizes

    def get(self, number: int) -> pd.DataFrame | None:
        """Partition `number` with its column ``code``, reading no ticker behind it."""
        for code, ticker in self._kept().items():
            try:
                part = ticker.get(number)
            except Exception as error:
                if self._concerns_all(error):
                    raise
                self._settle({code: error})
                continue
            if part is not None:
                self._given.add(code)
                panel = table.with_code([part], [code])
                panel.attrs.update(part.attrs)
                return panel
            number -= len(ticker.sizes)
        return None

    def load(self) -> None:
        """Read every ticker to its end, several at a time."""
        self._do({c: t.load for c, t in self._kept().items() if not t.is_finished})

    def frame(self) -> pd.DataFrame:
        """Every ticker's rows in one frame."""
        self.load()
        return self._frame(self._left_out if self._warns else None)

    def attributes(self) -> dict[str, Any]:
        """``market``, for HK ``aggregates`` in JSON, and ``failed`` when failures only warn."""
        return self._attributes(self._kept(), self._left_out if self._warns else None)

    def aggregates(self) -> dict[str, Any]:
        """Reported open short positions by code."""
        if not self._market.has_aggregates:
            return {code: dict.fromkeys(AGGREGATE_NAMES) for code in self._tickers}
        self._do({code: ticker.aggregates for code, ticker in self._kept().items()})
        return {code: ticker.aggregates() for code, ticker in self._kept().items()}

    def _kept(self) -> dict[str, Partitions]:
        return {c: ticker for c, ticker in self._tickers.items() if c not in self._left_out}

    def _do(self, jobs: Mapping[str, Callable[[], object]]) -> None:
        codes = list(jobs)
        failures = self._together(list(jobs.values()))
        self._settle({codes[number]: failures[number] for number in sorted(failures)})

    def _settle(self, failures: Mapping[str, Exception]) -> None:
        """Raise an error for the tickers that failed, or warn and leave them out."""
        if self._warns:
            left_out = [code for code in failures if code not in self._given]
            self._left_out |= set(left_out)
            failures_left = {c: error for c, error in failures.items() if c in self._given}
            if left_out:
                said = self._say({code: failures[code] for code in left_out})
                warnings.warn(f"{said} Read without them.", PanelWarning, stacklevel=_to_caller())
            failures = failures_left
        if failures:
            raise PanelError(
                f"{self._say(failures)} This error's `failures` has every error, its `partial` "
                "the others' rows; reading again asks for what is missing, and errors='warn' does "
                "without it.",
                failures,
                self._frame(failures),
            ) from next(iter(failures.values()))

    def _say(self, failures: Mapping[str, Exception]) -> str:
        return PanelError.summary(failures, len(self._tickers))

    def _frame(self, failed: Collection[str] | None) -> pd.DataFrame:
        """Rows of the tickers that are read; `failed` as attributes name them."""
        read = {code: ticker for code, ticker in self._kept().items() if ticker.is_finished}
        frames = [ticker.frame() for ticker in read.values()]
        # Without tickers there are the columns still.
        frame = table.with_code(
            frames or [table.to_frame([], self._market)], [*read] if frames else [""]
        )
        # Alone, a ticker hands on what is its own.
        frame.attrs.clear()
        frame.attrs.update(self._attributes(read, failed))
        return frame

    def _attributes(
        self, tickers: Mapping[str, Partitions], failed: Collection[str] | None
    ) -> dict[str, Any]:
        attrs: dict[str, Any] = {"market": self._market.name}
        if self._market.has_aggregates:
            # A string: pandas copies attributes deeply at every operation.
            attrs["aggregates"] = json.dumps(
                {code: _aggregates(ticker.attributes()) for code, ticker in tickers.items()}
            )
            # Over a store, every report that was seen: rows that begin with their code.
            told = [ticker.attributes().get("aggregates_history") for ticker in tickers.values()]
            if any(told):
                attrs["aggregates_history"] = json.dumps(
                    [row for rows in told for row in json.loads(rows or "[]")]
                )
        if failed is not None:
            attrs["failed"] = [code for code in self._tickers if code in failed]
        return attrs


def _to_caller() -> int:
    """Frames from who calls this to who called the package: a warning is for them."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("intake_futu_short"):
        level, frame = level + 1, frame.f_back
    return level


def _aggregates(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: attributes.get(name) for name in AGGREGATE_NAMES}
