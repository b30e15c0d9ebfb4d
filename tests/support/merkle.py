"""The RFCs' own definitions of trees and proofs: slow, obvious, and another algorithm than ours.

Trees as RFC 6962, section 2.1 defines them, and the check of RFC 9162, section 2.1.4.2.
"""

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


def grew(old: tuple[int, bytes], new: tuple[int, bytes], proof: Hashes) -> bool:
    """Whether the proof leads from one tree, of so many entries and this root, to the other."""
    (first, old_root), (size, root) = old, new
    if first in (0, size):
        return not proof and (first == 0 or old_root == root)
    if first & (first - 1) == 0:
        proof = [old_root, *proof]
    if not proof:
        return False
    fn, sn = first - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = proof[0]
    for one in proof[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = _node(one, fr), _node(one, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = _node(sr, one)
        fn, sn = fn >> 1, sn >> 1
    return (fr, sr, sn) == (old_root, root, 0)


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k
