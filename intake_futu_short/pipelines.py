"""``df.shortvol`` as a step of Intake 2's pipelines: the namespace ``short_volume`` of readers."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pandas as pd
from intake.readers.namespaces import Namespace

from intake_futu_short.accessor import ShortVolumeAccessor

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["short_volume", "shortvol"]

_OUTPUTS = {"pd.DataFrame": "DataFrame", "pd.Series[float]": "Series"}


class short_volume(Namespace):  # type: ignore[misc]  # noqa: N801 - Intake calls it by this name
    """Attributes and methods of ``df.shortvol`` as steps, which run when the pipeline is read.

    Every reader and pipeline of Intake 2 that gives a pandas or Dask DataFrame has this namespace,
    once ``intake_futu_short.FutuShort`` was used or this module was imported. Arguments are checked
    when a step is made. A pipeline can be saved in a catalog; reading it from there needs no
    import. Readers of `FutuShort` have the same namespace as ``shortvol``. (On other readers that
    name means pandas' own accessor, which does not work with Intake 2.1.)

    Examples
    --------
    >>> from intake_futu_short import FutuShort
    >>> reader = FutuShort("sample://", "US.AAPL").to_reader("pandas")
    >>> reader.head(5).short_volume.short_ratio().read().round(3).tolist()
    [0.149, 0.144, 0.183, 0.172, 0.167]
    """

    acts_on = ("pandas:DataFrame", "dask.dataframe:DataFrame")
    imports = ("intake_futu_short",)

    def __dir__(self) -> list[str]:
        return [name for name in vars(ShortVolumeAccessor) if not name.startswith("_")]

    def __getattr__(self, item: str) -> Any:
        if item not in dir(self):
            raise AttributeError(item)
        method = getattr(ShortVolumeAccessor, item)
        if isinstance(method, property):
            return self.reader.apply(shortvol, method=item, output_instance="builtins:object")
        return _Step(self.reader, method)


class _Step:
    """A method of ``df.shortvol`` that waits for its arguments."""

    def __init__(self, reader: Any, method: Callable[..., Any]) -> None:
        self._reader, self._method = reader, method
        self.__doc__ = method.__doc__
        self.__signature__ = inspect.signature(method)

    def __call__(self, *args: Any, **arguments: Any) -> Any:
        self.__signature__.bind(None, *args, **arguments)
        # By name: Intake's versions treat positional arguments differently.
        arguments |= dict(zip([*self.__signature__.parameters][1:], args, strict=False))
        library = self._reader.output_instance.partition(":")[0]
        kind = _OUTPUTS.get(self.__signature__.return_annotation)
        return self._reader.apply(
            shortvol,
            method=self._method.__name__,
            output_instance=f"{library}:{kind}" if kind else "builtins:object",
            **arguments,
        )


def shortvol(frame: Any, *, method: str, **arguments: Any) -> Any:
    """Run a step. Saved catalogs refer to this function by its name.

    Parameters
    ----------
    frame : pandas.DataFrame or dask.dataframe.DataFrame
        Result of the step before.
    method : str
        Attribute or method of ``frame.shortvol``.
    **arguments
        Arguments of the method.
    """
    if not isinstance(frame, pd.DataFrame):
        import intake_futu_short.dask  # noqa: F401, PLC0415 - registers ddf.shortvol; loads Dask
    value = getattr(frame.shortvol, method)
    return value(**arguments) if callable(value) else value
