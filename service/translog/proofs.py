"""Making proofs (RFC 9162, sections 2.1.3.1 and 2.1.4.1) from the roots of complete subtrees.

A complete subtree never changes again once it is full, so whoever can look those up can prove
anything about any size that the tree has had.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from service.translog.errors import ProofInvalidError
from service.translog.merkle import fold, node_hash

Nodes = Callable[[int, int], bytes]
"""`nodes(level, index)`: the root over the 2**level leaves that begin at index * 2**level."""


_STRIDE: Final = 16  # leaves below a node from where a descent may begin instead of at the root


def subtree_root(start: int, end: int, nodes: Nodes) -> bytes:
    """Return the root over the leaves `start` to `end`, where `start` is where a subtree begins."""
    roots = []
    while start < end:
        level = (end - start).bit_length() - 1
        roots.append(nodes(level, start >> level))
        start += 1 << level
    return fold(roots)


def tree_root(size: int, nodes: Nodes) -> bytes:
    return subtree_root(0, size, nodes)


def inclusion_proof(index: int, size: int, nodes: Nodes) -> tuple[bytes, ...]:
    """Return PATH(index, D[size]), from the leaf's sibling up.

    Raises:
        ValueError: a tree of `size` has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is outside a tree of {size}")
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        sibling = (middle, end) if index < middle else (start, middle)
        path.append(subtree_root(*sibling, nodes))
        start, end = (start, middle) if index < middle else (middle, end)
    return tuple(reversed(path))


class CheckedProofs:
    """Inclusion proofs in the tree of a known root, checked on the way down from there.

    Paths of neighbours differ in their first steps only: what several share is looked up,
    hashed and compared once. Not for use by several threads at once.
    """

    def __init__(self, size: int, root: bytes, nodes: Nodes) -> None:
        self._size: Final = size
        self._nodes: Final = nodes
        # By range of leaves: the root over it, which is known to lead to `root`, and its path.
        self._known: dict[tuple[int, int], tuple[bytes, tuple[bytes, ...]]] = {
            (0, size): (root, ())
        }

    def __call__(self, index: int, leaf: bytes) -> tuple[bytes, ...]:
        """Return PATH(index, D[size]) for the leaf of this hash, from its sibling up.

        Raises:
            ProofInvalidError: there is no such leaf, or the nodes do not lead to the root.
        """
        if not 0 <= index < self._size:
            raise ProofInvalidError(f"leaf {index} is outside a tree of {self._size}")
        known = self._known
        found, path = known.get((index, index + 1)) or self._descend(index)
        if found != leaf:
            raise ProofInvalidError("the inclusion proof is of another leaf")
        return path

    def _descend(self, index: int) -> tuple[bytes, tuple[bytes, ...]]:
        known = self._known
        start, end = index & -_STRIDE, (index & -_STRIDE) + _STRIDE
        if (start, end) not in known:
            start, end = 0, self._size
        root, path = known[start, end]
        while end - start > 1:
            middle = start + _split(end - start)
            left, right = (start, middle), (middle, end)
            if left not in known:
                roots = [subtree_root(*side, self._nodes) for side in (left, right)]
                if node_hash(*roots) != root:
                    raise ProofInvalidError("the inclusion proof leads to another root")
                known[left] = (roots[0], (roots[1], *path))
                known[right] = (roots[1], (roots[0], *path))
            start, end = left if index < middle else right
            root, path = known[start, end]
        return root, path


def consistency_proof(old: int, new: int, nodes: Nodes) -> tuple[bytes, ...]:
    """Return PROOF(old, D[new]); none is needed from a tree to itself.

    Raises:
        ValueError: a tree of `new` did not grow from one of `old`.
    """
    if not 0 < old <= new:
        raise ValueError(f"a tree of {new} did not grow from one of {old}")
    path = []
    start, end = 0, new
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(subtree_root(middle, end, nodes))
            end = middle
        else:
            path.append(subtree_root(start, middle, nodes))
            start = middle
    if start:
        path.append(subtree_root(start, end, nodes))
    return tuple(reversed(path))


def _split(leaves: int) -> int:
    """Return the largest power of two smaller than `leaves`, of two or more."""
    return 1 << ((leaves - 1).bit_length() - 1)
