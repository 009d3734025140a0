"""The store on a local disk: writers that die or meet, disks that fill up, other readers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pandas as pd
import pyarrow.parquet as pq
import pytest
from bucket import Bucket
from parquet_readers import other_readers
from reachable import make_reachable
from store_rows import (
    DAYS,
    ODD_CODES,
    TENCENT,
    TENCENT_FILE,
    WHOLE,
    assert_same,
    files_kept,
    hk_rows,
    locked,
    ticker,
    us_rows,
)

from intake_futu_short import ConfigError, FutuShortError, FutuShortStore, StoreError
from intake_futu_short.history.ticker_history import TickerHistory
from intake_futu_short.store.parquet import encode

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.compat

TESTS = Path(__file__).parent


def python(code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """A Python process with the tests' modules at hand."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path[1:]])}, **options,
    )  # fmt: skip


def finished(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=50)
    assert process.returncode == 0, errors
    return output


# -- writers that die ---------------------------------------------------------------------------

WRITE_ON_AND_ON = """
    import sys
    from store_rows import *
    store = FutuShortStore(sys.argv[1])
    print("begins", flush=True)
    while True:
        with locked(store, TENCENT):
            kept = store.load(TENCENT)
            store.save(TENCENT, replace(kept, checked_s=kept.checked_s + 1))
"""


