"""One connection that is up: the futures that wait for its answers, and its heartbeat."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from intake_futu_short.errors import GatewayDisconnectedError, GatewayTimeoutError
from intake_futu_short.opend.connection import Answer, Connection, Ready

if TYPE_CHECKING:
    from intake_futu_short.errors import GatewayError
    from intake_futu_short.opend.address import GatewayURL
    from intake_futu_short.opend.cipher import RsaKey
    from intake_futu_short.opend.retry_policy import RetryPolicy

__all__ = ["Link"]

# The official client's figure: a heartbeat after 0.8 of the interval that the gateway names.
HEARTBEAT_SHARE = 0.8

_log = logging.getLogger(__name__)


class Link(asyncio.Protocol):
    """One connection, to be used on one event loop.

    Parameters
    ----------
    gateway : GatewayURL
        Whom it leads to.
    key : RsaKey or None
        Encrypts it.
    host : str
        Address at the other end, the same whatever name this host's own was reached by.
    policy : RetryPolicy
        When silence ends it.

    Attributes
    ----------
    ready : asyncio.Future
        Done with the handshake.
    ended : asyncio.Future
        Done when the connection has ended.
    """

    def __init__(
        self, gateway: GatewayURL, key: RsaKey | None, host: str, policy: RetryPolicy
    ) -> None:
        self.host = host
        self._peer = str(gateway)
        self._connection = Connection(self._peer, key, gateway.algorithm)
        self._policy = policy
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._heartbeat: asyncio.TimerHandle | None = None
        self._received = self._now()
        self._error: GatewayError | None = None
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self.ready: asyncio.Future[Ready] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()

    @property
    def is_closed(self) -> bool:
        """Whether it cannot be used any more; a machine that slept learns it by this."""
        if self._error is None:
            self._give_up_in_silence()
        return self._error is not None

    async def request(self, proto_id: int, body: bytes, timeout: float) -> bytes:
        """Send a request and wait for its answer.

        A timeout ends the connection too, unless an answer to something else came meanwhile: only
        then is it known to be alive.
        """
        if self._error is not None:
            raise self._error
        frames_before = self._connection.frames_received
        serial = self._connection.request(proto_id, body)
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._answers[serial] = future
        self._flush()
        try:
            await asyncio.wait({future}, timeout=timeout)
            if future.done():
                return future.result()
        finally:
            self._connection.forget(serial)
            self._answers.pop(serial, None)
        # Behind the half of a frame that stalled, nothing would be understood.
        if self._connection.frames_received == frames_before or self._connection.is_mid_frame:
            self._fail(
                GatewayTimeoutError(
                    f"nothing came from {self._peer} for {timeout:g} s, and the connection was "
                    "given up. OpenD may be busy or cut off from its servers"
                )
            )
        raise GatewayTimeoutError(
            f"no answer within {timeout:g} s. OpenD may be busy or cut off from its servers; a "
            "larger timeout= waits longer"
        )

    def close(self) -> None:
        """End it, and whatever waits on it."""
        error = GatewayDisconnectedError(f"the connection to {self._peer} was closed here")
        self._fail(error, logging.DEBUG)

    # -- called by asyncio ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with the handshake."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - tells mypy what TCP gives
        self._transport = transport
        self._connection.open()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        self._received = self._now()
        self._connection.receive_data(data)
        self._handle_events()

    def eof_received(self) -> None:
        """Take the gateway's goodbye."""
        self._connection.receive_eof()
        self._handle_events()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits."""
        error = GatewayDisconnectedError(
            f"the connection broke ({exc}). Is OpenD still running, and the network up?"
        )
        error.__cause__ = exc
        self._fail(error)

    # ---------------------------------------------------------------------------------------

    def _handle_events(self) -> None:
        for event in self._connection.events_received():
            if isinstance(event, Ready):
                _log.debug("connected to %s: %s", self._peer, event)
                self.ready.set_result(event)
                # More often than asked does no harm; more seldom, silence would prove nothing.
                asked_for = HEARTBEAT_SHARE * event.keep_alive_s
                self._schedule_heartbeat(min(asked_for, self._policy.silence_s / 3))
            elif isinstance(event, Answer):
                future = self._answers.get(event.serial)
                if future is not None and not future.done():
                    future.set_result(event.body)
            else:
                self._fail(event.error)
        self._flush()

    def _schedule_heartbeat(self, interval: float) -> None:
        self._heartbeat = self._loop.call_later(interval, self._beat, interval)

    def _beat(self, interval: float) -> None:
        if not self.is_closed:
            self._connection.keep_alive(int(time.time()))
            self._flush()
            self._schedule_heartbeat(interval)

    def _now(self) -> tuple[float, float]:
        return self._loop.time(), self._policy.wall_clock()

    def _give_up_in_silence(self) -> None:
        # By either clock: the monotonic one may stand still while the machine sleeps, the other
        # may be set back.
        silence = max(now - then for now, then in zip(self._now(), self._received, strict=True))
        if silence >= self._policy.silence_s:
            self._fail(GatewayDisconnectedError(f"{self._peer} was silent for {silence:.0f} s"))

    def _flush(self) -> None:
        data = self._connection.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _fail(self, error: GatewayError, level: int = logging.INFO) -> None:
        if self._error is not None:
            return
        self._error = error
        self.ended.set_result(None)
        _log.log(level, "the connection to %s ends: %s", self._peer, error)
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        if self._transport is not None:
            self._transport.abort()
        waiting: list[asyncio.Future[Any]] = [self.ready, *self._answers.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                # Nobody need be waiting any more; asyncio would complain of an error never read.
                future.exception()
