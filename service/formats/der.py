"""Writing DER (X.690, 10): as much of it as tokens need that are made by the thousand.

asn1crypto takes milliseconds for what is put together here in microseconds. Reading strictly is
another matter, and stays with asn1crypto.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
OID: Final = 0x06
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31
CONTEXT_0: Final = 0xA0
NULL: Final = b"\x05\x00"
TRUE: Final = b"\x01\x01\xff"
_SHORT: Final = 0x80


def tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return bytes((tag,)) + _length(len(content)) + content


def sequence(*contents: bytes) -> bytes:
    return tlv(SEQUENCE, *contents)


def set_of(contents: Iterable[bytes], tag: int = SET) -> bytes:
    """Return a SET OF, in the one order that DER allows."""
    return tlv(tag, *sorted(contents))


def integer(value: int) -> bytes:
    """Return a whole number that is not negative."""
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(content: bytes) -> bytes:
    return tlv(OCTET_STRING, content)


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    return tlv(OID, *map(_base_128, (40 * first + second, *rest)))


def generalized_time(at: datetime) -> bytes:
    """Return the time in whole seconds of UTC."""
    return tlv(GENERALIZED_TIME, at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode())


def _length(size: int) -> bytes:
    if size < _SHORT:
        return bytes((size,))
    encoded = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((_SHORT | len(encoded),)) + encoded


def _base_128(number: int) -> bytes:
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(_SHORT | (number & 0x7F))
    return bytes(reversed(digits))
