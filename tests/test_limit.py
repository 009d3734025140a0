from __future__ import annotations

import contextlib
import gc
import linecache
import logging
import os
import platform
import secrets
import shutil
import sqlite3
import stat
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake_futu_short.opend import limit as limit_module
from intake_futu_short.opend import limit_file
from intake_futu_short.opend.address import Limit
from intake_futu_short.opend.limit import HostLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

TWO = Limit(2, 30.0)
URL = "opend://h"


class Clock:
    def __init__(self) -> None:
        self.now = 1e6  # some days after the boot

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process knows of files and slots does not outlive the test."""
    monkeypatch.setattr(limit_module, "_calls", {})
    monkeypatch.setattr(limit_file, "_known", {})


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Users:
    """Makes users of the limit, each of which is a process of its own where it says so."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self.clock = clock
        self.made: list[HostLimit] = []

    def __call__(
        self,
        limit: Limit = TWO,
        *,
        place: str = "127.0.0.1:11111",
        call_name: str = "daily_short_volume",
        is_other_process: bool = False,
        folder: Path | None = None,
    ) -> HostLimit:
        if is_other_process:
            limit_module._calls = {}
            limit_file._known = {}
        user = HostLimit(
            place, call_name, limit, name=URL, clock=self.clock, folder=folder or self.folder
        )
        _ = user._call  # from now on it belongs to this process
        self.made.append(user)
        return user

    def other(self, limit: Limit = TWO) -> HostLimit:
        """A user in another process, as far as memory goes."""
        user = self(limit, is_other_process=True)
        assert user._call.slots == {}
        return user


@pytest.fixture
def users(tmp_path: Path, clock: Clock) -> Iterator[Users]:
    made = Users(tmp_path / "cache", clock)
    yield made
    for user in made.made:
        user.close()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def warnings(log: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in log.records if r.levelno >= logging.WARNING]


def taken(user: HostLimit, timeout: float = 12.0) -> int:
    """The mark of a slot that is free."""
    wait, mark = user.take(timeout)
    assert wait == 0.0
    assert mark is not None
    return mark


def ended(user: HostLimit) -> None:
    user.end(taken(user))


def wait(user: HostLimit, timeout: float = 12.0) -> float:
    """Seconds that a user has to wait; a slot that is free is given back."""
    seconds, mark = user.take(timeout)
    assert (mark is None) == (seconds > 0)
    if mark is not None:
        user.give_back(mark)
        user.flush()
    return seconds


def file_of(folder: Path) -> Path:
    (path,) = folder.glob("*.sqlite")
    return path


def change(folder: Path, sql: str, *values: object) -> None:
    """Change the file behind the package's back."""
    with contextlib.closing(sqlite3.connect(file_of(folder), isolation_level=None)) as db:
        db.execute(sql, values)


def select(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(file_of(folder))) as db:
        return db.execute(sql).fetchall()


# -- the rule -----------------------------------------------------------------------------------


def test_a_slot_is_free_one_window_after_its_answer(users: Users, clock: Clock) -> None:
    user, other = users(), users.other()
    first, second = taken(user), taken(other)
    clock.now += 1.0
    user.end(first)
    user.flush()
    clock.now += 1.0
    assert other.take(12.0) == (29.0, None)
    clock.now += 8.0
    other.end(second)
    clock.now += 20.75
    assert other.take(12.0) == (0.25, None)
    clock.now += 0.25
    taken(other)
    assert user.take(12.0) == (9.0, None)


def test_the_first_go_at_once(users: Users) -> None:
    user = users(Limit(30, 30.0))
    for _ in range(30):
        taken(user)
    assert user.take(12.0) == (30.0, None)


def test_what_is_in_flight_can_be_free_a_window_from_now_at_the_earliest(
    users: Users, clock: Clock
) -> None:
    user = users()
    taken(user)
    taken(user)
    clock.now += 5.0
    assert user.take(12.0) == (30.0, None)


def test_a_slot_in_flight_counts_one_window_from_its_deadline(users: Users, clock: Clock) -> None:
    user = users()
    taken(user, 12.0)
    taken(user, 13.0)
    clock.now += 41.0
    assert users.other().take(12.0) == (1.0, None)
    clock.now += 1.0
    taken(users.other())
    assert users.other().take(12.0) == (1.0, None)


def test_an_answer_behind_another_one_counts_by_its_own_time(users: Users, clock: Clock) -> None:
    user = users()
    first, second = taken(user), taken(user)
    clock.now += 2.0
    user.end(second)
    clock.now += 3.0
    user.end(first)
    clock.now += 5.0
    assert user.take(12.0) == (22.0, None)
    clock.now += 22.0
    taken(user)
    assert user.take(12.0) == (3.0, None)


def test_an_end_is_written_late_with_the_time_at_which_it_was(users: Users, clock: Clock) -> None:
    user, other = users(), users.other()
    for mark in [taken(user), taken(user)]:
        user.end(mark)
    clock.now += 10.0
    # As long as it is not written, the slot counts as in flight.
    assert other.take(12.0) == (30.0, None)
    user.flush()
    assert other.take(12.0) == (20.0, None)


