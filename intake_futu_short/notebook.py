"""Short tracebacks in IPython: the user's lines and the message, without inner frames.

Outside IPython nothing calls this, and Python prints the whole traceback.
"""

from __future__ import annotations

import sys
import traceback
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["lines"]

_PACKAGE = __name__.partition(".")[0]
# They stand between the user's line and the package, or above both.
_BETWEEN = frozenset(
    {
        "IPython", "_pytest", "asyncio", "concurrent", "contextlib", "dask", "distributed",
        "functools", "intake", "ipykernel", "pandas", "threading",
    }
)  # fmt: skip
# A cause's text is cut to this length, because it may contain a server's whole reply.
_CAUSE_LENGTH = 300
_FULL_MODES = ("Verbose", "Docs")


def lines(error: BaseException) -> list[str]:
    """The text to show for an error.

    Its causes are listed below its message, one per line. ``traceback.print_last()`` and ``%xmode
    Verbose`` show every frame.

    Parameters
    ----------
    error : BaseException
        A raised error, with its traceback.

    Returns
    -------
    list of str
        Parts of the text, as IPython joins them.
    """
    try:
        ipython: Any = sys.modules["IPython"]
        shell = ipython.get_ipython()
        return _lines(error, shell.InteractiveTB)
    except Exception:  # noqa: BLE001 - IPython's insides are not ours; the error is shown all the same
        return "".join(traceback.format_exception(error)).splitlines()


def _lines(error: BaseException, formatter: Any) -> list[str]:
    frames = list(_frames(error.__traceback__))
    users = _of_user(frames)
    if not users or getattr(formatter, "mode", "") in _FULL_MODES:
        shown: list[str] = formatter.structured_traceback(
            type(error), error, error.__traceback__, tb_offset=_above(frames)
        )
        return shown
    short = None
    for part in reversed(users):
        short = TracebackType(short, part.tb_frame, part.tb_lasti, part.tb_lineno)
    # An error of a new type has no causes; IPython would show those with all their frames.
    kind = type(type(error).__name__, (Exception,), {"__module__": type(error).__module__})
    words = "\n".join([str(error), *_notes(error), *_causes(error)])
    hidden = len(frames) - len(users) - _above(frames)
    said: list[str] = formatter.structured_traceback(kind, kind(words), short, tb_offset=0)
    # Not %xmode Verbose, which prints variables too, such as passwords.
    return [*said, f"(inner frames left out: {hidden}; traceback.print_last() has them)"]


def _frames(tb: TracebackType | None) -> Iterator[TracebackType]:
    while tb is not None:
        yield tb
        tb = tb.tb_next


def _above(frames: list[TracebackType]) -> int:
    """How many frames of IPython's own are above the cell."""
    for number, part in enumerate(frames):
        if _top_module(part) not in {"IPython", "ipykernel"}:
            return number
    return 0


def _of_user(frames: list[TracebackType]) -> list[TracebackType]:
    """Frames through which the package was called; none for an error that it did not raise."""
    tops = [_top_module(part) for part in frames]
    if _PACKAGE not in tops:
        return []
    first = tops.index(_PACKAGE)
    return [
        part
        for number, (part, top) in enumerate(zip(frames, tops, strict=True))
        # A function that the package was given may have called it again.
        if top == "__main__" or (number < first and top not in _BETWEEN)
    ]


def _top_module(part: TracebackType) -> str:
    return str(part.tb_frame.f_globals.get("__name__", "")).partition(".")[0]


def _notes(error: BaseException) -> list[str]:
    return [str(note) for note in getattr(error, "__notes__", ())]


def _causes(error: BaseException) -> Iterator[str]:
    seen = {id(error)}
    while True:
        cause, how = error.__cause__, "caused by"
        if cause is None and not error.__suppress_context__:
            cause, how = error.__context__, "raised while handling"
        if cause is None or id(cause) in seen:
            return
        seen.add(id(cause))
        said = " ".join(str(cause).split())
        if said.rstrip(".") in " ".join(str(error).split()):  # as many errors of the package do
            said = ""
        if len(said) > _CAUSE_LENGTH:
            said = f"{said[:_CAUSE_LENGTH]}…"
        yield f"{how} {type(cause).__name__}" + (f": {said}" if said else "")
        yield from _notes(cause)
        error = cause
