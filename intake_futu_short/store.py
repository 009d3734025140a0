"""The store: every ticker's history in a Parquet file of its own, on any fsspec file system."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from intake_futu_short import store_files, store_paths
from intake_futu_short.file_system import StoreFileSystem
from intake_futu_short.security import MARKETS

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from intake_futu_short.kept import Kept
    from intake_futu_short.security import Security

__all__ = ["FutuShortStore"]


class FutuShortStore:
    """Histories of tickers below a URL. Making one does no I/O.

    Parameters
    ----------
    url : str or path
        A local directory or a URL of fsspec, such as ``"s3://bucket/short"``. It need not exist.
    storage_options : mapping, optional
        What fsspec passes to the file system, credentials for instance; never shown.

    Raises
    ------
    ConfigError
        When the URL or the options cannot work, or what the protocol needs is not installed.
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._files = StoreFileSystem(url, storage_options)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        """URL for people to read, without a password."""
        return self._files.url

    # -- one ticker -------------------------------------------------------------------------

    def load(self, security: Security) -> Kept | None:
        """Read what is kept of a ticker; None when nothing is.

        Raises
        ------
        CorruptStoreError
            When its file is damaged or is none of the store's; the message names it.
        StoreError
            When the store cannot be read, or a newer version wrote the file.
        """
        path = store_paths.file_path(security)
        content = self._files.get(path)
        if content is None:
            return None
        return store_files.decode(content, security, self._files.show(path))

    def save(self, security: Security, kept: Kept) -> None:
        """Publish what is now known of a ticker: whole, or not at all.

        Raises
        ------
        StoreError
            When it cannot be written; what was kept before is then unchanged.
        """
        content = store_files.encode(security, kept)
        with self.locked(security):
            self._files.put(store_paths.file_path(security), content)

    @contextmanager
    def locked(self, security: Security) -> Iterator[None]:
        """Be the one writer of a ticker; hold it from `load` to `save`.

        Raises
        ------
        StoreError
            When another process holds it for ten minutes.
        """
        with self._files.locked(store_paths.lock_path(security)):
            yield

    # -- many -------------------------------------------------------------------------------

    def codes(self, market: str | None = None) -> list[str]:
        """Codes of which something is kept, sorted.

        Parameters
        ----------
        market : {"HK", "US"}, optional
            None: of both.
        """
        found = []
        for name in MARKETS if market is None else [market]:
            for path in self._files.find(store_paths.market_path(name)):
                security = store_paths.security_at(path)
                if security is not None:
                    found.append(security.code)
        return sorted(found)
