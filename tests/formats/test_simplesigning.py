"""Payloads, log entries and rules of cosign's simple signing, against bytes cosign accepted."""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from service.domain.digests import Digest
from service.domain.errors import InvalidRequestError
from service.domain.keys import Algorithm, Scheme
from service.domain.log import LogProof, Promise
from service.domain.public_keys import SignatureInvalidError
from service.domain.references import Reference, Repository
from service.domain.signing import Signature
from service.formats import strictjson
from service.formats.artifacts import artifact_of
from service.formats.simplesigning import (
    SCHEMES,
    CosignFormat,
    PayloadMalformedError,
    WrongDigestError,
    parse_payload,
)
from service.translog.rekor import rekord
from tests.support.samples import sample_json
from tests.support.statements import a_statement, a_subject, a_version

COSIGN = CosignFormat()
AT = datetime(2026, 1, 1, tzinfo=UTC)
IMAGE = Digest("cd28ecbbfcad47cf34e433ec94947d3ac7f840b0aee89293f1e1df828a200931")

# Accepted by cosign v3.1.3 and v2.6.5 and by containers/image v5.42.0.
PAYLOAD = (
    b'{"critical":{"identity":{"docker-reference":"127.0.0.1:5000/samples/legacy"},'
    b'"image":{"docker-manifest-digest":'
    b'"sha256:cd28ecbbfcad47cf34e433ec94947d3ac7f840b0aee89293f1e1df828a200931"},'
    b'"type":"cosign container image signature"},"optional":null}'
)
SIGNATURE = base64.b64decode(
    "MEQCICfpHjwxPj2sQn3rnbOxJR+AyJlY8kxOqXU5tHRztyDcAiAYGFZU9W+6MkW4oIEfaftDRIps58MG0vilajlgKgChag=="
)
PUBLIC_KEY = base64.b64decode(
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAELb2HCrVxSUGEbJO/4QySPtGJHED/"
    "T9ePthOzHS4dnBRRpWrn58s49/CQjumtf7/zcwhvUb4U2znFzzti8np/bg=="
)
LOG_BODY = (
    b'{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256",'
    b'"value":"4d32cd297191e830ade6d7c8883019d07fa4ac43cff61437b6afd147439371b7"}},"signature":'
    b'{"content":"MEQCICfpHjwxPj2sQn3rnbOxJR+AyJlY8kxOqXU5tHRztyDcAiAYGFZU9W+6MkW4oIEfaftDRIps58M'
    b'G0vilajlgKgChag==","publicKey":{"content":"LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0KTUZrd0V3WUhL'
    b"b1pJemowQ0FRWUlLb1pJemowREFRY0RRZ0FFTGIySENyVnhTVUdFYkpPLzRReVNQdEdKSEVELwpUOWVQdGhPekhTNGRu"
    b"QlJScFdybjU4czQ5L0NRanVtdGY3L3pjd2h2VWI0VTJ6bkZ6enRpOG5wL2JnPT0KLS0tLS1FTkQgUFVCTElDIEtFWS0t"
    b'LS0tCg=="}}}}'
)

# What Go's json.Marshal can carry: any text in Unicode.
texts = st.text(st.characters(exclude_categories=["Cs"]))
pairs_of_text = st.dictionaries(texts.filter(lambda t: t != "timestamp"), texts)


def payload_of(identity: str, annotations: tuple[tuple[str, str], ...] = ()) -> bytes:
    statement = a_statement(IMAGE, identity=identity, annotations=annotations)
    return COSIGN.payload(statement, version=a_version(PUBLIC_KEY), at=AT)


def check(
    payload: bytes, signature: bytes, *, digest: Digest, public_key: bytes, scheme: Scheme
) -> None:
    COSIGN.check(
        a_statement(digest), payload, signature, version=a_version(public_key), scheme=scheme
    )


def test_the_payload_is_the_one_that_cosign_accepts_to_the_byte() -> None:
    assert payload_of("127.0.0.1:5000/samples/legacy") == PAYLOAD


def test_the_log_entry_is_the_one_that_cosign_accepts_to_the_byte() -> None:
    entry = COSIGN.log_entry(
        PAYLOAD, SIGNATURE, public_key=PUBLIC_KEY, scheme=Scheme.ECDSA_P256_SHA256
    )
    assert entry == LOG_BODY


