"""The blocks of code in a Markdown page, and what they print when they run.

A test runs those of every page, and the build runs those of pages that show figures, so that what a
reader copies is what was run. The blocks of a page run in order, in one namespace and one
directory, which is empty at first:

- ```` ```python ```` and ```` ```sh ```` run, against ``sample://`` where they name no gateway;
- ```` ```{code-block} python ```` does not run, nor does any block below a comment
  ``<!-- not run: REASON -->``, nor one that installs something, which needs the network;
- ```` ```text ```` below a comment ``<!-- output -->`` is what the block before it prints. A line
  ``...`` there stands for any number of lines.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "differences", "read_blocks", "run_blocks"]

RUN = ("python", "sh")

_FENCE = re.compile(
    r"^(?P<ticks>`{3,})(?P<info>[^`\n]*)\n(?P<code>.*?)^(?P=ticks)[ ]*$", re.MULTILINE | re.DOTALL
)
_COMMENT = re.compile(r"<!--\s*(?P<text>.*?)\s*-->\s*\Z", re.DOTALL)
_DIRECTIVE = re.compile(r"\{code-block\}\s*(?P<language>\w+)")
_OPTION = re.compile(r"\A(?::[\w-]+:.*\n)+\n?")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes
    ----------
    language : str
        As the fence names it.
    code : str
        What is in the block.
    line : int
        Of the first line of `code` in the page, counted from 1.
    runs : bool
        Whether it is to be run.
    reason : str or None
        Why it is not run, as the comment above it says.
    output : str or None
        What it prints, as the page shows it.
    """

    language: str
    code: str
    line: int
    runs: bool
    reason: str | None = None
    output: str | None = None


def read_blocks(page: Path) -> list[Block]:
    """Find the blocks of a page, in order; blocks of output are part of what printed them."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    end = 0
    for match in _FENCE.finditer(text):
        comment = _COMMENT.search(text[end : match.start()])
        said = comment["text"] if comment else ""
        end = match.end()
        info = match["info"].strip()
        line = text.count("\n", 0, match.start("code")) + 1
        if said == "output":
            if not found or found[-1].output is not None:
                raise ValueError(f"{page.name}:{line}: no block before this output prints it")
            last = found.pop()
            found.append(Block(**{**vars(last), "output": match["code"]}))
            continue
        directive = _DIRECTIVE.fullmatch(info)
        reason = said.removeprefix("not run:").strip() if said.startswith("not run:") else None
        language = directive["language"] if directive else info
        code = _OPTION.sub("", match["code"]) if directive else match["code"]
        if reason is None and language == "sh" and "pip install" in code:
            reason = "it installs"
        runs = language in RUN and directive is None and reason is None
        found.append(Block(language, code, line, runs, reason))
    return found


_DRIVER = '''
"""Run blocks that come on standard input as JSON; write to a file what each printed."""

import contextlib, io, json, subprocess, sys

page, blocks, answer = json.load(sys.stdin)
printed, namespace = [], {"__name__": "__main__"}
for language, code, line in blocks:
    if language == "sh":
        # A shell that stops at the first command that fails, as the reader would.
        done = subprocess.run(["sh", "-e", "-c", code], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True)
        printed.append(done.stdout)
        if done.returncode:
            raise SystemExit(f"{page}:{line}: the shell ended with {done.returncode}")
        continue
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile("\\n" * (line - 1) + code, page, "exec"), namespace)
    printed.append(out.getvalue())
    # Progress for whoever sees a later block fail.
    with open(answer, "w", encoding="utf-8") as file:
        json.dump(printed, file)
with open(answer, "w", encoding="utf-8") as file:
    json.dump(printed, file)
'''


def run_blocks(page: Path, directory: Path, *, silent: bool = False) -> dict[int, str]:
    """Run the blocks of a page in a directory.

    Parameters
    ----------
    page : Path
        A file of Markdown.
    directory : Path
        Where the blocks run; empty at first.
    silent : bool
        Whether text on standard error is a failure, too.

    Returns
    -------
    dict of int to str
        What each block printed, by its line.

    Raises
    ------
    RuntimeError
        When one fails, with what Python or the shell says about it.
    """
    blocks = [block for block in read_blocks(page) if block.runs]
    answer = directory / ".printed.json"
    own = {name: os.environ[name] for name in ("PYTHONPATH", "SYSTEMROOT") if name in os.environ}
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _DRIVER],
        input=json.dumps([
            page.name, [(block.language, block.code, block.line) for block in blocks], str(answer)
        ]),
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env={
            **own,
            "PATH": commands,
            "HOME": str(directory),
            "XDG_CACHE_HOME": str(directory / ".cache"),
            "FUTU_OPEND": "sample://",
            "MPLBACKEND": "agg",
            "COLUMNS": "80",
            "PYTHONUTF8": "1",
        },
    )  # fmt: skip
    if done.returncode or (silent and done.stderr):
        raise RuntimeError(f"a block of {page.name} failed:\n{done.stderr}")
    printed = json.loads(answer.read_text(encoding="utf-8"))
    answer.unlink()
    return {block.line: text for block, text in zip(blocks, printed, strict=True)}


def differences(page: Path, printed: dict[int, str]) -> list[str]:
    """Say where a page shows another output than its blocks printed."""
    checker = doctest.OutputChecker()
    options = doctest.ELLIPSIS | doctest.REPORT_UDIFF
    wrong = []
    for block in read_blocks(page):
        if block.output is None:
            continue
        if not block.runs:
            if block.reason is None:
                wrong.append(f"{page.name}:{block.line} has an output and is not run")
            continue
        wanted, got = _stripped(block.output), _stripped(printed[block.line])
        if not checker.check_output(wanted, got, options):
            example = doctest.Example("", wanted)
            shown = checker.output_difference(example, got, options)
            wrong.append(f"{page.name}:{block.line} prints something else:\n{shown}")
    return wrong


def _stripped(text: str) -> str:
    """The text without blanks at the end of lines, and without empty lines around it."""
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n"
