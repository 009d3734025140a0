"""One gateway as the loop sees it: its connection, its failures and its limit.

Nothing here waits: `Line.advance` does what can be done at this moment.
"""

from __future__ import annotations

import copy
import datetime as dt
import logging
import math
import os
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intake_futu_short.errors import (
    GatewayDisconnectedError,
    GatewayError,
    GatewayTimeoutError,
    RateLimitError,
)
from intake_futu_short.opend import replies
from intake_futu_short.opend.connection import Connection
from intake_futu_short.opend.dial import Dial, host_at, read_key
from intake_futu_short.opend.limit import HostLimit
from intake_futu_short.opend.socket_connection import SocketConnection

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from intake_futu_short.calls import Question
    from intake_futu_short.opend.address import GatewayURL, Limit
    from intake_futu_short.opend.cipher import RsaKey
    from intake_futu_short.opend.socket_connection import Flight

    # Starts the gateway behind sample://; returns its URL and a function that stops it.
    Serve = Callable[[GatewayURL], tuple[GatewayURL, Callable[[], None]]]
    # What was asked, and the answer or an error.
    Outcome = tuple[Any, Any]

__all__ = ["CONNECT_S", "PATIENCE", "Line", "Patience"]

CONNECT_S = 5.0
# After a longer rest a new connection is made: the gateway or the network may have dropped the old.
IDLE_S = 30.0
# Seconds until a gateway that was left out is tried again.
AWAY_S = 30.0
# A connection that lasted this long counts as made, even if nothing was answered over it.
STEADY_S = 1.0
# Waits shorter than this share of the window are not worth a line in the log.
LOGGED_FROM_SHARE = 0.1

_log = logging.getLogger(__name__)


def _pause_s(tries: int) -> float:
    # The random part keeps processes that lost the same gateway from coming back together.
    return min(4.0, 0.25 * 2.0 ** (tries - 1)) + random.uniform(0.0, 0.25)  # noqa: S311 - no secret


@dataclass(frozen=True)
class Patience:
    """The bounds of trying again.

    Attributes
    ----------
    asks : int
        How often a gateway is asked for one page, each time with a slot of the limit.
    refusals : int
        How often a page may be refused as too frequent. With a window between them, ten refusals
        take five minutes.
    reconnect_s : float
        How long a lost connection is tried again. A first connection is tried once: a gateway that
        was never there is an error at once.
    silence_s : float
        Seconds without an answer to heartbeats after which a connection is given up.
    pause_s : callable
        Takes the number of tries so far, and returns the seconds to wait before the next one.
    """

    asks: int = 3
    refusals: int = 10
    reconnect_s: float = 30.0
    silence_s: float = 33.0  # the official client's figure
    pause_s: Callable[[int], float] = _pause_s


PATIENCE = Patience()