@pytest.mark.parametrize("killed", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_a_writer_killed_at_any_moment_leaves_a_whole_history(tmp_path: Path, killed: int) -> None:
    days = [f"{day:%Y-%m-%d}" for day in pd.date_range("2019-01-01", periods=1500)]
    long = TickerHistory(hk_rows(days), checked_s=0.0)
    FutuShortStore(tmp_path).save(TENCENT, long)
    writers = [python(WRITE_ON_AND_ON, str(tmp_path)) for _ in range(killed)]
    for number, writer in enumerate(writers):
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begins\n"
        time.sleep(0.037 * number)  # a moment of no meaning
        writer.kill()
        writer.communicate()
        kept = FutuShortStore(tmp_path).load(TENCENT)
        assert kept is not None
        pd.testing.assert_frame_equal(kept.rows, long.rows)
    store = FutuShortStore(tmp_path)
    # The dead ones' lock is gone with them, and what they left over is cleared away.
    with locked(store, TENCENT):
        kept = store.load(TENCENT)
        assert kept is not None
        store.save(TENCENT, kept)
    assert files_kept(tmp_path) == {TENCENT_FILE}


def test_what_a_dead_writer_left_is_replaced(tmp_path: Path) -> None:
    store = FutuShortStore(tmp_path)
    folder = tmp_path / "short_volume" / ".locks"
    folder.mkdir(parents=True)
    (folder / "HK.00700.tmp").write_bytes(b"half")
    (folder / "HK.00700.B.tmp").write_bytes(b"of another ticker")
    with locked(store, TENCENT):
        store.save(TENCENT, WHOLE)
    assert_same(store.load(TENCENT), WHOLE)
    assert files_kept(folder) == {"HK.00700.B.tmp"}


# -- writers that meet --------------------------------------------------------------------------

ADD_DAYS = """
    import sys
    from store_rows import *
    store = FutuShortStore(sys.argv[1])
    for day in sys.argv[2].split(","):
        with locked(store, TENCENT):
            kept = store.load(TENCENT) or TickerHistory(hk_rows([]))
            days = sorted([*kept.rows["timestamp_str"], day])
            keep(store, TENCENT, TickerHistory(hk_rows(days)))
"""


def test_two_processes_on_one_ticker_lose_nothing(tmp_path: Path) -> None:
    days = [f"{day:%Y-%m-%d}" for day in pd.date_range("2026-01-01", periods=40)]
    writers = [python(ADD_DAYS, str(tmp_path), ",".join(days[i::2])) for i in range(2)]
    for writer in writers:
        finished(writer)
    kept = FutuShortStore(tmp_path).load(TENCENT)
    assert kept is not None
    assert list(kept.rows["timestamp_str"]) == days


HOLD = """
    import sys, time
    from store_rows import *
    with locked(FutuShortStore(sys.argv[1]), TENCENT):
        print("held", flush=True)
        time.sleep(60)
"""


def test_what_was_saved_between_the_load_and_the_lock_of_another_is_not_lost(
    tmp_path: Path,
) -> None:
    store = FutuShortStore(tmp_path)
    store.save(TENCENT, TickerHistory(hk_rows(DAYS[:1]), True, checked_s=1.0))
    loaded, also_loaded = store.load(TENCENT), store.load(TENCENT)
    assert loaded is not None
    assert also_loaded is not None
    for history, days, checked_s in ((loaded, DAYS[:2], 2.0), (also_loaded, DAYS[::2], 3.0)):
        with locked(store, TENCENT):
            store.save(TENCENT, replace(history, rows=hk_rows(days), checked_s=checked_s))
    kept = store.load(TENCENT)
    assert kept is not None
    assert kept.rows["timestamp_str"].tolist() == DAYS


def test_one_writer_a_ticker_until_it_lets_go_or_dies(tmp_path: Path) -> None:
    store = FutuShortStore(tmp_path)
    holder = python(HOLD, str(tmp_path))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert store.try_lock(TENCENT) is None
    with locked(store, ticker("HK.00005")):
        store.save(ticker("HK.00005"), WHOLE)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with locked(store, TENCENT):
        # Nor has this process it twice.
        assert store.try_lock(TENCENT) is None
        assert FutuShortStore(tmp_path).try_lock(TENCENT) is None
        store.save(TENCENT, WHOLE)
    assert_same(store.load(TENCENT), WHOLE)


def test_a_lock_that_was_not_to_be_had_leaves_nothing_locked(tmp_path: Path) -> None:
    store = FutuShortStore(tmp_path)
    with locked(store, TENCENT):
        assert [store.try_lock(TENCENT) for _ in range(3)] == [None] * 3
    for _ in range(2):
        lock = store.try_lock(TENCENT)
        assert lock is not None
        with lock:
            pass


def test_a_lock_may_be_let_go_by_another_thread(tmp_path: Path) -> None:
    store = FutuShortStore(tmp_path)
    lock = store.try_lock(TENCENT)
    assert lock is not None
    lock.__enter__()
    thread = threading.Thread(target=lock.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    with locked(store, TENCENT):
        pass


def test_readers_need_no_lock(tmp_path: Path) -> None:
    store = FutuShortStore(tmp_path)
    with locked(store, TENCENT):
        store.save(TENCENT, WHOLE)
        assert len(FutuShortStore(tmp_path).read()) == 3


# -- disks and directories that fail ------------------------------------------------------------

WRITE_WITHIN = """
    import resource, signal, sys
    from store_rows import *
    from intake_futu_short import StoreError
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    store = FutuShortStore(sys.argv[1])
    store.load(TENCENT)
    days = [f"{day:%Y-%m-%d}" for day in pd.date_range("2019-01-01", periods=1500)]
    for security in (TENCENT, ticker("HK.00005")):
        try:
            store.save(security, TickerHistory(hk_rows(days)))
        except StoreError as error:
            print(error)
"""


def test_a_file_that_cannot_grow_leaves_what_was_there(tmp_path: Path) -> None:
    FutuShortStore(tmp_path).save(TENCENT, WHOLE)
    said = finished(python(WRITE_WITHIN, str(tmp_path))).splitlines()
    assert len(said) == 2
    assert TENCENT_FILE in said[0]
    assert "What was kept is unchanged: make room and sync again" in said[0]
    assert_same(FutuShortStore(tmp_path).load(TENCENT), WHOLE)
    files = [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*") if "/." not in str(p)]
    assert sorted(files) == ["short_volume/market=HK/code=HK.00700", TENCENT_FILE]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    days = [f"{day:%Y-%m-%d}" for day in pd.date_range("2019-01-01", periods=1500)]
    long = TickerHistory(hk_rows(days), checked_s=1.0)
    too_long = replace(long, superseded=hk_rows(days))
    room = len(encode(TENCENT, long)) + len(encode(TENCENT, too_long)) - 8192
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={room // 4096 * 4}k", "tmpfs", str(tmp_path)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode != 0:
        pytest.skip("mounting takes rights that this user does not have")
    try:
        store = FutuShortStore(tmp_path)
        kept = store.save(TENCENT, long)
        for _ in range(2):
            with pytest.raises(StoreError, match=r"No space left on device\. What was kept is"):
                store.save(TENCENT, replace(too_long, version=kept.version))
        assert_same(store.load(TENCENT), long)
        store.save(TENCENT, replace(kept, rows=hk_rows(DAYS), checked_s=2.0))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_file_in_the_place_of_a_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a store")
    store = FutuShortStore(tmp_path / "file")
    for action in actions(store):
        with pytest.raises(StoreError, match=r"choose another store"):
            action()
    assert (tmp_path / "file").read_text() == "not a store"
    inside = tmp_path / "short_volume" / "market=HK"
    inside.parent.mkdir()
    inside.write_text("")
    for action in actions(FutuShortStore(tmp_path)):
        with pytest.raises(StoreError, match=r"market=HK.*choose another store"):
            action()


def test_a_directory_in_the_place_of_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / TENCENT_FILE).mkdir(parents=True)
    store = FutuShortStore(tmp_path)
    for action in actions(store)[:2]:
        with pytest.raises(StoreError, match=r"code=HK.00700/history.parquet"):
            action()


def actions(store: FutuShortStore) -> list[Callable[[], object]]:
    return [
        lambda: store.load(TENCENT),
        lambda: store.save(TENCENT, WHOLE),
        store.codes,
        lambda: store.read(market="HK"),
        store.info,
    ]


WITHOUT_RIGHTS = """
    import os, sys
    from store_rows import *
    from intake_futu_short import StoreError
    os.chdir("/")
    store = FutuShortStore(sys.argv[1])
    actions = (lambda: store.load(TENCENT), lambda: store.save(TENCENT, WHOLE), store.codes)
    if os.getuid() == 0:
        # All is imported before the rights are gone: the environment may be root's alone.
        for action in actions:
            action()
        os.setuid(65534)
    for action in actions:
        try:
            print("did it", action())
        except StoreError as error:
            print(error)
"""


def test_a_directory_without_permission_is_said(tmp_path: Path) -> None:
    FutuShortStore(tmp_path / "store").save(TENCENT, WHOLE)
    (tmp_path / "store" / "short_volume").chmod(0)
    make_reachable(tmp_path)
    try:
        said = finished(python(WITHOUT_RIGHTS, str(tmp_path / "store"))).splitlines()
    finally:
        (tmp_path / "store" / "short_volume").chmod(0o755)
    assert len(said) == 3
    for line in said:
        assert "Permission denied. Check the permissions" in line
    assert_same(FutuShortStore(tmp_path / "store").load(TENCENT), WHOLE)


def test_a_ticker_that_may_not_be_listed_is_no_ticker_left_out(tmp_path: Path) -> None:
    make_reachable(tmp_path)
    FutuShortStore(tmp_path / "store").save(TENCENT, WHOLE)
    folder = (tmp_path / "store" / TENCENT_FILE).parent
    folder.chmod(0)
    try:
        said = finished(python(WITHOUT_RIGHTS, str(tmp_path / "store"))).splitlines()
    finally:
        folder.chmod(0o755)
    assert "cannot list" in said[2]
    assert "code=HK.00700: Permission denied. Check the permissions" in said[2]


# -- arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("", None, "URL or the path of a directory"),
        (None, None, "URL or the path of a directory"),
        (7, None, "URL or the path of a directory"),
        ("nosuch://bucket", None, "fsspec knows no protocol 'nosuch'"),
        ("nosuch://me:secret@host/x", None, r"nosuch://\*\*\*@host/x"),
        ("memory://x", "key=1", "storage_options must be a mapping"),
        ("memory://x", {1: 2}, "storage_options must be a mapping"),
    ],
)
def test_arguments_that_cannot_work_are_said_at_once(url: Any, options: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        FutuShortStore(url, options)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["~/short", "file://~/short", "~no-such-user/short", "~"])
def test_without_a_home_directory_none_is_made(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as without $HOME and a user
    with pytest.raises(ConfigError, match="there is no home directory '~"):
        FutuShortStore(url)
    assert list(tmp_path.iterdir()) == []
    assert FutuShortStore("./~").url == str(tmp_path / "~")


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("simplecache::s3://bucket/short", None),
        ("filecache::memory://short", None),
        ("blockcache::file:///short", None),
        ("cached::memory://short", None),
        ("dir::simplecache::memory://short", None),
        ("simplecache://short", {"target_protocol": "memory"}),
        ("dir://short", {"target_protocol": "filecache"}),
        ("dir://short", {"fo": {"target_protocol": "simplecache"}}),
        ("dir://short", {"fs": fsspec.filesystem("simplecache", target_protocol="memory")}),
    ],
)
def test_a_cache_cannot_be_a_store(url: str, options: Any) -> None:
    with pytest.raises(ConfigError, match=r"from its own cache cannot be a store.*Leave the cache"):
        FutuShortStore(url, options)


