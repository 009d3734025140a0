"""Finds the YAML catalogs of this package in a checkout, an installed wheel or a zip file."""

from __future__ import annotations

import atexit
import zipfile
from contextlib import ExitStack
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, cast

from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError

if TYPE_CHECKING:
    from importlib.abc import Traversable

__all__ = ["catalog_path"]

_NAMES = ("opend", "sample")


def catalog_path(name: str = "sample") -> str:
    """Path of a catalog of this package, for ``intake.open_catalog``.

    If the package is in a zip file, this is the path of a copy, which is removed when Python exits.

    Parameters
    ----------
    name : str
        File name without ``.yaml``: ``"sample"`` or ``"opend"``.

    Raises
    ------
    ConfigError
        When there is no catalog of that name, or the package was copied without its catalogs.

    Examples
    --------
    >>> import intake
    >>> cat = intake.open_catalog(catalog_path("sample"))
    >>> list(cat)[:3]
    ['sample_us', 'sample_hk', 'sample_panel']
    """
    if name not in _NAMES:
        raise ConfigError(f"there is no catalog {described(name)}; there are 'opend' and 'sample'")
    return _path(name)


@cache
def _path(name: str) -> str:
    package = files("intake_futu_short")
    places = [package]
    # In a wheel, catalogs/ is inside the package; in a checkout it is beside the package.
    if isinstance(package, Path | zipfile.Path):
        places.append(cast("Traversable", package.parent))
    for place in places:
        file = place / "catalogs" / f"{name}.yaml"
        if file.is_file():
            copy = ExitStack()
            atexit.register(copy.close)
            return str(copy.enter_context(as_file(file)))
    raise ConfigError(
        f"catalogs/{name}.yaml is neither in {package} nor beside it: the package was copied "
        "without its catalogs. A wheel and a checkout have them"
    )
