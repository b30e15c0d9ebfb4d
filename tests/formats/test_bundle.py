"""Bundles, statements and referrers, to the bytes that cosign and @sigstore/verify accepted."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from service.domain.digests import Digest
from service.domain.errors import InvalidRequestError
from service.domain.keys import Algorithm, Scheme
from service.domain.log import LogProof
from service.domain.public_keys import SignatureInvalidError
from service.domain.references import Reference, Repository
from service.domain.signing import Referrer, Signature, Statement
from service.formats import dsse
from service.formats.artifacts import artifact_of
from service.formats.bundle import SCHEMES, BundleFormat, WrongStatementError, bundle
from service.formats.intoto import StatementMalformedError, parse_statement, signing_statement
from tests.support.samples import sample, sample_json, sample_proof, sample_spki
from tests.support.statements import REPOSITORY, a_statement, a_subject, a_version

BUNDLE = BundleFormat()
IMAGE = Digest("cd28ecbbfcad47cf34e433ec94947d3ac7f840b0aee89293f1e1df828a200931")
KEY = sample_spki("image-key.pub")
V1 = sample_json("bundle-logv1.json")
PAYLOAD = base64.b64decode(V1["dsseEnvelope"]["payload"])
SIGNATURE = base64.b64decode(V1["dsseEnvelope"]["signatures"][0]["sig"])
AT = datetime(2026, 11, 22, 7, 40, 37, 999000, tzinfo=UTC)
SCHEME = Scheme.ECDSA_P256_SHA256

texts = st.text(st.characters(exclude_categories=["Cs"]))


def said(**more: Any) -> Statement:
    return a_statement(IMAGE, form="bundle", **more)


def payload_of(statement: Statement) -> bytes:
    return BUNDLE.payload(statement, version=a_version(KEY), at=AT)


def check(
    payload: bytes = PAYLOAD,
    signature: bytes = SIGNATURE,
    *,
    statement: Statement | None = None,
    key: bytes = KEY,
    scheme: Scheme = SCHEME,
) -> None:
    BUNDLE.check(statement or said(), payload, signature, version=a_version(key), scheme=scheme)


def test_the_statement_is_cosigns_to_the_byte() -> None:
    assert payload_of(said()) == PAYLOAD


def test_the_bytes_that_are_signed_are_the_dsse_encoding_of_the_statement() -> None:
    message = BUNDLE.message(PAYLOAD, SCHEME)
    assert message == b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(PAYLOAD), PAYLOAD)
    assert dsse.pae(b"hello world", "http://example.com/HelloWorld") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"  # protocol.md's own vector
    )


def test_the_log_entry_is_the_one_that_cosign_accepts_to_the_byte() -> None:
    entry = BUNDLE.log_entry(PAYLOAD, SIGNATURE, public_key=KEY, scheme=SCHEME)
    assert entry == sample("bundle-logv1-body.json")


@pytest.mark.parametrize("form", ["v1", "v2"])
def test_a_bundle_with_its_log_entry_is_the_sample(form: str) -> None:
    name = f"bundle-log{form}.json"
    content = sample_json(name)
    envelope = content["dsseEnvelope"]
    made = bundle(
        base64.b64decode(envelope["payload"]),
        base64.b64decode(envelope["signatures"][0]["sig"]),
        public_key=KEY,
        logged=[sample_proof(form)],
    )
    # The two were written by two programs, whose order of members differs.
    if form == "v1":
        assert made == sample(name).rstrip(b"\n")
    assert json.loads(made) == content


def test_a_bundle_without_a_log_is_the_sample_without_its_entry() -> None:
    material = V1["verificationMaterial"]
    wanted = {**V1, "verificationMaterial": {"publicKey": material["publicKey"]}}
    made = bundle(PAYLOAD, SIGNATURE, public_key=KEY)
    assert made == json.dumps(wanted, separators=(",", ":")).encode()


def test_timestamps_stand_behind_the_log_entry_in_their_base64() -> None:
    made = json.loads(bundle(PAYLOAD, SIGNATURE, public_key=KEY, timestamps=[b"\x30\xff"]))
    assert list(made["verificationMaterial"]) == ["publicKey", "timestampVerificationData"]
    assert made["verificationMaterial"]["timestampVerificationData"] == {
        "rfc3161Timestamps": [{"signedTimestamp": "MP8="}]
    }


def attached(subject_size: int = 401, log: LogProof | None = None) -> Referrer:
    made = Signature(
        id="s",
        statement=said(),
        scheme=SCHEME,
        payload=PAYLOAD,
        signature=SIGNATURE,
        log_entry=b"",
        created_at=AT,
        credential_id="c",
        public_key=KEY,
        log=log,
    )
    return BUNDLE.attachment(made, a_subject(IMAGE, size=subject_size))


def test_the_manifest_is_the_one_that_cosign_writes_to_the_byte() -> None:
    blob = bundle(PAYLOAD, SIGNATURE, public_key=KEY)
    assert attached().manifest.decode() == (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":'
        '{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"sha256:44136fa355b3'
        '678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","artifactType":'
        '"application/vnd.dev.sigstore.bundle.v0.3+json"},"layers":[{"mediaType":'
        f'"application/vnd.dev.sigstore.bundle.v0.3+json","size":{len(blob)},"digest":'
        f'"{Digest.of(blob)}"}}],"annotations":{{"dev.sigstore.bundle.content":"dsse-envelope",'
        '"dev.sigstore.bundle.predicateType":"https://sigstore.dev/cosign/sign/v1",'
        '"org.opencontainers.image.created":"2026-11-22T07:40:37Z"},"subject":{"mediaType":'
        f'"application/vnd.oci.image.manifest.v1+json","size":401,"digest":"{IMAGE}"}},'
        '"artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json"}'
    )
    assert attached().blobs == (b"{}", blob)


def test_the_proof_of_the_log_goes_into_the_bundle() -> None:
    assert attached(log=sample_proof("v1")).blobs[1] == sample("bundle-logv1.json").rstrip(b"\n")


def test_the_same_record_gives_the_same_manifest_again() -> None:
    assert attached() == attached()
    assert attached().digest != attached(402).digest


def test_an_artifact_is_ready_to_be_pushed() -> None:
    content, subject = attached(), a_subject(IMAGE)
    artifact = artifact_of(content, subject)
    assert (artifact.tag, artifact.subject) == (None, subject)
    manifest = json.loads(artifact.manifest)
    needed = [manifest["config"]["digest"], manifest["layers"][0]["digest"]]
    assert needed == [str(Digest.of(blob)) for blob in artifact.blobs]


def test_annotations_are_signed_with_the_subject_and_a_claimed_name_too() -> None:
    plain = json.loads(payload_of(said(annotations=(("b", "2"), ("a", "<1>")))))
    assert plain["subject"] == [
        {"digest": {"sha256": IMAGE.hex}, "annotations": {"a": "<1>", "b": "2"}}
    ]
    named = json.loads(payload_of(said(identity="other.example/app:1.0")))
    assert named["subject"][0]["name"] == "other.example/app:1.0"
    # Its own repository is what every signature claims by default.
    assert payload_of(said(identity=str(REPOSITORY))) == PAYLOAD


@given(name=texts, annotations=st.dictionaries(texts, texts))
def test_what_a_statement_says_is_read_back(name: str, annotations: dict[str, str]) -> None:
    read = parse_statement(signing_statement(IMAGE, tuple(annotations.items()), name=name))
    (subject,) = read.unverified_subjects
    assert subject.is_about(IMAGE)
    assert subject.unverified_name == name
    assert subject.unverified_annotations == annotations
    assert read.unverified_predicate_type == "https://sigstore.dev/cosign/sign/v1"


@pytest.mark.parametrize("identity", ["h/\ud800", "h/a"])
def test_what_no_verifier_could_read_is_not_made(identity: str) -> None:
    annotations = (("k", "\udfff"),) if identity == "h/a" else ()
    with pytest.raises(InvalidRequestError):
        payload_of(said(identity=identity, annotations=annotations))


def test_every_kind_of_key_has_the_scheme_that_verifiers_check() -> None:
    assert SCHEMES.keys() == set(Algorithm)
    assert BUNDLE.scheme(a_version(KEY, Algorithm.EC_P384)) is Scheme.ECDSA_P384_SHA256


def test_the_default_identity_is_the_repository_without_the_tag() -> None:
    reference = Reference.parse(f"r.example/team/app:1.0@{IMAGE}")
    assert BUNDLE.default_identity(Repository("p.example", "app"), reference) == "p.example/app"


def test_a_signature_that_cosign_accepted_stands() -> None:
    check()


OTHER_PREDICATE = PAYLOAD.replace(b"sigstore.dev/cosign/sign/v1", b"spdx.dev/Document")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param(OTHER_PREDICATE, WrongStatementError, id="attestation"),
        pytest.param(
            PAYLOAD.replace(b'"predicateType":"https://sigstore.dev/cosign/sign/v1",', b""),
            WrongStatementError,
            id="no-predicate-type",
        ),
        pytest.param(
            PAYLOAD.replace(IMAGE.hex.encode(), b"0" * 64), WrongStatementError, id="digest"
        ),
        pytest.param(
            PAYLOAD.replace(b'"subject":[', b'"subject":[{"digest":{"sha256":"00"}},'),
            WrongStatementError,
            id="two-subjects",
        ),
        pytest.param(
            PAYLOAD.replace(b'"annotations":{}', b'"annotations":{"a":"b"}'),
            WrongStatementError,
            id="annotations",
        ),
        pytest.param(PAYLOAD.replace(b":{}}", b": {}}"), SignatureInvalidError, id="spaces"),
        pytest.param(b"{}", StatementMalformedError, id="empty"),
    ],
)
def test_a_statement_that_is_not_the_items_own_is_refused(
    payload: bytes, expected: type[Exception]
) -> None:
    assert payload != PAYLOAD
    check()
    with pytest.raises(expected):
        check(payload)


def test_wrong_bytes_keys_and_schemes_are_refused() -> None:
    p384 = ec.generate_private_key(ec.SECP384R1())
    der = p384.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    message = dsse.pae(PAYLOAD)
    sha256 = p384.sign(message, ec.ECDSA(hashes.SHA256()))
    sha384 = p384.sign(message, ec.ECDSA(hashes.SHA384()))
    check(signature=sha256, key=der, scheme=Scheme.ECDSA_P384_SHA256)
    for signature, key, scheme in (
        (SIGNATURE[:-1] + b"\x00", KEY, SCHEME),
        (SIGNATURE, der, Scheme.ECDSA_P384_SHA256),
        # It verifies, but no verifier looks for it by default.
        (sha384, der, Scheme.ECDSA_P384_SHA384),
        # Over the statement instead of its encoding.
        (p384.sign(PAYLOAD, ec.ECDSA(hashes.SHA256())), der, Scheme.ECDSA_P384_SHA256),
    ):
        with pytest.raises(SignatureInvalidError):
            check(signature=signature, key=key, scheme=scheme)


def _damaged(old: str, new: str) -> bytes:
    text = PAYLOAD.decode()
    assert old in text
    return text.replace(old, new, 1).encode()


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"null", id="null"),
        pytest.param(PAYLOAD[:-1], id="cut"),
        pytest.param(PAYLOAD + b"{}", id="two-documents"),
        pytest.param(_damaged('"predicate":{}', '"predicate":[]'), id="predicate-is-a-list"),
        pytest.param(_damaged('"predicate":{}', '"predicate":{},"x":1'), id="unknown-on-top"),
        pytest.param(_damaged('"predicate":{}', '"predicate":{},"predicate":{}'), id="twice"),
        pytest.param(_damaged('"annotations":{}', '"annotations":[]'), id="annotations-list"),
        pytest.param(_damaged('"annotations":{}', '"unknown":{}'), id="unknown-in-subject"),
        pytest.param(_damaged('{"sha256":', '{"sha256":7,"x":'), id="digest-is-a-number"),
        pytest.param(_damaged('"digest":{', '"name":7,"digest":{'), id="name-is-a-number"),
        pytest.param(_damaged('"https://in-toto.io/Statement/v1"', "7"), id="type-is-a-number"),
        pytest.param(b'{"_type":"t","subject":[],"predicateType":"p"}', id="no-subject"),
        pytest.param(b'{"_type":"t","subject":{},"predicateType":"p"}', id="subject-no-list"),
        pytest.param(b'{"_type":"t","subject":[1],"predicateType":"p"}', id="subject-number"),
    ],
)
def test_a_statement_that_cosign_refuses_is_malformed(payload: bytes) -> None:
    assert parse_statement(PAYLOAD).unverified_subjects[0].is_about(IMAGE)
    with pytest.raises(StatementMalformedError):
        parse_statement(payload)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | texts,
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(texts | st.sampled_from(["_type", "subject", "predicate"]), inner)
        ),
    ).map(lambda v: json.dumps(v).encode())
)
def test_no_bytes_break_the_parser(content: bytes) -> None:
    with pytest.raises(StatementMalformedError):
        parse_statement(content)