@pytest.mark.parametrize("url", ["http://host/short", "https://me:s3cret@host/short?sig=s3cret"])
def test_a_web_server_cannot_be_a_store(url: str) -> None:
    with pytest.raises(ConfigError, match="does not list its files") as caught:
        FutuShortStore(url)
    assert "s3cret" not in str(caught.value)


def test_a_protocol_that_is_not_installed_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ConfigError, match="install gcsfs") as caught:
        FutuShortStore("gs://bucket/short")
    assert isinstance(caught.value.__cause__, ImportError)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("bucket://me:s3cret@x/y", "bucket://***@x/y"),
        ("bucket://me:s3c/r@t@x/y", "bucket://***@x/y"),
        ("bucket://s3cret@x/y", "bucket://***@x/y"),
        ("bucket://x/y?sig=s3cret", "bucket://x/y?***"),
        ("bucket://x/y?password=s3cret&a=s3c/r@t", "bucket://x/y?***"),
        ("dir::bucket://me:s3cret@x/y", "dir::bucket://***@x/y"),
    ],
)
def test_credentials_are_not_shown(url: str, shown: str) -> None:
    Bucket.reset()
    store = FutuShortStore(url, {"secret": "s3cret"})
    assert repr(store) == f"FutuShortStore({shown!r})"

    def refuse(path: str) -> None:
        raise PermissionError(f"not {path}")

    Bucket.before_put = refuse
    for action in (store.read, lambda: store.read("HK.00700"), lambda: store.save(TENCENT, WHOLE)):
        with pytest.raises(FutuShortError) as caught:
            action()
        told = "".join(traceback.format_exception(caught.value))
        assert "s3c" not in told.replace('{"secret": "s3cret"}', "")
    Bucket.reset()


