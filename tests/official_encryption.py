"""The second gateway with the official client's own encryption code, as a process of its own.

    python official_encryption.py RSA_KEY cbc|ftaes CODE ROWS

It serves ROWS made-up rows of CODE (`make_rows` with its defaults), prints its port, and ends when
its standard input does, with what it saw as JSON: ``{"queries": …, "asked": [packetEncAlgo, …],
"complaints": [...]}``. A process of its own, since importing the official client takes over
Ctrl-C and writes log files.
"""

from __future__ import annotations

import json
import os
import sys

from second_gateway import SecondGateway
from second_rows import History, make_rows

INIT_CONNECT = 1001
CONNECTION = 7474749583963343045


class OfficialCipher:
    """What `futu` does to bodies; it keeps the keys by connection, here there is one of them."""

    def __init__(self, rsa_key: str, *, cbc: bool) -> None:
        from futu.common.conn_mng import FutuConnMng  # noqa: PLC0415 - stdout is replaced first
        from futu.common.sys_config import RsaCrypt, SysConfig  # noqa: PLC0415 - likewise

        self.key = "0123456789ABCDEF"
        self.iv = "FEDCBA9876543210" if cbc else None
        self._rsa, self._aes = RsaCrypt, FutuConnMng
        SysConfig.set_init_rsa_file(rsa_key)
        FutuConnMng.add_conn(
            {
                "conn_id": CONNECTION,
                "conn_key": self.key,
                "conn_iv": self.iv,
                "is_encrypt": True,
            }
        )

    def encrypt(self, proto_id: int, plaintext: bytes) -> bytes:
        if proto_id == INIT_CONNECT:
            return bytes(self._rsa.encrypt(plaintext))
        ret, message, body = self._aes.encrypt_conn_data(CONNECTION, plaintext)
        assert ret == 0, message
        return bytes(body)

    def decrypt(self, proto_id: int, body: bytes) -> bytes:
        if proto_id == INIT_CONNECT:
            return bytes(self._rsa.decrypt(body))
        ret, message, plaintext = self._aes.decrypt_conn_data(CONNECTION, body)
        assert ret == 0, message
        return bytes(plaintext)


if __name__ == "__main__":
    # The client logs to standard output, from several threads: that goes where errors go.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _, rsa_key, mode, code, number = sys.argv
    market = code.partition(".")[0]
    history = History(market, make_rows(market, int(number)))
    gateway = SecondGateway({code: history}, cipher=OfficialCipher(rsa_key, cbc=mode == "cbc"))
    with gateway:
        print(gateway.port, file=output, flush=True)
        sys.stdin.read()
    seen = {
        "queries": len(gateway.queries),
        "asked": [c2s.packetEncAlgo for c2s in gateway.init_connects],
        "complaints": gateway.complaints,
    }
    print(json.dumps(seen), file=output, flush=True)
    os._exit(0)  # its threads would keep the process
