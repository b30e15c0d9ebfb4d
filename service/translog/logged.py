"""An entry of a log with its proof, and the documents in which clients take it.

`canonicalizedBody` and `body` are the leaf's exact bytes. A signed entry timestamp (SET) is
Rekor's promise: the log key over the entry, its index and a time, in canonical JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from service.translog.errors import ProofInvalidError
from service.translog.merkle import leaf_hash, root_from_inclusion
from service.translog.notes import base64_text
from service.translog.rekor import canonical, kind_and_version


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """Shows that a leaf is in the tree whose head `checkpoint` is signed. The text is a note."""

    index: int
    tree_size: int
    root: bytes
    hashes: tuple[bytes, ...]
    checkpoint: str

    def check(self, entry: bytes) -> None:
        """Raises ProofInvalidError: it does not lead from the entry to the root."""
        implied = root_from_inclusion(
            leaf_hash(entry), index=self.index, size=self.tree_size, proof=self.hashes
        )
        if implied != self.root:
            raise ProofInvalidError("the inclusion proof leads to another root")


@dataclass(frozen=True, slots=True)
class Promise:
    """A signed entry timestamp, and the time in seconds that it is over."""

    integrated_time: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    """`log_id` is the SHA-256 of the DER of the key that signed checkpoint and promise."""

    body: bytes
    log_id: bytes
    proof: InclusionProof
    integrated_time: int
    promise: Promise | None = None


def log_id(spki: bytes) -> bytes:
    return sha256(spki).digest()


def promise_message(body: bytes, *, index: int, log_id: bytes, integrated_time: int) -> bytes:
    """Return the exact bytes that a SET is a signature over."""
    return canonical(_promised(body, index=index, log_id=log_id, integrated_time=integrated_time))


def bundle_annotation(body: bytes, *, index: int, log_id: bytes, promise: Promise) -> str:
    """Return cosign's annotation `dev.sigstore.cosign/bundle` of a `.sig` layer."""
    payload = _promised(body, index=index, log_id=log_id, integrated_time=promise.integrated_time)
    # In the order of cosign's struct, which is not that of the signed bytes.
    ordered = {name: payload[name] for name in ("body", "integratedTime", "logIndex", "logID")}
    document = {"SignedEntryTimestamp": base64_text(promise.signature), "Payload": ordered}
    return json.dumps(document, separators=(",", ":"))


def transparency_log_entry(entry: LoggedEntry) -> dict[str, Any]:
    """Return an element of a bundle's `tlogEntries` (sigstore's protobuf-specs, as JSON).

    Without a promise there is no time either, in the v2 form, where nothing signs one.
    """
    kind, version = kind_and_version(entry.body)
    document: dict[str, Any] = {
        "logIndex": str(entry.proof.index),
        "logId": {"keyId": base64_text(entry.log_id)},
        "kindVersion": {"kind": kind, "version": version},
    }
    if version == "0.0.1":
        document["integratedTime"] = str(entry.integrated_time)
    document["canonicalizedBody"] = base64_text(entry.body)
    if entry.promise is not None:
        document["integratedTime"] = str(entry.promise.integrated_time)
        document["inclusionPromise"] = {
            "signedEntryTimestamp": base64_text(entry.promise.signature)
        }
    document["inclusionProof"] = {
        "logIndex": str(entry.proof.index),
        "rootHash": base64_text(entry.proof.root),
        "treeSize": str(entry.proof.tree_size),
        "hashes": [base64_text(one) for one in entry.proof.hashes],
        "checkpoint": {"envelope": entry.proof.checkpoint},
    }
    return document


def rekor_uuid(body: bytes, tree_id: int) -> str:
    """Return Rekor's name of an entry: the tree's id and the leaf's hash, in hex."""
    return f"{tree_id:016x}{leaf_hash(body).hex()}"


def rekor_answer(entry: LoggedEntry, tree_id: int) -> dict[str, Any]:
    """Return the answer of Rekor v1's API for one entry, which always holds a promise."""
    if entry.promise is None:
        raise ValueError("Rekor v1 answers with a promise")
    return {
        rekor_uuid(entry.body, tree_id): {
            "body": base64_text(entry.body),
            "integratedTime": entry.promise.integrated_time,
            "logID": entry.log_id.hex(),
            "logIndex": entry.proof.index,
            "verification": {
                "inclusionProof": {
                    "checkpoint": entry.proof.checkpoint,
                    "hashes": [one.hex() for one in entry.proof.hashes],
                    "logIndex": entry.proof.index,
                    "rootHash": entry.proof.root.hex(),
                    "treeSize": entry.proof.tree_size,
                },
                "signedEntryTimestamp": base64_text(entry.promise.signature),
            },
        }
    }


def _promised(body: bytes, *, index: int, log_id: bytes, integrated_time: int) -> dict[str, Any]:
    return {
        "body": base64_text(body),
        "integratedTime": integrated_time,
        "logID": log_id.hex(),
        "logIndex": index,
    }
