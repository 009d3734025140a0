"""The store on S3, as moto has it: writes with conditions, and writers of several processes."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from mortal_writer import FIRST, add, days_kept, rows
from nursery import Nursery, open_nursery
from s3_server import S3Server, running
from store_contract import StoreContract
from store_rows import DAYS, TENCENT, TENCENT_FILE, WHOLE, Place, files_kept, keep

from intake_futu_short import CorruptStoreError, FutuShortStore, StoreError
from intake_futu_short.history.ticker_history import TickerHistory
from intake_futu_short.store import writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with running() as server:
        yield server


@pytest.fixture
def url(s3: S3Server) -> str:
    return s3.bucket()


@pytest.fixture
def store(s3: S3Server, url: str) -> FutuShortStore:
    return FutuShortStore(url, s3.options)


class TestOnS3(StoreContract):
    @pytest.fixture
    def place(self, s3: S3Server, url: str) -> Place:
        def names() -> list[str]:
            s3.fs.invalidate_cache()
            root = url.removeprefix("s3://")
            return sorted(name.removeprefix(f"{root}/") for name in s3.fs.find(root))

        return Place(
            url,
            lambda name: s3.fs.cat_file(f"{url}/{name}"),
            lambda name, content: s3.fs.pipe_file(f"{url}/{name}", content),
            names,
            lambda name: s3.fs.rm_file(f"{url}/{name}"),
            s3.options,
        )


# -- one process --------------------------------------------------------------------------------


def test_a_save_is_one_request(s3: S3Server, store: FutuShortStore) -> None:
    saved = store.save(TENCENT, WHOLE)
    # The first one tried out whether conditions are kept to, and left nothing.
    assert s3.requests == ["PUT", "PUT"]
    assert [name.rpartition("/short/")[2] for name in s3.fs.find(store.url)] == [TENCENT_FILE]
    s3.requests.clear()
    for number in range(3):
        saved = store.save(TENCENT, replace(saved, checked_s=float(number)))
    assert s3.requests == ["PUT"] * 3
    s3.requests.clear()
    loaded = store.load(TENCENT)
    assert loaded is not None
    store.save(TENCENT, replace(loaded, checked_s=4.0))
    # The tag first; some versions of s3fs then ask for the size too.
    assert [*dict.fromkeys(s3.requests)] == ["HEAD", "GET", "PUT"]
    assert s3.requests.count("PUT") == 1


def test_who_was_overtaken_takes_in_what_came_first(s3: S3Server, store: FutuShortStore) -> None:
    ours = store.save(TENCENT, TickerHistory(rows([FIRST, "2026-01-02"]), checked_s=1.0))
    # By another process, for which a store of its own stands.
    add(FutuShortStore(store.url, s3.options), "2026-01-05")
    days = [FIRST, "2026-01-02", "2026-01-06"]
    merged = store.save(TENCENT, replace(ours, rows=rows(days), checked_s=2.0))
    expected = [FIRST, "2026-01-02", "2026-01-05", "2026-01-06"]
    assert merged.rows["timestamp_str"].tolist() == expected
    assert days_kept(store) == expected
    # The version of what is there now: nothing is merged again.
    s3.requests.clear()
    store.save(TENCENT, merged)
    assert s3.requests == ["PUT"]


def test_of_two_first_saves_neither_is_lost(s3: S3Server, store: FutuShortStore) -> None:
    add(FutuShortStore(store.url, s3.options), "2026-01-05")
    store.save(TENCENT, TickerHistory(rows([FIRST, "2026-01-06"])))
    assert days_kept(store) == [FIRST, "2026-01-05", "2026-01-06"]


def test_a_file_that_was_removed_meanwhile_is_written_anew(
    s3: S3Server, store: FutuShortStore
) -> None:
    ours = store.save(TENCENT, WHOLE)
    s3.fs.rm_file(f"{store.url}/{TENCENT_FILE}")
    store.save(TENCENT, ours)
    assert days_kept(store) == DAYS


def test_a_damaged_file_is_not_overwritten(s3: S3Server, store: FutuShortStore) -> None:
    ours = store.save(TENCENT, WHOLE)
    s3.fs.pipe_file(f"{store.url}/{TENCENT_FILE}", b"damaged")
    with pytest.raises(CorruptStoreError, match=r"history\.parquet is damaged"):
        store.save(TENCENT, ours)
    assert s3.fs.cat_file(f"{store.url}/{TENCENT_FILE}") == b"damaged"


def test_a_write_whose_answer_was_lost_is_not_merged_with_itself(
    s3: S3Server, store: FutuShortStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.save(TENCENT, WHOLE)
    put_if = store._files.put_if

    def answered_late(path: str, content: bytes, tag: str | None) -> str | None:
        # As a client that asks again, since the first answer did not come.
        put_if(path, content, tag)
        return put_if(path, content, tag)

    monkeypatch.setattr(store._files, "put_if", answered_late)
    s3.requests.clear()
    saved = store.save(TENCENT, replace(first, checked_s=5.0))
    assert [*dict.fromkeys(s3.requests)] == ["PUT", "HEAD", "GET"]
    assert s3.requests.count("PUT") == 2
    assert saved.checked_s == 5.0
    assert store.load(TENCENT).version == saved.version  # type: ignore[union-attr]  # it is there


def test_who_is_always_overtaken_says_what_to_do(
    s3: S3Server, store: FutuShortStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FutuShortStore(store.url, s3.options)
    ours = store.save(TENCENT, TickerHistory(rows([FIRST])))
    days = (f"{day:%Y-%m-%d}" for day in pd.date_range("2026-01-01", periods=10))
    put_if = store._files.put_if

    def overtaken(path: str, content: bytes, tag: str | None) -> str | None:
        add(other, next(days))
        return put_if(path, content, tag)

    monkeypatch.setattr(store._files, "put_if", overtaken)
    monkeypatch.setattr(writing, "ATTEMPTS", 3)
    with pytest.raises(StoreError, match=r"came first 3 times\. .* one process at a time"):
        store.save(TENCENT, ours)
    assert days_kept(other) == [FIRST, "2026-01-01", "2026-01-02", "2026-01-03"]


def test_a_bucket_that_is_not_there_is_said(s3: S3Server) -> None:
    store = FutuShortStore("s3://no-such-bucket/short", s3.options)
    with pytest.raises(StoreError, match=r"does not exist\. Does that bucket exist\?"):
        store.save(TENCENT, WHOLE)
    with pytest.raises(StoreError, match="cannot list s3://no-such-bucket/short"):
        store.read()


# -- several processes --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with open_nursery("mortal_writer.py", tmp_path_factory.mktemp("nursery")) as nursery:
        yield nursery


class Writers:
    """Processes that save days of one ticker, and a record of what they say they have saved."""

    def __init__(self, nursery: Nursery, store: FutuShortStore, log: Path) -> None:
        self._nursery = nursery
        self._given = {"url": store.url, "options": store._files._options, "log": str(log)}
        self._days = iter(pd.date_range("1980-01-03", periods=15_000).strftime("%Y-%m-%d"))
        self._log = log

    def start(self, days: int) -> tuple[int, list[str]]:
        """Start one that saves so many days, no other's; gives its process id and the days."""
        own = [next(self._days) for _ in range(days)]
        return self._nursery.start(json.loads(json.dumps({**self._given, "days": own}))), own

    def saved(self) -> set[str]:
        return set(self._log.read_text().split()) if self._log.exists() else set()


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_processes_that_write_one_ticker_at_once_lose_nothing(
    tmp_path: Path, nursery: Nursery, store: FutuShortStore, processes: int
) -> None:
    writers = Writers(nursery, store, tmp_path / "log")
    started = [writers.start(12) for _ in range(processes)]
    for child, _ in started:
        nursery.wait(child)
    days = {day for _, own in started for day in own}
    assert writers.saved() == days
    assert days_kept(store) == [FIRST, *sorted(days)]


