"""Fuzzing guided by coverage, for as long as one likes: what `test_fuzz.py` begins.

    pip install ".[test,fuzz]"
    python tests/fuzz_guided.py stream 180
    python tests/fuzz_guided.py answers 180

The first argument is the target, the second says how many seconds. What is found stops the run, and
the input is written to a file in the temporary directory; give its path in place of the seconds to
run it alone.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["intake_futu_short", "google.protobuf"]):
    from fuzz_targets import TARGETS, seeds


def main() -> None:
    """Run one target."""
    _, name, how = sys.argv
    if not how.isdecimal():
        TARGETS[name](Path(how).read_bytes())
        print("nothing was raised")
        return
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    for i, seed in enumerate(seeds(name)):
        (corpus / f"seed{i}").write_bytes(seed)
    options = [f"-max_total_time={how}", "-max_len=4096", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
