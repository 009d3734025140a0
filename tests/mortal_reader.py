"""Reads sources over a store in child processes that may be killed at any moment.

Python and the package are loaded once; each line of standard input, a JSON object of the arguments
of a source, forks a child that reads it, and its process id is printed. A child that ends by itself
says how on standard error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
import warnings


def read(arguments: dict[str, object]) -> None:
    from intake_futu_short.source import FutuShortSource  # noqa: PLC0415 - loaded by the parent

    with FutuShortSource(**arguments) as source:  # type: ignore[arg-type]  # from JSON
        source.read()


def main() -> None:
    import intake_futu_short.source  # noqa: F401, PLC0415 - what every child needs

    # From Python 3.12 on: numpy has threads of its own, which hold nothing that a child needs.
    warnings.filterwarnings("ignore", ".* is multi-threaded", DeprecationWarning)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # dead children leave nothing
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                read(json.loads(line))
            except BaseException:  # noqa: BLE001 - the parent wants to know of any
                traceback.print_exc()
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    main()
