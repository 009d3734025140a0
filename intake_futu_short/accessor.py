"""``df.shortvol``: what a frame of daily short volume tells, beyond its columns.

Importing this module registers the accessor, and loads nothing but numpy and pandas.
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
    """Make a function of a frame a method of the frame's accessor, with its description."""

    @wraps(function)
    def method(self: ShortVolumeAccessor, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return function(self._frame, *args, **kwargs)

    return method


@pd.api.extensions.register_dataframe_accessor("shortvol")
class ShortVolumeAccessor:
    """Attributes, checks and metrics of daily short volume, as ``df.shortvol``.

    Works on the frame of one ticker, or of several that a column or index level ``code`` tells
    apart (a panel), with the rows in any order. The frame is never changed. A metric needs only
    the columns that it names, and one of those that tell the market: ``total_shares_short`` (US),
    ``short_sell_shares_traded`` or ``short_sell_turnover`` (HK). It answers a float64 Series in
    the frame's own index and order, named after the metric, unless it says otherwise.

    Ratios are fractions: 0.14 where the gateway's own columns say 14 (percent).

    The trading day is ``timestamp_str``, where that is missing ``timestamp`` in the market's time
    zone, and where both are missing ``date`` (each a column or an index level), at last a
    DatetimeIndex of any name. A window of ``n`` days is ``n`` rows of the ticker; a session that
    the frame lacks is not counted.

    The methods are the functions of `intake_futu_short.metrics`, which takes plain Series too.

    It needs ``import intake_futu_short`` once, or that a source or store of it was used. Also what
    ``pd.read_csv`` makes of rows written as CSV has it, whatever dtypes it found: ``code`` is a
    column then, and days are text.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one market, with the columns of the gateway's documentation or some of them.

    Raises
    ------
    NotShortVolumeError
        When the frame holds no daily short volume, or that of two markets. It is an
        AttributeError, so ``hasattr(df, "shortvol")`` is False there.
    """

    # pandas 2 keeps an accessor with its frame and pandas 3 makes one at every access: what is
    # worked out here would be stale in the one and be wasted in the other.
    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame  # first: a debugger shows also what was refused
        sessions.market_of(frame)

    def __repr__(self) -> str:
        return accessor_repr.as_text(self._frame)

    def _repr_html_(self) -> str:
        return accessor_repr.as_html(self._frame)

    @property
    def market(self) -> str:
        """``"US"`` or ``"HK"``, told by the columns."""
        return sessions.market_of(self._frame).name

    @property
    def code(self) -> str | None:
        """The ticker, such as ``"HK.00700"``; None for a panel of several and when unknown."""
        return sessions.code_of(self._frame)

    @property
    def next_key(self) -> str | None:
        """Cursor of the page after the frame's last, ``"-1"`` when there is none; from attrs."""
        return cast("str | None", self._frame.attrs.get("next_key"))

    @property
    def aggregated_short(self) -> int | None:
        """Reported open short position, in shares; from attrs. The SFC publishes it, weekly."""
        return cast("int | None", self._frame.attrs.get("aggregated_short"))

    @property
    def aggregated_short_ratio(self) -> float | None:
        """The open short position in percent of the gateway's share base; from attrs."""
        return cast("float | None", self._frame.attrs.get("aggregated_short_ratio"))

    @property
    def new_time_str(self) -> str | None:
        """As-of date of the open short position, ``YYYY-MM-DD``; from attrs."""
        return cast("str | None", self._frame.attrs.get("new_time_str"))

    aggregates = property(_method(functions.aggregates))
    aggregates_history = _method(functions.aggregates_history)

    def by_date(self) -> pd.DataFrame:
        """Copy the rows in ascending order, indexed by trading day.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``date`` (datetime64[ns], without time zone), a panel by ``code`` and
            ``date``. The frame's own index is not kept; columns named ``code`` and ``date`` become
            the index. Rows of the same day keep their order. ``attrs`` are kept.

        Raises
        ------
        NotShortVolumeError
            When no column or index level says the days.
        ConfigError
            When a row has no day, or one that cannot be read.

        Examples
        --------
        >>> from intake_futu_short import sample
        >>> df = sample.frame("US.AAPL")  # newest first
        >>> df.shortvol.by_date().loc["2024-09-30":, "volume"].head(2).tolist()
        [54793391, 63285048]
        """
        return sessions.by_date(self._frame)

    # What is known of the metrics, which are added below, without running the code.
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
        """List what does not add up.

        ``what`` is one of

        ``timestamp``
            It (``reported``, Unix seconds) is not a moment of the row's day in the market's time
            zone, which begins at ``computed``. ``timestamp_str`` counts as the day.
        ``total_shares_short``
            US. It is not ``nasdaq_shares_short`` + ``nyse_shares_short``.
        ``short_percent``
            US. It is not 100 * ``total_shares_short`` / ``volume`` truncated to 3 decimals.
        ``daily_trade_avg_ratio``
            US. It is not the percentage of the 20 trading days' short shares in their volume
            truncated to 2 decimals. Looked at where the frame holds the whole window unbroken:
            each row's ``last_close_price`` is the ``close_price`` of the row before it, at most 5
            calendar days earlier. What this column means for HK is not known, so it is not checked
            there.
        ``last_close_price``
            It is not the ``close_price`` of the row before. Looked at where that row is at most 5
            calendar days earlier; after a longer gap the rows between are taken to be missing from
            the frame. A finding means that a price is wrong, that the two rows are of different
            adjustments, or that a session between them is missing.
        ``short_above_volume``
            More shares sold short (``reported``) than traded (``computed``).
        ``short_turnover_above_turnover``
            HK. More turnover sold short (``reported``) than traded (``computed``).
        ``duplicate_day``
            The ticker has ``reported`` rows of that day and not 1. Where days are compared with
            days, the first of them in the frame stands for all.
        ``missing_day``
            A session of the exchange between the ticker's first and last row of which it has no
            row (``reported`` 0, ``computed`` 1). A ticker whose trading was halted has none.
        ``no_session``
            ``reported`` rows of a day on which the exchange did not trade (``computed`` 0).
        ``nothing_to_check``
            Of the ticker's ``computed`` rows no value (``reported`` 0) could be compared with
            another: the columns are missing or empty. On the day of its newest row. That
            nothing else is found says nothing of these rows.

        ``missing_day`` and ``no_session`` need the package ``exchange_calendars`` (XNYS
        and XHKG, days from 2000 to 2049) and are not looked for without it.
        Closures at short notice, such as a typhoon, count as sessions when they are younger than
        its installed version.

        Prices and percentages that differ in floating point only are equal, also where truncation
        in floating point has taken one from the last decimal (32.299 for 32.3). Columns of float32
        are compared within their precision; of counts in float32 the last decimal of a percentage
        may be another one. What a row or the frame lacks is not checked.

        Returns
        -------
        pandas.DataFrame
            A row a finding, by code and day: ``date`` (datetime64[ns]), ``code`` (missing when
            unknown), ``what``, ``reported``, ``computed`` and ``difference`` (reported - computed;
            float64, in the unit of the column). Without rows when all adds up.

        Raises
        ------
        NotShortVolumeError
            When no column or index level says the days, and on what `resample` gave.
        ConfigError
            When a row has no day, or one that cannot be read.

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

        One ticker is drawn as panels above each other that share the dates:

        1. The close and, as bars on a scale of their own, the short value: the turnover sold short
           (HK), short shares times close (US, where share counts are raw and prices adjusted, so
           that it is too low before a split).
        2. The short ratio of each day, light, and the pooled ratio of the last 20 trading days, on
           the range from one standard deviation (ddof 1) below to one above the mean of the 20
           trading days *before*. So many days that a line would fill the panel are small dots, and
           more than these are left out.
        3. Only where there is more than one: the open short positions that the SFC (HK) or FINRA
           (US, which is inferred) published, each from its publication on, or from when it was
           known if that is another day. They are ``positions``, else those of
           ``attrs["aggregates_history"]``. A single one is written below the panels.

        Several tickers are drawn as the second panel of each, all on one scale, or as a heat map
        of the short ratio by date and ticker, whose missing days are hatched. Panels share their
        dates, unless more than half of one would be blank: then each has its own.

        Windows look back at rows that are not shown; of what `resample` gave they are 20 periods,
        and the figure says which. What the frame lacks is said in the figure, and where the
        numbers come from.
        The backend is the user's: nothing is switched, shown or closed.

        Parameters
        ----------
        kind : {"panels", "heatmap"}, optional
            By default panels of up to 12 tickers, else a heat map.
        start, end : str or date, optional
            Trading days, both included. ``start`` is by default ``attrs["start"]``, which a
            source sets that was given ``start`` and ``warmup``.
        last : int or "all", optional
            The newest trading days of the frame, of those from ``start`` to ``end``; panels that
            have dates of their own show the newest of each ticker. By default 250, and all where
            there is a ``start``.
        positions : pandas.DataFrame, optional
            Reported open positions, as of `days_to_cover`, such as
            ``intake.open_futu_short_interest(code).read()``. By default those of ``attrs``, which
            HK rows have.
        ax : matplotlib.axes.Axes or sequence of them, optional
            Where to draw, instead of a new figure. One Axes: the short ratio of a ticker, the heat
            map of several. A sequence: 2 or 3 for the panels of one ticker in the order above, or
            one a ticker.
        figsize : (float, float), optional
            Width and height of a new figure in inches.

        Returns
        -------
        numpy.ndarray of Axes, or Axes
            What was drawn on: the panels in order, from the top, or one Axes for a heat map and
            where ``ax`` is one. The scale of the short value is a twin of the first panel.

        Raises
        ------
        ConfigError
            For an option or a number of axes that cannot be, when there are no rows from ``start``
            to ``end``, when a ticker has a day twice, or a row has no day; when ``positions`` are
            not reports, or those of another ticker.
        NotShortVolumeError
            When no column or index level says the days.
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

        Both are fractions, as `short_ratio` and `pooled_short_ratio` give them. Of several tickers
        one is shown at a time, with a widget to choose. hvplot is no dependency of this package:
        ``pip install hvplot``.

        Parameters
        ----------
        start, end, last
            Which days, as for `plot`.
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