def test_text_is_escaped_as_go_does() -> None:
    made = payload_of("h/a", (("k", '<a>&b\u2028\u2029"\\\n\t\b\f\x01\x7fé😀'),))
    assert made.endswith(
        rb'"optional":{"k":"\u003ca\u003e\u0026b\u2028\u2029\"\\\n\t\b\f\u0001'
        + "\x7fé😀".encode()
        + b'"}}'
    )


def test_annotations_are_sorted_by_their_bytes_as_go_sorts_a_map() -> None:
    made = payload_of(
        "h/a", (("é", "3"), ("b", "2"), ("\U0001f600", "5"), ("B", "1"), ("\uffff", "4"))
    )
    names = list(json.loads(made)["optional"])
    assert names == sorted(names, key=str.encode) == ["B", "b", "é", "\uffff", "\U0001f600"]


@given(identity=texts, optional=pairs_of_text)
def test_what_a_payload_says_is_read_back(identity: str, optional: dict[str, str]) -> None:
    claim = parse_payload(payload_of(identity, tuple(optional.items())))
    assert claim.unverified_digest == IMAGE
    assert claim.unverified_identity == identity
    assert claim.unverified_optional == optional


@given(optional=pairs_of_text)
def test_the_order_of_annotations_does_not_change_the_payload(optional: dict[str, str]) -> None:
    pairs = tuple(optional.items())
    assert payload_of("h/a", pairs) == payload_of("h/a", pairs[::-1])


@pytest.mark.parametrize(
    ("identity", "given_annotations"),
    [
        pytest.param("h/\ud800", (), id="identity-is-not-unicode"),
        pytest.param("h/a", (("k", "\udfff"),), id="annotation-is-not-unicode"),
        pytest.param("h/a", (("timestamp", "1"),), id="containers-image-refuses-a-text-timestamp"),
    ],
)
def test_what_no_verifier_could_read_is_not_made(
    identity: str, given_annotations: tuple[tuple[str, str], ...]
) -> None:
    with pytest.raises(InvalidRequestError):
        payload_of(identity, given_annotations)


def _damaged(old: str, new: str) -> bytes:
    text = PAYLOAD.decode()
    assert old in text
    return text.replace(old, new, 1).encode()


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"null", id="null"),
        pytest.param(PAYLOAD[:-1], id="cut"),
        pytest.param(PAYLOAD + b"{}", id="two-documents"),
        pytest.param(b"\xef\xbb\xbf" + PAYLOAD, id="byte-order-mark"),
        pytest.param(PAYLOAD.decode().encode("utf-16"), id="utf-16"),
        pytest.param(_damaged("samples", "\\ud800"), id="lone-surrogate"),
        pytest.param(_damaged('"optional":null', '"optional":null,"x":1'), id="unknown-on-top"),
        pytest.param(_damaged(',"optional":null', ""), id="optional-missing"),
        pytest.param(_damaged("null", "[]"), id="optional-is-a-list"),
        pytest.param(_damaged("null", '{"timestamp":"1"}'), id="timestamp-is-text"),
        pytest.param(_damaged("null", '{"timestamp":true}'), id="timestamp-is-a-bool"),
        pytest.param(_damaged("null", '{"timestamp":1.5}'), id="timestamp-is-broken"),
        pytest.param(_damaged("null", '{"timestamp":1e999}'), id="timestamp-is-infinite"),
        pytest.param(_damaged("null", '{"creator":1}'), id="creator-is-a-number"),
        pytest.param(_damaged("null", "NaN"), id="nan"),
        pytest.param(_damaged("null", '{"a":' + "[" * 200_000 + "]" * 200_000 + "}"), id="deep"),
        pytest.param(_damaged("null", "1" * 10_000), id="long-number"),
        pytest.param(_damaged('"type":', '"extra":1,"type":'), id="unknown-in-critical"),
        pytest.param(_damaged('"type":', '"type":"x","type":'), id="type-twice"),
        pytest.param(_damaged("cosign container", "atomic container"), id="other-type"),
        pytest.param(_damaged("docker-manifest", "Docker-manifest"), id="other-case"),
        pytest.param(_damaged("sha256:cd", "sha256:CD"), id="digest-in-upper-case"),
        pytest.param(_damaged("sha256:cd28", "sha512:cd28"), id="other-hash"),
        pytest.param(_damaged('"127.0.0.1:5000/samples/legacy"', "7"), id="identity-is-a-number"),
        pytest.param(_damaged(f'"{IMAGE}"', "7"), id="digest-is-a-number"),
        pytest.param(
            _damaged(f'{{"docker-manifest-digest":"{IMAGE}"}}', "[]"), id="image-is-a-list"
        ),
    ],
)
def test_a_payload_that_containers_image_refuses_is_malformed(payload: bytes) -> None:
    assert parse_payload(PAYLOAD).unverified_digest == IMAGE
    with pytest.raises(PayloadMalformedError):
        parse_payload(payload)


