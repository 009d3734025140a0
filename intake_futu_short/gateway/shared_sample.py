"""The gateway behind ``sample://``, which everything in a process that reads the sample shares."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.opend.address import GatewayURL

if TYPE_CHECKING:
    from intake_futu_short.gateway import History

__all__ = ["SharedSample"]


class _Samples:
    """The sample gateways of this process, one an RSA key, and how many use each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str | None, tuple[Gateway, int]] = {}
        # Kept between runs: reading them takes longer than all else at a start.
        self._histories: dict[str, History] | None = None

    def acquire(self, rsa_key: str | None) -> str:
        with self._lock:
            gateway, users = self._running.get(rsa_key, (None, 0))
            if gateway is None:
                self._histories = self._histories or sample_histories()
                gateway = Gateway(self._histories, rsa_key=rsa_key).start()
            self._running[rsa_key] = (gateway, users + 1)
            return gateway.url

    def release(self, rsa_key: str | None) -> None:
        with self._lock:
            gateway, users = self._running.pop(rsa_key)
            if users > 1:
                self._running[rsa_key] = (gateway, users - 1)
            else:
                gateway.close()


_samples = _Samples()


def _after_fork_in_child() -> None:
    # The parent serves on; the child starts a sample of its own when it needs one.
    global _samples  # noqa: PLW0603 - the one place where the shared state is replaced
    _samples = _Samples()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class SharedSample:
    """A share in the sample gateway of this process: the first starts it, the last ends it.

    Parameters
    ----------
    rsa_key : str, optional
        Path of the RSA key that encrypts it; the sample without one is another gateway.

    Attributes
    ----------
    url : str
        Where it listens, such as ``"opend://127.0.0.1:52431"``.
    address : GatewayURL
        The same, without a limit: it has none.
    """

    def __init__(self, rsa_key: str | None = None) -> None:
        self._rsa_key = rsa_key
        self._owner = _samples
        self._is_open = True
        self.url = self._owner.acquire(self._rsa_key)
        self.address = replace(GatewayURL.parse(self.url), limit=None)

    def close(self) -> None:
        """Give the share back. Harmless when done twice."""
        if self._is_open:
            self._is_open = False
            if self._owner is _samples:
                self._owner.release(self._rsa_key)
