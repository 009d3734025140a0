"""The rules by which a stored history is brought up to date with the fewest requests. Pure.

The newest page is asked for, compared with the rows held, and joined to them. If the prices of the
oldest common row are unchanged, everything older still holds, and one request was enough. If they
differ, a dividend or a split has changed everything older: pages are walked until a row agrees or
the gateway has no more. These pages are kept in memory beside the history and replace it in one
write, so that a history never mixes rows of two price adjustments.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from intake_futu_short import schema
from intake_futu_short.errors import PaginationError, StoreError
from intake_futu_short.history import join, plausible, reports, revisions
from intake_futu_short.history.as_of import public_s
from intake_futu_short.history.ticker_history import DAY, FIRST_SEEN, TickerHistory, days_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from typing import Any

    import pandas as pd
    from numpy.typing import NDArray

    from intake_futu_short.calls import Question, Reply, Table, Ticker
    from intake_futu_short.history.join import Comparison
    from intake_futu_short.walk import Page, Walk

__all__ = ["Refresh"]

# How often a refresh may begin again. It does so when another writer saved other prices meanwhile,
# or when no gateway accepts the walk's cursor any more.
ROUNDS_AT_MOST = 5

_log = logging.getLogger(__name__)


@dataclass
class Refresh:
    """Brings one ticker's history up to date.

    An error of the walk or of `save` ends it. The history saved before the error is consistent, and
    the next refresh continues from it.

    Parameters
    ----------
    ticker : Ticker
        The ticker of the history.
    walk_from : callable
        Takes a cursor (None for the newest page) and returns a `Walk` from there.
    save : callable
        Takes the `TickerHistory` to write and returns the one written. Its rows are the same,
        unless another writer saved meanwhile and the two were merged.
    is_enough : callable
        Takes an incomplete history and returns whether it has all rows wanted.
    clock : callable
        Returns Unix seconds.
    store_url : str
        The store's URL, for messages.

    Attributes
    ----------
    revised : set of str
        Days whose rows were replaced or dropped.
    """

    ticker: Ticker
    walk_from: Callable[[str | None], Walk]
    save: Callable[[TickerHistory], TickerHistory]
    is_enough: Callable[[TickerHistory], bool]
    clock: Callable[[], float]
    store_url: str

    def __post_init__(self) -> None:
        self.revised: set[str] = set()
        self._table: Table = self.ticker.table
        self._history = TickerHistory(_ascending([], self._table))
        self._newest: Walk | None = None  # from the newest page on
        self._lost: PaginationError | None = None  # why a walk could not be continued

    def run(
        self, held: TickerHistory | None, *, is_full: bool = False, newest_is_known: bool = False
    ) -> Generator[Question, Reply, TickerHistory]:
        """Ask for the missing rows.

        Parameters
        ----------
        held : TickerHistory or None
            The stored history.
        is_full : bool
            Walk the whole history, even where rows agree.
        newest_is_known : bool
            The newest page was just asked for, so only older pages are.

        Returns
        -------
        TickerHistory
            The history that was saved last.

        Raises
        ------
        GatewayError, PaginationError
            As a walk raises them.
        StoreError
            As `save` raises it; when other writers interfere too often; when the gateway's rows
            seem to belong to another security than those held.
        """
        self._history = held or self._history
        if is_full:
            self.is_enough = _is_complete
        for _ in range(ROUNDS_AT_MOST):
            walks_all = is_full or self._lost is not None
            is_renewed = newest_is_known or (yield from self._renew(walks_all=walks_all))
            if is_renewed and (yield from self._extend()):
                return self._history
            newest_is_known = False
        raise self._lost or StoreError(
            f"{self.ticker}: other writers saved other prices again and again while it was "
            "refreshed; let one process at a time write a store without locks"
        )

    # -- the newest rows ----------------------------------------------------------------------

    def _renew(self, *, walks_all: bool) -> Generator[Question, Reply, bool]:
        """Walk from the newest page on until the rows sent can replace the rows held.

        Returns True when that is done, and False when the refresh must begin again.
        """
        if self._newest is None:
            self._newest = self.walk_from(None)
            yield from self._next(self._newest)
            self._take_note(self._newest.attrs, self.clock())
        walk = self._newest
        sent = _ascending(walk.pages, self._table)
        if not len(sent) and len(self._history.rows):
            # An empty newest page may be temporary: keep what we have.
            return self._put(self._history)
        is_in_doubt = False
        while True:
            comparison = join.compare(self._history.rows, sent, self._table)
            stands = join.is_one_basis(comparison, self._history.rows, sent, self._table)
            is_in_doubt |= comparison.is_same_basis is False
            can_go_on_later = not self._history.is_complete and self._is_past_held(sent)
            is_seen = stands and not walks_all and self._holds_newest(walk, sent)
            if is_seen or walk.is_finished or can_go_on_later:
                break
            older = yield from self._next(walk)
            if older is None:
                return False
            sent = join.in_order([older, sent])
        if walk.is_finished:
            self._refuse_another_security(sent)
        gone = self._withdrawn(walk, sent)
        history, seen_s = self._with(sent, comparison, gone, is_one_basis=stands)
        if len(self._history.rows) and (is_in_doubt or not stands):
            history = replace(history, adjusted_s=seen_s)
        if walk.is_finished:
            history = _completed(history, seen_s)
        elif self._is_past_held(sent):
            history = replace(history, is_complete=False, cursor=walk.next_key)
        return self._put(history)

    def _take_note(self, attrs: Mapping[str, Any], now_s: float) -> None:
        """Record the newest answer's time and report, and drop rows held of future days."""
        held = self._history
        days = plausible.impossible_days(held.rows, now_s)
        if days:
            _log.warning("%s: dropped rows of days to come: %s", self.ticker, _few(days))
            self.revised.update(days)
            held = replace(
                held,
                rows=held.rows[: -len(days)],
                revisions=(*held.revisions, *revisions.withdrawn(held.rows, days, now_s)),
            )
        self._history = replace(
            held, checked_s=now_s, reports=reports.extended(held.reports, attrs, now_s)
        )

    def _refuse_another_security(self, sent: pd.DataFrame) -> None:
        held = self._history.rows
        suspicion = plausible.another_security(held, sent, self.ticker, self.store_url)
        if suspicion is not None and suspicion.refuses:
            raise StoreError(suspicion.text)
        if suspicion is not None:
            _log.warning("%s", suspicion.text)

    def _is_past_held(self, sent: pd.DataFrame) -> bool:
        """Whether the rows sent reach back beyond the rows held, or as far if older are wanted."""
        held = self._history
        if not len(held.rows):
            return True
        oldest, oldest_held = sent[DAY].iloc[0], held.rows[DAY].iloc[0]
        return bool(oldest < oldest_held or (oldest == oldest_held and not held.is_complete))

    def _holds_newest(self, walk: Walk, sent: pd.DataFrame) -> bool:
        """Whether the rows sent are the newest. Only rows in an odd order leave doubt."""
        if walk.is_newest_first:
            return True
        # If only the newest page is in an odd order, another page need not be asked for.
        held, days = days_of(self._history.rows), days_of(sent)
        return len(walk.pages) == 1 and bool(np.isin(held[held >= days[0]], days).all())

    def _withdrawn(self, walk: Walk, sent: pd.DataFrame) -> tuple[str, ...]:
        """Days held that the gateway no longer sends, except days of pages not asked for yet."""
        if not (walk.is_finished or walk.is_newest_first):
            return ()
        return join.withdrawn_days(self._history.rows, sent)

    # -- older rows ---------------------------------------------------------------------------

    def _extend(self) -> Generator[Question, Reply, bool]:
        """Walk backwards from the oldest row held, and save after every page.

        Returns True when that is done, and False when the refresh must begin again.
        """
        walk = self._newest
        if walk is None or walk.next_key != self._history.cursor:
            walk = None
        while not (self._history.is_complete or self.is_enough(self._history)):
            walk = walk or self.walk_from(self._history.cursor)
            if walk.next_key is None:
                return self._begin_again(PaginationError(f"{self.ticker}: no cursor was kept"))
            sent = yield from self._next(walk)
            if sent is None:
                return False
            comparison = join.compare(self._history.rows, sent, self._table)
            if comparison.is_same_basis is False:
                self._newest = None  # its pages may have either price adjustment
                why = "the rows behind its cursor are of another price adjustment"
                return self._begin_again(PaginationError(f"{self.ticker}: {why}"))
            history, seen_s = self._with(sent, comparison, (), is_one_basis=True)
            history = replace(history, cursor=walk.next_key)
            if not self._put(_completed(history, seen_s) if walk.is_finished else history):
                return False
        return True

    # -- asking and writing -------------------------------------------------------------------

    def _next(self, walk: Walk) -> Generator[Question, Reply, pd.DataFrame | None]:
        """Rows of the next page, ascending; no rows at the end; None when the walk is lost."""
        try:
            page = yield from walk.next_page()
        except PaginationError as error:
            if walk is self._newest:
                if not walk.is_lost:
                    raise
                self._newest = None
            # The walk only continued from a saved cursor; a new walk replaces it.
            self._begin_again(error)
            return None
        return _ascending([] if page is None else [page], self._table)

    def _begin_again(self, why: PaginationError) -> bool:
        """Note why a walk is given up, and return False for the caller to return."""
        if self._newest is not None and self._newest.is_finished:
            raise why  # another walk from the newest page would get no further
        _log.info("%s: walked again from the newest page: %s", self.ticker, why)
        self._lost = why
        return False

    def _with(
        self,
        sent: pd.DataFrame,
        comparison: Comparison,
        gone: Sequence[str],
        *,
        is_one_basis: bool,
    ) -> tuple[TickerHistory, float]:
        """The history with the rows sent and a record of what they replace, and the time now."""
        held, seen_s = self._history, self.clock()
        self._log_changes(comparison, gone, counts_prices=is_one_basis)
        if len(held.rows):
            is_new = days_of(sent) > held.rows[DAY].iloc[0]
            if is_new.any():  # not so for pages of older rows, of which a first fill has thirty
                is_new &= ~np.isin(days_of(sent), days_of(held.rows))
        else:
            is_new = _is_early(days_of(sent), self._table, seen_s)
        sent = sent.assign(**{FIRST_SEEN: np.where(is_new, seen_s, np.nan)})
        found = revisions.withdrawn(held.rows, gone, seen_s)
        if comparison.revised:
            found += revisions.replaced(held.rows, sent, self._table, seen_s)
        history = join.unite(held, sent, self._table, is_one_basis=is_one_basis, withdrawn=gone)
        return replace(history, revisions=(*held.revisions, *found)), seen_s

    def _put(self, history: TickerHistory) -> bool:
        """Save, and return whether the saved history has the prices that were sent."""
        self._history = self.save(history)
        if self._history.rows is history.rows:
            return True
        saved = join.compare(self._history.rows, history.rows, self._table)
        if saved.is_same_basis is False:
            self._newest = None
            return False
        return True

    def _log_changes(
        self, comparison: Comparison, gone: Sequence[str], *, counts_prices: bool
    ) -> None:
        # If the oldest common price is unchanged, there was no adjustment; others were revised.
        changed = {*comparison.revised, *(comparison.repriced if counts_prices else ())}
        if changed:
            days = _few(sorted(changed))
            _log.warning("%s: late revisions were taken over: %s", self.ticker, days)
        if comparison.repriced and not counts_prices:
            _log.info("%s: prices of %d days adjusted", self.ticker, len(comparison.repriced))
        if gone:
            _log.warning("%s: the gateway no longer sends %s", self.ticker, _few(sorted(gone)))
        self.revised |= {*changed, *gone}


def _ascending(pages: Sequence[Page], table: Table) -> pd.DataFrame:
    rows = schema.to_frame(pages, table).assign(**{FIRST_SEEN: np.nan})
    return join.in_order([rows[::-1]])


def _is_early(days: NDArray[np.str_], table: Table, now_s: float) -> NDArray[np.bool_]:
    """For ascending days of a first fill: whether a row's day says that it is not public yet."""
    is_early = np.zeros(len(days), dtype=bool)
    for i in range(len(days) - 1, -1, -1):
        if public_s(str(days[i]), table) <= now_s:
            break
        is_early[i] = True
    return is_early


def _is_complete(history: TickerHistory) -> bool:
    return history.is_complete


def _completed(history: TickerHistory, now_s: float) -> TickerHistory:
    return replace(history, is_complete=True, cursor=None, walked_s=now_s)


def _few(days: Sequence[str]) -> str:
    more = f" and {len(days) - 5} more days" if len(days) > 5 else ""
    return ", ".join(days[:5]) + more
