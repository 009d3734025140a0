"""Partitions as a Dask DataFrame, and ``ddf.shortvol``: the metrics, lazily.

Importing this module imports Dask and registers the accessor. `to_dask` does so by itself.
"""

from __future__ import annotations

from functools import partial, wraps
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from intake_futu_short import checks, metrics, repr_table
from intake_futu_short.accessor import ShortVolumeAccessor
from intake_futu_short.errors import ConfigError
from intake_futu_short.metrics import panels, sessions
from intake_futu_short.metrics.columns import ROLES
from intake_futu_short.metrics.registry import METRICS, POSITION_ROLES
from intake_futu_short.optional import DASK

with DASK:
    import dask
    import dask.dataframe as dd
    from dask.dataframe.extensions import register_dataframe_accessor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pandas as pd

__all__ = ["ByTicker", "DaskShortVolumeAccessor", "carried", "dask_frame"]

# Methods that return a table. `metrics` needs the columns of all metrics, the others every column.
_TABLES: dict[str, Callable[..., pd.DataFrame]] = {
    "by_date": sessions.by_date,
    "check": checks.check,
    "metrics": metrics.metrics,
    "resample": metrics.resample,
    "with_metrics": metrics.with_metrics,
    "with_positions": metrics.with_positions,
}
# How many partitions' sums are added in one task, and how many of those sums in the next.
_TREE = 8


def _columns(
    frame: dd.DataFrame, needs: Iterable[Mapping[str, Sequence[str]]], *, by_day: bool
) -> dd.DataFrame:
    """Select the columns that metrics with these needs use, so that Dask does not read others."""
    meta = frame._meta
    market = sessions.market_of(meta).name
    roles = {role for one in needs for role in one.get(market, ())} - {*POSITION_ROLES}
    wanted = {ROLES[market][role] for role in roles}
    if not wanted & {*sessions.MARKS[market]}:
        wanted.add(next(mark for mark in sessions.MARKS[market] if mark in meta.columns))
    if by_day:
        wanted |= {"code", *[name for name in sessions.DAYS if name in meta.columns][:1]}
    names = [name for name in meta.columns if name in wanted]
    return frame if len(names) == len(meta.columns) else frame[names]


