"""Slots ↔ the bytes of the file in which the processes of a host share them. Pure.

A header, 16 bytes a slot, and a CRC-32 of it all; what follows is left over from longer times.
"""

from __future__ import annotations

import struct
import zlib

from intake_futu_short.opend.limiter import Slots

__all__ = ["BOOT_BYTES", "decode", "encode"]

BOOT_BYTES = 16

_MAGIC = b"FSHLIM1\n"
# magic, boot, written at, closed at, fewest, its until, longest, its until, number of slots
_HEADER = struct.Struct(f"<8s{BOOT_BYTES}sddIdddI")
_SLOT = struct.Struct("<Qd")
_CRC = struct.Struct("<I")


def encode(slots: Slots, boot: bytes, now: float) -> bytes:
    """Write slots down.

    Parameters
    ----------
    slots : Slots
        Their times on a clock that starts at 0 with every boot.
    boot : bytes
        16 bytes that tell this boot from others; zeros where the system does not tell.
    now : float
        Seconds of the same clock.
    """
    header = _HEADER.pack(
        _MAGIC, boot, now, slots.closed_at, slots.fewest, slots.fewest_until,
        slots.longest_s, slots.longest_until, len(slots.ends),
    )  # fmt: skip
    body = header + b"".join(_SLOT.pack(mark, end) for mark, end in slots.ends.items())
    return body + _CRC.pack(zlib.crc32(body))


def decode(data: bytes, boot: bytes, now: float) -> Slots | None:
    """Read what `encode` wrote; None for anything else."""
    try:
        (magic, its_boot, written, closed_at, fewest, fewest_until, longest_s, longest_until,
         number) = _HEADER.unpack_from(data)  # fmt: skip
        size = _HEADER.size + number * _SLOT.size
        (crc,) = _CRC.unpack_from(data, size)
    except struct.error:
        return None
    if magic != _MAGIC or crc != zlib.crc32(data[:size]):
        return None
    if its_boot != boot or (written > now and not any(boot)):
        # What was asked before this boot was asked before its clock began.
        return Slots(closed_at=0.0)
    ends = dict(_SLOT.iter_unpack(data[_HEADER.size : size]))
    return Slots(ends, closed_at, fewest, fewest_until, longest_s, longest_until)
