"""One ticker of 1,500 rows over loopback: ours against the official client's own paging loop.

The gateway runs in a process of its own. Ours makes a source, connects, reads and closes in every
round. The official client connects once, before the first round, pages by hand and concatenates, as
its users do. The three run in turn in one process; CPU seconds are those of the whole process, with
all its threads, and are steadier than the wall clock's on a shared machine.

    pip install ".[bench]"
    python benchmarks/read.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from typing import TYPE_CHECKING, Any

import pandas as pd

from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable

CODE = "US.SAMPLE"
PAGES = 31
ROUNDS = 20
GATEWAY = """
import sys
from intake_futu_short.gateway import Gateway, sample_histories

with Gateway(sample_histories()) as gateway:
    print(gateway.port, flush=True)
    sys.stdin.read()
"""


def ours(port: int, limit: str) -> pd.DataFrame:
    """Read the ticker with a new source."""
    with FutuShortSource(CODE, gateway=f"opend://127.0.0.1:{port}?limit={limit}") as source:
        frame: pd.DataFrame = source.read()
        return frame


def official(context: Any) -> pd.DataFrame:
    """Page by hand and concatenate."""
    frames: list[pd.DataFrame] = []
    key = None
    while key != "-1":
        ret, us, _ = context.get_daily_short_volume(CODE, next_key=key, num=50)
        assert ret == 0, us
        frames.append(us)
        key = us.attrs["next_key"]
    return pd.concat(frames, ignore_index=True)


def seconds(read: Callable[[], pd.DataFrame]) -> tuple[float, float]:
    """CPU and wall seconds of one read."""
    cpu, wall = time.process_time(), time.perf_counter()
    rows = len(read())
    assert rows == 1500, rows
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Print the figures and ratios of each way."""
    from futu import OpenQuoteContext  # noqa: PLC0415 - it writes into $HOME, which is set below

    with subprocess.Popen(
        [sys.executable, "-c", GATEWAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as gateway:
        assert gateway.stdout is not None
        assert gateway.stdin is not None
        port = int(gateway.stdout.readline())
        context = OpenQuoteContext("127.0.0.1", port)
        ways: dict[str, Callable[[], pd.DataFrame]] = {
            "official": lambda: official(context),
            "limit=1000/1": lambda: ours(port, "1000/1"),
            "limit=off": lambda: ours(port, "off"),
        }
        for read in ways.values():
            read()
        rounds = [{name: seconds(read) for name, read in ways.items()} for _ in range(ROUNDS)]
        for name in ways:
            cpu = statistics.median(one[name][0] for one in rounds)
            wall = statistics.median(one[name][1] for one in rounds)
            less_cpu = statistics.median(one["official"][0] / one[name][0] for one in rounds)
            less_wall = statistics.median(one["official"][1] / one[name][1] for one in rounds)
            print(
                f"{name}: {1e3 * cpu / PAGES:.3f} ms CPU, {1e3 * wall / PAGES:.3f} ms a page, "
                f"ratio {less_cpu:.1f} in CPU and {less_wall:.1f} in time"
            )
        context.close()
        gateway.stdin.close()


if __name__ == "__main__":
    # The official client writes log files into the home directory, and logs to standard output.
    os.environ["HOME"] = os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()
    warnings.simplefilter("ignore")  # the official client calls what is deprecated
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = output
    main()
    output.flush()
    os._exit(0)  # its threads would keep the process
