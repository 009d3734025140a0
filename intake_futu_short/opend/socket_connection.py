"""One connection that is up, with its socket: questions in flight, heartbeats, deadlines.

Nothing here waits: `SocketConnection.advance` does what can be done at this moment.
"""

from __future__ import annotations

import selectors
import time
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from intake_futu_short.errors import (
    GatewayDisconnectedError,
    GatewayError,
    GatewayTimeoutError,
)
from intake_futu_short.opend.connection import Answer, Connection, Ready
from intake_futu_short.wording import keyword

if TYPE_CHECKING:
    import socket

    from intake_futu_short.calls import Question

__all__ = ["Flight", "SocketConnection"]

# The official client's figure: a heartbeat after 0.8 of the interval that the gateway names.
HEARTBEAT_SHARE = 0.8

_READ_BYTES = 1 << 16
# Reads at a time. They empty the system's buffer, so that everything received is read before a
# deadline is judged, and yet a gateway that floods us does not hold up other work for long.
_MOST_READS = 256


class Flight(NamedTuple):
    """A question that was sent.

    Attributes
    ----------
    asked : object
        Returned together with the answer.
    question : Question
        What was asked.
    slot : int or None
        Mark of its slot of the limit.
    deadline : float
        When it is given up, on the loop's clock.
    frames_before, answers_before : int
        Numbers of frames and of answers received before it was sent.
    """

    asked: Any
    question: Question
    slot: int | None
    deadline: float
    frames_before: int
    answers_before: int