@pytest.mark.parametrize(
    "optional", ["{}", '{"creator":"x","timestamp":1763900000}', '{"timestamp":1.0e3,"a":[1]}']
)
def test_optional_may_hold_what_containers_image_lets_pass(optional: str) -> None:
    assert parse_payload(_damaged("null", optional)).unverified_optional == json.loads(optional)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | texts,
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(texts | st.sampled_from(["critical", "optional"]), inner)
        ),
    ).map(lambda v: json.dumps(v).encode())
)
def test_no_bytes_break_the_parser(content: bytes) -> None:
    with pytest.raises(PayloadMalformedError):
        parse_payload(content)


@given(st.integers(0, len(PAYLOAD) - 1), st.binary(max_size=3))
def test_a_damaged_payload_is_read_or_malformed_and_nothing_else(at: int, put: bytes) -> None:
    with contextlib.suppress(PayloadMalformedError):
        parse_payload(PAYLOAD[:at] + put + PAYLOAD[at + 1 :])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | texts,
        lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    )
)
def test_strict_json_reads_back_what_it_writes(value: object) -> None:
    assert strictjson.load(strictjson.dump(value)) == value


def test_the_default_identity_is_cosigns_the_repository_without_the_tag() -> None:
    reference = Reference.parse(f"r.example/team/app:1.0@{IMAGE}")
    public = Repository("public.example", "team/app")
    assert COSIGN.default_identity(public, reference) == "public.example/team/app"


@pytest.mark.parametrize(
    ("algorithm", "scheme"),
    [
        (Algorithm.EC_P256, "ecdsa-p256-sha256"),
        (Algorithm.EC_P384, "ecdsa-p384-sha256"),
        (Algorithm.RSA_2048, "rsa-pkcs1v15-sha256"),
        (Algorithm.RSA_3072, "rsa-pkcs1v15-sha256"),
        (Algorithm.RSA_4096, "rsa-pkcs1v15-sha256"),
        (Algorithm.ED25519, "ed25519"),
    ],
)
def test_each_kind_of_key_signs_as_the_verifiers_check(algorithm: Algorithm, scheme: str) -> None:
    assert COSIGN.scheme(a_version(PUBLIC_KEY, algorithm)) == scheme


def test_every_kind_of_key_has_a_scheme() -> None:
    assert SCHEMES.keys() == set(Algorithm)


def _der(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def test_a_signature_that_cosign_accepted_stands() -> None:
    check(PAYLOAD, SIGNATURE, digest=IMAGE, public_key=PUBLIC_KEY, scheme=Scheme.ECDSA_P256_SHA256)


def test_each_kind_of_key_makes_signatures_that_stand() -> None:
    p384, small = ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)
    edwards = ed25519.Ed25519PrivateKey.generate()
    sha256 = hashes.SHA256()
    for public, scheme, signature in (
        (p384.public_key(), Scheme.ECDSA_P384_SHA256, p384.sign(PAYLOAD, ec.ECDSA(sha256))),
        (
            small.public_key(),
            Scheme.RSA_PKCS1_SHA256,
            small.sign(PAYLOAD, padding.PKCS1v15(), sha256),
        ),
        (edwards.public_key(), Scheme.ED25519, edwards.sign(PAYLOAD)),
    ):
        check(PAYLOAD, signature, digest=IMAGE, public_key=_der(public), scheme=scheme)


def test_a_signature_about_another_image_is_refused_though_it_verifies() -> None:
    with pytest.raises(WrongDigestError):
        check(
            PAYLOAD,
            SIGNATURE,
            digest=Digest("0" * 64),
            public_key=PUBLIC_KEY,
            scheme=Scheme.ECDSA_P256_SHA256,
        )


