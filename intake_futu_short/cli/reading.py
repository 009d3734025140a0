"""How commands read rows: of a source, or of what a store had seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from intake_futu_short.arguments import interval
from intake_futu_short.calls import SHORT_INTEREST, SHORT_VOLUME
from intake_futu_short.cli.options import as_arguments

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_interest", "read_rows"]


def read_rows(codes: tuple[str, ...], given: dict[str, Any], warmup: int = 0) -> pd.DataFrame:
    """Rows of tickers, with `warmup` or more of each before ``--start``."""
    from intake_futu_short.interest_source import FutuShortInterestSource
    from intake_futu_short.source import FutuShortSource

    what = given.get("what", SHORT_VOLUME.name)
    own = {"what", "as_of", "aside"}
    wanted = as_arguments({name: value for name, value in given.items() if name not in own})
    first, _ = interval(wanted.get("start"), wanted.get("end"))
    warmup = 0 if first is None else warmup
    if given["aside"] or given["as_of"] is not None:
        if warmup:
            del wanted["start"]  # all that is stored before it is at hand
        return _read_past(codes, wanted, what=what, as_of=given["as_of"], aside=given["aside"])
    code: Any = codes[0] if len(codes) == 1 else list(codes)
    sources = {one.call.name: one for one in (FutuShortSource, FutuShortInterestSource)}
    with sources[what](code, **wanted, warmup=warmup) as source:
        return source.read()


def _read_past(
    codes: tuple[str, ...], wanted: dict[str, Any], *, what: str, as_of: str | None, aside: bool
) -> pd.DataFrame:
    from intake_futu_short.store import FutuShortStore

    store = wanted.pop("store", None)
    if store is None:
        raise click.UsageError("--as-of and --aside read a store: name it with --store.")
    others = sorted(set(wanted) - {"start", "end"})
    if others:
        option = others[0].replace("_", "-")
        raise click.UsageError(f"--{option} is for a gateway, which --as-of and --aside don't ask.")
    return FutuShortStore(store).read(list(codes), **wanted, what=what, as_of=as_of, aside=aside)


def read_interest(code: str, given: dict[str, Any], start: str) -> pd.DataFrame:
    """Reports of a ticker's open positions as of `start` and later, from where its rows come from.

    Raises
    ------
    FutuShortError
        When there are none to be had.
    """
    names = ("gateway", "store", "refresh", "rsa_key", "timeout", "as_of", "aside")
    wanted = {name: given[name] for name in names}
    return read_rows((code,), {**wanted, "what": SHORT_INTEREST.name, "start": start})
