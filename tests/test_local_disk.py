"""A store on a local disk that several users share, or that lies on several disks."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from reachable import make_reachable
from store_rows import (
    APPLE,
    DAYS,
    TENCENT,
    TENCENT_FILE,
    WHOLE,
    assert_same,
    files_kept,
    keep,
    locked,
    ticker,
    us_rows,
)
from test_store_local import finished, python

from intake_futu_short import FutuShortStore, StoreError
from intake_futu_short.history.ticker_history import TickerHistory
from intake_futu_short.store import local_disk

if TYPE_CHECKING:
    from collections.abc import Iterator

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")


def modes(root: Path) -> dict[str, str]:
    """Rights of all that lies below a directory, by its name."""
    return {
        str(path.relative_to(root)): f"{stat.S_IMODE(path.stat().st_mode):o}"
        for path in sorted(root.rglob("*"))
    }


# -- several users --------------------------------------------------------------------------------

SYNC_AS_MEMBERS = """
    import os, sys
    from store_rows import *
    from mortal_writer import add
    url, group, *users = sys.argv[1], *map(int, sys.argv[3:])
    # All is imported before the rights are gone: the environment may be root's alone.
    add(FutuShortStore(sys.argv[2]), "2026-01-02")
    for number, user in enumerate(users, 1):
        if os.fork():
            os.wait()
            continue
        os.setgroups([group])
        os.setgid(user)
        os.setuid(user)
        os.umask(0o077)
        store = FutuShortStore(url)
        add(store, f"2026-01-0{number}")
        print(len(store.load(TENCENT).rows), len(store.read()), flush=True)
        os._exit(0)
"""


@posix
@pytest.mark.parametrize("mode", [0o2770, 0o775])
def test_users_of_a_group_share_a_store(tmp_path: Path, mode: int) -> None:
    if os.getuid():
        pytest.skip("only root can be somebody else")
    group, one, other = 64_000, 64_001, 64_002
    make_reachable(tmp_path)
    shared = tmp_path / "shared"
    shared.mkdir()
    os.chown(shared, 0, group)
    shared.chmod(mode)
    users = map(str, (group, one, other, one))
    said = finished(python(SYNC_AS_MEMBERS, str(shared / "short"), str(tmp_path / "own"), *users))
    assert said.splitlines() == ["2 2", "3 3", "4 4"]
    files = f"{mode & 0o666:o}"
    found = modes(shared)
    found.pop("short/short_volume/.locks/HK.00700.lock", None)  # see files_kept
    assert found == {
        "short": f"{mode:o}",
        "short/short_volume": f"{mode:o}",
        "short/short_volume/.locks": f"{mode:o}",
        "short/short_volume/market=HK": f"{mode:o}",
        "short/short_volume/market=HK/code=HK.00700": f"{mode:o}",
        f"short/{TENCENT_FILE}": files,
    }
    assert {path.stat().st_gid for path in shared.rglob("*")} == {group}


@posix
@pytest.mark.parametrize(("mode", "files"), [(0o700, "600"), (0o755, "644"), (0o750, "640")])
def test_files_can_be_read_by_whom_the_directory_can(tmp_path: Path, mode: int, files: str) -> None:
    tmp_path.chmod(mode)
    for _ in range(2):
        keep(FutuShortStore(tmp_path), TENCENT, WHOLE)
        with locked(FutuShortStore(tmp_path), TENCENT):
            found = modes(tmp_path)
    assert found[TENCENT_FILE] == found["short_volume/.locks/HK.00700.lock"] == files
    assert found["short_volume/market=HK"] == f"{mode:o}"


@posix
def test_what_is_made_in_everybodys_directory_is_not_everybodys(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    before = os.umask(0o022)
    try:
        FutuShortStore(tmp_path / "short").save(TENCENT, WHOLE)
    finally:
        os.umask(before)
    assert set(modes(tmp_path).values()) == {"755", "644"}


@posix
def test_a_place_where_nothing_can_be_made_is_called_a_directory() -> None:
    with pytest.raises(StoreError) as caught:
        FutuShortStore("/dev/null/short").save(TENCENT, WHOLE)
    assert "/dev/null/short" in str(caught.value)
    assert "choose another store" in str(caught.value)
    if Path("/proc/self").exists():
        with pytest.raises(StoreError, match=r"Does that directory exist\?$"):
            FutuShortStore("/proc/short").save(TENCENT, WHOLE)


# -- several disks --------------------------------------------------------------------------------


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system."""
    memory = Path("/dev/shm")  # noqa: S108 - for its file system
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system only")
    folder = Path(tempfile.mkdtemp(dir=memory))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("linked", ["market=HK", "market=HK/code=HK.00700"])
