"""How far a read has come: on a real terminal, in a program's own callback, or not at all."""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.callbacks import Callback, TqdmCallback
from second_gateway import SecondGateway
from second_rows import History, make_rows

from intake_futu_short import progress
from intake_futu_short.errors import ConfigError
from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.interest_source import FutuShortInterestSource
from intake_futu_short.rank_source import FutuShortRankSource
from intake_futu_short.security import Security
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable

READ = """
import ast, sys
from intake_futu_short.source import FutuShortSource

with FutuShortSource(ast.literal_eval(sys.argv[2]), gateway=sys.argv[1], num=10) as source:
    print(len(source.read()))
"""


def arguments(gateway: Gateway, code: object) -> list[str]:
    return [sys.executable, "-W", "error", "-c", READ, f"{gateway.url}?limit=2/1.2", repr(code)]


def seen_on_a_terminal(gateway: Gateway, code: object, **environment: str) -> str:
    """What somebody sees on a terminal while another process reads."""
    import fcntl  # noqa: PLC0415 - POSIX only
    import pty  # noqa: PLC0415 - likewise
    import termios  # noqa: PLC0415 - likewise

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, 120, 0, 0))
    process = subprocess.Popen(
        arguments(gateway, code), stdout=subprocess.PIPE, stderr=slave,
        env={**os.environ, **environment},
    )  # fmt: skip
    os.close(slave)
    seen = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:  # Linux says so when the last writer has gone
            break
        if not piece:
            break
        seen += piece
    os.close(master)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, seen.decode()
    assert int(out) > 0
    return seen.decode()


posix = pytest.mark.skipif(os.name != "posix", reason="there are no pseudo-terminals")
LIMIT = (2, 1.2)


@posix
def test_a_long_read_shows_pages_rows_and_what_it_waits_for() -> None:
    with Gateway(sample_histories(), limit=LIMIT) as gateway:
        seen = seen_on_a_terminal(gateway, "US.AAPL")
    assert re.search(r"2 pages.*20 rows, waiting for the limit until \d\d:\d\d:\d\d", seen)
    # It is wiped out at the end.
    assert re.fullmatch(r".*\r *\r", seen, re.DOTALL)


@posix
def test_a_panel_shows_tickers_of_how_many() -> None:
    aapl = sample_histories()["US.AAPL"]
    served = {c: replace(aapl, security=Security.parse(c)) for c in ("US.A", "US.B")}
    with Gateway(served, limit=LIMIT) as gateway:
        seen = seen_on_a_terminal(gateway, ["US.A", "US.B"])
    assert re.search(r"\d/2 .*ticker.* pages, \d+ rows", seen)


class Terminal(io.StringIO):
    """A terminal of unknown width."""

    def isatty(self) -> bool:
        return True


def test_a_bar_appears_with_the_first_wait_and_goes_with_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.delenv("COLUMNS", raising=False)  # a width, which cuts the line
    with progress.shown(None, tickers=3, clock=lambda: 0.0) as display:
        assert display is not None
        display.show(1, 1, 50, 0.0)
        assert terminal.getvalue() == ""
        display.show(1, 1, 50, 600.0)
        assert re.search(
            r"1/3 .*ticker.*, 1 pages, 50 rows, waiting for the limit until \d\d:",
            terminal.getvalue(),
        )
    assert terminal.getvalue().endswith("\r")


def test_a_bar_appears_after_a_second_and_a_wait_that_is_over_is_not_spoken_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal, now = Terminal(), [0.0]
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.shown(None, tickers=None, clock=lambda: now[0]) as display:
        assert display is not None
        display.show(0, 1, 50, 0.05)
        now[0] = 0.9
        display.show(0, 1, 50, 0.0)
        assert terminal.getvalue() == ""
        now[0] = 1.0
        display.show(0, 1, 50, 0.0)
        assert re.search(r"1 pages \[.*, 50 rows\]", terminal.getvalue())
        now[0] = 2.0
        display.show(0, 1, 50, 0.5)
        assert "waiting" in terminal.getvalue()
        now[0] = 2.5
        display.show(0, 2, 99, 0.0)
        assert re.search(r"2 pages \[.*, 99 rows\] *$", terminal.getvalue())


@pytest.mark.parametrize(
    ("source", "title"),
    [
        (lambda url: FutuShortSource("US.AAPL", gateway=url), "daily short volume"),
        (lambda url: FutuShortInterestSource("HK.00700", gateway=url), "short interest"),
        (lambda url: FutuShortRankSource("US", gateway=url), "short-selling rank"),
    ],
)
def test_a_bar_says_what_is_read(
    source: Callable[[str], Any], title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "SHOWN_AFTER_S", 0.0)
    source("sample://").read()
    assert terminal.getvalue().lstrip("\r").startswith(f"{title}: ")


def test_a_short_read_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "SHOWN_AFTER_S", 600.0)  # a slow machine needs more than one
    assert len(FutuShortSource("HK.00700", gateway="sample://").read()) > 0
    assert terminal.getvalue() == ""


