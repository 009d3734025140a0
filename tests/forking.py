"""For processes that fork while their threads are at work."""

from __future__ import annotations

import os


def unmeasured() -> dict[str, str]:
    """The environment without coverage.

    A thread that is measured may hold a lock of coverage's when a child is forked, which then
    waits for it for ever.
    """
    return {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
