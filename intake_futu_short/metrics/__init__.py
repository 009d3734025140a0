"""Metrics of daily short volume: pure functions of a DataFrame.

S is short shares, V volume, T turnover, ST short turnover, and r = S / V. Every function takes the
frame of one ticker, or of several that a column or index level ``code`` tells apart. The rows may
be in any order, and the frame is never changed. Unless its description says otherwise, a function
returns one value per row, with the frame's index and order. Except for `rows_of`, the functions are
methods of ``df.shortvol`` too. If a docstring names no source, the formula is this project's own
definition.

A frame needs only the columns that a metric uses. `rows_of` makes one out of plain Series::

    >>> import pandas as pd
    >>> from intake_futu_short import metrics
    >>> days = pd.to_datetime(["2026-06-16", "2026-06-17", "2026-06-18"])
    >>> short, volume = pd.Series([1, 2, 4], index=days), pd.Series([10, 10, 10], index=days)
    >>> metrics.pooled_short_ratio(metrics.rows_of(short, volume), 2).tolist()
    [nan, 0.15, 0.3]

"""

from __future__ import annotations

from intake_futu_short.metrics import daily, positions, trailing
from intake_futu_short.metrics.aggregates import aggregates, aggregates_history
from intake_futu_short.metrics.columns import rows_of
from intake_futu_short.metrics.combined import metrics, with_metrics
from intake_futu_short.metrics.daily import *  # noqa: F403 - what a module lists is public here
from intake_futu_short.metrics.newest import latest
from intake_futu_short.metrics.panels import dollar_weighted_short_ratio, pivot, rank
from intake_futu_short.metrics.position_columns import with_positions
from intake_futu_short.metrics.positions import *  # noqa: F403 - as above
from intake_futu_short.metrics.resampling import resample
from intake_futu_short.metrics.trailing import *  # noqa: F403 - as above

__all__ = [
    "aggregates",
    "aggregates_history",
    "dollar_weighted_short_ratio",
    "latest",
    "metrics",
    "pivot",
    "rank",
    "resample",
    "rows_of",
    "with_metrics",
    "with_positions",
]
__all__ += daily.__all__
__all__ += positions.__all__
__all__ += trailing.__all__
