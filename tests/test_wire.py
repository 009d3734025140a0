from __future__ import annotations

import hashlib
import itertools
import re
import struct

import golden
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake_futu_short.errors import ProtocolError
from intake_futu_short.opend.wire import (
    HEADER_BYTES,
    MAX_BODY_BYTES,
    Frame,
    FrameReader,
    encode,
)

HEADER = struct.Struct("<1s1sI2B2I20s8s")
US_BODY = golden.US_PAGE_RESPONSE[44:]
US_FRAME = Frame(
    proto_id=3248,
    serial=2,
    body=US_BODY,
    sha1=bytes.fromhex("b9e119cce0dc611a95fa98d2a867df9079968037"),
)


def header(
    *, magic: bytes = b"FT", proto_id: int = 3248, fmt: int = 0, version: int = 0, length: int = 0
) -> bytes:
    """A header of no body, its SHA-1 all zeros."""
    return HEADER.pack(magic[:1], magic[1:], proto_id, fmt, version, 7, length, bytes(20), bytes(8))


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


# -- encoding -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", golden.ALL)
def test_a_frame_is_encoded_as_the_official_client_encodes_it(name: str) -> None:
    expected = golden.ALL[name]
    proto_id, _, _, serial = HEADER.unpack_from(expected)[2:6]
    assert encode(proto_id, serial, expected[44:]) == expected


def test_an_empty_body_has_a_frame() -> None:
    data = encode(1004, 5, b"")
    assert data == bytes.fromhex(
        "4654ec03000000000500000000000000da39a3ee5e6b4b0d3255bfef95601890afd807090000000000000000"
    )
    assert [(f.proto_id, f.serial, f.body) for f in FrameReader().feed(data)] == [(1004, 5, b"")]


def test_a_body_that_travels_enciphered_bears_the_sha1_of_its_plaintext() -> None:
    data = encode(3248, 9, b"plain", b"cipher!")
    assert data[44:] == b"cipher!"
    assert HEADER.unpack_from(data)[6] == 7
    assert HEADER.unpack_from(data)[7] == hashlib.sha1(b"plain", usedforsecurity=False).digest()


# -- decoding -----------------------------------------------------------------------------------


def test_a_whole_frame_is_decoded() -> None:
    reader = FrameReader()
    assert list(reader.feed(golden.US_PAGE_RESPONSE)) == [US_FRAME]
    assert reader.unfinished == 0


@pytest.mark.parametrize("name", golden.ALL)
def test_a_frame_that_comes_byte_by_byte_is_whole_with_its_last_byte(name: str) -> None:
    data = golden.ALL[name]
    reader = FrameReader()
    for i in range(len(data) - 1):
        assert list(reader.feed(data[i : i + 1])) == []
        assert reader.unfinished == i + 1
    (frame,) = reader.feed(data[-1:])
    assert frame.body == data[44:]
    assert reader.unfinished == 0


@pytest.mark.parametrize("name", golden.ALL)
def test_a_frame_may_be_cut_in_two_anywhere(name: str) -> None:
    data = golden.ALL[name]
    for cut in range(1, len(data)):
        reader = FrameReader()
        assert list(reader.feed(data[:cut])) == []
        assert [frame.body for frame in reader.feed(data[cut:])] == [data[44:]]


def test_the_beginning_of_the_next_frame_is_kept_for_it() -> None:
    following = golden.HK_PAGE_RESPONSE
    for cut in range(1, len(following)):
        reader = FrameReader()
        assert list(reader.feed(golden.US_PAGE_RESPONSE + following[:cut])) == [US_FRAME]
        assert reader.unfinished == cut
        assert [frame.body for frame in reader.feed(following[cut:])] == [following[44:]]


def test_the_body_format_is_handed_on_as_it_came() -> None:
    (frame,) = FrameReader().feed(header(proto_id=1003, fmt=1))
    assert (frame.proto_id, frame.serial, frame.body_format) == (1003, 7, 1)


