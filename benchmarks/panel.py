"""A panel of 30 tickers, one page each, from a gateway that takes 80 ms for an answer.

Ours and the official client in one run, against the same gateway: the time from nothing (no
connection yet) to the whole frame, in multiples of the latency. The official client asks for one
ticker after the other.

    python benchmarks/panel.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from os import environ

import pandas as pd

from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.security import Security
from intake_futu_short.source import FutuShortSource

TICKERS = 30
LATENCY_S = 0.08
ROUNDS = 5
OFFICIAL = """
import os, sys, time

output = os.dup(1)
os.dup2(2, 1)  # the client logs to standard output
import pandas as pd
from futu import OpenQuoteContext, RET_OK

codes = sys.argv[2].split(",")
begin = time.perf_counter()
context = OpenQuoteContext("127.0.0.1", int(sys.argv[1]))
frames = []
for code in codes:
    ret, us, _ = context.get_daily_short_volume(code, num=50)
    assert ret == RET_OK, us
    frames.append(us.assign(code=code))
rows = len(pd.concat(frames, ignore_index=True))
took = time.perf_counter() - begin
os.write(output, f"{rows} {took}".encode())
os._exit(0)  # its threads would keep the process
"""


def main() -> None:
    """Print both times."""
    aapl = sample_histories()["US.AAPL"]
    codes = [f"US.T{i}" for i in range(TICKERS)]
    histories = {code: replace(aapl, security=Security.parse(code)) for code in codes}
    with Gateway(histories, latency_s=LATENCY_S) as gateway:
        times = [ours(gateway, codes) for _ in range(ROUNDS)]
        report("ours", statistics.median(times), f"median of {ROUNDS}, worst {max(times):.3f} s")
        report("official client", official(gateway, codes), "once")


def report(who: str, seconds: float, how: str) -> None:
    """Print one line."""
    times = seconds / LATENCY_S
    print(f"{who}: {TICKERS} tickers in {seconds:.3f} s = {times:.1f} x the latency ({how})")


def ours(gateway: Gateway, codes: list[str]) -> float:
    """Seconds for the frame, connecting included."""
    # Rounds in short order would be stopped by the limit, which is not what is measured here.
    begin = time.perf_counter()
    with FutuShortSource(codes, gateway=f"{gateway.url}?limit=off") as source:
        frame = source.read()
        took = time.perf_counter() - begin
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == len(codes) * 29
    return took


def official(gateway: Gateway, codes: list[str]) -> float:
    """The same for the official client, in a process of its own: it leaves threads and files."""
    with tempfile.TemporaryDirectory() as home:
        result = subprocess.run(
            [sys.executable, "-c", OFFICIAL, str(gateway.port), ",".join(codes)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
            env={**environ, "HOME": home, "USERPROFILE": home},
        )
    rows, took = result.stdout.split()
    assert int(rows) == len(codes) * 29
    return float(took)


if __name__ == "__main__":
    main()
