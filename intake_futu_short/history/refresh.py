"""The rules by which a stored history is brought up to date by the fewest requests. Pure.

The newest page is asked for, joined with what is held, and compared. If the oldest common row has
its old prices, everything older still holds, and one request was enough. If it has other prices, a
dividend or a split has changed everything older: pages are walked until a row agrees or the gateway
has no more. These pages are held in memory beside the history, and replace it in one write, so that
rows of two price adjustments never stand in one history.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from intake_futu_short import schema
from intake_futu_short.errors import PaginationError, StoreError
from intake_futu_short.history import join
from intake_futu_short.history.ticker_history import DAY, TickerHistory

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from typing import Any

    import pandas as pd

    from intake_futu_short.calls import Question, Reply, Table, Ticker
    from intake_futu_short.history.join import Comparison
    from intake_futu_short.walk import Page, Walk

__all__ = ["Refresh"]

# How often a refresh begins again: another writer came in between with other prices, or no gateway
# takes the walk's cursor any more.
ROUNDS_AT_MOST = 5

_log = logging.getLogger(__name__)


@dataclass
class Refresh:
    """Brings one ticker's history up to date.

    An error of the walk or of `save` ends it. What was saved until then is whole, and the next
    refresh goes on from there.

    Parameters
    ----------
    ticker : Ticker
        Whose history.
    walk_from : callable
        Takes a cursor (None for the newest page) and returns a `Walk` from there.
    save : callable
        Takes the `TickerHistory` to write and returns what was written: the same, unless another
        writer came in between and the two were merged.
    is_enough : callable
        Whether a history that is not complete holds all that is wanted.
    now_s : float
        Unix seconds.

    Attributes
    ----------
    revised : set of str
        Days that the gateway has sent before with other values, or no longer sends.
    """

    ticker: Ticker
    walk_from: Callable[[str | None], Walk]
    save: Callable[[TickerHistory], TickerHistory]
    is_enough: Callable[[TickerHistory], bool]
    now_s: float

    def __post_init__(self) -> None:
        self.revised: set[str] = set()
        self._table: Table = self.ticker.table
        self._history = TickerHistory(schema.to_frame([], self._table))
        self._newest: Walk | None = None  # from the newest page on

    def run(
        self, held: TickerHistory | None, *, is_full: bool = False, newest_is_known: bool = False
    ) -> Generator[Question, Reply, TickerHistory]:
        """Ask for what is missing.

        Parameters
        ----------
        held : TickerHistory or None
            What the store has.
        is_full : bool
            Walk all of it, whatever agrees.
        newest_is_known : bool
            The newest page was just asked for: go on with the older ones.

        Returns
        -------
        TickerHistory
            As it was saved last.

        Raises
        ------
        GatewayError, PaginationError
            As a walk raises them.
        StoreError
            As `save` raises it, and when other writers do not let it come to an end.
        """
        self._history = held or self._history
        if is_full:
            self.is_enough = _is_complete
        walks_all = is_full and len(self._history.rows) > 0
        why: PaginationError | None = None
        for _ in range(ROUNDS_AT_MOST):
            try:
                asks_newest = not newest_is_known or why is not None
                is_overtaken = asks_newest and not (
                    yield from self._renew(walks_all=walks_all or why is not None)
                )
                if not is_overtaken and (yield from self._extend()):
                    return self._history
            except _CursorLostError as lost:  # noqa: PERF203 - a round is many requests
                if self._newest is not None and self._newest.is_finished:
                    raise lost.why from lost.why.__cause__  # from there on nothing is missing
                _log.info("%s: walked again from the newest page: %s", self.ticker, lost.why)
                why = lost.why
            else:
                newest_is_known, self._newest = False, None
        raise why or StoreError(
            f"{self.ticker}: other writers published other prices again and again while it was "
            "refreshed; let one process at a time write a store without locks"
        )

    # -- the newest rows ----------------------------------------------------------------------

    def _renew(self, *, walks_all: bool) -> Generator[Question, Reply, bool]:
        """Walk from the newest page on until what was sent can replace what is held.

        Returns False when another writer came in between.
        """
        if self._newest is None:
            self._newest = self.walk_from(None)
            yield from self._next(self._newest)
            self._history = replace(
                self._history,
                checked_s=self.now_s,
                reports=_with(self._history.reports, self._newest.attrs),
            )
        walk = self._newest
        sent = _ascending(walk.pages, self._table)
        if not len(sent) and len(self._history.rows):
            # An empty newest page may be temporary: keep what we have.
            return self._put(self._history)
        while True:
            comparison = self._compare(sent)
            stands = self._stands(comparison, sent)
            if (
                (stands and not walks_all)
                or walk.is_finished
                or (not self._history.is_complete and self._is_past_held(sent))
            ):
                break
            sent = join.unite(sent, (yield from self._next(walk)))
        # Where the oldest common price stands, no adjustment lies between: others were revised.
        self._note(comparison, counts_prices=stands)
        history, gone = join.put_in_place(self._history, sent, self._table, stands=stands)
        if gone:
            _log.warning("%s: the gateway no longer sends %s", self.ticker, _in_words(gone))
            self.revised.update(gone)
        if walk.is_finished:
            history = self._completed(history)
        elif self._is_past_held(sent):
            history = replace(history, is_complete=False, cursor=walk.next_key)
        return self._put(history)

    def _stands(self, comparison: Comparison, sent: pd.DataFrame) -> bool:
        """Whether what is held and older than the rows sent is of the same adjustment."""
        if comparison.is_same_basis is not None:
            return comparison.is_same_basis
        older, _, _ = join.split(self._history.rows, sent)
        has_prices = older[self._table.price_names].notna().any(axis=None)
        return comparison.has_common and not has_prices

    def _is_past_held(self, sent: pd.DataFrame) -> bool:
        """Whether the rows sent go back farther than those held, or as far and more are missing."""
        held = self._history
        if not len(sent) or not len(held.rows):
            return True
        oldest, oldest_held = sent[DAY].iloc[0], held.rows[DAY].iloc[0]
        return bool(oldest < oldest_held or (oldest == oldest_held and not held.is_complete))

    # -- older rows ---------------------------------------------------------------------------

    def _extend(self) -> Generator[Question, Reply, bool]:
        """Walk on backwards from what is held, a write a page.

        Returns False when another writer came in between.
        """
        walk = self._newest
        if walk is None or walk.next_key != self._history.cursor:
            walk = None
        while not (self._history.is_complete or self.is_enough(self._history)):
            walk = walk or self.walk_from(self._history.cursor)
            if walk.next_key is None:
                raise _CursorLostError(PaginationError(f"{self.ticker}: no cursor was kept"))
            sent = yield from self._next(walk)
            comparison = self._compare(sent)
            if comparison.is_same_basis is False:
                why = "the rows behind its cursor are of another price adjustment"
                raise _CursorLostError(PaginationError(f"{self.ticker}: {why}"))
            self._note(comparison, counts_prices=True)
            rows = join.unite(self._history.rows, sent)
            history = replace(self._history, rows=rows, cursor=walk.next_key)
            if not self._put(self._completed(history) if walk.is_finished else history):
                return False
        return True

    def _completed(self, history: TickerHistory) -> TickerHistory:
        return replace(history, is_complete=True, cursor=None, walked_s=self.now_s)

    # -- asking and writing -------------------------------------------------------------------

    def _next(self, walk: Walk) -> Generator[Question, Reply, pd.DataFrame]:
        """Rows of the next page, ascending; none at the end."""
        try:
            page = yield from walk.next_page()
        except PaginationError as error:
            if walk is self._newest and not walk.is_lost:
                raise
            # A walk that went on from a saved cursor is not worth more than that.
            if walk is self._newest:
                self._newest = None
            raise _CursorLostError(error) from error
        return _ascending([] if page is None else [page], self._table)

    def _put(self, history: TickerHistory) -> bool:
        """Save, and return whether what was saved is of the prices that were sent."""
        self._history = self.save(history)
        return self._history is history or self._compare(history.rows).is_same_basis is not False

    def _compare(self, sent: pd.DataFrame) -> Comparison:
        return join.compare(self._history.rows, sent, self._table)

    def _note(self, comparison: Comparison, *, counts_prices: bool) -> None:
        """Log what differs from what was held."""
        changed = {*comparison.revised, *(comparison.repriced if counts_prices else ())}
        if changed:
            days = _in_words(sorted(changed))
            _log.warning("%s: late revisions were taken over: %s", self.ticker, days)
            self.revised |= changed
        if comparison.repriced and not counts_prices:
            _log.info("%s: prices of %d days adjusted", self.ticker, len(comparison.repriced))


class _CursorLostError(Exception):
    """No gateway takes a cursor any more: the ticker is walked again from the newest page."""

    def __init__(self, why: PaginationError) -> None:
        super().__init__(str(why))
        self.why = why


def _ascending(pages: Sequence[Page], table: Table) -> pd.DataFrame:
    return schema.to_frame(pages, table).sort_values(DAY, ignore_index=True)


def _is_complete(history: TickerHistory) -> bool:
    return history.is_complete


def _with(
    seen: tuple[Mapping[str, Any], ...], now: Mapping[str, Any]
) -> tuple[Mapping[str, Any], ...]:
    """The reports seen, and the one of now unless it is the last already, or says nothing."""
    last = seen[-1] if seen else dict.fromkeys(now)
    return seen if now == last else (*seen, now)


def _in_words(days: Sequence[str]) -> str:
    more = f" and {len(days) - 5} more days" if len(days) > 5 else ""
    return ", ".join(days[:5]) + more
