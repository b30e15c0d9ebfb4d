"""The RFC's recursive definitions (RFC 6962, section 2.1): slow, obvious, and another algorithm."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

Hashes = Sequence[bytes]


def slow_leaf(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def slow_root(entries: Hashes) -> bytes:
    """MTH(D[n])."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return slow_leaf(entries[0])
    k = split(len(entries))
    return sha256(b"\x01" + slow_root(entries[:k]) + slow_root(entries[k:])).digest()


def slow_path(m: int, entries: Hashes) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if m < k:
        return [*slow_path(m, entries[:k]), slow_root(entries[k:])]
    return [*slow_path(m - k, entries[k:]), slow_root(entries[:k])]


def slow_proof(m: int, entries: Hashes) -> list[bytes]:
    """PROOF(m, D[n])."""
    return _subproof(m, entries, whole=True)


def _subproof(m: int, entries: Hashes, *, whole: bool) -> list[bytes]:
    n = len(entries)
    if m == n:
        return [] if whole else [slow_root(entries)]
    k = split(n)
    if m <= k:
        return [*_subproof(m, entries[:k], whole=whole), slow_root(entries[k:])]
    return [*_subproof(m - k, entries[k:], whole=False), slow_root(entries[:k])]


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k
