"""Several gateways in one loop: how they share the work, and what one costs that fails."""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from asking import ask, days_in, days_of, one_page, opened, question, walk
from deaf_port import deaf_port
from second_gateway import (
    INIT_CONNECT,
    KEEP_ALIVE,
    Exchange,
    SecondGateway,
    obliging,
    silent_after_the_handshake,
)
from second_rows import History, make_rows

from intake_futu_short.errors import (
    ConfigError,
    GatewayDisconnectedError,
    GatewayUnreachableError,
    PaginationError,
    UnknownSecurityError,
)
from intake_futu_short.opend import ask as ask_module
from intake_futu_short.opend import line as line_module
from intake_futu_short.reading import read
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    from asking import Job

pytestmark = pytest.mark.usefixtures("no_thread_left")


@pytest.fixture(autouse=True)
def _hurried(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.INFO, logger="intake_futu_short")
    # These reads are short: there is nothing else to ask while cursors wait for their gateway.
    monkeypatch.setattr(ask_module, "WAIT_FOR_ISSUER_S", 0.1)


@pytest.fixture
def nobody() -> Iterator[str]:
    """URL of a port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"opend://127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture
def swallower() -> Iterator[str]:
    """URL of a port that takes no connection and refuses none."""
    with deaf_port() as port:
        yield f"opend://127.0.0.1:{port}"


def codes(number: int) -> list[str]:
    return [f"US.T{i}" for i in range(number)]


def serving(number: int, rows: int = 3) -> dict[str, History]:
    return {c: History("US", make_rows("US", rows, seed=i)) for i, c in enumerate(codes(number))}


def messages(log: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [r.getMessage() for r in log.records if words in r.getMessage()]


def whole(frame: pd.DataFrame, known: dict[str, History]) -> bool:
    """Whether every row of every ticker is there, once and in its order."""
    shares = frame.groupby("code", sort=False)["total_shares_short"].apply(list).to_dict()
    return shares == {c: [row["totalSharesShort"] for row in h.rows] for c, h in known.items()}


# -- sharing the work ---------------------------------------------------------------------------


def test_each_gateway_is_used_to_its_own_limit() -> None:
    with SecondGateway(serving(20)) as one, SecondGateway(serving(20)) as two:
        urls = [f"{gateway.url}?limit=5/0.5" for gateway in (one, two)]
        with FutuShortSource(codes(20), gateway=urls) as src:
            assert whole(src.read(), serving(20))
    for gateway in (one, two):
        arrived = [query.arrived for query in gateway.queries]
        assert len(arrived) >= 5
        assert all(later - first >= 0.5 for first, later in zip(arrived, arrived[5:], strict=False))


def test_work_goes_where_there_is_a_free_slot() -> None:
    with SecondGateway(serving(12)) as used_up, SecondGateway(serving(12)) as free:
        limited = f"{used_up.url}?limit=2/600"
        with FutuShortSource(codes(2), gateway=limited) as first:
            first.read()
        with FutuShortSource(codes(12), gateway=[limited, free.url]) as src:
            assert len(src.read()) == 36  # and not after ten minutes
    assert len(used_up.queries) == 2
    assert len(free.queries) == 12


def test_a_walk_stays_with_the_gateway_that_gave_its_cursor() -> None:
    known = serving(6, 40)
    with SecondGateway(known) as one, SecondGateway(known, cursor="timestamp") as two:
        urls = [f"{gateway.url}?limit=off" for gateway in (one, two)]
        with FutuShortSource(codes(6), gateway=urls, num=5) as src:
            assert len(src.read()) == 240
        asked = [{query.code for query in gateway.queries} for gateway in (one, two)]
    assert asked[0] | asked[1] == set(codes(6))
    assert asked[0] & asked[1] == set()


def test_a_no_of_one_gateway_is_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    with SecondGateway(serving(1)) as one, SecondGateway(serving(1)) as two:
        with pytest.raises(UnknownSecurityError):
            ask(opened(one, two), "US.NOPE")
        assert len(one.queries) + len(two.queries) == 1
    assert messages(caplog, "left out") == []


def test_the_key_of_an_argument_is_every_gateways() -> None:
    with pytest.raises(ConfigError, match=r"rsa_key is 'a\.pem', but .* names 'b\.pem'"):
        FutuShortSource("US.A", gateway=["opend://a", "opend://b?rsa_key=b.pem"], rsa_key="a.pem")


# -- one that fails costs the others nothing ----------------------------------------------------

# What the second gateway serves, in a process of its own that can be killed.
MORTAL = """
import sys
from test_gateways import SecondGateway, serving
with SecondGateway(serving(16, 14)) as gateway:
    print(gateway.url, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def mortal(tests: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, "-c", MORTAL], cwd=tests,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def after(number: int, act: Callable[[], object]) -> Callable[[Exchange], None]:
    """A script that does something before it answers its so-many-th query."""

    def script(exchange: Exchange) -> None:
        if exchange.query is not None and exchange.number == number:
            act()
        obliging(exchange)

    return script


def answering_no_page(exchange: Exchange) -> None:
    if exchange.proto_id in {INIT_CONNECT, KEEP_ALIVE}:
        obliging(exchange)


def mute(_: Exchange) -> None:
    pass


LIMIT, WINDOW_S = 12, 0.5
KNOWN = serving(16, 14)  # 3 pages of 5 each


def assert_kept_its_slots(gateway: SecondGateway) -> None:
    """Nearly all that its limit allows from its first request to its last."""
    arrived = [query.arrived for query in gateway.queries]
    windows = math.ceil(len(arrived) / LIMIT) - 1
    assert windows >= 2
    # The last ones of all may have to wait for an answer that comes from nobody else. How close it
    # comes is for a benchmark: other work on the machine must not fail a test.
    assert arrived[-1] - arrived[0] < windows * WINDOW_S / 0.95 + 3.0


def read_beside(healthy: SecondGateway, bad: str, store: Path | None = None) -> None:
    urls = [bad, f"{healthy.url}?limit={LIMIT}/{WINDOW_S}"]
    with FutuShortSource(codes(16), gateway=urls, num=5, timeout=0.5, store=store) as src:
        assert whole(src.read(), KNOWN)
    assert_kept_its_slots(healthy)


@pytest.mark.slow
@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSTOP])
def test_one_that_dies(
    death: signal.Signals, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        mortal(request.path.parent) as (dying, process),
        SecondGateway(KNOWN, after(9, lambda: process.send_signal(death))) as heir,
    ):
        read_beside(heir, f"{dying}?limit={LIMIT}/{WINDOW_S}")
    (warning,) = messages(caplog, "is left out")
    assert warning.startswith(dying)


