"""The rules by which a ticker's history is kept: most from the least requests. Pure, given a walk.

The newest page is asked for, joined with what is held, and compared. Where the oldest common row
has its old prices, what is older still stands, and one request was enough. Where it has other
prices, a dividend or a split has changed everything older: pages are walked until a row agrees or
the gateway has no more. Meanwhile they are *staged* beside the history, which they replace in one
write, so that rows of different adjustments never stand in one history.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from intake_futu_short import table
from intake_futu_short.errors import (
    PaginationError,
    QuoteRightError,
    RateLimitError,
    ReplyError,
    StoreError,
    UnknownSecurityError,
)
from intake_futu_short.history import joining
from intake_futu_short.history.freshness import is_fresh
from intake_futu_short.kept import DAY, Kept, Staged, price_columns
from intake_futu_short.pages import Aggregates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from intake_futu_short.history.joining import Comparison
    from intake_futu_short.pages import Page, Walk
    from intake_futu_short.security import Market, Security

__all__ = ["Refresh"]

# How often a refresh begins again because another writer came in between with other prices.
OVERTAKEN_AT_MOST = 5

_log = logging.getLogger(__name__)


class _StaleCursorError(Exception):
    """A saved cursor leads nowhere any more."""


class _NothingBehindError(_StaleCursorError):
    """No row is behind a saved cursor: it is the end, or the gateway has forgotten the cursor."""


class _OvertakenError(Exception):
    """Another writer has published a history of another adjustment meanwhile."""


@dataclass
class Refresh:
    """Brings one ticker's history up to date.

    An error of the walk or of `save` ends it; what was saved until then is whole, and the next
    refresh goes on from there.

    Parameters
    ----------
    security : Security
        Whose history.
    walk_from : callable
        Takes a cursor (None for the newest page) and returns a `Walk` from there.
    save : callable
        Takes the `Kept` to write and returns what was written: the same, unless another writer
        came in between and the two were merged.
    is_enough : callable
        Whether a history that is not complete holds all that is wanted.
    now_s : float
        Unix seconds.

    Attributes
    ----------
    revised : set of str
        Days that the gateway has sent before with other values, or no longer sends.
    """

    security: Security
    walk_from: Callable[[str | None], Walk]
    save: Callable[[Kept], Kept]
    is_enough: Callable[[Kept], bool]
    now_s: float

    def __post_init__(self) -> None:
        self.revised: set[str] = set()
        self._market = self.security.market
        self._kept = Kept(table.to_frame([], self._market))
        self._newest: Walk | None = None
        self._saved_cursor: str | None = None
        self._is_same_read = False

    def run(
        self, held: Kept | None, *, is_full: bool = False, newest_is_known: bool = False
    ) -> Kept:
        """Ask for what is missing.

        Parameters
        ----------
        held : Kept or None
            What the store has.
        is_full : bool
            Walk all of it, whatever agrees.
        newest_is_known : bool
            The newest page was just asked for: go on with the older ones.

        Returns
        -------
        Kept
            As it was saved last.

        Raises
        ------
        GatewayError, PaginationError
            As a walk raises them.
        StoreError
            As `save` raises it, and when other writers do not let it come to an end.
        """
        self._kept = held or self._kept
        if is_full:
            self.is_enough = _is_complete
        newest_is_known = newest_is_known and self._kept.staged is None
        self._is_same_read = newest_is_known
        for _ in range(OVERTAKEN_AT_MOST):
            if self._finishes(is_full=is_full, newest_is_known=newest_is_known):
                return self._kept
            newest_is_known, self._newest = False, None
        raise StoreError(
            f"{self.security}: other writers published other prices again and again while it was "
            "refreshed; let one process at a time write a store without locks"
        )

    def _finishes(self, *, is_full: bool, newest_is_known: bool) -> bool:
        try:
            if not newest_is_known:
                self._renew(is_full and len(self._kept.rows) > 0)
            self._extend()
        except _StaleCursorError as error:
            _log.info("%s: walked anew, for a saved cursor led nowhere: %s", self.security, error)
        except _OvertakenError:
            return False
        else:
            return True
        try:
            self._walk_anew()
            self._extend()
        except _OvertakenError:
            return False
        return True

    # -- the newest rows ----------------------------------------------------------------------

    def _renew(self, is_full: bool) -> None:
        """Ask for the newest page, and for as many more as it takes to connect and agree."""
        staged, staged_s = self._kept.staged, self._kept.checked_s
        sent = self._ask_newest()
        if not len(sent) and len(self._kept.rows):
            # Nothing contradicts what is held; that there is nothing any more need not last.
            self._put(self._kept)
            return
        walk = self._newest_walk()
        stands = self._stands(self._compare(sent), sent)
        if staged is not None and (
            is_fresh(staged_s, self.now_s) if is_full else not stands
        ):  # an interrupted walk may save the most of the way
            between = joining.compare(staged.rows, sent, self._market)
            if between.has_common and between.is_same_basis is not False:
                sent_so_far = joining.lay_over(staged.rows, sent)
                for cursor, before in (
                    (staged.cursor, staged.cursor_before), (staged.cursor_before, None)
                ):  # fmt: skip
                    try:
                        self._rewalk(self._resume(cursor), sent_so_far, before, is_full=is_full)
                    except _NothingBehindError:
                        continue  # as in `_extend`
                    except _StaleCursorError:
                        break
                    return
        self._rewalk(walk, sent, is_full=is_full)

    def _walk_anew(self) -> None:
        """Walk from the newest page beyond all that is held, for a cursor that is taken."""
        if self._newest is None:
            self._ask_newest()
        sent = _ascending(self._newest_walk().pages, self._market)
        if not len(sent):
            raise PaginationError(
                f"{self.security}: the gateway sends no rows any more, and does not take the "
                "cursor to the older ones that are wanted"
            )
        self._rewalk(self._newest_walk(), sent, is_full=True)

    def _rewalk(
        self, walk: Walk, sent: pd.DataFrame, before: str | None = None, *, is_full: bool
    ) -> None:
        """Walk on until what was sent can be put in place of what is held.

        Parameters
        ----------
        walk : Walk
            Where older pages come from.
        sent : pandas.DataFrame
            From the newest row on, without a gap, as far as `walk` has come.
        before : str or None
            Cursor that the last of its pages came from.
        is_full : bool
            Do not stop where rows agree.
        """
        while True:
            comparison = self._compare(sent)
            stands = self._stands(comparison, sent)
            if (
                (stands and not is_full)
                or walk.is_finished
                or (not self._kept.is_complete and self._is_past_held(sent))
            ):
                break
            # The cursor is there: a walk that is not finished has one.
            self._put(replace(self._kept, staged=Staged(sent, walk.next_key or "", before)))
            before = walk.next_key
            sent = joining.unite(sent, self._next(walk))
        # Where the oldest common price stands, no adjustment lies between: others were revised.
        self._note(comparison, counts_prices=stands)
        self._publish(walk, sent, stands=stands)

    def _publish(self, walk: Walk, sent: pd.DataFrame, *, stands: bool) -> None:
        """Put rows in place of those held, in one write."""
        kept, gone = joining.put_in_place(self._kept, sent, self._market, stands=stands)
        if gone:
            _log.warning("%s: the gateway no longer sends %s", self.security, _spoken(gone))
            self.revised.update(gone)
        if walk.is_finished:
            kept = self._completed(kept)
        elif self._is_past_held(sent):
            kept = replace(kept, is_complete=False, cursor=walk.next_key, cursor_before=None)
        self._put(kept)

    def _stands(self, comparison: Comparison, sent: pd.DataFrame) -> bool:
        """Whether what is held and older than the rows sent is of the same adjustment."""
        if comparison.is_same_basis is not None:
            return comparison.is_same_basis
        older, _, _ = joining.split(self._kept.rows, sent)
        names = price_columns(self._market.column_names)
        return comparison.has_common and not older[names].notna().any(axis=None)

    def _is_past_held(self, sent: pd.DataFrame) -> bool:
        """Whether the rows sent go back farther than those held, or as far and more are missing."""
        held = self._kept
        if not len(sent) or not len(held.rows):
            return True
        oldest, oldest_held = sent[DAY].iloc[0], held.rows[DAY].iloc[0]
        return bool(oldest < oldest_held or (oldest == oldest_held and not held.is_complete))

    # -- older rows ---------------------------------------------------------------------------

    def _extend(self) -> None:
        """Walk on backwards from what is held, a write a page."""
        walk = self._newest
        if walk is None or walk.next_key != self._kept.cursor:
            walk = None
        while not (self._kept.is_complete or self.is_enough(self._kept)):
            if walk is None:
                walk = self._resume(self._kept.cursor)
            before = walk.next_key
            try:
                sent = self._next(walk)
            except _NothingBehindError:
                # The last page again tells which, for its cursor to what is older is one of now.
                before = self._kept.cursor_before
                walk = self._resume(before)
                sent = self._next(walk)
            comparison = self._compare(sent)
            if comparison.is_same_basis is False:
                raise _StaleCursorError("the rows behind it are of another adjustment")
            self._note(comparison, counts_prices=True)
            rows = joining.unite(self._kept.rows, sent)
            kept = replace(self._kept, rows=rows, cursor=walk.next_key, cursor_before=before)
            self._put(self._completed(kept) if walk.is_finished else kept)

    def _completed(self, kept: Kept) -> Kept:
        return replace(kept, is_complete=True, cursor=None, cursor_before=None, walked_s=self.now_s)

    # -- asking and writing -------------------------------------------------------------------

    def _ask_newest(self) -> pd.DataFrame:
        sent = self._next(self._newest_walk())
        self._kept = replace(
            self._kept,
            checked_s=self.now_s,
            aggregates=_with(self._kept.aggregates, self._newest_walk().aggregates),
        )
        return sent

    def _newest_walk(self) -> Walk:
        if self._newest is None:
            self._newest = self.walk_from(None)
        return self._newest

    def _resume(self, cursor: str | None) -> Walk:
        if cursor is None:
            raise _StaleCursorError("there is none")
        self._saved_cursor = cursor
        return self.walk_from(cursor)

    def _next(self, walk: Walk) -> pd.DataFrame:
        """Rows of the next page, ascending; none at the end."""
        is_saved = walk is not self._newest and walk.next_key == self._saved_cursor
        try:
            page = walk.next_page()
        except (RateLimitError, QuoteRightError, UnknownSecurityError):
            raise
        except (ReplyError, PaginationError) as error:
            if walk is self._newest or (isinstance(error, ReplyError) and not is_saved):
                raise
            raise _StaleCursorError(str(error)) from error
        if page is None and is_saved and not self._is_same_read:
            raise _NothingBehindError("no row is behind it")
        return _ascending([] if page is None else [page], self._market)

    def _put(self, kept: Kept) -> None:
        self._kept = self.save(kept)
        if kept.staged is None and self._kept.staged is not None:
            raise _OvertakenError

    def _compare(self, sent: pd.DataFrame) -> Comparison:
        return joining.compare(self._kept.rows, sent, self._market)

    def _note(self, comparison: Comparison, *, counts_prices: bool) -> None:
        """Log what differs from what was held."""
        changed = {*comparison.revised, *(comparison.repriced if counts_prices else ())}
        if changed:
            days = _spoken(sorted(changed))
            _log.warning("%s: late revisions were taken over: %s", self.security, days)
            self.revised |= changed
        if comparison.repriced and not counts_prices:
            _log.info("%s: prices of %d days adjusted", self.security, len(comparison.repriced))


def _ascending(pages: Sequence[Page], market: Market) -> pd.DataFrame:
    return table.to_frame(pages, market).sort_values(DAY, ignore_index=True)


def _is_complete(kept: Kept) -> bool:
    return kept.is_complete


def _with(seen: tuple[Aggregates, ...], now: Aggregates) -> tuple[Aggregates, ...]:
    """The reports seen, and the one of now unless it is the last already."""
    last = seen[-1] if seen else Aggregates()
    return seen if now == last else (*seen, now)


def _spoken(days: Sequence[str]) -> str:
    more = f" and {len(days) - 5} more days" if len(days) > 5 else ""
    return ", ".join(days[:5]) + more