def test_an_end_is_written_with_the_next_slot(users: Users, clock: Clock) -> None:
    user = users(Limit(3, 30.0))
    other = users.other(Limit(3, 30.0))
    user.end(taken(user))
    clock.now += 10.0
    user.end(taken(user))
    clock.now += 10.0
    taken(user)
    assert other.take(12.0) == (10.0, None)


def test_closing_writes_what_was_noted(users: Users, clock: Clock) -> None:
    user = users()
    for mark in [taken(user), taken(user)]:
        user.end(mark)
    user.close()
    clock.now += 10.0
    assert users.other().take(12.0) == (20.0, None)
    assert user.take(12.0) == (20.0, None)  # it is opened again


def test_a_slot_given_back_is_free_at_once(users: Users) -> None:
    user = users()
    taken(user)
    user.give_back(taken(user))
    taken(user)
    assert user.take(12.0) == (30.0, None)
    for _ in range(20):
        only = users(Limit(1, 600.0), place="127.0.0.1:2")
        only.give_back(taken(only))
        only.close()


def test_an_answer_counts_also_when_its_slot_was_forgotten(users: Users, clock: Clock) -> None:
    user, other = users(), users.other()
    late = [taken(user), taken(user)]
    clock.now += 100.0
    for mark in [taken(other), taken(other)]:
        other.give_back(mark)
    other.flush()
    for mark in late:
        user.end(mark)
    clock.now += 1.0
    assert other.take(12.0) == (29.0, None)


def test_an_end_behind_the_deadline_is_known_to_others_at_once(users: Users, clock: Clock) -> None:
    user, other = users(), users.other()
    late, early = taken(user), taken(user)
    clock.now += 12.0
    user.end(early)  # on time: nobody relies on more than that it counts until then
    assert user._call.has_news
    clock.now += 8.0
    user.end(late)
    clock.now += 1.0
    assert other.take(12.0) == (21.0, None)
    clock.now += 21.0
    taken(other)
    assert other.take(12.0) == (8.0, None)


