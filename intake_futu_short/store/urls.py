"""The URL of a store: what cannot be one is refused, and what is secret in it is not shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import fsspec
from fsspec.implementations.cached import CachingFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem
from fsspec.utils import get_protocol

from intake_futu_short.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["hide_secrets", "local_path", "shown"]

# A name and a password reach up to the last @, since a password may have an @ or a slash in it;
# a name alone ends at the first slash.
_USER = re.compile(r"(?<=://)(?:[^:/@]*:.*@|[^/@]*@)")
_QUERY = re.compile(r"\?.+")
_HIDDEN = "***"


def shown(url: str) -> str:
    """URL for people to read, without passwords and without what stands after a question mark."""
    if "://" not in url:
        return url
    links = [_USER.sub(f"{_HIDDEN}@", _QUERY.sub(f"?{_HIDDEN}", link)) for link in _links(url)]
    return "::".join(links)


def hide_secrets(text: str, url: str) -> str:
    """Leave out of a text what is secret in a URL."""
    if "://" not in url:
        return text
    for link in _links(url):
        user = _USER.search(link)
        query = _QUERY.search(link)
        found = user[0][:-1] if user else ""
        secrets = [found, found.partition(":")[2], query[0][1:] if query else ""]
        secrets += [
            value.partition("=")[2] for value in re.split("[?&]", query[0] if query else "")
        ]
        for secret in secrets:
            if secret:
                text = text.replace(secret, _HIDDEN)
    return text


def local_path(url: str, options: Mapping[str, Any]) -> str | None:
    """Path of a store on a local disk, absolute; None for one elsewhere.

    Raises
    ------
    ConfigError
        When no store can be there, or what its protocol needs is not installed.
    """
    links = _links(url)
    classes = [_class(_protocol(link, links), url) for link in links]
    classes += [_class(name, url) for name in _named_in(options)]
    classes += [type(fs) for fs in options.values() if isinstance(fs, AbstractFileSystem)]
    if any(issubclass(each, CachingFileSystem) for each in classes):
        raise ConfigError(
            f"store {shown(url)!r}: a file system that answers from its own cache cannot be a "
            "store, since reads would miss what others have saved. Leave the cache out: name "
            f"the store itself, such as {shown(links[-1]) if len(links) > 1 else 's3://bucket/x'!r}"
        )
    if len(links) > 1 or not issubclass(classes[0], LocalFileSystem):
        return None
    # Absolute from now on: a worker may have another working directory.
    return str(classes[0]._strip_protocol(url))


def _links(url: str) -> list[str]:
    return url.split("::")


def _protocol(link: str, links: list[str]) -> str:
    # In a chain a word is a protocol, and what is no word is a path.
    return link if len(links) > 1 and link.isalpha() and link.islower() else get_protocol(link)


def _class(protocol: str, url: str) -> type[Any]:
    if protocol in {"http", "https"}:
        raise ConfigError(
            f"store {shown(url)!r}: a web server does not list its files, so it cannot be a store. "
            "Name the directory or the bucket behind it, or copy the files to a local disk"
        )
    try:
        found: type[Any] = fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        raise ConfigError(f"store {shown(url)!r}: {hide_secrets(str(error), url)}") from error
    except ValueError as error:
        raise ConfigError(
            f"store {shown(url)!r}: fsspec knows no protocol {protocol!r}. Accepted are a local "
            "path and the URLs of fsspec's file systems, such as 's3://bucket/short'"
        ) from error
    return found


def _named_in(options: Mapping[str, Any]) -> Iterator[str]:
    """Protocols of file systems that options put behind the one of the URL."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _named_in({str(key): each for key, each in value.items()})
        elif name in {"target_protocol", "remote_protocol"} and isinstance(value, str):
            yield value
