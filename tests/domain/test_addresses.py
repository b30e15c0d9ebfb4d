"""Whose request it is: what proxies of ours say counts, and what anybody says does not."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.addresses import client_address, network_of

PROXIES = tuple(ipaddress.ip_network(each) for each in ("10.0.0.0/24", "2001:db8:1::/48"))
# `client_address` tells which of them are IPv4 in the clothes of IPv6.
OUTSIDE = st.ip_addresses().filter(
    lambda a: not any(ipaddress.ip_address(client_address(str(a), "", ())) in p for p in PROXIES)
)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),  # not a proxy of ours: anybody's word
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),  # the left is the caller's own
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),  # two proxies of ours
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),  # one of ours asks by itself
        ("10.0.0.1", "198.51.100.7, nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7,", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1::5", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "fe80::1%eth0", "fe80::1"),
        ("", "198.51.100.7", ""),
    ],
)
def test_the_list_is_read_from_the_right_past_proxies_of_ours(
    peer: str, forwarded: str, client: str
) -> None:
    assert client_address(peer, forwarded, PROXIES) == client


@given(st.ip_addresses(), st.text())
def test_without_proxies_no_header_changes_anything(peer: object, forwarded: str) -> None:
    assert client_address(str(peer), forwarded, ()) == client_address(str(peer), "", ())


@given(OUTSIDE, st.text())
def test_whatever_a_caller_writes_the_address_that_our_proxy_saw_counts(
    client: object, written: str
) -> None:
    honest = client_address("10.0.0.1", str(client), PROXIES)
    assert client_address("10.0.0.1", f"{written}, {client}", PROXIES) == honest


def test_an_ipv6_address_counts_with_its_network_and_an_ipv4_address_alone() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff") == "2001:db8::/64"
    assert network_of("2001:db8:0:1::1") != network_of("2001:db8::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("") == "unknown"
