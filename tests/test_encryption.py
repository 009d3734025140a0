"""Encrypted connections over real sockets.

The judges: the official client's own encryption code at either end (1024 bits, AES_CBC and
FTAES_ECB), and a second implementation for what it does not know (2048 bits, AES_ECB).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from asking import ask, opened
from gateway_peer import INIT_CONNECT, PATIENCE_S, Peer, days, hello
from second_cipher import AES_CBC, AES_ECB, FTAES_ECB, SecondCipher
from second_gateway import Exchange, SecondGateway
from second_rows import History, make_rows

from intake_futu_short import RET_OK, OpenQuoteContext
from intake_futu_short.errors import GatewayError
from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    KeyFile = Callable[..., Path]

ALGORITHMS = {"AES_CBC": AES_CBC, "AES_ECB": AES_ECB, "FTAES_ECB": FTAES_ECB}
# The default arguments of official_encryption.py make the same rows.
ROWS = {"US": make_rows("US", 60), "HK": make_rows("HK", 60)}
HISTORIES = {"US.AAPL": History("US", ROWS["US"]), "HK.00700": History("HK", ROWS["HK"])}
SHORT = {"US": ("total_shares_short", "totalSharesShort"), "HK": ("turnover", "turnover")}

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def assert_whole(source: FutuShortSource, market: str) -> None:
    """The source reads every row of a gateway that serves `ROWS`."""
    frame = source.read()
    column, field = SHORT[market]
    assert frame["timestamp"].tolist() == [row["timestamp"] for row in ROWS[market]]
    assert frame[column].tolist() == [row[field] for row in ROWS[market]]


# -- the official client's code at the other end ------------------------------------------------


@contextmanager
def official_encryption(key: Path, mode: str, code: str, home: Path) -> Iterator[dict[str, Any]]:
    """A gateway that enciphers as the official client does; at the end it tells what it saw."""
    script = Path(__file__).with_name("official_encryption.py")
    with subprocess.Popen(
        [sys.executable, str(script), str(key), mode, code, "60"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "HOME": str(home), "USERPROFILE": str(home)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            port = process.stdout.readline()
            assert port, process.communicate(timeout=PATIENCE_S)[1]
            gateway = {"url": f"opend://127.0.0.1:{int(port)}"}
            yield gateway
            output, errors = process.communicate("", timeout=PATIENCE_S)
        except BaseException:
            process.kill()
            raise
        assert process.returncode == 0, errors
        gateway.update(json.loads(output))


@pytest.mark.parametrize("mode", ["cbc", "ftaes"])
@pytest.mark.parametrize(("market", "code"), [("US", "US.AAPL"), ("HK", "HK.00700")])
def test_our_client_reads_a_gateway_that_enciphers_with_the_official_code(
    mode: str, market: str, code: str, key_file: KeyFile, tmp_path: Path
) -> None:
    key = key_file(1024)
    with (
        official_encryption(key, mode, code, tmp_path) as gateway,
        FutuShortSource(code, num=7, gateway=gateway["url"], rsa_key=key) as source,
    ):
        assert_whole(source, market)
    assert gateway["asked"] == [AES_CBC]
    assert gateway["queries"] == 9  # 8 whole pages of 7, and one of 4
    assert gateway["complaints"] == []


@pytest.mark.parametrize("aes_cbc", [True, False], ids=["AES_CBC", "FTAES_ECB"])
@pytest.mark.parametrize("code", ["US.AAPL", "HK.SAMPLE"])
def test_the_official_client_reads_our_encrypted_gateway(
    aes_cbc: bool, code: str, key_file: KeyFile, official_client: Callable[..., dict[str, Any]]
) -> None:
    key = str(key_file(1024))
    histories = sample_histories()
    with Gateway(histories) as plain, Gateway(histories, rsa_key=key, aes_cbc=aes_cbc) as encrypted:
        said = official_client(encrypted.port, code, 50, key)
        expected = official_client(plain.port, code, 50)
        assert len(encrypted.requests) == len(plain.requests) > 0
    assert said["error"] is None
    # Spelled out, since NaN is not equal to itself.
    assert repr(said["pages"]) == repr(expected["pages"])
    rows = [row for page in said["pages"] for key in ("us", "hk") for row in page[key]["rows"]]
    assert len(rows) == len(histories[code].rows)


# -- the second implementation at the other end -------------------------------------------------


@pytest.mark.parametrize("bits", [1024, 2048])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_our_client_reads_the_second_gateway(bits: int, algorithm: str, key_file: KeyFile) -> None:
    key = key_file(bits)
    cipher = SecondCipher(key.read_bytes(), ALGORITHMS[algorithm])
    with SecondGateway(HISTORIES, cipher=cipher) as gateway:
        url = f"{gateway.url}?cipher={algorithm}"
        with FutuShortSource("HK.00700", num=7, gateway=url, rsa_key=key) as source:
            assert_whole(source, "HK")
    assert [c2s.packetEncAlgo for c2s in gateway.init_connects] == [ALGORITHMS[algorithm]]


def test_a_gateway_that_names_no_vector_gets_ftaes_ecb(key_file: KeyFile) -> None:
    key = key_file(2048)
    with (
        SecondGateway(HISTORIES, cipher=SecondCipher(key.read_bytes(), FTAES_ECB)) as gateway,
        FutuShortSource("US.AAPL", gateway=gateway.url, rsa_key=key) as source,
    ):
        assert_whole(source, "US")
    assert [c2s.packetEncAlgo for c2s in gateway.init_connects] == [AES_CBC]


def test_heartbeats_are_enciphered_too(key_file: KeyFile) -> None:
    def patient(exchange: Exchange) -> None:
        if exchange.query is None:
            exchange.send(exchange.answer)
            if len(gateway.keep_alives) == 2:
                held[0].send(held[0].answer)
        else:
            held.append(exchange)

    held: list[Exchange] = []
    key = key_file()
    cipher = SecondCipher(key.read_bytes(), AES_CBC)
    with SecondGateway(HISTORIES, patient, cipher=cipher, keep_alive_interval=1) as gateway:
        ask(opened(f"{gateway.url}?rsa_key={key}"))
        assert gateway.connections == 1


@pytest.mark.parametrize("bits", [1024, 2048])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_our_gateway_serves_the_second_implementation(
    bits: int, algorithm: str, key_file: KeyFile
) -> None:
    key = key_file(bits)
    cipher = SecondCipher(key.read_bytes(), ALGORITHMS[algorithm])
    with (
        Gateway(sample_histories(), rsa_key=str(key)) as gateway,
        Peer(gateway, greet=False, cipher=cipher) as peer,
    ):
        s2c = peer.ask(INIT_CONNECT, hello(ALGORITHMS[algorithm]), "InitConnect_pb2").s2c
        assert s2c.HasField("aesCBCiv") is (algorithm == "AES_CBC")
        cipher.key = s2c.connAESKey
        cipher.iv = s2c.aesCBCiv or None
        assert len(cipher.key) == 16
        assert days(peer.page(num=2)) == ["2024-10-11", "2024-10-10"]
        assert peer.page("NONE").retMsg == "Unknown stock. NONE"


def test_our_gateway_takes_no_algorithm_for_ftaes_ecb(key_file: KeyFile) -> None:
    cipher = SecondCipher(key_file().read_bytes(), FTAES_ECB)
    with (
        Gateway(sample_histories(), rsa_key=str(key_file())) as gateway,
        Peer(gateway, greet=False, cipher=cipher) as peer,
    ):
        s2c = peer.ask(INIT_CONNECT, hello(None), "InitConnect_pb2").s2c
        assert not s2c.HasField("aesCBCiv")
        cipher.key = s2c.connAESKey
        assert peer.page().retType == 0


@pytest.mark.parametrize("algorithm", [-1, 3])
def test_our_gateway_refuses_to_go_on_in_another_way(algorithm: int, key_file: KeyFile) -> None:
    cipher = SecondCipher(key_file().read_bytes(), AES_CBC)
    with (
        Gateway(sample_histories(), rsa_key=str(key_file())) as gateway,
        Peer(gateway, greet=False, cipher=cipher) as peer,
    ):
        refusal = peer.ask(INIT_CONNECT, hello(algorithm), "InitConnect_pb2")
        assert refusal.retType == -1
        assert "packetEncAlgo" in refusal.retMsg


def test_connections_have_keys_of_their_own(key_file: KeyFile) -> None:
    named = set()
    with Gateway(sample_histories(), rsa_key=str(key_file())) as gateway:
        for _ in range(2):
            cipher = SecondCipher(key_file().read_bytes(), AES_CBC)
            with Peer(gateway, greet=False, cipher=cipher) as peer:
                s2c = peer.ask(INIT_CONNECT, hello(AES_CBC), "InitConnect_pb2").s2c
                named |= {s2c.connAESKey, s2c.aesCBCiv}
    assert len(named) == 4


# -- both ends ours -----------------------------------------------------------------------------


def test_the_url_of_an_encrypted_gateway_names_its_key(key_file: KeyFile, tmp_path: Path) -> None:
    path = tmp_path / "my key & a+b.pem"
    path.touch(mode=0o600)
    path.write_bytes(key_file().read_bytes())
    with Gateway(sample_histories(), rsa_key=path) as gateway:
        with FutuShortSource("US.AAPL", gateway=gateway.url) as source:
            assert len(source.read()) == 29
        with OpenQuoteContext(gateway.host, gateway.port, rsa_key=path) as context:
            ret, us_df, _ = context.get_daily_short_volume("US.AAPL")
    assert ret == RET_OK
    assert len(us_df) == 10


def test_the_sample_can_be_encrypted(key_file: KeyFile) -> None:
    with (
        FutuShortSource("US.AAPL", gateway="sample://", rsa_key=key_file(2048)) as encrypted,
        FutuShortSource("US.AAPL", gateway="sample://", rsa_key=key_file(2048)) as again,
        FutuShortSource("US.AAPL", gateway="sample://") as plain,
    ):
        assert encrypted.read().equals(plain.read())
        assert again.read().equals(plain.read())


def test_who_has_another_key_disturbs_nobody(key_file: KeyFile) -> None:
    key = key_file()
    with SecondGateway(HISTORIES, cipher=SecondCipher(key.read_bytes(), AES_CBC)) as gateway:
        url = f"{gateway.url}?limit=2/0.2"
        one = opened(f"{url}&rsa_key={key}")
        ask(one)
        for stranger in (url, f"{url}&rsa_key={key_file(1024, which=2)}"):
            with pytest.raises(GatewayError):
                ask(opened(stranger))
        for _ in range(3):
            ask(one)
        assert {query.connection for query in gateway.queries} == {1}
        gateway.complaints.clear()
