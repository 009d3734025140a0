"""Reads sources over a store in child processes that may be killed at any moment.

Each line of standard input is a JSON object of the arguments of a source, which a child reads.
"""

from __future__ import annotations

from mortal import fork_on_demand

from intake_futu_short.source import FutuShortSource


def read(arguments: dict[str, object]) -> None:
    with FutuShortSource(**arguments) as source:  # type: ignore[arg-type]  # from JSON
        source.read()


if __name__ == "__main__":
    fork_on_demand(read)
