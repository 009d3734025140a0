"""Figures of daily short volume: `plot` is behind ``df.shortvol.plot``, `save` writes files.

`figure_data` computes what to draw, and `drawing` draws it on axes. matplotlib is optional, and is
imported only when a figure is drawn.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd

from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError, UnusablePackageWarning, warn
from intake_futu_short.optional import HVPLOT, MATPLOTLIB
from intake_futu_short.plotting.figure_data import heading_of, tickers_of
from intake_futu_short.plotting.shown import LAST, NoRowsError, shown
from intake_futu_short.plotting.step import WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from intake_futu_short.plotting.figure_data import Ticker

__all__ = [
    "FORMATS",
    "LAST",
    "MOST_PANELS",
    "WINDOW",
    "Kind",
    "NoRowsError",
    "Options",
    "check_installed",
    "interactive",
    "plot",
    "save",
]

Kind = Literal["panels", "heatmap"]

MOST_PANELS = 12
FORMATS = ("png", "pdf", "svg")
_BACKEND = "MPLBACKEND"


@dataclass(frozen=True)
class Options:
    """Options of a figure: which days, which kind, which reports. See ``df.shortvol.plot``."""

    kind: Kind | None = None
    start: Any = None
    end: Any = None
    last: int | Literal["all"] | None = None
    positions: pd.DataFrame | None = field(default=None, compare=False)

    def interval(self) -> tuple[str | None, str | None]:
        """Check all options, and return ``start`` and ``end`` as days."""
        # `arguments` also loads code for URLs, which the accessor does not need.
        from intake_futu_short import arguments  # noqa: PLC0415 - not at import

        if self.kind not in {None, "panels", "heatmap"}:
            raise ConfigError(f"kind must be 'panels' or 'heatmap', not {described(self.kind)}")
        is_number = isinstance(self.last, Integral) and not isinstance(self.last, bool)
        is_word = self.last is None or (isinstance(self.last, str) and self.last == "all")
        if not is_word and not (is_number and cast("int", self.last) >= 1):
            raise ConfigError(
                "last must be 'all' or a whole number of at least 1 (trading days), not "
                f"{described(self.last)}"
            )
        return arguments.interval(self.start, self.end)


def check_installed() -> None:
    """Make sure that figures can be drawn, before any rows are read.

    Raises
    ------
    ImportError
        When matplotlib is not installed; the message says what to do.
    """
    _drawing()


def plot(
    frame: pd.DataFrame,
    options: Options = Options(),
    *,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """Draw a frame with pyplot, or on axes that are given; return the axes drawn on.

    `intake_futu_short.accessor` describes it to users.
    """
    if ax is not None:
        if figsize is not None:
            raise ConfigError(
                "figsize is the size of a new figure; with ax= the figure exists already"
            )
        return _on_axes(frame, options, ax)
    kind, tickers = _for_new_figure(frame, options, figsize)
    drawing = _drawing(shows=True)
    figure = _shown_figure(figsize or _usual_size(kind, tickers))
    return _fill(drawing, figure, kind, tickers)


def _shown_figure(figsize: tuple[float, float]) -> Figure:
    """Make a figure with pyplot and the user's backend, so that a notebook shows it.

    If the backend does not work, without a display for instance, make one that can only be saved.
    """
    try:
        import matplotlib.pyplot as plt  # noqa: PLC0415 - see the module's docstring

        return plt.figure(figsize=figsize, layout="constrained")
    except Exception as error:  # noqa: BLE001 - a backend can be any module
        from matplotlib.figure import Figure  # noqa: PLC0415 - see the module's docstring

        warn(
            f"matplotlib cannot show figures here ({error}). This figure can only be saved, with "
            "its savefig(). To use another backend, set $MPLBACKEND or call matplotlib.use()",
            UnusablePackageWarning,
        )
        return Figure(figsize=figsize, layout="constrained")


def save(
    frame: pd.DataFrame,
    path: str | os.PathLike[str],
    options: Options = Options(),
    *,
    figsize: tuple[float, float] | None = None,
    dpi: float = 150,
) -> Path:
    """Draw a frame into a file. This needs no display and does not use pyplot.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows as ``df.shortvol`` takes them.
    path : str or path
        File to write or replace. Its name ends in ``.png``, ``.pdf`` or ``.svg``.
    options : Options
        Which days and which kind of figure.
    figsize : (float, float), optional
        Width and height in inches.
    dpi : float
        Dots per inch of a PNG.

    Raises
    ------
    ConfigError
        For another kind of file, and as for ``df.shortvol.plot``.
    ImportError
        When matplotlib is not installed.
    OSError
        When the file cannot be written.
    """
    target = Path(path)
    if target.suffix.lower().lstrip(".") not in FORMATS:
        raise ConfigError(f"a figure is saved as {', '.join(FORMATS)} by its name, not {target}")
    kind, tickers = _for_new_figure(frame, options, figsize)
    drawing = _drawing()
    from matplotlib.figure import Figure  # noqa: PLC0415 - see the module's docstring

    figure = Figure(figsize=figsize or _usual_size(kind, tickers), layout="constrained")
    _fill(drawing, figure, kind, tickers)
    figure.savefig(target, dpi=dpi)
    return target


def interactive(frame: pd.DataFrame, options: Options = Options(), **style: Any) -> Any:
    """Draw the short ratio and the pooled ratio as lines that can be zoomed in a notebook.

    `intake_futu_short.accessor` describes it to users.
    """
    _, tickers = _shown(frame, options, lambda _: "panels")
    with HVPLOT:
        import hvplot.pandas  # noqa: F401, PLC0415 - adds DataFrame.hvplot; optional and heavy
    names = {"short_ratio": "Short ratio", "pooled": tickers[0].step.pooled}
    table = pd.concat(
        [t.days[list(names)].rename(columns=names).assign(ticker=t.name) for t in tickers]
    ).rename_axis("date")
    looks = {
        "xlabel": tickers[0].step.several[:-1].capitalize(),
        "ylabel": "Short ratio (fraction of volume)",
        "title": heading_of(tickers),
    }
    by = {"groupby": "ticker"} if len(tickers) > 1 else {}
    # hvplot adds this accessor; pandas' types do not know it.
    return cast("Any", table).hvplot.line(y=list(names.values()), **by, **{**looks, **style})


def _drawing(*, shows: bool = False) -> ModuleType:
    """Import `drawing` and matplotlib. `shows`: the figure is to be shown, not saved."""
    # With an unknown backend in $MPLBACKEND the import would fail, and could not be repeated.
    # A notebook sets $MPLBACKEND to its own backend for every command that is run from it.
    backend = None if "matplotlib" in sys.modules else os.environ.pop(_BACKEND, None)
    try:
        with MATPLOTLIB:
            import matplotlib as mpl  # noqa: PLC0415 - see the module's docstring

            from intake_futu_short.plotting import drawing  # noqa: PLC0415 - see the module's docstring
    finally:
        if backend is not None:
            os.environ[_BACKEND] = backend
    if backend:
        try:
            mpl.rcParams["backend"] = backend
        except ValueError as error:
            if shows:
                warn(f"${_BACKEND} is ignored: {error}", UnusablePackageWarning)
    return drawing


def _shown(
    frame: pd.DataFrame, options: Options, usual: Callable[[int], Kind]
) -> tuple[Kind, list[Ticker]]:
    """Kind of figure (by default the ``usual`` one for that many tickers), and what it shows."""
    start, end = options.interval()
    if start is None:
        # Rows before the start that a source was given are only there for windows to look back on.
        start, end = replace(options, start=frame.attrs.get("start")).interval()
    tickers = tickers_of(frame, options.positions)
    kind = options.kind or usual(len(tickers))
    return kind, shown(tickers, start, end, options.last, together=kind == "heatmap")


def _for_new_figure(
    frame: pd.DataFrame, options: Options, figsize: Any
) -> tuple[Kind, list[Ticker]]:
    """Check everything first, so that pyplot does not keep an empty figure after an error."""
    if figsize is not None:
        _check_size(figsize)
    kind, tickers = _shown(frame, options, lambda n: "heatmap" if n > MOST_PANELS else "panels")
    if kind == "panels" and len(tickers) > MOST_PANELS:
        raise ConfigError(
            f"{len(tickers)} tickers are too many for panels ({MOST_PANELS} at most): choose "
            "fewer, or use kind='heatmap'"
        )
    return kind, tickers


def _check_size(figsize: Any) -> None:
    try:
        width, height = (float(inches) for inches in figsize)
    except (TypeError, ValueError):
        width = height = 0.0
    if not (0 < width < np.inf and 0 < height < np.inf):
        raise ConfigError(
            f"figsize must be (width, height) in inches, above 0, not {described(figsize)}"
        )


def _usual_size(kind: Kind, tickers: Sequence[Ticker]) -> tuple[float, float]:
    if kind == "heatmap":
        return 9.0, min(2.4 + 0.16 * max(len(tickers), 10), 12.0)  # room for the most names
    return (9.0, 7.0) if len(tickers) != 2 else (9.0, 5.0)


def _fill(drawing: ModuleType, figure: Figure, kind: Kind, tickers: Sequence[Ticker]) -> Any:
    """Draw on a new figure."""
    if kind == "heatmap":
        return drawing.figure_of_many(figure, tickers)
    if len(tickers) > 1:
        return drawing.grid_of_tickers(figure, tickers)
    return drawing.figure_of_one(figure, tickers[0])


def _on_axes(frame: pd.DataFrame, options: Options, ax: Any) -> Any:
    """Draw on axes that the user gave."""
    drawing = _drawing()
    from matplotlib.axes import Axes  # noqa: PLC0415 - see the module's docstring

    axes: NDArray[Any] = np.asarray(ax, dtype=object).ravel()
    if not len(axes) or not all(isinstance(each, Axes) for each in axes):
        raise ConfigError(f"ax must be one matplotlib Axes or several, not {described(ax)}")
    if len(axes) == 1:
        kind, tickers = _shown(frame, options, lambda n: "heatmap" if n > 1 else "panels")
        if kind == "heatmap":
            return drawing.heat_map(axes[0], tickers)
        if len(tickers) > 1:
            raise ConfigError(
                f"the frame has {len(tickers)} tickers: panels need one Axes for each, "
                "kind='heatmap' needs one Axes"
            )
        return drawing.ratio_alone(axes[0], tickers[0])
    kind, tickers = _shown(frame, options, lambda _: "panels")
    if kind == "heatmap":
        raise ConfigError(f"a heat map is drawn on one Axes, and ax= holds {len(axes)}")
    if len(tickers) > 1:
        if len(axes) != len(tickers):
            raise ConfigError(
                f"the frame has {len(tickers)} tickers and ax= has {len(axes)} Axes: pass one for "
                "each ticker, or one Axes for a heat map"
            )
        drawing.small_multiples(axes, tickers)
    elif len(axes) in {2, 3}:
        drawing.panels(axes, tickers[0])
    else:
        raise ConfigError(
            f"ax= holds {len(axes)} Axes. One ticker is drawn on 1 (the short ratio), 2 (price, "
            "short ratio) or 3 (with the reported open short position)"
        )
    return axes
