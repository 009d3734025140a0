"""What a source reads: rows in partitions, as far as they were called for.

One ticker's come from a walk; whatever else has the same face can stand behind a source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from intake_futu_short import table
from intake_futu_short.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from intake_futu_short.pages import Page, Walk
    from intake_futu_short.security import Security

__all__ = ["Partitions", "WalkedTicker"]


class Partitions(Protocol):
    """Rows in partitions. Nothing is read before it is called for, and nothing twice."""

    @property
    def is_finished(self) -> bool:
        """Whether all partitions are known."""

    @property
    def sizes(self) -> Sequence[int]:
        """Rows of each partition known so far."""

    def get(self, number: int) -> pd.DataFrame | None:
        """Partition `number`, 0 or more; None when there are fewer."""

    def load(self) -> None:
        """Read to the end."""

    def frame(self) -> pd.DataFrame:
        """Every row, with the attributes of the whole; reads to the end."""

    def attributes(self) -> dict[str, Any]:
        """What the whole bears in ``attrs``, as far as it was read."""

    def aggregates(self) -> dict[str, Any]:
        """Reported open short position as of now; asks for one page at most."""


class WalkedTicker:
    """The pages of one ticker, walked; a partition is a page."""

    def __init__(self, walk: Walk, security: Security) -> None:
        self._walk = walk
        self._security = security

    @property
    def is_finished(self) -> bool:
        """Whether the walk has come to its end."""
        return self._walk.is_finished

    @property
    def sizes(self) -> Sequence[int]:
        """Rows of each page walked so far."""
        return [len(page.rows) for page in self._walk.pages]

    def get(self, number: int) -> pd.DataFrame | None:
        """Page `number`, with its own cursor and aggregates in ``attrs``."""
        while len(self._walk.pages) <= number:
            if self._walk.next_page() is None:
                return None
        page: Page = self._walk.pages[number]
        frame = self._framed([page])
        frame.attrs.update(table.attributes(self._security, page.next_key, page.aggregates))
        return frame

    def load(self) -> None:
        """Walk to the end."""
        while self._walk.next_page() is not None:
            pass

    def frame(self) -> pd.DataFrame:
        """Every page's rows in one frame."""
        self.load()
        frame = self._framed(self._walk.pages)
        frame.attrs.update(self.attributes())
        return frame

    def _framed(self, pages: Sequence[Page]) -> pd.DataFrame:
        try:
            return table.to_frame(pages, self._security.market)
        except ProtocolError as error:
            raise ProtocolError(f"{self._security}: {error}") from error.__cause__

    def attributes(self) -> dict[str, Any]:
        """Attributes of the whole, as far as it was walked."""
        return table.attributes(self._security, self._walk.next_key, self._walk.aggregates)

    def aggregates(self) -> dict[str, Any]:
        """Aggregates of the newest page, which is asked for if it has not been."""
        if self._walk.next_key is None:
            self._walk.next_page()
        return self._walk.aggregates.as_dict()
