"""What the build makes of the package: tables, and figures of pages that show their code."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from typing import Any

from page_blocks import differences, run_blocks

from intake_futu_short import errors, metrics
from intake_futu_short.accessor import ShortVolumeAccessor
from intake_futu_short.metrics.registry import METRICS

__all__ = ["setup"]

DOCS = Path(__file__).parent.parent
GENERATED = DOCS / "_generated"


def metrics_table() -> str:
    """A row a metric, as the registry has it; names lead to the reference."""
    rows = ["| metric | market | formula | window |", "|---|---|---|---|"]
    for one in METRICS.values():
        market = "both" if len(one.recipes) > 1 else next(iter(one.recipes))
        name = f"{{py:meth}}`{one.name} <{_method(one.name)}>`"
        rows.append(f"| {name} | {market} | {one.formula} | {_window(one.name)} |")
    return "\n".join(rows) + "\n"


def _method(name: str) -> str:
    return f"intake_futu_short.accessor.ShortVolumeAccessor.{name}"


def _window(name: str) -> str:
    """The window of a metric: none, the caller's, or the one that is usual."""
    n = inspect.signature(METRICS[name].function).parameters.get("n")
    if n is None:
        return "the day"
    return "`n` days" if n.default is n.empty else f"`n={n.default}` days"


def errors_table() -> str:
    """A row an error or warning: its name, the builtin that it also is, and what it means."""
    rows = ["| name | also a | means |", "|---|---|---|"]
    for name in errors.__all__:
        one = getattr(errors, name)
        builtin = next(
            base.__name__
            for base in one.__mro__
            if base.__module__ == "builtins" and base not in {Exception, BaseException}
        ) if len(one.__mro__) > 4 or issubclass(one, Warning) else ""  # fmt: skip
        meaning = (inspect.getdoc(one) or "").partition("\n\n")[0].replace("\n", " ")
        meaning = meaning.replace("``", "`")
        link = f"{{py:exc}}`{name} <intake_futu_short.{name}>`"
        rows.append(f"| {link} | {f'`{builtin}`' if builtin else ''} | {meaning} |")
    return "\n".join(rows) + "\n"


def pages_with_figures() -> list[Path]:
    """Pages that show a file which their own blocks write: ``_generated/<page>/<file>``."""
    pages = sorted(DOCS.glob("*.md"))
    return [page for page in pages if f"_generated/{page.stem}/" in page.read_text("utf-8")]


def write(_: Any) -> None:
    """Write tables and figures before the pages are read."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir()
    for name, text in (("metrics", metrics_table()), ("errors", errors_table())):
        (GENERATED / f"{name}.md").write_text(text, "utf-8")
    for page in pages_with_figures():
        folder = GENERATED / page.stem
        folder.mkdir()
        wrong = differences(page, run_blocks(page, folder))
        if wrong:
            raise RuntimeError("\n".join(wrong))


def copy_pages(app: Any, failure: Exception | None) -> None:
    """Put HTML that pages show in frames beside them; Sphinx copies images only."""
    if failure is not None or app.builder.format != "html":
        return
    for file in GENERATED.glob("*/*.html"):
        target = Path(app.outdir, file.relative_to(DOCS))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


# Described at length as methods of the accessor, and named elsewhere only.
_ELSEWHERE = ("intake_futu_short.metrics.", "intake_futu_short.dask.")


def shorten(_: Any, what: str, name: str, __: Any, ___: Any, lines: list[str]) -> None:
    """Leave of the description of a function that is a method too one sentence and a link."""
    own = name.rpartition(".")[2]
    is_short = name.startswith(_ELSEWHERE) and what in {"function", "method"}
    if not is_short or not hasattr(ShortVolumeAccessor, own) or not lines:
        return
    if getattr(metrics, own, None) is None and not name.startswith(_ELSEWHERE[1]):
        return
    end = lines.index("") if "" in lines else len(lines)
    lines[end:] = ["", f"As :py:meth:`df.shortvol.{own} <{_method(own)}>`.", ""]


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", write)
    app.connect("build-finished", copy_pages)
    # Before numpydoc makes reST of the sections.
    app.connect("autodoc-process-docstring", shorten, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
