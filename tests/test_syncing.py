"""Many tickers brought up to date together, over real sockets and files."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import meeting_store
import pandas as pd
import pytest
from fsspec.callbacks import Callback
from meeting_store import MeetingStore, lockable, ticker
from model_gateway import ModelGateway

import intake_futu_short
from intake_futu_short import FutuShortStore, sync
from intake_futu_short.errors import (
    ConfigError,
    GatewayUnreachableError,
    PanelError,
    PanelWarning,
)
from intake_futu_short.gateway import Gateway, History
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from intake_futu_short.gateway import Request

pytestmark = pytest.mark.compat

PATIENCE_S = 30.0


def served(**models: ModelGateway) -> dict[str, History]:
    codes = {name.replace("_", "."): model for name, model in models.items()}
    return {code: History(Security.parse(code), model.rows) for code, model in codes.items()}


def unlimited(gateway: Gateway) -> str:
    return f"{gateway.url}?limit=off"


def test_a_row_a_ticker_says_what_was_done(tmp_path: Path) -> None:
    us, hk = ModelGateway(120), ModelGateway(60, "HK")
    histories = served(US_A=us, HK_00001=hk)
    with Gateway(histories) as gateway:
        first = sync(["HK.00001", "US.A", "HK.00001"], tmp_path, unlimited(gateway))
        assert first.drop(columns="error").to_dict("list") == {
            "code": ["HK.00001", "US.A"], "rows": [60, 120], "new_rows": [60, 120],
            "requests": [2, 3], "revised": [0, 0], "complete": [True, True],
        }  # fmt: skip
        assert first["error"].isna().all()
        assert first[["rows", "new_rows", "requests", "revised"]].dtypes.eq("Int64").all()
        assert sync("US.A", tmp_path, unlimited(gateway))["requests"].tolist() == [0]
        us.revise(3, "volume", 3)
        us.add(2)
        histories.update(served(US_A=us))
        second = sync(["US.A"], FutuShortStore(tmp_path), unlimited(gateway), refresh="always")
        assert second[["rows", "new_rows", "requests", "revised"]].to_numpy().tolist() == [
            [122, 2, 1, 1]
        ]
        assert len(gateway.requests) == 6
    kept = FutuShortStore(tmp_path).load(ticker("US.A"))
    assert kept is not None
    rows = kept.rows.drop(columns="first_seen")[::-1].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, us.frame())


def test_start_ends_a_first_fill(tmp_path: Path) -> None:
    model = ModelGateway(400)
    with Gateway(served(US_A=model)) as gateway:
        done = sync("US.A", tmp_path, unlimited(gateway), start=model.rows[70]["timestamp_str"])
    assert done[["rows", "requests", "complete"]].to_numpy().tolist() == [[100, 2, False]]


def test_a_ticker_that_fails_takes_none_with_it(tmp_path: Path) -> None:
    codes = ["US.A", "US.NOPE", "US.B"]
    models = served(US_A=ModelGateway(60), US_B=ModelGateway(70))
    with Gateway(models) as gateway:
        with pytest.raises(PanelError, match=r"1 of 3 tickers failed: US\.NOPE\. .*Unknown") as got:
            sync(codes, tmp_path, unlimited(gateway), num=50)
        partial = got.value.partial
        assert partial is not None
        assert partial["rows"].fillna(-1).tolist() == [60, -1, 70]
        assert list(got.value.failures) == ["US.NOPE"]
        with pytest.warns(PanelWarning, match=r"US\.NOPE"):
            done = sync(codes, tmp_path, unlimited(gateway), errors="warn")
    assert done["error"].notna().tolist() == [False, True, False]
    assert done["requests"].fillna(-1).tolist() == [0, -1, 0]
    assert FutuShortStore(tmp_path).codes() == ["US.A", "US.B"]


def test_a_gateway_that_is_down_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(GatewayUnreachableError):
        sync(["US.A", "US.B"], tmp_path, "opend://127.0.0.1:9")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"codes": ["US.A", "AAPL"]}, "AAPL"),
        ({"store": ""}, "store must name where"),
        ({"store": 3}, "store must be a directory"),
        ({"refresh": "never"}, "there would be nothing to sync"),
        ({"refresh": "daily"}, "refresh must be one of"),
        ({"errors": "ignore"}, "errors must be"),
        ({"start": "soon"}, "start must be a trading day"),
        ({"gateway": "http://x"}, "opend"),
        ({"num": 51}, "num must be"),
    ],
)
def test_arguments_that_cannot_work_are_refused(
    tmp_path: Path, arguments: dict[str, Any], words: str
) -> None:
    given = {"codes": ["US.A"], "store": tmp_path, "gateway": "sample://", **arguments}
    with pytest.raises(ConfigError, match=words):
        sync(given.pop("codes"), given.pop("store"), **given)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_sync_is_an_empty_table(tmp_path: Path) -> None:
    done = intake_futu_short.sync([], tmp_path, "opend://127.0.0.1:9")
    assert len(done) == 0
    assert list(done.columns) == [
        "code",
        "rows",
        "new_rows",
        "requests",
        "revised",
        "complete",
        "error",
    ]


# -- beside other writers -------------------------------------------------------------------------


class AfterTheFirst(Callback):  # type: ignore[misc]  # fsspec has no types
    """Does something when the first ticker is done."""

    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__()
        self._then = then

    def absolute_update(self, value: int) -> None:
        if value == 1:
            self._then()


def newest_pages(requests: list[Request]) -> list[str]:
    return sorted(request.code for request in requests if request.next_key is None)


def test_a_ticker_that_another_one_writes_keeps_no_other_waiting(tmp_path: Path) -> None:
    store = FutuShortStore(tmp_path)
    others = contextlib.ExitStack()
    lock = store.try_lock(ticker("US.A"))
    assert lock is not None
    others.enter_context(lock)

    def let_go() -> None:
        assert store.codes() == ["US.B"]
        others.close()

    models = served(US_A=ModelGateway(120), US_B=ModelGateway(120))
    with Gateway(models) as gateway:
        done = sync(["US.A", "US.B"], store, unlimited(gateway), callback=AfterTheFirst(let_go))
    assert done["requests"].tolist() == [3, 3]
    assert done["complete"].all()


def test_threads_that_sync_one_list_in_opposite_orders_both_finish(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "intake_futu_short")
    meetings = {came_to: threading.Barrier(2, timeout=PATIENCE_S) for came_to in MEETINGS}
    done: list[pd.DataFrame] = []

    def meet(came_to: str) -> None:
        meetings[came_to].wait()

    def run(codes: list[str], gateway: str) -> None:
        done.append(sync(codes, MeetingStore(str(tmp_path), meet), gateway))

    models = served(US_A=ModelGateway(120), US_B=ModelGateway(170))
    with Gateway(models) as gateway:
        threads = [
            threading.Thread(target=run, args=(codes, unlimited(gateway)))
            for codes in (["US.A", "US.B"], ["US.B", "US.A"])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert not any(thread.is_alive() for thread in threads)
        # Neither asked for what the other one had brought.
        assert newest_pages(gateway.requests) == ["US.A", "US.B"]
    assert sorted(tuple(one["code"]) for one in done) == [("US.A", "US.B"), ("US.B", "US.A")]
    for one in done:
        assert dict(zip(one["code"], one["rows"], strict=True)) == {"US.A": 120, "US.B": 170}
        assert one["complete"].all()
    waits = sorted(r.getMessage() for r in caplog.records if "waiting" in r.getMessage())
    assert waits == [f"US.{x}: waiting for another writer of {tmp_path}" for x in "AB"]


MEETINGS = ["locked", "refused"]


def test_processes_that_sync_one_list_in_opposite_orders_both_finish(tmp_path: Path) -> None:
    models = served(US_A=ModelGateway(120), US_B=ModelGateway(170))
    with Gateway(models) as gateway, contextlib.ExitStack() as ends:
        processes = []
        for codes in (["US.A", "US.B"], ["US.B", "US.A"]):
            process = subprocess.Popen(
                [sys.executable, meeting_store.__file__, "sync", str(tmp_path), unlimited(gateway),
                 *codes],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            ends.callback(process.communicate)
            ends.callback(process.kill)
            processes.append(process)
        said: list[list[str]] = [[], []]
        for came_to in MEETINGS:
            for process, lines in zip(processes, said, strict=True):
                assert process.stdout is not None
                while not lines or lines[-1] != came_to:
                    line = process.stdout.readline()
                    assert line, "it ended"
                    lines.append(line.rstrip())
            for process in processes:
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
        for process, lines in zip(processes, said, strict=True):
            output, errors = process.communicate(timeout=PATIENCE_S)
            assert (process.returncode, errors) == (0, "")
            lines.extend(output.splitlines())
        assert newest_pages(gateway.requests) == ["US.A", "US.B"]
    assert [lines[-1] for lines in said] == ["[120, 170]", "[170, 120]"]
    for lines, code in zip(said, ["US.B", "US.A"], strict=True):
        waits = [line for line in lines if "waiting" in line]
        assert waits == [f"{code}: waiting for another writer of {tmp_path}"]


@pytest.mark.parametrize("how", ["interrupted", "failed"])
def test_a_sync_that_ends_early_lets_go_of_every_ticker(tmp_path: Path, how: str) -> None:
    codes = [f"US.{x}" for x in "ABCD"]
    days = dict(zip(codes, (20, 900, 900, 900), strict=True))
    histories = {
        code: History(Security.parse(code), ModelGateway(n).rows) for code, n in days.items()
    }

    def interrupt() -> None:
        assert lockable(tmp_path, *codes) == ["US.A"]
        if how == "interrupted":
            signal.raise_signal(signal.SIGINT)
        else:
            histories.clear()

    expected = KeyboardInterrupt if how == "interrupted" else PanelError
    with Gateway(histories, latency_s=0.05) as gateway, pytest.raises(expected):
        sync(codes, tmp_path, unlimited(gateway), callback=AfterTheFirst(interrupt))
    assert lockable(tmp_path, *codes) == codes
    # What came is kept, and goes on.
    assert len(FutuShortStore(tmp_path).read("US.A")) == 20
