"""The documentation: its code runs, its links lead somewhere, its reference is complete."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from page_blocks import RUN, differences, read_blocks, run_blocks

import intake_futu_short
from intake_futu_short.accessor import ShortVolumeAccessor

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("reference/*.md")])
OTHERS = sorted(ROOT.glob("*.md"))
# What README's code prints, test_readme looks at: also with other versions of the dependencies.
WITH_CODE = [page for page in PAGES if any(block.runs for block in read_blocks(page))]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


# -- code ---------------------------------------------------------------------------------------


def slow_where_long(page: Path) -> Any:
    """The page of the command line starts a process for each of its many commands."""
    return pytest.param(page, marks=pytest.mark.slow) if page.stem == "command-line" else page


@pytest.mark.parametrize("page", [slow_where_long(page) for page in WITH_CODE], ids=name_of)
def test_the_code_of_a_page_runs_and_prints_what_it_shows(page: Path, tmp_path: Path) -> None:
    printed = run_blocks(page, tmp_path)
    if int(pd.__version__.partition(".")[0]) >= 3:  # which show some values in another way
        assert differences(page, printed) == []


@pytest.mark.parametrize("page", [*OTHERS, *PAGES], ids=name_of)
def test_code_that_does_not_run_says_why(page: Path) -> None:
    silent = [
        f"{page.name}:{block.line}"
        for block in read_blocks(page)
        if block.language in RUN and not block.runs and not block.reason
    ]
    assert silent == []


PAGE = """
# Blocks

```python
import os
open("told", "w").close()
print(os.environ["FUTU_OPEND"], 1 / 4)
```

<!-- output -->
```text
sample:// 0.25
```

```sh
ls told
for n in 1 2 3; do echo $n; done
```

<!-- output -->
```text
told
...
3
```

<!-- not run: it needs a gateway -->
```{code-block} python
:caption: one line
raise SystemExit(1)
```

<!-- not run: it never ends -->
```sh
sleep 1000
```

```sh
pip install .
```

