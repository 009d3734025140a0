"""Intake 2: the data type `FutuShort` and its readers to pandas and to Dask.

::

    data = FutuShort("opend://127.0.0.1:11111", "HK.00700", start="2026-01-02")
    data.to_reader("pandas").read()

They register with Intake by being imported; catalogs that hold them import them by name. There is
no entry point that would have Intake import them with itself: the package brings pandas, and
Intake 2.0.4 cannot be imported beside such an entry point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from intake.readers.datatypes import BaseData
from intake.readers.readers import BaseReader

from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import dask.dataframe as dd
    import pandas as pd
    from fsspec.callbacks import Callback

__all__ = ["DaskFutuShort", "FutuShort", "PandasFutuShort"]


class FutuShort(BaseData):  # type: ignore[misc]  # Intake has no types
    """Daily short volume of US and HK stocks and funds, from a gateway.

    Parameters
    ----------
    url : str, list of str or None
        The gateway's URL, as ``gateway=`` of ``intake.open_futu_short``:
        ``"opend://HOST:PORT"`` or ``"sample://"``; None leaves it to the environment.
    code : str or list of str
        ``"US.<symbol>"`` or ``"HK.<symbol>"``, such as ``"HK.00700"``; a list, of one market,
        makes a panel.
    metadata : dict, optional
        Kept beside the data.
    **arguments
        Any other argument of ``intake.open_futu_short``, such as ``start``, ``warmup`` or ``num``.

    Attributes
    ----------
    url, code, start, end, ...
        The arguments as plain JSON values: dates as ``YYYY-MM-DD``, numbers as numbers.

    Raises
    ------
    ConfigError
        For an argument that cannot work, before any I/O.

    Examples
    --------
    >>> data = FutuShort("sample://", "US.AAPL", start="2024-10-01")
    >>> len(data.to_reader("pandas").read())
    9
    """

    filepattern = "^(opend|sample)://"
    structure: ClassVar = {"table", "timeseries"}

    url: str | list[str] | None
    code: str | list[str]
    start: str | None
    end: str | None

    def __init__(
        self,
        url: str | Sequence[str] | None,
        code: str | Sequence[str],
        start: Any = None,
        end: Any = None,
        metadata: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(dict(metadata or {}))
        source = _source(url=url, code=code, start=start, end=end, **arguments)
        plain = dict(source._captured_init_kwargs)  # what yaml() prints
        self.url = plain.pop("gateway", None)
        self.start = self.end = None
        self.__dict__.update(plain)

    def to_reader_cls(self, outtype: Any = None, reader: Any = None) -> Any:
        """Choose a reader; pandas unless something else is asked for.

        Intake looks through an unordered set, and would now take this and now that one.
        """
        if outtype is None and reader is None:
            return PandasFutuShort
        return super().to_reader_cls(outtype, reader)


class _Reader(BaseReader):  # type: ignore[misc]  # Intake has no types
    """What both readers share: arguments of a read go before those of the data."""

    func = "intake_futu_short.source:FutuShortSource"
    optional_imports: ClassVar = {"cryptography"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Catalogs hand it over, and then it counts when readers are compared.
        self.output_instance: str = self.output_instance

    def _source(self, data: FutuShort, changes: dict[str, Any]) -> FutuShortSource:
        arguments = {k: v for k, v in vars(data).items() if not k.startswith("_")}
        return _source(**{**arguments, **changes, "metadata": data.metadata})

    def discover(self, **changes: Any) -> Any:
        """Read the newest page only, which costs one request a ticker."""
        return self.read(**{**changes, "max_pages": 1})


class PandasFutuShort(_Reader):
    """Read the whole history into a pandas DataFrame, newest first.

    Arguments of ``intake.open_futu_short`` may be given to the reader and to `read`; they go
    before those of the data.
    """

    implements: ClassVar = {FutuShort}
    imports: ClassVar = {"pandas"}
    output_instance = "pandas:DataFrame"

    def _read(
        self, data: FutuShort, callback: Callback | None = None, **changes: Any
    ) -> pd.DataFrame:
        with self._source(data, changes) as source:
            return source.read(callback=callback)


class DaskFutuShort(_Reader):
    """Read the history into a Dask DataFrame, a partition a page of the gateway.

    The gateway is asked here and now, once; computing scales out from the rows.
    """

    implements: ClassVar = {FutuShort}
    imports: ClassVar = {"dask", "pandas"}
    output_instance = "dask.dataframe:DataFrame"

    def _read(
        self, data: FutuShort, callback: Callback | None = None, **changes: Any
    ) -> dd.DataFrame:
        with self._source(data, changes) as source:
            return source.to_dask(callback=callback)


def _source(*, url: Any, **arguments: Any) -> FutuShortSource:
    """The one implementation of reading: Intake 1's driver."""
    return FutuShortSource(gateway=url, **arguments)
