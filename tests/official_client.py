"""The official client, unchanged, reading a ticker to the end in a process of its own.

    python official_client.py HOST PORT CODE [NUM [RSA_KEY]]

It prints JSON: ``{"pages": [...], "error": null}``. A page holds its two frames,
``us`` and ``hk``, each as ``columns``, ``dtypes``, ``rows`` (lists of values) and ``attrs``;
``error`` is what the client said when the gateway refused. It reads 100 pages at most.
With the path of an RSA key it encrypts.

Without arguments it answers one question after another: a line of standard input holds, as JSON,
the name of `read` or `calls` and its arguments, and a line of standard output answers.
`OfficialClient` asks in this way, so that the client, which takes half a second, is imported once.
In the tests' own process it would take over Ctrl-C.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

# Much more than any reading takes.
PATIENCE_S = 60.0

DAILY_SHORT_VOLUME = "get_daily_short_volume"
SHORT_INTEREST = "get_short_interest"


class OfficialClient:
    """The process, for one reading after another; to be closed.

    The client's settings are those of its process: who encrypts takes another one.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._log = home / "official_client.log"
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        with self._log.open("w") as log:
            return subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "HOME": str(self._home), "USERPROFILE": str(self._home)},
            )  # fmt: skip

    def read(
        self,
        port: int,
        code: str,
        num: int | None = None,
        rsa_key: str | None = None,
        call: str = DAILY_SHORT_VOLUME,
    ) -> dict[str, Any]:
        """What `read` says in there."""
        said: dict[str, Any] = self._ask("read", "127.0.0.1", port, code, num, rsa_key, call)
        return said

    def calls(self, port: int, *asked: tuple[str, dict[str, Any]]) -> list[list[Any]]:
        """What `calls` says in there."""
        said: list[list[Any]] = self._ask("calls", "127.0.0.1", port, asked)
        return said

    def _ask(self, *question: Any) -> Any:
        if self._process.poll() is not None:  # it failed at another reading
            self.close()
            self._process = self._start()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        guard = threading.Timer(PATIENCE_S, self._process.kill)
        guard.start()
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        finally:
            guard.cancel()
            guard.join()
        if not line:
            self._process.wait(PATIENCE_S)
            raise AssertionError(f"the official client gave no answer: {self._log.read_text()}")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=PATIENCE_S)


def as_json(frame: pd.DataFrame) -> dict[str, Any]:
    return {
        "columns": list(frame.columns),
        "dtypes": [str(dtype) for dtype in frame.dtypes],
        "rows": [list(row) for row in frame.astype(object).itertuples(index=False)],
        "attrs": frame.attrs,
    }


def read(
    host: str,
    port: int,
    code: str,
    num: int | None,
    rsa_key: str | None,
    call: str = DAILY_SHORT_VOLUME,
) -> dict[str, Any]:
    from futu import RET_OK, OpenQuoteContext, SysConfig  # noqa: PLC0415 - stdout is replaced first

    if rsa_key is not None:
        SysConfig.enable_proto_encrypt(is_encrypt=True)
        SysConfig.set_init_rsa_file(rsa_key)
    pages: list[dict[str, Any]] = []
    context = OpenQuoteContext(host=host, port=port)
    next_key = None
    while next_key != "-1" and len(pages) < 100:
        ret, us, hk = getattr(context, call)(code, next_key=next_key, num=num)
        if ret != RET_OK:
            context.close()
            return {"pages": pages, "error": us}
        pages.append({"us": as_json(us), "hk": as_json(hk)})
        next_key = (us if code.startswith("US") else hk).attrs["next_key"]
    context.close()
    return {"pages": pages, "error": None}


def calls(host: str, port: int, asked: list[tuple[str, dict[str, Any]]]) -> list[list[Any]]:
    """What methods return that are given by their names and arguments, one after the other."""
    from futu import OpenQuoteContext  # noqa: PLC0415 - stdout is replaced first

    context = OpenQuoteContext(host=host, port=port)
    said = [plain(getattr(context, name)(**arguments)) for name, arguments in asked]
    context.close()
    return said


def plain(value: Any) -> Any:
    """What a call returns, for JSON: frames as of `as_json`, and tuples as lists."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return as_json(value) if hasattr(value, "dtypes") else value


if __name__ == "__main__":
    # The client logs to standard output, from several threads: that goes where errors go.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if len(sys.argv) > 1:
        _, host, port, code, *rest = sys.argv
        num = int(rest[0]) if rest and rest[0] else None
        rsa_key = rest[1] if len(rest) > 1 else None
        print(json.dumps(read(host, int(port), code, num, rsa_key)), file=output, flush=True)
    else:
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            said: Any = read(*arguments) if name == "read" else calls(*arguments)
            print(json.dumps(said), file=output, flush=True)
    os._exit(0)  # its threads would keep the process
