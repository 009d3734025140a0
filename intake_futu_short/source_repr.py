"""The ``repr`` of a source: its gateway, its arguments, and how much was read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intake_futu_short.repr_table import counted, some

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from intake_futu_short.partitions import Partitions

__all__ = ["facts", "listed"]

# These have a line of their own.
_NOT_LISTED = ("code", "gateway", "store")


def facts(
    arguments: Mapping[str, Any],
    gateway: str,
    store_url: str | None,
    partitions: Partitions | None,
) -> dict[str, str]:
    """Facts about a source that need no request.

    Parameters
    ----------
    arguments : mapping
        The source's arguments, as plain values; None for those left open.
    gateway : str
        The gateways it asks.
    store_url : str or None
        URL of its store, without a password.
    partitions : Partitions or None
        What was read so far; None when nothing was.
    """
    said = {}
    if (code := arguments.get("code")) is not None:
        is_one = isinstance(code, str)
        said["code"] = code if is_one else f"{some(code)} ({counted(len(code), 'ticker')})"
    is_alone = arguments.get("refresh") == "never"
    said["gateway"] = "none, the store alone" if is_alone else gateway
    if store_url is not None:
        said["store"] = store_url
    said["arguments"] = listed(arguments, _NOT_LISTED)
    if partitions is None:
        return {**said, "read": "no"}
    extent, parts = partitions.extent, counted(len(partitions.sizes), "partition")
    said["rows"] = f"{extent.rows:,}"
    if extent.first is not None:
        said["days"] = f"{extent.first} to {extent.last}"
    said["read"] = f"yes, {parts}" if partitions.is_finished else f"in part, {parts} so far"
    return said


def listed(arguments: Mapping[str, Any], but: Collection[str]) -> str:
    """Arguments on one line. Of ``storage_options`` only the keys, because values may be secrets.

    Parameters
    ----------
    arguments : mapping
        Plain values; None for arguments left open.
    but : collection of str
        Names of arguments to leave out.
    """
    given = [
        f"{name}={value!r}"
        for name, value in arguments.items()
        if value is not None and name not in {*but, "storage_options"}
    ]
    if options := arguments.get("storage_options"):
        given.append(f"storage_options of {', '.join(options)}")
    return ", ".join(given)
