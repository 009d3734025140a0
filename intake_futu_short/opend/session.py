"""What everything in a process that names the same gateway shares: a link to it, and its turns.

A session makes its link with the first request and makes a new one when that is gone, lets every
request wait for its turn under the gateway's limit, and asks again what a fault left unanswered.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import threading
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from tenacity import (
    AsyncRetrying,
    RetryError,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
)

from intake_futu_short.errors import (
    GatewayDisconnectedError,
    GatewayError,
    GatewayUnreachableError,
    ReplyError,
)
from intake_futu_short.opend import background
from intake_futu_short.opend.retry_policy import RetryPolicy
from intake_futu_short.opend.turns import Turns, WaitEndedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tenacity import RetryCallState
    from tenacity.stop import stop_base

    from intake_futu_short.opend.address import GatewayURL
    from intake_futu_short.opend.cipher import RsaKey
    from intake_futu_short.opend.limiter import Limit
    from intake_futu_short.opend.link import Link

    # gateway, key, seconds, policy → a link that has shaken hands
    Connect = Callable[[GatewayURL, RsaKey | None, float, RetryPolicy], Coroutine[Any, Any, Link]]
    # A connection is shared by those who encrypt it alike: host, port, fingerprint, algorithm.
    Identity = tuple[str, int, str | None, int]

__all__ = ["Session", "Sessions"]

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Sessions:
    """The sessions of a process, one a gateway, counted."""

    def __init__(self, connect: Connect, policy: RetryPolicy | None = None) -> None:
        self._connect = connect
        self._policy = policy or RetryPolicy()
        self._lock = threading.Lock()
        self._held: dict[Identity, tuple[Session, int]] = {}

    def acquire(self, gateway: GatewayURL, key: RsaKey | None) -> Session:
        """Join the gateway's session, which begins with its first user."""
        fingerprint = None if key is None else key.fingerprint
        identity = (gateway.host, gateway.port, fingerprint, int(gateway.algorithm))
        with self._lock:
            session, users = self._held.get(identity, (None, 0))
            if session is None:
                session = Session(gateway, key, identity, self._connect, self._policy)
            session.tighten(gateway.limit)
            self._held[identity] = (session, users + 1)
            return session

    def release(self, session: Session) -> None:
        """Leave a session, which ends with its last user."""
        with self._lock:
            held, users = self._held.get(session.identity, (None, 0))
            if held is not session:
                return  # it belongs to the process this one was forked from
            if users > 1:
                self._held[session.identity] = (session, users - 1)
                return
            del self._held[session.identity]
        session.close()


