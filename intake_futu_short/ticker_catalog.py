"""The catalog driver: one entry per ticker and one panel per market, from codes or a watchlist."""

from __future__ import annotations

import copy
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import yaml
from intake.catalog.base import Catalog
from intake.catalog.local import LocalCatalogEntry

from intake_futu_short import __version__, repr_table, source_repr
from intake_futu_short.arguments import any_codes
from intake_futu_short.arguments import metadata as plain_metadata
from intake_futu_short.arguments import storage_options as plain_options
from intake_futu_short.described import described, is_like_key
from intake_futu_short.errors import ConfigError
from intake_futu_short.rank_source import FutuShortRankSource, is_rank
from intake_futu_short.security import MARKETS, Security
from intake_futu_short.source import FutuShortSource
from intake_futu_short.store.urls import (
    masked,
    refuse_masked,
    refuse_user_of_no_scheme,
    shown,
)
from intake_futu_short.watchlist_reading import ASKING, STANDARD_INPUT, read_watchlist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

__all__ = ["FutuShortCatalog"]


class FutuShortCatalog(Catalog):  # type: ignore[misc]  # Intake has no types
    """A catalog with one entry for each ticker of a list, and one panel for each market.

    ``cat["HK.00700"]`` is a ticker, and ``cat["HK"]`` is the panel of all HK tickers. As
    attributes they are ``cat.HK_00700`` and ``cat.hk``.

    Parameters
    ----------
    codes : str or iterable of str, optional
        The tickers, such as ``["US.AAPL", "HK.00700"]``. Give either `codes` or `watchlist`.
    watchlist : str, optional
        Where to read the codes from:

        * The fsspec URL of a file. Its suffix decides how it is read: a CSV file with a column
          ``code``, a YAML or JSON list, or else text with one code per line, in which ``#`` begins
          a comment. Text whose first line names a column ``code`` is read as a CSV file.
        * ``-``, which is standard input, with such text. It is read once.
        * The short-selling rank of a market, ``rank://US?sort=short_ratio&rows=200``. It takes the
          arguments `sort`, `descending`, `rows` and `plates` of ``intake.open_futu_short_rank``,
          and asks the gateway of the entries.

        The watchlist is read when an entry is first needed, and again by `reload`.
    storage_options : dict, optional
        Options for the file system of the watchlist, and for that of ``store=`` if it is given.
    metadata : dict, optional
        Kept with the catalog and its entries.
    **arguments
        Any other argument of ``intake.open_futu_short``, passed to every entry.

    Raises
    ------
    ConfigError
        When neither or both of `codes` and `watchlist` are given, when something is not a code (the
        message names the line), or when an argument cannot work.
    OSError
        When the watchlist cannot be read. This is raised when an entry is first needed.
    GatewayError
        When the gateway cannot be asked for the rank. This is raised when an entry is first needed.

    Examples
    --------
    >>> import intake
    >>> cat = intake.open_futu_short_catalog(codes=["US.AAPL", "HK.SAMPLE"], gateway="sample://")
    >>> list(cat)
    ['US.AAPL', 'HK.SAMPLE', 'US', 'HK']
    >>> len(cat["US.AAPL"].read())
    29
    """

    name: str = "futu_short_catalog"
    version: str = __version__

    def __init__(
        self,
        codes: str | Iterable[str] | None = None,
        watchlist: str | os.PathLike[str] | None = None,
        *,
        storage_options: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        listed, url = _codes(codes), _url(watchlist)
        if (listed is None) == (url is None):
            raise ConfigError(
                "a catalog takes either codes=[...] or watchlist=URL, "
                + ("not both" if url else "and neither was given")
            )
        options, notes = plain_options(storage_options), plain_metadata(metadata)
        refuse_masked("storage_options", options)
        if options and arguments.get("store"):
            arguments["storage_options"] = options
        # The arguments are checked now, before the list is read, and kept as plain values.
        checked = FutuShortSource(code="US.AAPL", **arguments)
        plain = dict(checked._captured_init_kwargs)
        del plain["code"]
        self._arguments = {k: plain[k] for k in plain if k in arguments}
        self._asking = {k: plain[k] for k in ASKING if k in plain}
        if url is not None and is_rank(url):
            FutuShortRankSource.of_url(url, **self._asking)
            if plain.get("refresh") == "never":
                raise ConfigError(
                    f"watchlist {shown(url)!r} asks a gateway, and refresh='never' asks none: name "
                    "the codes, or a file with them"
                )
        self._watchlist = url
        self._watchlist_options = options or {}
        self._codes = listed

        super().__init__(name=type(self).name, metadata=copy.deepcopy(notes), ttl=None)
        # Intake prints, pickles, compares and copies sources by these.
        self._captured_init_args = ()
        given = {"codes": self._codes, "watchlist": url, **self._arguments}
        given["storage_options"] = options
        # Intake notes a catalog's directory for this process; it is of no use to others.
        given["metadata"] = {k: v for k, v in notes.items() if k != "catalog_dir"}
        self._captured_init_kwargs = {k: v for k, v in given.items() if v is not None}

    def __repr__(self) -> str:
        return repr_table.as_text(*self._shown())

    def _repr_html_(self) -> str:
        return repr_table.as_html(*self._shown())

    # Intake's own, which notebooks prefer, would print yaml() and read the watchlist for it.
    _ipython_display_ = None

    def _shown(self) -> tuple[str, dict[str, str]]:
        """Title and facts, without a look into the watchlist."""
        title = f"{type(self).__name__}: daily short volume of a list of tickers"
        if "_entries" not in vars(self):
            return title, {"state": repr_table.REFUSED}
        facts = {}
        if self._watchlist is not None:
            facts["watchlist"] = shown(self._watchlist)
        if self._codes is not None:
            count = repr_table.counted(len(self._codes), "ticker")
            facts["codes"] = f"{repr_table.some(self._codes)} ({count})"
        given = {**masked(self._arguments), "storage_options": self._watchlist_options}
        if arguments := source_repr.listed(given, ()):
            facts["arguments"] = arguments
        return title, facts

    def reload(self) -> None:
        """Read the watchlist again, now."""
        self.force_reload()

    # -- names ------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):  # Intake's paths through catalogs of catalogs
            try:
                return super().__getitem__(key)
            except KeyError:  # its message is the bare key
                raise KeyError(f"no entry {described(key)}") from None
        name = key if key in self._entries else self._entries.aliases().get(key)
        if name is None:
            raise KeyError(f"no entry {described(key)}: there are {', '.join(self._entries)}")
        return self._entries[name]()

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self._entries.aliases()]

    def __enter__(self) -> Self:
        return self  # Intake would look for a schema, and catalogs have none

    def _yaml(self) -> dict[str, Any]:
        written: dict[str, Any] = super()._yaml()
        source = written["sources"][self.name]
        source["args"] = masked(source["args"])
        return written

    def serialize(self) -> str:
        """Write the entries as YAML, as Intake saves them. Secrets are left out, as in `yaml`."""
        written = yaml.safe_load(super().serialize())
        for entry in written["sources"].values():
            entry["args"] = masked(entry["args"])
        return str(yaml.dump(written, default_flow_style=False))

    # -- Intake's hooks ---------------------------------------------------------------------

    def _make_entries_container(self) -> _Entries:
        return _Entries(self._read_entries)

    def _load(self) -> None:
        self._entries.forget()

    def _close(self) -> None:
        if "_entries" in vars(self):  # __init__ has succeeded
            self._entries.close()

    # Intake's versions of these two reload the catalog at every access.
    def _get_entries(self) -> _Entries:
        entries: _Entries = self._entries
        return entries

    def _get_entry(self, name: str) -> Any:
        return self._entries[name]()

    def _read_entries(self) -> dict[str, LocalCatalogEntry]:
        codes = self._codes
        if codes is None:
            assert self._watchlist is not None  # noqa: S101 - one of the two is there
            codes = read_watchlist(self._watchlist, self._watchlist_options, **self._asking)
            if self._watchlist == STANDARD_INPUT:
                self._codes = codes  # standard input cannot be read a second time
        entries = {
            code: self._new_entry(code, f"Daily short volume of {code}", code) for code in codes
        }
        for market in MARKETS:
            members = [code for code in codes if Security.known(code).market.name == market]
            if members:
                what = f"Daily short volume of the {market} tickers of this catalog"
                entries[market] = self._new_entry(market, what, members)
        return entries

    def _new_entry(self, name: str, description: str, code: str | list[str]) -> LocalCatalogEntry:
        return _Entry(
            name=name,
            description=description,
            driver="futu_short",
            args={"code": code, **self._arguments},
            metadata=dict(self.metadata),
            getenv=False,
            getshell=False,
            catalog=self,
        )


