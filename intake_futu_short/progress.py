"""Shows the progress of a long read, with a bar or with the caller's fsspec callback."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol, cast

from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fsspec.callbacks import Callback

__all__ = ["Display", "Tally", "shown"]

# A read that is done sooner shows no bar.
SHOWN_AFTER_S = 1.0
# A shorter wait for the limit is not worth showing.
WAIT_SHOWN_FROM_S = 0.1

_log = logging.getLogger(__name__)


class Display(Protocol):
    """Shows the counts of one read, in the thread that reads."""

    def show(self, tickers: int, pages: int, rows: int, wait_s: float) -> None:
        """Bring it up to date.

        Parameters
        ----------
        tickers : int
            How many are done.
        pages, rows : int
            How many came.
        wait_s : float
            Seconds for which the gateway's limit lets nothing out.
        """

    def close(self) -> None:
        """Put it away."""


class Tally:
    """Counts the tickers that are done, beside the usual bar; a ``callback=`` of our commands.

    Parameters
    ----------
    shows_bar : bool
        Whether there is a bar where somebody looks.
    """

    def __init__(self, *, shows_bar: bool = True) -> None:
        self.shows_bar = shows_bar
        self.done = 0


@contextlib.contextmanager
def shown(
    callback: object,
    tickers: int | None,
    title: str = "short volume",
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Display | None]:
    """Yield the display for a read within the context; None if there is nothing to show it on.

    Parameters
    ----------
    callback : fsspec.callbacks.Callback, Tally or None
        Callback to use; None shows a bar on a terminal or in a notebook.
    tickers : int or None
        Number of tickers, if tickers are counted; None counts pages.
    title : str
        What is read, for the bar.
    clock : callable
        Seconds that never go back.

    Raises
    ------
    ConfigError
        When `callback` is not a callback.
    """
    display: Display | None = None
    if isinstance(callback, Tally):
        has_bar = callback.shows_bar and _somebody_looks()
        display = _Tallied(callback, _Bar(tickers, title, clock) if has_bar else None)
    elif callback is not None:
        display = _CallbackDisplay(_checked(callback), tickers, clock)
    elif _somebody_looks():
        display = _Bar(tickers, title, clock)
    try:
        yield display
    finally:
        if display is not None:
            display.close()


class _Wait:
    """The wait for the limit that is being shown: its end, by the clock and in words."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ends = 0.0
        self.until = ""

    def begins(self, wait_s: float) -> bool:
        """Note how long there is to wait; whether that is a wait not noted before."""
        now = self._clock()
        if wait_s < WAIT_SHOWN_FROM_S:
            if wait_s <= 0:
                self.until = ""
            return False
        # The same wait is reported at every tick, each time a little shorter.
        if self.until and abs(now + wait_s - self._ends) < WAIT_SHOWN_FROM_S:
            return False
        self._ends = now + wait_s
        then = dt.datetime.now().astimezone() + dt.timedelta(seconds=wait_s)
        self.until = f"{then:%H:%M:%S}"
        return True


class _CallbackDisplay:
    """A callback of fsspec's kind."""

    def __init__(self, callback: Callback, tickers: int | None, clock: Callable[[], float]) -> None:
        self._callback = callback
        self._counts_pages = tickers is None
        self._said: int | None = None
        self._wait = _Wait(clock)
        if tickers is not None:
            callback.set_size(tickers)

    def show(self, tickers: int, pages: int, rows: int, wait_s: float) -> None:
        value = pages if self._counts_pages else tickers
        if value != self._said:
            self._said = value
            self._callback.absolute_update(value)
        if self._wait.begins(wait_s):
            self._callback.call(hook_name="waiting", seconds=wait_s, until=self._wait.until)

    def close(self) -> None:
        pass


