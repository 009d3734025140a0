"""How much of the gateway's limit is used, by 1, 2, 4 and 8 processes.

The gateway counts arrivals in a sliding window and refuses what is too much. So many requests take
at least a window for each further batch of them; the share is that time over the time from the
first request to the last answer.

    python benchmarks/limit.py
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile

from intake_futu_short.gateway import Gateway, sample_histories

REQUESTS = 300
LIMIT = 30
SECONDS = 3.0
SCRIPT = """
import sys, time
from intake_futu_short.calls import SHORT_VOLUME, Ticker
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.reading import open_gateways, read
from intake_futu_short.security import Security

url, requests = sys.argv[1], int(sys.argv[2])
ticker = Ticker(Security.parse("US.AAPL"), SHORT_VOLUME)

def ask():
    reply = yield ticker.question(None)
    assert reply.error is None, reply.error

gateways = open_gateways([GatewayURL.parse(url)], 12.0)
print("ready", flush=True)
sys.stdin.readline()
begin = time.monotonic()
read({number: ask() for number in range(requests)}, gateways)
print(begin, time.monotonic())
gateways.close()
"""


def main() -> None:
    """Print the share for each number of processes."""
    for number in (1, 2, 4, 8):
        requests = REQUESTS // number * number
        fastest = (math.ceil(requests / LIMIT) - 1) * SECONDS
        with Gateway(sample_histories(), limit=(LIMIT, SECONDS)) as gateway:
            took = run(number, f"{gateway.url}?limit={LIMIT}/{SECONDS:g}")
            refused = len(gateway.requests) - requests
        print(
            f"{number} processes: {requests} requests at {LIMIT} per {SECONDS:g} s in "
            f"{took:.2f} s, {100 * fastest / took:.1f} % of the limit, {refused} refused"
        )


def run(number: int, url: str) -> float:
    """Seconds from the first request to the last answer of so many processes."""
    arguments = [sys.executable, "-c", SCRIPT, url, str(REQUESTS // number)]
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "XDG_CACHE_HOME": cache}
        processes = [
            subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
            for _ in range(number)
        ]
        return time_of(processes)


def time_of(processes: list[subprocess.Popen[str]]) -> float:
    """Let them begin together; seconds from the first beginning to the last end."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    times = [[float(t) for t in process.communicate()[0].split()] for process in processes]
    return max(end for _, end in times) - min(begin for begin, _ in times)


if __name__ == "__main__":
    main()