class SocketConnection:
    """A connection and its socket, from the handshake to the end.

    Parameters
    ----------
    sock : socket
        Connected and non-blocking.
    connection : Connection
        The protocol. The constructor sends its handshake.
    name : str
        The gateway's name in messages.
    timeout : float
        Seconds for each answer.
    silence_s : float
        Seconds for which heartbeats may stay unanswered.
    handshake_s : float
        Seconds that the handshake may take, for messages.
    ready_by : float
        When the handshake is given up, on the loop's clock.

    Attributes
    ----------
    error : GatewayError or None
        Why the connection has ended.
    is_ready : bool
        Whether the handshake is done.
    is_mute : bool
        Whether a deadline has passed since the last answer.
    server_version : int or None
        Version that the gateway reported in the handshake.
    """

    def __init__(
        self,
        sock: socket.socket,
        connection: Connection,
        *,
        name: str,
        timeout: float,
        silence_s: float,
        handshake_s: float,
        ready_by: float,
    ) -> None:
        self.error: GatewayError | None = None
        self.is_ready = False
        self.is_mute = False
        self.server_version: int | None = None
        self._sock = sock
        self._connection = connection
        self._name = name
        self._timeout = timeout
        self._silence_s = silence_s
        self._ready_by = ready_by
        self._handshake_s = handshake_s
        # Questions in flight together, up to this serial number, share one error when late.
        self._late: tuple[int, GatewayTimeoutError] | None = None
        self._unsent = b""
        self._flights: dict[int, Flight] = {}  # by serial number, in the order of their deadlines
        self._answers = 0
        self._beat_s = self._beaten = 0.0
        self._unanswered_since: float | None = None  # since when heartbeats are unanswered
        connection.open()
        self._write()

    @property
    def flights(self) -> list[Flight]:
        """Questions that wait for their answer."""
        return list(self._flights.values())

    @property
    def in_flight(self) -> int:
        """How many questions wait for their answer."""
        return len(self._flights)

    def wants(self) -> tuple[socket.socket, int]:
        """Socket to watch, and for which events of ``selectors``."""
        write = selectors.EVENT_WRITE if self._unsent else 0
        return self._sock, selectors.EVENT_READ | write

    def until(self) -> float:
        """When the next deadline passes."""
        if not self.is_ready:
            return self._ready_by
        for flight in self._flights.values():
            return flight.deadline
        return inf

    def wake(self, now: float) -> bool:
        """Resume after a rest, and return whether the connection can still be used."""
        if self._flights:  # left by an interrupted run
            return False
        self._beaten, self._unanswered_since = now, None
        self._read()
        return self.error is None and not self._events(now) and self.error is None

    def send(self, asked: object, question: Question, slot: int | None, now: float) -> None:
        """Send a question."""
        serial = self._connection.request(question.call.proto_id, question.body)
        self._flights[serial] = Flight(
            asked,
            question,
            slot,
            now + self._timeout,
            self._connection.frames_received,
            self._answers,
        )
        self._write()

    def advance(self, now: float, ready: int) -> list[tuple[Flight, bytes | GatewayError]]:
        """Go on as far as possible.

        Parameters
        ----------
        now : float
            The time by which deadlines are judged. `ready` is not older than this.
        ready : int
            Events of ``selectors`` that came for the socket.

        Returns
        -------
        list of (Flight, bytes or GatewayError)
            Settled questions, each with the body of its answer or the error in its place.
        """
        if ready & selectors.EVENT_READ:
            self._read()
        settled = self._events(now)
        if ready & selectors.EVENT_WRITE:
            self._write()
        if self.error is None:
            self._beat(now)
            settled += self._overdue(now)
        return settled

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def _events(self, now: float) -> list[tuple[Flight, bytes | GatewayError]]:
        settled: list[tuple[Flight, bytes | GatewayError]] = []
        for event in self._connection.events_received():
            if isinstance(event, Answer):
                flight = self._flights.pop(event.serial, None)
                if flight is not None:
                    self._answers += 1
                    self.is_mute = False
                    settled.append((flight, event.body))
            elif isinstance(event, Ready):
                self.is_ready = True
                self.server_version = event.server_version
                # Heartbeats may come more often than the gateway asks. If they were rarer, silence
                # would prove nothing.
                self._beat_s = min(HEARTBEAT_SHARE * event.keep_alive_s, self._silence_s / 3)
                self._beaten = now
            else:
                self._end(event.error)
        return settled

    def _overdue(self, now: float) -> list[tuple[Flight, bytes | GatewayError]]:
        """Questions whose deadline has passed, and the handshake's."""
        settled: list[tuple[Flight, bytes | GatewayError]] = []
        if not self.is_ready and now >= self._ready_by:
            self._end(
                GatewayTimeoutError(
                    f"{self._name} took the connection and did not answer the handshake within "
                    f"{self._handshake_s:g} s. Is it OpenD's API port, and is OpenD logged in? It "
                    f"must be set to the RSA key that {keyword('rsa_key')} names, or to none where "
                    "none is named"
                )
            )
        for serial, flight in list(self._flights.items()):
            if flight.deadline > now or self.error is not None:
                break  # not due, or the connection's own error settles them
            self._connection.forget(serial)
            del self._flights[serial]
            self.is_mute |= self._answers == flight.answers_before
            # After a frame that stalled halfway, nothing could be understood.
            is_silent = self._connection.frames_received == flight.frames_before
            if is_silent or self._connection.is_mid_frame:
                error = GatewayTimeoutError(
                    f"nothing came from {self._name} for {self._timeout:g} s, and the connection "
                    "was given up. OpenD may be busy or cut off from its servers"
                )
                self._end(error)
            else:
                error = self._lateness(serial)
            settled.append((flight, error))
        return settled

    def _lateness(self, serial: int) -> GatewayTimeoutError:
        if self._late is None or serial > self._late[0]:
            error = GatewayTimeoutError(
                f"no answer within {self._timeout:g} s. OpenD may be busy or cut off from its "
                "servers; a larger timeout= waits longer"
            )
            self._late = max([serial, *self._flights]), error
        return self._late[1]

    def _beat(self, now: float) -> None:
        if not self.is_ready:
            return
        if now - self._beaten >= self._beat_s:
            self._beaten = now
            self._connection.keep_alive(int(time.time()))
            self._write()
            if self._unanswered_since is None:
                self._unanswered_since = now
        since = self._unanswered_since
        if since is not None and now - since >= self._silence_s - self._beat_s:
            silence_s = now - since + self._beat_s
            self._end(GatewayDisconnectedError(f"{self._name} was silent for {silence_s:.0f} s"))

    def _read(self) -> None:
        for _ in range(_MOST_READS):
            try:
                data = self._sock.recv(_READ_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._break(error)
                return
            if not data:
                self._connection.receive_eof()
                return
            self._unanswered_since = None
            self._connection.receive_data(data)
            if len(data) < _READ_BYTES:
                return

    def _write(self) -> None:
        self._unsent += self._connection.data_to_send()
        try:
            while self._unsent:
                self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._break(error)

    def _break(self, cause: OSError) -> None:
        error = GatewayDisconnectedError(
            f"the connection broke ({cause}). Is OpenD still running, and the network up?"
        )
        error.__cause__ = cause
        self._end(error)

    def _end(self, error: GatewayError) -> None:
        self.error = self.error or error
