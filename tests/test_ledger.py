from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake_futu_short.opend.ledger import BOOT_BYTES, decode, encode
from intake_futu_short.opend.limiter import Limit, Slots

BOOT = bytes(range(BOOT_BYTES))
NO_BOOT = bytes(BOOT_BYTES)  # where the system does not tell one


def filled() -> Slots:
    slots = Slots()
    slots.heed(Limit(10, 60.0), 100.0, timeout=12.0)
    slots.take(1, deadline=112.0)
    slots.take(2**64 - 1, deadline=113.5)
    slots.close(90.0)
    return slots


@pytest.mark.parametrize("slots", [Slots(), filled()])
def test_what_is_written_is_read(slots: Slots) -> None:
    assert decode(encode(slots, BOOT, 101.0), BOOT, 101.0) == slots


def test_what_is_left_of_a_longer_state_is_not_read() -> None:
    data = encode(filled(), BOOT, 101.0)
    assert decode(data + data[-20:], BOOT, 101.0) == filled()


@pytest.mark.parametrize("size", range(len(encode(filled(), BOOT, 101.0))))
def test_a_truncated_state_is_known_as_damaged(size: int) -> None:
    assert decode(encode(filled(), BOOT, 101.0)[:size], BOOT, 102.0) is None


@given(st.data())
def test_a_changed_byte_is_known_as_damaged(data: st.DataObject) -> None:
    state = bytearray(encode(filled(), BOOT, 101.0))
    state[data.draw(st.integers(0, len(state) - 1))] ^= data.draw(st.integers(1, 255))
    assert decode(bytes(state), BOOT, 102.0) is None


@given(st.binary(max_size=500))
def test_foreign_bytes_are_known_as_damaged(data: bytes) -> None:
    assert decode(data, BOOT, 102.0) is None


def test_what_another_boot_asked_was_asked_before_the_clock_began() -> None:
    data = encode(filled(), BOOT, 101.0)
    assert decode(data, BOOT[::-1], 1e6) == Slots(closed_at=0.0)


def test_without_a_name_of_the_boot_its_clock_tells_it_apart() -> None:
    data = encode(filled(), NO_BOOT, 101.0)
    assert decode(data, NO_BOOT, 100.9) == Slots(closed_at=0.0)
    assert decode(data, NO_BOOT, 101.0) == filled()
