"""An entry of a log with its proof, in the documents in which clients take it.

`canonicalizedBody` and `body` are the leaf's exact bytes. A signed entry timestamp (SET) is
Rekor's promise: the log key over the entry, its index and a time, in canonical JSON.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from service.domain.log import LogProof, Promise
from service.translog.merkle import leaf_hash
from service.translog.notes import base64_text
from service.translog.rekor import canonical, kind_and_version


def log_id(spki: bytes) -> bytes:
    return sha256(spki).digest()


def promise_message(body: bytes, *, index: int, log_id: bytes, integrated_time: int) -> bytes:
    """Return the exact bytes that a SET is a signature over."""
    return canonical(_promised(body, index=index, log_id=log_id, integrated_time=integrated_time))


def bundle_annotation(logged: LogProof) -> str:
    """Return cosign's annotation `dev.sigstore.cosign/bundle` of a `.sig` layer.

    Raises:
        ValueError: the entry has no promise, and no client reads the annotation without one.
    """
    promise = _promise(logged)
    payload = _promised(
        logged.entry,
        index=logged.index,
        log_id=promise.log_id,
        integrated_time=promise.integrated_time,
    )
    # In the order of cosign's struct, which is not that of the signed bytes.
    ordered = {name: payload[name] for name in ("body", "integratedTime", "logIndex", "logID")}
    document = {"SignedEntryTimestamp": base64_text(promise.signature), "Payload": ordered}
    return json.dumps(document, separators=(",", ":"))


def transparency_log_entry(logged: LogProof) -> dict[str, Any]:
    """Return an element of a bundle's `tlogEntries` (sigstore's protobuf-specs, as JSON).

    Its form is that of the Rekor which writes such entries: v1 tells a time and takes the
    checkpoint of the origin `NAME - ID`; v2 tells none and takes that of `NAME`.
    """
    kind, version = kind_and_version(logged.entry)
    is_v1 = version == "0.0.1"
    # One key id stands for both signatures of the element.
    is_promised = is_v1 and logged.promise is not None and logged.promise.log_id == logged.log_id
    promise = logged.promise if is_promised else None
    document: dict[str, Any] = {
        "logIndex": str(logged.index),
        "logId": {"keyId": base64_text(logged.log_id)},
        "kindVersion": {"kind": kind, "version": version},
    }
    if is_v1:
        time = logged.integrated_time if promise is None else promise.integrated_time
        document["integratedTime"] = str(time)
    document["canonicalizedBody"] = base64_text(logged.entry)
    if promise is not None:
        document["inclusionPromise"] = {"signedEntryTimestamp": base64_text(promise.signature)}
    document["inclusionProof"] = {
        "logIndex": str(logged.index),
        "rootHash": base64_text(logged.root),
        "treeSize": str(logged.tree_size),
        "hashes": [base64_text(one) for one in logged.hashes],
        "checkpoint": {"envelope": logged.rekor_checkpoint if is_v1 else logged.checkpoint},
    }
    return document


def rekor_uuid(body: bytes, tree_id: int) -> str:
    """Return Rekor's name of an entry: the tree's id and the leaf's hash, in hex."""
    return f"{tree_id:016x}{leaf_hash(body).hex()}"


def rekor_answer(logged: LogProof) -> dict[str, Any]:
    """Return the answer of Rekor v1's API for one entry.

    Raises:
        ValueError: the entry has no promise, which that API always gives.
    """
    promise = _promise(logged)
    return {
        rekor_uuid(logged.entry, logged.tree_id): {
            "body": base64_text(logged.entry),
            "integratedTime": promise.integrated_time,
            "logID": promise.log_id.hex(),
            "logIndex": logged.index,
            "verification": {
                "inclusionProof": {
                    "checkpoint": logged.rekor_checkpoint,
                    "hashes": [one.hex() for one in logged.hashes],
                    "logIndex": logged.index,
                    "rootHash": logged.root.hex(),
                    "treeSize": logged.tree_size,
                },
                "signedEntryTimestamp": base64_text(promise.signature),
            },
        }
    }


def _promise(logged: LogProof) -> Promise:
    if logged.promise is None:
        raise ValueError("the entry has no promise")
    return logged.promise


def _promised(body: bytes, *, index: int, log_id: bytes, integrated_time: int) -> dict[str, Any]:
    return {
        "body": base64_text(body),
        "integratedTime": integrated_time,
        "logID": log_id.hex(),
        "logIndex": index,
    }
