"""Gateway URLs: ``opend://HOST:PORT[?limit=N/SECONDS]`` and ``sample://``. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from intake_futu_short.errors import ConfigError
from intake_futu_short.opend.limiter import DEFAULT_LIMIT, Limit

__all__ = ["DEFAULT_PORT", "DEFAULT_URL", "ENVIRONMENT_VARIABLE", "SAMPLE_URL", "GatewayURL"]

DEFAULT_PORT = 11111
DEFAULT_URL = f"opend://127.0.0.1:{DEFAULT_PORT}"
SAMPLE_URL = "sample://"
ENVIRONMENT_VARIABLE = "FUTU_OPEND"

_ACCEPTED = f"'opend://HOST:PORT' (OpenD, such as {DEFAULT_URL!r}) or {SAMPLE_URL!r} (examples)"


@dataclass(frozen=True)
class GatewayURL:
    """Where a gateway listens.

    Attributes
    ----------
    host : str
        Host name or address; ``""`` for the sample.
    port : int
        TCP port; 0 for the sample, which takes a free one when it starts.
    limit : Limit or None
        How many requests the gateway allows; None for no limit.
    """

    host: str
    port: int
    limit: Limit | None = DEFAULT_LIMIT

    @property
    def is_sample(self) -> bool:
        """Whether the gateway is the sample that this package brings along."""
        return not self.host

    def __str__(self) -> str:
        if self.is_sample:
            return SAMPLE_URL
        host = f"[{self.host}]" if ":" in self.host else self.host
        options = "" if self.limit == DEFAULT_LIMIT else f"?limit={self.limit or 'off'}"
        return f"opend://{host}:{self.port}{options}"

    @classmethod
    def of(cls, host: object, port: object, limit: Limit | None = DEFAULT_LIMIT) -> GatewayURL:
        """Check a host and a port given apart.

        Raises
        ------
        ConfigError
            When one of them cannot be.
        """
        if not isinstance(host, str) or not host or any(c.isspace() or c in "/@?#" for c in host):
            raise ConfigError(f"host must be a host name or an address, not {host!r}")
        if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
            raise ConfigError(f"port must be a whole number from 1 to 65535, not {port!r}")
        return cls(host, port, limit)

    @classmethod
    def parse(cls, url: object) -> GatewayURL:
        """Read a gateway URL.

        Raises
        ------
        ConfigError
            For anything but the accepted forms. Of a URL with a user or a password only the rest
            is repeated in the message.
        """
        if not isinstance(url, str):
            raise ConfigError(f"gateway must be a URL, not {url!r}: {_ACCEPTED}")
        if url.lower().rstrip("/") == SAMPLE_URL.rstrip("/"):
            return cls("", 0, None)
        if "@" in url:
            raise ConfigError(f"a gateway URL takes no user or password: expected {_ACCEPTED}")
        if "://" not in url:
            raise ConfigError(f"gateway {url!r} has no scheme: expected {_ACCEPTED}")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigError(f"gateway {url!r}: {error}; expected {_ACCEPTED}") from error
        if parts.scheme != "opend":
            raise ConfigError(
                f"gateway {url!r} has the unknown scheme {parts.scheme!r}: expected {_ACCEPTED}"
            )
        if parts.fragment or parts.path not in {"", "/"}:
            raise ConfigError(f"gateway {url!r} has more than a host and a port: {_ACCEPTED}")
        if not host:
            raise ConfigError(f"gateway {url!r} names no host: expected {_ACCEPTED}")
        return cls.of(host, DEFAULT_PORT if port is None else port, _limit(url, parts.query))


def _limit(url: str, query: str) -> Limit | None:
    options = parse_qsl(query, keep_blank_values=True)
    unknown = [name for name, _ in options if name != "limit"]
    if unknown or len(options) > 1 or (query and not options):
        raise ConfigError(
            f"gateway {url!r} has options that are not known: the one option is limit=N/SECONDS "
            "or limit=off"
        )
    return Limit.parse(options[0][1]) if options else DEFAULT_LIMIT