def test_after_a_refusal_nobody_takes_a_slot_for_one_window(
    users: Users, clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    user, other = users(), users.other()
    taken(other)
    user.refused()
    clock.now += 1.0
    user.refused()
    assert other.take(12.0) == (30.0, None)
    assert user.take(12.0) == (30.0, None)
    assert warnings(log) == [
        "opend://h says that requests are too frequent, though we kept to 2 in 30 seconds: other "
        "programs use it too"
    ]
    clock.now += 29.0
    user.refused()
    assert len(warnings(log)) == 2
    clock.now += 30.0
    taken(other)


def test_a_refusal_is_of_one_call_at_one_gateway(users: Users) -> None:
    user = users()
    user.refused()
    taken(users(place="127.0.0.1:11112"))
    taken(users(call_name="short_interest"))
    assert user.take(12.0) == (30.0, None)


def test_a_stricter_limit_counts_what_was_asked_under_the_laxer_one(
    users: Users, clock: Clock
) -> None:
    lax = users(Limit(5, 30.0))
    for _ in range(4):
        ended(lax)
        clock.now += 1.0
    lax.flush()
    clock.now += 6.0
    # Three of the four must no longer count before a second one is free.
    assert users.other(TWO).take(12.0) == (22.0, None)


def test_the_limit_that_another_user_named_holds_as_long_as_its_requests_may_count(
    users: Users, clock: Clock
) -> None:
    lax, strict = users(Limit(3, 30.0)), users.other(Limit(1, 60.0))
    ended(strict)
    strict.close()
    assert lax.take(12.0) == (60.0, None)
    clock.now += 60.0
    lax.end(taken(lax))  # the stricter name still holds
    clock.now += 11.75
    assert lax.take(12.0) == (48.25, None)
    clock.now += 0.25
    for _ in range(2):
        taken(lax)
    assert lax.take(12.0) == (18.0, None)


def test_a_limit_is_named_also_by_who_finds_no_slot(users: Users, clock: Clock) -> None:
    lax, strict = users(Limit(3, 30.0)), users.other(Limit(1, 30.0))
    for _ in range(3):
        ended(lax)
    lax.flush()
    assert strict.take(12.0) == (30.0, None)
    clock.now += 30.0
    assert strict.take(1.0)[1] is not None
    assert lax.take(12.0) == (30.0, None)
    # A shorter patience of the same user does not make the name lapse earlier.
    clock.now += 11.75
    assert lax.take(12.0)[1] is None


def test_of_three_names_the_next_strictest_holds_when_the_strictest_has_lapsed(
    users: Users, clock: Clock
) -> None:
    one, two, three = (users.other(Limit(number, 30.0)) for number in (1, 2, 3))
    one.give_back(taken(one))
    one.flush()
    clock.now += 41.0
    two.give_back(taken(two))
    two.flush()
    clock.now += 1.0
    taken(three)
    taken(three)
    assert three.take(12.0) == (30.0, None)


def test_the_fewest_requests_and_the_longest_window_hold_together(
    users: Users, clock: Clock
) -> None:
    few, long = users.other(Limit(1, 5.0)), users.other(Limit(9, 30.0))
    few.give_back(taken(few))
    few.flush()
    ended(long)
    assert long.take(12.0) == (30.0, None)
    assert few.take(12.0) == (30.0, None)


def test_gateways_and_calls_are_counted_apart_and_users_of_one_together(
    users: Users, clock: Clock
) -> None:
    for _ in range(2):
        ended(users())
    users().flush()
    clock.now += 1.0
    assert users().take(12.0) == (29.0, None)
    assert users.other().take(12.0) == (29.0, None)
    for place in ("127.0.0.1:11112", "127.0.0.2:11111", "[fe80::1%eth0]:11111"):
        taken(users(place=place))
    taken(users(call_name="short_interest"))


def test_a_timeout_longer_than_is_believed_ends_there(users: Users, clock: Clock) -> None:
    user = users(Limit(1, 30.0))
    taken(user, 1e12)
    clock.now += 86_429.0
    assert users.other(Limit(1, 30.0)).take(1.0) == (1.0, None)
    clock.now += 1.0
    taken(users.other(Limit(1, 30.0)))


@dataclass
class Asked:
    who: int
    sent: float
    deadline: float
    ends: float
    is_in_flight: bool = True


class Model:
    """Three processes that may be killed, and a judge who goes through all that they ever asked.

    Whoever is prompt has always written what it noted, so that nobody waits longer than needed.
    """

    WINDOW_S, TIMEOUT_S = 8.0, 4.0

    def __init__(self, users: Users, requests: int, is_prompt: bool) -> None:
        self.users = users
        self.limit = Limit(requests, self.WINDOW_S)
        self.is_prompt = is_prompt
        self.processes = [users.other(self.limit) for _ in range(3)]
        self.asked: dict[int, Asked] = {}
        self.closed = -1e9

    def mine(self, who: int) -> list[int]:
        return [m for m, asked in self.asked.items() if asked.who == who and asked.is_in_flight]

    def needed(self, now: float) -> float:
        ends = sorted(min(asked.ends, now) for asked in self.asked.values())
        since = ends[-self.limit.requests] if len(ends) >= self.limit.requests else -1e9
        return max(since + self.WINDOW_S - now, self.closed + self.WINDOW_S - now, 0.0)

    def take(self, who: int, now: float) -> None:
        for other in self.processes if self.is_prompt else []:
            other.flush()
        seconds, mark = self.processes[who].take(self.TIMEOUT_S)
        assert (mark is None) == (seconds > 0)
        if self.is_prompt:
            assert seconds == self.needed(now)
        assert seconds >= self.needed(now)
        if mark is not None:
            deadline = now + self.TIMEOUT_S
            self.asked[mark] = Asked(who, now, deadline, deadline)

    def end(self, who: int, now: float) -> None:
        for mark in self.mine(who)[:1]:
            self.processes[who].end(mark)
            self.asked[mark].ends, self.asked[mark].is_in_flight = now, False

    def give_back(self, who: int, _: float) -> None:
        for mark in self.mine(who)[-1:]:
            self.processes[who].give_back(mark)
            del self.asked[mark]

    def kill(self, who: int, _: float) -> None:
        if self.is_prompt:
            self.processes[who].flush()
        file = self.processes[who]._file
        assert file is not None
        file.close()
        for mark in self.mine(who):
            self.asked[mark].is_in_flight = False
        self.processes[who] = self.users.other(self.limit)

    def refused(self, who: int, now: float) -> None:
        self.processes[who].refused()
        self.closed = now

    def judge(self) -> None:
        # The gateway sees a request at any time from its sending to its end. The tightest case
        # for so many in a row: the first ones arrive as late, the last as early as can be.
        spans = sorted((a.sent, min(a.ends, a.deadline)) for a in self.asked.values())
        for i, (sent, _) in enumerate(spans):
            assert sum(sent - end < self.WINDOW_S for _, end in spans[:i]) < self.limit.requests
        for user in self.processes:
            user.close()


@given(
    requests=st.integers(1, 4),
    is_prompt=st.booleans(),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["take", "take", "take", "end", "end", "give_back", "kill", "refused"]),
            st.integers(0, 2),
            st.sampled_from([0.0, 0.25, 1.0, 2.0, 5.0]),
        ),
        min_size=5,
        max_size=40,
    ),
)
def test_no_window_holds_more_than_the_limit_and_nobody_waits_longer_than_needed(
    requests: int,
    is_prompt: bool,
    steps: list[tuple[str, int, float]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    clock = Clock()
    model = Model(Users(tmp_path_factory.mktemp("cache"), clock), requests, is_prompt)
    for action, who, pause in steps:
        clock.now += pause
        getattr(model, action)(who, clock.now)
    model.judge()


# -- the file -----------------------------------------------------------------------------------


def test_it_lies_in_the_cache_directory_of_the_user_and_is_theirs_alone(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "node", lambda: "a/host:1")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(cache / "which" / "is not there yet"))
    user = HostLimit("127.0.0.1:11111", "daily_short_volume", TWO, name=URL)
    user.flush()
    user.close()
    assert list(cache.iterdir()) == []  # neither making nor closing one does I/O
    taken(user)
    user.close()
    path = file_of(platformdirs.user_cache_path("intake-futu-short", appauthor=False))
    assert cache in path.parents
    assert path.name == "limit_a_host_1.sqlite"
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "limit_a_host_1.sqlite",
        "limit_a_host_1.sqlite-journal",
        "limit_a_host_1.sqlite.lock",
    ]
    if os.name == "posix":
        assert {p.stat().st_mode & 0o777 for p in path.parent.iterdir()} == {0o600}


