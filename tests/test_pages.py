"""The tables and sections of the documentation's pages name what the code has, and nothing else."""

from __future__ import annotations

import builtins
import re
from pathlib import Path

import pytest

import intake_futu_short
from intake_futu_short import metrics, schema
from intake_futu_short.calls import SERIES, SHORT_SELLING_RANK, Table
from intake_futu_short.metrics.registry import METRICS
from intake_futu_short.rank_requests import SORTS
from intake_futu_short.rank_source import FutuShortRankSource
from intake_futu_short.security import US

DOCS = Path(__file__).parent.parent / "docs"
TABLES = {
    f"{name} {market}": table
    for name, call in SERIES.items()
    for market, table in call.tables.items()
} | {SHORT_SELLING_RANK.name: SHORT_SELLING_RANK.table(US)}
ATTR_TYPES = {"count": "int", "number": "float", "day": "str"}


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def rows_below(text: str, mark: str) -> list[list[str]]:
    """Cells of the table below a comment, row by row, without its head."""
    assert text.count(f"<!-- {mark} -->") == 1, mark
    below = text.split(f"<!-- {mark} -->\n\n")[1].split("\n\n", maxsplit=1)[0].splitlines()
    assert set(below[1]) <= set("|- ")
    assert len({len(cells(line)) for line in below}) == 1, mark
    return [cells(line) for line in below[2:]]


def frame_types(table: Table) -> dict[str, str]:
    """What a frame of ours has, with strings called text as on the pages."""
    if table.call_name == SHORT_SELLING_RANK.name:
        dtypes = {str(k): str(v) for k, v in schema.ranked([], [], table).dtypes.items()}
    else:
        dtypes = schema.dtypes(table)
    text = str(schema.text_dtype())
    return {name: "text" if dtype == text else dtype for name, dtype in dtypes.items()}


def marks(text: str, kind: str) -> list[str]:
    return re.findall(rf"^<!-- {kind}: (.*) -->$", text, re.MULTILINE)


# -- the data -----------------------------------------------------------------------------------


def test_the_data_page_has_a_table_of_every_call_and_market() -> None:
    assert sorted(marks(page("data.md"), "columns")) == sorted(TABLES)
    numbers = [call.proto_id for call in (*SERIES.values(), SHORT_SELLING_RANK)]
    assert all(f"| {number} |" in page("data.md") for number in numbers)


@pytest.mark.parametrize("name", TABLES)
def test_the_data_page_names_the_columns_and_types_of_frames(name: str) -> None:
    rows = rows_below(page("data.md"), f"columns: {name}")
    shown = {row[0].strip("`"): row[1] for row in rows}
    assert list(shown.items()) == list(frame_types(TABLES[name]).items())
    assert all(row[-1] for row in rows)  # says what it is


@pytest.mark.parametrize("name", [*SERIES])
@pytest.mark.parametrize("market", ["US", "HK"])
def test_units_fit_the_kind_of_a_column(name: str, market: str) -> None:
    table = SERIES[name].tables[market]
    kinds = {column.name: column.kind for column in table.columns}
    for name_there, _, unit, *_ in rows_below(page("data.md"), f"columns: {name} {market}"):
        kind = kinds.get(name_there.strip("`"))
        if kind == "count":
            assert unit == "shares, raw"
        if kind == "price":
            assert unit.startswith(("dollars, adjusted", "currency, adjusted"))
        if name_there.endswith(("percent`", "ratio`")):
            assert unit == "percent, raw"


def test_the_data_page_names_what_comes_beside_the_rows() -> None:
    table = TABLES["short_volume HK"]
    shown = {
        row[0].strip("`"): row[1] for row in rows_below(page("data.md"), "attrs: short_volume HK")
    }
    assert shown == {attr.name: ATTR_TYPES[attr.kind] for attr in table.attrs}


