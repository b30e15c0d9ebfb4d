"""Statements of attestations: their bytes, and what does not pass for the one on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from service.domain.attestations import COSIGN_SIGN, Predicate, PredicateType, predicate_type_of
from service.domain.digests import Descriptor, Digest
from service.domain.keys import Algorithm, Attributes, KeyState, KeyVersion, Purpose, Scheme
from service.domain.media_types import OCI_MANIFEST
from service.domain.public_keys import SignatureInvalidError
from service.domain.references import Repository
from service.domain.signing import Signature, Statement
from service.formats import dsse
from service.formats.attestation import AttestationFormat
from service.verification.bundles import parse_bundle
from tests.support.operations import spki

FORM = AttestationFormat()
PRIVATE = ec.generate_private_key(ec.SECP256R1())
IMAGE = Digest.of(b"image")
NAME = "registry.example.com/team/app"
PREDICATE = Predicate(PredicateType.parse("https://example.com/scan"), b'{"result":"FAILED"}')
STATEMENT = Statement(
    "attestation",
    "build",
    1,
    Repository.parse(NAME),
    IMAGE,
    NAME,
    PREDICATE.annotations(),
)
VERSION = KeyVersion(
    key="build",
    version=1,
    purpose=Purpose.ATTESTATION,
    algorithm=Algorithm.EC_P256,
    state=KeyState.ACTIVE,
    cka_id=b"1",
    public_key=spki(PRIVATE.public_key()),
    locations=(),
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    attributes=Attributes(),
)
SAID = (
    f'{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"{NAME}",'
    f'"digest":{{"sha256":"{IMAGE.hex}"}}}}],"predicateType":"https://example.com/scan",'
    '"predicate":{"result":"FAILED"}}'
).encode()


def check(payload: bytes, statement: Statement = STATEMENT) -> None:
    signature = PRIVATE.sign(
        FORM.message(payload, Scheme.ECDSA_P256_SHA256), ec.ECDSA(hashes.SHA256())
    )
    FORM.check(statement, payload, signature, version=VERSION, scheme=Scheme.ECDSA_P256_SHA256)


def test_the_statement_is_written_to_the_byte() -> None:
    assert FORM.payload(STATEMENT, PREDICATE) == SAID
    assert predicate_type_of(STATEMENT) == "https://example.com/scan"
    check(SAID)


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "predicate": lambda said: said.replace(b"FAILED", b"PASSED"),
    "type": lambda said: said.replace(b"/scan", b"/other"),
    "signature": lambda said: said.replace(b"https://example.com/scan", COSIGN_SIGN.encode()),
    "image": lambda said: said.replace(IMAGE.hex.encode(), b"0" * 64),
    "name": lambda said: said.replace(b"team/app", b"team/other"),
    "end": lambda said: said + b" ",
    "spacing": lambda said: said.replace(b'"predicate":', b'"predicate": '),
    "number": lambda said: said.replace(b'{"result":"FAILED"}', b"1"),
    "member": lambda said: said[:-1] + b',"more":1}',
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_nothing_but_what_is_on_record_passes(change: Callable[[bytes], bytes]) -> None:
    changed = change(SAID)
    assert changed != SAID
    with pytest.raises(SignatureInvalidError):
        check(changed)


def test_a_signature_of_an_image_is_no_attestation_even_if_the_record_says_so() -> None:
    annotations = (
        PREDICATE.annotations()[0],
        (PREDICATE.annotations()[1][0], COSIGN_SIGN),
    )
    said = SAID.replace(b"https://example.com/scan", COSIGN_SIGN.encode())
    with pytest.raises(SignatureInvalidError):
        check(said, replace(STATEMENT, annotations=annotations))


def test_predicate_and_type_make_a_statement_of_its_own() -> None:
    other = Predicate(PREDICATE.type, b'{"result":"PASSED"}')
    kind = Predicate(PredicateType.parse("https://example.com/other"), PREDICATE.content)
    hashes_ = {
        replace(STATEMENT, annotations=one.annotations()).hash() for one in (PREDICATE, other, kind)
    }
    assert len(hashes_) == 3


def test_what_is_attached_is_a_bundle_that_names_its_predicate_type() -> None:
    made = Signature(
        id="sig_1",
        statement=STATEMENT,
        scheme=Scheme.ECDSA_P256_SHA256,
        payload=SAID,
        signature=b"signature",
        log_entry=b"{}",
        created_at=datetime(2026, 11, 24, tzinfo=UTC),
        credential_id="cred_1",
        public_key=spki(PRIVATE.public_key()),
    )
    referrer = FORM.attachment(made, Descriptor(OCI_MANIFEST, IMAGE, 400))
    manifest = json.loads(referrer.manifest)
    assert manifest["subject"]["digest"] == str(IMAGE)
    assert (
        manifest["annotations"]["dev.sigstore.bundle.predicateType"] == "https://example.com/scan"
    )
    envelope = parse_bundle(referrer.blobs[1]).envelope
    assert envelope is not None
    assert envelope.unverified_payload == SAID
    assert envelope.unverified_payload_type == dsse.IN_TOTO