def test_a_market_or_a_ticker_may_lie_on_another_disk(
    tmp_path: Path, other_disk: Path, linked: str
) -> None:
    link = tmp_path / "short_volume" / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(other_disk, target_is_directory=True)
    store = FutuShortStore(tmp_path)
    file = tmp_path / TENCENT_FILE
    for _ in range(2):
        with locked(store, TENCENT):
            keep(store, TENCENT, WHOLE)
        # As a writer that was killed leaves it.
        left = file.with_name(".history.parquet.tmp")
        left.write_bytes(b"half")
    with locked(store, TENCENT):
        keep(store, TENCENT, WHOLE)
    assert_same(store.load(TENCENT), WHOLE)
    assert store.codes() == ["HK.00700"]
    assert store.info()["rows"].tolist() == [3]
    assert store.read()["timestamp_str"].tolist() == DAYS[::-1]
    assert [path.name for path in other_disk.rglob("*") if path.is_file()] == ["history.parquet"]
    assert files_kept(tmp_path / "short_volume" / ".locks") == set()


def test_a_rename_that_is_refused_across_disks_is_made_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed: list[str] = []
    replace = os.replace

    def refuse_far_ones(old: Any, new: Any) -> None:
        renamed.append(str(Path(old).relative_to(tmp_path)))
        if Path(old).parent != Path(new).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        replace(old, new)

    monkeypatch.setattr(os, "replace", refuse_far_ones)
    store = FutuShortStore(tmp_path)
    store.save(TENCENT, WHOLE)
    assert renamed == [
        "short_volume/.locks/HK.00700.tmp",
        TENCENT_FILE.replace("history.parquet", ".history.parquet.tmp"),
    ]
    assert_same(store.load(TENCENT), WHOLE)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["history.parquet"]


# -- a file that somebody reads, on Windows -------------------------------------------------------


def test_a_rename_that_is_denied_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denials = [PermissionError(13, "Access is denied")] * 3
    replace = os.replace

    def deny(old: Any, new: Any) -> None:
        if denials:
            raise denials.pop()
        replace(old, new)

    monkeypatch.setattr(os, "replace", deny)
    store = FutuShortStore(tmp_path)
    store.save(TENCENT, WHOLE)
    assert denials == []
    assert_same(store.load(TENCENT), WHOLE)


def test_a_rename_that_is_denied_for_long_is_an_error_that_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FutuShortStore(tmp_path)
    store.save(TENCENT, WHOLE)
    tries = 0

    def deny(_old: Any, _new: Any) -> None:
        nonlocal tries
        tries += 1
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(os, "replace", deny)
    monkeypatch.setattr(local_disk, "REPLACE_PATIENCE_S", 0.1)
    began_s = time.monotonic()
    with pytest.raises(StoreError, match=r"Access is denied\. Check the permissions of that dir"):
        keep(store, TENCENT, WHOLE)
    assert time.monotonic() - began_s >= 0.1
    assert tries > 1
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["history.parquet"]


# -- locks that nobody lets go --------------------------------------------------------------------


@pytest.mark.parametrize("url", [None, "memory://dropped"])
def test_a_lock_whose_context_never_began_is_let_go(tmp_path: Path, url: str | None) -> None:
    store = FutuShortStore(url or tmp_path)
    for _ in range(2):
        lock = store.try_lock(TENCENT)
        assert lock is not None
        assert store.try_lock(TENCENT) is None
        assert store.try_lock(ticker("HK.00005")) is not None
        # As by an interrupt that comes between the two.
        del lock
        gc.collect()


@posix
@pytest.mark.parametrize("name", ["market=HK", "market=HK/code=HK.00005"])
def test_a_link_to_a_disk_that_is_not_there_is_an_error(tmp_path: Path, name: str) -> None:
    store = FutuShortStore(tmp_path)
    store.save(APPLE, TickerHistory(us_rows(DAYS), True))
    link = tmp_path / "short_volume" / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(tmp_path / "not mounted")
    for look in (store.codes, store.info, store.read):
        with pytest.raises(StoreError, match=f"cannot list .*{name}"):
            look()
    assert store.codes("US") == ["US.AAPL"]


HAMMER = """
import sys
from pathlib import Path
from intake_futu_short.store import local_disk
taken = 0
for _ in range(1500):
    lock = local_disk.try_lock(Path(sys.argv[1]))
    if lock is not None:
        with lock:
            taken += 1
print(taken)
"""


@pytest.mark.compat
def test_many_take_and_drop_one_lock(tmp_path: Path) -> None:
    """filelock 3.20.4 to 3.25 remove the file as they let go of it."""
    command = [sys.executable, "-c", HAMMER, str(tmp_path / "US.AAPL")]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    hammers = [subprocess.Popen(command, **pipes) for _ in range(3)]
    for hammer in hammers:
        taken, error = hammer.communicate()
        assert error == ""
        assert int(taken) > 0


def test_a_lock_file_that_goes_as_it_is_looked_at_is_another_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What those versions do in the moment between the two looks."""
    writer = tmp_path / "US.AAPL"
    writer.with_name("US.AAPL.lock").touch()
    created = local_disk._created

    def gone_after(file: Path) -> int:
        try:
            return created(file)
        finally:
            file.unlink()

    monkeypatch.setattr(local_disk, "_created", gone_after)
    assert local_disk.try_lock(writer) is None
    monkeypatch.undo()
    lock = local_disk.try_lock(writer)
    assert lock is not None
    with lock:
        pass
