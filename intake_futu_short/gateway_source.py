"""What every Intake driver of the package is: rows of gateways in partitions, and a value."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import threading
from operator import index
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar

from intake.source.base import DataSource, Schema

import intake_futu_short.accessor  # noqa: F401 - df.shortvol on what is read, also without the package
from intake_futu_short import __version__, arguments, progress, repr_table, source_repr
from intake_futu_short.reading import gateway_urls, open_gateways, read
from intake_futu_short.store.urls import masked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import dask.dataframe as dd
    import pandas as pd
    from fsspec.callbacks import Callback
    from typing_extensions import Self

    from intake_futu_short.calls import Call
    from intake_futu_short.partitions import Job, Partitions
    from intake_futu_short.progress import Display

__all__ = ["Discovered", "GatewaySource"]


P = TypeVar("P", bound="Partitions")


class Discovered(TypedDict):
    """Type of what `discover` returns."""

    dtype: dict[str, str]
    shape: tuple[int, int]
    npartitions: int
    metadata: dict[str, Any]


class GatewaySource(DataSource, Generic[P]):  # type: ignore[misc]  # Intake has no types
    """Base class of the sources: rows that gateways send in answer to one of their calls.

    A subclass names the `call`, makes the partitions, and documents arguments and rows. Making a
    source does no I/O.

    Parameters
    ----------
    given : mapping of str to value
        Arguments as plain YAML values, among them ``gateway``, ``rsa_key`` and ``timeout``. An
        argument that was not given is None.
    metadata : mapping or None
        Metadata given by the caller.
    dtype : mapping of str to str
        Name of each column's dtype.

    Raises
    ------
    ConfigError
        For a gateway or metadata that cannot work.
    """

    call: Call
    name: str
    version = __version__
    container = "dataframe"
    partition_access = True
    # Total that the progress bar of a long read counts to; None: it counts pages.
    _counted: int | None = None
    # Intake's base class sets these to None, which is all that a type checker sees there.
    description: str | None
    dtype: dict[str, str]
    npartitions: int | None
    shape: tuple[int, int] | None
    metadata: dict[str, Any]

    def __init__(
        self, given: dict[str, Any], metadata: Mapping[str, Any] | None, dtype: Mapping[str, str]
    ) -> None:
        urls = [url.with_rsa_key(given["rsa_key"]) for url in gateway_urls(given["gateway"])]
        self._arguments = given
        self._given_metadata = arguments.metadata(metadata)
        super().__init__(storage_options={}, metadata=copy.deepcopy(self._given_metadata))
        # Intake prints, pickles, compares and copies sources by these.
        self._captured_init_args = ()
        self._captured_init_kwargs = {k: v for k, v in given.items() if v is not None}
        if self._given_metadata:
            self._captured_init_kwargs["metadata"] = self._given_metadata

        self._locks: dict[int, threading.RLock] = {}  # by process
        self._process = os.getpid()
        self._gateways = open_gateways(urls, given["timeout"])
        self._display: Display | None = None
        self.dtype = dict(dtype)
        self.npartitions = None
        self._partitions: P | None = None

    # -- what a subclass defines --------------------------------------------------------------

    def _new_partitions(self) -> P:
        """Make the partitions; nothing of them is read yet."""
        raise NotImplementedError

    def _name(self) -> str:
        """What is read, for messages."""
        raise NotImplementedError

    def _store_url(self) -> str | None:
        """Where rows are kept, without a password."""
        return None

    def _forget(self) -> None:
        """Let go of what was read."""
        self._partitions = None

    # -- reading ----------------------------------------------------------------------------

    def read(self, *, callback: Callback | None = None) -> pd.DataFrame:
        """Read every partition into one frame.

        Returns
        -------
        pandas.DataFrame
            The rows on a RangeIndex, with the ``attrs`` of the whole.

        Raises
        ------
        GatewayError
            When the gateway cannot be reached or refuses; the class of the error says why.
        PaginationError
            When the gateway's pages contradict each other.
        """
        with self._alone():
            return self._load(callback).frame()

    def read_partition(self, i: int) -> pd.DataFrame:
        """Read one page, and ask for no page after it.

        Parameters
        ----------
        i : int
            Number of the page; 0 is the newest.

        Returns
        -------
        pandas.DataFrame
            As `read` gives it, with the page's own ``next_key`` and aggregates in ``attrs``.

        Raises
        ------
        IndexError
            When there is no such page.
        """
        number = index(i)
        part = self._partition(number) if number >= 0 else None
        if part is None:
            many = "fewer" if self.npartitions is None else self.npartitions
            known = f"has {many} partitions" if number >= 0 else "counts from 0"
            raise IndexError(f"partition {number} is out of range: {self._name()} {known}")
        return part

    def read_chunked(self) -> Iterator[pd.DataFrame]:
        """Yield the pages one by one, each as soon as it has arrived.

        Yields
        ------
        pandas.DataFrame
            As `read_partition` gives it, the newest page first.
        """
        number = 0
        while (part := self._partition(number)) is not None:
            yield part
            number += 1

    def discover(self, *, callback: Callback | None = None) -> Discovered:
        """Read all pages, and describe the data.

        Returns
        -------
        Discovered
            A dict of ``dtype``, ``shape``, ``npartitions`` (exact) and ``metadata``. The metadata
            hold the same values as ``read().attrs``.
        """
        with self._alone():
            self._load(callback)
            info: Discovered = super().discover()
        # A caller who changes the result must not change the source.
        return copy.deepcopy(info)

    def to_dask(self, *, callback: Callback | None = None) -> dd.DataFrame:
        """Give the partitions as a Dask DataFrame; each carries its rows.

        This call asks the gateway for everything that was not read yet; workers never contact it.
        Every partition has the ``attrs`` of `read`, and the index continues from one partition to
        the next. ``compute()`` therefore gives the same frame as `read`.

        Raises
        ------
        ImportError
            When Dask is not installed (``pip install "dask[dataframe]" distributed``).
        """
        from intake_futu_short.dask import carried  # noqa: PLC0415 - heavy, optional

        with self._alone():
            partitions = self._load(callback)
            return carried(partitions.frame(), partitions.sizes)

    # -- Intake's hooks ---------------------------------------------------------------------

    def _get_schema(self) -> Schema:
        with self._alone():
            partitions = self._open()
            if not partitions.is_finished:
                partitions.load()
            self._close_connections()
        return Schema(
            dtype=self.dtype,
            shape=(sum(partitions.sizes), len(self.dtype)),
            npartitions=len(partitions.sizes),
            extra_metadata=partitions.attributes(),
        )

    def _get_partition(self, i: int) -> pd.DataFrame:
        return self.read_partition(i)

    def _close(self) -> None:
        if not self._is_made():
            return
        # Before taking the lock: this ends a read that another thread is in the middle of.
        if self._process == os.getpid():
            self._gateways.stop()
        with self._alone():
            self._gateways.close()
            self._forget()
            self._schema = None
            self.npartitions = None
            self.shape = None
            self.metadata = copy.deepcopy(self._given_metadata)

    def __enter__(self) -> Self:
        # Intake would load the metadata here, which means walking every page.
        return self

    # -- a source is compared, printed and pickled by its arguments --------------------------

    def __repr__(self) -> str:
        return repr_table.as_text(*self._shown())

    def _repr_html_(self) -> str:
        return repr_table.as_html(*self._shown())

    # Notebooks prefer this method, and Intake's version of it would print yaml().
    _ipython_display_ = None

    def _shown(self) -> tuple[str, dict[str, str]]:
        """Title and facts. Takes no lock, because another thread may be in a long read."""
        title = f"{type(self).__name__}: {self.call.title}"
        if not self._is_made():
            return title, {"state": repr_table.REFUSED}
        return title, source_repr.facts(
            self._arguments, self._gateways.origin, self._store_url(), self._partitions
        )

    def _is_made(self) -> bool:
        """Whether `__init__` succeeded: a debugger also shows a source that was refused."""
        return hasattr(self, "_partitions")  # the last attribute that __init__ sets

    def _yaml(self) -> dict[str, Any]:
        given = {k: v for k, v in self._captured_init_kwargs.items() if k != "metadata"}
        given = masked(given)
        # Intake notes a catalog's directory for this process; it is of no use to others.
        metadata = {k: v for k, v in self._given_metadata.items() if k != "catalog_dir"}
        return {
            "sources": {
                self.name: {
                    "driver": self.classname,
                    "description": self.description or "",
                    "metadata": metadata,
                    "args": given,
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

    def _value(self) -> tuple[str, str]:
        """What a source is compared by. The order of keys makes no difference."""
        given = self._arguments if self._is_made() else id(self)
        return self.classname, json.dumps(given, sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GatewaySource) and self._value() == other._value()

    def __hash__(self) -> int:
        return hash(self._value())

    def __dask_tokenize__(self) -> object:
        return self._value()

    # -- the rows ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads out of a read. A forked child has a lock of its own."""
        with self._locks.setdefault(os.getpid(), threading.RLock()):
            self._process = os.getpid()
            yield

    def _partition(self, number: int) -> pd.DataFrame | None:
        """Get partition `number`, reading more pages if needed; None if there is no such one."""
        with self._alone():
            partitions = self._open()
            part = partitions.get(number)
            if partitions.is_finished:
                self._load_metadata()
            self._close_connections()
            return part

    def _load(self, callback: Callback | None = None) -> P:
        """Read all pages. Afterwards the shape is known."""
        partitions = self._open()
        try:
            with progress.shown(callback, self._counted, self.call.title) as self._display:
                partitions.load()
        finally:
            self._display = None
            self._gateways.close()
        self._load_metadata()
        return partitions

    def _close_connections(self) -> None:
        """Close the connections, unless there are pages that may still be asked for."""
        if self._partitions is None or self._partitions.is_finished:
            self._gateways.close()

    def _run(self, jobs: Mapping[str, Job]) -> dict[str, Exception]:
        _, failures = read(jobs, self._gateways, self._display)
        return failures

    def _open(self) -> P:
        if self._partitions is None:
            self._partitions = self._new_partitions()
        return self._partitions
