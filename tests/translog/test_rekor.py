"""Rekor's documents against the bytes that real clients were seen to accept."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import rfc8785
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from service.domain.keys import Scheme
from service.domain.log import Promise
from service.domain.public_keys import public_key
from service.translog import rekor
from service.translog.checkpoints import open_checkpoint, rekor_origin
from service.translog.errors import MalformedError, ProofInvalidError
from service.translog.logged import (
    bundle_annotation,
    log_id,
    promise_message,
    rekor_answer,
    rekor_uuid,
    transparency_log_entry,
)
from service.translog.prooffile import HEADER, ProofFile
from service.translog.trustedroot import LogKey, tlogs
from tests.support.logged import assert_included
from tests.support.samples import sample, sample_json, sample_proof, sample_spki

LOG = "log.example.test"
IMAGE_KEY = sample_spki("image-key.pub")
LOG_KEY = sample_spki("log-key.pub")


def decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def pae(payload: bytes) -> bytes:
    kind = "application/vnd.in-toto+json"
    return f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload


def test_the_body_of_a_sig_is_the_samples() -> None:
    signature = decoded(
        sample_json("legacy-manifest.json")["layers"][0]["annotations"][
            "dev.cosignproject.cosign/signature"
        ]
    )
    payload = sample("legacy-payload.json").rstrip(b"\n")
    body = rekor.hashedrekord(payload, signature, IMAGE_KEY)
    assert body == sample("legacy-log-body.json").rstrip(b"\n")


def test_the_bodies_of_a_bundle_are_the_samples() -> None:
    for form in ("v1", "v2"):
        text = sample(f"bundle-log{form}.json").decode().rstrip("\n")
        envelope = text[text.index('"dsseEnvelope":') + len('"dsseEnvelope":') : -1].encode()
        document = json.loads(envelope)
        payload, signature = decoded(document["payload"]), decoded(document["signatures"][0]["sig"])
        if form == "v1":
            body = rekor.dsse(envelope, payload, signature, IMAGE_KEY)
        else:
            body = rekor.hashedrekord_v2(pae(payload), signature, IMAGE_KEY)
        assert body == sample(f"bundle-log{form}-body.json").rstrip(b"\n")


@pytest.mark.parametrize("form", ["v1", "v2"])
def test_a_bundles_log_entry_is_the_samples(form: str) -> None:
    (expected,) = sample_json(f"bundle-log{form}.json")["verificationMaterial"]["tlogEntries"]
    logged = sample_proof(form)
    assert transparency_log_entry(logged) == expected
    assert_included(logged)
    with pytest.raises(AssertionError):
        assert_included(replace(logged, entry=logged.entry + b" "))


def test_an_entry_without_a_promise_tells_when_it_was_integrated() -> None:
    document = transparency_log_entry(replace(sample_proof("v1"), promise=None))
    assert document["integratedTime"] == "1795469769"
    assert "inclusionPromise" not in document


def test_a_promise_by_another_key_than_the_checkpoints_stays_out_of_a_bundle() -> None:
    logged = sample_proof("v1")
    assert logged.promise is not None
    other = replace(logged.promise, log_id=bytes(32), integrated_time=7)
    document = transparency_log_entry(replace(logged, promise=other))
    assert document["integratedTime"] == "1795469769"
    assert "inclusionPromise" not in document
    assert f'"logID":"{bytes(32).hex()}"' in bundle_annotation(replace(logged, promise=other))


def test_the_annotation_and_the_bytes_that_its_promise_signs_are_the_samples() -> None:
    expected = sample("legacy-bundle-annotation.json").decode().rstrip("\n")
    document = json.loads(expected)
    time = document["Payload"]["integratedTime"]
    promise = Promise(time, decoded(document["SignedEntryTimestamp"]), log_id(LOG_KEY))
    logged = replace(
        sample_proof("v1"),
        entry=sample("legacy-log-body.json").rstrip(b"\n"),
        promise=promise,
    )
    message = promise_message(
        logged.entry, index=2, log_id=logged.log_id, integrated_time=promise.integrated_time
    )
    assert message == sample("legacy-set-signed-bytes.json").rstrip(b"\n")
    assert bundle_annotation(logged) == expected
    public_key(LOG_KEY).verify(Scheme.ECDSA_P256_SHA256, message, promise.signature)
    with pytest.raises(ValueError, match="promise"):
        bundle_annotation(replace(logged, promise=None))


def test_the_logs_of_the_trusted_root_are_the_samples() -> None:
    (expected,) = sample_json("trusted_root.json")["tlogs"]
    (made,) = tlogs(LOG, [LogKey(LOG_KEY, datetime(2020, 1, 1, tzinfo=UTC))])
    assert made.pop("publicKey") == {
        **expected.pop("publicKey"),
        "validFor": {"start": "2020-01-01T00:00:00.000Z"},
    }
    assert made == expected
    (ended,) = tlogs(
        LOG, [LogKey(LOG_KEY, datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC))]
    )
    assert ended["publicKey"]["validFor"]["end"] == "2021-01-01T00:00:00.000Z"


def test_rekors_answer_names_the_entry_by_tree_and_leaf() -> None:
    logged = sample_proof("v1")
    ((uuid, value),) = rekor_answer(logged).items()
    assert uuid == rekor_uuid(logged.entry, 1)
    assert len(uuid) == 80
    assert uuid.startswith("0000000000000001")
    assert decoded(value["body"]) == logged.entry
    shown = value["verification"]["inclusionProof"]
    assert bytes.fromhex(shown["rootHash"]) == logged.root
    assert (shown["logIndex"], shown["treeSize"]) == (2, 3)
    with pytest.raises(ValueError, match="promise"):
        rekor_answer(replace(logged, promise=None))


def spki_of(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize(
    ("key", "algorithm", "details", "digest_bytes"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "SHA2_256", "PKIX_ECDSA_P256_SHA_256", 32),
        (ec.generate_private_key(ec.SECP384R1()), "SHA2_384", "PKIX_ECDSA_P384_SHA_384", 48),
        (rsa.generate_private_key(65537, 2048), "SHA2_256", "PKIX_RSA_PKCS1V15_2048_SHA256", 32),
        (ed25519.Ed25519PrivateKey.generate(), "SHA2_512", "PKIX_ED25519_PH", 64),
    ],
)
def test_a_v2_body_names_hash_and_details_by_the_kind_of_key(
    key: ec.EllipticCurvePrivateKey, algorithm: str, details: str, digest_bytes: int
) -> None:
    body = json.loads(rekor.hashedrekord_v2(b"message", b"signature", spki_of(key)))
    spec = body["spec"]["hashedRekordV002"]
    assert spec["data"]["algorithm"] == algorithm
    assert len(decoded(spec["data"]["digest"])) == digest_bytes
    assert spec["signature"]["verifier"]["keyDetails"] == details


def test_a_rekord_is_a_hashedrekord_of_another_kind() -> None:
    rekord = json.loads(rekor.rekord(b"m", b"s", IMAGE_KEY))
    hashed = json.loads(rekor.hashedrekord(b"m", b"s", IMAGE_KEY))
    assert rekord["kind"] == "rekord"
    assert rekord["spec"]["signature"].pop("format") == "x509"
    assert rekord["spec"] == hashed["spec"]


def test_the_kind_of_a_body_is_read_from_it() -> None:
    assert rekor.kind_and_version(rekor.hashedrekord(b"m", b"s", IMAGE_KEY)) == (
        "hashedrekord",
        "0.0.1",
    )
    for wrong in (b"", b"[]", b"{}", b'{"kind":1,"apiVersion":"0.0.1"}', b"\xff"):
        with pytest.raises(MalformedError):
            rekor.kind_and_version(wrong)


# --- the file for an auditor ------------------------------------------------------------------


def sample_file() -> ProofFile:
    proof = sample_proof("v2")
    body = sample("bundle-logv2-body.json").rstrip(b"\n")
    return ProofFile(body, 2, proof.hashes, proof.checkpoint)


def test_a_proof_file_proves_its_entry_with_nothing_but_the_key() -> None:
    file = ProofFile.parse(sample_file().render())
    assert file == sample_file()
    assert file.check(name=LOG, spki=LOG_KEY) == sample("bundle-logv2-body.json").rstrip(b"\n")
    assert file.claimed_log().origin == LOG


def test_a_proof_file_of_something_else_proves_nothing() -> None:
    good = sample_file()
    for wrong in (
        ProofFile(good.unverified_entry + b" ", 2, good.hashes, good.checkpoint),
        ProofFile(good.unverified_entry, 1, good.hashes, good.checkpoint),
        ProofFile(good.unverified_entry, 2, (), good.checkpoint),
        ProofFile(good.unverified_entry, 2, (bytes(32),), good.checkpoint),
    ):
        with pytest.raises(ProofInvalidError):
            ProofFile.parse(wrong.render()).check(name=LOG, spki=LOG_KEY)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (HEADER, "c2sp.org/tlog-proof@v2"),
        ("extra ", "other "),
        ("index 2", "index 02"),
        ("index 2", "2"),
        ("\n\n", "\n"),
        ("index 2\n", "index 2\nAAAA\n"),
        ("index 2\n", "index 2\n!\n"),
    ],
)
def test_what_is_not_a_proof_file_is_refused(old: str, new: str) -> None:
    content = sample_file().render()
    assert old in content
    with pytest.raises(MalformedError):
        ProofFile.parse(content.replace(old, new)).check(name=LOG, spki=LOG_KEY)


def test_the_v1_checkpoint_is_no_checkpoint_of_the_plain_origin() -> None:
    content = sample("bundle-logv1-checkpoint.txt").decode()
    with pytest.raises(MalformedError):
        open_checkpoint(content, origin=LOG, name=LOG, spki=LOG_KEY)
    assert open_checkpoint(content, origin=rekor_origin(LOG, 1), name=LOG, spki=LOG_KEY).size == 3


@given(
    st.recursive(
        st.one_of(
            st.text('abcé\u20ac<&"\\\n', max_size=5), st.integers(0, (1 << 53) - 1), st.none()
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text("abAB", max_size=3), inner)
        ),
    )
)
def test_canonical_json_is_that_of_rfc_8785(document: object) -> None:
    assert rekor.canonical(document) == rfc8785.dumps(document)  # type: ignore[arg-type]
