"""Encryption without sockets: against literals, the second implementation, and damage."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keys import as_pkcs8, elliptic_pem, public_pem, rsa_pem
from second_cipher import SecondCipher

from intake_futu_short.errors import ConfigError
from intake_futu_short.opend import cipher
from intake_futu_short.opend.cipher import Aes, Algorithm, RsaKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY, IV = b"0123456789ABCDEF", b"FEDCBA9876543210"
WORDS = b"hello, gateway"
PAGE_SIZED = st.binary(max_size=100)


@pytest.fixture(scope="module", params=[1024, 2048])
def pem(request: pytest.FixtureRequest, key_file: Callable[..., Path]) -> bytes:
    return key_file(request.param).read_bytes()


def aes(algorithm: Algorithm) -> Aes:
    return Aes(algorithm, KEY, IV)


# -- AES ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "enciphered"),
    [
        # As `openssl enc -aes-128-…` has it; FTAES_ECB's last block tells the 14 bytes in use.
        (Algorithm.AES_CBC, "5b2cf39e61c1cd4d73d35e6ab3ae06d0"),
        (Algorithm.AES_ECB, "9f9ae4389179e0c517782b6c56ed7818"),
        (Algorithm.FTAES_ECB, "d244ae925e9e3d1e83abfa4fc1c1558a" + "00" * 15 + "0e"),
    ],
)
def test_aes_as_openssl_has_it(algorithm: Algorithm, enciphered: str) -> None:
    same = aes(algorithm)
    for _ in range(2):  # every frame starts anew
        assert same.encrypt(WORDS).hex() == enciphered
        assert same.decrypt(bytes.fromhex(enciphered)) == WORDS


@pytest.mark.parametrize(
    ("algorithm", "number"), [("FTAES_ECB", 0), ("AES_ECB", 1), ("AES_CBC", 2)]
)
def test_algorithms_bear_the_numbers_of_the_handshake(algorithm: str, number: int) -> None:
    assert Algorithm[algorithm] == number


@pytest.mark.parametrize("algorithm", Algorithm)
@given(plaintext=PAGE_SIZED)
def test_aes_as_the_second_implementation_has_it(algorithm: Algorithm, plaintext: bytes) -> None:
    second = object.__new__(SecondCipher)  # without an RSA key
    second.algorithm, second.key, second.iv = algorithm, KEY.decode(), IV.decode()
    body = aes(algorithm).encrypt(plaintext)
    assert body == second.seal(plaintext)
    assert second.open(body) == aes(algorithm).decrypt(body) == plaintext


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("length", [0, 1, 15, 17, 31])
def test_truncated_blocks_are_no_body(algorithm: Algorithm, length: int) -> None:
    assert aes(algorithm).decrypt(bytes(length)) is None


@pytest.mark.parametrize("tail", [16, 17, 255])
def test_a_last_block_that_counts_more_than_a_block_is_no_body(tail: int) -> None:
    body = aes(Algorithm.FTAES_ECB).encrypt(WORDS)
    assert aes(Algorithm.FTAES_ECB).decrypt(body[:-1] + bytes([tail])) is None


def test_a_last_block_that_counts_bytes_of_no_block_is_no_body() -> None:
    assert aes(Algorithm.FTAES_ECB).decrypt(bytes(15) + b"\x01") is None
    assert aes(Algorithm.FTAES_ECB).decrypt(bytes(16)) == b""


@pytest.mark.parametrize("padding", [b"\x00", b"\x11", b"\x02\x03", b"\x0f" * 14 + b"\x10"])
def test_wrong_padding_is_no_body(padding: bytes) -> None:
    # FTAES_ECB writes the blocks as they are, which lets any padding be put at their end.
    unpadded = aes(Algorithm.FTAES_ECB).encrypt(bytes(16 - len(padding)) + padding)[:16]
    assert aes(Algorithm.AES_ECB).decrypt(unpadded) is None


@pytest.mark.parametrize("algorithm", Algorithm)
@given(body=PAGE_SIZED)
def test_deciphering_anything_never_raises(algorithm: Algorithm, body: bytes) -> None:
    plaintext = aes(algorithm).decrypt(body)
    assert plaintext is None or len(plaintext) <= len(body)


@pytest.mark.parametrize(
    ("algorithm", "key", "iv"),
    [
        (Algorithm.AES_CBC, KEY, b""),
        (Algorithm.AES_CBC, KEY, IV + b"0"),
        (Algorithm.AES_CBC, KEY * 2, IV),
        (Algorithm.AES_ECB, b"", b""),
        (Algorithm.FTAES_ECB, KEY[:15], b""),
    ],
)
def test_keys_and_vectors_of_another_length_are_refused(
    algorithm: Algorithm, key: bytes, iv: bytes
) -> None:
    with pytest.raises(ValueError, match=r"AES key of 16 bytes|IV"):
        Aes(algorithm, key, iv)


# -- RSA ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 47, 99, 100, 101, 199, 200, 201, 1000])
def test_rsa_and_the_second_implementation_read_each_other(pem: bytes, length: int) -> None:
    ours, second = RsaKey(pem), SecondCipher(pem, 2)
    plaintext = bytes(i % 256 for i in range(length))
    body = ours.encrypt(plaintext)
    assert second.decrypt(1001, body) == plaintext
    assert len(body) == len(second.encrypt(1001, plaintext))
    assert ours.decrypt(second.encrypt(1001, plaintext)) == plaintext


def test_each_handshake_is_enciphered_anew(pem: bytes) -> None:
    assert RsaKey(pem).encrypt(WORDS) != RsaKey(pem).encrypt(WORDS)


def test_a_pkcs8_file_holds_the_same_key(pem: bytes) -> None:
    other = RsaKey(as_pkcs8(pem))
    assert other.decrypt(RsaKey(pem).encrypt(WORDS)) == WORDS


def test_another_key_deciphers_nothing(pem: bytes) -> None:
    other = RsaKey(rsa_pem(1024))
    assert other.decrypt(RsaKey(pem).encrypt(WORDS)) != WORDS


@pytest.mark.parametrize("body", [b"x", bytes(127), bytes(129), b"\xff" * 256, bytes(300)])
def test_what_is_no_handshake_deciphers_to_nothing(pem: bytes, body: bytes) -> None:
    assert RsaKey(pem).decrypt(body) is None


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: b"", "not a private key"),
        (lambda: b"my key", "not a private key"),
        (lambda: rsa_pem(1024).replace(b"MII", b"NII"), "not a private key"),
        (public_pem, "not a private key"),
        (lambda: rsa_pem(1024, is_locked=True), "has a password"),
        (elliptic_pem, "not an RSA key"),
        (lambda: rsa_pem(3072), "3072 bits"),
    ],
    ids=["nothing", "text", "damaged", "public", "password", "elliptic curve", "3072 bits"],
)
def test_what_is_no_key_is_refused_and_not_shown(make: Callable[[], bytes], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        RsaKey(make())
    assert not caught.value.__cause__
    # As a reporter of errors prints it, with the local variables of every frame.
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    (frame,) = (f for f in shown.stack if f.filename == cipher.__file__)
    assert frame.name == "__init__"
    assert set(frame.locals or {}) <= {"self", "key", "padding", "ciphers", "serialization"}
