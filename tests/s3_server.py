"""An S3 of one's own: moto's server on the loopback interface, over real HTTP.

A write with a condition is one step in S3. Moto's threads look first and write then, so that here
one request after the other is carried out.
"""

from __future__ import annotations

import secrets
import threading
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import s3fs
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["S3Server", "running"]


class _Quiet(MotoRequestHandler):
    def log(self, *_: Any, **__: Any) -> None:
        pass


class S3Server:
    """A server with buckets that last as long as it does."""

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._one_at_a_time = threading.Lock()
        self._http = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet
        )
        self.requests: list[str] = []
        # Made here, known nowhere else, and good for nothing else.
        self.options: dict[str, Any] = {
            "key": f"test-{secrets.token_hex(8)}",
            "secret": secrets.token_hex(16),
            "endpoint_url": f"http://127.0.0.1:{self._http.server_port}",
            "client_kwargs": {"region_name": "eu-west-1"},
        }

    def bucket(self) -> str:
        """URL of a new store in a bucket of its own."""
        name = f"desk-{uuid.uuid4().hex}"
        self.fs.mkdir(name)
        self.requests.clear()
        return f"s3://{name}/short"

    @property
    def fs(self) -> s3fs.S3FileSystem:
        return s3fs.S3FileSystem(**self.options)

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            # Werkzeug names the server too, and aiohttp in Python's development mode minds.
            kept = [(name, value) for name, value in headers if name.lower() != "server"]
            return start_response(status, kept, *error)

        with self._one_at_a_time:
            self.requests.append(environ["REQUEST_METHOD"])
            answer: Iterable[bytes] = list(self._app(environ, start))
            return answer


@contextmanager
def running() -> Iterator[S3Server]:
    """A server until the context ends, and the sockets of who asked it here."""
    server = S3Server()
    thread = threading.Thread(target=server._http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        fs = server.fs
        fs.close_session(fs.loop, fs.s3)
        s3fs.S3FileSystem.clear_instance_cache()
        server._http.shutdown()
        server._http.server_close()
        thread.join()