def test_hosts_that_share_a_home_directory_count_apart(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        monkeypatch.setattr(platform, "node", lambda name=name: name)
        user = users()
        taken(user)
        taken(user)
    assert len(list(users.folder.glob("*.sqlite"))) == 2


def test_slots_that_no_longer_count_leave_the_file_when_room_is_needed(
    users: Users, clock: Clock
) -> None:
    user = users()
    for _ in range(20):
        taken(user)
        ended(user)
        clock.now += 60.0
    user.flush()
    assert len(select(users.folder, "SELECT * FROM slot")) == 2
    assert select(users.folder, "SELECT slots FROM call") == [(2,)]


def test_memory_forgets_slots_that_no_longer_count(users: Users, clock: Clock) -> None:
    user = users(Limit(60, 30.0))
    for _ in range(100):
        taken(user)
        clock.now += 10.0
    assert len(user._call.slots) == 5


def test_the_number_of_slots_stays_that_of_their_rows(users: Users, clock: Clock) -> None:
    user = users(Limit(50, 30.0))
    marks = [taken(user) for _ in range(9)]
    for mark in marks[:4]:
        user.end(mark)
    for mark in marks[4:6]:
        user.give_back(mark)
    user.end(123)  # of a slot that was forgotten
    user.give_back(456)
    user.flush()
    assert select(users.folder, "SELECT slots FROM call") == [(8,)]
    assert len(select(users.folder, "SELECT * FROM slot")) == 8


def damage_text(path: Path) -> None:
    path.write_bytes(b"a text of somebody else's" * 100)


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096])


def damage_zeros(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(len(data) - 4096))


def damage_header(path: Path) -> None:
    path.write_bytes(b"X" + path.read_bytes()[1:])


def damage_gigabytes(path: Path) -> None:
    with path.open("wb") as sparse:
        sparse.truncate(2**32)


