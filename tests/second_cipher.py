"""The gateway's encryption a second time, on pycryptodome: the judge of the package's own.

Written from the protocol's description, for both sizes of keys and all three algorithms, of which
the official client's own code knows one size and two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from Crypto.Cipher import AES, PKCS1_v1_5
from Crypto.PublicKey import RSA
from Crypto.Util.Padding import pad, unpad

if TYPE_CHECKING:
    from Crypto.Cipher._mode_cbc import CbcMode
    from Crypto.Cipher._mode_ecb import EcbMode

INIT_CONNECT = 1001
FTAES_ECB, AES_ECB, AES_CBC = 0, 1, 2
BLOCK = 16
SEGMENT = {128: 100, 256: 200}


class SecondCipher:
    """RSA for the handshake, AES for the rest; `iv` is named in the handshake of AES_CBC only."""

    def __init__(self, pem: bytes, algorithm: int, key: str = "0123456789ABCDEF") -> None:
        self.algorithm = algorithm
        self.key = key
        self.iv = "FEDCBA9876543210" if algorithm == AES_CBC else None
        self._rsa = RSA.import_key(pem)

    def encrypt(self, proto_id: int, plaintext: bytes) -> bytes:
        return self._rsa_encrypt(plaintext) if proto_id == INIT_CONNECT else self.seal(plaintext)

    def decrypt(self, proto_id: int, body: bytes) -> bytes:
        return self._rsa_decrypt(body) if proto_id == INIT_CONNECT else self.open(body)

    def _rsa_encrypt(self, plaintext: bytes) -> bytes:
        cipher = PKCS1_v1_5.new(self._rsa.public_key())
        size = SEGMENT[self._rsa.size_in_bytes()]
        return b"".join(
            cipher.encrypt(plaintext[i : i + size]) for i in range(0, len(plaintext), size)
        )

    def _rsa_decrypt(self, body: bytes) -> bytes:
        cipher = PKCS1_v1_5.new(self._rsa)
        size = self._rsa.size_in_bytes()
        return b"".join(
            bytes(cipher.decrypt(body[i : i + size], b"?")) for i in range(0, len(body), size)
        )

    def seal(self, plaintext: bytes) -> bytes:
        """Encipher with AES."""
        if self.algorithm == FTAES_ECB:
            used = len(plaintext) % BLOCK
            zeros = bytes(BLOCK - used) if used else b""
            return self._aes().encrypt(plaintext + zeros) + bytes(15) + bytes([used])
        return self._aes().encrypt(pad(plaintext, BLOCK))

    def open(self, body: bytes) -> bytes:
        """Decipher with AES."""
        if self.algorithm == FTAES_ECB:
            padded = self._aes().decrypt(body[:-BLOCK])
            return padded[: len(padded) - BLOCK + body[-1]] if body[-1] else padded
        return unpad(self._aes().decrypt(body), BLOCK)

    def _aes(self) -> CbcMode | EcbMode:
        if self.algorithm == AES_CBC:
            assert self.iv is not None
            return AES.new(self.key.encode(), AES.MODE_CBC, iv=self.iv.encode())
        return AES.new(self.key.encode(), AES.MODE_ECB)
