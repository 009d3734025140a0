"""Rows behind ``sample://``; README.md beside this file says where each file comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.errors import ConfigError
from intake_futu_short.schema import text_dtype
from intake_futu_short.security import Security

__all__ = ["frame"]

_DTYPES: dict[str, Any] = {
    "timestamp": "int64",
    "count": "Int64",
    "price": "float64",
    "number": "float64",
}


def frame(code: str) -> pd.DataFrame:
    """Read the sample rows of a ticker as ``intake.open_futu_short(code, ...)`` would.

    No gateway takes part, not even the one in this process behind ``sample://``: it is for trying
    ``df.shortvol`` out.

    Parameters
    ----------
    code : str
        ``"US.AAPL"``, ``"US.SAMPLE"``, ``"HK.00700"`` or ``"HK.SAMPLE"``.

    Returns
    -------
    pandas.DataFrame
        All rows, newest first, and the ticker's ``attrs``.

    Raises
    ------
    ConfigError
        When there is no sample of that code.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> sample.frame("HK.00700").attrs["aggregated_short_ratio"]
    0.56
    """
    folder = Path(__file__).parent
    known = sorted(file.stem for file in folder.glob("*.csv"))
    if code not in known:
        raise ConfigError(f"there is no sample of {code!r}, only of {', '.join(known)}")
    table = SHORT_VOLUME.table(Security.parse(code).market)
    text = pd.read_csv(folder / f"{code}.csv", dtype=object)
    columns = {}
    for column in table.columns:
        values = text.get(column.name, pd.Series(index=text.index, dtype=object))
        if column.kind != "day":  # by way of floats, which Python reads to the last digit
            values = pd.Series([float(value) for value in values])
        columns[column.name] = values.astype(_DTYPES.get(column.kind, text_dtype()))
    rows = pd.DataFrame(columns)
    rows.attrs = {"code": code, "market": table.market.name, "next_key": "-1"}
    if table.attrs:
        rows.attrs.update(json.loads((folder / "aggregates.json").read_text("utf-8"))[code])
    return rows
