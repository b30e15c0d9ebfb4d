"""The log of the running product: every answer carries a proof that a stranger can check."""

from __future__ import annotations

import base64
import json
import uuid
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.translog.checkpoints import open_checkpoint
from service.translog.merkle import leaf_hash, root_from_inclusion
from tests.support.product import Product


def references(product: Product, count: int = 1) -> list[str]:
    name = uuid.uuid4().hex[:12]
    return [
        f"{product.registry}/logged/{name}@sha256:{uuid.uuid4().hex}{uuid.uuid4().hex}"
        for _ in range(count)
    ]


def log_spki(product: Product) -> bytes:
    key = serialization.load_pem_public_key(product.public_key("log").encode())
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def checked(product: Product, made: dict[str, Any]) -> int:
    """Check the proof of a signature with nothing but the log's public key; return its index."""
    log = made["log"]
    name = log["checkpoint"].partition("\n")[0]
    head = open_checkpoint(log["checkpoint"], origin=name, name=name, spki=log_spki(product))
    entry = base64.b64decode(log["entry"])
    root = root_from_inclusion(
        leaf_hash(entry),
        index=log["index"],
        size=log["tree_size"],
        proof=[base64.b64decode(one) for one in log["hashes"]],
    )
    assert (head.size, head.root) == (log["tree_size"], root)
    assert base64.b64encode(root).decode() == log["root"]
    body = json.loads(entry)
    spec, digest = body["spec"], sha256(base64.b64decode(made["payload"])).hexdigest()
    if made["format"] == "bundle":
        assert body["kind"] == "dsse"
        assert spec["signatures"][0]["signature"] == made["signature"]
        assert spec["payloadHash"]["value"] == digest
    else:
        assert body["kind"] == "hashedrekord"
        assert spec["signature"]["content"] == made["signature"]
        assert spec["data"]["hash"]["value"] == digest
    return int(log["index"])


def made_of(answer: Any) -> list[dict[str, Any]]:
    return [made for item in answer.body["results"] for made in item["signatures"]]


def test_a_batch_is_proven_under_one_checkpoint(product: Product) -> None:
    answer = product.sign(*references(product, 100), attach=False)
    assert answer.status == 201, answer.body
    indexes = [checked(product, made) for made in made_of(answer)]
    assert sorted(indexes) == list(range(min(indexes), min(indexes) + 200))
    assert len({made["log"]["checkpoint"] for made in made_of(answer)}) == 1


def test_asked_again_the_answer_has_the_same_proof(product: Product) -> None:
    (reference,) = references(product)
    key = uuid.uuid4().hex
    first = made_of(product.sign(reference, attach=False, idempotency_key=key))
    product.sign(*references(product, 3), attach=False)
    again = made_of(product.sign(reference, attach=False, idempotency_key=key))
    assert again == first
    assert made_of(product.sign(reference, attach=False)) == first
    for one in first:
        shown = product.call("GET", f"/v1/signatures/{one['id']}").body
        assert shown["log"] == one["log"]


def test_an_attached_sig_carries_a_promise_of_the_log_key(product: Product) -> None:
    repository = f"logged/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, "1.0", {"a": uuid.uuid4().bytes})
    answer = product.sign(f"{product.registry}/{repository}@{digest}")
    made = next(one for one in made_of(answer) if one["format"] == "cosign")
    assert made["attachment"]["state"] == "attached", answer.body
    (layer,) = product.images.signature_layers(repository, digest)
    document = json.loads(layer["annotations"]["dev.sigstore.cosign/bundle"])
    payload = document["Payload"]
    assert payload["body"] == made["log"]["entry"]
    assert payload["logIndex"] == checked(product, made)
    signed = {name: payload[name] for name in sorted(payload)}
    key = serialization.load_der_public_key(log_spki(product))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(
        base64.b64decode(document["SignedEntryTimestamp"]),
        json.dumps(signed, separators=(",", ":")).encode(),
        ec.ECDSA(hashes.SHA256()),
    )


def move_log_key(product: Product, state: str) -> None:
    newest = product.call("GET", "/v1/keys/log", who=None).body["versions"][-1]["version"]
    answer = product.call(
        "POST",
        f"/v1/keys/log/versions/{newest}/state",
        {"state": state, "reason": "a test of the log"},
        who="custodian",
    )
    assert answer.status == 200, answer.body


def test_while_the_log_cannot_be_extended_nothing_is_signed_and_nothing_is_lost(
    product: Product,
) -> None:
    noticed, refused = references(product, 2)
    move_log_key(product, "suspended")
    try:
        answer = product.sign(noticed, attach=False)
        assert (answer.status, answer.body["code"]) == (503, "log-unavailable")
        assert "Retry-After" in answer.headers
        ready = product.call("GET", "/readyz?for=sign", who=None)
        assert ready.status == 503
        assert product.call("GET", "/readyz?for=verify", who=None).status == 200
    finally:
        move_log_key(product, "active")
    for reference in (noticed, refused):
        for made in made_of(product.sign(reference, attach=False)):
            checked(product, made)
    assert product.call("GET", "/readyz?for=sign", who=None).status == 200


@pytest.mark.parametrize("count", [1, 2])
def test_what_failed_at_the_log_is_on_record_once(product: Product, count: int) -> None:
    wanted = references(product, count)
    move_log_key(product, "suspended")
    try:
        assert product.sign(*wanted, attach=False).status == 503
        assert product.sign(*wanted, attach=False).status == 503
    finally:
        move_log_key(product, "active")
    items = product.sign(*wanted, attach=False).body["results"]
    for item, reference in zip(items, wanted, strict=True):
        digest = reference.partition("@")[2]
        found = product.call("GET", f"/v1/signatures?digest={digest}").body["items"]
        assert {one["id"] for one in found} == {one["id"] for one in item["signatures"]}
        assert len(found) == 2
