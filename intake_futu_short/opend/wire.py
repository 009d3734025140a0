"""Bytes ↔ frames: the 44-byte header, the SHA-1 of the body, and a cap on its length. Pure.

Layout, little-endian: ``b"FT"``, protocol id u32, body format u8 (0 protobuf, 1 JSON), version u8,
serial number u32, body length u32, SHA-1 of the plaintext body (20 bytes), 8 reserved zero bytes;
then the body. Source: ``MESSAGE_HEAD_FMT`` of the official client, futu-api 10.11.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intake_futu_short.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HEADER_BYTES", "MAX_BODY_BYTES", "PROTOBUF", "Frame", "FrameReader", "encode"]

MAGIC = b"FT"
PROTOBUF = 0
VERSION = 0
# A page of 50 rows is about 6 KB. The cap leaves room for large pushes, which are
# read and skipped, and keeps a bad length from filling the memory.
MAX_BODY_BYTES = 16 * 2**20

_HEADER = struct.Struct("<2sI2B2I20s8x")
HEADER_BYTES = _HEADER.size


@dataclass(frozen=True)
class Frame:
    """One message on the wire.

    Attributes
    ----------
    proto_id : int
        Protocol id of the call.
    serial : int
        Serial number of the request, which the answer repeats.
    body : bytes
        The body as sent (enciphered on an encrypted connection).
    sha1 : bytes
        SHA-1 of the plaintext body, according to the header.
    body_format : int
        0 protobuf, 1 JSON.
    """

    proto_id: int
    serial: int
    body: bytes
    sha1: bytes
    body_format: int = PROTOBUF

    def is_intact(self, plaintext: bytes) -> bool:
        """Whether the header's SHA-1 is that of the plaintext body."""
        return _sha1(plaintext) == self.sha1


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def encode(proto_id: int, serial: int, plaintext: bytes, body: bytes | None = None) -> bytes:
    """Bytes of one frame. `body` is the enciphered body; None sends the plaintext."""
    travelling = plaintext if body is None else body
    sha1 = _sha1(plaintext)
    return (
        _HEADER.pack(MAGIC, proto_id, PROTOBUF, VERSION, serial, len(travelling), sha1) + travelling
    )


class FrameReader:
    """Collects bytes as they come, in pieces of any size, and yields the whole frames in them.

    Holds at most one unfinished frame: a header that claims more than `max_body` bytes is refused
    before its body is waited for.
    """

    def __init__(self, max_body: int = MAX_BODY_BYTES) -> None:
        self._buffer = bytearray()
        self._max_body = max_body

    @property
    def unfinished(self) -> int:
        """Bytes held of a frame that is not whole yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes and yield each frame that they complete.

        Raises
        ------
        ProtocolError
            When the bytes cannot be a frame. Nothing that follows on the stream can be trusted.
        """
        self._buffer += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        buffer = self._buffer
        # The first bytes are checked as soon as they come, because a server of another kind may
        # send less than a whole header and then wait.
        if not MAGIC.startswith(bytes(buffer[:2])):
            raise ProtocolError(
                f"this is not the OpenD protocol: a frame begins with {MAGIC!r}, but "
                f"{bytes(buffer[:24])!r} came"
            )
        if len(buffer) < HEADER_BYTES:
            return None
        _, proto_id, body_format, version, serial, length, sha1 = _HEADER.unpack_from(buffer)
        if version != VERSION:
            raise ProtocolError(
                f"a frame (protocol {proto_id}) of version {version} came; only version "
                f"{VERSION} of the OpenD protocol is spoken here"
            )
        if length > self._max_body:
            raise ProtocolError(
                f"a frame (protocol {proto_id}, serial {serial}) claims a body of {length} bytes; "
                f"more than {self._max_body} is taken for damage"
            )
        end = HEADER_BYTES + length
        if len(buffer) < end:
            return None
        body = bytes(buffer[HEADER_BYTES:end])
        del buffer[:end]
        return Frame(proto_id, serial, body, sha1, body_format)
