"""Which URLs and addresses requests may go to: public ones, so that no webhook reaches into the network of the deployment."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import TypeAlias

from aiohappyeyeballs import AddrInfoType
from yarl import URL

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Allowed: TypeAlias = Callable[[Address], bool]
MAX_URL_CHARACTERS = 2_000
_LOWEST_PORT = 1_024
_TRANSLATED = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
"""NAT64 (RFC 6052, RFC 8215): a translator sends what goes there to the IPv4 address in the last four bytes."""
_SITE_LOCAL = ipaddress.IPv6Network("fec0::/10")


class ForbiddenAddressError(OSError):
    """The address is not a public one."""


class UnfitUrlError(ValueError):
    """The URL cannot be an endpoint. The message completes a sentence that starts with "The URL"."""


def require_endpoint(text: str, *, plain_http: bool) -> URL:
    """Parse the URL of an endpoint. Raises `UnfitUrlError`. Its host is checked when a connection is made, not here."""
    if not 1 <= len(text) <= MAX_URL_CHARACTERS or not text.isprintable() or " " in text:
        raise UnfitUrlError(f"must have 1 to {MAX_URL_CHARACTERS} characters and no spaces")
    try:
        url = URL(text)
        port, host = url.port, url.host
    except ValueError as error:
        raise UnfitUrlError("is not valid") from error
    if url.scheme != "https" and not (plain_http and url.scheme == "http"):
        raise UnfitUrlError("must begin with https://")
    if not host or port is None:
        raise UnfitUrlError("must have a host")
    if url.user is not None or url.password is not None:
        raise UnfitUrlError("must not contain credentials")
    if url.explicit_port is not None and url.explicit_port != 443 and url.explicit_port < _LOWEST_PORT:  # noqa: PLR2004
        raise UnfitUrlError(f"must have the port 443 or one from {_LOWEST_PORT}")
    if url.raw_fragment:
        raise UnfitUrlError("must not have a fragment")
    return url


def is_public(address: Address) -> bool:
    """Whether an address belongs to one host on the internet, however it is written."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id or address in _SITE_LOCAL:
            return False
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.sixtofour is not None or address.teredo is not None:
            return False  # tunnels; no endpoint needs them
        if any(address in network for network in _TRANSLATED):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def checked_socket(allowed: Allowed) -> Callable[[AddrInfoType], socket.socket]:
    """Return a socket factory for aiohttp that makes no socket for an address which is not `allowed`.

    aiohttp calls it with the very address that it connects to next, so a name cannot resolve to another one in between.
    """

    def make(info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, target = info
        if not allowed(ipaddress.ip_address(target[0])):
            raise ForbiddenAddressError("forbidden address")
        return socket.socket(family, kind, protocol)

    return make
