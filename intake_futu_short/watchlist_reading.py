"""Reads a watchlist from where it is: a file, the market's rank, or standard input."""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Any

from intake_futu_short import watchlist
from intake_futu_short.errors import ConfigError
from intake_futu_short.rank_source import FutuShortRankSource, is_rank
from intake_futu_short.store.object_store import with_causes
from intake_futu_short.store.urls import hide_secrets, is_safe, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ASKING", "STANDARD_INPUT", "read_watchlist"]

# Arguments that say how to ask a gateway, whatever the question is.
ASKING = ("gateway", "rsa_key", "timeout")
# The watchlist that means standard input.
STANDARD_INPUT = "-"


def read_watchlist(
    url: str, storage_options: Mapping[str, Any] | None = None, **asking: Any
) -> list[str]:
    """Read the codes of a watchlist: of a file, of a rank, or of standard input (``-``).

    Parameters
    ----------
    url : str
        The watchlist, as `FutuShortCatalog` takes it.
    storage_options : mapping, optional
        Options for the file system.
    **asking
        ``gateway``, ``rsa_key`` and ``timeout``, for a rank.

    Raises
    ------
    ConfigError
        For a line that is not a code, a protocol that fsspec does not know, and a list without
        codes.
    OSError
        When the file cannot be read.
    GatewayError
        When the gateway cannot be asked for the rank.
    ImportError
        When the package of the URL's file system is not installed.
    """
    if is_rank(url):
        with FutuShortRankSource.of_url(url, **asking) as source:
            codes: list[str] = source.read()["code"].tolist()
        if not codes:
            raise ConfigError(
                f"watchlist {shown(url)} holds no codes: the gateway's rank is empty now"
            )
        return codes
    if url == STANDARD_INPUT:
        return watchlist.parse(_standard_input(), url)
    import fsspec  # noqa: PLC0415 - needed only for a file

    try:
        with fsspec.open(url, "rb", **(storage_options or {})) as file:
            data: bytes = file.read()
    except Exception as error:  # noqa: BLE001 - a file system may raise anything
        told = _unread(error, url, storage_options)
        raise told from told.__cause__
    return watchlist.parse(watchlist.decoded(data, shown(url)), shown(url))


def _unread(error: Exception, url: str, options: Mapping[str, Any] | None) -> Exception:
    """Error for a watchlist that cannot be read. It never shows a secret of the URL."""
    reason = hide_secrets(str(error), url, options)
    told: Exception
    if isinstance(error, ValueError):  # fsspec knows no such protocol
        told = ConfigError(f"watchlist {shown(url)!r} cannot be opened: {reason}")
    elif isinstance(error, FileNotFoundError):  # some file systems give only the name
        told = FileNotFoundError(errno.ENOENT, "There is no such watchlist", shown(url))
    elif isinstance(error, (ImportError, OSError)):
        # The nearest builtin class, so that `except PermissionError` and the like still work.
        kind = next(each for each in type(error).__mro__ if each.__module__ == "builtins")
        told = kind(f"watchlist {shown(url)!r} cannot be read: {reason}")
    else:  # some file systems have error classes of their own
        told = OSError(f"watchlist {shown(url)!r} cannot be read: {reason}")
    # A traceback shows the cause unchanged, so it must not contain a secret.
    told.__cause__ = error if is_safe(with_causes(error), url, options) else None
    return told


def _standard_input() -> str:
    """Text of the watchlist ``-``."""
    try:
        given = getattr(sys.stdin, "buffer", sys.stdin)
        data: bytes | str = given.read()
    except (AttributeError, ValueError) as error:  # there is no standard input, or it is closed
        raise ConfigError(
            "watchlist '-' is standard input, which is closed: name a file, or pipe the codes in"
        ) from error
    # In a test or a notebook standard input may be an object that gives text.
    return data if isinstance(data, str) else watchlist.decoded(data, "-")