def test_wrong_bytes_keys_and_schemes_are_refused() -> None:
    p384 = ec.generate_private_key(ec.SECP384R1())
    sha384 = p384.sign(PAYLOAD, ec.ECDSA(hashes.SHA384()))
    spaced = PAYLOAD.replace(b":null", b": null")
    for payload, signature, key, scheme in (
        (spaced, SIGNATURE, PUBLIC_KEY, Scheme.ECDSA_P256_SHA256),
        (PAYLOAD, SIGNATURE[:-1] + b"\x00", PUBLIC_KEY, Scheme.ECDSA_P256_SHA256),
        (PAYLOAD, SIGNATURE, _der(p384.public_key()), Scheme.ECDSA_P384_SHA256),
        # It verifies, but no verifier looks for it by default.
        (PAYLOAD, sha384, _der(p384.public_key()), Scheme.ECDSA_P384_SHA384),
    ):
        with pytest.raises(SignatureInvalidError):
            check(payload, signature, digest=IMAGE, public_key=key, scheme=scheme)


def _signature(raw: bytes) -> Signature:
    return Signature(
        id="s",
        statement=a_statement(IMAGE, identity="127.0.0.1:5000/samples/legacy"),
        scheme=Scheme.ECDSA_P256_SHA256,
        payload=PAYLOAD,
        signature=raw,
        log_entry=b"",
        created_at=AT,
        credential_id="c",
        public_key=PUBLIC_KEY,
    )


def test_what_is_signed_is_the_payload() -> None:
    assert COSIGN.message(PAYLOAD, Scheme.ECDSA_P256_SHA256) == PAYLOAD


def test_the_layer_is_the_payload_with_the_signature_as_its_annotation() -> None:
    layer = COSIGN.attachment(_signature(SIGNATURE), a_subject(IMAGE))
    assert layer.media_type == "application/vnd.dev.cosign.simplesigning.v1+json"
    assert layer.content == PAYLOAD
    assert dict(layer.annotations) == {
        "dev.cosignproject.cosign/signature": base64.b64encode(SIGNATURE).decode()
    }


def test_an_artifact_is_ready_to_be_pushed() -> None:
    subject = a_subject(IMAGE)
    artifact = artifact_of(COSIGN.attachment(_signature(SIGNATURE), subject), subject)
    manifest = json.loads(artifact.manifest)
    assert artifact.tag == f"sha256-{IMAGE.hex}.sig"
    assert artifact.subject is None
    assert artifact.media_type == manifest["mediaType"]
    (layer,) = manifest["layers"]
    needed = [layer["digest"], manifest["config"]["digest"]]
    assert needed == [str(Digest.of(blob)) for blob in artifact.blobs]


def _logged(name: str) -> LogProof:
    """What the log knows of the sample signature."""
    document = sample_json(name)
    payload = document["Payload"]
    return LogProof(
        entry=base64.b64decode(payload["body"]),
        tree_id=1,
        index=payload["logIndex"],
        tree_size=3,
        root=bytes(32),
        hashes=(),
        checkpoint="",
        rekor_checkpoint="",
        log_id=bytes.fromhex(payload["logID"]),
        integrated_time=payload["integratedTime"],
        promise=Promise(
            payload["integratedTime"],
            base64.b64decode(document["SignedEntryTimestamp"]),
            bytes.fromhex(payload["logID"]),
        ),
    )


def test_a_logged_signature_carries_the_annotation_that_cosign_accepted() -> None:
    logged = _logged("legacy-bundle-annotation.json")
    layer = COSIGN.attachment(replace(_signature(SIGNATURE), log=logged), a_subject(IMAGE))
    annotations = dict(layer.annotations)
    (expected,) = sample_json("legacy-manifest.json")["layers"]
    assert annotations == expected["annotations"]
    assert layer.twin == ()
    without = replace(logged, promise=None)
    bare = COSIGN.attachment(replace(_signature(SIGNATURE), log=without), a_subject(IMAGE))
    assert dict(bare.annotations).keys() == {"dev.cosignproject.cosign/signature"}


def test_a_second_entry_is_a_twin_of_the_layer() -> None:
    logged = _logged("legacy-bundle-annotation.json")
    second = replace(logged, entry=rekord(PAYLOAD, SIGNATURE, PUBLIC_KEY), index=3)
    made = replace(_signature(SIGNATURE), log=logged, second_log=second)
    layer = COSIGN.attachment(made, a_subject(IMAGE))
    one, two = dict(layer.annotations), dict(layer.twin)
    assert one["dev.cosignproject.cosign/signature"] == two["dev.cosignproject.cosign/signature"]
    assert json.loads(two["dev.sigstore.cosign/bundle"])["Payload"]["logIndex"] == 3
