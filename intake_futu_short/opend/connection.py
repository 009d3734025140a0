"""Frames ↔ events on one connection: handshake, serial numbers, heartbeat. Pure.

`Connection.receive_data` and `Connection.receive_eof` take what the socket receives,
`Connection.events_received` returns its meaning, and `Connection.data_to_send` returns bytes to
send. The owner of the socket keeps time.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intake_futu_short.errors import GatewayDisconnectedError, GatewayError, ProtocolError
from intake_futu_short.opend import replies, wire
from intake_futu_short.opend.cipher import Aes, Algorithm
from intake_futu_short.opend.messages_pb2 import InitConnect, KeepAlive
from intake_futu_short.wording import keyword

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intake_futu_short.opend.cipher import Cipher, RsaKey

__all__ = ["Answer", "Connection", "Event", "Failed", "Ready"]

# Protocol ids, the numbers of calls in a frame's header.
INIT_CONNECT = 1001
KEEP_ALIVE = 1004

# Version that the official Python client reports (CLIENT_VERSION in futu-api 10.11).
CLIENT_VERSION = 300
CLIENT_ID = "intake-futu-short"
NO_ENCRYPTION = -1
DEFAULT_KEEP_ALIVE_S = 10

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ready:
    """The handshake succeeded; the gateway wants a heartbeat every `keep_alive_s` seconds."""

    server_version: int
    connection_id: int
    keep_alive_s: int


@dataclass(frozen=True)
class Answer:
    """The body that answers the request with this serial number."""

    serial: int
    body: bytes


@dataclass(frozen=True)
class Failed:
    """The connection cannot be used any more."""

    error: GatewayError


Event = Ready | Answer | Failed


class Connection:
    """One connection to a gateway, from its handshake to its end.

    Parameters
    ----------
    peer : str
        The gateway's URL, for messages.
    key : RsaKey, optional
        Encrypts the connection; None leaves it plain.
    algorithm : Algorithm
        The cipher to ask for when there is a key. A gateway that does not know ``AES_CBC`` falls
        back to ``FTAES_ECB``.

    Attributes
    ----------
    frames_received : int
        Number of whole frames received so far, of any kind.
    """

    def __init__(
        self, peer: str, key: RsaKey | None = None, algorithm: Algorithm = Algorithm.AES_CBC
    ) -> None:
        self._peer = peer
        self._is_encrypted = key is not None
        self._algorithm = algorithm
        self._cipher: Cipher | None = key  # until the handshake names the next one
        self._reader = wire.FrameReader()
        self._outgoing = bytearray()
        self._events: list[Event] = []
        self.frames_received = 0
        self._serial = 0
        self._asked: dict[int, int] = {}  # serial number → protocol id
        self._ready = False
        self._failed = False

    @property
    def is_mid_frame(self) -> bool:
        """Whether a part of a frame was received."""
        return self._reader.unfinished > 0

    def open(self) -> None:
        """Begin with the handshake."""
        request = InitConnect.Request()
        request.c2s.client_ver = CLIENT_VERSION
        request.c2s.client_id = CLIENT_ID
        request.c2s.recv_notify = False
        # An absent field would mean FTAES_ECB.
        request.c2s.packet_enc_algo = self._algorithm if self._is_encrypted else NO_ENCRYPTION
        request.c2s.push_proto_fmt = wire.PROTOBUF
        request.c2s.programming_language = "Python"
        self.request(INIT_CONNECT, request.SerializeToString())

    def request(self, proto_id: int, body: bytes) -> int:
        """Queue a request, and return the serial number that its answer will have."""
        self._serial = self._serial % 0xFFFF_FFFF + 1
        self._asked[self._serial] = proto_id
        travelling = None if self._cipher is None else self._cipher.encrypt(body)
        self._outgoing += wire.encode(proto_id, self._serial, body, travelling)
        return self._serial

    def keep_alive(self, unix_time: int) -> None:
        """Queue a heartbeat."""
        request = KeepAlive.Request()
        request.c2s.time = unix_time
        self.request(KEEP_ALIVE, request.SerializeToString())

    def forget(self, serial: int) -> None:
        """Stop waiting for an answer. If it still comes, it is skipped."""
        self._asked.pop(serial, None)

    def data_to_send(self) -> bytes:
        """Bytes to send now; each is handed out once."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def events_received(self) -> list[Event]:
        """What happened since the last call, in order."""
        events = self._events
        self._events = []
        return events

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the gateway, cut anywhere."""
        if self._failed:
            return
        try:
            for frame in self._frames(data):
                self.frames_received += 1
                self._take(frame)
        except GatewayError as error:
            self._fail(error)

    def receive_eof(self) -> None:
        """The gateway closed the connection."""
        if not self._ready:
            asked = (
                f"is OpenD set to the same RSA key as {keyword('rsa_key')} here?"
                if self._is_encrypted
                else "does OpenD take unencrypted connections from this host? When it has an RSA "
                f"key, {keyword('rsa_key')} must name the same one"
            )
            self._fail(
                GatewayDisconnectedError(
                    f"{self._peer} closed the connection during the handshake. Is it OpenD's API "
                    f"port, and {asked}"
                )
            )
        elif self._reader.unfinished:
            self._fail(
                GatewayDisconnectedError(
                    f"{self._peer} closed the connection in the middle of an answer "
                    f"({self._reader.unfinished} bytes of it had come). Is OpenD still running, "
                    "and the network up?"
                )
            )
        else:
            self._fail(
                GatewayDisconnectedError(
                    f"{self._peer} closed the connection. Is OpenD still running and logged in?"
                )
            )

    def _fail(self, error: GatewayError) -> None:
        if not self._failed:
            self._failed = True
            self._events.append(Failed(error))

    def _frames(self, data: bytes) -> Iterator[wire.Frame]:
        try:
            yield from self._reader.feed(data)
        except ProtocolError as error:
            raise ProtocolError(
                f"{self._peer}: {error}. Is it OpenD's API port? If so, read again"
            ) from error

    def _take(self, frame: wire.Frame) -> None:
        if self._asked.get(frame.serial) != frame.proto_id:
            # A push, which may come at any time, or a late answer that was given up.
            _log.debug("skipped protocol %d, serial %d", frame.proto_id, frame.serial)
            return
        del self._asked[frame.serial]
        if frame.body_format != wire.PROTOBUF:
            raise ProtocolError(
                f"{self._peer} answered protocol {frame.proto_id} in format {frame.body_format}; "
                f"it was asked in format {wire.PROTOBUF} (protobuf)"
            )
        plaintext = self._plaintext(frame)
        if frame.proto_id == INIT_CONNECT:
            self._events.append(self._handshake(plaintext))
            self._ready = True
        elif frame.proto_id != KEEP_ALIVE:
            self._events.append(Answer(frame.serial, plaintext))

    def _plaintext(self, frame: wire.Frame) -> bytes:
        """Decipher the body of an answer and verify its SHA-1."""
        plaintext = frame.body if self._cipher is None else self._cipher.decrypt(frame.body)
        if plaintext is not None and frame.is_intact(plaintext):
            return plaintext
        if self._cipher is not None and frame.is_intact(frame.body):
            raise ProtocolError(
                f"{self._peer} answered unencrypted: set OpenD to the RSA key that "
                f"{keyword('rsa_key')} names, or leave {keyword('rsa_key')} out"
            )
        advice = "Read again"
        if frame.proto_id == INIT_CONNECT:
            advice = (
                f"OpenD must be set to the same RSA key as {keyword('rsa_key')} here"
                if self._is_encrypted
                else f"When OpenD has an RSA key, {keyword('rsa_key')} must name the same one"
            )
        raise ProtocolError(
            f"{self._peer} sent a damaged frame: the SHA-1 of its body ({len(frame.body)} bytes, "
            f"protocol {frame.proto_id}) is not the one in its header. {advice}"
        )

    def _handshake(self, body: bytes) -> Ready:
        s2c = replies.decode(InitConnect.Response, body, f"handshake with {self._peer}").s2c
        if self._is_encrypted:
            self._cipher = self._agreed(s2c)
        return Ready(
            server_version=s2c.server_ver,
            connection_id=s2c.conn_id,
            # A gateway that names no usable interval gets the usual one.
            keep_alive_s=s2c.keep_alive_interval
            if s2c.keep_alive_interval > 0
            else DEFAULT_KEEP_ALIVE_S,
        )

    def _agreed(self, s2c: InitConnect.S2C) -> Aes:
        algorithm = self._algorithm
        if algorithm is Algorithm.AES_CBC and not s2c.HasField("aes_cbc_iv"):
            # The official client falls back too; a gateway has no other way to decline.
            algorithm = Algorithm.FTAES_ECB
        try:
            key, iv = (replies.text(t).encode() for t in (s2c.conn_aes_key, s2c.aes_cbc_iv))
            return Aes(algorithm, key, iv)
        except ValueError as error:
            raise ProtocolError(
                f"{self._peer} answered the handshake without a usable AES key or vector"
            ) from error