@pytest.mark.parametrize("kills", [3, pytest.param(25, marks=pytest.mark.slow)])
@pytest.mark.parametrize("processes", [1, 4])
@pytest.mark.parametrize("where", ["disk", "s3"])
def test_nothing_that_was_saved_is_lost_by_a_kill(
    tmp_path: Path, nursery: Nursery, s3: S3Server, where: str, processes: int, kills: int
) -> None:
    chance = random.Random(kills * 10 + processes)
    url, options = (str(tmp_path / "short"), None) if where == "disk" else (s3.bucket(), s3.options)
    store = FutuShortStore(url, options)
    writers = Writers(nursery, store, tmp_path / "log")
    killed = 0
    ours: set[str] = set()
    while killed < kills:
        children = [writers.start(50)[0] for _ in range(processes)]
        # Some in the middle of their beginning, most in the middle of a save.
        wanted = len(writers.saved()) + chance.choice([0, 1, 2, 5])
        deadline = time.monotonic() + 30.0
        while len(writers.saved()) < wanted and time.monotonic() < deadline:
            time.sleep(0.001)
        for child in children:
            time.sleep(chance.uniform(0, 0.03))
            killed += nursery.kill(child)
        saved = writers.saved()
        assert set(days_kept(store)) >= saved | ours
        if chance.random() < 0.3:
            ours.add(day := f"{2030 + killed}-01-02")
            add(store, day)
    add(store, "2029-12-31")
    assert set(days_kept(store)) >= writers.saved() | ours | {"2029-12-31"}
    assert writers.saved()
    if where == "disk":
        assert files_kept(tmp_path / "short") == {TENCENT_FILE}
    else:
        s3.fs.invalidate_cache()
        assert [name.rpartition("/short/")[2] for name in s3.fs.find(url)] == [TENCENT_FILE]


def test_the_other_readers_find_what_was_saved(s3: S3Server, store: FutuShortStore) -> None:
    keep(store, TENCENT, WHOLE)
    market = f"{store.url}/short_volume/market=HK"
    frame = pd.read_parquet(market, storage_options=s3.options)
    assert frame["timestamp_str"].tolist() == DAYS
    assert frame["code"].unique().tolist() == ["HK.00700"]