class Session:
    """Requests to one gateway; its coroutines run on the loop of its `lease`."""

    def __init__(
        self,
        gateway: GatewayURL,
        key: RsaKey | None,
        identity: Identity,
        connect: Connect,
        policy: RetryPolicy,
    ) -> None:
        self.identity = identity
        self.lease = background.Lease()
        self._gateway = gateway
        self._key = key
        self._connect = connect
        self._policy = policy
        self._limit: Limit | None = None
        self._is_closed = False
        self._link: Link | None = None
        self._connecting: asyncio.Task[Link] | None = None
        self._turns: dict[str, Turns] = {}
        self._asking: set[asyncio.Task[Any]] = set()
        self._told: BaseException | None = None

    @property
    def link(self) -> Link | None:
        """The connection in use, or the last one."""
        return self._link

    def tighten(self, limit: Limit | None) -> None:
        """Heed one more user's limit: of several the strictest holds."""
        if limit is not None:
            self._limit = limit.tightened(self._limit)

    async def ask(
        self,
        proto_id: int,
        body: bytes,
        decode: Callable[[bytes], T],
        *,
        what: str,
        timeout: float,
        on_wait: Callable[[float], None] | None = None,
        seek_s: float | None = None,
    ) -> T:
        """Ask when the limit allows, and again when a fault leaves it unanswered.

        Parameters
        ----------
        proto_id, body : int, bytes
            The request.
        decode : callable
            Makes the answer of a body, or raises why it is none. A no is an answer.
        what : str
            What is asked for, for the log.
        timeout : float
            Seconds for each answer; they begin with the sending.
        on_wait : callable, optional
            Told the seconds, each time that a wait for the limit begins.
        seek_s : float, optional
            Seconds after which this request gives up a connection that was lost, also while it
            waits for the limit, with GatewayUnreachableError. It is sought on for the others.
        """

        def say(state: RetryCallState) -> None:
            error = _error_of(state)
            # What was in flight on a connection that ends is lost by one and the same error.
            level, self._told = (logging.INFO if error is self._told else logging.WARNING), error
            _log.log(
                level,
                "%s from %s is asked for again in %.1f s (time %d of %d): %s",
                what, self._gateway, _pause_of(state), state.attempt_number + 1,
                self._policy.asks, error,
            )  # fmt: skip

        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._asking.add(task)
        try:
            async for attempt in self._tries(stop_after_attempt(self._policy.asks), say):
                # Outside of the attempt: that no connection can be had has its own bounds.
                link, turns, slot = await self._turn(timeout, on_wait, seek_s)
                with attempt:
                    try:
                        return decode(await link.request(proto_id, body, timeout))
                    finally:
                        if turns is not None:
                            await turns.end(slot)
        except RetryError as given_up:
            _raise_last(given_up, f"asked {self._policy.asks} times, and at last")
        finally:
            self._asking.discard(task)
        raise AssertionError("an attempt ends in an answer or in an error")  # pragma: no cover

    async def refused(self) -> None:
        """After "too frequent": let nobody on this host ask before a window has passed."""
        if self._link is not None and self._limit is not None:
            await self._turns_at(self._link).refused(self._limit)

    def close(self) -> None:
        """End the link, what waits on it, and the lease."""
        self.lease.run(self._close_link)
        self.lease.close()

    def _tries(self, stop: stop_base, say: Callable[[RetryCallState], None]) -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception(self._may_pass),
            stop=stop,
            wait=self._policy.pause,
            sleep=self._policy.sleep,
            before_sleep=say,
        )

    def _may_pass(self, error: BaseException) -> bool:
        """Whether asking again can help. A no stays a no, and what was closed here stays closed."""
        is_fault = isinstance(error, GatewayError) and not isinstance(error, ReplyError)
        return is_fault and not self._is_closed

    async def _turn(
        self, timeout: float, on_wait: Callable[[float], None] | None, seek_s: float | None
    ) -> tuple[Link, Turns | None, int]:
        """Wait for a link and, where there is a limit, for a slot of it."""
        # Connect first: a gateway that is down uses no slot and need not be waited for.
        link = await self._connected(timeout, seek_s)
        if self._limit is None:
            return link, None, 0
        turns = self._turns_at(link)
        try:
            ended = None if seek_s is None else link.ended
            slot = await turns.take(self._limit, timeout, on_wait, unless=ended)
            if not link.is_closed:
                return link, turns, slot
            # A slot counts from its taking, and a new link may take long.
            await turns.give_back(slot)
        except WaitEndedError:
            pass
        link = await self._connected(timeout, seek_s)
        turns = self._turns_at(link)
        slot = await turns.take(self._limit, timeout, on_wait)
        return link, turns, slot

    def _turns_at(self, link: Link) -> Turns:
        if link.host not in self._turns:
            self._turns[link.host] = Turns(link.host, self._gateway.port, str(self._gateway))
        return self._turns[link.host]

    async def _connected(self, timeout: float, seek_s: float | None) -> Link:
        if self._is_closed:
            raise GatewayDisconnectedError("closed here")
        if self._link is not None and not self._link.is_closed:
            return self._link
        # Whoever comes while a connection is being made waits for that one, and fails with it.
        connecting = self._connecting
        if connecting is None:
            connect = (
                self._connect(self._gateway, self._key, timeout, self._policy)
                if self._link is None
                else self._connect_again(timeout)
            )
            connecting = self._connecting = asyncio.get_running_loop().create_task(connect)
            connecting.add_done_callback(self._keep_link)
        # The first connection is not sought, and has its own bounds.
        await asyncio.wait({connecting}, timeout=None if self._link is None else seek_s)
        if not connecting.done():
            raise GatewayUnreachableError(
                f"the connection to {self._gateway} was lost, and no new one was made within "
                f"{seek_s:g} s"
            )
        return connecting.result()

    async def _connect_again(self, timeout: float) -> Link:
        """Look for the gateway, which was there once, as long as that may take."""

        def say(state: RetryCallState) -> None:
            _log.log(
                logging.WARNING if state.attempt_number == 1 else logging.INFO,
                "the connection to %s was lost; a new one is tried again in %.1f s: %s",
                self._gateway, _pause_of(state), _error_of(state),
            )  # fmt: skip

        time = asyncio.get_running_loop().time
        deadline = time() + self._policy.reconnect_s
        try:
            async for attempt in self._tries(stop_before_delay(self._policy.reconnect_s), say):
                with attempt:
                    left = min(timeout, deadline - time())
                    link = await self._connect(self._gateway, self._key, left, self._policy)
                    _log.info("connected to %s again", self._gateway)
                    return link
        except RetryError as given_up:
            tries = given_up.last_attempt.attempt_number
            _raise_last(
                given_up,
                f"the connection was lost, {tries} tries within {self._policy.reconnect_s:g} s "
                "made no new one, and at last",
            )
        raise AssertionError("an attempt ends in a link or in an error")  # pragma: no cover

    def _keep_link(self, connected: asyncio.Task[Link]) -> None:
        self._connecting = None
        if not connected.cancelled() and connected.exception() is None:
            self._link = connected.result()
            if self._is_closed:
                self._link.close()

    async def _close_link(self) -> None:
        self._is_closed = True
        for task in self._asking:
            task.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._link is not None:
            self._link.close()


def _error_of(state: RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()


def _pause_of(state: RetryCallState) -> float:
    return 0.0 if state.next_action is None else state.next_action.sleep


def _raise_last(given_up: RetryError, how_often: str) -> NoReturn:
    """Raise the error of the last try with what was tried; the error itself is its cause."""
    last = given_up.last_attempt.exception()
    assert last is not None  # noqa: S101 - what succeeded is not given up
    error = copy.copy(last)
    error.args = (f"{how_often}: {last}",)
    raise error from last
