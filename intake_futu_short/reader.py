"""Intake 2: the data type `FutuShort` and its readers to pandas and to Dask.

::

    data = FutuShort("opend://127.0.0.1:11111", "HK.00700", start="2026-01-02")
    data.to_reader("pandas").read()

Importing this module registers them with Intake, and a catalog that contains them imports it by
name. There is no entry point that makes Intake import them at its own start: this package loads
pandas, and Intake 2.0.4 cannot be imported if there is such an entry point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from intake.readers.datatypes import BaseData
from intake.readers.readers import BaseReader

from intake_futu_short import repr_table
from intake_futu_short.pipelines import short_volume
from intake_futu_short.source import FutuShortSource
from intake_futu_short.store.urls import masked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import dask.dataframe as dd
    import pandas as pd
    from fsspec.callbacks import Callback

__all__ = ["DaskFutuShort", "FutuShort", "PandasFutuShort"]


class FutuShort(BaseData):  # type: ignore[misc]  # Intake has no types
    """Daily short volume of US and HK stocks and funds, from a gateway.

    Parameters
    ----------
    url : str, iterable of str or None
        The gateway's URL, as ``gateway=`` of ``intake.open_futu_short``:
        ``"opend://HOST:PORT"`` or ``"sample://"``; None takes it from the environment.
    code : str or iterable of str
        ``"US.<symbol>"`` or ``"HK.<symbol>"``, such as ``"HK.00700"``. Several codes of one
        market make a panel.
    metadata : dict, optional
        Kept with the data.
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
        url: str | Iterable[str] | None,
        code: str | Iterable[str],
        start: Any = None,
        end: Any = None,
        metadata: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(dict(metadata or {}))
        source = _source(url=url, code=code, start=start, end=end, **arguments)
        plain = dict(source._captured_init_kwargs)
        self.url = plain.pop("gateway", None)
        self.start = self.end = None
        self.__dict__.update(plain)

    def __repr__(self) -> str:
        # Intake's version would print the password of the store.
        arguments = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        return f"{type(self).__name__}, {masked(arguments)}"

    def _repr_html_(self) -> str:
        title = f"{type(self).__name__}: daily short volume"
        if "url" not in vars(self):
            return repr_table.as_html(title, {"state": repr_table.REFUSED})
        arguments = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        return repr_table.as_html(title, {k: str(v) for k, v in masked(arguments).items() if v})

    def to_reader_cls(self, *args: Any, **kwargs: Any) -> Any:
        """Choose a reader by Intake's arguments; without arguments the one for pandas.

        Intake itself would search an unordered set, so its choice would change from run to run.
        """
        if not any([*args, *kwargs.values()]):
            return PandasFutuShort
        return super().to_reader_cls(*args, **kwargs)


class _Reader(BaseReader):  # type: ignore[misc]  # Intake has no types
    """Base class of both readers. Arguments of a read take precedence over those of the data."""

    func = "intake_futu_short.source:FutuShortSource"
    optional_imports: ClassVar = {"cryptography"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A catalog passes it on, and then it counts when two readers are compared.
        self.output_instance: str = self.output_instance

    def __getattr__(self, item: str) -> Any:
        # Intake 2.0.4 would make pipelines of these too, even of pickle's __getstate__.
        if item.startswith("_"):
            raise AttributeError(item)
        return super().__getattr__(item)

    def _source(self, data: FutuShort, changes: dict[str, Any]) -> FutuShortSource:
        arguments = {k: v for k, v in vars(data).items() if not k.startswith("_")}
        return _source(**{**arguments, **changes, "metadata": data.metadata})

    @property
    def shortvol(self) -> short_volume:
        """``df.shortvol`` as a step of a pipeline."""
        return short_volume(self)

    def discover(self, **changes: Any) -> Any:
        """Read the newest page only, which costs one request per ticker."""
        return self.read(**{**changes, "max_pages": 1})


class PandasFutuShort(_Reader):
    """Read the whole history into a pandas DataFrame, newest first.

    The reader and its `read` also take arguments of ``intake.open_futu_short``. These take
    precedence over the arguments of the data.
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
    """Read the history into a Dask DataFrame, one partition per page of the gateway.

    The gateway is asked once, when the reader is read. The Dask computation needs only the rows.
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
    """Make the source that reads for both readers: Intake 1's driver."""
    return FutuShortSource(gateway=url, **arguments)
