"""Merkle tree hashing (RFC 6962, section 2.1) and proof checking (RFC 9162, section 2.1).

The checks take values and trust nothing: each returns the root that a proof implies, and the
caller compares it with one that it trusts.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from service.translog.errors import ProofInvalidError

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256().digest()
_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


def leaf_hash(entry: bytes) -> bytes:
    return sha256(_LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()


def fold(roots: Sequence[bytes]) -> bytes:
    """Return the root over complete subtrees that lie side by side, the largest first."""
    if not roots:
        return EMPTY_ROOT
    root = roots[-1]
    for left in reversed(roots[:-1]):
        root = node_hash(left, root)
    return root


def root_from_inclusion(leaf: bytes, *, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that `proof` implies for the leaf hash at `index` of `size` (2.1.3.2).

    Raises:
        ProofInvalidError: there is no such leaf, or the proof has another length.
    """
    if not 0 <= index < size:
        raise ProofInvalidError(f"leaf {index} is outside a tree of {size}")
    node, last, root = index, size - 1, leaf
    for sibling in proof:
        if len(sibling) != HASH_BYTES:
            raise ProofInvalidError(f"a hash of the proof has not {HASH_BYTES} bytes")
        if last == 0:
            raise ProofInvalidError("the proof is too long")
        if node & 1 or node == last:
            root = node_hash(sibling, root)
            # At the right edge of the tree, levels without a sibling are passed over.
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise ProofInvalidError("the proof is too short")
    return root
