"""A plain socket to a gateway, with frames of the official client's message classes."""

from __future__ import annotations

import hashlib
import socket
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from second_gateway import PacketCipher, official

from intake_futu_short.gateway import Gateway, History, sample_histories

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

INIT_CONNECT = 1001
GLOBAL_STATE = 1002
KEEP_ALIVE = 1004
DAILY_SHORT_VOLUME = 3248
HEADER = struct.Struct("<1s1sI2B2I20s8s")
# A guard against hangs, never a measure of speed.
PATIENCE_S = 30.0


def frame(
    proto_id: int,
    body: bytes,
    serial: int,
    *,
    body_format: int = 0,
    cipher: PacketCipher | None = None,
) -> bytes:
    sha1 = hashlib.sha1(body, usedforsecurity=False).digest()
    body = body if cipher is None else cipher.encrypt(proto_id, body)
    header = HEADER.pack(b"F", b"T", proto_id, body_format, 0, serial, len(body), sha1, bytes(8))
    return header + body


def hello(algorithm: int | None = -1) -> bytes:
    request = official("InitConnect_pb2").Request()
    request.c2s.clientVer = 300
    request.c2s.clientID = "test"
    if algorithm is not None:
        request.c2s.packetEncAlgo = algorithm
    return bytes(request.SerializeToString())


def question(
    code: str = "AAPL", market: int = 11, next_key: str | None = None, num: int | None = None
) -> bytes:
    request = official("Qot_GetDailyShortVolume_pb2").Request()
    request.c2s.security.market = market
    request.c2s.security.code = code
    if next_key is not None:
        request.c2s.nextKey = next_key
    if num is not None:
        request.c2s.num = num
    return bytes(request.SerializeToString())


@lru_cache
def sample() -> Mapping[str, History]:
    return sample_histories()


class Peer:
    """One connection to a gateway; `cipher` enciphers what goes and deciphers what comes."""

    def __init__(
        self, gateway: Gateway, *, greet: bool = True, cipher: PacketCipher | None = None
    ) -> None:
        self.sock = socket.create_connection((gateway.host, gateway.port), timeout=PATIENCE_S)
        self.serial = 0
        self.cipher = cipher
        if greet:
            assert self.ask(INIT_CONNECT, hello(), "InitConnect_pb2").retType == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.sock.close()

    def send(self, proto_id: int, body: bytes) -> int:
        self.serial += 1
        self.sock.sendall(frame(proto_id, body, self.serial, cipher=self.cipher))
        return self.serial

    def receive(self) -> tuple[int, int, bytes]:
        """Protocol id, serial number and body of the next frame, whose header must be right."""
        f, t, proto_id, body_format, version, serial, length, sha1, reserved = HEADER.unpack(
            self._exactly(HEADER.size)
        )
        body = self._exactly(length)
        body = body if self.cipher is None else self.cipher.decrypt(proto_id, body)
        assert (f, t, body_format, version, reserved) == (b"F", b"T", 0, 0, bytes(8))
        assert sha1 == hashlib.sha1(body, usedforsecurity=False).digest()
        return proto_id, serial, body

    def _exactly(self, number: int) -> bytes:
        data = b""
        while len(data) < number:
            piece = self.sock.recv(number - len(data))
            assert piece, "the gateway closed the connection"
            data += piece
        return data

    def ask(self, proto_id: int, body: bytes, module: str) -> Any:
        """The answer, as the official client's message; it repeats protocol id and serial."""
        serial = self.send(proto_id, body)
        answered, echoed, answer = self.receive()
        assert (answered, echoed) == (proto_id, serial)
        return official(module).Response.FromString(answer)

    def page(self, *args: Any, **kwargs: Any) -> Any:
        return self.ask(
            DAILY_SHORT_VOLUME, question(*args, **kwargs), "Qot_GetDailyShortVolume_pb2"
        )

    def is_closed_by_gateway(self) -> bool:
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True


def days(response: Any) -> list[str]:
    """Trading days of the rows in an answer."""
    return [i.timestampStr for i in (*response.s2c.usItemList, *response.s2c.hkItemList)]
