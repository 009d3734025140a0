"""Enciphers and deciphers an encrypted connection: RSA for the handshake, then AES. Pure.

Both sides hold the same RSA private key. It enciphers the handshake, which brings the AES key of
the connection, and AES enciphers everything that follows. ``cryptography`` does the arithmetic. It
is optional, and imported only when a key is used.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

from intake_futu_short.errors import ConfigError
from intake_futu_short.optional import CRYPTOGRAPHY

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["Aes", "Algorithm", "Cipher", "RsaKey"]

BLOCK_BYTES = 16
AES_KEY_BYTES = 16

# Bits of a key → bytes of plaintext in a segment. PKCS#1 v1.5 would allow a few more; these numbers
# are from a comment in the official client, and other clients may rely on them.
SEGMENT_BYTES = {1024: 100, 2048: 200}


class Algorithm(enum.IntEnum):
    """How AES is applied; the numbers are those of the handshake's packetEncAlgo.

    ``FTAES_ECB`` is ECB over zero-padded blocks, followed by a block with the number of used bytes
    in the last one. The other two use PKCS#7 padding.
    """

    FTAES_ECB = 0
    AES_ECB = 1
    AES_CBC = 2


class Cipher(Protocol):
    """Enciphers and deciphers the bodies of frames, each on its own."""

    def encrypt(self, plaintext: bytes) -> bytes:
        """Encipher a body."""

    def decrypt(self, body: bytes) -> bytes | None:
        """Decipher a body; None when it cannot have come from `encrypt`.

        A result proves nothing yet; the SHA-1 in the frame's header does.
        """


class RsaKey:
    """The key of the handshake.

    Parameters
    ----------
    pem : bytes
        A private key in PEM form, PKCS#1 or PKCS#8, of 1024 or 2048 bits.

    Raises
    ------
    ConfigError
        When the bytes are no such key, or ``cryptography`` is not installed.
    """

    def __init__(self, pem: bytes) -> None:
        try:
            with CRYPTOGRAPHY:  # all that `_load` and `Aes` import too
                from cryptography.hazmat.primitives import ciphers, serialization  # noqa: F401, PLC0415 - optional
                from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415 - optional
        except ImportError as error:
            del pem  # here and below, so that tracebacks with local variables show no key
            raise ConfigError(str(error)) from error
        key = _load(pem)
        del pem
        if isinstance(key, str):
            raise ConfigError(key)
        self._private = key
        self._public = key.public_key()
        self._padding = padding.PKCS1v15()
        self._segment = SEGMENT_BYTES[key.key_size]
        self._enciphered_segment = key.key_size // 8

    def encrypt(self, plaintext: bytes) -> bytes:
        """Encipher the body of a handshake, segment by segment."""
        return b"".join(
            self._public.encrypt(piece, self._padding)
            for piece in _pieces(plaintext, self._segment)
        )

    def decrypt(self, body: bytes) -> bytes | None:
        """Decipher the body of a handshake; None when it cannot be one.

        With a wrong key the result is None or, depending on OpenSSL, random bytes.
        """
        try:
            return b"".join(
                self._private.decrypt(piece, self._padding)
                for piece in _pieces(body, self._enciphered_segment)
            )
        except ValueError:
            return None


def _load(pem: bytes) -> RSAPrivateKey | str:
    """The key in a PEM text, or a description of what is wrong, which never quotes the text."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - optional
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415 - optional
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - optional

    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        return "the key has a password: OpenD takes keys without one"
    except (ValueError, UnsupportedAlgorithm):
        return (
            "not a private key in PEM form (-----BEGIN RSA PRIVATE KEY-----); OpenD's "
            "documentation says how to make one"
        )
    if not isinstance(key, RSAPrivateKey):
        return "the key is not an RSA key"
    if key.key_size not in SEGMENT_BYTES:
        return f"the key has {key.key_size} bits; only 1024 and 2048 are spoken here"
    return key


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


class Aes:
    """The cipher of everything after the handshake.

    Parameters
    ----------
    algorithm : Algorithm
        What was agreed.
    key, iv : bytes
        16 bytes each, from the handshake. Only ``AES_CBC`` uses `iv`, and every frame starts anew
        from it.

    Raises
    ------
    ValueError
        When `key`, or the `iv` where one is used, is not 16 bytes long.
    """

    def __init__(self, algorithm: Algorithm, key: bytes, iv: bytes = b"") -> None:
        from cryptography.hazmat.primitives import ciphers  # noqa: PLC0415 - optional

        if len(key) != AES_KEY_BYTES:
            raise ValueError(f"an AES key of {AES_KEY_BYTES} bytes is needed")
        in_chain = algorithm is Algorithm.AES_CBC
        mode = ciphers.modes.CBC(iv) if in_chain else ciphers.modes.ECB()  # noqa: S305 - as OpenD does
        self._aes = ciphers.Cipher(ciphers.algorithms.AES(key), mode)
        self._algorithm = algorithm

    def encrypt(self, plaintext: bytes) -> bytes:
        """Encipher a body."""
        used = len(plaintext) % BLOCK_BYTES
        if self._algorithm is Algorithm.FTAES_ECB:
            tail = bytes(BLOCK_BYTES - 1) + bytes([used])
            return self._encipher(plaintext + bytes(-used % BLOCK_BYTES)) + tail
        missing = BLOCK_BYTES - used
        return self._encipher(plaintext + bytes([missing]) * missing)

    def decrypt(self, body: bytes) -> bytes | None:
        """Decipher a body; None when it can't be one."""
        if not body or len(body) % BLOCK_BYTES:
            return None
        if self._algorithm is Algorithm.FTAES_ECB:
            return _without_zeros(self._decipher(body[:-BLOCK_BYTES]), used=body[-1])
        return _without_padding(self._decipher(body))

    def _encipher(self, blocks: bytes) -> bytes:
        aes = self._aes.encryptor()
        return aes.update(blocks) + aes.finalize()

    def _decipher(self, blocks: bytes) -> bytes:
        aes = self._aes.decryptor()
        return aes.update(blocks) + aes.finalize()


def _without_zeros(padded: bytes, used: int) -> bytes | None:
    """Cut the last block to its bytes in use; 0 means that it is full, or that there is none."""
    if used == 0:
        return padded
    return padded[: used - BLOCK_BYTES] if padded and used < BLOCK_BYTES else None


def _without_padding(padded: bytes) -> bytes | None:
    surplus = padded[-1]
    if not 1 <= surplus <= BLOCK_BYTES or not padded.endswith(bytes([surplus]) * surplus):
        return None
    return padded[:-surplus]
