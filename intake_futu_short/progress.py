"""How far a long read has come: a bar for a person, or a program's own fsspec callback."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol, cast

from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fsspec.callbacks import Callback

__all__ = ["Display", "shown"]

# What is done sooner shows no bar.
SHOWN_AFTER_S = 1.0
# A shorter wait for the limit is over before anybody has read of it.
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


@contextlib.contextmanager
def shown(
    callback: object, tickers: int | None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Display | None]:
    """Give what shows the read that happens within; None when nobody looks.

    Parameters
    ----------
    callback : fsspec.callbacks.Callback or None
        What shows it; None shows a bar on a terminal or in a notebook.
    tickers : int or None
        How many there are, which is what is counted then; None counts pages.
    clock : callable
        Seconds that never go back.

    Raises
    ------
    ConfigError
        When it is no callback.
    """
    display: Display | None = None
    if callback is not None:
        display = _CallbackDisplay(_checked(callback), tickers, clock)
    elif _somebody_looks():
        display = _Bar(tickers, clock)
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
        # The same wait is told again at every tick, and is a little shorter each time.
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
    """A bar of tqdm's on standard error or in a notebook, gone when the read is done."""

    def __init__(self, tickers: int | None, clock: Callable[[], float]) -> None:
        self._tickers = tickers
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
                from tqdm.auto import tqdm  # noqa: PLC0415 - most reads show no bar

                unit = " pages" if self._tickers is None else "ticker"

                class Bar(tqdm):  # type: ignore[misc]  # tqdm has no types
                    monitor_interval = 0  # its thread would outlive the read

                self._bar = Bar(total=self._tickers, unit=unit, desc="short volume", leave=False)
            self._bar.n = done
            self._bar.set_postfix_str(words)

    @contextlib.contextmanager
    def _harmless(self) -> Iterator[None]:
        """A bar that cannot be drawn is left away; the read goes on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever a terminal or a notebook may raise
            self._is_broken = True
            _log.debug("no progress bar: %r", error)


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
    with contextlib.suppress(Exception):
        return "IPKernelApp" in sys.modules["IPython"].get_ipython().config
    return False
