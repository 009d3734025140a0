"""The one thread behind every connection; what it does for them is tested with them."""

from __future__ import annotations

import threading

import pytest

from intake_futu_short.opend import background
from intake_futu_short.source import FutuShortSource


def test_a_thread_that_cannot_start_is_an_error_each_time_and_no_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError(f"can't start new thread: {thread.name}")

    with FutuShortSource("HK.00700", gateway="sample://") as source:
        with monkeypatch.context() as system:
            system.setattr(threading.Thread, "start", refuse)
            for _ in range(2):
                with pytest.raises(RuntimeError, match="can't start new thread: intake-futu"):
                    background.Lease()
                with pytest.raises(RuntimeError, match="can't start new thread"):
                    source.read()
        assert len(source.read()) == 10