@register_dataframe_accessor("shortvol")
class DaskShortVolumeAccessor:
    """Metrics of Dask frames that use each day by itself; `by_ticker` has the other ones.

    These are the metrics of ``df.shortvol``, but lazy: they return Dask Series with the frame's
    partitions. Trailing windows, reported positions and checks use several rows of a ticker, so
    they need whole tickers in each partition. Call `by_ticker` to say that this is so; the object
    that it returns has those methods. Methods that compare tickers (ranks, tables by date) raise
    NotImplementedError, and the message says what to do. Columns that a metric does not use are
    not read.

    Parameters
    ----------
    frame : dask.dataframe.DataFrame
        Rows of one market, with the columns of the gateway's documentation or some of them.

    Raises
    ------
    NotShortVolumeError
        When the frame's columns are not those of daily short volume, or are those of two markets.
        The error is an AttributeError, so ``hasattr(ddf, "shortvol")`` is then False.

    Examples
    --------
    >>> import dask.dataframe as dd
    >>> from intake_futu_short import sample
    >>> ddf = dd.from_pandas(sample.frame("US.AAPL"), npartitions=2)
    >>> ddf.shortvol.short_ratio().compute().head(3).round(5).tolist()
    [0.14945, 0.14359, 0.18338]
    """

    def __init__(self, frame: dd.DataFrame) -> None:
        sessions.market_of(frame._meta)
        self._frame = frame

    def __repr__(self) -> str:
        return repr_table.as_text(*self._shown())

    def _repr_html_(self) -> str:
        return repr_table.as_html(*self._shown())

    def _shown(self) -> tuple[str, dict[str, str]]:
        title = "Daily short volume (ddf.shortvol)"
        if not hasattr(self, "_frame"):
            return title, {"state": "not made, the frame was refused"}
        return title, {"market": self.market, "partitions": f"{self._frame.npartitions:,}"}

    @property
    def market(self) -> str:
        """``"US"`` or ``"HK"``, according to the columns."""
        return sessions.market_of(self._frame._meta).name

    def by_ticker(self) -> ByTicker:
        """Declare that each partition holds whole tickers, and get the metrics that need this.

        The partitions of `FutuShortStore.to_dask` hold whole tickers. This is not checked. If the
        rows of a ticker are spread over two partitions, the windows in each see only the rows of
        that partition.

        Returns
        -------
        ByTicker
            Has the methods of ``df.shortvol`` that look at one ticker at a time; they are lazy.

        Raises
        ------
        ConfigError
            When the rows have no ``code`` and there are several partitions: rows without a ``code``
            all belong to one ticker.

        Examples
        --------
        >>> import dask.dataframe as dd
        >>> from intake_futu_short import sample
        >>> ddf = dd.from_pandas(sample.frame("US.AAPL"), npartitions=1)
        >>> ddf.shortvol.by_ticker().pooled_short_ratio(20).compute().head(2).round(5).tolist()
        [0.17301, 0.17149]
        """
        meta = self._frame._meta
        has_code = "code" in meta.columns or "code" in meta.index.names
        if self._frame.npartitions > 1 and not has_code:
            raise ConfigError(
                f"by_ticker() needs whole tickers in each partition, and these "
                f"{self._frame.npartitions} partitions have no column code: without it all rows "
                "are of one ticker. Take ddf.repartition(npartitions=1), or add the column"
            )
        return ByTicker(self._frame)

    def dollar_weighted_short_ratio(self) -> dd.Series:
        """Short ratio of all tickers together by date, weighted by value, a fraction.

        See ``df.shortvol.dollar_weighted_short_ratio`` for the definition. The sums of the
        partitions are added up in a tree, so that no worker holds more than a few of them.

        Returns
        -------
        dask.dataframe.Series
            ``dollar_weighted_short_ratio``, indexed by ``date``, ascending, in one partition.
        """
        needs = panels.DOLLAR_WEIGHTED
        meta = metrics.dollar_weighted_short_ratio(self._frame._meta)
        by_date: dd.Series = _columns(self._frame, [needs], by_day=True).reduction(
            panels.values_by_date,
            combine=panels.added_values,
            aggregate=panels.ratio_of_values,
            meta=meta,
            split_every=_TREE,
        )
        return by_date

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(ShortVolumeAccessor, name):
            raise AttributeError(f"a Dask frame's shortvol has no {name!r}")
        raise AttributeError(
            f"{name} needs attrs or rows, which a Dask frame has only once it is computed: "
            f"ddf.compute().shortvol.{name}, or ddf.partitions[0].compute().shortvol.{name}"
        )


class ByTicker:
    """Metrics of a Dask frame whose partitions hold whole tickers: ``ddf.shortvol.by_ticker()``.

    Its methods are those of ``df.shortvol`` that look at one ticker at a time: every metric,
    `metrics`, `with_metrics`, `with_positions`, `by_date`, `resample` and `check`. They are lazy
    and take the same arguments. Days come from the first of the columns ``timestamp_str``,
    ``timestamp`` and ``date`` that the frame has, or else from the index.

    Reported open positions come from the ``attrs`` of the partitions, which hold only the newest
    report of each ticker. To use all reports, pass them as ``positions=``, for example
    ``store.read().shortvol.aggregates_history()``.

    Parameters
    ----------
    frame : dask.dataframe.DataFrame
        A frame whose partitions hold whole tickers.
    """

    def __init__(self, frame: dd.DataFrame) -> None:
        self._frame = frame

    def __repr__(self) -> str:
        parts = repr_table.counted(self._frame.npartitions, "partition")
        return f"ddf.shortvol.by_ticker(): whole tickers in {parts}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(DaskShortVolumeAccessor, name):
            raise AttributeError(f"by_ticker() has no {name!r}")
        raise AttributeError(
            f"by_ticker() has no {name!r}, which does not look at one ticker at a time: see "
            f"ddf.shortvol.{name}"
        )


