"""Whose address a request comes from, where proxies stand in front, and whom it counts with.

`X-Forwarded-For` is what anybody may write; only its right end was written by a proxy of ours, and
only where the connection itself comes from one. So the list is read from the right, past the
proxies that the settings name, to the first address that is none of them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

IPV6_PREFIX: Final = 64  # the least that a network is given (RFC 6177): one caller's, as a rule


def client_address(peer: str, forwarded: str, proxies: Sequence[Network]) -> str:
    """Return the address of the client; of the outermost proxy where that tells no address.

    `peer` is who connected, and the answer as it stands where that is no address (a Unix socket);
    `forwarded` is X-Forwarded-For, several of them joined by commas.
    """
    known = _parse(peer)
    if known is None:
        return peer
    for told in _from_the_right(forwarded):
        if not any(known in network for network in proxies):
            break
        before = _parse(told)
        if before is None:
            break
        known = before
    return str(known)


def network_of(address: str) -> str:
    """Return what an address counts as, where addresses are counted: IPv6 is told by its network."""
    known = _parse(address)
    if isinstance(known, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(known), IPV6_PREFIX), strict=False))
    return "unknown" if known is None else str(known)


def _from_the_right(forwarded: str) -> Iterator[str]:
    return (part.strip() for part in reversed(forwarded.split(","))) if forwarded else iter(())


def _parse(text: str) -> Address | None:
    """Read an address, with a port or without (some proxies write one)."""
    host, colon, port = text.rpartition(":")
    if colon and port.isdecimal() and (host.startswith("[") or host.count(":") == 0):
        text = host
    try:
        # A zone (RFC 4007) means something on the machine that wrote it and nowhere else.
        plain = text.removeprefix("[").removesuffix("]").partition("%")[0]
        address = ipaddress.ip_address(plain)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
