"""Frames ↔ events on a plain connection; test_encrypted_connection.py has the others."""

from __future__ import annotations

import itertools

import golden
import pytest
from hypothesis import given
from hypothesis import strategies as st
from second_gateway import frame, init_connect_body, refusal_body

from intake_futu_short.errors import (
    GatewayDisconnectedError,
    GatewayError,
    ProtocolError,
    ReplyError,
)
from intake_futu_short.opend.connection import Answer, Connection, Event, Failed, Ready

PEER = "opend://127.0.0.1:11111"
READY = Ready(server_version=1011, connection_id=7474749583963343045, keep_alive_s=10)
NEWEST_PAGE = golden.NEWEST_PAGE_REQUEST[44:]
US_BODY = golden.US_PAGE_RESPONSE[44:]
HK_BODY = golden.HK_PAGE_RESPONSE[44:]
PUSH = frame(1003, 12345, b"any notice")
JSON_PUSH = frame(1003, 12346, b'{"retType": 0}', body_format=1)


def opened() -> Connection:
    connection = Connection(PEER)
    connection.open()
    connection.data_to_send()
    return connection


def ready() -> Connection:
    connection = opened()
    connection.receive_data(golden.INIT_CONNECT_RESPONSE)
    assert connection.events_received() == [READY]
    return connection


def asking() -> Connection:
    """A connection whose request with serial 2 waits for its answer."""
    connection = ready()
    assert connection.request(3248, NEWEST_PAGE) == 2
    connection.data_to_send()
    return connection


def error_of(connection: Connection) -> GatewayError:
    """The failure that is the one event there is."""
    (event,) = connection.events_received()
    assert isinstance(event, Failed)
    assert PEER in str(event.error)
    return event.error


# -- sending ------------------------------------------------------------------------------------


def test_it_begins_with_the_handshake() -> None:
    connection = Connection(PEER)
    assert connection.data_to_send() == b""
    connection.open()
    assert connection.data_to_send() == golden.INIT_CONNECT_REQUEST


def test_each_byte_is_handed_out_once() -> None:
    connection = ready()
    assert connection.request(3248, NEWEST_PAGE) == 2
    assert connection.request(3248, golden.NEXT_PAGE_REQUEST[44:]) == 3
    assert connection.data_to_send() == golden.NEWEST_PAGE_REQUEST + golden.NEXT_PAGE_REQUEST
    assert connection.data_to_send() == b""


def test_a_heartbeat_bears_the_time() -> None:
    connection = ready()
    connection.keep_alive(1781740800)
    assert connection.data_to_send() == golden.KEEP_ALIVE_REQUEST


def test_serial_numbers_start_again_after_the_last_that_fits() -> None:
    connection = ready()
    connection._serial = 0xFFFF_FFFE
    assert [connection.request(3248, b""), connection.request(3248, b"")] == [0xFFFF_FFFF, 1]


# -- receiving ----------------------------------------------------------------------------------


def test_the_handshake_s_answer_makes_it_ready() -> None:
    connection = opened()
    connection.receive_data(golden.INIT_CONNECT_RESPONSE)
    assert connection.events_received() == [READY]
    assert connection.events_received() == []
    assert connection.data_to_send() == b""


@pytest.mark.parametrize(("named", "used"), [(1, 1), (30, 30), (0, 10), (-5, 10)])
def test_a_gateway_that_names_no_usable_heartbeat_gets_one_in_10_s(named: int, used: int) -> None:
    connection = opened()
    connection.receive_data(frame(1001, 1, init_connect_body(named)))
    (event,) = connection.events_received()
    assert isinstance(event, Ready)
    assert event.keep_alive_s == used


def test_an_answer_is_told_by_its_serial_number() -> None:
    connection = asking()
    connection.receive_data(golden.US_PAGE_RESPONSE)
    assert connection.events_received() == [Answer(2, US_BODY)]


def test_answers_may_come_out_of_order() -> None:
    connection = asking()
    assert connection.request(3248, NEWEST_PAGE) == 3
    connection.receive_data(frame(3248, 3, HK_BODY) + golden.US_PAGE_RESPONSE)
    assert connection.events_received() == [Answer(3, HK_BODY), Answer(2, US_BODY)]


STREAM = b"".join(
    [
        JSON_PUSH,
        golden.INIT_CONNECT_RESPONSE,
        PUSH,
        golden.US_PAGE_RESPONSE,
        JSON_PUSH,
        frame(3248, 3, HK_BODY),
    ]
)
STREAM_EVENTS: list[Event] = [READY, Answer(2, US_BODY), Answer(3, HK_BODY)]