def test_the_data_page_names_the_attributes_of_a_rank() -> None:
    with FutuShortRankSource("US", gateway="sample://", plates=None) as source:
        attrs = source.read().attrs
    rows = rows_below(page("data.md"), f"attrs: {SHORT_SELLING_RANK.name}")
    assert [row[0].strip("`") for row in rows] == list(attrs)
    for name, type_name, _ in rows:
        value = attrs[name.strip("`")]
        assert value is None or type(value).__name__ == type_name


def test_the_data_page_names_the_fields_that_a_rank_is_sorted_by() -> None:
    sentence = re.search(r"^`sort=` takes (.*?)\.$", page("data.md"), re.MULTILINE | re.DOTALL)
    assert sentence
    alone, _, averages = sentence[1].partition(", and `")
    fields = set(re.findall(r"`(\w+)`", alone))
    prefixes = re.findall(r"(\w+_)`", averages)
    fields |= {p + f for p in prefixes for f in re.findall(r"`(\w+[a-z])`", averages)}
    assert fields == set(SORTS)


# -- metrics ------------------------------------------------------------------------------------


def sections() -> dict[str, str]:
    """Text of each section of the metrics page, by its heading."""
    parts = re.split(r"^#{2,3} (.*)$", page("metrics.md"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_a_section_that_fits_the_code(name: str) -> None:
    metric, text = METRICS[name], sections()[name]
    formula = re.search(r"^Formula: (`+) ?(.*?) ?\1\. ", text, re.MULTILINE)
    assert formula
    assert formula[2] == metric.formula
    markets = (
        "Markets: both." if len(metric.recipes) > 1 else f"Market: {next(iter(metric.recipes))}."
    )
    assert markets in text
    assert re.search(r"Unit: \w", text)
    assert ("Window: " in text) == metric.has_window
    assert "NaN" in text or metric.has_window  # what all of a window have in common is said above
    assert f".shortvol.{name}(" in text
    assert "<!-- output -->" in text


@pytest.mark.parametrize("name", METRICS)
def test_the_reference_of_a_metric_is_that_of_its_docstring(name: str) -> None:
    told = METRICS[name].function.__doc__ or ""
    papers = re.findall(r"\((?:19|20)\d\d\)", told.partition("References\n")[2])
    written = re.findall(r"\((?:19|20)\d\d\)", sections()[name])
    assert written == papers


def test_every_public_function_of_metrics_has_a_section() -> None:
    headings = {word for heading in sections() for word in re.findall(r"\w+", heading)}
    assert set(metrics.__all__) <= headings


# -- coming from the official client ------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_both_clients_columns_stand_side_by_side(name: str) -> None:
    table = TABLES[name]
    rows = rows_below(page("from-futu-api.md"), f"same columns: {name}")
    ours = {row[2].split("`")[1]: row[3] for row in rows}
    assert list(ours.items()) == list(frame_types(table).items())
    first = ["security"] if table.call_name == SHORT_SELLING_RANK.name else []
    assert [row[0].strip("`") for row in rows if row[0]] == [*first, *table.column_names]


@pytest.mark.parametrize("name", TABLES)
def test_the_official_types_are_those_of_the_drop_in(name: str) -> None:
    # tests/test_quote_context.py compares the drop-in with the official client, cell by cell.
    table = TABLES[name]
    rows = rows_below(page("from-futu-api.md"), f"same columns: {name}")
    kinds = {column.name: column.kind for column in table.columns}
    there = ""
    for name_there, type_there, *_ in rows:
        there = there if type_there == "as above" else type_there
        kind = kinds.get(name_there.strip("`"))
        if kind == "count":
            assert there.startswith("int64")
        elif kind in {"price", "number"}:
            assert there.startswith("float64")


@pytest.mark.parametrize(
    "name", ["quickstart.md", "data.md", "metrics.md", "known-when.md", "from-futu-api.md"]
)
def test_errors_that_pages_name_exist(name: str) -> None:
    for error in re.findall(r"`(\w+(?:Error|Warning))`", page(name)):
        assert hasattr(intake_futu_short, error) or hasattr(builtins, error), error