class Line:
    """One gateway.

    Parameters
    ----------
    url : GatewayURL
        Where it listens.
    timeout : float
        Seconds for each answer.
    serve : callable or None
        Starts the gateway when `url` is that of the sample.
    patience : Patience
        The bounds of trying again.
    clock : callable
        Seconds that never go back.

    Attributes
    ----------
    is_left_out : bool
        Whether the other gateways do its work until it answers again. It gets one question at a
        time.
    is_trusted : bool
        False from when the gateway falls silent until it answers again. Meanwhile its cursors go to
        other gateways.
    """

    def __init__(
        self,
        url: GatewayURL,
        timeout: float,
        serve: Serve | None,
        patience: Patience,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self._name = str(url)
        self._timeout = timeout
        self._connect_s = min(timeout, CONNECT_S)
        self._serve = serve
        self._patience = patience
        self._clock = clock
        self._process = os.getpid()
        self._dial: Dial | None = None
        self._up: SocketConnection | None = None  # also during the handshake
        self._connections = 0
        self._key: RsaKey | None = None
        self._served = url  # where the sample listens
        self._host, self._port = "", 0  # by which the limit is counted
        self._ready_by = 0.0
        self._rested = (0.0, 0.0)  # when the last run ended, by the clock and by the wall's
        self._end_sample: Callable[[], None] | None = None
        self._limit: HostLimit | None = None
        self._free_at = 0.0  # no slot of the limit is free before
        self._logged_until = 0.0
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Forget the failures of earlier connections."""
        self._error: GatewayError | None = None  # of the last failure
        self._failures = 0  # without an answer in between
        self._try_at = 0.0
        self._has_connected = False
        self.is_left_out = False
        self._up_at = 0.0
        self._lost_at: float | None = None  # and nothing was answered since
        self.is_trusted = True

    def __del__(self) -> None:
        # An unfinished walk may be dropped without close(). A forked child leaves it to the parent.
        if getattr(self, "_process", None) == os.getpid():
            self.close()
        elif hasattr(self, "_up"):
            self.leave_to_parent()

    # -- what the loop asks -------------------------------------------------------------------

    @property
    def issuer(self) -> tuple[Line, int]:
        """A value that is equal for answers of this connection, and different for any other."""
        return self, self._connections

    def issued(self, issuer: object) -> bool:
        """Whether a cursor came from this gateway, over this connection or an earlier one."""
        return isinstance(issuer, tuple) and issuer[0] is self

    @property
    def is_up(self) -> bool:
        """Whether there is a connection whose handshake is done."""
        return self._up is not None and self._up.is_ready

    @property
    def server_version(self) -> int | None:
        """Version that the gateway reports; None while there is no connection."""
        return None if self._up is None else self._up.server_version

    @property
    def lost_s(self) -> float | None:
        """When the gateway was lost, on the loop's clock; None while it can be reached."""
        return None if self.is_up else self._lost_at

    @property
    def is_well(self) -> bool:
        """Whether it is connected and answers."""
        return self.is_up and self.is_trusted

    @property
    def is_limited(self) -> bool:
        """Whether a limit is counted."""
        return self._limit is not None

    @property
    def in_flight(self) -> int:
        """How many questions wait for their answer."""
        return 0 if self._up is None else self._up.in_flight

    @property
    def final_error(self) -> GatewayError:
        """Why the gateway was given up, and what was tried."""
        error = self._error or GatewayDisconnectedError(f"{self._name} went away")
        if not self._has_connected:
            return error
        final = copy.copy(error)
        final.args = (
            f"the connection was lost, {self._failures} tries within "
            f"{self._patience.reconnect_s:g} s made no new one, and at last: {error}",
        )
        final.__cause__ = error
        return final

    def is_free(self, now: float) -> bool:
        """Whether a question can be sent, as far as is known without looking at the limit."""
        up = self._up
        if up is None or not up.is_ready or up.error is not None or self._free_at > now:
            return False
        return not self.is_left_out or not up.in_flight

    def is_given_up(self, now: float) -> bool:
        """Whether the time for trying the gateway again is over."""
        lost_s = self.lost_s
        if lost_s is None:
            return False
        return not self._has_connected or now - lost_s >= self._patience.reconnect_s

    def limited_s(self, now: float) -> float:
        """Seconds until the limit lets the next question out."""
        return max(0.0, self._free_at - now)

    def wait_s(self, now: float) -> float:
        """Seconds until this line has something to do, even if nothing arrives."""
        if self._dial is not None:
            return self._dial.wait_s(now)
        moment = self._try_at if self._up is None else self._up.until()
        if now < self._free_at < moment:
            moment = self._free_at
        return moment - now if moment > now else math.inf

    def wants(self) -> tuple[socket.socket, int] | None:
        """Socket to watch, and for which events of ``selectors``."""
        if self._dial is not None:
            return self._dial.wants()
        return None if self._up is None else self._up.wants()

    # -- up and down --------------------------------------------------------------------------

    def wake(self, now: float) -> None:
        """Begin a run of the loop, with the connection of the last one if it is still good."""
        if self._up is None:
            return
        # The monotonic clock may stop while the machine sleeps, so the wall clock counts too.
        idle_s = max(now - self._rested[0], time.time() - self._rested[1])
        if idle_s >= IDLE_S or not self._up.wake(now):
            self._disconnect()

    def rest(self, now: float) -> None:
        """End a run of the loop; the connection stays, if there is one."""
        if not self.is_up:  # a handshake cannot continue in the next run
            self._disconnect()
        self._rested = now, time.time()
        self._free_at = 0.0
        limit, self._limit = self._limit, None
        if limit is not None:
            limit.close()

    def close(self) -> None:
        """Close the connection. The next run connects anew."""
        self._disconnect()
        self._begin_anew()
        self.rest(0.0)
        end, self._end_sample = self._end_sample, None
        if end is not None:
            end()

    def leave_to_parent(self) -> None:
        """In a forked child, forget what belongs to the parent."""
        self._process = os.getpid()
        # The sample keeps serving the parent.
        self._end_sample = None
        self.close()

    def connect(self, now: float) -> None:
        """Begin to connect, unless a connection exists or must wait.

        Raises
        ------
        ConfigError
            When the RSA key cannot be used.
        """
        if self._up is not None or self._dial is not None or now < self._try_at:
            return
        path = self.url.rsa_key
        self._key = None if path is None else read_key(path)
        address = self.url
        if address.is_sample and self._serve is not None:
            if self._end_sample is None:
                self._served, self._end_sample = self._serve(self.url)
            address = self._served
        self._ready_by = now + self._connect_s
        self._port = address.port
        self._dial = Dial(address, now, self._ready_by)

    def leave_out(self, now: float) -> list[Outcome]:
        """If this gateway failed, leave it out for a while and warn once.

        Returns
        -------
        list of (object, GatewayError)
            As for `advance`: the questions that now go to other gateways.
        """
        is_down = not self.is_up and (self._failures > 1 or self.is_given_up(now))
        error = self._error
        if self.is_left_out or error is None or (self.is_trusted and not is_down):
            return []
        self.is_left_out = True
        self._try_at = now + AWAY_S
        _log.warning("%s is left out, the others go on: %s", self._name, error)
        return self._lose(error, now) if self.is_up else []

    def _lose(self, error: GatewayError, now: float) -> list[Outcome]:
        """Close the connection, and answer the questions in flight with the error."""
        flights = [] if self._up is None else self._up.flights
        for flight in flights:
            self._end_slot(flight)
        was_up = self.is_up
        self._disconnect()
        self._error = error
        # A gateway that hangs up right after every handshake still counts as lost.
        if self._lost_at is None or (was_up and now - self._up_at >= STEADY_S):
            self._lost_at = now
        self._failures += 1
        if isinstance(error, GatewayTimeoutError):
            self.is_trusted = False
        pause_s = 0.0 if was_up and self._failures == 1 else self._patience.pause_s(self._failures)
        if self.is_left_out or not self._has_connected:
            pause_s = AWAY_S
        self._try_at = now + pause_s
        if was_up:
            _log.info("the connection to %s ends: %s", self._name, error)
        elif self._has_connected:
            _log.log(
                logging.WARNING if self._failures <= 2 else logging.INFO,
                "the connection to %s was lost; a new one is tried again in %.1f s: %s",
                self._name, pause_s, error,
            )  # fmt: skip
        return [(flight.asked, error) for flight in flights]

    def _disconnect(self) -> None:
        dial, self._dial = self._dial, None
        up, self._up = self._up, None
        for open_one in (dial, up):
            if open_one is not None:
                open_one.close()

    # -- asking and listening -----------------------------------------------------------------

    def send(self, asked: object, question: Question) -> bool:
        """Send a question, if the limit lets it out now."""
        if self._up is None:
            return False
        slot = None
        limit = self.url.limit_of(question.call.limit)
        if limit is not None:
            wait_s, slot = self._slots(question, limit).take(self._timeout)
            if slot is None:
                self._free_at = self._clock() + wait_s
                self._log_wait(wait_s, limit)
                return False
        self._up.send(asked, question, slot, self._clock())
        return True

    def advance(self, now: float, ready: int) -> list[Outcome]:
        """Go on as far as possible. The parameters are those of `SocketConnection.advance`.

        Returns
        -------
        list of (object, object)
            What was asked, and the answer or an error.
        """
        try:
            self._advance_dial(now, ready)
        except GatewayError as error:
            return self._lose(error, now)
        if self._up is None:
            return []
        was_ready = self._up.is_ready
        settled = self._up.advance(now, ready)
        if self._up.is_ready and not was_ready:
            self._connected(now)
        outcomes = [(flight.asked, self._outcome(flight, came, now)) for flight, came in settled]
        end = self._up.error
        if end is None and self.is_left_out and self._up.is_mute:
            end = self._error  # after another try it still does not answer
        if end is not None:
            outcomes += self._lose(end, now)
        if not ready and self._limit is not None:
            self._limit.flush()
        return outcomes

    def _advance_dial(self, now: float, ready: int) -> None:
        sock = None if self._dial is None else self._dial.advance(now, ready)
        if sock is None:
            return
        self._dial = None
        host = host_at(sock)
        if host != self._host and self._limit is not None:  # a name of several addresses
            limit, self._limit = self._limit, None
            limit.close()
        self._host = host
        self._connections += 1
        self._up = SocketConnection(
            sock,
            Connection(self._name, self._key, self.url.algorithm),
            name=self._name,
            timeout=self._timeout,
            silence_s=self._patience.silence_s,
            handshake_s=self._connect_s,
            # If the caller was busy past the deadline, the delay was not the gateway's fault.
            ready_by=self._ready_by if now < self._ready_by else now + self._connect_s,
        )

    def _connected(self, now: float) -> None:
        _log.debug("connected to %s", self._name)
        if self._has_connected and self._lost_at is not None:
            _log.info("connected to %s again", self._name)
        self._has_connected = True
        self._up_at = now

    def _outcome(self, flight: Flight, came: bytes | GatewayError, now: float) -> Any:
        """Content of an answer, or the error in its place."""
        self._end_slot(flight)
        if isinstance(came, GatewayError):
            self._error = came
            if self._up is not None and self._up.is_mute:
                self.is_trusted = False
            return came
        self._failures = 0
        self._lost_at = None
        self.is_trusted = True
        if self.is_left_out:
            self.is_left_out = False
            _log.info("%s is back", self._name)
        call = flight.question.call
        try:
            text = f"{flight.question.text} from {self._name}"
            return replies.decode(call.messages.Response, came, text).s2c
        except RateLimitError as error:
            limit = self.url.limit_of(call.limit)
            if limit is not None:
                self._slots(flight.question, limit).refused()
                self._free_at = now + limit.seconds
            return error
        except GatewayError as error:
            return error

    # -- the limit ----------------------------------------------------------------------------

    def _slots(self, question: Question, limit: Limit) -> HostLimit:
        """Slots of the call. A run of the loop asks only one call."""
        if self._limit is None:
            place = f"{self._host}:{self._port}"
            self._limit = HostLimit(place, question.call.name, limit, name=self._name)
        return self._limit

    def _end_slot(self, flight: Flight) -> None:
        if flight.slot is not None and self._limit is not None:
            self._limit.end(flight.slot)

    def _log_wait(self, wait_s: float, limit: Limit) -> None:
        now = self._clock()
        if now < self._logged_until or wait_s < LOGGED_FROM_SHARE * limit.seconds:
            return
        self._logged_until = now + wait_s
        until = dt.datetime.now().astimezone() + dt.timedelta(seconds=wait_s)
        _log.info(
            "waiting %.1f s, until %s: %s allows %d requests in %g seconds",
            wait_s, until.strftime("%H:%M:%S"), self._name, limit.requests, limit.seconds,
        )  # fmt: skip
