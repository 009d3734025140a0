"""``df.shortvol``: what a frame of daily short volume tells, beyond its columns.

Importing this module registers the accessor, and loads nothing but numpy and pandas.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, cast

import pandas as pd

from intake_futu_short import checks, metrics, plotting, sessions, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

__all__ = ["ShortVolumeAccessor"]


@pd.api.extensions.register_dataframe_accessor("shortvol")
class ShortVolumeAccessor:
    """Attributes, checks and metrics of daily short volume, as ``df.shortvol``.

    Works on the frame of one ticker, or of several that a column or index level ``code`` tells
    apart (a panel), with the rows in any order. The frame is never changed. A metric needs only
    the columns that it names, and one of those that tell the market: ``total_shares_short`` (US),
    ``short_sell_shares_traded`` or ``short_sell_turnover`` (HK). It answers a float64 Series in
    the frame's own index and order, named after the metric.

    Ratios are fractions: 0.14 where the gateway's own columns say 14 (percent).

    The trading day is ``timestamp_str``, where that is missing ``timestamp`` in the market's time
    zone, and where both are missing the column or index level ``date``.

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
        sessions.market_of(frame)
        self._frame = frame

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
        """Open short position that HKEX reports, in shares; from attrs."""
        return cast("int | None", self._frame.attrs.get("aggregated_short"))

    @property
    def aggregated_short_ratio(self) -> float | None:
        """The open short position in percent of the gateway's share base; from attrs."""
        return cast("float | None", self._frame.attrs.get("aggregated_short_ratio"))

    @property
    def new_time_str(self) -> str | None:
        """As-of date of the open short position, ``YYYY-MM-DD``; from attrs."""
        return cast("str | None", self._frame.attrs.get("new_time_str"))

    @property
    def aggregates(self) -> pd.DataFrame:
        """Open short positions that HKEX reports, a row a ticker that has one.

        They come from attrs, whatever rows are left in the frame: those of one ticker, or of a
        panel ``attrs["aggregates"]``, a JSON object of them by code.

        Returns
        -------
        pandas.DataFrame
            ``code``; ``aggregated_short`` (shares, Int64); ``aggregated_short_ratio`` (percent,
            float64); ``new_time_str`` (as-of date). Without rows when there are none.
        """
        names = ("aggregated_short", "aggregated_short_ratio", "new_time_str")
        kept = self._frame.attrs.get("aggregates")
        tickers = {self.code: self._frame.attrs} if kept is None else json.loads(kept)
        rows = [
            (code, *(values.get(name) for name in names))
            for code, values in tickers.items()
            if any(values.get(name) is not None for name in names)
        ]
        text = table.text_dtype()
        dtypes = (text, "Int64", "float64", text)
        return pd.DataFrame(
            {
                name: pd.Series([row[i] for row in rows], dtype=dtype)
                for i, (name, dtype) in enumerate(zip(("code", *names), dtypes, strict=True))
            }
        )

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
        """
        return sessions.by_date(self._frame)

    def short_ratio(self) -> pd.Series[float]:
        """Short shares / volume of each day, a fraction.

        NaN where either is missing or the volume is 0. Of US tickers the short shares are those of
        Nasdaq and NYSE only, so that the ratio is far below one made of all venues.

        Returns
        -------
        pandas.Series
            ``short_ratio``.

        Raises
        ------
        NotShortVolumeError
            When a column is missing: ``total_shares_short`` and ``volume`` (US),
            ``short_sell_shares_traded`` and ``shares_traded`` (HK).

        References
        ----------
        Diether, Lee and Werner (2009), "Short-Sale Strategies and Return Predictability", Review
        of Financial Studies 22(2): the variable *relss*.
        """
        return metrics.short_ratio(self._frame)

    def short_turnover_ratio(self) -> pd.Series[float]:
        """Short turnover / turnover of each day, a fraction; HK only.

        NaN where either is missing or the turnover is 0. The Hong Kong press calls this the short
        selling ratio.

        Returns
        -------
        pandas.Series
            ``short_turnover_ratio``.

        Raises
        ------
        NotShortVolumeError
            On a US frame, and when ``short_sell_turnover`` or ``turnover`` is missing.
        """
        return metrics.short_turnover_ratio(self._frame)

    def pooled_short_ratio(
        self, n: int = 20, *, min_periods: int | None = None
    ) -> pd.Series[float]:
        """Short shares / volume of several days taken together, a fraction.

        The sum of the short shares over the sum of the volumes of the ticker's last ``n`` trading
        days, that is rows, the row's own included. Days are weighted by their volume, other than
        in a mean of daily ratios. Nothing later than a row enters its answer. With ``n=20``, in
        percent and truncated to two decimals, it is the gateway's ``daily_trade_avg_ratio`` of US
        tickers.

        Share counts are raw: a window across a split mixes shares of two sizes.

        Parameters
        ----------
        n : int
            Trading days in a window.
        min_periods : int, optional
            How many days of the window, 1 to ``n``, must have both counts; the sums leave out days
            that lack one. By default all ``n``: the answer is NaN before the ticker's ``n``-th
            row, and where a count in the window is missing.

        Returns
        -------
        pandas.Series
            ``pooled_short_ratio_<n>``. NaN also where the volumes of the window add up to 0.

        Raises
        ------
        NotShortVolumeError
            When a column is missing (those of `short_ratio`, and one that says the day).
        ConfigError
            When ``n`` or ``min_periods`` is no such number, a ticker has a day twice, or a row has
            no day.
        """
        return metrics.pooled_short_ratio(self._frame, n, min_periods=min_periods)

    def check(self) -> pd.DataFrame:
        """List what does not add up.

        ``what`` is one of

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

        The last two need the package ``exchange_calendars`` (the extra ``[calendar]``; XNYS and
        XHKG, days from 2000 to 2049) and are not looked for without it. Closures at short notice,
        such as a typhoon, count as sessions when they are younger than its installed version.

        Prices and percentages that differ in floating point only are equal. What a row or the
        frame lacks is not checked.

        Returns
        -------
        pandas.DataFrame
            A row a finding, by code and day: ``date`` (datetime64[ns]), ``code`` (missing when
            unknown), ``what``, ``reported``, ``computed`` and ``difference`` (reported - computed;
            float64, in the unit of the column). Without rows when all adds up.

        Raises
        ------
        NotShortVolumeError
            When no column or index level says the days.
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
        last: int | None = None,
        ax: Axes | Sequence[Axes] | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> Any:
        """Draw the short volume; needs matplotlib (the extra ``[plot]``).

        One ticker is drawn as panels above each other that share the dates:

        1. The close and, as bars on a scale of their own, the short value: the turnover sold short
           (HK), short shares times close (US, where share counts are raw and prices adjusted, so
           that it is too low before a split).
        2. The short ratio of each day, the pooled ratio of the 20 trading days that end there, and
           the mean of the 20 trading days *before* with a band of one standard deviation (ddof 1)
           to either side.
        3. Only where ``attrs["aggregates_history"]`` holds more than one: the open short positions
           that HKEX reported. A single one is written below the panels.

        Several tickers are drawn as the second panel of each, all on one scale, or as a heat map
        of the short ratio by date and ticker, whose missing days are grey.

        Windows look back at rows that are not shown. What the frame lacks is said in the figure.
        The backend is the user's: nothing is switched, shown or closed.

        Parameters
        ----------
        kind : {"panels", "heatmap"}, optional
            By default panels of up to 12 tickers, else a heat map.
        start, end : str or date, optional
            Trading days, both included.
        last : int, optional
            The newest trading days of the frame, of those from ``start`` to ``end``.
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
            For an option or a number of axes that cannot be, when a ticker has a day twice, or a
            row has no day.
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
        options = plotting.Options(kind, start, end, last)
        return plotting.plot(self._frame, options, ax=ax, figsize=figsize)

    def hvplot(
        self, *, start: Any = None, end: Any = None, last: int | None = None, **style: Any
    ) -> Any:
        """Draw the short ratio and its 20-day pooled ratio with hvplot, for notebooks.

        Both are fractions, as `short_ratio` and `pooled_short_ratio` give them. Of several tickers
        one is shown at a time, with a widget to choose. hvplot is no dependency and no extra of
        this package: ``pip install hvplot``.

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
        """
        return plotting.interactive(self._frame, plotting.Options(None, start, end, last), **style)