@pytest.mark.parametrize("script", [mute, silent_after_the_handshake])
def test_one_that_does_not_answer(
    script: Callable[[Exchange], None], caplog: pytest.LogCaptureFixture
) -> None:
    with (
        SecondGateway(KNOWN, script) as hung,
        SecondGateway(KNOWN) as healthy,
    ):
        read_beside(healthy, f"{hung.url}?limit=off")
    (warning,) = messages(caplog, "is left out")
    assert warning.startswith(hung.url)


@pytest.mark.slow
def test_one_that_beats_but_answers_no_page(
    patience: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    patience(silence_s=0.3)  # so that it beats ten times a second
    with (
        SecondGateway(KNOWN, answering_no_page) as hung,
        SecondGateway(KNOWN) as healthy,
    ):
        read_beside(healthy, f"{hung.url}?limit=off")
        assert hung.keep_alives
        assert hung.connections == 1
    (warning,) = messages(caplog, "is left out")
    assert warning.startswith(hung.url)
    assert "no answer within 0.5 s" in warning


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nobody", "swallower"])
def test_one_that_takes_no_connection(
    kind: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    bad = request.getfixturevalue(kind)
    with SecondGateway(KNOWN) as healthy:
        read_beside(healthy, bad)
        assert len(healthy.queries) == 48
    (warning,) = messages(caplog, "is left out")
    assert warning.startswith(bad)


class Ignorant(SecondGateway):
    """Answers the cursors of others with no row, as if there were no more."""

    def page(self, code: str, next_key: str | None, num: int | None) -> bytes:
        if next_key is not None:
            own = next_key.startswith("0000")
            next_key = next_key if own else "999999"
        return super().page(code, next_key, num)

    def _next_key(self, begin: int, rows: Sequence[object]) -> str:
        return f"0000{begin + len(rows)}"


def test_one_whose_cursors_the_other_answers_with_nothing(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with (
        mortal(request.path.parent) as (dying, process),
        Ignorant(KNOWN, after(9, process.kill)) as heir,
    ):
        # Without a store a cursor that leads nowhere is an error.
        read_beside(heir, f"{dying}?limit={LIMIT}/{WINDOW_S}", tmp_path)


@pytest.mark.slow
def test_one_whose_answers_are_damaged(caplog: pytest.LogCaptureFixture) -> None:
    def damage(exchange: Exchange) -> None:
        answer = exchange.answer
        exchange.send(answer if exchange.query is None else answer[:-1] + b"?")

    with (
        SecondGateway(KNOWN, damage) as broken,
        SecondGateway(KNOWN) as sound,
    ):
        read_beside(sound, f"{broken.url}?limit=off")
    (warning,) = messages(caplog, "is left out")
    assert warning.startswith(broken.url)
    assert "SHA-1" in warning


def test_a_page_that_one_gateway_drops_is_asked_of_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def drop(exchange: Exchange) -> None:
        if exchange.query and exchange.query.code == "US.T1":
            exchange.close()
        else:
            obliging(exchange)

    with SecondGateway(serving(3), drop) as one, SecondGateway(serving(3)) as two:
        jobs = {code: one_page(question(code)) for code in codes(3)}
        results, failures = read(jobs, opened(one, two))
        assert failures == {}
        assert len(results["US.T1"].us_items) == 3
        two.script = drop
        with pytest.raises(GatewayDisconnectedError, match=r"asked [3-6] times"):
            ask(opened(one, two), "US.T1")


def test_a_page_that_nobody_is_left_for_is_an_error_and_not_waited_for(
    patience: Callable[..., None],
) -> None:
    """One gateway answers everything else; the other one, which might know, does not come back."""
    patience(reconnect_s=0.6)
    other = SecondGateway(serving(3))

    def script(exchange: Exchange) -> None:
        if exchange.query is None or exchange.query.code != "US.T1":
            obliging(exchange)
        elif exchange.number:
            exchange.close()

    def leaving() -> Job:
        while not other.queries:
            yield question("US.T0")
        other.__exit__(None, None, None)
        return (yield from one_page(question("US.T1")))

    with SecondGateway(serving(3), script) as one, other:
        _, failures = read({"": leaving()}, opened(f"{other.url}?limit=off", one))
    assert isinstance(failures[""], GatewayDisconnectedError)
    assert "asked " in str(failures[""])


def test_a_walk_that_waits_for_the_limit_of_a_gateway_that_dies_does_not_wait_for_it() -> None:
    dying = SecondGateway(serving(1, 14))
    with SecondGateway(serving(1, 14)) as heir, contextlib.ExitStack() as stack:
        stack.enter_context(dying)
        gateways = opened(f"{dying.url}?limit=2/600", heir)
        first, second = gateways.lines

        def dies() -> Job:
            reply = yield question("US.T0", None, 5)
            while not first.issued(reply.issuer):
                reply = yield question("US.T0", None, 5)
            yield question("US.T0", "5", 5, reply.issuer)
            threading.Timer(0.3, dying.__exit__, (None, None, None)).start()
            reply = yield question("US.T0", "5", 5, reply.issuer)
            assert second.issued(reply.issuer)
            return days_of(reply.answer)

        results, failures = read({"": dies()}, gateways)
        gateways.close()
    assert failures == {}
    assert results[""] == days_in(serving(1, 14)["US.T0"].rows[5:10])


# -- all that fail ------------------------------------------------------------------------------


def test_when_all_are_down_the_error_names_all_and_the_next_read_tries_them_again(
    nobody: str,
) -> None:
    with SecondGateway(serving(3)) as gateway:
        url = gateway.url
    with FutuShortSource(codes(3), gateway=[nobody, url]) as src:
        begin = time.monotonic()
        with pytest.raises(GatewayUnreachableError) as caught:
            src.read()
        assert time.monotonic() - begin < 5
        assert nobody in str(caught.value)
        assert url in str(caught.value)
        with SecondGateway(serving(3), port=gateway.port):
            assert len(src.read()) == 9


def lost_after_an_answer(one: SecondGateway, two: SecondGateway, then: Callable[[], None]) -> Job:
    """A page once both gateways have answered and are gone."""
    reply = yield question("US.T0", None, 5)
    while not (one.queries and two.queries):
        reply = yield question("US.T0", None, 5)
    one.__exit__(None, None, None)
    two.__exit__(None, None, None)
    then()
    reply = yield question("US.T0", reply.answer.next_key, 5, reply.issuer)
    if reply.error is not None:
        raise reply.error
    return days_of(reply.answer)


def until_both_are_asked(one: SecondGateway, two: SecondGateway) -> Job:
    while not (one.queries and two.queries):
        yield question("US.T0", None, 5)


def dying_jobs(one: SecondGateway, two: SecondGateway, then: Callable[[], None]) -> dict[int, Job]:
    """As `lost_after_an_answer`, beside others, so that both have something to answer."""
    others = {i: until_both_are_asked(one, two) for i in range(1, 4)}
    return {0: lost_after_an_answer(one, two, then), **others}


def two_that_die(stack: contextlib.ExitStack) -> tuple[SecondGateway, SecondGateway]:
    one, two = SecondGateway(serving(1, 14)), SecondGateway(serving(1, 14))
    return stack.enter_context(one), stack.enter_context(two)


@pytest.mark.parametrize("number", [0, 1])
def test_when_all_die_all_are_sought_and_the_first_that_comes_back_goes_on(number: int) -> None:
    with contextlib.ExitStack() as stack:
        lost = two_that_die(stack)

        def come_back() -> None:
            back = SecondGateway(serving(1, 14), port=lost[number].port)
            threading.Timer(0.3, lambda: stack.enter_context(back)).start()

        gateways = opened(*(f"{gateway.url}?limit=off" for gateway in lost))
        results, failures = read(dying_jobs(*lost, come_back), gateways)
        gateways.close()
        assert failures == {}
        assert results[0] == days_in(serving(1, 14)["US.T0"].rows[5:10])


def test_when_all_die_for_good_the_error_names_them_once_they_were_sought_as_long_as_one_is(
    patience: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    patience(reconnect_s=0.6)
    with contextlib.ExitStack() as stack:
        lost = two_that_die(stack)
        gateways = opened(*(f"{gateway.url}?limit=off" for gateway in lost))
        gone_at: list[float] = []
        jobs = dying_jobs(*lost, lambda: gone_at.append(time.monotonic()))
        with pytest.raises(GatewayUnreachableError) as caught:
            read(jobs, gateways)
        assert time.monotonic() - gone_at[0] >= 0.6
    assert all(gateway.url in str(caught.value) for gateway in lost)
    assert len(messages(caplog, "left out")) <= 1
    begin = time.monotonic()
    with pytest.raises(GatewayUnreachableError):
        ask(gateways)  # a first connection again
    assert time.monotonic() - begin < 5


def test_a_gateway_that_refuses_after_a_restart_fails_all_who_wait_together(
    patience: Callable[..., None],
) -> None:
    """And not one after the other, a tick each."""
    patience(reconnect_s=0.3)
    begun: list[float] = []

    def script(exchange: Exchange) -> None:
        if exchange.proto_id == INIT_CONNECT and exchange.number > 1:
            exchange.close()
        elif exchange.query is not None and exchange.number > 1:
            begun.append(time.monotonic())
            exchange.close()
        else:
            obliging(exchange)

    with SecondGateway(serving(200), script) as gateway:
        jobs = {code: one_page(question(code)) for code in codes(200)}
        _, failures = read(jobs, opened(f"{gateway.url}?limit=off"))
    assert len(failures) == 199
    assert time.monotonic() - begun[0] < 20  # 199 ticks would be 50 s


# -- back again ---------------------------------------------------------------------------------


def test_a_gateway_that_was_left_out_is_tried_again_after_a_while_and_used_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(line_module, "AWAY_S", 0.3)
    dying = SecondGateway(serving(1))
    with SecondGateway(serving(1)) as heir, contextlib.ExitStack() as stack:
        stack.enter_context(dying)

        def dies() -> Job:
            while not dying.queries:
                yield question("US.T0")
            dying.__exit__(None, None, None)
            while not messages(caplog, "is left out"):
                yield question("US.T0")
            again = stack.enter_context(SecondGateway(serving(1), port=dying.port))
            while not again.queries:
                yield question("US.T0")

        gateways = opened(*(f"{gateway.url}?limit=off" for gateway in (dying, heir)))
        _, failures = read({"": dies(), **{i: asking_on(heir) for i in range(2)}}, gateways)
        gateways.close()
    assert failures == {}
    assert len(messages(caplog, "is left out")) == 1
    assert len(messages(caplog, "is back")) == 1


def asking_on(_: SecondGateway) -> Job:
    yield question("US.T0")


def test_one_that_hangs_is_tried_with_one_question_and_is_back_when_it_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(line_module, "AWAY_S", 0.2)

    def hung(exchange: Exchange) -> None:
        if exchange.query is None or exchange.query.connection > 2:
            obliging(exchange)

    def until_it_is_back() -> Job:
        while not messages(caplog, "is back"):
            yield question("US.T0")

    with SecondGateway(serving(1), hung) as bad, SecondGateway(serving(1)) as good:
        gateways = opened(*(f"{g.url}?limit=off" for g in (bad, good)), timeout=0.3)
        _, failures = read({i: until_it_is_back() for i in range(8)}, gateways)
        gateways.close()
    assert failures == {}
    assert [query.connection for query in bad.queries].count(2) == 1
    assert len(messages(caplog, "is left out")) == 1


# -- cursors of a gateway that is gone ----------------------------------------------------------


def walk_with_a_death_in_it(
    dying: SecondGateway, heir: SecondGateway, pages_before: int
) -> list[str]:
    """Days of a walk during which the first gateway died; what was given does not change."""

    def late(exchange: Exchange) -> None:
        """Shake hands once the walk has begun at the other gateway."""
        if exchange.proto_id == INIT_CONNECT:
            dying.wait_until(lambda: bool(dying.queries))
        obliging(exchange)

    heir.script = late
    with FutuShortSource("US.T0", gateway=[dying.url, heir.url], num=5) as src:
        with dying:
            early = [src.read_partition(i) for i in range(pages_before)]
        frame = src.read()
        for i, part in enumerate(early):
            assert src.read_partition(i).equals(part)
    return list(frame["timestamp_str"])


def test_another_gateway_that_takes_the_cursor_goes_on_with_the_walk() -> None:
    known = serving(1, 33)
    with SecondGateway(known) as heir:
        days = walk_with_a_death_in_it(SecondGateway(known), heir, 1)
        assert [query.next_key for query in heir.queries] == ["5", "10", "15", "20", "25", "30"]
    assert days == days_in(known["US.T0"].rows)


class Stranger(Ignorant):
    """Refuses the cursors of others."""

    def page(self, code: str, next_key: str | None, num: int | None) -> bytes:
        if next_key is not None and not next_key.startswith("0000"):
            next_key = "unknown"
        return super(Ignorant, self).page(code, next_key, num)


@pytest.mark.parametrize("kind", [Ignorant, Stranger])
def test_a_first_page_asked_again_leads_on_where_its_cursor_is_not_known(
    kind: type[SecondGateway],
) -> None:
    # A trading day newer than the walk has come meanwhile; its rows have moved by one.
    rows = make_rows("US", 34)
    with kind({"US.T0": History("US", rows)}) as heir:
        dying = SecondGateway({"US.T0": History("US", rows[1:])})
        days = walk_with_a_death_in_it(dying, heir, 1)
        assert [query.next_key for query in heir.queries[:3]] == ["5", None, "00005"]
    assert days == days_in(rows[1:])  # complete as of the first page, none twice


@pytest.mark.parametrize("kind", [Ignorant, Stranger])
def test_a_cursor_that_nobody_left_knows_is_an_error_and_no_short_history(
    kind: type[SecondGateway],
) -> None:
    known = serving(1, 33)
    with (
        kind(known) as heir,
        pytest.raises(PaginationError, match=r"US\.T0.*'15' leads nowhere any more"),
    ):
        walk_with_a_death_in_it(SecondGateway(known), heir, 3)


class Forgetful(SecondGateway):
    """Takes the cursors of its newest connection only."""

    def page(self, code: str, next_key: str | None, num: int | None) -> bytes:
        life = f"{self.connections:04}"
        if next_key is not None:
            next_key = next_key[4:] if next_key.startswith(life) else "forgotten"
        return super().page(code, next_key, num)

    def _next_key(self, begin: int, rows: Sequence[object]) -> str:
        return f"{self.connections:04}{begin + len(rows)}"


def hanging_up_at(*numbers: int) -> Callable[[Exchange], None]:
    def script(exchange: Exchange) -> None:
        if exchange.query is not None and exchange.number in numbers:
            exchange.close()
        else:
            obliging(exchange)

    return script


def test_a_reconnect_of_a_gateway_that_knows_its_cursors_costs_one_more_question() -> None:
    known = serving(1, 33)
    with (
        SecondGateway(known, hanging_up_at(4)) as gateway,
        FutuShortSource("US.T0", gateway=gateway.url, num=5) as src,
    ):
        assert src.read()["timestamp_str"].tolist() == days_in(known["US.T0"].rows)
    asked = [query.next_key for query in gateway.queries]
    assert asked == [None, "5", "10", "15", "15", "20", "25", "30"]


def test_one_that_forgets_its_cursors_is_asked_for_the_newest_page_again() -> None:
    known = serving(1, 33)
    with (
        Forgetful(known, hanging_up_at(2)) as gateway,
        FutuShortSource("US.T0", gateway=gateway.url, num=5) as src,
    ):
        assert src.read()["timestamp_str"].tolist() == days_in(known["US.T0"].rows)


def test_one_that_forgot_the_page_before_too_is_an_error_and_can_be_read_anew() -> None:
    known = serving(1, 33)
    with (
        Forgetful(known, hanging_up_at(4)) as gateway,
        FutuShortSource("US.T0", gateway=gateway.url, num=5) as src,
    ):
        with pytest.raises(PaginationError, match=r"US\.T0.*close the source and read again"):
            src.read()
        src.close()
        assert src.read()["timestamp_str"].tolist() == days_in(known["US.T0"].rows)


def test_over_a_store_a_lost_cursor_costs_a_walk_and_no_error(tmp_path: Path) -> None:
    known = serving(1, 33)
    with (
        Forgetful(known, hanging_up_at(4)) as gateway,
        FutuShortSource("US.T0", gateway=gateway.url, num=5, store=tmp_path) as src,
    ):
        assert src.read()["timestamp_str"].tolist() == days_in(known["US.T0"].rows)


def test_close_in_another_thread_ends_every_wait() -> None:
    with (
        SecondGateway(serving(4), answering_no_page) as one,
        SecondGateway(serving(4), answering_no_page) as two,
    ):
        gateways = opened(*(f"{gateway.url}?limit=1/600" for gateway in (one, two)))

        def stop() -> None:
            one.wait_until(lambda: len(one.queries) == 1)
            two.wait_until(lambda: len(two.queries) == 1)
            gateways.stop()

        stopper = threading.Thread(target=stop)
        stopper.start()
        with pytest.raises(GatewayDisconnectedError, match="closed here"):
            read({code: walk(code) for code in codes(4)}, gateways)
        stopper.join()
