"""Proofs of the logs as JSON values."""

from __future__ import annotations

from base64 import b64encode

import orjson

from service.domain.audit import LoggedEvent
from service.domain.clock import rfc3339
from service.operations.log import Consistency, Inclusion
from service.web.dump import JSONObject


def inclusion(proof: Inclusion) -> JSONObject:
    return {
        "index": proof.index,
        "tree_size": proof.tree_size,
        "leaf_hash": _base64(proof.leaf_hash),
        "root": _base64(proof.root),
        "hashes": [_base64(one) for one in proof.hashes],
    }


def consistency(proof: Consistency) -> JSONObject:
    return {
        "from": proof.old_size,
        "to": proof.new_size,
        "from_root": _base64(proof.old_root),
        "to_root": _base64(proof.new_root),
        "hashes": [_base64(one) for one in proof.hashes],
    }


def event(found: LoggedEvent) -> JSONObject:
    return {
        "index": found.index,
        "at": rfc3339(found.at),
        "action": found.action,
        "actor": found.actor,
        "subject": found.subject,
        "details": orjson.loads(found.body)["details"],
        "entry": _base64(found.body),
    }


def _base64(raw: bytes) -> str:
    return b64encode(raw).decode()