class _Bar:
    """A bar of tqdm's on a terminal or in a notebook, gone when the read is done."""

    def __init__(self, tickers: int | None, title: str, clock: Callable[[], float]) -> None:
        self._tickers = tickers
        self._title = title
        self._clock = clock
        self._began = clock()
        self._wait = _Wait(clock)
        self._shown = (-1, "")
        self._bar: Any = None
        self._is_broken = False

    def show(self, tickers: int, pages: int, rows: int, wait_s: float) -> None:
        self._wait.begins(wait_s)
        is_early = not self._wait.until and self._clock() - self._began < SHOWN_AFTER_S
        if self._is_broken or (self._bar is None and is_early):
            return
        words = f"{rows} rows" if self._tickers is None else f"{pages} pages, {rows} rows"
        if self._wait.until:
            words += f", waiting for the limit until {self._wait.until}"
        done = pages if self._tickers is None else tickers
        if (done, words) != self._shown:
            self._shown = done, words
            self._draw(done, words)

    def close(self) -> None:
        if self._bar is not None:
            with self._harmless():
                self._bar.close()

    def _draw(self, done: int, words: str) -> None:
        with self._harmless():
            if self._bar is None:
                tqdm, where = _tqdm()
                unit = " pages" if self._tickers is None else "ticker"

                class Bar(tqdm):  # type: ignore[misc,valid-type]  # tqdm has no types
                    monitor_interval = 0  # its thread would outlive the read

                self._bar = Bar(
                    total=self._tickers, unit=unit, desc=self._title, leave=False, file=where
                )
            self._bar.n = done
            self._bar.set_postfix_str(words)

    @contextlib.contextmanager
    def _harmless(self) -> Iterator[None]:
        """Go on reading without a bar if the bar cannot be drawn."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever a terminal or a notebook may raise
            self._is_broken = True
            _log.debug("no progress bar: %r", error)


class _Tallied:
    """A tally, and the bar beside it."""

    def __init__(self, tally: Tally, bar: _Bar | None) -> None:
        self._tally = tally
        self._bar = bar

    def show(self, tickers: int, pages: int, rows: int, wait_s: float) -> None:
        self._tally.done = tickers
        if self._bar is not None:
            self._bar.show(tickers, pages, rows, wait_s)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class _Cell(io.TextIOBase):
    """A line below a notebook's cell, in the place of the line before.

    Standard error would be red there, as if something had failed, and a saved notebook keeps every
    line of a stream.
    """

    encoding = "utf-8"

    def __init__(self) -> None:
        import IPython.display as cell  # noqa: PLC0415 - loaded in a notebook only

        self._handle: Any = cell.display({"text/plain": ""}, raw=True, display_id=True)
        self._shown = ""

    def write(self, text: str) -> int:
        line = text.strip()
        if line != self._shown:
            self._shown = line
            self._handle.update({"text/plain": line}, raw=True)
        return len(text)


def _checked(callback: Any) -> Callback:
    if not all(hasattr(callback, name) for name in ("set_size", "absolute_update", "call")):
        raise ConfigError(
            "callback must be one of fsspec.callbacks (such as TqdmCallback()), "
            f"not {described(callback)}"
        )
    return cast("Callback", callback)


def _somebody_looks() -> bool:
    """Whether standard error is a terminal, or this is a notebook."""
    # Programs put None, closed files and odd objects in the place of both.
    with contextlib.suppress(Exception):
        if sys.stderr.isatty():
            return True
    return _is_notebook()


def _is_notebook() -> bool:
    with contextlib.suppress(Exception):
        return "IPKernelApp" in sys.modules["IPython"].get_ipython().config
    return False


def _tqdm() -> tuple[Any, _Cell | None]:
    """Class of bar, and where it is drawn: None is standard error, or a notebook's widget."""
    import tqdm.std  # noqa: PLC0415 - most reads show no bar

    if not _is_notebook():
        return tqdm.std.tqdm, None
    import tqdm.notebook  # noqa: PLC0415 - only there

    # It is None without ipywidgets, and then tqdm.auto warns, in red.
    if tqdm.notebook.IProgress is None:
        return tqdm.std.tqdm, _Cell()
    import tqdm.auto  # noqa: PLC0415 - only there

    return tqdm.auto.tqdm, None