def test_a_bar_that_cannot_be_drawn_is_left_away(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(Terminal):
        def write(self, _: str) -> int:
            raise ValueError("I/O operation on closed file")

    monkeypatch.setattr(sys, "stderr", Closed())
    with progress.shown(None, tickers=None) as display:
        assert display is not None
        display.show(0, 1, 50, 600.0)
        display.show(0, 2, 100, 0.0)


@posix
@pytest.mark.parametrize(
    "setting",
    ["TQDM_DISABLE=1", "TQDM_MININTERVAL=often", "TQDM_NCOLS=x", "TQDM_BAR_FORMAT={nonsense}"],
)
def test_a_bar_that_the_environment_forbids_is_left_away(setting: str) -> None:
    name, _, value = setting.partition("=")
    with Gateway(sample_histories(), limit=LIMIT) as gateway:
        assert "pages" not in seen_on_a_terminal(gateway, "US.AAPL", **{name: value})


class Odd:
    """Stands where a file does, or IPython, and raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class Unlike:
    isatty = get_ipython = True


def raising() -> Any:
    raise RuntimeError("there is no shell")


@pytest.mark.parametrize("stream", [None, Odd(), Unlike(), io.BytesIO()], ids=range(4))
@pytest.mark.parametrize(
    "ipython",
    [
        None,
        Odd(),
        Unlike(),
        SimpleNamespace(get_ipython=raising),
        SimpleNamespace(get_ipython=lambda: None),
        SimpleNamespace(get_ipython=lambda: SimpleNamespace(config=5)),
    ],
    ids=range(6),
)
def test_nobody_looks_at_what_is_odd(
    stream: Any, ipython: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    with progress.shown(None, tickers=None) as display:
        assert display is None


def test_nothing_is_shown_where_nobody_looks() -> None:
    with Gateway(sample_histories(), limit=LIMIT) as gateway:
        result = subprocess.run(
            arguments(gateway, "US.AAPL"), capture_output=True, text=True, check=True, timeout=60
        )
    assert (result.stdout, result.stderr) == ("29\n", "")


def test_a_notebook_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for application, looks in (("IPKernelApp", True), ("TerminalIPythonApp", False)):
        shell = SimpleNamespace(config={application: {}})
        ipython = SimpleNamespace(get_ipython=lambda shell=shell: shell)
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        assert progress._somebody_looks() is looks
    monkeypatch.setattr(sys, "stderr", None)  # as pythonw has it
    monkeypatch.delitem(sys.modules, "IPython")
    assert progress._somebody_looks() is False


class Heard(Callback):  # type: ignore[misc]  # fsspec has no types
    """Keeps what it is told, and in which threads."""

    def __init__(self) -> None:
        self.waits: list[dict[str, Any]] = []
        self.values: list[tuple[int | None, int]] = []
        self.threads: set[threading.Thread] = set()
        super().__init__(hooks={"note": self.note, "waiting": self.wait})

    def note(self, size: int | None, value: int, **_: Any) -> None:
        self.values.append((size, value))
        self.threads.add(threading.current_thread())

    def wait(self, size: int | None, value: int, **details: Any) -> None:
        self.waits.append(details)

    def call(self, hook_name: str | None = None, **kwargs: Any) -> None:
        # fsspec calls every hook when none is named.
        super().call(hook_name or "note", **kwargs)


def histories(number: int) -> dict[str, History]:
    return {f"US.T{i}": History("US", make_rows("US", 7)) for i in range(number)}


@pytest.mark.parametrize("method", ["read", "discover", "to_dask"])
def test_a_callback_is_told_the_pages_of_one_ticker(method: str) -> None:
    heard = Heard()
    with (
        SecondGateway(histories(1)) as gateway,
        FutuShortSource("US.T0", gateway=gateway.url, num=2) as src,
    ):
        getattr(src, method)(callback=heard)
    assert heard.values[-1] == (None, 4)
    assert heard.values == sorted(set(heard.values))
    assert heard.threads == {threading.current_thread()}
    assert heard.waits == []


def test_a_callback_is_told_the_tickers_of_a_panel_and_of_waits() -> None:
    heard, again = Heard(), Heard()
    with SecondGateway(histories(5)) as gateway:
        codes = list(histories(5))
        with FutuShortSource(codes, gateway=f"{gateway.url}?limit=4/0.4") as src:
            src.read(callback=heard)
            src.read(callback=again)
    assert heard.values[-1] == (5, 5)
    assert heard.waits
    assert 0 < heard.waits[0]["seconds"] <= 0.4 + 1e-6  # what two clocks differ by
    assert re.fullmatch(r"\d\d:\d\d:\d\d", heard.waits[0]["until"])
    assert again.values[-1] == (5, 5)  # all there already


def test_fsspecs_own_callbacks_do() -> None:
    shown = io.StringIO()
    with (
        SecondGateway(histories(5)) as gateway,
        FutuShortSource(list(histories(5)), gateway=gateway.url) as src,
        TqdmCallback(tqdm_kwargs={"file": shown}) as callback,
    ):
        assert len(src.read(callback=callback)) == 35
    assert "5/5" in shown.getvalue()


def test_what_is_no_callback_is_refused_before_anything_is_asked() -> None:
    with SecondGateway(histories(1)) as gateway:
        with (
            FutuShortSource("US.T0", gateway=gateway.url) as src,
            pytest.raises(ConfigError, match=r"callback must be one of fsspec\.callbacks"),
        ):
            src.read(callback=print)
        assert gateway.connections == 0


def test_an_error_of_a_callback_ends_the_read_and_the_next_one_goes_on(
    nothing_left_behind: None,
) -> None:
    class BrokenError(Exception):
        pass

    class Broken(Callback):  # type: ignore[misc]  # fsspec has no types
        def absolute_update(self, value: int) -> None:
            if value >= 2:  # several may end at once
                raise BrokenError

    with (
        SecondGateway(histories(5)) as gateway,
        FutuShortSource(list(histories(5)), gateway=gateway.url) as src,
    ):
        with pytest.raises(BrokenError):
            src.read(callback=Broken())
        assert len(src.read()) == 35
