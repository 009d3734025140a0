"""The file that holds the RSA key of encrypted connections: the one place that reads it."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from intake_futu_short.errors import ConfigError
from intake_futu_short.opend.cipher import RsaKey

__all__ = ["read"]

# A key of 2048 bits is 1.7 KB; nobody means a file of another order.
MAX_FILE_BYTES = 2**16

_log = logging.getLogger(__name__)
_warned: dict[Path, object] = {}


def read(path: str) -> RsaKey:
    """Read a key, and warn once of a file that everybody on the host can read.

    Parameters
    ----------
    path : str
        Of the PEM file; ``~`` is the home directory.

    Raises
    ------
    ConfigError
        When the file cannot be read or holds no usable key, or ``cryptography`` is missing.
    """
    try:
        file = Path(path).expanduser()
        with file.open("rb") as opened:
            is_public = bool(os.fstat(opened.fileno()).st_mode & stat.S_IROTH)
            key = RsaKey(opened.read(MAX_FILE_BYTES))
    except (OSError, RuntimeError, ValueError) as error:  # ~ of a user who is none, a NUL in a path
        raise ConfigError(f"rsa_key {path!r}: {error}") from error
    # Windows keeps its permissions elsewhere, and this bit is always set.
    if is_public and os.name == "posix":
        _warn(file)
    return key


def _warn(file: Path) -> None:
    # In one step, as a lock would: but a child may be forked while a lock is held.
    mine = object()
    if _warned.setdefault(file, mine) is mine:
        _log.warning(
            "everybody on this host can read the RSA key %s: chmod 600 leaves it to its owner", file
        )
