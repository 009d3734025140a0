"""Stores that keep to no condition, and how it is found out which ones do."""

from __future__ import annotations

import errno
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import fsspec
import pytest
from bucket import Bucket
from fsspec.spec import AbstractFileSystem
from mortal_writer import FIRST, add, days_kept, rows
from store_rows import TENCENT, TENCENT_FILE, WHOLE, keep, ticker

from intake_futu_short import CorruptStoreError, FutuShortStore, StoreError
from intake_futu_short.history.ticker_history import TickerHistory
from intake_futu_short.store import file_system

if TYPE_CHECKING:
    from collections.abc import Iterator


class KeepingBucket(Bucket):
    """A bucket that keeps to conditions, by its own signature and with its own errors."""

    protocol = "keeping"
    objects: ClassVar[dict[str, bytes]] = {}
    refusal: ClassVar[Exception] = OSError(errno.EINVAL, "a pre-condition did not hold")
    missing: ClassVar[Exception] = FileNotFoundError("no such key")

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        name = self._strip_protocol(path)
        if mode == "create" and name in self.objects:
            raise FileExistsError(path)
        if "IfMatch" in kwargs:
            if name not in self.objects:
                raise self.missing
            if kwargs["IfMatch"] != str(hash(self.objects[name])):
                raise self.refusal
        super().pipe_file(path, value)


fsspec.register_implementation("keeping", KeepingBucket, clobber=True)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[FutuShortStore]:
    """Over a bucket that this process has not written to yet."""
    monkeypatch.setattr(file_system, "_verdicts", {})
    monkeypatch.setattr(file_system, "_warned", {})
    Bucket.reset()
    yield FutuShortStore("bucket://desk/short")
    Bucket.reset()


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


# -- stores without conditional writes ------------------------------------------------------------


def test_a_store_without_conditions_is_warned_about_once(
    store: FutuShortStore, caplog: pytest.LogCaptureFixture
) -> None:
    for day in ("2026-01-05", "2026-01-06"):
        add(store, day)
        add(FutuShortStore("bucket://desk/short/"), day)
    (said,) = warnings_of(caplog)
    assert said.startswith("bucket://desk/short has no conditional writes")
    assert "one writer per ticker" in said
    add(FutuShortStore("bucket://other/short"), "2026-01-05")
    assert len(warnings_of(caplog)) == 2
    # What was tried out is gone.
    assert sorted(Bucket.objects) == [f"desk/short/{TENCENT_FILE}", f"other/short/{TENCENT_FILE}"]


def test_what_another_one_saved_before_is_taken_in(store: FutuShortStore) -> None:
    ours = store.save(TENCENT, TickerHistory(rows([FIRST, "2026-01-02"]), checked_s=1.0))
    # By another process, for which a store of its own stands.
    add(FutuShortStore(store.url), "2026-01-05")
    days = [FIRST, "2026-01-02", "2026-01-06"]
    Bucket.requests.clear()
    merged = store.save(TENCENT, replace(ours, rows=rows(days), checked_s=2.0))
    assert Bucket.requests == ["GET", "PUT"]
    assert days_kept(store) == [FIRST, "2026-01-02", "2026-01-05", "2026-01-06"]
    Bucket.requests.clear()
    store.save(TENCENT, merged)
    assert Bucket.requests == ["GET", "PUT"]


def test_what_cannot_be_read_is_not_overwritten(store: FutuShortStore) -> None:
    ours = store.save(TENCENT, WHOLE)
    Bucket.objects[f"desk/short/{TENCENT_FILE}"] = b"damaged"
    with pytest.raises(CorruptStoreError, match=r"history\.parquet is damaged"):
        store.save(TENCENT, ours)
    assert Bucket.objects == {f"desk/short/{TENCENT_FILE}": b"damaged"}


@pytest.mark.parametrize(
    "refusal",
    [
        TypeError("unexpected keyword argument 'IfMatch'"),
        NotImplementedError(),
        ValueError("unknown parameter"),
        OSError(errno.ENOSYS, "A header implies functionality that is not implemented"),
    ],
)
def test_what_does_not_know_the_argument_keeps_to_no_condition(
    store: FutuShortStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    refusal: Exception,
) -> None:
    pipe_file = Bucket.pipe_file

    def without_arguments(self: Bucket, path: str, value: bytes, **kwargs: Any) -> None:
        if kwargs:
            raise refusal
        pipe_file(self, path, value)

    monkeypatch.setattr(Bucket, "pipe_file", without_arguments)
    store.save(TENCENT, WHOLE)
    assert list(Bucket.objects) == [f"desk/short/{TENCENT_FILE}"]
    assert len(warnings_of(caplog)) == 1


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (PermissionError(13, "Access Denied"), "Access Denied. Check the permissions there"),
        (TimeoutError("timed out"), "timed out"),
        (ConnectionError("the line is cut"), "the line is cut"),
    ],
)
def test_a_failure_is_no_verdict(
    store: FutuShortStore, caplog: pytest.LogCaptureFixture, failure: Exception, words: str
) -> None:
    def fail(_path: str) -> None:
        raise failure

    Bucket.before_put = fail
    with pytest.raises(StoreError, match=f"cannot write bucket://desk/short.*{words}"):
        store.save(TENCENT, WHOLE)
    assert warnings_of(caplog) == []
    Bucket.before_put = None
    store.save(TENCENT, WHOLE)
    assert len(warnings_of(caplog)) == 1


