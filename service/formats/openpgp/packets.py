"""How OpenPGP frames things: packets, subpackets, integers (RFC 4880, 3.2, 4.2, 5.2.3.1)."""

from __future__ import annotations

import struct
from typing import Final

from service.domain.public_keys import SignatureInvalidError

_OLD, _NEW, _FORMAT = 0x80, 0xC0, 0xC0
_OLD_LENGTHS: Final = (1, 2, 4)  # octets by length type; the fourth, indeterminate, is not read
_ONE_OCTET: Final = 192  # lengths below are one octet of the new format
_TWO_OCTETS: Final = 224  # first octets below begin two
_CRITICAL: Final = 0x80


class MessageMalformedError(SignatureInvalidError):
    """The bytes are no OpenPGP message of the only form that is made and read here."""


def packet(tag: int, body: bytes) -> bytes:
    """Return a packet in the old format, which every reader takes."""
    size = len(body)
    if size < 1 << 8:
        return bytes([_OLD | tag << 2, size]) + body
    return bytes([_OLD | tag << 2 | 1]) + struct.pack(">H", size) + body


def read_packets(raw: bytes) -> list[tuple[int, bytes]]:
    """Return tags and bodies of packets of either format.

    Raises:
        MessageMalformedError: a length is not told, or not kept.
    """
    found = []
    while raw:
        tag, start, size = _head(raw)
        if len(raw) < start + size:
            raise MessageMalformedError("a packet is cut off")
        found.append((tag, raw[start : start + size]))
        raw = raw[start + size :]
    return found


def _head(raw: bytes) -> tuple[int, int, int]:
    """Return tag, start of the body, and its length."""
    first, rest = raw[0], raw[1:]
    if first & _FORMAT == _OLD and first & 3 < len(_OLD_LENGTHS):
        width = _OLD_LENGTHS[first & 3]
        return (first & ~_OLD) >> 2, 1 + width, int.from_bytes(rest[:width], "big")
    if first & _FORMAT == _NEW and rest:
        if rest[0] < _ONE_OCTET:
            return first & ~_NEW, 2, rest[0]
        if rest[0] < _TWO_OCTETS and rest[1:]:
            return first & ~_NEW, 3, ((rest[0] - _ONE_OCTET) << 8) + rest[1] + _ONE_OCTET
    raise MessageMalformedError("not a packet whose length is told")


def subpacket(kind: int, body: bytes) -> bytes:
    return bytes([len(body) + 1, kind]) + body  # ours are all short


def read_subpackets(raw: bytes) -> dict[int, bytes]:
    """Return the bodies by kind.

    Raises:
        MessageMalformedError: one is malformed, there twice, or critical: those we know never
            are, and one that we do not know makes the signature unreadable.
    """
    found: dict[int, bytes] = {}
    while raw:
        length = raw[0]
        if not 1 <= length < _ONE_OCTET or len(raw) < 1 + length:
            raise MessageMalformedError("a subpacket is malformed")
        kind = raw[1]
        if kind & _CRITICAL or kind in found:
            raise MessageMalformedError("a subpacket is critical or there twice")
        found[kind] = raw[2 : 1 + length]
        raw = raw[1 + length :]
    return found


def integer(number: int) -> bytes:
    """Return a multiprecision integer."""
    bits = number.bit_length()
    return struct.pack(">H", bits) + number.to_bytes((bits + 7) // 8, "big")


def read_integers(raw: bytes) -> list[int]:
    """Return the multiprecision integers that fill `raw`.

    Raises:
        MessageMalformedError: one is cut off or not minimal.
    """
    numbers = []
    while raw:
        bits = int.from_bytes(raw[:2], "big")
        end = 2 + (bits + 7) // 8
        number = int.from_bytes(raw[2:end], "big")
        if len(raw) < end or number.bit_length() != bits:
            raise MessageMalformedError("a number of the signature is malformed")
        numbers.append(number)
        raw = raw[end:]
    return numbers