def other_database(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE slot (x)")


def by_sql(sql: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            assert db.execute(sql).rowcount != 0

    return damage


NOW = 1e6 + 100.0

DAMAGES: dict[str, Callable[[Path], None]] = {
    "a text": damage_text,
    "empty": damage_empty,
    "cut": damage_cut,
    "zeros": damage_zeros,
    "header": damage_header,
    "gigabytes": damage_gigabytes,
    "other database": other_database,
    **{
        sql: by_sql(sql)
        for sql in (
            "PRAGMA user_version = 2",
            "ALTER TABLE named RENAME TO names",
            "CREATE TABLE other (x)",
            "DELETE FROM host",
            "UPDATE host SET closed = 'x'",
            "UPDATE slot SET ends = 1e9",
            "UPDATE slot SET ends = 1e6 + 100.0 + 86401.0",
            "UPDATE slot SET ends = -1.0",
            "UPDATE slot SET ends = 9e999",
            "UPDATE slot SET ends = 'x' WHERE mark = (SELECT max(mark) FROM slot)",
            "UPDATE slot SET ends = x'00'",
            "DELETE FROM slot",
            "UPDATE call SET slots = 'x'",
            "UPDATE call SET slots = -1",
            "UPDATE call SET slots = 9",
            "UPDATE call SET closed = 1e6 + 101.0",
            "UPDATE call SET closed = -1.0",
            "UPDATE call SET closed = 'x'",
            "UPDATE call SET used = 1e6 + 101.0",
            "UPDATE call SET used = 'x'",
            "UPDATE named SET requests = 0",
            "UPDATE named SET requests = 'x'",
            "UPDATE named SET seconds = 1e6 + 1.0",
            "UPDATE named SET seconds = 'x'",
            "UPDATE named SET until = 1e6 + 100.0 + 86400.0 + 1e6 + 1.0",
            "UPDATE named SET until = 'x'",
        )
    },
}


# SQLite works on with what it has in memory, and a process looks at a file once.
FOUND_WHEN_FIRST_OPENED = {
    "header", "zeros", "PRAGMA user_version = 2", "CREATE TABLE other (x)",
    "DELETE FROM host", "UPDATE host SET closed = 'x'",
}  # fmt: skip


@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_closes_every_gateway_for_one_window(
    kind: str, is_open: bool, users: Users, clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    user = users()
    for mark in [taken(user), taken(user)]:
        user.end(mark)
    if is_open:
        user.flush()
    else:
        user.close()
    clock.now = NOW
    path = file_of(users.folder)
    DAMAGES[kind](path)
    if kind in FOUND_WHEN_FIRST_OPENED:
        user.close()
        is_open = False
    user = user if is_open else users.other()
    assert user.take(12.0) == (30.0, None)
    assert path.stat().st_size < 100_000
    clock.now += 20.0
    assert users.other().take(12.0) == (10.0, None)  # not a window anew
    assert users(place="127.0.0.1:2").take(12.0) == (10.0, None)
    clock.now += 10.0
    taken(user)
    (warning,) = warnings(log)
    assert warning == (
        f"{path} is damaged or gone: nothing is asked until what it held cannot count any more"
    )


@pytest.mark.parametrize("table", ["call", "named"])
def test_a_damage_of_one_call_is_found_by_the_users_of_another_when_it_matters_to_them(
    table: str, users: Users, clock: Clock
) -> None:
    taken(users())
    change(users.folder, f"DELETE FROM {table}")  # noqa: S608 - the names are those above
    taken(users(place="127.0.0.1:2"))


def test_two_that_find_the_damage_replace_the_file_once(
    users: Users, clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    one, two = users(), users.other()
    one.give_back(taken(one))
    two.give_back(taken(two))
    path = file_of(users.folder)
    path.write_bytes(b"x" * path.stat().st_size)
    assert one.take(12.0) == (30.0, None)
    clock.now += 10.0
    assert two.take(12.0) == (20.0, None)
    assert len(warnings(log)) == 1


def test_who_found_the_damage_before_another_replaced_the_file_leaves_the_new_one(
    users: Users, clock: Clock
) -> None:
    one, two = users(), users.other()
    one.give_back(taken(one))
    two.give_back(taken(two))
    path = file_of(users.folder)
    path.write_bytes(b"x" * path.stat().st_size)
    assert two._file is not None
    two._file._is_damaged = True  # found, and not yet looked at again
    assert one.take(12.0) == (30.0, None)
    clock.now += 10.0
    assert two.take(12.0) == (20.0, None)


def test_the_old_journal_is_not_played_back_into_the_new_file(users: Users, clock: Clock) -> None:
    user = users()
    user.give_back(taken(user))
    user.close()
    path = file_of(users.folder)
    journal = Path(f"{path}-journal")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = PERSIST")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE host SET closed = 0.0")
        of_one_who_was_killed = journal.read_bytes()
        db.execute("ROLLBACK")
    path.unlink()
    journal.write_bytes(of_one_who_was_killed)
    for suffix in ("-wal", "-shm", f".{os.getpid()}.new"):
        Path(f"{path}{suffix}").write_bytes(b"left over")
    assert user.take(12.0) == (30.0, None)
    assert sorted(p.name for p in users.folder.iterdir()) == [
        path.name, f"{path.name}-journal", f"{path.name}.lock",
    ]  # fmt: skip
    clock.now += 30.0
    taken(user)


@pytest.mark.parametrize("is_closed", [False, True])
@pytest.mark.parametrize("is_all", [False, True])
def test_a_cache_emptied_in_the_meantime_closes_the_gateways_for_one_window(
    is_all: bool, is_closed: bool, users: Users, clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    user, other = users(), users()
    taken(user)
    other.give_back(taken(other))
    if is_closed:
        user.close()
    clock.now += 1.0
    if is_all:
        shutil.rmtree(users.folder)
    else:
        file_of(users.folder).unlink()
    assert user.take(12.0) == (30.0, None)
    assert "gone" in warnings(log)[0]
    clock.now += 1.0
    assert other.take(12.0) == (29.0, None)
    assert users.other().take(12.0) == (29.0, None)
    assert len(warnings(log)) == 1


@pytest.mark.parametrize("is_all", [False, True])
def test_a_cache_emptied_within_a_transaction_is_one_that_was_emptied(
    is_all: bool, users: Users, clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    emptied: list[bool] = []

    def emptying_clock() -> float:
        if is_armed and not emptied:
            emptied.append(True)
            if is_all:
                shutil.rmtree(users.folder)
            else:
                file_of(users.folder).unlink()
        return clock.now

    is_armed = False
    user = HostLimit(
        "127.0.0.1:11111", "daily_short_volume", TWO,
        name=URL, clock=emptying_clock, folder=users.folder,
    )  # fmt: skip
    user.give_back(taken(user))
    user.flush()
    is_armed = True
    assert user.take(12.0) == (30.0, None)
    assert emptied
    user.close()
    (warning,) = warnings(log)
    assert "is damaged or gone" in warning
    assert users.other().take(12.0) == (30.0, None)


def test_what_a_living_process_has_in_flight_counts_in_a_file_made_anew(
    users: Users, clock: Clock
) -> None:
    user, other = users(), users.other()
    taken(user, 1000.0)
    mark = taken(other, 1000.0)
    file_of(users.folder).unlink()
    assert other.take(12.0) == (30.0, None)
    clock.now += 10.0
    assert user.take(12.0) == (30.0, None)
    clock.now += 20.0
    assert user.take(12.0) == (30.0, None)
    other.end(mark)
    other.flush()
    clock.now += 29.0
    assert user.take(12.0) == (1.0, None)
    assert select(users.folder, "SELECT slots FROM call") == [(2,)]


def test_a_file_that_is_gone_from_a_process_that_never_used_it_is_a_first_one(
    users: Users, log: pytest.LogCaptureFixture
) -> None:
    user = users()
    taken(user)
    taken(user)
    user.close()
    file_of(users.folder).unlink()
    taken(users.other())
    assert warnings(log) == []


def test_a_file_of_another_boot_counts_from_the_beginning_of_this_one(
    users: Users, clock: Clock, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    user = users()
    taken(user)
    user.refused()
    user.close()
    monkeypatch.setattr(limit_file, "_boot", lambda: "another")
    clock.now = 10.0
    again = users.other()
    assert again.take(12.0) == (20.0, None)
    assert users(place="127.0.0.1:2").take(12.0) == (20.0, None)
    clock.now = 30.0
    taken(again)
    taken(again)
    assert again.take(12.0) == (30.0, None)
    assert len(warnings(log)) == 1  # of the refusal


def test_without_a_name_of_the_boot_a_time_ahead_of_the_clock_is_of_another_one(
    users: Users, clock: Clock, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limit_file, "_boot", lambda: "")
    clock.now = 100.0
    user = users()
    taken(user)
    taken(user)
    user.close()
    assert users.other().take(12.0) == (30.0, None)  # nor is a deadline a time that was
    clock.now = 99.75
    users.other().flush()
    clock.now = 9.0
    assert users.other().take(12.0) == (21.0, None)
    clock.now = 30.0
    taken(users.other())
    assert warnings(log) == []


def test_a_file_closed_since_another_boot_without_a_name_is_of_that_boot(
    users: Users, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limit_file, "_boot", lambda: "")
    user = users()
    taken(user)
    file_of(users.folder).write_bytes(b"x" * 1000)
    assert user.take(12.0) == (30.0, None)
    user.close()
    change(users.folder, "DELETE FROM call")
    clock.now = 10.0
    assert users.other().take(12.0) == (20.0, None)


def test_the_boot_has_a_name_where_the_system_tells_one(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "linux":
        assert len(limit_file._boot()) == 36

    def fail(*_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", fail)
    assert limit_file._boot() == ""


def test_what_raises_within_a_transaction_changes_nothing(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = users()
    taken(user)

    def fail(*_: object) -> float:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(secrets, "randbits", fail)
        with pytest.raises(ZeroDivisionError):
            user.take(12.0)
    assert len(select(users.folder, "SELECT * FROM slot")) == 1
    taken(users.other())


def test_an_interrupt_anywhere_leaves_the_file_free_and_no_slot_forgotten(
    users: Users, clock: Clock
) -> None:
    limit = Limit(10_000, 30.0)
    other = users(limit)
    taken(other)
    names = {limit_module.__file__, limit_file.__file__}
    sent, line = 1, 0
    while True:
        line += 1
        user, left = users.other(limit), line

        def interrupt(frame: FrameType, event: str, _: object) -> Any:
            nonlocal left
            if frame.f_code.co_filename not in names:
                return None
            text = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
            # The interpreter looks for signals at calls, and so never between a block and the end
            # of its `with`, where a trace function is called.
            if event == "line" and not text.lstrip().startswith("with "):
                left -= 1
                if left == 0:
                    raise KeyboardInterrupt
            return interrupt

        marks = []
        before = sys.gettrace()
        sys.settrace(interrupt)
        try:
            for _ in range(2):
                marks.append(user.take(12.0)[1])
                user.end(marks[0] or 0)
            user.close()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        sent += len(marks)
        taken(other)  # nobody else is kept out
        sent += 1
        user.close()
        assert len(select(users.folder, "SELECT * FROM slot")) >= sent
        assert select(users.folder, "SELECT count(*) - (SELECT slots FROM call) FROM slot") == [
            (0,)
        ]
        if left > 0:
            break
    assert line > 150


# -- where there is no file ---------------------------------------------------------------------


def a_file_for_the_directory(folder: Path) -> None:
    folder.write_text("a file where the directory should be")


def read_only(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o500)


def place_of(folder: Path) -> Path:
    folder.mkdir()
    return folder / f"limit_{platform.node()}.sqlite"


def a_directory(folder: Path) -> None:
    place_of(folder).mkdir()


def a_directory_for_the_lock(folder: Path) -> None:
    Path(f"{place_of(folder)}.lock").mkdir()


def a_fifo(folder: Path) -> None:
    os.mkfifo(place_of(folder))


def a_fifo_for_the_lock(folder: Path) -> None:
    os.mkfifo(f"{place_of(folder)}.lock")


def a_device(folder: Path) -> None:
    place_of(folder).symlink_to("/dev/null")


def a_text_for_the_lock(folder: Path) -> None:
    Path(f"{place_of(folder)}.lock").write_text("x" * 5000)


posix = pytest.mark.skipif(os.name != "posix", reason="there is no such file")


@pytest.mark.parametrize(
    "unusable",
    [
        a_file_for_the_directory,
        a_directory,
        a_directory_for_the_lock,
        a_text_for_the_lock,
        pytest.param(a_fifo, marks=posix),
        pytest.param(a_fifo_for_the_lock, marks=posix),
        pytest.param(a_device, marks=posix),
        pytest.param(
            read_only,
            marks=pytest.mark.skipif(
                os.name != "posix" or os.geteuid() == 0, reason="the user may write everywhere"
            ),
        ),
    ],
)
def test_where_no_file_can_be_kept_the_process_counts_and_warns_once(
    unusable: Callable[[Path], None], users: Users, clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    unusable(users.folder)
    one, two, other = users(), users(), users(place="127.0.0.1:2")
    taken(other)
    first = taken(one)
    taken(two)
    clock.now += 1.0
    assert two.take(12.0) == (30.0, None)
    one.end(first)
    one.flush()
    assert one._call.noted == {}
    assert not one._call.has_news
    clock.now += 2.0
    assert two.take(12.0) == (28.0, None)
    clock.now += 28.0
    taken(two)
    assert one.take(12.0) == (11.0 + 0.0, None)
    two.close()
    (warning,) = warnings(log)
    assert warning.startswith("the limit of opend://h is counted within this process only: ")
    assert str(users.folder) in warning


def test_in_one_process_the_same_rule_holds(users: Users, clock: Clock) -> None:
    a_file_for_the_directory(users.folder)
    lax, strict = users(Limit(3, 30.0)), users(Limit(1, 60.0))
    strict.end(taken(strict))
    assert lax.take(12.0) == (60.0, None)
    clock.now += 60.0
    lax.give_back(taken(lax))
    clock.now += 12.0
    for _ in range(3):
        ended(lax)
    assert lax.take(12.0) == (30.0, None)
    clock.now += 30.0
    taken(lax)
    lax.refused()
    clock.now += 10.0
    assert lax.take(12.0) == (20.0, None)


@pytest.mark.parametrize("home", ["none", "~"])
def test_without_a_home_the_process_counts(
    home: str, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    def no_home(*_: object, **__: object) -> Path:
        if home == "~":
            return Path("~/.cache/intake-futu-short")
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(platformdirs, "user_cache_path", no_home)
    user = HostLimit("127.0.0.1:11111", "daily_short_volume", TWO, name=URL)
    again = HostLimit("127.0.0.1:11111", "daily_short_volume", TWO, name=URL)
    taken(user)
    user.flush()
    taken(again)
    assert user.take(12.0)[1] is None
    user.close()
    assert warnings(log) == [
        "the limit of opend://h is counted within this process only: the cache directory cannot be "
        "used (there is no home directory)"
    ]
    assert not Path("~").exists()


def test_without_sqlite_the_process_counts(
    users: Users, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    user = users()
    taken(user)
    taken(user)
    assert users().take(12.0) == (30.0, None)
    assert "this Python has no SQLite" in warnings(log)[0]


def test_a_full_disk_makes_the_process_count_for_itself(
    users: Users, clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    user = users()
    taken(user)
    assert user._file is not None
    assert user._file._db is not None
    user._file._db.execute("PRAGMA max_page_count = 1")
    user._file._db.execute("PRAGMA query_only = ON")  # as for a file of somebody else's
    taken(user)
    assert user.take(12.0) == (30.0, None)
    assert "readonly" in warnings(log)[0]


def test_what_was_counted_counts_on_where_the_file_is_lost(users: Users, clock: Clock) -> None:
    one, two, strict = users(Limit(3, 30.0)), users(Limit(3, 30.0)), users.other(Limit(2, 60.0))
    first = taken(one)
    taken(two, 100.0)
    strict.take(12.0)
    one.take(12.0)
    one.close()
    shutil.rmtree(users.folder)
    a_file_for_the_directory(users.folder)
    clock.now += 5.0
    one.end(first)
    assert one.take(12.0) == (60.0, None)
    clock.now += 60.0
    taken(two)


def test_a_window_closed_in_the_file_stays_closed_where_the_file_is_lost(
    users: Users, clock: Clock
) -> None:
    user = users()
    users.other().refused()
    assert user.take(12.0) == (30.0, None)
    user.close()
    shutil.rmtree(users.folder)
    a_file_for_the_directory(users.folder)
    clock.now += 5.0
    assert user.take(12.0) == (25.0, None)


@contextlib.contextmanager
def locked(folder: Path, kind: str = ".sqlite") -> Iterator[None]:
    (path,) = folder.glob(f"*{kind}")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield


def is_soon(answer: tuple[float, int | None]) -> bool:
    return 0.0 < answer[0] <= 0.01 and answer[1] is None


@pytest.mark.parametrize("kind", [".sqlite", ".sqlite.lock"])
def test_while_another_process_is_at_the_file_it_is_tried_again_soon(
    kind: str, users: Users, clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    user = users()
    mark = taken(user)
    if kind == ".sqlite.lock":
        user.close()
        user = users.other()
    with locked(users.folder, kind):
        for _ in range(41):
            assert is_soon(user.take(12.0))
            clock.now += 0.25
        clock.now -= 0.25
        user.end(mark)
        user.flush()
        user.refused()
        clock.now += 1.25
        assert is_soon(user.take(12.0))  # what lies apart is not one long time
    assert user.take(12.0) == (28.75, None)
    user.close()
    assert users.other().take(12.0) == (28.75, None)
    assert len(warnings(log)) == 1  # of the refusal


def test_a_refusal_while_the_file_is_locked_is_written_later(users: Users, clock: Clock) -> None:
    user = users()
    taken(user)
    with locked(users.folder):
        user.refused()
    clock.now += 1.0
    user.flush()
    assert users.other().take(12.0) == (29.0, None)


def test_a_file_that_stays_locked_is_given_up(
    users: Users, clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    user = users()
    taken(user)
    with locked(users.folder):
        for _ in range(11):
            assert is_soon(user.take(12.0))
            clock.now += 1.0
        taken(user)
        assert user.take(12.0) == (30.0, None)
    assert "another process keeps it locked" in warnings(log)[0]
    assert users().take(12.0) == (30.0, None)


def test_a_lock_that_ends_is_forgotten(users: Users, clock: Clock) -> None:
    user = users(Limit(50, 30.0))
    taken(user)
    for _ in range(20):
        with locked(users.folder):
            assert is_soon(user.take(12.0))
        clock.now += 0.75
        taken(user)
        with locked(users.folder):
            assert is_soon(user.take(12.0))


# -- threads and collecting ---------------------------------------------------------------------


def test_threads_count_together_and_may_share_one(users: Users) -> None:
    user, marks = users(Limit(30, 30.0)), []

    def work(own: HostLimit) -> None:
        for _ in range(20):
            answer = own.take(12.0)
            assert answer == (30.0, None) or answer[1] is not None
            marks.append(answer[1])

    threads = [
        threading.Thread(target=work, args=(own,)) for own in (user, user, users(Limit(30, 30.0)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(marks) == 60
    assert len({mark for mark in marks if mark is not None}) == 30


def test_a_file_is_opened_once_until_closed(users: Users) -> None:
    user = users()
    taken(user)
    assert user._file is not None
    db = user._file._db
    user.flush()
    user.take(12.0)
    assert user._file._db is db
    user.close()
    user.close()
    assert user._file._db is None
    gc.collect()
    if hasattr(stat, "S_ISREG") and sys.platform == "linux":
        opened = [
            os.readlink(f"/proc/self/fd/{fd}")
            for fd in os.listdir("/proc/self/fd")
            if Path(f"/proc/self/fd/{fd}").exists()
        ]
        assert not [path for path in opened if str(users.folder) in path]


# -- slots taken ahead ----------------------------------------------------------------------------


def test_a_limit_as_tight_as_the_gateway_s_own_takes_one_slot_at_a_time(users: Users) -> None:
    user = users(Limit(30, 30.0))
    taken(user)
    user.flush()
    assert select(users.folder, "SELECT slots FROM call") == [(1,)]


def test_a_loose_limit_takes_a_share_of_what_is_free_ahead(users: Users, clock: Clock) -> None:
    user = users(Limit(640, 30.0))
    first = taken(user)
    assert select(users.folder, "SELECT slots FROM call") == [(11,)]  # 640 / 64 beside the first
    marks = {first, *(taken(user) for _ in range(10))}
    assert len(marks) == 11
    assert select(users.folder, "SELECT slots FROM call") == [(11,)]
    taken(user)
    assert select(users.folder, "SELECT slots FROM call") == [(22,)]
    # At the deadline of a request that goes out as late as it may, its slot counts still.
    assert select(users.folder, "SELECT DISTINCT ends - 1e6 FROM slot ORDER BY 1") == [
        (pytest.approx(12.0),),
        (pytest.approx(12.2),),
    ]


def test_no_more_than_16_slots_are_taken_ahead(users: Users) -> None:
    taken(users(Limit(100_000, 30.0)))
    assert select(users.folder, "SELECT slots FROM call") == [(17,)]


def test_slots_taken_ahead_are_given_back_after_a_tenth_of_a_second(
    users: Users, clock: Clock
) -> None:
    user = users(Limit(128, 30.0))
    user.end(taken(user))
    clock.now += 0.09
    user.flush()
    assert select(users.folder, "SELECT slots FROM call") == [(3,)]
    clock.now += 0.01
    user.flush()
    assert select(users.folder, "SELECT slots FROM call") == [(1,)]


@pytest.mark.parametrize("how", ["close", "refused", "another timeout"])
def test_slots_taken_ahead_are_given_back_when_they_are_of_no_use(users: Users, how: str) -> None:
    user = users(Limit(128, 30.0))
    taken(user)
    if how == "another timeout":
        taken(user, 13.0)
        user.close()
        assert select(users.folder, "SELECT slots FROM call") == [(2,)]
        return
    getattr(user, how)()
    assert select(users.folder, "SELECT slots FROM call") == [(1,)]
    if how == "refused":
        assert user.take(12.0) == (30.0, None)


def test_slots_taken_ahead_never_make_more_than_the_limit(users: Users, clock: Clock) -> None:
    one, other = users(Limit(200, 30.0)), users.other(Limit(200, 30.0))
    arrivals = 0
    for _ in range(200):
        for user in (one, other):
            wait, mark = user.take(12.0)
            if mark is not None:
                arrivals += 1
                user.end(mark)
            else:
                assert wait > 0
    assert arrivals == 200


def test_closing_waits_for_another_process_to_let_the_ends_be_written(users: Users) -> None:
    user = users()
    mark = taken(user)
    user.end(mark)
    with locked(users.folder):
        timer = threading.Timer(0.05, lambda: None)
        timer.start()
        closing = threading.Thread(target=user.close)
        closing.start()
        timer.join()
        assert closing.is_alive()
    closing.join(10.0)
    assert not closing.is_alive()
    assert select(users.folder, "SELECT ends FROM slot") == [(1e6,)]


def test_no_more_than_a_quarter_of_what_is_free_is_taken_ahead(users: Users) -> None:
    user = users(Limit(640, 30.0))
    for _ in range(638):
        taken(user)
    assert select(users.folder, "SELECT slots FROM call") == [(638,)]
