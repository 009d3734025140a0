"""The seal of a ticker's file: checksums that are verified before any parser reads a byte. Pure.

A Parquet file ends with a footer, the footer's length and ``PAR1``. The footer holds the state of
the history as JSON. That JSON begins with the format's number and two CRC-32 checksums. One covers
the footer except the eight digits of this checksum, the other covers everything before the footer.
They are found by searching the raw bytes, because a damaged footer can make a Parquet library drop
rows silently, or abort the process.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import TYPE_CHECKING

from intake_futu_short.errors import CorruptStoreError, StoreError, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["FORMAT", "KEY", "corrupt", "footer_bytes", "read_footer", "seal", "unsealed", "verify"]

# The file format's number. Increase it when older versions can no longer read new files.
FORMAT = 3
# Key of the state in the footer.
KEY = "intake_futu_short"

# Bytes after the footer: its length and the magic bytes.
_END_BYTES = 8
_MAGIC = b"PAR1"
# Placeholder for a checksum, eight hexadecimal digits. `seal` fills it in.
_BLANK = "00000000"
# Thrift's compact encoding writes a text's length before it, seven bits per byte. Files of earlier
# formats have no checksums here.
_STATE = re.compile(
    KEY.encode() + rb'\x18([\x80-\xff]{0,4}[\x00-\x7f])\{"format": ([0-9]{1,9})\b'
    rb'(?:, "footer_crc32": "([0-9a-f]{8})", "data_crc32": "([0-9a-f]{8})")?'
)

_WAY_OUT = "Delete the file and sync the ticker again; the other tickers are not affected."


def corrupt(where: str, why: object) -> CorruptStoreError:
    """Error of a file that is damaged or foreign, with the way out."""
    return CorruptStoreError(
        f"{where} is damaged or is not a file of this store: {sentence(why)} {_WAY_OUT}"
    )


def unsealed(said: Mapping[str, Any]) -> str:
    """JSON of a state with placeholders, in which `seal` fills in the checksums."""
    opening = {"format": FORMAT, "footer_crc32": _BLANK, "data_crc32": _BLANK}
    return json.dumps({**opening, **said})


def seal(content: bytes) -> bytes:
    """Fill in the checksums of a file that was written with `unsealed` under `KEY`."""
    begin = len(content) - footer_bytes(content)
    footer = bytearray(content[begin:])
    found = _STATE.search(footer)
    if found is None:
        raise ValueError("the file has no state in its footer")
    footer[slice(*found.span(4))] = _crc32(content[:begin])
    own = slice(*found.span(3))
    footer[own] = _crc32(footer[: own.start], footer[own.stop :])
    return content[:begin] + footer


def footer_bytes(tail: bytes) -> int:
    """Bytes from the footer to the end of a file, by its last 8 bytes; 0 if they are wrong."""
    if tail[-len(_MAGIC) :] != _MAGIC:
        return 0
    return int.from_bytes(tail[-_END_BYTES : -len(_MAGIC)], "little") + _END_BYTES


def read_footer(tail: bytes, where: str) -> dict[str, Any]:
    """Verify the footer, and read the state out of it.

    Parameters
    ----------
    tail : bytes
        A whole file, or its last `footer_bytes`.
    where : str
        Name of the file, for messages.

    Raises
    ------
    CorruptStoreError
        When the footer is damaged, or was not written by a store.
    StoreError
        When another version of this package wrote the file.
    """
    length = footer_bytes(tail)
    if not _END_BYTES < length <= len(tail):
        raise corrupt(where, "it does not end as a Parquet file does")
    footer = tail[-length:]
    found = _STATE.search(footer)
    if found is None:
        raise corrupt(where, "it does not say what it holds")
    size, number, own, _ = found.groups()
    if own is not None and own != _crc32(footer[: found.start(3)], footer[found.end(3) :]):
        raise corrupt(where, "the checksum of its footer is wrong")
    _refuse_other_format(int(number), where)
    begin = found.end(1)
    try:
        said = json.loads(footer[begin : begin + _length(size)])
    except (ValueError, RecursionError) as error:
        raise corrupt(where, error) from error
    if own is None or type(said) is not dict:
        raise corrupt(where, "its state has no checksums")
    return said


def verify(content: bytes, said: Mapping[str, Any], where: str) -> None:
    """Verify everything before the footer.

    Parameters
    ----------
    content : bytes
        A whole file.
    said : mapping
        What `read_footer` returned for it.
    where : str
        Name of the file, for messages.

    Raises
    ------
    CorruptStoreError
        When the file is damaged.
    """
    data = memoryview(content)[: -footer_bytes(content)]
    if said["data_crc32"] != _crc32(data).decode():
        raise corrupt(where, "the checksum of its rows is wrong")


def _refuse_other_format(number: int, where: str) -> None:
    """Refuse other formats. Comes before any other check, since their columns may differ."""
    if number > FORMAT:
        raise StoreError(
            f"{where} has format {number}, written by a newer intake-futu-short; this one reads "
            f"format {FORMAT}: upgrade it"
        )
    if number < FORMAT:
        raise StoreError(
            f"{where} has format {number} of an earlier version, and this one reads format "
            f"{FORMAT}. {_WAY_OUT}"
        )


def _length(size: bytes) -> int:
    """Value of a Thrift number, which has its lowest seven bits first."""
    return sum((byte & 0x7F) << (7 * i) for i, byte in enumerate(size))


def _crc32(*parts: bytes | bytearray | memoryview) -> bytes:
    check = 0
    for part in parts:
        check = zlib.crc32(part, check)
    return b"%08x" % check
