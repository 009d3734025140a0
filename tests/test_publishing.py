"""Writers of one ticker on a file system without locks: nothing that one has saved is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import fsspec
import pandas as pd
import pytest
from bucket import Bucket
from model_gateway import ModelGateway
from refreshed_ticker import RefreshedTicker, as_read
from shared_directory import SharedDirectory
from store_contract import TENCENT, TENCENT_FILE, WHOLE, locked, report
from test_merge import priced

from intake_futu_short import CorruptStoreError, FutuShortStore, StoreError
from intake_futu_short.history.ticker_history import TickerHistory
from intake_futu_short.store.files import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIRST = "2026-01-01"
ANNOUNCED = "desk/short/short_volume/.writers/HK.00700"


def add(store: FutuShortStore, day: str) -> None:
    """Publish a day, and a report of open positions that is never sent again."""
    with locked(store, TENCENT):
        # A common day tells that the prices of two writers are of one adjustment.
        kept = store.load(TENCENT) or TickerHistory(
            priced([FIRST]), reports=(report(1, 0.5, FIRST),)
        )
        days = sorted({*kept.rows["timestamp_str"], day})
        reports = (*kept.reports, report(1, 0.5, day))
        store.save(TENCENT, TickerHistory(priced(days), reports=reports))


def days_kept(store: FutuShortStore) -> list[str]:
    kept = store.load(TENCENT)
    assert kept is not None
    days = list(kept.rows["timestamp_str"])
    assert sorted(known["new_time_str"] for known in kept.reports) == days
    return days


# -- in every order -----------------------------------------------------------------------------


class Killed(BaseException):
    """What ends a writer in the middle, with nothing done after it."""


class Turns(Bucket):
    """A bucket on which one request after the other is carried out, in an order by chance.

    What stands where a host would, in ``turns://writer/desk``, tells writers apart only.
    """

    protocol = "turns"
    objects: ClassVar[dict[str, bytes]] = {}
    chance: ClassVar[random.Random] = random.Random(0)
    kills: ClassVar[float] = 0.0
    waiting: ClassVar[dict[int, threading.Event]] = {}
    running: ClassVar[set[int]] = set()
    dead: ClassVar[set[int]] = set()
    changed: ClassVar[threading.Condition] = threading.Condition()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("turns://").partition("/")[2] if "://" in path else path

    def _arrives(self, request: str) -> None:
        me = threading.get_ident()
        if me in self.dead:
            raise Killed
        if me not in self.running:
            return
        turn = threading.Event()
        with self.changed:
            self.waiting[me] = turn
            self.changed.notify()
        turn.wait()
        if self.chance.random() < self.kills:
            self.dead.add(me)
            raise Killed

    @classmethod
    def run(cls, writers: list[Callable[[], None]]) -> None:
        def live(writer: Callable[[], None]) -> None:
            me = threading.get_ident()
            try:
                cls.running.add(me)
                ready.wait()
                writer()
            except Killed:
                pass
            finally:
                with cls.changed:
                    cls.running.discard(me)
                    cls.changed.notify()

        ready = threading.Barrier(len(writers) + 1)
        threads = [threading.Thread(target=live, args=(writer,)) for writer in writers]
        for thread in threads:
            thread.start()
        ready.wait()
        order = [thread.ident or 0 for thread in threads]
        next_one = order[0]
        while True:
            with cls.changed:
                cls.changed.wait_for(lambda: len(cls.waiting) == len(cls.running))
                if not cls.waiting:
                    break
                # Some stand still for long while others come to an end.
                if next_one not in cls.waiting or cls.chance.random() < 0.2:
                    next_one = cls.chance.choice([w for w in order if w in cls.waiting])
                turn = cls.waiting.pop(next_one)
            turn.set()
        for thread in threads:
            thread.join()


fsspec.register_implementation("turns", Turns, clobber=True)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [0.0, 0.06])
def test_no_order_of_requests_and_no_death_loses_what_was_saved(kills: float) -> None:
    for seed in range(30):
        Turns.objects.clear()
        Turns.chance, Turns.kills = random.Random(seed), kills
        saved: list[str] = []

        def write(writer: int, saved: list[str] = saved) -> None:
            store = FutuShortStore(f"turns://{writer}/desk")
            for number in (1, 2):
                day = f"2026-0{writer}-1{number}"
                add(store, day)
                saved.append(day)

        Turns.run([lambda writer=writer: write(writer) for writer in (1, 2, 3)])  # type: ignore[misc]  # of the default
        last = FutuShortStore("turns://last/desk")
        if not kills:
            assert days_kept(last) == [FIRST, *sorted(saved)]
            assert len(saved) == 6
        add(last, "2026-12-31")
        assert set(days_kept(last)) >= {*saved, "2026-12-31"}
        assert all(name.endswith((".open", TENCENT_FILE)) or kills for name in Turns.objects)
        if not kills:
            assert list(Turns.objects) == [f"desk/{TENCENT_FILE}"]


# -- real processes -----------------------------------------------------------------------------

WRITE_AND_SAY_SO = """
    import sys
    import shared_directory
    from test_publishing import FutuShortStore, add
    store = FutuShortStore(sys.argv[1])
    print("ready", flush=True)
    for day in sys.stdin.readline().split():
        add(store, day)
        print(day, flush=True)
