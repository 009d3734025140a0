"""The Intake driver: one ticker as a source whose partitions are the gateway's pages."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import accumulate
from operator import index
from typing import TYPE_CHECKING, Any

from intake.source.base import DataSource, Schema

import intake_futu_short.accessor  # noqa: F401 - df.shortvol on what is read, also without the package
from intake_futu_short import __version__, arguments, table
from intake_futu_short.errors import ConfigError
from intake_futu_short.gateway import SharedSample
from intake_futu_short.opend.address import DEFAULT_URL, ENVIRONMENT_VARIABLE, GatewayURL
from intake_futu_short.opend.client import GatewayClient
from intake_futu_short.pages import Walk
from intake_futu_short.partitions import WalkedTicker
from intake_futu_short.security import Security

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    import dask.dataframe as dd
    import pandas as pd
    from typing_extensions import Self

    from intake_futu_short.opend.messages_pb2 import DailyShortVolume
    from intake_futu_short.partitions import Partitions

__all__ = ["FutuShortSource"]


class FutuShortSource(DataSource):  # type: ignore[misc]  # Intake has no types
    """Daily short volume of one US or HK stock or fund.

    Partition *i* is the gateway's *i*-th page, newest first. Making a source, ``with source:`` and
    every attribute do no I/O; `read_partition` walks only as far as it must; `discover`, `read`
    and `to_dask` walk to the end. A page walked is kept until `close`.

    Parameters
    ----------
    code : str
        ``"US.<symbol>"`` or ``"HK.<symbol>"``, such as ``"HK.00700"``.
    start, end : str, date or Timestamp, optional
        First and last trading day wanted, both inclusive, in the market's own calendar.
    num : int, default 50
        Rows a page, 1 to 50.
    gateway : str, optional
        ``"opend://HOST:PORT"``, or ``"sample://"`` for the examples that come with the package.
        None takes the environment variable ``FUTU_OPEND``, else ``opend://127.0.0.1:11111``.
    max_pages : int, optional
        Read no more than the newest so many pages.
    rsa_key : str or path, optional
        File with the RSA private key (PEM) that OpenD is set to; the connection is then encrypted.
        The path is what ``yaml()`` and ``repr`` print. Needs the extra ``[encryption]``.
    timeout : float, default 12
        Seconds to wait for each answer; a connection gets 5 seconds at most.
    metadata : dict, optional
        Kept beside the data; `discover` adds what the gateway says of the ticker to a copy.

    Attributes
    ----------
    dtype : dict of str to str
        Name of each column's dtype; known without I/O.
    npartitions : int or None
        Pages; None until the walk has reached its end.
    shape : tuple of int or None
        Rows and columns; None until then.

    Raises
    ------
    ConfigError
        For an argument that cannot work, before any I/O.
    """

    name = "futu_short"
    version = __version__
    container = "dataframe"
    partition_access = True

    def __init__(
        self,
        code: str,
        start: str | dt.date | None = None,
        end: str | dt.date | None = None,
        num: int = arguments.MAX_ROWS_A_PAGE,
        gateway: str | None = None,
        *,
        max_pages: int | None = None,
        rsa_key: str | os.PathLike[str] | None = None,
        timeout: float = arguments.DEFAULT_TIMEOUT_S,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        first, last = arguments.interval(start, end)
        self._arguments: dict[str, Any] = {
            "code": arguments.code(code),
            "start": first,
            "end": last,
            "num": arguments.rows_a_page(num),
            "gateway": arguments.gateway(gateway),
            "max_pages": arguments.pages(max_pages),
            "rsa_key": arguments.rsa_key(rsa_key),
            "timeout": arguments.seconds(timeout),
        }
        url = _gateway_url(self._arguments["gateway"])
        self._gateway = url.with_rsa_key(self._arguments["rsa_key"])
        self._security = Security.parse(self._arguments["code"])
        if metadata is not None and not isinstance(metadata, Mapping):
            raise ConfigError(f"metadata must be a mapping, not {metadata!r}")
        self._given_metadata = dict(metadata or {})
        # Intake prints, pickles, compares and copies sources by these.
        self._captured_init_args = ()
        self._captured_init_kwargs = {k: v for k, v in self._arguments.items() if v is not None}
        if metadata:
            self._captured_init_kwargs["metadata"] = self._given_metadata
        super().__init__(storage_options={}, metadata=dict(self._given_metadata))

        self._lock = threading.RLock()
        self._process = os.getpid()
        self._resources = ExitStack()
        self._partitions: Partitions | None = None
        self.dtype = table.dtypes(self._security.market)
        self.npartitions = None

    # -- reading ----------------------------------------------------------------------------

    def read(self) -> pd.DataFrame:
        """Read every page into one frame.

        Returns
        -------
        pandas.DataFrame
            A row a trading day, newest first, on a RangeIndex. ``attrs`` holds ``code``,
            ``market``, the last page's ``next_key`` and, for HK, the newest page's
            ``aggregated_short`` (shares), ``aggregated_short_ratio`` (percent) and
            ``new_time_str``.

        Raises
        ------
        GatewayError
            When the gateway cannot be asked or answers no; the subclass says why.
        PaginationError
            When the gateway's cursor loops.
        """
        with self._alone():
            return self._load().frame()

    def read_partition(self, i: int) -> pd.DataFrame:
        """Read one page, walking no farther than it.

        Parameters
        ----------
        i : int
            0 is the newest.

        Returns
        -------
        pandas.DataFrame
            As `read` gives it, with the page's own ``next_key`` and aggregates in ``attrs``.

        Raises
        ------
        IndexError
            When there are fewer pages.
        """
        number = index(i)
        part = self._partition(number) if number >= 0 else None
        if part is None:
            known = f"has {self.npartitions} partitions" if number >= 0 else "counts from 0"
            raise IndexError(f"partition {number} is out of range: {self._security} {known}")
        return part

    def read_chunked(self) -> Iterator[pd.DataFrame]:
        """Yield the pages one by one, each as soon as it is there."""
        number = 0
        while (part := self._partition(number)) is not None:
            yield part
            number += 1

    def discover(self) -> dict[str, Any]:
        """Walk to the end, and say what there is.

        Returns
        -------
        dict
            ``dtype``, ``shape``, ``npartitions`` (exact) and ``metadata``, which holds the same
            values as ``read().attrs``.
        """
        with self._alone():
            self._load()
            info: dict[str, Any] = super().discover()
        # Copies: what a caller does to them must not change the source.
        return {**info, "dtype": dict(info["dtype"]), "metadata": dict(info["metadata"])}

    def to_dask(self) -> dd.DataFrame:
        """Give the pages as a Dask DataFrame, a partition a page.

        The walk happens here, once, where the gateway is; the partitions carry their rows, so
        workers do not contact the gateway. Every partition bears the ``attrs`` of `read`, and the
        index goes on from one to the next, so that ``compute()`` gives what `read` gives.

        Raises
        ------
        ImportError
            When Dask is not installed (``pip install "intake-futu-short[dask]"``).
        """
        try:
            import dask  # noqa: PLC0415 - heavy and optional
            import dask.dataframe as dd  # noqa: PLC0415
        except ImportError as error:
            raise ImportError(
                'to_dask() needs Dask: pip install "intake-futu-short[dask]"'
            ) from error

        with self._alone():
            partitions = self._load()
            whole = partitions.frame()
            # Dask knows no frame without partitions; no rows make one empty partition.
            sizes = partitions.sizes or [0]
        parts = [
            whole.iloc[end - size : end] for size, end in zip(sizes, accumulate(sizes), strict=True)
        ]
        # Dask would turn strings into another kind of strings; the dtypes here are a promise.
        with dask.config.set({"dataframe.convert-string": False}):
            frame: dd.DataFrame = dd.from_map(
                _same, parts, meta=whole.iloc[:0], label="futu-short", enforce_metadata=False
            )
        return frame

    def aggregates(self) -> dict[str, Any]:
        """Reported open short position of an HK ticker, as of now.

        Asks for the newest page if no page was read yet.

        Returns
        -------
        dict
            ``aggregated_short`` (shares), ``aggregated_short_ratio`` (percent) and
            ``new_time_str``; None where the gateway sends none, all three for US.
        """
        with self._alone():
            return self._open().aggregates()

    # -- Intake's hooks ---------------------------------------------------------------------

    def _get_schema(self) -> Schema:
        partitions = self._open()
        partitions.load()
        return Schema(
            dtype=self.dtype,
            shape=(sum(partitions.sizes), len(self.dtype)),
            npartitions=len(partitions.sizes),
            extra_metadata=partitions.attributes(),
        )

    def _get_partition(self, i: int) -> pd.DataFrame:
        return self.read_partition(i)

    def _close(self) -> None:
        # Before the lock: a reader that waits for the gateway in another thread ends with this.
        self._resources.close()
        with self._alone():
            self._resources.close()
            self._partitions = None
            self._schema = None
            self.npartitions = None
            self.shape = None
            self.metadata = dict(self._given_metadata)

    def __enter__(self) -> Self:
        # Intake would load the metadata here, which means walking every page.
        return self

    def _yaml(self) -> dict[str, Any]:
        arguments_given = dict(self._captured_init_kwargs)
        # Where a catalog lay is Intake's note for this process; it is of no use to others.
        metadata = {k: v for k, v in self._given_metadata.items() if k != "catalog_dir"}
        arguments_given.pop("metadata", None)
        return {
            "sources": {
                self.name: {
                    "driver": self.classname,
                    "description": self.description or "",
                    "metadata": metadata,
                    "args": arguments_given,
                }
            }
        }

    def __getstate__(self) -> dict[str, Any]:
        return {
            "args": (),
            "kwargs": self._captured_init_kwargs,
            "name": self.name,
            "description": self.description,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["kwargs"])  # type: ignore[misc]  # how Intake rebuilds its sources
        self.name = state["name"]
        self.description = state["description"]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, FutuShortSource)
            and type(self) is type(other)
            and self._arguments == other._arguments
        )

    def __hash__(self) -> int:
        return hash((type(self), tuple(self._arguments.items())))

    def __dask_tokenize__(self) -> object:
        return (type(self).__name__, *self._arguments.items())

    def _alone(self) -> threading.RLock:
        """Lock of the walk; a forked child, whose parent may have held it, has its own."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._lock = threading.RLock()
        return self._lock

    # -- the rows ---------------------------------------------------------------------------

    def _partition(self, number: int) -> pd.DataFrame | None:
        """Partition `number`, reading on if need be; None when there are fewer."""
        with self._alone():
            partitions = self._open()
            part = partitions.get(number)
            if partitions.is_finished:
                self._load_metadata()
            return part

    def _load(self) -> Partitions:
        """Read to the end, from where on the shape is known."""
        partitions = self._open()
        partitions.load()
        self._load_metadata()
        return partitions

    def _open(self) -> Partitions:
        if self._partitions is None:
            client = self._open_client()
            num = self._arguments["num"]

            def fetch(next_key: str | None) -> DailyShortVolume.S2C:
                return client.daily_short_volume(self._security, next_key, num)

            walk = Walk(
                fetch,
                self._security,
                origin=str(self._gateway),
                start=self._arguments["start"],
                end=self._arguments["end"],
                max_pages=self._arguments["max_pages"],
            )
            self._partitions = WalkedTicker(walk, self._security)
        return self._partitions

    def _open_client(self) -> GatewayClient:
        url = self._gateway
        if url.is_sample:
            sample = SharedSample(url.rsa_key)
            self._resources.callback(sample.close)
            url = replace(GatewayURL.parse(sample.url), limit=None)
        client = GatewayClient(url, timeout=self._arguments["timeout"])
        self._resources.callback(client.close)
        return client


def _gateway_url(given: str | None) -> GatewayURL:
    """The gateway meant, once the environment and the default have had their say."""
    if given is None:
        try:
            given = arguments.gateway(os.environ.get(ENVIRONMENT_VARIABLE))
        except ConfigError as error:
            raise ConfigError(f"${ENVIRONMENT_VARIABLE}: {error}") from error
    return GatewayURL.parse(given or DEFAULT_URL)


def _same(part: pd.DataFrame) -> pd.DataFrame:
    return part
