"""The pages on errors and on the command line say what is there.

That the blocks of pages run is tested for all of them in one place, `test_docs`.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from told_errors import SCENES, told

from intake_futu_short import errors
from intake_futu_short.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parent.parent / "docs"
ERRORS = (DOCS / "errors.md").read_text(encoding="utf-8")
COMMAND_LINE = (DOCS / "command-line.md").read_text(encoding="utf-8")


# -- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENES)
def test_each_message_of_the_page_on_errors_is_what_is_said(name: str, tmp_path: Path) -> None:
    (shown, *_) = re.findall(
        r"^```text\n(.*?)\n```$", section(ERRORS, name), re.MULTILINE | re.DOTALL
    )
    assert shown.split() == told(name, tmp_path).split()


def test_every_error_and_warning_is_on_the_page_on_errors() -> None:
    headings = re.findall(r"^#+ (\w+(?:Error|Warning))$", ERRORS, re.MULTILINE)
    assert sorted([*headings, "FutuShortError"]) == sorted(errors.__all__)
    tree = (errors.__doc__ or "").partition("::\n\n")[2].partition("\n\n")[0]
    assert textwrap.dedent(tree) in ERRORS


# -- the command line ---------------------------------------------------------------------------

# What every command takes, which the page says once.
ON_ALL = {"-v", "--verbose", "-q", "--quiet", "-h", "--help", "--version"}


def section(text: str, heading: str) -> str:
    return re.split(rf"^#+ {heading}$", text, flags=re.MULTILINE)[1].partition("\n## ")[0]


def rows(text: str) -> Iterator[tuple[set[str], str]]:
    """Options in the first cell of each row of a table, and the rest of the row."""
    for line in re.findall(r"^\| `-.*$", text, re.MULTILINE):
        first, _, rest = line.replace(r"\|", "/").lstrip("| ").partition("|")
        yield set(re.findall(r"`(--?[a-z][\w-]*)", first)), rest


def documented(command: str) -> dict[str, str]:
    """Each option of a command as the page has it, with what it says of it."""
    found = {}
    for options, said in rows(section(COMMAND_LINE, "Options of several commands")):
        of, _, meaning = said.partition("|")
        if f"`{command}`" in of:
            found.update(dict.fromkeys(options, meaning))
    for options, said in rows(section(COMMAND_LINE, command)):
        assert not options & found.keys(), "it is said twice"
        found.update(dict.fromkeys(options, said))
    return found


def test_the_page_has_every_command_and_no_other() -> None:
    table = re.findall(r"^\| \[`([\w-]+)`\]\(#([\w-]+)\) \|", COMMAND_LINE, re.MULTILINE)
    headings = re.findall(r"^## ([a-z][\w-]*)$", COMMAND_LINE, re.MULTILINE)
    assert [name for name, _ in table] == [link for _, link in table] == headings
    assert sorted(headings) == sorted(main.commands)


@pytest.mark.parametrize("name", sorted(main.commands))
def test_the_page_has_every_option_of_a_command_and_no_other(name: str) -> None:
    options = [one for one in main.commands[name].params if isinstance(one, click.Option)]
    there = {spelling for one in options for spelling in one.opts}
    said = documented(name)
    assert said.keys() == there - ON_ALL
    for one in options:
        for spelling in one.opts if spelling_is_told(one) else ():
            for choice in getattr(one.type, "choices", ()):
                # That a command lacks one is said of the option.
                assert f"`{choice}`" in said[spelling]
            if one.show_default:
                assert str(one.default) in said[spelling]


def spelling_is_told(option: click.Option) -> bool:
    return not ON_ALL & {*option.opts}


def test_the_page_has_what_every_command_takes() -> None:
    there = {one for options, _ in rows(section(COMMAND_LINE, "What all commands share"))
             for one in options}  # fmt: skip
    for command in main.commands.values():
        context = click.Context(command, info_name="x", help_option_names=["-h", "--help"])
        had = {one for param in command.get_params(context) for one in param.opts}
        assert ON_ALL - {"--version"} <= had
    assert there >= ON_ALL


def test_every_example_names_options_that_there_are() -> None:
    examples = re.findall(r"^futu-short ([a-z][\w-]*)(.*)$", COMMAND_LINE, re.MULTILINE)
    assert {command for command, _ in examples} <= {*main.commands}
    for command, rest in examples:
        used = set(re.findall(r"(?<= )--?[a-z][\w-]*", rest.partition("||")[0]))
        assert used <= {*documented(command), *ON_ALL}