"""


@pytest.mark.slow
def test_processes_that_write_one_ticker_at_once_lose_nothing(tmp_path: Path) -> None:
    url = f"{SharedDirectory.protocol}://{tmp_path}/a [b] %41"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITE_AND_SAY_SO), url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        )
        for _ in range(3)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for number, process in enumerate(processes, 2):
        assert process.stdin is not None
        process.stdin.write(" ".join(f"20{20 + number}-01-{day:02}" for day in range(1, 31)) + "\n")
        process.stdin.flush()
    killed = processes[-1]
    assert killed.stdout is not None
    first_word = killed.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    said = [first_word]
    for process in processes:
        output, errors = process.communicate(timeout=50)
        assert process.returncode == (-signal.SIGKILL if process is killed else 0), errors
        said.append(output)
    saved = {day for output in said for day in output.split()}
    assert len(saved) >= 61
    store = FutuShortStore(url)
    add(store, "2026-12-31")
    assert set(days_kept(store)) >= saved


# -- what is left -------------------------------------------------------------------------------


@pytest.fixture
def store() -> Iterator[FutuShortStore]:
    Bucket.reset()
    yield FutuShortStore("bucket://desk/short")
    Bucket.reset()


def announce(name: str, *days: str) -> str:
    path = f"{ANNOUNCED}/{name}"
    reports = tuple(report(1, 0.5, day) for day in days)
    Bucket.objects[path] = encode(TENCENT, TickerHistory(priced(list(days)), reports=reports))
    return path


def test_what_a_dead_writer_has_announced_is_kept_and_removed_after_a_day(
    store: FutuShortStore,
) -> None:
    young = announce(f"{int(time.time()) - 80_000}-abc.open", FIRST, "2026-02-01")
    add(store, "2026-03-01")
    assert days_kept(store) == [FIRST, "2026-02-01", "2026-03-01"]
    # It may be alive, and put what it has: all that was merged stays where the next one finds it.
    names = sorted(name for name in Bucket.objects if name.startswith(ANNOUNCED))
    assert names[0] == young
    assert [name.rpartition(".")[2] for name in names] == ["open", "done"]
    Bucket.objects[f"desk/short/{TENCENT_FILE}"] = Bucket.objects.pop(young)
    announce(f"{int(time.time()) - 90_000}-abc.open", FIRST, "2026-02-02")
    add(store, "2026-04-01")
    assert days_kept(store) == [FIRST, "2026-02-01", "2026-02-02", "2026-03-01", "2026-04-01"]
    assert list(Bucket.objects) == [f"desk/short/{TENCENT_FILE}"]


def test_what_a_dead_writer_was_about_to_put_holds_up_no_refresh(store: FutuShortStore) -> None:
    refreshed = RefreshedTicker(ModelGateway(60, num=5), store)
    assert refreshed.refresh().requests == 13
    old = store.load(refreshed.ticker)
    assert old is not None
    # It was refreshed after us, by its own clock.
    dead = replace(old, checked_s=refreshed.now_s + 5)
    name = f"{ANNOUNCED.replace('HK.00700', 'US.A')}/{int(time.time())}-abc.open"
    Bucket.objects[name] = encode(refreshed.ticker, dead)
    refreshed.gateway.adjust(back=0, factor=0.9)
    assert [refreshed.refresh().requests, refreshed.refresh().requests] == [13, 1]
    kept = store.load(refreshed.ticker)
    assert kept is not None
    pd.testing.assert_frame_equal(as_read(kept), refreshed.gateway.frame())
    assert (kept.is_complete, kept.superseded) == (True, None)


def test_prices_adjusted_while_two_writers_refresh_are_those_of_the_later_one(
    store: FutuShortStore,
) -> None:
    model = ModelGateway(60, num=5)
    # Two processes: the lock of the one keeps the other out of nothing.
    ours = RefreshedTicker(model, FutuShortStore(store.url))
    other = RefreshedTicker(model, FutuShortStore(f"{store.url}/"))
    ours.refresh()
    other.now_s = ours.now_s + 60

    def overtaken(path: str) -> None:
        if path.endswith(".parquet"):
            Bucket.before_put = None
            asked = [*model.asked]
            model.adjust(back=0, factor=0.9)
            model.add(1)
            other.refresh()
            model.asked[:] = asked

    Bucket.before_put = overtaken
    # It puts what it asked for before the adjustment over what came after it, sees that, and asks
    # once more.
    assert ours.refresh().requests == 2
    kept = store.load(ours.ticker)
    assert kept is not None
    pd.testing.assert_frame_equal(as_read(kept), model.frame())
    assert (kept.is_complete, kept.superseded) == (True, None)
    assert kept.walked_s == other.now_s


def test_a_save_that_cannot_read_what_others_wrote_leaves_nothing_behind(
    store: FutuShortStore,
) -> None:
    add(store, "2026-02-01")
    Bucket.objects[f"desk/short/{TENCENT_FILE}"] = b"damaged"
    with pytest.raises(CorruptStoreError, match=r"history\.parquet is damaged"):
        store.save(TENCENT, WHOLE)
    assert Bucket.objects == {f"desk/short/{TENCENT_FILE}": b"damaged"}


def test_a_damaged_announcement_is_named(store: FutuShortStore) -> None:
    Bucket.objects[f"{ANNOUNCED}/1-abc.done"] = b"damaged"
    with pytest.raises(CorruptStoreError, match=r"\.writers/HK\.00700/1-abc\.done is damaged"):
        store.save(TENCENT, WHOLE)
    del Bucket.objects[f"{ANNOUNCED}/1-abc.done"]
    store.save(TENCENT, WHOLE)


def test_a_right_to_remove_is_needed_and_asked_for(
    store: FutuShortStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Bucket, path: str) -> None:
        raise PermissionError(13, "Access Denied", path)

    monkeypatch.setattr(Bucket, "rm_file", refuse)
    with pytest.raises(StoreError, match=r"cannot remove .*\.open: Access Denied\. Check the perm"):
        store.save(TENCENT, WHOLE)
    assert store.load(TENCENT) is not None


def test_others_who_do_not_let_up_cost_no_row(store: FutuShortStore) -> None:
    came = 0

    def another(path: str) -> None:
        nonlocal came
        if path.endswith(TENCENT_FILE):
            came += 1
            announce(f"{int(time.time())}-{came:03}.done", FIRST, f"2026-02-{came:02}")

    Bucket.before_put = another
    add(store, "2026-03-01")
    Bucket.before_put = None
    assert came == 20
    add(store, "2026-03-02")
    days = [FIRST, *(f"2026-02-{n:02}" for n in range(1, 21)), "2026-03-01", "2026-03-02"]
    assert days_kept(store) == days
    assert list(Bucket.objects) == [f"desk/short/{TENCENT_FILE}"]
