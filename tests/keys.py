"""Throw-away keys, and files that look like some."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.serialization import KeySerializationEncryption

PKCS1 = serialization.PrivateFormat.TraditionalOpenSSL
PKCS8 = serialization.PrivateFormat.PKCS8


def rsa_pem(bits: int, *, is_locked: bool = False) -> bytes:
    """A new RSA key as OpenD's documentation asks for it: PKCS#1, without a password."""
    return _pem(rsa.generate_private_key(65537, bits), is_locked=is_locked)


def _pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    form: serialization.PrivateFormat = PKCS1,
    *,
    is_locked: bool = False,
) -> bytes:
    encryption: KeySerializationEncryption = serialization.NoEncryption()
    if is_locked:
        encryption = serialization.BestAvailableEncryption(b"hunter2")
    return key.private_bytes(serialization.Encoding.PEM, form, encryption)


def as_pkcs8(pem: bytes) -> bytes:
    """The same key in the other form."""
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return _pem(key, PKCS8)


def public_pem() -> bytes:
    key = rsa.generate_private_key(65537, 2048).public_key()
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def elliptic_pem() -> bytes:
    return _pem(ec.generate_private_key(ec.SECP256R1()))
