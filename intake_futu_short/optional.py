"""Optional packages. A package that is installed but cannot be imported counts as missing.

A package can be broken in many ways (made for another pandas or NumPy, half installed). It can then
raise any error. Everything that does not need the package must still work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intake_futu_short.errors import UnusablePackageWarning, warn

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["CRYPTOGRAPHY", "DASK", "EXCHANGE_CALENDARS", "HVPLOT", "MATPLOTLIB", "Package"]


class Package:
    """Context for importing an optional package, and for calls that fail if it does not fit.

    Any error in the context becomes an ImportError. Unless the package is simply not installed, a
    warning gives the reason, once per process.

    Parameters
    ----------
    name : str
        Name by which it is imported.
    need : str
        What needs it, as the beginning of a sentence.
    requirements : str
        Arguments of ``pip install``.
    """

    def __init__(self, name: str, need: str, requirements: str) -> None:
        self._name = name
        self._need = need
        self._has_warned = False
        self.install = f"pip install {requirements}"

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A panic in a Rust extension is a BaseException, not an Exception.
        if error is None or isinstance(error, (KeyboardInterrupt, SystemExit)):
            return
        why = str(error)
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if (missing or "").partition(".")[0] != self._name:
            why = f"{type(error).__name__}: {error}"
            if not self._has_warned:
                self._has_warned = True
                warn(
                    f"{self._name} is installed, cannot be used and counts as missing ({why})",
                    UnusablePackageWarning,
                )
        raise ImportError(f"{self._need} ({why}): {self.install}") from error


CRYPTOGRAPHY = Package("cryptography", "an RSA key needs the package cryptography", "cryptography")
DASK = Package("dask", "to_dask() needs Dask", '"dask[dataframe]" distributed')
EXCHANGE_CALENDARS = Package(
    "exchange_calendars", "trading days need exchange_calendars", "exchange_calendars"
)
HVPLOT = Package("hvplot", "hvplot() needs the package hvplot", "hvplot")
MATPLOTLIB = Package("matplotlib", "plots need matplotlib", "matplotlib")