def in_flight() -> Connection:
    """The handshake and two requests, all unanswered."""
    connection = opened()
    connection.request(3248, NEWEST_PAGE)
    connection.request(3248, NEWEST_PAGE)
    return connection


def test_a_stream_means_the_same_byte_by_byte() -> None:
    connection = in_flight()
    events: list[Event] = []
    for i in range(len(STREAM)):
        connection.receive_data(STREAM[i : i + 1])
        events += connection.events_received()
    assert events == STREAM_EVENTS


def test_a_stream_means_the_same_cut_in_two_anywhere() -> None:
    for cut in range(len(STREAM) + 1):
        connection = in_flight()
        connection.receive_data(STREAM[:cut])
        connection.receive_data(STREAM[cut:])
        assert connection.events_received() == STREAM_EVENTS


@pytest.mark.parametrize("push", [PUSH, JSON_PUSH, frame(1003, 12345, b"x", sha1=bytes(20))])
def test_pushes_are_skipped_also_before_the_handshake_s_answer(push: bytes) -> None:
    connection = opened()
    connection.receive_data(push)
    assert connection.events_received() == []
    connection.receive_data(golden.INIT_CONNECT_RESPONSE + push)
    assert connection.events_received() == [READY]


def test_a_push_that_bears_the_serial_number_of_a_request_is_no_answer() -> None:
    connection = asking()
    connection.receive_data(frame(1003, 2, b"a notice") + golden.US_PAGE_RESPONSE)
    assert connection.events_received() == [Answer(2, US_BODY)]


def test_answers_that_nobody_asked_for_are_skipped() -> None:
    connection = asking()
    connection.receive_data(frame(3248, 99, HK_BODY) + golden.US_PAGE_RESPONSE)
    assert connection.events_received() == [Answer(2, US_BODY)]


def test_an_answer_that_comes_twice_counts_once() -> None:
    connection = asking()
    connection.receive_data(golden.US_PAGE_RESPONSE * 2)
    assert connection.events_received() == [Answer(2, US_BODY)]


def test_an_answer_that_was_given_up_is_skipped_when_it_comes_late() -> None:
    connection = asking()
    connection.forget(2)
    connection.forget(2)
    connection.receive_data(frame(3248, 2, US_BODY, sha1=bytes(20)))
    assert connection.events_received() == []
    assert connection.request(3248, NEWEST_PAGE) == 3
    connection.receive_data(frame(3248, 3, HK_BODY))
    assert connection.events_received() == [Answer(3, HK_BODY)]


def test_the_answer_to_a_heartbeat_is_no_event() -> None:
    connection = ready()
    connection.keep_alive(1781740800)
    connection.receive_data(golden.KEEP_ALIVE_RESPONSE)
    assert connection.events_received() == []


# -- failing ------------------------------------------------------------------------------------

BROKEN = {
    "HTTP": (b"HTTP/1.0 400", "not the OpenD protocol"),
    "one byte of another protocol": (b"\x16", "not the OpenD protocol"),
    "the second byte is wrong": (b"F\x00", "not the OpenD protocol"),
    "another version": (frame(3248, 2, US_BODY, version=3), "version 3"),
    "2 GiB": (frame(3248, 2, b"", length=2**31), "2147483648 bytes"),
    "a push of 2 GiB": (frame(1003, 5, b"", length=2**31), "2147483648 bytes"),
    "wrong SHA-1": (frame(3248, 2, US_BODY, sha1=bytes(20)), "damaged frame"),
    "an answer in JSON": (frame(3248, 2, b"{}", body_format=1), "in format 1"),
}


@pytest.mark.parametrize(("data", "words"), BROKEN.values(), ids=BROKEN)
def test_a_bad_frame_ends_the_connection_after_the_good_ones(data: bytes, words: str) -> None:
    connection = asking()
    assert connection.request(3248, NEWEST_PAGE) == 3
    connection.receive_data(frame(3248, 3, HK_BODY) + data)
    answer, failed = connection.events_received()
    assert answer == Answer(3, HK_BODY)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ProtocolError)
    assert words in str(failed.error)
    assert PEER in str(failed.error)


def test_what_follows_a_bad_frame_is_ignored() -> None:
    connection = asking()
    connection.receive_data(b"HTTP")
    assert isinstance(error_of(connection), ProtocolError)
    connection.receive_data(golden.US_PAGE_RESPONSE)
    connection.receive_eof()
    assert connection.events_received() == []


