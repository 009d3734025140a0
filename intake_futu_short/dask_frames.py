"""Partitions as a Dask DataFrame."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import dask.dataframe as dd
    import pandas as pd

__all__ = ["carried", "dask_frame", "import_dask"]


def import_dask() -> None:
    """Import Dask, or say how to have it.

    Raises
    ------
    ImportError
        When it is not installed.
    """
    try:
        import dask.dataframe  # noqa: F401, PLC0415 - heavy and optional
    except ImportError as error:
        raise ImportError('to_dask() needs Dask: pip install "intake-futu-short[dask]"') from error


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
    import dask  # noqa: PLC0415 - heavy and optional
    import dask.dataframe as dd  # noqa: PLC0415 - likewise

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
