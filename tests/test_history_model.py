"""Whatever happens, in any order: what is kept is what a fresh walk gives, where promised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model_gateway import PRICES, ModelGateway
from refreshed_ticker import RefreshedTicker, as_read

from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.errors import GatewayDisconnectedError

NUM = 5
WINDOW = 32


# The model forgets rows as the gateway does, but sooner.
CALL = replace(SHORT_VOLUME, window_rows=30)


class StoredHistory(RuleBasedStateMachine):
    """Days pass, prices are adjusted, rows revised, and walks interrupted or overtaken."""

    @initialize(
        days=st.integers(0, 40),
        cursor=st.sampled_from(["day", "offset"]),
        missing=st.sampled_from([0.0, 0.2]),
        seed=st.integers(0, 2**16),
    )
    def begin(self, days: int, cursor: str, missing: float, seed: int) -> None:
        self.gateway = ModelGateway(
            days, "HK", window=WINDOW, num=NUM, cursor=cursor, missing=missing, seed=seed
        )
        self.ticker = RefreshedTicker(self.gateway, call=CALL)
        # Something changed that one request cannot see: a full walk is needed.
        self.is_hidden = False
        self.days_seen: set[str] = set()

    # -- the world ------------------------------------------------------------------------

    @rule(days=st.integers(1, 12))
    def days_pass(self, days: int) -> None:
        self.gateway.add(days)

    @precondition(lambda self: self.gateway.all)
    @rule(factor=st.floats(0.3, 0.99))
    def prices_are_adjusted(self, factor: float) -> None:
        """The newest day is the last before the ex-date."""
        self.gateway.adjust(back=0, factor=factor)

    @precondition(lambda self: len(self.gateway.all) > WINDOW)
    @rule(back=st.integers(0, WINDOW - 1), short=st.integers(0, 9))
    def a_count_is_revised(self, back: int, short: int) -> None:
        self.gateway.revise(back, "short_sell_shares_traded", short)
        self.is_hidden = True  # a later day may move it off the newest page

    @rule(refuses=st.booleans())
    def cursors_expire(self, refuses: bool) -> None:
        self.gateway.generation += 1
        self.gateway.refuses_unknown = refuses

    @rule(hours=st.sampled_from([0.1, 3.0, 100.0]))
    def time_passes(self, hours: float) -> None:
        self.ticker.now_s += hours * 3600

    # -- what is done ---------------------------------------------------------------------

    def refresh(self, mode: str, wanted: int | None = None) -> None:
        self.ticker.refresh(
            mode, lambda held: held.is_complete or (wanted is not None and len(held.rows) >= wanted)
        )

    @rule(mode=st.sampled_from(["always", "full"]))
    def refresh_whole(self, mode: str) -> None:
        fresh = self.gateway.frame()
        self.refresh(mode)
        if mode == "full":
            self.is_hidden = False
        assert self.ticker.held.is_complete
        read = as_read(self.ticker.held)
        assert read["timestamp_str"].tolist()[: len(fresh)] == fresh["timestamp_str"].tolist()
        if self.is_hidden:
            fresh["short_sell_shares_traded"] = read["short_sell_shares_traded"][: len(fresh)]
        pd.testing.assert_frame_equal(read[: len(fresh)], fresh)
        # Prices of what the gateway sends no longer are of today's adjustment, or are not there.
        beyond = read[len(fresh) :]
        truth = self.gateway.frame(self.gateway.all[::-1]).set_index("timestamp_str")
        right = truth.loc[beyond["timestamp_str"], PRICES].to_numpy()
        ours = beyond[PRICES].to_numpy()
        assert (np.isnan(ours) | np.isclose(ours, right, rtol=1e-8, equal_nan=True)).all()
        # A second look costs one request and changes nothing.
        if fresh[PRICES].notna().all(axis=None):
            self.refresh("always")
            assert len(self.gateway.asked) == 1
        pd.testing.assert_frame_equal(as_read(self.ticker.held), read)

    @rule(wanted=st.integers(1, WINDOW), mode=st.sampled_from(["auto", "always"]))
    def refresh_some(self, wanted: int, mode: str) -> None:
        self.refresh(mode, wanted)
        held = self.ticker.held
        assert held.is_complete or len(held.rows) >= wanted

    @rule(
        mode=st.sampled_from(["auto", "always", "full"]),
        answers=st.integers(0, 8),
        factor=st.sampled_from([None, 0.9]),
    )
    def refresh_interrupted(self, mode: str, answers: int, factor: float | None) -> None:
        if factor is not None:
            self.gateway.adjust(back=0, factor=factor)
        self.gateway.fails_after = answers
        try:
            self.refresh(mode)
        except GatewayDisconnectedError:
            pass
        finally:
            self.gateway.fails_after = None

    @precondition(lambda self: self.gateway.all)
    @rule(
        mode=st.sampled_from(["always", "full"]),
        number=st.integers(2, 8),
        days=st.integers(0, 3),
        factor=st.sampled_from([None, 0.5]),
        gateway=st.sampled_from(["same", "reconnects", "refuses cursors", "forgets cursors"]),
    )
    def refresh_while_the_world_goes_on(
        self, mode: str, number: int, days: int, factor: float | None, gateway: str
    ) -> None:
        def change() -> None:
            if len(self.gateway.asked) == number:
                if factor is not None:
                    self.gateway.adjust(back=0, factor=factor)
                self.gateway.add(days)
                self.gateway.connection += gateway != "same"
                self.gateway.generation += gateway.endswith("cursors")
                self.gateway.refuses_unknown = gateway == "refuses cursors"

        self.gateway.before_answer = change
        try:
            self.refresh(mode)
        finally:
            self.gateway.before_answer = lambda: None

    # -- what always holds ----------------------------------------------------------------

    @invariant()
    def no_day_is_lost_and_none_is_there_twice(self) -> None:
        held = self.ticker.memory.histories.get(self.ticker.ticker.code)
        if held is None:
            return
        days = held.rows["timestamp_str"].tolist()
        assert days == sorted(set(days))
        assert set(days) >= self.days_seen
        self.days_seen = set(days)
        if held.superseded is not None:
            old = held.superseded["timestamp_str"].tolist()
            assert old == sorted(set(old))
            blank = held.rows.loc[held.rows["timestamp_str"].isin(old), PRICES]
            assert blank.isna().all(axis=None)
            assert held.superseded[PRICES].notna().any(axis=1).all()


TestStoredHistory = StoredHistory.TestCase
TestStoredHistory.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
