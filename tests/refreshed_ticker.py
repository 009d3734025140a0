"""A ticker to refresh: a gateway made of arithmetic, a store in memory, and a clock."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pandas as pd
from model_gateway import HungUpError, ModelGateway, RefusedError

from intake_futu_short.calls import SHORT_VOLUME, Call, Question, Reply, Ticker
from intake_futu_short.errors import GatewayDisconnectedError, ReplyError
from intake_futu_short.history.ticker_history import FIRST_SEEN
from intake_futu_short.history.update import LOCKED, Outcome, Updater
from intake_futu_short.opend.messages_pb2 import DailyShortVolume
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager

    from intake_futu_short.history.ticker_history import TickerHistory
    from intake_futu_short.history.update import Store

HOUR_S = 3600.0


NOON = 1_800_000_000.0  # years after the model's newest day


def driven(
    generator: Generator[Any, Reply, Outcome],
    gateway: ModelGateway,
    while_locked: Callable[[], None] | None = None,
) -> Outcome:
    """Answer what a generator asks, until it returns."""
    reply: Any = None
    with contextlib.closing(generator):
        while True:
            try:
                wanted = generator.send(reply)
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome
            if wanted is LOCKED:
                assert while_locked is not None, "nobody else writes"
                while_locked()
                reply = None
            else:
                reply = answer(gateway, wanted)


def answer(gateway: ModelGateway, question: Question) -> Reply:
    """What comes of a question, over the connection that the gateway has then."""
    c2s = DailyShortVolume.Request.FromString(question.body).c2s
    cursor = c2s.next_key if c2s.HasField("next_key") else None
    try:
        s2c = gateway.fetch(cursor)
    except HungUpError as error:
        return Reply(None, GatewayDisconnectedError(str(error)), gateway.connection)
    except RefusedError as error:
        said = str(error)
        refusal = ReplyError(said, ret_type=-1, err_code=0, message=said)
        return Reply(None, refusal, gateway.connection)
    except Exception as error:  # noqa: BLE001 - what a test lets the gateway say
        return Reply(None, error, gateway.connection)
    return Reply(s2c, None, gateway.connection)


class DictStore:
    """Keeps histories in memory, one writer a ticker."""

    url = "dict://"

    def __init__(self) -> None:
        self.histories: dict[str, TickerHistory] = {}
        self.saves: list[TickerHistory] = []
        self.locked: set[str] = set()

    def load(self, ticker: Ticker) -> TickerHistory | None:
        return self.histories.get(ticker.code)

    def save(self, ticker: Ticker, history: TickerHistory) -> TickerHistory:
        assert ticker.code in self.locked
        self.histories[ticker.code] = history
        self.saves.append(history)
        return history

    def version(self, ticker: Ticker) -> str | None:
        return str(len(self.saves)) if ticker.code in self.histories else None

    def try_lock(self, ticker: Ticker) -> AbstractContextManager[None] | None:
        if ticker.code in self.locked:
            return None
        self.locked.add(ticker.code)
        return self._held(ticker.code)

    @contextlib.contextmanager
    def _held(self, code: str) -> Iterator[None]:
        try:
            yield
        finally:
            self.locked.discard(code)


class RefreshedTicker:
    """A ticker, its gateway, its store and a clock that stands still."""

    def __init__(
        self, gateway: ModelGateway, store: Store | None = None, call: Call = SHORT_VOLUME
    ) -> None:
        self.gateway = gateway
        self.memory = DictStore()
        self.store: Store = store or self.memory
        self.ticker = Ticker(Security.parse(f"{gateway.market}.A"), call)
        self.now_s = NOON
        self.while_locked: Callable[[], None] | None = None

    def refresh(
        self,
        mode: str = "always",
        is_enough: Callable[[TickerHistory], bool] = lambda held: held.is_complete,
        since_s: float | None = None,
    ) -> Outcome:
        """Refresh over a connection of its own."""
        updater = Updater(
            self.store, self.ticker, refresh=mode, origin="the model", clock=lambda: self.now_s
        )
        self.gateway.asked.clear()
        self.gateway.connection += 1
        try:
            update = updater.update(is_enough, since_s)
            outcome = driven(update, self.gateway, self.while_locked)
        finally:
            assert not self.memory.locked
        assert outcome.requests == len(self.gateway.asked)
        assert self.store is not self.memory or outcome.history is self.held
        return outcome

    @property
    def held(self) -> TickerHistory:
        return self.memory.histories[self.ticker.code]

    def put(self, history: TickerHistory) -> None:
        """As if an earlier refresh had left it."""
        self.memory.histories[self.ticker.code] = history

    def assert_fresh(self) -> None:
        """What is held is what a fresh walk gives, on the days that it gives; and complete."""
        fresh = self.gateway.frame()
        pd.testing.assert_frame_equal(as_read(self.held)[: len(fresh)], fresh)
        assert self.held.is_complete
        assert self.held.cursor is None


def first_days(count: int) -> Callable[[TickerHistory], bool]:
    return lambda held: held.is_complete or len(held.rows) >= count


def as_read(history: TickerHistory) -> pd.DataFrame:
    """Rows as a source gives them: newest first, in the columns of the documentation."""
    return history.rows[::-1].reset_index(drop=True).drop(columns=FIRST_SEEN)