def test_a_damaged_heartbeat_answer_ends_the_connection() -> None:
    connection = ready()
    connection.keep_alive(1781740800)
    connection.receive_data(frame(1004, 2, golden.KEEP_ALIVE_RESPONSE[44:], sha1=bytes(20)))
    assert isinstance(error_of(connection), ProtocolError)


def test_a_refused_handshake_says_what_the_gateway_said() -> None:
    connection = opened()
    connection.receive_data(frame(1001, 1, refusal_body("NN_ProtoRet_ByDisConnOrCacnel", -200)))
    error = error_of(connection)
    assert type(error) is ReplyError
    assert (error.ret_type, error.message) == (-200, "NN_ProtoRet_ByDisConnOrCacnel")
    assert "handshake" in str(error)


HANDSHAKES = {
    "without s2c": (b"\x08\x00", "no content"),
    "undecodable": (b"\xff\xff\xff", "is not a message of the protocol"),
    "s2c cut short": (b"\x08\x00\x22\x40\x08", "(5 bytes) is no"),
    "empty": (b"", "no retType"),
}


@pytest.mark.parametrize(("body", "words"), HANDSHAKES.values(), ids=HANDSHAKES)
def test_a_handshake_without_usable_content_is_a_protocol_error(body: bytes, words: str) -> None:
    connection = opened()
    connection.receive_data(frame(1001, 1, body))
    error = error_of(connection)
    assert isinstance(error, ProtocolError)
    assert words in str(error)


def test_an_end_during_the_handshake_says_so() -> None:
    connection = opened()
    connection.receive_data(golden.INIT_CONNECT_RESPONSE[:50])
    connection.receive_eof()
    error = error_of(connection)
    assert isinstance(error, GatewayDisconnectedError)
    assert "during the handshake" in str(error)


def test_an_end_in_the_middle_of_a_frame_says_how_much_of_it_had_come() -> None:
    connection = asking()
    connection.receive_data(golden.US_PAGE_RESPONSE[:60])
    connection.receive_eof()
    error = error_of(connection)
    assert isinstance(error, GatewayDisconnectedError)
    assert "in the middle of an answer (60 bytes" in str(error)


def test_an_end_between_frames_comes_after_what_was_whole() -> None:
    connection = asking()
    connection.receive_data(golden.US_PAGE_RESPONSE)
    connection.receive_eof()
    answer, failed = connection.events_received()
    assert answer == Answer(2, US_BODY)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, GatewayDisconnectedError)
    assert str(failed.error).startswith(f"{PEER} closed the connection. ")


def test_the_end_is_told_once() -> None:
    connection = ready()
    connection.receive_eof()
    connection.receive_eof()
    assert isinstance(error_of(connection), GatewayDisconnectedError)


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    connection = in_flight()
    edges = [0, *sorted(cuts), len(STREAM)]
    for begin, end in itertools.pairwise(edges):
        connection.receive_data(STREAM[begin:end])
    assert connection.events_received() == STREAM_EVENTS


bodies = st.binary(max_size=60)
scraps = st.one_of(
    bodies,
    st.builds(frame, st.sampled_from([1001, 1003, 1004, 3248]), st.integers(0, 5), bodies),
    st.builds(
        lambda body: frame(1001, 1, body),
        st.binary(max_size=30).map(lambda tail: b"\x08\x00" + tail),
    ),
)


@given(st.lists(scraps, max_size=8))
def test_anything_at_all_gives_events_and_raises_nothing(stream: list[bytes]) -> None:
    connection = in_flight()
    for data in stream:
        connection.receive_data(data)
    connection.receive_eof()
    *before, last = connection.events_received()
    assert isinstance(last, Failed)
    assert not any(isinstance(event, Failed) for event in before)


def test_it_counts_whole_frames_of_any_kind_and_knows_of_a_part() -> None:
    connection = opened()
    assert (connection.frames_received, connection.is_mid_frame) == (0, False)
    hello, push = frame(1001, 1, init_connect_body()), frame(1003, 7, b"x")
    connection.receive_data(hello[:1])
    assert (connection.frames_received, connection.is_mid_frame) == (0, True)
    connection.receive_data(hello[1:])
    assert (connection.frames_received, connection.is_mid_frame) == (1, False)
    connection.receive_data(push + push[:20])
    assert (connection.frames_received, connection.is_mid_frame) == (2, True)


def test_a_plain_frame_with_a_wrong_checksum_is_damage_and_not_a_missing_key() -> None:
    connection = asking()
    connection.receive_data(frame(3248, 2, b"\x08\x00", sha1=bytes(20)))
    said = str(error_of(connection))
    assert "damaged frame" in said
    assert "unencrypted" not in said
