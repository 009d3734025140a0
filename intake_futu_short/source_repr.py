"""How a source shows itself: whom it asks, for what, and how much of it was read."""

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
    """What there is to say without asking anybody.

    Parameters
    ----------
    arguments : mapping
        Of the source, as plain values; None for what was left open.
    gateway : str
        The gateways meant.
    store_url : str or None
        Where the history is kept, without a password.
    partitions : Partitions or None
        What was read; None when nothing was.
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
    """Arguments on one line, without those named; of storage_options, which may hold secrets, keys.

    Parameters
    ----------
    arguments : mapping
        As plain values; None for what was left open.
    but : collection of str
        Which to leave out.
    """
    given = [
        f"{name}={value!r}"
        for name, value in arguments.items()
        if value is not None and name not in {*but, "storage_options"}
    ]
    if options := arguments.get("storage_options"):
        given.append(f"storage_options of {', '.join(options)}")
    return ", ".join(given)
