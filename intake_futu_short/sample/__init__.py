"""Sample rows behind ``sample://``. README.md in this directory says where each file comes from."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pandas as pd

from intake_futu_short import calls
from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.errors import ConfigError
from intake_futu_short.schema import text_dtype, with_published
from intake_futu_short.security import Security

__all__ = ["frame"]

_DTYPES: dict[str, Any] = {
    "timestamp": "int64",
    "count": "Int64",
    "price": "float64",
    "number": "float64",
}


def frame(code: str, what: str = SHORT_VOLUME.name) -> pd.DataFrame:
    """Read the sample rows of a ticker as ``intake.open_futu_short(code, ...)`` would.

    With ``what="short_interest"``, as ``intake.open_futu_short_interest(code, ...)`` would.

    The rows come straight from the package's files, without any gateway. Use them to try out
    ``df.shortvol``.

    Parameters
    ----------
    code : str
        ``"US.AAPL"``, ``"US.SAMPLE"``, ``"HK.00700"`` or ``"HK.SAMPLE"``. There is no short
        interest of ``"US.AAPL"``.
    what : {"short_volume", "short_interest"}
        Which series.

    Returns
    -------
    pandas.DataFrame
        All rows, newest first, and the ticker's ``attrs``.

    Raises
    ------
    ConfigError
        When there is no sample of that code, or no such series.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> sample.frame("HK.00700").attrs["aggregated_short_ratio"]
    0.56
    >>> interest = sample.frame("US.SAMPLE", what="short_interest")
    >>> interest[["timestamp_str", "shares_short", "published"]].head(2)
      timestamp_str  shares_short  published
    0    2026-05-29      15857219 2026-06-10
    1    2026-05-15      15891247 2026-05-28
    """
    call = calls.series(what)
    folder = files("intake_futu_short") / "sample"
    place = folder if call is SHORT_VOLUME else folder / call.name
    names = [file.name for file in place.iterdir()]
    known = sorted(name.removesuffix(".csv") for name in names if name.endswith(".csv"))
    if code not in known:
        raise ConfigError(
            f"there is no sample of {call.title} of {code!r}, only of {', '.join(known)}"
        )
    table = call.table(Security.parse(code).market)
    with (place / f"{code}.csv").open("rb") as file:
        text = pd.read_csv(file, dtype=object)
    columns = {}
    for column in table.columns:
        values = text.get(column.name, pd.Series(index=text.index, dtype=object))
        if column.kind != "day":  # Python's float() reads every digit exactly
            values = pd.Series([float(value) for value in values])
        columns[column.name] = values.astype(_DTYPES.get(column.kind, text_dtype()))
    rows = with_published(pd.DataFrame(columns), table)
    rows.attrs = {"code": code, "market": table.market.name, "next_key": "-1"}
    if table.attrs:
        rows.attrs.update(json.loads((folder / "aggregates.json").read_text("utf-8"))[code])
    return rows
