"""A ticker to refresh: a gateway made of arithmetic, a store in memory, and a clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from model_gateway import DictStore, ModelGateway, as_read

from intake_futu_short.history.keeper import Keeper, Outcome
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable

    from intake_futu_short.kept import Kept


HOUR_S = 3600.0


NOON = 1_800_000_000.0  # years after the model's newest day


class RefreshedTicker:
    """A ticker, its gateway, its store and a clock that stands still."""

    def __init__(self, gateway: ModelGateway) -> None:
        self.gateway = gateway
        self.store = DictStore()
        self.security = Security.parse(f"{gateway.market}.A")
        self.now_s = NOON

    def refresh(
        self, mode: str = "always", is_enough: Callable[[Kept], bool] = lambda k: k.is_complete
    ) -> Outcome:
        keeper = Keeper(
            self.store, self.security, self.gateway.fetch, refresh=mode, clock=lambda: self.now_s
        )
        self.gateway.asked.clear()
        outcome = keeper.update(is_enough)
        assert outcome.requests == len(self.gateway.asked)
        return outcome

    @property
    def kept(self) -> Kept:
        return self.store.kept[self.security.code]

    def assert_fresh(self) -> None:
        """What is held is what a fresh walk gives, on the days that it gives; and complete."""
        fresh = self.gateway.frame()
        pd.testing.assert_frame_equal(as_read(self.kept)[: len(fresh)], fresh)
        assert self.kept.is_complete
        assert self.kept.staged is None


def first_days(count: int) -> Callable[[Kept], bool]:
    return lambda kept: kept.is_complete or len(kept.rows) >= count
