"""Partitions as a Dask DataFrame, and ``ddf.shortvol``: the metrics of single days.

Importing this module imports Dask and registers the accessor. `to_dask` does so by itself.
"""

from __future__ import annotations

from functools import wraps
from itertools import accumulate
from typing import TYPE_CHECKING, Any

try:
    import dask
    import dask.dataframe as dd
    from dask.dataframe.extensions import register_dataframe_accessor
except ImportError as error:
    raise ImportError('to_dask() needs Dask: pip install "intake-futu-short[dask]"') from error

from intake_futu_short.accessor import ShortVolumeAccessor
from intake_futu_short.metrics import daily
from intake_futu_short.metrics.sessions import market_of
from intake_futu_short.metrics.window_metrics import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

__all__ = ["DaskShortVolumeAccessor", "carried", "dask_frame"]

# What looks at one ticker at a time, and so can be had of partitions that hold whole tickers.
_BY_TICKER = {
    "by_date", "check", "days_to_cover", "implied_shares", "metrics", "resample", "with_metrics",
    *KINDS,
}  # fmt: skip
_BY_PARTITION = (
    " If each partition holds all rows of its tickers: "
    "ddf.map_partitions(lambda df: df.shortvol.{name}(...), meta=ddf._meta.shortvol.{name}(...))"
)


@register_dataframe_accessor("shortvol")
class DaskShortVolumeAccessor:
    """Metrics of each day by itself, computed partition by partition.

    They are those of ``df.shortvol``, lazy: Series of Dask with the frame's partitions. What looks
    at several rows (trailing windows, ranks, tables by date, checks) needs them in one place:
    its methods raise NotImplementedError and say what to do.

    Parameters
    ----------
    frame : dask.dataframe.DataFrame
        Rows of one market, with the columns of the gateway's documentation or some of them.

    Raises
    ------
    NotShortVolumeError
        When the frame's columns are not those of daily short volume, or of two markets. It is an
        AttributeError, so ``hasattr(ddf, "shortvol")`` is False there.

    Examples
    --------
    >>> import dask.dataframe as dd
    >>> from intake_futu_short import sample
    >>> ddf = dd.from_pandas(sample.frame("US.AAPL"), npartitions=2)
    >>> ddf.shortvol.short_ratio().compute().head(3).round(5).tolist()
    [0.14945, 0.14359, 0.18338]
    """

    def __init__(self, frame: dd.DataFrame) -> None:
        market_of(frame._meta)
        self._frame = frame

    @property
    def market(self) -> str:
        """``"US"`` or ``"HK"``, told by the columns."""
        return market_of(self._frame._meta).name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(ShortVolumeAccessor, name):
            raise AttributeError(f"a Dask frame's shortvol has no {name!r}")
        raise AttributeError(
            f"{name} is told by attrs or rows, which a Dask frame has once it is computed: "
            f"ddf.compute().shortvol.{name}, or ddf.partitions[0].compute().shortvol.{name}"
        )


def _lazy(
    function: Callable[[pd.DataFrame], pd.Series[float]],
) -> Callable[[DaskShortVolumeAccessor], dd.Series]:
    @wraps(function)
    def method(self: DaskShortVolumeAccessor) -> dd.Series:
        # What the frame lacks shows here and not in a worker.
        meta = function(self._frame._meta)
        days: dd.Series = self._frame.map_partitions(function, meta=meta)
        return days

    return method


def _unable(name: str) -> Callable[..., Any]:
    @wraps(getattr(ShortVolumeAccessor, name))
    def method(self: DaskShortVolumeAccessor, *_: Any, **__: Any) -> Any:
        raise NotImplementedError(
            f"{name} looks at several rows of a ticker or a date, which may lie in different "
            "partitions of a Dask frame. If it fits into memory: "
            f"ddf.compute().shortvol.{name}(...)."
            + (_BY_PARTITION.format(name=name) if name in _BY_TICKER else "")
        )

    return method


for _name, _value in vars(ShortVolumeAccessor).items():
    if _name.startswith("_") or not callable(_value):
        continue
    _made = _lazy(getattr(daily, _name)) if _name in daily.DAILY else _unable(_name)
    setattr(DaskShortVolumeAccessor, _name, _made)


def dask_frame(
    read: Callable[[Any], pd.DataFrame], parts: Sequence[Any], meta: pd.DataFrame
) -> dd.DataFrame:
    """Make a Dask DataFrame of which `read` makes a partition out of each of `parts`.

    Parameters
    ----------
    read : callable
        Called in a worker.
    parts : sequence
        At least one: Dask knows no frame without partitions.
    meta : pandas.DataFrame
        Without rows; with the columns, dtypes and attributes of every partition.
    """
    # Dask would turn strings into another kind of strings; the dtypes here are a promise.
    with dask.config.set({"dataframe.convert-string": False}):
        frame: dd.DataFrame = dd.from_map(
            read, parts, meta=meta, label="futu-short", enforce_metadata=False
        )
    return frame


def carried(whole: pd.DataFrame, sizes: Sequence[int]) -> dd.DataFrame:
    """Make a Dask DataFrame whose partitions carry their rows, `sizes` of them each."""
    sizes = sizes or [0]
    parts = [
        whole.iloc[end - size : end] for size, end in zip(sizes, accumulate(sizes), strict=True)
    ]
    return dask_frame(_same, parts, whole.iloc[:0])


def _same(part: pd.DataFrame) -> pd.DataFrame:
    return part
