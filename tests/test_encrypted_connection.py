"""Frames ↔ events on an encrypted connection, from the handshake on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from second_gateway import frame, init_connect_body, official, refusal_body, sha1_of
from test_connection import (
    JSON_PUSH,
    NEWEST_PAGE,
    PEER,
    PUSH,
    READY,
    US_BODY,
    error_of,
    opened,
)

from intake_futu_short.errors import ProtocolError, ReplyError
from intake_futu_short.opend.cipher import Aes, Algorithm, RsaKey
from intake_futu_short.opend.connection import Answer, Connection, Event

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from intake_futu_short.opend.cipher import Cipher

KEY, IV = b"0123456789ABCDEF", b"FEDCBA9876543210"


@pytest.fixture(scope="module", params=[1024, 2048])
def key(request: pytest.FixtureRequest, key_file: Callable[..., Path]) -> RsaKey:
    return RsaKey(key_file(request.param).read_bytes())


def enciphered(cipher: Cipher, proto_id: int, serial: int, plaintext: bytes) -> bytes:
    return frame(proto_id, serial, cipher.encrypt(plaintext), sha1=sha1_of(plaintext))


def hello_answer(key: RsaKey, iv: bytes | None = IV) -> bytes:
    body = init_connect_body(key=KEY.decode(), iv=None if iv is None else iv.decode())
    return enciphered(key, 1001, 1, body)


def opened_with(key: RsaKey, algorithm: Algorithm = Algorithm.AES_CBC) -> Connection:
    connection = Connection(PEER, key, algorithm)
    connection.open()
    connection.data_to_send()
    return connection


@pytest.mark.parametrize("algorithm", Algorithm)
def test_an_encrypted_handshake_asks_for_an_algorithm(key: RsaKey, algorithm: Algorithm) -> None:
    connection = Connection(PEER, key, algorithm)
    connection.open()
    sent = connection.data_to_send()
    plaintext = key.decrypt(sent[44:])
    assert plaintext is not None
    assert sent[16:36] == sha1_of(plaintext)
    assert int.from_bytes(sent[12:16], "little") == len(sent) - 44
    assert official("InitConnect_pb2").Request.FromString(plaintext).c2s.packetEncAlgo == algorithm


@pytest.mark.parametrize(
    ("asked", "iv", "spoken"),
    [
        (Algorithm.AES_CBC, IV, Algorithm.AES_CBC),
        (Algorithm.AES_CBC, None, Algorithm.FTAES_ECB),
        (Algorithm.AES_ECB, None, Algorithm.AES_ECB),
        (Algorithm.AES_ECB, IV, Algorithm.AES_ECB),
        (Algorithm.FTAES_ECB, None, Algorithm.FTAES_ECB),
        (Algorithm.FTAES_ECB, IV, Algorithm.FTAES_ECB),
    ],
)
def test_what_was_agreed_is_spoken_both_ways(
    key: RsaKey, asked: Algorithm, iv: bytes | None, spoken: Algorithm
) -> None:
    connection = opened_with(key, asked)
    connection.receive_data(hello_answer(key, iv))
    assert connection.events_received() == [READY]
    aes = Aes(spoken, KEY, IV)
    assert connection.request(3248, NEWEST_PAGE) == 2
    assert connection.data_to_send() == enciphered(aes, 3248, 2, NEWEST_PAGE)
    connection.receive_data(enciphered(aes, 3248, 2, US_BODY))
    assert connection.events_received() == [Answer(2, US_BODY)]


def test_an_encrypted_stream_means_the_same_byte_by_byte(key: RsaKey) -> None:
    aes = Aes(Algorithm.AES_CBC, KEY, IV)
    connection = opened_with(key)
    events: list[Event] = []
    hello = hello_answer(key)
    # Pushes are skipped, whatever they hold: also what is not enciphered as it should be.
    for piece in (PUSH, hello, JSON_PUSH, enciphered(aes, 3248, 2, US_BODY), PUSH):
        for i in range(len(piece)):
            connection.receive_data(piece[i : i + 1])
            events += connection.events_received()
        if piece is hello:
            connection.request(3248, NEWEST_PAGE)
    assert events == [READY, Answer(2, US_BODY)]


def test_a_refused_encrypted_handshake_says_why(key: RsaKey) -> None:
    connection = opened_with(key)
    connection.receive_data(enciphered(key, 1001, 1, refusal_body("too old")))
    error = error_of(connection)
    assert isinstance(error, ReplyError)
    assert error.message == "too old"


@pytest.mark.parametrize("key_text", ["", "0123456789ABCDE", "0123456789ABCDEF" * 2, "é" * 16])
def test_an_aes_key_of_another_length_is_damage(key: RsaKey, key_text: str) -> None:
    connection = opened_with(key)
    body = init_connect_body(key=key_text, iv=IV.decode())
    connection.receive_data(enciphered(key, 1001, 1, body))
    error = error_of(connection)
    assert isinstance(error, ProtocolError)
    assert "without a usable AES key or vector" in str(error)


@pytest.mark.parametrize("is_refusal", [True, False])
def test_an_unencrypted_answer_to_an_encrypted_handshake_is_told(
    key: RsaKey, is_refusal: bool
) -> None:
    connection = opened_with(key)
    body = refusal_body("what?") if is_refusal else init_connect_body()
    connection.receive_data(frame(1001, 1, body))
    error = error_of(connection)
    assert isinstance(error, ProtocolError)
    assert "answered unencrypted: set OpenD to the RSA key" in str(error)


def test_an_encrypted_answer_to_a_plain_handshake_is_told(key: RsaKey) -> None:
    connection = opened()
    connection.receive_data(hello_answer(key))
    error = error_of(connection)
    assert isinstance(error, ProtocolError)
    assert "When OpenD has an RSA key, rsa_key= must name the same one" in str(error)
