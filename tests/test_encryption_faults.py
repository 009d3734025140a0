"""Encrypted connections that go wrong: other keys, none, damage; and that no key is ever shown."""

from __future__ import annotations

import logging
import pickle
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import intake
import pytest
import yaml
from gateway_peer import INIT_CONNECT, PATIENCE_S, Peer, hello, question
from second_cipher import AES_CBC, SecondCipher
from second_gateway import Exchange, SecondGateway, obliging
from second_rows import DAILY_SHORT_VOLUME
from test_encryption import ALGORITHMS, HISTORIES, assert_whole

from intake_futu_short import RET_ERROR, OpenQuoteContext
from intake_futu_short.errors import (
    ConfigError,
    GatewayDisconnectedError,
    GatewayError,
    ProtocolError,
)
from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable

    KeyFile = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def read_error(url: str, key: Path | None) -> GatewayError:
    source = FutuShortSource("US.AAPL", gateway=url, rsa_key=key, timeout=PATIENCE_S)
    with closing(source), pytest.raises(GatewayError) as caught:
        source.read()
    return caught.value


def test_another_key_than_the_gateway_s(key_file: KeyFile) -> None:
    with Gateway(sample_histories(), rsa_key=str(key_file())) as gateway:
        error = read_error(f"opend://127.0.0.1:{gateway.port}", key_file(1024, which=2))
    assert isinstance(error, GatewayDisconnectedError)
    assert "is OpenD set to the same RSA key as rsa_key= here?" in str(error)


def test_an_answer_enciphered_with_another_key(key_file: KeyFile) -> None:
    class OtherAnswers(SecondCipher):
        def encrypt(self, proto_id: int, plaintext: bytes) -> bytes:
            return SecondCipher(key_file(1024, which=2).read_bytes(), AES_CBC).encrypt(
                proto_id, plaintext
            )

    key = key_file()
    with SecondGateway(HISTORIES, cipher=OtherAnswers(key.read_bytes(), AES_CBC)) as gateway:
        error = read_error(gateway.url, key)
    assert isinstance(error, ProtocolError)
    assert "the same RSA key as rsa_key= here" in str(error)


def test_a_gateway_that_does_not_encrypt(key_file: KeyFile) -> None:
    with Gateway(sample_histories()) as gateway:
        error = read_error(gateway.url, key_file())
    assert isinstance(error, GatewayDisconnectedError)
    assert "is OpenD set to the same RSA key as rsa_key= here?" in str(error)


def test_a_gateway_that_answers_unencrypted(key_file: KeyFile) -> None:
    class Deciphers(SecondCipher):
        def encrypt(self, proto_id: int, plaintext: bytes) -> bytes:
            return plaintext

    key = key_file()
    with SecondGateway(HISTORIES, cipher=Deciphers(key.read_bytes(), AES_CBC)) as gateway:
        error = read_error(gateway.url, key)
    assert isinstance(error, ProtocolError)
    assert "answered unencrypted" in str(error)


def test_a_gateway_that_encrypts_asked_without_a_key(key_file: KeyFile) -> None:
    with Gateway(sample_histories(), rsa_key=str(key_file())) as gateway:
        error = read_error(f"opend://127.0.0.1:{gateway.port}", None)
        with OpenQuoteContext(gateway.host, gateway.port) as context:
            ret, message, _ = context.get_daily_short_volume("US.AAPL")
    assert isinstance(error, GatewayDisconnectedError)
    assert "When it has an RSA key, rsa_key= must name the same one" in str(error)
    assert ret == RET_ERROR
    assert "rsa_key=" in str(message)


def tampered(change: Callable[[bytes], bytes]) -> Callable[[Exchange], None]:
    """Answers with rows whose enciphered body is changed, under the same SHA-1."""

    def script(exchange: Exchange) -> None:
        head, body = exchange.answer[:44], exchange.answer[44:]
        if exchange.proto_id == DAILY_SHORT_VOLUME:
            body = change(body)
            head = head[:12] + len(body).to_bytes(4, "little") + head[16:]
        exchange.send(head + body)

    return script


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "change",
    [
        lambda body: bytes([body[0] ^ 1]) + body[1:],
        lambda body: body[:-1] + bytes([body[-1] ^ 0x80]),
        lambda body: body[:-17] + bytes([body[-17] ^ 1]) + body[-16:],
        lambda body: body[:-16],
        lambda body: body[:-1],
        lambda body: body + bytes(16),
        lambda _: b"",
    ],
    ids=["first bit", "last bit", "last block but one", "block cut off", "byte cut off",
         "block more", "nothing"],
)  # fmt: skip
def test_damage_is_a_protocol_error_of_one_wording(
    algorithm: str, change: Callable[[bytes], bytes], key_file: KeyFile
) -> None:
    key = key_file()
    cipher = SecondCipher(key.read_bytes(), ALGORITHMS[algorithm])
    with SecondGateway(HISTORIES, tampered(change), cipher=cipher) as gateway:
        error = read_error(f"{gateway.url}?cipher={algorithm}", key)
    assert isinstance(error, ProtocolError)
    # What kind of damage it was, padding or content, nobody learns.
    assert "sent a damaged frame: the SHA-1 of its body (" in str(error)


