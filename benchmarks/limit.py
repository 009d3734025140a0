"""How much of the gateway's limit is used, by 1, 2 and 4 processes of several threads each.

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
THREADS = 4
SCRIPT = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.client import GatewayClient
from intake_futu_short.security import Security

url, requests, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
client, code = GatewayClient(GatewayURL.parse(url)), Security.parse("US.AAPL")
pool = ThreadPoolExecutor(threads)
print("ready", flush=True)
sys.stdin.readline()
begin = time.monotonic()
for page in [pool.submit(client.daily_short_volume, code) for _ in range(requests)]:
    page.result()
print(begin, time.monotonic())
client.close()
"""


def main() -> None:
    """Print the share for each number of processes."""
    fastest = (math.ceil(REQUESTS / LIMIT) - 1) * SECONDS
    for number in (1, 2, 4):
        with Gateway(sample_histories(), limit=(LIMIT, SECONDS)) as gateway:
            took = run(number, f"{gateway.url}?limit={LIMIT}/{SECONDS:g}")
            refused = len(gateway.requests) - REQUESTS
        print(
            f"{number} x {THREADS} threads: {REQUESTS} requests at {LIMIT} per {SECONDS:g} s in "
            f"{took:.2f} s, {100 * fastest / took:.1f} % of the limit, {refused} refused"
        )


def run(number: int, url: str) -> float:
    """Seconds from the first request to the last answer of so many processes."""
    arguments = [sys.executable, "-c", SCRIPT, url, str(REQUESTS // number), str(THREADS)]
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
