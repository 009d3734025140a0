"""What stands around the package: how to cite it, report to it, and work on it."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import yaml

import intake_futu_short

ROOT = Path(__file__).parent.parent
FOLDERS = [
    ".ci", ".github", "benchmarks", "catalogs", "docs", "intake_futu_short", "tests", "tools",
]  # fmt: skip
TEXTS = {"", ".cff", ".cfg", ".jinja", ".md", ".py", ".toml", ".txt", ".yaml", ".yml"}
OWN = [
    path
    for path in [
        *ROOT.iterdir(),
        *(path for name in FOLDERS for path in (ROOT / name).rglob("*")),
    ]
    if path.is_file() and path.suffix in TEXTS and "_build" not in path.parts
]
AUTHORS = "intake-futu-short developers"


def text_of(path: Path | str) -> str:
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


def test_nothing_tells_to_install_from_an_index() -> None:
    """The package is on none: messages name other packages, documents a checkout."""
    name = "intake[-_]futu[-_]short"
    wrong = re.compile(rf"{name}\[\w|pip install [\"']?{name}\b")
    told = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in OWN
        for match in wrong.finditer(text_of(path))
    ]
    assert told == []
    assert wrong.search('pip install "' + "intake-futu-short" + '[plot]"')


def test_the_authors_and_the_version_are_the_same_everywhere() -> None:
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert citation["authors"] == [{"name": AUTHORS}]
    assert citation["version"] == intake_futu_short.__version__
    assert citation["license"] == "BSD-3-Clause"
    metadata = configparser.ConfigParser()
    metadata.read_string(text_of("setup.cfg"))
    assert metadata["metadata"]["author"] == AUTHORS
    # A project that is nowhere yet has no address to give.
    assert {"url", "project_urls", "author_email"}.isdisjoint(metadata["metadata"])


def test_the_workflow_runs_what_a_developer_runs() -> None:
    workflow = yaml.safe_load(text_of(".github/workflows/ci.yml"))
    job, coverage = workflow["jobs"]["run"], workflow["jobs"]["coverage"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert coverage["steps"][-1]["run"] == "pytest --cov"
    versions = job["steps"][1]["with"]["python-version"].split()
    assert versions[-1] == "3.11"
    ci = text_of(".ci/run")
    assert set(re.findall(r"^ *compat \w+ (3\.\d+)", ci, re.MULTILINE)) < set(versions)


def test_hooks_before_a_commit_download_nothing() -> None:
    (local,) = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"]
    assert local["repo"] == "local"
    assert {hook["language"] for hook in local["hooks"]} == {"system"}
    commands = {hook["entry"].removesuffix(" --force-exclude") for hook in local["hooks"]}
    assert commands == {"ruff check", "ruff format", "mypy"}


def test_what_the_page_for_contributors_names_is_there() -> None:
    named = re.findall(
        r"`((?!docs/)(?:[\w./]+/|[\w./-]+\.(?:py|md|cfg|proto)))`", text_of("CONTRIBUTING.md")
    )
    places = [ROOT, ROOT / "intake_futu_short", ROOT / "intake_futu_short" / "cli"]
    missing = [name for name in named if not any((place / name).exists() for place in places)]
    assert len(named) > 20
    assert missing == []