def test_after_damage_the_page_is_asked_again_over_a_new_encrypted_connection(
    key_file: KeyFile,
) -> None:
    key = key_file()
    spoil = tampered(lambda body: bytes([body[0] ^ 1]) + body[1:])

    def once(exchange: Exchange) -> None:
        spoilt = exchange.query is not None and exchange.number == 2
        (spoil if spoilt else obliging)(exchange)

    cipher = SecondCipher(key.read_bytes(), AES_CBC)
    with (
        SecondGateway(HISTORIES, once, cipher=cipher) as gateway,
        FutuShortSource("HK.00700", num=7, gateway=gateway.url, rsa_key=key) as source,
    ):
        assert_whole(source, "HK")
        assert gateway.connections == 2


@pytest.mark.parametrize("name", ["key", "iv"])
def test_a_handshake_without_a_usable_key_or_vector(name: str, key_file: KeyFile) -> None:
    key = key_file()
    cipher = SecondCipher(key.read_bytes(), AES_CBC)
    setattr(cipher, name, "too short")
    with SecondGateway(HISTORIES, cipher=cipher) as gateway:
        error = read_error(gateway.url, key)
    assert isinstance(error, ProtocolError)
    assert "without a usable AES key or vector" in str(error)


@pytest.mark.parametrize(
    "change", [lambda b: b[:-1], lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b + b[-16:]]
)
def test_our_gateway_closes_on_damage(change: Callable[[bytes], bytes], key_file: KeyFile) -> None:
    class Damaging(SecondCipher):
        def seal(self, plaintext: bytes) -> bytes:
            return change(super().seal(plaintext))

    cipher = Damaging(key_file().read_bytes(), AES_CBC)
    with (
        Gateway(sample_histories(), rsa_key=str(key_file())) as gateway,
        Peer(gateway, greet=False, cipher=cipher) as peer,
    ):
        s2c = peer.ask(INIT_CONNECT, hello(AES_CBC), "InitConnect_pb2").s2c
        cipher.key, cipher.iv = s2c.connAESKey, s2c.aesCBCiv
        peer.send(DAILY_SHORT_VOLUME, question())
        assert peer.is_closed_by_gateway()


def test_a_bad_key_file_is_an_error_before_anything_is_sent(tmp_path: Path) -> None:
    with SecondGateway(HISTORIES) as gateway:
        missing = tmp_path / "none.pem"
        with (
            FutuShortSource("US.AAPL", gateway=gateway.url, rsa_key=missing) as source,
            pytest.raises(ConfigError, match=r"none\.pem"),
        ):
            source.read()
        with OpenQuoteContext("127.0.0.1", gateway.port, rsa_key=missing) as context:
            ret, message, _ = context.get_daily_short_volume("US.AAPL")
        assert ret == RET_ERROR
        assert "none.pem" in str(message)
        with pytest.raises(ConfigError, match=r"none\.pem"):
            Gateway({}, rsa_key=str(missing)).start()
    assert gateway.connections == 0


def test_the_key_is_an_argument_like_others(
    key_file: KeyFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = FutuShortSource("US.AAPL", rsa_key="~/opend.pem")
    args = yaml.safe_load(source.yaml())["sources"]["futu_short"]["args"]
    assert args["rsa_key"] == "~/opend.pem"
    assert source != FutuShortSource("US.AAPL", rsa_key="~/other.pem")
    assert source == FutuShortSource("US.AAPL", rsa_key=Path("~/opend.pem"))
    assert FutuShortSource("US.AAPL", rsa_key="") == FutuShortSource("US.AAPL")
    with pytest.raises(ConfigError, match="one of them"):
        FutuShortSource("US.AAPL", gateway="opend://h?rsa_key=~/a.pem", rsa_key="~/opend.pem")

    with Gateway(sample_histories(), rsa_key=key_file()) as gateway:
        catalog = tmp_path / "catalog.yaml"
        catalog.write_text(FutuShortSource("US.AAPL", rsa_key=key_file()).yaml())
        monkeypatch.setenv("FUTU_OPEND", f"opend://127.0.0.1:{gateway.port}")
        with intake.open_catalog(str(catalog)).futu_short as entry:
            assert len(entry.read()) == 29


def test_no_key_is_shown_anywhere(key_file: KeyFile, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = key_file()
    cipher = SecondCipher(key.read_bytes(), AES_CBC, key="SESSIONKEYOFTEST")
    with SecondGateway(HISTORIES, cipher=cipher) as gateway:
        with FutuShortSource("US.AAPL", gateway=gateway.url, rsa_key=key) as source:
            source.read()
            url = source._gateways.origin
            shown = [repr(source), source.yaml(), url, pickle.dumps(source).decode("latin-1")]
            copy = pickle.loads(pickle.dumps(source))  # noqa: S301 - made here
        assert copy == source
        with closing(copy):
            assert_whole(copy, "US")
    shown += [caplog.text, str(copy.discover)]
    secret = key.read_text().splitlines()[1:-1]
    for text in shown:
        assert not [line for line in secret if line in text]
        assert "SESSIONKEYOFTEST" not in text
        assert "FEDCBA9876543210" not in text
    assert str(key) in source.yaml()