def test_a_path_with_odd_characters_is_shown_as_it_is(tmp_path: Path) -> None:
    assert FutuShortStore(tmp_path / "a@b?c=d").url == str(tmp_path / "a@b?c=d")


def test_a_relative_path_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = FutuShortStore("short")
    monkeypatch.chdir("/")
    store.save(TENCENT, WHOLE)
    assert (tmp_path / "short" / TENCENT_FILE).exists()
    assert FutuShortStore(f"file://{tmp_path}/short").codes() == ["HK.00700"]


# -- other readers ------------------------------------------------------------------------------


@pytest.fixture
def lying(tmp_path: Path) -> Path:
    """Directory of a market, with odd codes."""
    store = FutuShortStore(tmp_path)
    for code in ODD_CODES:
        if code.startswith("US"):
            store.save(ticker(code), TickerHistory(us_rows(), True))
    return tmp_path / "short_volume" / "market=US"


US_CODES = sorted(code for code in ODD_CODES if code.startswith("US"))


@other_readers
def test_other_readers_read_it_as_it_lies(
    lying: Path, reader: Callable[[Path], pd.DataFrame]
) -> None:
    frame = reader(lying)
    assert set(frame.columns) >= {"code", *us_rows().columns}
    frame = frame.assign(code=frame["code"].astype(str)).sort_values(["code", "timestamp"])
    assert list(frame["code"].unique()) == US_CODES
    assert list(frame["timestamp_str"].astype(str)) == DAYS * len(US_CODES)
    assert list(frame["close_price"].unique()) == [221.112467562]
    assert list(frame["volume"][:3]) == [2**53 + 1, 2**53 + 2, 2**53 + 3]


def test_pandas_gives_one_file_the_dtypes_of_a_source(tmp_path: Path) -> None:
    rows = hk_rows()
    rows.attrs["code"] = "HK.00700"
    FutuShortStore(tmp_path).save(TENCENT, TickerHistory(rows))
    frame = pd.read_parquet(tmp_path / TENCENT_FILE, partitioning=None)
    pd.testing.assert_frame_equal(frame, hk_rows())
    # Read together with other tickers they would be wrong.
    assert frame.attrs == {}


def test_statistics_let_a_reader_skip_a_ticker(tmp_path: Path) -> None:
    days = [f"{day:%Y-%m-%d}" for day in pd.bdate_range("2020-01-01", periods=1500)]
    FutuShortStore(tmp_path).save(TENCENT, TickerHistory(hk_rows(days)))
    metadata = pq.read_metadata(tmp_path / TENCENT_FILE)
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [1500]
    statistics = metadata.row_group(0).column(1).statistics
    assert (statistics.min, statistics.max) == (days[0], days[-1])


# -- many machines ------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_worker_processes_compute_on_a_store(tmp_path: Path) -> None:
    from distributed import Client, LocalCluster  # noqa: PLC0415 - heavy

    def ratios(part: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"short_ratio": part.shortvol.short_ratio()})

    store = FutuShortStore(tmp_path)
    days = [f"{day:%Y-%m-%d}" for day in pd.bdate_range("2026-01-01", periods=30)]
    for code in ("HK.00005", "HK.00700", "HK.09988"):
        store.save(ticker(code), TickerHistory(hk_rows(days), True))
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0",
            host="127.0.0.1", memory_limit=None,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        frame = store.to_dask()
        pids = frame.map_partitions(lambda part: part.iloc[:1].assign(pid=os.getpid())[["pid"]],
                                    meta={"pid": "int64"})  # fmt: skip
        assert os.getpid() not in set(pids.compute()["pid"])
        assert len(client.scheduler_info()["workers"]) == 2
        metrics = frame.map_partitions(ratios, meta=ratios(frame._meta)).compute()
        whole = frame.compute()
    pd.testing.assert_frame_equal(whole, store.read())
    assert whole.attrs == {"market": "HK", "aggregates": "{}"}
    pd.testing.assert_frame_equal(metrics, ratios(store.read()))
