"""The ``repr`` of an object: a title and named facts, as text and as HTML. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["REFUSED", "as_html", "as_text", "counted", "refused", "some"]

REFUSED = "not made, its arguments were refused"


def as_text(title: str, facts: Mapping[str, str]) -> str:
    """Lines for ``repr``: the title, then one fact per line."""
    width = max(map(len, facts), default=0)
    return "\n".join([title, *(f"  {name:<{width}}  {fact}" for name, fact in facts.items())])


def as_html(title: str, facts: Mapping[str, str]) -> str:
    """A table for a notebook. It has no style of its own, so the notebook's theme applies."""
    from html import escape  # noqa: PLC0415 - the accessor loads nothing that pandas does not

    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(fact)}</td></tr>'
        for name, fact in facts.items()
    )
    return f"<table><caption>{escape(title)}</caption><tbody>{rows}</tbody></table>"


def refused(thing: object) -> str:
    """``repr`` of an object whose construction failed. Tracebacks may print such an object."""
    return f"{type(thing).__name__}: {REFUSED}"


def counted(number: int, noun: str) -> str:
    """A number and what it counts: ``"1 row"``, ``"1,500 rows"``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def some(names: list[str], most: int = 5) -> str:
    """All names if they are few; else the first three and how many more there are."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:3])} and {len(names) - 3:,} more"
