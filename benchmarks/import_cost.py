"""What ``import intake_futu_short`` costs on top of ``import intake, pandas``.

Each of a number of fresh processes times first the one, then the other.

    python benchmarks/import_cost.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys

PROCESSES = 15
SCRIPT = """
from time import perf_counter
a = perf_counter()
import intake, pandas
b = perf_counter()
import intake_futu_short
c = perf_counter()
print(b - a, c - b)
"""


def main() -> None:
    """Print medians and the ratio."""
    base, ours = [], []
    for _ in range(PROCESSES):
        out = subprocess.run(
            [sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True
        ).stdout
        first, second = map(float, out.split())
        base.append(first)
        ours.append(second)
    ratios = [second / first for first, second in zip(base, ours, strict=True)]
    print(
        f"import intake, pandas: {1e3 * statistics.median(base):.0f} ms; intake_futu_short on top: "
        f"{1e3 * statistics.median(ours):.1f} ms, {100 * statistics.median(ratios):.1f} % "
        f"({100 * min(ratios):.1f} to {100 * max(ratios):.1f} %) in {PROCESSES} processes"
    )


if __name__ == "__main__":
    main()