def _of_part(
    part: pd.DataFrame,
    *,
    function: Callable[..., Any],
    attrs: Mapping[Any, Any],
    args: Sequence[Any],
    options: Mapping[str, Any],
) -> Any:
    """Compute a partition. ``attrs`` of the whole frame fill in what the partition's own lack."""
    whole = part.copy(deep=False)
    whole.attrs = {**attrs, **part.attrs}
    return function(whole, *args, **options)


def _lazy(name: str) -> Callable[..., dd.Series]:
    """Make the method of a metric that looks at one row at a time."""
    metric = METRICS[name]

    @wraps(metric.function)
    def method(self: DaskShortVolumeAccessor) -> dd.Series:
        # A missing column raises its error here, not later in a worker.
        meta = metric.function(self._frame._meta)
        used = _columns(self._frame, [metric.needs], by_day=False)
        days: dd.Series = used.map_partitions(metric.function, meta=meta)
        return days

    return method


def _by_ticker(name: str) -> Callable[..., Any]:
    """Make a method that looks at one ticker at a time."""
    function = METRICS[name].function if name in METRICS else _TABLES[name]

    @wraps(getattr(ShortVolumeAccessor, name))
    def method(self: ByTicker, *args: Any, **options: Any) -> Any:
        frame, meta = self._frame, self._frame._meta
        empty = function(meta, *args, **options)
        if name in METRICS:
            frame = _columns(frame, [METRICS[name].needs], by_day=True)
        elif name == "metrics":
            frame = _columns(frame, [one.needs for one in METRICS.values()], by_day=True)
        # Bound beforehand, because Dask would split a frame among the arguments.
        of_part = partial(_of_part, function=function, attrs=meta.attrs, args=args, options=options)
        return frame.map_partitions(of_part, meta=empty)

    return method


def _unable(name: str) -> Callable[..., Any]:
    @wraps(getattr(ShortVolumeAccessor, name))
    def method(self: DaskShortVolumeAccessor, *_: Any, **__: Any) -> Any:
        by_ticker = (
            " If each partition holds all rows of its tickers: "
            f"ddf.shortvol.by_ticker().{name}(...)."
        )
        raise NotImplementedError(
            f"{name} looks at several rows of a ticker or a date, which may lie in different "
            "partitions of a Dask frame. If the frame fits into memory: "
            f"ddf.compute().shortvol.{name}(...)." + (by_ticker if hasattr(ByTicker, name) else "")
        )

    return method


for _name in [*METRICS, *_TABLES]:
    setattr(ByTicker, _name, _by_ticker(_name))
for _name, _value in vars(ShortVolumeAccessor).items():
    if _name.startswith("_") or not callable(_value) or hasattr(DaskShortVolumeAccessor, _name):
        continue
    _looks_at_a_row = _name in METRICS and not (
        METRICS[_name].has_window or METRICS[_name].is_of_positions
    )
    setattr(DaskShortVolumeAccessor, _name, _lazy(_name) if _looks_at_a_row else _unable(_name))


def dask_frame(
    read: Callable[[Any], pd.DataFrame], parts: Sequence[Any], meta: pd.DataFrame
) -> dd.DataFrame:
    """Make a Dask DataFrame: `read` turns each of `parts` into a partition.

    Parameters
    ----------
    read : callable
        Called in a worker.
    parts : sequence
        At least one, because a Dask frame cannot be without partitions.
    meta : pandas.DataFrame
        An empty frame with the columns, dtypes and attributes of every partition.
    """
    # Dask would convert strings to another dtype; the dtypes here are a promise.
    with dask.config.set({"dataframe.convert-string": False}):
        frame: dd.DataFrame = dd.from_map(
            read, parts, meta=meta, label="futu-short", enforce_metadata=False
        )
    return frame


def carried(whole: pd.DataFrame, sizes: Sequence[int]) -> dd.DataFrame:
    """Make a Dask DataFrame whose partitions carry their rows; `sizes` are their lengths."""
    sizes = sizes or [0]
    parts = [
        whole.iloc[end - size : end] for size, end in zip(sizes, accumulate(sizes), strict=True)
    ]
    return dask_frame(_same, parts, whole.iloc[:0])


def _same(part: pd.DataFrame) -> pd.DataFrame:
    return part