class _Entry(LocalCatalogEntry):  # type: ignore[misc]  # Intake has no types
    """An entry whose arguments are plain values. Text of a watchlist is never run as a template."""

    def describe(self) -> dict[str, Any]:
        """Describe the entry as Intake prints it, without secrets."""
        said: dict[str, Any] = super().describe()
        return {**said, "args": masked(said["args"])}

    def _create_open_args(self, changes: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        arguments = {"metadata": dict(self._metadata), **self._open_args, **changes}
        return FutuShortSource, arguments


class _Entries(MutableMapping[str, LocalCatalogEntry]):
    """Entries of a catalog, which are read at the first access."""

    def __init__(self, read: Callable[[], dict[str, LocalCatalogEntry]]) -> None:
        self._read = read
        self._known: dict[str, LocalCatalogEntry] | None = None

    def forget(self) -> None:
        self._known = None

    def close(self) -> None:
        """Close the sources that were handed out, except those with changed arguments."""
        for entry in (self._known or {}).values():
            if entry._default_source is not None:
                entry._default_source.close()

    def aliases(self) -> dict[str, str]:
        """Map attribute names to names of entries, where this is unambiguous."""
        plain = {name: re.sub(r"\W", "_", name) for name in self}
        plain.update({name: name.lower() for name in MARKETS if name in self})
        times = Counter(plain.values())
        return {
            alias: name
            for name, alias in plain.items()
            if times[alias] == 1 and alias not in self and alias.isidentifier()
        }

    def _entries(self) -> dict[str, LocalCatalogEntry]:
        if self._known is None:
            self._known = self._read()
        return self._known

    def __getitem__(self, name: str) -> LocalCatalogEntry:
        return self._entries()[name]

    def __setitem__(self, name: str, entry: LocalCatalogEntry) -> None:
        self._entries()[name] = entry

    def __delitem__(self, name: str) -> None:
        del self._entries()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries())

    def __len__(self) -> int:
        return len(self._entries())


def _codes(given: object) -> list[str] | None:
    """Codes as a user or a catalog's template gives them; None when none are given."""
    if given is None or (isinstance(given, str) and not given.strip()):
        return None
    codes = any_codes(given)
    if not codes:
        raise ConfigError("codes is an empty list: a catalog needs at least one code")
    return codes


def _url(watchlist: object) -> str | None:
    if watchlist is None or (isinstance(watchlist, str) and not watchlist.strip()):
        return None
    path = os.fspath(watchlist) if isinstance(watchlist, os.PathLike) else watchlist
    if not isinstance(path, str) or ("://" not in path and is_like_key(path)):
        raise ConfigError(
            f"watchlist must be the URL or path of a file, not {described(watchlist)}"
        )
    refuse_user_of_no_scheme("watchlist", path)
    refuse_masked("watchlist", path)
    return path
