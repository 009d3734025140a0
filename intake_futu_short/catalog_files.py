"""Where the YAML catalogs of this package lie, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from intake_futu_short.errors import ConfigError

__all__ = ["catalog_path"]

_PACKAGE = Path(__file__).parent


def catalog_path(name: str = "sample") -> str:
    """Path of a catalog, for ``intake.open_catalog``.

    Parameters
    ----------
    name : str
        File name without ``.yaml``: ``"sample"`` or ``"opend"``.

    Raises
    ------
    ConfigError
        When there is no catalog of that name.

    Examples
    --------
    >>> import intake
    >>> cat = intake.open_catalog(catalog_path("sample"))
    >>> sorted(cat)
    ['hk', 'panel', 'rank', 'us']
    """
    # A wheel carries catalogs/ inside the package; in a checkout it lies beside it.
    for directory in (_PACKAGE / "catalogs", _PACKAGE.parent / "catalogs"):
        path = directory / f"{name}.yaml"
        if path.is_file():
            return str(path)
    raise ConfigError(f"there is no catalog {name!r}; there are 'opend' and 'sample'")
