"""Intake 2: the data type `FutuShort` and its readers to pandas and to Dask.

::

    data = FutuShort("opend://127.0.0.1:11111", "HK.00700", start="2026-01-02")
    data.to_reader("pandas").read()

Intake loads them with itself from a module of their own, which says why.
"""

from __future__ import annotations

from _intake_futu_short_readers import DaskFutuShort, FutuShort, PandasFutuShort

__all__ = ["DaskFutuShort", "FutuShort", "PandasFutuShort"]
