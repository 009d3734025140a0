"""Where a gateway listens: an address of this host that nobody else reaches, unless told to."""

from __future__ import annotations

import ipaddress
import socket

from intake_futu_short.errors import ConfigError
from intake_futu_short.opend.address import GatewayURL

__all__ = ["check_host", "listen"]


def check_host(host: object, *, allow_remote: bool) -> None:
    """Raise a ConfigError for a host that others reach, unless that is allowed, or that is none."""
    if allow_remote:
        GatewayURL.of(host, 1)
        return
    try:
        is_loopback = isinstance(host, str) and ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not is_loopback:
        raise ConfigError(
            f"host must be a loopback address such as '127.0.0.1', not {host!r}: this gateway "
            "asks nobody for a password. allow_remote=True (--allow-remote of futu-short serve) "
            "listens there all the same"
        )


def listen(host: str, port: int) -> socket.socket:
    """Open a socket for an event loop; port 0 is a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family)
    listening.setblocking(False)
    return listening