def test_a_body_is_intact_when_its_sha1_is_the_header_s() -> None:
    assert US_FRAME.is_intact(US_BODY)
    assert not US_FRAME.is_intact(US_BODY[:-1] + b"2")
    assert not US_FRAME.is_intact(b"")


# -- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "beginning",
    [b"H", b"FH", b"\x00", b"\x16\x03\x01", b"F\x00", b"TF", b"HTTP/1.1 400 Bad Request"],
)
def test_what_does_not_begin_as_a_frame_is_refused_at_its_first_bytes(beginning: bytes) -> None:
    with pytest.raises(ProtocolError, match="not the OpenD protocol") as caught:
        list(FrameReader().feed(beginning))
    assert repr(beginning) in str(caught.value)


def test_the_second_byte_is_looked_at_when_it_comes_alone() -> None:
    reader = FrameReader()
    assert list(reader.feed(b"F")) == []
    with pytest.raises(ProtocolError, match=re.escape("b'Fo' came")):
        list(reader.feed(b"o"))


def test_frames_before_garbage_are_delivered() -> None:
    frames = FrameReader().feed(golden.US_PAGE_RESPONSE + b"HTTP")
    assert next(frames) == US_FRAME
    with pytest.raises(ProtocolError):
        next(frames)


def test_another_version_is_refused() -> None:
    with pytest.raises(ProtocolError, match="version 1 came"):
        list(FrameReader().feed(header(version=1)))


@pytest.mark.parametrize("length", [MAX_BODY_BYTES + 1, 2**31, 2**32 - 1])
def test_a_body_beyond_the_cap_is_refused_before_it_is_waited_for(length: int) -> None:
    reader = FrameReader()
    with pytest.raises(ProtocolError, match=f"claims a body of {length} bytes"):
        list(reader.feed(header(length=length)))
    assert reader.unfinished == HEADER_BYTES == 44


def test_a_body_of_the_cap_itself_is_waited_for() -> None:
    reader = FrameReader(max_body=3)
    assert list(reader.feed(header(length=3) + b"ab")) == []
    assert [frame.body for frame in reader.feed(b"c")] == [b"abc"]
    with pytest.raises(ProtocolError, match="more than 3 is taken for damage"):
        list(reader.feed(header(length=4)))


# -- anything at all ----------------------------------------------------------------------------

frames_made = st.lists(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=300)),
    max_size=6,
)


@given(frames_made, st.data())
def test_frames_are_the_same_however_the_bytes_are_cut(
    made: list[tuple[int, int, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(encode(*frame) for frame in made)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    reader = FrameReader()
    found = [frame for piece in pieces(stream, cuts) for frame in reader.feed(piece)]
    assert [(f.proto_id, f.serial, f.body) for f in found] == made
    assert all(f.is_intact(f.body) for f in found)
    assert reader.unfinished == 0


# Random bytes alone would all end at the magic.
near_frames = st.one_of(
    st.binary(max_size=200),
    st.binary(min_size=42, max_size=200).map(lambda tail: b"FT" + tail),
    st.builds(
        lambda length, version, tail: header(length=length, version=version) + tail,
        st.one_of(st.integers(0, 120), st.integers(0, 2**32 - 1)),
        st.sampled_from([0, 0, 0, 1, 255]),
        st.binary(max_size=150),
    ),
)


@given(st.lists(near_frames, max_size=8), st.integers(1, 64))
def test_garbage_is_a_protocol_error_or_waited_for_and_never_piles_up(
    garbage: list[bytes], size: int
) -> None:
    stream = b"".join(garbage)
    reader = FrameReader(max_body=100)
    for begin in range(0, len(stream), size):
        try:
            for frame in reader.feed(stream[begin : begin + size]):
                assert len(frame.body) <= 100
        except ProtocolError:
            return
        assert reader.unfinished < HEADER_BYTES + 100
