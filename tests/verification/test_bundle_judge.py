"""Bundles are judged as cosign judges them, except that an attestation is never a signature.

Which of these bundles cosign takes was measured with cosign 3.1.3 and 2.6.5.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from service.domain.digests import Descriptor, Digest
from service.domain.keys import KeyState, KeyVersion, Purpose
from service.domain.limits import MAX_BLOB_BYTES
from service.domain.verdicts import ReasonCode
from service.formats import dsse
from service.formats.intoto import signing_statement
from service.ports.proofs import ProvenTime, VerifiedSignature
from service.verification.bundle import BundleJudge
from service.verification.bundles import BundleMalformedError, parse_bundle
from service.verification.referrers import Judged, UnverifiedReferrer, unverified_referrer
from tests.support.samples import sample, sample_json, sample_spki
from tests.support.statements import a_version


class NoProofs:
    """service.ports.proofs.ProofsOfTime where nothing is on record."""

    def earliest(self, made: VerifiedSignature) -> ProvenTime | None:
        return None


JUDGE = BundleJudge(NoProofs())
IMAGE = Digest("cd28ecbbfcad47cf34e433ec94947d3ac7f840b0aee89293f1e1df828a200931")
OURS = a_version(sample_spki("image-key.pub"))
SAMPLE = sample("bundle-logv1.json")
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"

_private = ec.generate_private_key(ec.SECP256R1())
KEY = a_version(
    _private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    ),
    key="second",
)


def judge(content: bytes, *keys: KeyVersion, subject: Digest = IMAGE) -> Judged:
    return JUDGE.judge(content, subject=subject, keys=keys or (OURS, KEY))


def code(judged: Judged) -> ReasonCode | None:
    return None if judged.verdict is None else judged.verdict.reason.code


def changed(change: Callable[[Any], object]) -> bytes:
    document = sample_json("bundle-logv1.json")
    change(document)
    return json.dumps(document).encode()


def signed(
    payload: bytes,
    *,
    payload_type: str = dsse.IN_TOTO,
    signatures: int = 1,
    keyid: str | None = None,
    material: dict[str, Any] | None = None,
) -> bytes:
    """A bundle around any payload, properly signed by KEY."""
    made = _private.sign(dsse.pae(payload, payload_type), ec.ECDSA(hashes.SHA256()))
    one = {"sig": base64.b64encode(made).decode()}
    if keyid is not None:
        one["keyid"] = keyid
    return json.dumps(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": material or {"publicKey": {"hint": "x"}},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": payload_type,
                "signatures": [one] * signatures,
            },
        }
    ).encode()


STATEMENT = signing_statement(IMAGE, ())
SBOM = STATEMENT.replace(b"https://sigstore.dev/cosign/sign/v1", b"https://spdx.dev/Document")


def test_a_bundle_that_cosign_accepted_stands() -> None:
    judged = judge(SAMPLE)
    assert judged.verdict is not None
    assert judged.verdict.stands
    assert (judged.verdict.format, judged.verdict.key) == ("bundle", "release")
    assert (judged.counts_as_bundle, judged.signer) == (True, OURS)


def test_the_name_that_a_signature_claims_is_told() -> None:
    judged = judge(signed(signing_statement(IMAGE, (("a", "b"),), name="h.example/app:1")))
    assert judged.verdict is not None
    assert judged.verdict.stands
    assert judged.verdict.identity == "h.example/app:1"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(
            changed(lambda b: b["verificationMaterial"].update(publicKey={})), id="no-hint"
        ),
        pytest.param(
            changed(lambda b: b["verificationMaterial"]["publicKey"].update(hint="wrong")),
            id="wrong-hint",
        ),
        pytest.param(
            changed(lambda b: b["dsseEnvelope"]["signatures"][0].update(keyid="")), id="keyid-empty"
        ),
        pytest.param(
            changed(
                lambda b: b.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.3")
            ),
            id="the-media-type-before",
        ),
        pytest.param(changed(lambda b: b.update(messageSignature=None)), id="null-is-not-there"),
        pytest.param(
            changed(
                lambda b: b["dsseEnvelope"].update(payload=b["dsseEnvelope"]["payload"].rstrip("="))
            ),
            id="base64-without-padding",
        ),
    ],
)
def test_what_cosign_lets_pass_is_let_pass(content: bytes) -> None:
    judged = judge(content)
    assert judged.verdict is not None
    assert judged.verdict.stands


@pytest.mark.parametrize(
    ("content", "counts"),
    [
        pytest.param(b"", False, id="empty"),
        pytest.param(b"[]", False, id="a-list"),
        pytest.param(b"null", False, id="null"),
        pytest.param(
            changed(lambda b: b["dsseEnvelope"].update(signatures=[None])), False, id="null-listed"
        ),
        pytest.param(changed(lambda b: b.update(unknown=1)), False, id="unknown-member"),
        pytest.param(
            changed(lambda b: b["dsseEnvelope"].update(x=1)), False, id="unknown-in-envelope"
        ),
        pytest.param(
            changed(lambda b: b["verificationMaterial"]["tlogEntries"][0].update(x=1)),
            False,
            id="unknown-in-log-entry",
        ),
        pytest.param(
            changed(lambda b: b.update(mediaType=MEDIA_TYPE.replace("v0.3", "v0.4"))),
            False,
            id="v0.4",
        ),
        pytest.param(changed(lambda b: b.pop("verificationMaterial")), False, id="no-material"),
        pytest.param(changed(lambda b: b.pop("dsseEnvelope")), False, id="no-content"),
        pytest.param(
            changed(lambda b: b["verificationMaterial"].update(certificate={"rawBytes": "MA=="})),
            False,
            id="key-and-certificate",
        ),
        pytest.param(
            changed(lambda b: b["dsseEnvelope"].update(payload="*")), False, id="not-base64"
        ),
        pytest.param(changed(lambda b: b["dsseEnvelope"].update(payload={})), False, id="shape"),
        pytest.param(
            changed(
                lambda b: (
                    b.pop("dsseEnvelope"),
                    b.update(messageSignature={"signature": "MA=="}),
                )
            ),
            True,
            id="message",
        ),
        pytest.param(signed(STATEMENT, signatures=2), True, id="two-signatures"),
        pytest.param(signed(STATEMENT, signatures=0), True, id="no-signature"),
        pytest.param(signed(STATEMENT, keyid="release"), True, id="a-keyid"),
        pytest.param(signed(STATEMENT, payload_type="text/plain"), True, id="payload-type"),
    ],
)
def test_what_cosign_refuses_whoever_signed_is_malformed(content: bytes, counts: bool) -> None:
    judged = judge(content)
    assert code(judged) is ReasonCode.BUNDLE_MALFORMED
    assert judged.counts_as_bundle is counts


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(
            signed(STATEMENT.replace(IMAGE.hex.encode(), b"0" * 64)),
            ReasonCode.WRONG_DIGEST,
            id="other-image",
        ),
        pytest.param(
            signed(STATEMENT.replace(IMAGE.hex.encode(), IMAGE.hex.upper().encode())),
            ReasonCode.WRONG_DIGEST,
            id="digest-in-upper-case",
        ),
        pytest.param(
            signed(STATEMENT[:-1] + b',"x":1}'), ReasonCode.PAYLOAD_MALFORMED, id="unknown-member"
        ),
        pytest.param(
            signed(STATEMENT, material={"certificate": {"rawBytes": "MA=="}}),
            ReasonCode.UNTRUSTED_KEY,
            id="certificate",
        ),
        pytest.param(
            changed(
                lambda b: b["dsseEnvelope"].update(
                    payload=base64.b64encode(STATEMENT + b" ").decode()
                )
            ),
            ReasonCode.UNTRUSTED_KEY,
            id="payload-changed",
        ),
    ],
)
def test_a_signature_that_does_not_stand_says_why(content: bytes, expected: ReasonCode) -> None:
    judged = judge(content)
    assert judged.verdict is not None
    assert not judged.verdict.stands
    assert code(judged) is expected
    assert judged.counts_as_bundle


def test_a_key_that_is_not_ours_is_not_trusted() -> None:
    assert code(judge(signed(STATEMENT), OURS)) is ReasonCode.UNTRUSTED_KEY
    assert code(judge(signed(STATEMENT), KEY)) is ReasonCode.SIGNATURE_VALID


def test_a_key_of_another_purpose_or_a_compromised_one_does_not_count() -> None:
    attesting = replace(KEY, purpose=Purpose.ATTESTATION)
    assert code(judge(signed(STATEMENT), attesting)) is ReasonCode.WRONG_PURPOSE
    stolen = replace(KEY, state=KeyState.COMPROMISED, ever_compromised=True)
    assert code(judge(signed(STATEMENT), stolen)) is ReasonCode.KEY_COMPROMISED


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(SBOM, id="bill-of-materials"),
        pytest.param(
            STATEMENT.replace(b"https://sigstore.dev/cosign/sign/v1", b"https://x/vuln/v1").replace(
                b'"predicate":{}', b'"predicate":{"result":"FAILED"}'
            ),
            id="failing-scan",
        ),
        pytest.param(
            STATEMENT.replace(b'"predicateType":"https://sigstore.dev/cosign/sign/v1",', b""),
            id="no-predicate-type",
        ),
    ],
)
def test_an_attestation_by_an_image_key_is_no_signature_though_cosign_takes_it(
    payload: bytes,
) -> None:
    judged = judge(signed(payload))
    assert judged.verdict is None
    assert (judged.counts_as_bundle, judged.signer) == (True, KEY)


def test_an_attestation_of_others_is_no_signature_either_good_or_bad() -> None:
    for content in (
        signed(SBOM),
        signed(SBOM, keyid="theirs"),
        signed(SBOM, material={"certificate": {"rawBytes": "MA=="}}),
    ):
        judged = judge(content, OURS)
        assert (judged.verdict, judged.counts_as_bundle, judged.signer) == (None, True, None)


def referrer(*layers: tuple[str, int], **annotations: str) -> UnverifiedReferrer:
    manifest = {
        "layers": [
            {"mediaType": kind, "size": size, "digest": str(IMAGE)} for kind, size in layers
        ],
        "annotations": {name.replace("_", "."): value for name, value in annotations.items()},
    }
    read = unverified_referrer(IMAGE, json.dumps(manifest).encode())
    assert read is not None
    return read


def test_bundles_are_known_by_their_only_layer() -> None:
    assert JUDGE.recognises(referrer((MEDIA_TYPE, 5)))
    assert not JUDGE.recognises(referrer((MEDIA_TYPE, 5), (MEDIA_TYPE, 5)))
    assert not JUDGE.recognises(referrer(("application/jose+json", 5)))
    assert not JUDGE.recognises(referrer())


def test_a_bundle_too_large_for_a_signature_is_not_fetched() -> None:
    fits = JUDGE.content(referrer((MEDIA_TYPE, MAX_BLOB_BYTES)))
    assert fits == Descriptor(MEDIA_TYPE, IMAGE, MAX_BLOB_BYTES)
    large = JUDGE.content(referrer((MEDIA_TYPE, MAX_BLOB_BYTES + 1)))
    assert isinstance(large, Judged)
    assert code(large) is ReasonCode.BUNDLE_MALFORMED
    sbom = JUDGE.content(
        referrer(
            (MEDIA_TYPE, MAX_BLOB_BYTES + 1),
            dev_sigstore_bundle_predicateType="https://spdx.dev/Document",
        )
    )
    assert isinstance(sbom, Judged)
    assert (sbom.verdict, sbom.counts_as_bundle) == (None, True)


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(b"[]", id="a-list"),
        pytest.param(b'{"layers":7}', id="layers-are-a-number"),
        pytest.param(b'{"layers":[{}]}', id="a-layer-without-anything"),
        pytest.param(b'{"config":[],"annotations":[1]}', id="annotations-are-a-list"),
    ],
)
def test_a_manifest_that_cannot_be_followed_is_none(manifest: bytes) -> None:
    assert unverified_referrer(IMAGE, manifest) is None


texts = st.text(st.characters(exclude_categories=["Cs"]))
members = st.sampled_from(
    ["mediaType", "verificationMaterial", "publicKey", "dsseEnvelope", "payload", "signatures"]
)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | texts,
        lambda inner: st.lists(inner) | st.dictionaries(texts | members, inner),
    ).map(lambda v: json.dumps(v).encode())
)
def test_no_bytes_break_the_parser(content: bytes) -> None:
    with pytest.raises(BundleMalformedError):
        parse_bundle(content)


@given(st.integers(0, len(SAMPLE) - 1), st.binary(max_size=3))
def test_a_damaged_bundle_stands_only_as_it_was_signed(at: int, put: bytes) -> None:
    judged = judge(SAMPLE[:at] + put + SAMPLE[at + 1 :])
    if judged.verdict is not None and judged.verdict.stands:
        assert judged.signer == OURS
