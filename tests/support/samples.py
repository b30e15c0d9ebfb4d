"""The sample documents that cosign, containers/image and sigstore's clients were seen to accept."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

from service.domain.log import LogProof, Promise
from service.translog.logged import log_id

SAMPLES = Path(__file__).parents[1] / "samples"


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def sample_json(name: str) -> Any:
    return json.loads(sample(name))


def sample_spki(name: str) -> bytes:
    key = serialization.load_pem_public_key(sample(name))
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def sample_proof(form: str) -> LogProof:
    document = sample_json(f"bundle-log{form}.json")
    (entry,) = document["verificationMaterial"]["tlogEntries"]
    proof = entry["inclusionProof"]
    promise = None
    if form == "v1":
        signature = base64.b64decode(entry["inclusionPromise"]["signedEntryTimestamp"])
        promise = Promise(
            int(entry["integratedTime"]), signature, log_id(sample_spki("log-key.pub"))
        )
    return LogProof(
        entry=sample(f"bundle-log{form}-body.json").rstrip(b"\n"),
        tree_id=1,
        index=2,
        tree_size=3,
        root=base64.b64decode(proof["rootHash"]),
        hashes=tuple(base64.b64decode(one) for one in proof["hashes"]),
        checkpoint=sample("bundle-logv2-checkpoint.txt").decode(),
        rekor_checkpoint=sample("bundle-logv1-checkpoint.txt").decode(),
        log_id=log_id(sample_spki("log-key.pub")),
        integrated_time=1795469769,
        promise=promise,
    )
