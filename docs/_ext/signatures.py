"""Signatures as a reader would write them.

Classes whose base takes anything, as those of Intake do, would say ``(*args, **kwargs)``. Defaults
that are functions or calls of the gateway have no notation in Python, and get their names.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

__all__ = ["setup"]

_NAMES = {
    "<built-in function monotonic>": "time.monotonic",
    "<Call 3248, daily short volume>": "SHORT_VOLUME",
}
_NAMED = re.compile("|".join(map(re.escape, _NAMES)))


def own_signature(
    _: Any, what: str, __: str, value: Any, ___: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Take the arguments of ``__init__`` in place of those of ``__new__``."""
    if what != "class" or signature != "(*args, **kwargs)":
        if signature and _NAMED.search(signature):
            return _NAMED.sub(lambda found: _NAMES[found[0]], signature), returns
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
