"""How far a long read has come, for whoever looks: a bar, or a program's own fsspec callback.

What reads counts here, from any thread; what shows does so in the thread of who called.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from intake_futu_short.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fsspec.callbacks import Callback

__all__ = ["Progress"]

# What is done sooner shows no bar.
SHOWN_AFTER_S = 1.0


class Progress:
    """Counts of one read after another, and their display.

    Parameters
    ----------
    clock : callable
        Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._display: _Display | None = None
        self._pages = self._rows = 0
        self._wait: _Wait | None = None

    def after_fork(self) -> None:
        """Show nothing of what the parent reads, some thread of which may have held the lock."""
        self._lock = threading.Lock()
        self._display = None

    def page(self, rows: int) -> None:
        """Count an answer."""
        with self._lock:
            self._pages += 1
            self._rows += rows

    def waiting(self, seconds: float) -> None:
        """Note that requests wait for the gateway's limit."""
        with self._lock:
            self._wait = _Wait(seconds, self._clock() + seconds, _in(seconds))

    @contextlib.contextmanager
    def shown(self, callback: object, tickers: int | None) -> Iterator[None]:
        """Show the read that happens within.

        Parameters
        ----------
        callback : fsspec.callbacks.Callback or None
            What shows it; None shows a bar when a person looks.
        tickers : int or None
            How many there are, which is what is counted then; None counts pages.

        Raises
        ------
        ConfigError
            When it is no callback.
        """
        display: _Display | None = None
        if callback is not None:
            display = _Told(_checked(callback), tickers)
        elif _somebody_looks():
            display = _Bar(tickers, self._clock)
        with self._lock:
            self._pages = self._rows = 0
            self._wait = None
        self._display = display
        try:
            yield
        finally:
            self._display = None
            if display is not None:
                display.close()

    def show(self, tickers_done: int) -> None:
        """Bring the display up to date; to be called in the thread of who reads."""
        if self._display is None:
            return
        with self._lock:
            pages, rows, wait = self._pages, self._rows, self._wait
        if wait is not None and wait.ends <= self._clock():
            wait = None
        self._display.show(tickers_done, pages, rows, wait)


@dataclass(frozen=True)
class _Wait:
    """A wait for the gateway's limit: seconds, when it ends by the clock, and by the wall's."""

    seconds: float
    ends: float
    until: str


def _in(seconds: float) -> str:
    then = dt.datetime.now().astimezone() + dt.timedelta(seconds=seconds)
    return f"{then:%H:%M:%S}"


class _Display:
    """Shows the counts in one way or another."""

    def show(self, tickers: int, pages: int, rows: int, wait: _Wait | None) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Put it away."""


class _Told(_Display):
    """A callback of fsspec's kind."""

    def __init__(self, callback: Callback, tickers: int | None) -> None:
        self._callback = callback
        self._counts_pages = tickers is None
        self._said: int | None = None
        self._wait: _Wait | None = None
        if tickers is not None:
            callback.set_size(tickers)

    def show(self, tickers: int, pages: int, rows: int, wait: _Wait | None) -> None:
        value = pages if self._counts_pages else tickers
        if value != self._said:
            self._said = value
            self._callback.absolute_update(value)
        if wait is not None and wait is not self._wait:
            self._wait = wait
            self._callback.call(hook_name="waiting", seconds=wait.seconds, until=wait.until)


class _Bar(_Display):
    """A bar of tqdm's on standard error or in a notebook, gone when the read is done."""

    def __init__(self, tickers: int | None, clock: Callable[[], float]) -> None:
        self._tickers = tickers
        self._clock = clock
        self._began = clock()
        self._bar: Any = None

    def show(self, tickers: int, pages: int, rows: int, wait: _Wait | None) -> None:
        if self._bar is None:
            if wait is None and self._clock() - self._began < SHOWN_AFTER_S:
                return
            self._bar = self._make()
        bar = self._bar
        words = f"{rows} rows" if self._tickers is None else f"{pages} pages, {rows} rows"
        if wait is not None:
            words += f", waiting for the limit until {wait.until}"
        bar.n = pages if self._tickers is None else tickers
        bar.set_postfix_str(words)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _make(self) -> Any:
        from tqdm.auto import tqdm  # noqa: PLC0415 - most reads show no bar

        unit = " pages" if self._tickers is None else "ticker"
        bar = tqdm(total=self._tickers, unit=unit, desc="short volume", leave=False)
        bar.start_t -= self._clock() - self._began
        return bar


def _checked(callback: Any) -> Callback:
    if not all(hasattr(callback, name) for name in ("set_size", "absolute_update", "call")):
        raise ConfigError(
            f"callback must be one of fsspec.callbacks (such as TqdmCallback()), not {callback!r}"
        )
    return cast("Callback", callback)


def _somebody_looks() -> bool:
    """Whether standard error is a terminal, or this is a notebook."""
    if sys.stderr is not None and sys.stderr.isatty():
        return True
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "IPKernelApp" in getattr(shell, "config", {})