````md
```python
raise SystemExit(2)
```
````
"""


def test_blocks_run_in_order_and_their_output_is_compared(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    blocks = read_blocks(page)
    assert [(block.language, block.runs) for block in blocks] == [
        ("python", True), ("sh", True), ("python", False), ("sh", False), ("sh", False),
        ("md", False),
    ]  # fmt: skip
    assert blocks[2].code == "raise SystemExit(1)\n"
    assert [block.reason for block in blocks[2:5]] == [
        "it needs a gateway", "it never ends", "it installs",
    ]  # fmt: skip
    room = tmp_path / "room"
    room.mkdir()
    printed = run_blocks(page, room)
    assert differences(page, printed) == []
    assert [file.name for file in room.iterdir()] == ["told"]
    page.write_text(PAGE.replace("0.25", "0.26"), encoding="utf-8")
    [wrong] = differences(page, printed)
    assert "page.md:5 prints something else" in wrong


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("```python\nprint(1)\n\n1 / 0\n```\n", 'File "page.md", line 4'),
        ("```python\nimport warnings\nwarnings.warn('old')\n```\n", "UserWarning: old"),
        ("\n```sh\nfalse\ntrue\n```\n", "page.md:3: the shell ended with 1"),
    ],
)
def test_a_block_that_fails_is_named(code: str, told: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(code, encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"a block of page\.md failed") as error:
        run_blocks(page, tmp_path)
    assert told in str(error.value)


def test_what_goes_to_standard_error_is_a_failure_where_none_may(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nimport logging\nlogging.warning('odd')\n```\n", encoding="utf-8")
    assert run_blocks(page, tmp_path) == {2: ""}
    with pytest.raises(RuntimeError, match="WARNING:root:odd"):
        run_blocks(page, tmp_path, silent=True)


# -- links --------------------------------------------------------------------------------------


def without_code(text: str) -> str:
    return re.sub(r"^(`{3,}).*?^\1 *$|(`+)[^`\n]+\2", "", text, flags=re.MULTILINE | re.DOTALL)


def links_of(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    cards = re.findall(r"^:link: (\S+)\n:link-type: doc$", text, re.MULTILINE)
    inline = re.findall(r"\]\(([^()\s]+)\)", without_code(text))
    return [*inline, *(f"{card}.md" for card in cards)]


def anchors_of(page: Path) -> set[str]:
    """What a link can lead to in a page: its headings, as GitHub and MyST name them, and labels."""
    text = page.read_text(encoding="utf-8")
    for included in re.findall(r"^```\{include\} (\.\./\S+)", text, re.MULTILINE):
        text += (page.parent / included).read_text(encoding="utf-8")
    labels = set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*?)\s*$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return labels | {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", [*OTHERS, *PAGES], ids=name_of)
def test_links_between_files_lead_somewhere(page: Path) -> None:
    dead = []
    for link in links_of(page):
        if re.match(r"[a-z]+:", link) or link.startswith("_generated/"):
            continue  # other sites; what the build makes, which complains of what is missing
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        is_there = target.is_file() or target.is_dir()
        # Anchors of the reference come from docstrings; the build knows them.
        if is_there and anchor and target.suffix == ".md" and "intake_futu_short." not in anchor:
            is_there = anchor in anchors_of(target)
        if not is_there:
            dead.append(link)
    assert dead == []


# -- reference ----------------------------------------------------------------------------------

PUBLIC = [
    "intake_futu_short", "intake_futu_short.accessor", "intake_futu_short.errors",
    "intake_futu_short.gateway", "intake_futu_short.metrics", "intake_futu_short.pipelines",
    "intake_futu_short.reader", "intake_futu_short.report", "intake_futu_short.sample",
]  # fmt: skip
DIRECTIVE = re.compile(
    r"^\.\. (?:auto|py:)(?:class|function|exception|data|method|property):: (\S+)"
)


def referenced() -> set[str]:
    """Names that the pages of the reference describe, in full."""
    names = set()
    for page in DOCS.glob("reference/*.md"):
        module = ""
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith(".. currentmodule:: "):
                module = line.split()[-1]
            elif match := DIRECTIVE.match(line):
                name = match[1]
                names.add(name if name.startswith("intake_futu_short") else f"{module}.{name}")
    return names


@pytest.mark.parametrize("module", PUBLIC)
def test_the_reference_has_every_public_name(module: str) -> None:
    """Under the name of the module, or that of the package, which has it too."""
    names = referenced()
    missing = [
        name
        for name in importlib.import_module(module).__all__
        if not {f"{module}.{name}", f"intake_futu_short.{name}"} & names
    ]
    assert missing == []


def test_the_reference_has_every_attribute_and_method_of_the_accessor() -> None:
    place = "intake_futu_short.accessor.ShortVolumeAccessor."
    wanted = {name for name in vars(ShortVolumeAccessor) if not name.startswith("_")}
    given = {name.removeprefix(place) for name in referenced() if name.startswith(place)}
    assert given == wanted


def test_what_the_reference_names_is_there() -> None:
    for name in referenced():
        value: object = intake_futu_short
        for part in name.split(".")[1:]:
            if not hasattr(value, part):
                assert isinstance(value, type(intake_futu_short)), name
                value = importlib.import_module(f"{value.__name__}.{part}")
            else:
                value = getattr(value, part)


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = set()
    for index in (DOCS / "index.md", DOCS / "reference" / "index.md"):
        for body in re.findall(r"```\{toctree\}\n(.*?)```", index.read_text("utf-8"), re.DOTALL):
            for line in body.splitlines():
                if line and not line.startswith(":"):
                    listed.add((index.parent / re.sub(r".*<(.*)>", r"\1", line)).resolve())
    assert {page.with_suffix("") for page in PAGES} - listed == {DOCS / "index"}
