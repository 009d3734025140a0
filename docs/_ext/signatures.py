"""Signatures of classes whose base takes anything: those of Intake say ``(*args, **kwargs)``."""

from __future__ import annotations

import inspect
from typing import Any

__all__ = ["setup"]


def own_signature(
    _: Any, what: str, __: str, value: Any, ___: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Take the arguments of ``__init__`` in place of those of ``__new__``."""
    if what != "class" or signature != "(*args, **kwargs)":
        return None
    parameters = [
        one.replace(annotation=one.empty)
        for one in list(inspect.signature(value.__init__).parameters.values())[1:]
    ]
    return str(inspect.Signature(parameters)), returns


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("autodoc-process-signature", own_signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
