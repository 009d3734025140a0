"""Forks children that may be killed at any moment.

Python and the package are loaded once; each line of standard input, a JSON object, forks a child
that is given it, and its process id is printed. A child that fails says how on standard error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["fork_on_demand"]


def fork_on_demand(live: Callable[[dict[str, Any]], None]) -> None:
    # From Python 3.12 on: numpy has threads of its own, which hold nothing that a child needs.
    warnings.filterwarnings("ignore", ".* is multi-threaded", DeprecationWarning)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # dead children leave nothing
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                live(json.loads(line))
            except BaseException:  # noqa: BLE001 - the parent wants to know of any
                traceback.print_exc()
            os._exit(0)
        print(child, flush=True)