def test_a_file_that_may_not_be_removed_is_in_nobodys_way(
    store: FutuShortStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Bucket, path: str) -> None:
        raise PermissionError(13, "Access Denied", path)

    monkeypatch.setattr(Bucket, "rm_file", refuse)
    store.save(TENCENT, WHOLE)
    assert store.codes() == ["HK.00700"]


# -- stores with them -----------------------------------------------------------------------------


class AnsweredError(Exception):
    """As a library below fsspec has it."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__("no")
        vars(self).update(attributes)


def caused_by(cause: Exception) -> Exception:
    error = OSError(errno.EIO, "no")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "refusal",
    [
        OSError(errno.EINVAL, "At least one of the pre-conditions you specified did not hold"),
        FileExistsError(),
        caused_by(AnsweredError(response={"ResponseMetadata": {"HTTPStatusCode": 412}})),
        caused_by(AnsweredError(response={"ResponseMetadata": {"HTTPStatusCode": 409}})),
        caused_by(AnsweredError(status=412)),
        caused_by(AnsweredError(code=409)),
    ],
)
def test_what_keeps_to_conditions_is_told_by_what_it_does(
    store: FutuShortStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    refusal: Exception,
) -> None:
    assert store.codes() == []
    monkeypatch.setattr(KeepingBucket, "refusal", refusal)
    KeepingBucket.objects.clear()
    keeping = FutuShortStore("keeping://desk/short")
    add(keeping, "2026-01-05")
    ours = keeping.load(TENCENT)
    assert ours is not None
    add(FutuShortStore(keeping.url), "2026-01-06")
    days = [*ours.rows["timestamp_str"], "2026-01-07"]
    keeping.save(TENCENT, replace(ours, rows=rows(days)))
    assert days_kept(keeping) == [FIRST, "2026-01-05", "2026-01-06", "2026-01-07"]
    assert warnings_of(caplog) == []
    assert list(KeepingBucket.objects) == [f"desk/short/{TENCENT_FILE}"]


def test_a_store_that_tells_no_tags_is_warned_about(
    store: FutuShortStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert store.codes() == []
    info = KeepingBucket.info

    def without_tag(self: KeepingBucket, path: str, **kwargs: Any) -> dict[str, Any]:
        return {key: value for key, value in info(self, path, **kwargs).items() if key != "etag"}

    monkeypatch.setattr(KeepingBucket, "info", without_tag)
    KeepingBucket.objects.clear()
    keeping = FutuShortStore("keeping://desk/short")
    for day in ("2026-01-05", "2026-01-06", "2026-01-07"):
        add(keeping, day)
    keep(keeping, TENCENT, WHOLE)
    assert len(warnings_of(caplog)) == 1


# -- listings -------------------------------------------------------------------------------------


def test_what_cannot_list_is_said(store: FutuShortStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(TENCENT, WHOLE)

    def unable(*_: Any, **__: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(Bucket, "find", unable)
    for action in (store.codes, store.read, store.to_dask, store.info):
        with pytest.raises(StoreError, match=r"cannot list .*A store must be able to list"):
            action()


class Listed(Bucket):
    """A bucket that can list directories one by one only."""

    protocol = "listed"
    find = AbstractFileSystem.find

    def ls(self, path: str, detail: bool = True, **_kwargs: Any) -> list[dict[str, Any]]:
        top = self._strip_protocol(path).rstrip("/") + "/"
        if top.endswith("code=HK.00005/"):
            raise PermissionError(13, "Permission denied", path)
        found = {}
        for name, content in self.objects.items():
            if name.startswith(top):
                below, is_deeper, _ = name[len(top) :].partition("/")
                kind = "directory" if is_deeper else "file"
                found[below] = {"name": top + below, "type": kind, "size": len(content)}
        if not found:
            raise FileNotFoundError(path)
        return list(found.values())


fsspec.register_implementation("listed", Listed, clobber=True)


def test_a_directory_that_may_not_be_listed_is_not_left_out(store: FutuShortStore) -> None:
    store.save(TENCENT, WHOLE)
    listed = FutuShortStore("listed://desk/short")
    assert listed.codes() == ["HK.00700"]
    assert listed.info()["size_bytes"].tolist() == [
        len(Bucket.objects[f"desk/short/{TENCENT_FILE}"])
    ]
    store.save(ticker("HK.00005"), WHOLE)
    for action in (listed.codes, listed.read, listed.info):
        with pytest.raises(StoreError, match=r"cannot list .*Permission denied"):
            action()
