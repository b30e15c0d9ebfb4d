"""Making proofs (RFC 9162, sections 2.1.3.1 and 2.1.4.1) from the roots of complete subtrees.

A complete subtree never changes again once it is full, so whoever can look those up can prove
anything about any size that the tree has had.
"""

from __future__ import annotations

from collections.abc import Callable

from service.translog.merkle import fold

Nodes = Callable[[int, int], bytes]
"""`nodes(level, index)`: the root over the 2**level leaves that begin at index * 2**level."""


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


Roots = dict[tuple[int, int], bytes]
"""Roots over ranges of leaves, by begin and end, in one tree of one size."""


def inclusion_proof(
    index: int, size: int, nodes: Nodes, known: Roots | None = None
) -> tuple[bytes, ...]:
    """Return PATH(index, D[size]), from the leaf's sibling up.

    `known` keeps what several proofs in the same tree need: their paths meet on the way up.

    Raises:
        ValueError: a tree of `size` has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is outside a tree of {size}")
    roots: Roots = {} if known is None else known
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        sibling = (middle, end) if index < middle else (start, middle)
        root = roots.get(sibling)
        if root is None:
            root = roots[sibling] = subtree_root(*sibling, nodes)
        path.append(root)
        start, end = (start, middle) if index < middle else (middle, end)
    return tuple(reversed(path))


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
