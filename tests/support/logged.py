"""What clients were given is in the log: nothing lost, nothing twice, one tree for each size."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from service.domain.log import LogProof
from service.translog.merkle import leaf_hash, root_from_inclusion
from tests.support.product import Product


def assert_included(proof: LogProof) -> None:
    """Check that the proof leads from its entry to its root."""
    implied = root_from_inclusion(
        leaf_hash(proof.entry), index=proof.index, size=proof.tree_size, proof=proof.hashes
    )
    assert implied == proof.root


def assert_all_logged(product: Product, made: Iterable[Mapping[str, Any]]) -> None:
    """Check the proof of each signature, and that the tree which it names is one that still grows."""
    roots: dict[int, str] = {}
    where: dict[int, str] = {}
    for one in made:
        log = one["log"]
        root = root_from_inclusion(
            leaf_hash(base64.b64decode(log["entry"])),
            index=log["index"],
            size=log["tree_size"],
            proof=[base64.b64decode(each) for each in log["hashes"]],
        )
        assert base64.b64encode(root).decode() == log["root"]
        assert roots.setdefault(log["tree_size"], log["root"]) == log["root"], "two trees"
        assert where.setdefault(log["index"], one["id"]) == one["id"], "one entry for two"
    for size, root_then in roots.items():
        path = f"/v1/log/proofs/consistency?from={size}"
        assert product.call("GET", path, who=None).body["from_root"] == root_then
