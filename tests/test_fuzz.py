"""Anything at all from a gateway is a frame, or an error of ours: by hypothesis, from valid input.

`fuzz_guided.py` goes on where this ends, guided by coverage.
"""

from __future__ import annotations

import random

import fuzz_targets
import pytest
from fuzz_targets import BOUNDARY, TARGETS, seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from test_bytes import filled, our_class

from intake_futu_short.opend import replies

MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "twice", "high"]),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=9),
    ),
    min_size=1,
    max_size=6,
)


def mutated(data: bytes, mutations: list[tuple[str, float, bytes]]) -> bytes:
    for kind, where, what in mutations:
        at = int(where * len(data))
        piece = data[at : at + len(what)]
        if kind == "flip":
            piece = bytes(a ^ b for a, b in zip(piece, what, strict=False))
        elif kind == "cut":
            piece = b""
        elif kind == "insert":
            piece = what + piece
        elif kind == "twice":
            piece = data[at : at + 60] + piece
        else:
            piece = b"\xff" * len(piece)
        data = data[:at] + piece + data[at + len(what) :]
    return data


@pytest.mark.parametrize("target", TARGETS)
def test_valid_input_is_taken(target: str) -> None:
    for seed in seeds(target):
        TARGETS[target](seed)


@pytest.mark.parametrize("target", TARGETS)
@given(st.data(), MUTATIONS)
@settings(deadline=None)
def test_mutated_valid_input_is_taken_or_refused_by_name(
    target: str, data: st.DataObject, mutations: list[tuple[str, float, bytes]]
) -> None:
    TARGETS[target](mutated(data.draw(st.sampled_from(seeds(target))), mutations))


@pytest.mark.parametrize("target", TARGETS)
@given(st.binary(max_size=500))
@settings(deadline=None)
def test_any_bytes_are_taken_or_refused_by_name(target: str, data: bytes) -> None:
    TARGETS[target](data)


@given(
    st.integers(0, 2**32), st.sampled_from([b"\x00", b"\xff", b"\x01", b"\xfe"]), st.integers(1, 4)
)
@settings(deadline=None)
def test_absurd_but_well_formed_answers_are_taken_or_refused_by_name(
    seed: int, market: bytes, pages: int
) -> None:
    # Every field at the ends of its range, or absent.
    chance = random.Random(seed)
    bodies = []
    for _ in range(pages):
        answer = filled(our_class("DailyShortVolume.Response"), chance, 0.8)
        answer.ret_type = replies.OK
        bodies.append(answer.SerializeToString())
    fuzz_targets.answers(market + BOUNDARY.join(bodies))
