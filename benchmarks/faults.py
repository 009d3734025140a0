"""What faults do to a walk of 31 pages: this package and the official client, side by side.

The faults are those of the tests' table, by the same proxy, at one page. The official client runs
in a process of its own, which is killed when it takes too long. "whole" is every row, once, right.

    python benchmarks/faults.py

It needs the extra ``[test]`` and takes some minutes, which the official client waits.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).parent.parent / "tests"))

import fault_proxy
from fault_proxy import FaultProxy
from fault_table import FAULTS, ROWS_OF, Fault, Tricky
from second_rows import DAILY_SHORT_VOLUME, FIELDS, History

from intake_futu_short.errors import FutuShortError
from intake_futu_short.opend import ask as ask_module
from intake_futu_short.opend.line import Patience
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable

    Reader = Callable[[Fault, int], str]

PLACE = 16
AT_MOST_S = 40
FAULTS_AT_MOST = 100
OFFICIAL = Path(fault_proxy.__file__).with_name("official_client.py")
ROWS = ROWS_OF[DAILY_SHORT_VOLUME]
COLUMNS = {column: [row[name] for row in ROWS] for name, column in FIELDS["US"].items()}


def main() -> None:
    """Print both outcomes, and how long each took, for every fault."""
    print(f"{'fault':<32} {'intake-futu-short':<34} official client")
    for name, fault in list(FAULTS.items())[:FAULTS_AT_MOST]:
        print(f"{name:<32} {timed(fault, ours):<34} {timed(fault, official)}", flush=True)


def timed(fault: Fault, read: Reader) -> str:
    """Outcome of one read of a gateway of its own, with its seconds."""
    with (
        Tricky(fault, PLACE, {"US.AAPL": History("US", ROWS)}) as gateway,
        FaultProxy(
            gateway.port, fault.act, None if fault.everywhere else PLACE, always=fault.always
        ) as proxy,
    ):
        begin = time.monotonic()
        outcome = read(fault, proxy.port)
        return f"{outcome}, {time.monotonic() - begin:.1f} s"


def ours(fault: Fault, port: int) -> str:
    """Read with this package, whose pauses are as they are for everybody."""
    patience = Patience(**dict(fault.patience))  # type: ignore[arg-type]  # numbers, by name
    ask_module.PATIENCE = patience  # type: ignore[attr-defined]  # the bounds of every source
    url = f"opend://127.0.0.1:{port}?limit=1000/0.2"
    with closing(FutuShortSource("US.AAPL", gateway=url, timeout=fault.timeout_s)) as source:
        try:
            frame = source.read()
        except FutuShortError as error:
            return type(error).__name__
    return "whole" if {str(n): frame[n].tolist() for n in frame} == COLUMNS else "WRONG ROWS"


def official(_: Fault, port: int) -> str:
    """Read with the official client, which makes log files in its home."""
    with tempfile.TemporaryDirectory() as home:
        try:
            result = subprocess.run(
                [sys.executable, str(OFFICIAL), "127.0.0.1", str(port), "US.AAPL", "50"],
                capture_output=True, text=True, timeout=AT_MOST_S, check=False,
                env={**os.environ, "HOME": home, "USERPROFILE": home},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "hangs: killed"
    if result.returncode:
        return f"raises {result.stderr.strip().splitlines()[-1][:60]}"
    said = json.loads(result.stdout)
    if said["error"] is not None:
        return f"error {said['error'][:40]!r}"
    rows = [row for page in said["pages"] for row in page["us"]["rows"]]
    expected = [list(row) for row in zip(*COLUMNS.values(), strict=True)]
    return "whole" if rows == expected else f"WRONG ROWS ({len(rows)} of {len(expected)})"


if __name__ == "__main__":
    main()
