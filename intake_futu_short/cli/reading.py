"""Reads the tickers that a command names, from a source or from a store as it was."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from intake_futu_short.arguments import interval
from intake_futu_short.calls import SHORT_INTEREST, SHORT_VOLUME
from intake_futu_short.cli.options import as_arguments
from intake_futu_short.cli.outcome import Interruption, is_quiet, note
from intake_futu_short.errors import PanelError, RankWarning
from intake_futu_short.security import Security
from intake_futu_short.wording import argument

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

__all__ = ["Rows", "Tickers", "callback", "notes_of_a_rank", "read_interest", "read_rows"]


class Tickers(NamedTuple):
    """Which tickers a command is about.

    Attributes
    ----------
    codes : list of str
        Each once.
    is_panel : bool
        Whether their rows have a column ``code``: with several tickers, or a watchlist.
    """

    codes: list[str]
    is_panel: bool

    @classmethod
    def named(cls, codes: tuple[str, ...], watchlist: str | None, given: dict[str, Any]) -> Tickers:
        """Take the codes of a command line, then those of its watchlist."""
        if not codes and not watchlist:
            raise click.UsageError("Name codes, or a --watchlist.")
        wanted = [*codes]
        if watchlist:
            wanted += _listed(watchlist, given)
        return cls(list(dict.fromkeys(wanted)), bool(watchlist) or len(codes) > 1)

    def refuse_two_markets(self) -> None:
        """Refuse tickers whose columns differ."""
        first: dict[str, str] = {}
        for code in self.codes:
            first.setdefault(Security.known(code).market.name, code)
        if len(first) > 1:
            raise click.UsageError(
                f"{' and '.join(first.values())} are of two markets, whose columns differ: name "
                "the tickers of one market at a time."
            )


def _listed(watchlist: str, given: dict[str, Any]) -> list[str]:
    from intake_futu_short.rank_source import is_rank
    from intake_futu_short.watchlist_reading import ASKING, read_watchlist

    is_past = given.get("as_of") is not None or given.get("aside")
    if is_rank(watchlist) and (is_past or given.get("refresh") == "never"):
        option = "--as-of and --aside ask" if is_past else "--refresh never asks"
        raise click.UsageError(
            f"--watchlist {watchlist} asks a gateway, and {option} none: name the codes, or a file "
            "with them."
        )
    asking = {name: given[name] for name in ASKING if name in given}
    try:
        with notes_of_a_rank():
            return read_watchlist(watchlist, **as_arguments(asking))
    except FileNotFoundError as error:
        raise click.UsageError(f"--watchlist {error.filename!r}: there is no such file.") from error


@contextlib.contextmanager
def notes_of_a_rank() -> Iterator[None]:
    """Show a rank's warnings as plain lines, without the place in the program."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RankWarning)
        yield
    for one in caught:
        note(f"Note: {one.message}.")


class Rows(NamedTuple):
    """What was read.

    Attributes
    ----------
    frame : pandas.DataFrame
        Rows of the tickers that could be read.
    failures : dict of str to Exception
        The others.
    """

    frame: pd.DataFrame
    failures: dict[str, Exception]


def read_rows(tickers: Tickers, given: dict[str, Any], warmup: int = 0) -> Rows:
    """Rows of tickers, with `warmup` or more of each before ``--start``.

    Raises
    ------
    PanelError
        When none of several tickers could be read.
    """
    what = given.get("what", SHORT_VOLUME.name)
    own = {"what", "as_of", "aside"}
    wanted = as_arguments({name: value for name, value in given.items() if name not in own})
    first, _ = interval(wanted.get("start"), wanted.get("end"))
    warmup = 0 if first is None else warmup
    try:
        if given["aside"] or given["as_of"] is not None:
            if warmup:
                del wanted["start"]  # all that is stored before it is at hand
            frame = _read_past(
                tickers, wanted, what=what, as_of=given["as_of"], aside=given["aside"]
            )
        else:
            if wanted.get("refresh") == "never" and not wanted.get("store"):
                raise click.UsageError(
                    "To read a store alone (--refresh never), name it with --store."
                )
            frame = _read_now(tickers, {**wanted, "warmup": warmup}, what)
    except PanelError as error:
        if error.partial is None or len(error.failures) >= len(tickers.codes):
            raise
        return Rows(error.partial, error.failures)
    return Rows(frame, {})


def _read_now(tickers: Tickers, wanted: dict[str, Any], what: str) -> pd.DataFrame:
    from intake_futu_short.interest_source import FutuShortInterestSource
    from intake_futu_short.source import FutuShortSource

    code: Any = tickers.codes if tickers.is_panel else tickers.codes[0]
    sources = {one.call.name: one for one in (FutuShortSource, FutuShortInterestSource)}
    try:
        with sources[what](code, **wanted) as source:
            return source.read(callback=callback())
    except KeyboardInterrupt as interrupt:
        if not wanted.get("store"):
            raise
        raise Interruption(
            f"What came is kept in {wanted['store']}, and the next read goes on from there."
        ) from interrupt


def _read_past(
    tickers: Tickers, wanted: dict[str, Any], *, what: str, as_of: str | None, aside: bool
) -> pd.DataFrame:
    from intake_futu_short.store import FutuShortStore

    store = wanted.pop("store", None)
    if not store:
        raise click.UsageError("--as-of and --aside read a store: name it with --store.")
    others = sorted(set(wanted) - {"start", "end"})
    if others:
        option = argument(others[0])
        raise click.UsageError(f"{option} is for a gateway, which --as-of and --aside don't ask.")
    place = FutuShortStore(store)
    return place.read(tickers.codes, **wanted, what=what, as_of=as_of, aside=aside)


def callback() -> Any:
    """The callback of a read: None for the usual bar; with --quiet one that shows nothing."""
    if not is_quiet():
        return None
    from fsspec.callbacks import NoOpCallback

    return NoOpCallback()


def read_interest(code: str, given: dict[str, Any], start: str) -> pd.DataFrame:
    """Reports of a ticker's open positions from `start` on, from the same place as its rows.

    Raises
    ------
    FutuShortError
        When there are none.
    """
    names = ("gateway", "store", "refresh", "rsa_key", "timeout", "as_of", "aside")
    wanted = {name: given[name] for name in names}
    asked = {**wanted, "what": SHORT_INTEREST.name, "start": start}
    return read_rows(Tickers([code], is_panel=False), asked).frame
