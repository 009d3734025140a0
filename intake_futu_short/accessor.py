"""``df.shortvol``: metrics, checks and figures of a frame of daily short volume.

Importing this module registers the accessor, and loads only numpy and pandas.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, cast

import pandas as pd

from intake_futu_short import accessor_repr, checks, plotting
from intake_futu_short import metrics as functions  # the class has a method of that name
from intake_futu_short.metrics import sessions
from intake_futu_short.metrics.registry import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

__all__ = ["ShortVolumeAccessor"]

P = ParamSpec("P")
R = TypeVar("R")


def _method(
    function: Callable[Concatenate[pd.DataFrame, P], R],
) -> Callable[Concatenate[ShortVolumeAccessor, P], R]:
    """Turn a function of a frame into a method of the accessor, with the same docstring."""

    @wraps(function)
    def method(self: ShortVolumeAccessor, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return function(self._frame, *args, **kwargs)

    return method


@pd.api.extensions.register_dataframe_accessor("shortvol")
class ShortVolumeAccessor:
    """Attributes, checks and metrics of daily short volume, as ``df.shortvol``.

    The frame holds one ticker, or several that a column or index level ``code`` tells apart (a
    panel). Its rows may be in any order, and it is never changed. A metric needs only the columns
    that it names, and one column that shows the market: ``total_shares_short`` (US), or
    ``short_sell_shares_traded`` or ``short_sell_turnover`` (HK). Unless its description says
    otherwise, a metric returns a float64 Series with the frame's index and order, named after the
    metric.

    Ratios are fractions: 0.14 where the gateway's own columns have 14 (percent).

    The trading day comes from the first of these that the frame has: ``timestamp_str``;
    ``timestamp``, in the market's time zone; ``date`` (each a column or an index level); a
    DatetimeIndex of any name. A window of ``n`` days is ``n`` rows of the ticker. Sessions that
    are missing from the frame are not counted.

    The methods are the functions of `intake_futu_short.metrics`. Its function `rows_of` makes a
    frame for them out of plain Series.

    Frames have the accessor after ``import intake_futu_short``, or after a source or store of the
    package was used. It also works on rows that were written as CSV and read with ``pd.read_csv``,
    whatever dtypes that chose: ``code`` is then a column, and days are text.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one market, with the columns of the gateway's documentation or some of them.

    Raises
    ------
    NotShortVolumeError
        When the frame holds no daily short volume, or that of two markets. The error is an
        AttributeError, so ``hasattr(df, "shortvol")`` is then False.
    """

    # pandas 2 keeps an accessor with its frame: values computed here would become stale. pandas 3
    # makes a new one at every access: they would be wasted.
    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame  # first, because a debugger also shows an accessor that was refused
        sessions.market_of(frame)

    def __repr__(self) -> str:
        return accessor_repr.as_text(self._frame)

    def _repr_html_(self) -> str:
        return accessor_repr.as_html(self._frame)

    @property
    def market(self) -> str:
        """``"US"`` or ``"HK"``, according to the columns."""
        return sessions.market_of(self._frame).name

    @property
    def code(self) -> str | None:
        """The ticker, such as ``"HK.00700"``; None for a panel of several, or when unknown."""
        return sessions.code_of(self._frame)

    @property
    def next_key(self) -> str | None:
        """Cursor of the page after the frame's last one; ``"-1"`` if there is none. From attrs."""
        return cast("str | None", self._frame.attrs.get("next_key"))

    @property
    def aggregated_short(self) -> int | None:
        """Reported open short position, in shares. From attrs. The SFC publishes it every week."""
        return cast("int | None", self._frame.attrs.get("aggregated_short"))

    @property
    def aggregated_short_ratio(self) -> float | None:
        """The open short position in percent of the gateway's share base. From attrs."""
        return cast("float | None", self._frame.attrs.get("aggregated_short_ratio"))

    @property
    def new_time_str(self) -> str | None:
        """As-of date of the open short position, ``YYYY-MM-DD``. From attrs."""
        return cast("str | None", self._frame.attrs.get("new_time_str"))

    aggregates = property(_method(functions.aggregates))
    aggregates_history = _method(functions.aggregates_history)

    def by_date(self) -> pd.DataFrame:
        """Copy the rows in ascending order, indexed by trading day.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``date`` (datetime64[ns], without time zone); a panel by ``code`` and
            ``date``. The frame's own index is dropped, and columns named ``code`` and ``date``
            become the index. Rows of the same day keep their order. ``attrs`` are kept.

        Raises
        ------
        NotShortVolumeError
            When no column or index level holds the days.
        ConfigError
            When a row has no day, or a day that cannot be read.

        Examples
        --------
        >>> from intake_futu_short import sample
        >>> df = sample.frame("US.AAPL")  # newest first
        >>> df.shortvol.by_date().loc["2024-09-30":, "volume"].head(2).tolist()
        [54793391, 63285048]
        """
        return sessions.by_date(self._frame)

    # For type checkers: the metrics are added below, when the module is run.
    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., pd.Series[float]]: ...

    dollar_weighted_short_ratio = _method(functions.dollar_weighted_short_ratio)
    rank = _method(functions.rank)
    pivot = _method(functions.pivot)
    latest = _method(functions.latest)
    resample = _method(functions.resample)

    metrics = _method(functions.metrics)
    with_metrics = _method(functions.with_metrics)
    with_positions = _method(functions.with_positions)

    def check(self) -> pd.DataFrame:
        """List the values that contradict one another.

        ``what`` is one of

        ``timestamp``
            The timestamp (``reported``, Unix seconds) lies outside the row's day, which begins at
            ``computed`` in the market's time zone. The day is the one of ``timestamp_str``.
        ``total_shares_short``
            US. It is not ``nasdaq_shares_short`` + ``nyse_shares_short``.
        ``short_percent``
            US. It is not 100 * ``total_shares_short`` / ``volume`` truncated to 3 decimals.
        ``daily_trade_avg_ratio``
            US. It is not the short shares of 20 trading days in percent of their volume, truncated
            to 2 decimals. This is checked only if the frame holds the whole window without a gap:
            each row's ``last_close_price`` is the ``close_price`` of the row before it, at most 5
            calendar days earlier. The meaning of this column for HK is not known, so it is not
            checked there.
        ``last_close_price``
            It is not the ``close_price`` of the row before. This is checked only if that row is at
            most 5 calendar days earlier; after a longer gap, rows are taken to be missing from the
            frame. A finding means that a price is wrong, that the two rows have different
            adjustments, or that a session between them is missing.
        ``short_above_volume``
            More shares were sold short (``reported``) than traded (``computed``).
        ``short_turnover_above_turnover``
            HK. The short turnover (``reported``) is above the turnover (``computed``).
        ``duplicate_day``
            The ticker has more than one row for that day: ``reported`` rows. Checks that compare
            days with one another use the first of these rows in the frame.
        ``missing_day``
            The exchange had a session that day, between the ticker's first and last row, but the
            ticker has no row (``reported`` 0, ``computed`` 1). A halt in trading also shows as
            this.
        ``no_session``
            The ticker has ``reported`` rows for a day on which the exchange did not trade
            (``computed`` 0).
        ``nothing_to_check``
            No value (``reported`` 0) of the ticker's ``computed`` rows could be compared with
            another, because columns are missing or empty. The finding has the day of the newest
            row. If there is no other finding, this does not mean that the rows are right.

        ``missing_day`` and ``no_session`` need the package ``exchange_calendars`` (XNYS
        and XHKG, days from 2000 to 2049); without it they are not checked. A closure at short
        notice, for a typhoon say, counts as a session if it is newer than the installed version
        of that package.

        Prices and percentages are equal if they differ only by floating-point error, even if
        truncation in floating point has lowered the last decimal by one (32.299 for 32.3). Columns
        of float32 are compared within their precision, and a percentage of float32 counts may be
        off by one in its last decimal. Values that are missing are not checked.

        Returns
        -------
        pandas.DataFrame
            One row per finding, sorted by code and day: ``date`` (datetime64[ns]), ``code``
            (missing when unknown), ``what``, ``reported``, ``computed`` and ``difference``
            (reported - computed; float64, in the unit of the column). No rows if everything adds
            up.

        Raises
        ------
        NotShortVolumeError
            When no column or index level holds the days, and for a frame that `resample` made.
        ConfigError
            When a row has no day, or a day that cannot be read.

        Examples
        --------
        >>> import pandas as pd, intake_futu_short
        >>> df = pd.DataFrame({
        ...     "timestamp_str": ["2026-06-18", "2026-06-17"],
        ...     "total_shares_short": [300, 200],
        ...     "volume": [1000, 1000],
        ...     "short_percent": [30.0, 21.0],
        ... })
        >>> df.shortvol.check()[["date", "what", "reported", "computed", "difference"]]
                date           what  reported  computed  difference
        0 2026-06-17  short_percent      21.0      20.0         1.0
        """
        return checks.check(self._frame)

    def plot(
        self,
        *,
        kind: Literal["panels", "heatmap"] | None = None,
        start: Any = None,
        end: Any = None,
        last: int | Literal["all"] | None = None,
        positions: pd.DataFrame | None = None,
        ax: Axes | Sequence[Axes] | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> Any:
        """Draw the short volume; needs matplotlib.

        One ticker is drawn as panels, one above the other, with the same dates:

        1. The close, and the short value as bars on a scale of their own. The short value is the
           turnover sold short (HK), or short shares times close (US). US share counts are raw and
           US prices adjusted, so the US value is too low before a split.
        2. The short ratio of each day, in a light colour, and the pooled ratio of the last 20
           trading days. Behind them is a band: the mean of the 20 trading days *before* each day,
           plus and minus one standard deviation (ddof 1). If there are so many days that a line
           would fill the panel, the daily ratios become small dots; with even more days they are
           left out.
        3. The open short positions that the SFC (HK) or FINRA (US, which is inferred) published,
           each drawn from its publication on, or from the day on which it was known if that is
           another day. They come from ``positions``, or else from ``attrs["aggregates_history"]``.
           This panel is drawn only if there is more than one report; a single report is written
           below the panels.

        Several tickers are drawn as small panels, each with the second of these and all on one
        scale, or as a heat map of the short ratio by date and ticker, in which missing days are
        hatched. Panels share their dates, unless more than half of one panel would be blank: then
        each has its own.

        Windows also use rows before those shown. For a frame that `resample` made, a window is 20
        periods, and the figure says which. The figure also says which columns are missing, and
        where the numbers come from. matplotlib's backend stays as you have set it; the figure is
        neither shown nor closed.

        Parameters
        ----------
        kind : {"panels", "heatmap"}, optional
            By default panels for up to 12 tickers, and a heat map for more.
        start, end : str or date, optional
            First and last trading day to show, both included. ``start`` is by default
            ``attrs["start"]``, which a source sets if it was given ``start`` and ``warmup``.
        last : int or "all", optional
            How many of the newest trading days from ``start`` to ``end`` to show. If panels have
            their own dates, this counts the days of each ticker. By default 250, or all if there
            is a ``start``.
        positions : pandas.DataFrame, optional
            Reported open positions, as for `days_to_cover`, such as
            ``intake.open_futu_short_interest(code).read()``. By default those of ``attrs``, which
            HK rows have.
        ax : matplotlib.axes.Axes or sequence of them, optional
            Where to draw, instead of on a new figure. On one Axes: the short ratio of one ticker,
            or the heat map of several. On a sequence: the panels of one ticker in the order above
            (2 or 3 Axes), or one Axes per ticker.
        figsize : (float, float), optional
            Width and height of a new figure in inches.

        Returns
        -------
        numpy.ndarray of Axes, or Axes
            The Axes drawn on: the panels from top to bottom; or one Axes for a heat map, or if
            ``ax`` is one. The scale of the short value is a twin of the first panel.

        Raises
        ------
        ConfigError
            For an option or a number of axes that cannot work; when there are no rows from
            ``start`` to ``end``; when a ticker has a day twice, or a row has no day; when
            ``positions`` are not reports, or are reports of another ticker.
        NotShortVolumeError
            When no column or index level holds the days.
        ImportError
            When matplotlib is not installed.

        Examples
        --------
        >>> import pandas as pd, intake_futu_short
        >>> df = pd.DataFrame({
        ...     "timestamp_str": ["2026-06-18", "2026-06-17"],
        ...     "total_shares_short": [300, 200],
        ...     "volume": [1000, 1000],
        ...     "close_price": [140.0, 139.5],
        ... })
        >>> price, ratio = df.shortvol.plot()
        >>> print(ratio.get_ylabel())
        Short ratio
        (% of volume)
        >>> [float(fraction) for fraction in ratio.lines[0].get_ydata()]
        [0.2, 0.3]
        """
        options = plotting.Options(kind, start, end, last, positions)
        return plotting.plot(self._frame, options, ax=ax, figsize=figsize)

    def hvplot(
        self,
        *,
        start: Any = None,
        end: Any = None,
        last: int | Literal["all"] | None = None,
        **style: Any,
    ) -> Any:
        """Draw the short ratio and its 20-day pooled ratio with hvplot, for notebooks.

        Both are fractions, as `short_ratio` and `pooled_short_ratio` give them. If there are
        several tickers, a widget chooses which one is shown. hvplot is not a dependency of this
        package; install it with ``pip install hvplot``.

        Parameters
        ----------
        start, end, last
            Which days to show, as for `plot`.
        **style
            Options of ``DataFrame.hvplot.line``, such as ``width``.

        Returns
        -------
        holoviews object

        Raises
        ------
        ConfigError, NotShortVolumeError
            As `plot` does.
        ImportError
            When hvplot is not installed.

        Examples
        --------
        >>> df.shortvol.hvplot(last=250, width=800)  # doctest: +SKIP
        """
        return plotting.interactive(self._frame, plotting.Options(None, start, end, last), **style)


for _metric in METRICS.values():
    setattr(ShortVolumeAccessor, _metric.name, _method(_metric.function))
