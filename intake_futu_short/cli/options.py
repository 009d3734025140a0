"""Types of options that several commands share."""

from __future__ import annotations

from typing import Literal

import click

__all__ = ["LAST"]


class _Last(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from 8.2 on
    """A number of trading days, or ``all``."""

    name = "last"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | Literal["all"]:
        if value == "all":
            return "all"
        try:
            days = int(value)
        except ValueError:
            days = 0
        if days < 1:
            self.fail(
                f"{value!r} is no number of trading days, 1 or more, and not 'all'", param, ctx
            )
        return days


LAST = _Last()
