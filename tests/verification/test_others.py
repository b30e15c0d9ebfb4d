"""Signatures of others, judged by the trust policy of a repository: each kind, and each attack."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from service.domain.attestations import COSIGN_SIGN
from service.domain.digests import Descriptor, Digest
from service.domain.keys import Scheme
from service.domain.public_keys import PublicKey
from service.domain.verdicts import ReasonCode, SignatureVerdict
from service.domain.x509_names import parse_subject
from service.formats.notation import cose, jws
from service.formats.notation.envelope import target_payload, to_raw
from service.formats.rfc3161 import token_of
from service.policy.trust import (
    CertificateIdentity,
    ForeignKey,
    NotationTrust,
    RepositoryTrust,
    TrustPolicy,
)
from service.ports.proofs import ProvenTime, VerifiedSignature
from service.verification.bundle import BundleJudge
from service.verification.cosign import UnverifiedLayer, judge
from service.verification.notation import NotationJudge
from service.verification.others import Others, Trusted
from tests.support import chains
from tests.support.sigstore import (
    ISSUER,
    KINDS,
    MOMENT,
    NAME,
    Instance,
    PrivateKey,
    a_key,
    b64,
    pem,
    sign,
    statement,
)

IMAGE = b'{"schemaVersion":2}'
DIGEST = Digest.of(IMAGE)
OURS = Instance()
KEY = a_key()
NOBODY = RepositoryTrust("nobody", ("**",), our_keys=True)


class NoProofs:
    def earliest(self, made: VerifiedSignature) -> ProvenTime | None:
        return None


@dataclass
class Clock:
    moment: datetime = chains.NOW

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return 0.0


def foreign(key: PrivateKey = KEY) -> ForeignKey:
    return ForeignKey("vendor", PublicKey.parse_pem(pem(key).decode()))


def trusting(**what: Any) -> RepositoryTrust:
    return RepositoryTrust("vendors", ("**",), our_keys=False, **what)


BY_KEY = trusting(keys=(foreign(),))
KEYLESS = trusting(
    identities=(CertificateIdentity("https://ci.example.com/team/*/build.yml@**", ISSUER),),
    trusted_root=json.dumps(OURS.trusted_root()).encode(),
)


# -- cosign's `.sig`


def payload(digest: Digest = DIGEST) -> bytes:
    document = {
        "critical": {
            "identity": {"docker-reference": "registry.example.com/app"},
            "image": {"docker-manifest-digest": str(digest)},
            "type": "cosign container image signature",
        },
        "optional": None,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def layer(signature: bytes, content: bytes, **annotations: str) -> UnverifiedLayer:
    return UnverifiedLayer(Digest.of(content), signature, annotations)


def judge_layer(one: UnverifiedLayer, content: bytes, policy: RepositoryTrust) -> SignatureVerdict:
    found = judge(one, content, digest=DIGEST, keys=(), proofs=NoProofs())
    return Others(policy, Clock()).layer(one, content, digest=DIGEST, found=found)


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa", "ed25519"])
@pytest.mark.parametrize("hashing", ["sha256", ""])
def test_a_layer_by_a_foreign_key_stands_and_names_the_key(kind: str, hashing: str) -> None:
    key = a_key(kind)
    policy = trusting(keys=(foreign(), replace(foreign(key), name="second")))
    verdict = judge_layer(layer(sign(key, payload(), hashing), payload()), payload(), policy)
    assert (verdict.stands, verdict.key, verdict.version) == (True, "second", None)
    assert (verdict.policy, verdict.identity) == ("vendors", "registry.example.com/app")
    refused = judge_layer(layer(sign(key, payload(), hashing), payload()), payload(), BY_KEY)
    assert (refused.stands, refused.reason.code) == (False, ReasonCode.UNTRUSTED_KEY)
    assert "policy vendors" in refused.reason.text


def test_a_layer_about_another_image_is_refused_whoever_has_signed_it() -> None:
    other = payload(Digest("a" * 64))
    verdict = judge_layer(layer(sign(KEY, other), other), other, BY_KEY)
    assert (verdict.stands, verdict.reason.code) == (False, ReasonCode.WRONG_DIGEST)


def keyless_layer(
    change: Callable[[dict[str, Any]], Any] = lambda _: None,
    *,
    stamped: bool = False,
    promise: bool = True,
    **certificate: Any,
) -> UnverifiedLayer:
    """As cosign writes it: `change` is made to the log's annotation."""
    key = a_key()
    leaf = OURS.certificate(key, **certificate)
    bundle = OURS.bundle(payload(), key=key, certificate=leaf)
    material = bundle["verificationMaterial"]
    entry = material["tlogEntries"][0]
    logged = {
        "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
        "Payload": {
            "body": entry["canonicalizedBody"],
            "integratedTime": int(entry["integratedTime"]),
            "logIndex": int(entry["logIndex"]),
            "logID": base64.b64decode(entry["logId"]["keyId"]).hex(),
        },
    }
    change(logged)
    signature = base64.b64decode(bundle["messageSignature"]["signature"])
    annotations = {"dev.sigstore.cosign/certificate": leaf.public_bytes(Encoding.PEM).decode()}
    if promise:
        annotations["dev.sigstore.cosign/bundle"] = json.dumps(logged)
    if stamped:
        stamp = {"SignedRFC3161Timestamp": b64(OURS.stamp(signature))}
        annotations["dev.sigstore.cosign/rfc3161timestamp"] = json.dumps(stamp)
    return layer(signature, payload(), **annotations)


@pytest.mark.parametrize("stamped", [True, False])
def test_a_keyless_layer_stands_and_names_its_identity(stamped: bool) -> None:
    verdict = judge_layer(keyless_layer(stamped=stamped), payload(), KEYLESS)
    assert verdict.stands, verdict.reason
    assert (verdict.certificate_identity, verdict.certificate_issuer) == (NAME, ISSUER)
    assert (verdict.key, verdict.policy) == (None, "vendors")
    assert judge_layer(keyless_layer(), payload(), BY_KEY).reason.code is ReasonCode.UNTRUSTED_KEY


def test_a_keyless_layer_is_refused_for_each_part() -> None:
    def told(one: UnverifiedLayer) -> tuple[ReasonCode, str]:
        verdict = judge_layer(one, payload(), KEYLESS)
        assert not verdict.stands
        return verdict.reason.code, verdict.reason.text

    later = told(keyless_layer(lambda logged: logged["Payload"].update(integratedTime=1)))
    assert (later[0], "(promise-invalid)" in later[1]) == (ReasonCode.SIGSTORE_REFUSED, True)
    unlogged = told(keyless_layer(promise=False))
    assert "(log-entry-missing)" in unlogged[1]
    other = told(keyless_layer(issuer="https://example.net"))
    assert other[0] is ReasonCode.UNTRUSTED_IDENTITY
    expired = told(keyless_layer(start=MOMENT - timedelta(minutes=11)))
    assert "(certificate-expired)" in expired[1]
    assert told(keyless_layer(lambda logged: logged.pop("Payload")))[0] is (
        ReasonCode.SIGNATURE_MISSING
    )
    good = keyless_layer()
    another = replace(good, unverified_signature=sign(KEY, payload()))
    assert "(signature-invalid)" in told(another)[1]


# -- bundles


def judge_bundle(
    bundle: dict[str, Any], policy: RepositoryTrust, subject: Digest = DIGEST
) -> SignatureVerdict | None:
    content = json.dumps(bundle).encode()
    found = BundleJudge(NoProofs()).judge(content, subject=subject, keys=())
    others = Others(policy, Clock())
    return others.referrer(content, format_name="bundle", subject=subject, found=found).verdict


def signature(**how: Any) -> dict[str, Any]:
    inside = statement(DIGEST.hex, predicate_type=COSIGN_SIGN)
    asked = {"payload": inside, "in_envelope": True, "entry": "dsse 0.0.1", **how}
    return OURS.bundle(IMAGE, **asked)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "p521"])
def test_a_bundle_by_a_foreign_key_stands_with_or_without_a_log(kind: str) -> None:
    key = a_key(kind)
    policy = trusting(keys=(foreign(key),))
    bundle = signature(key=key, by_key=True)
    verdict = judge_bundle(bundle, policy)
    assert verdict is not None
    assert (verdict.stands, verdict.key, verdict.identity) == (True, "vendor", "a")
    del bundle["verificationMaterial"]["tlogEntries"]
    unlogged = judge_bundle(bundle, policy)
    assert unlogged is not None
    assert unlogged.stands
    stranger = judge_bundle(bundle, trusting(keys=(foreign(a_key()),)))
    assert stranger is not None
    assert (stranger.stands, stranger.reason.code) == (False, ReasonCode.UNTRUSTED_KEY)


@pytest.mark.parametrize(
    "version",
    [
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "application/vnd.dev.sigstore.bundle+json;version=0.2",
        "application/vnd.dev.sigstore.bundle.v0.3+json",
    ],
)
def test_a_keyless_bundle_stands_and_names_its_identity(version: str) -> None:
    verdict = judge_bundle(signature(version=version), KEYLESS)
    assert verdict is not None
    assert verdict.stands, verdict.reason
    assert (verdict.certificate_identity, verdict.certificate_issuer) == (NAME, ISSUER)


def test_a_keyless_bundle_is_refused_for_each_part() -> None:
    def told(bundle: dict[str, Any], policy: RepositoryTrust = KEYLESS) -> tuple[ReasonCode, str]:
        verdict = judge_bundle(bundle, policy)
        assert verdict is not None
        assert not verdict.stands
        return verdict.reason.code, verdict.reason.text

    good = signature()
    broken = copy.deepcopy(good)
    del broken["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    assert "(inclusion-proof-missing)" in told(broken)[1]
    exact = CertificateIdentity(NAME, "https://example.net")
    other = replace(KEYLESS, identities=(exact,))
    assert told(good, other)[0] is ReasonCode.UNTRUSTED_IDENTITY
    another_root = json.dumps(Instance().trusted_root()).encode()
    assert "(log-untrusted)" in told(good, replace(KEYLESS, trusted_root=another_root))[1]
    assert "(log-untrusted)" in told(good, replace(KEYLESS, trusted_root=None))[1]
    assert told(good, BY_KEY)[0] is ReasonCode.UNTRUSTED_KEY
    assert told(good, NOBODY)[0] is ReasonCode.UNTRUSTED_KEY
    about_another = judge_bundle(good, KEYLESS, Digest("a" * 64))
    assert about_another is not None
    assert about_another.reason.code is ReasonCode.WRONG_DIGEST


def test_attestations_of_others_are_no_signatures_either() -> None:
    for how in ({}, {"key": KEY, "by_key": True}):
        sbom = OURS.bundle(IMAGE, in_envelope=True, entry="dsse 0.0.1", **how)
        assert judge_bundle(sbom, replace(KEYLESS, keys=(foreign(),))) is None
    # An older version, which only the whole check can read.
    older = OURS.bundle(
        IMAGE,
        in_envelope=True,
        entry="dsse 0.0.1",
        version="application/vnd.dev.sigstore.bundle+json;version=0.2",
    )
    assert judge_bundle(older, KEYLESS) is None


@pytest.mark.parametrize(
    ("inside", "code"),
    [
        (statement("ab" * 32, predicate_type=COSIGN_SIGN), ReasonCode.WRONG_DIGEST),
        (b"{}", ReasonCode.PAYLOAD_MALFORMED),
    ],
    ids=["another image", "no statement"],
)
def test_what_a_foreign_key_has_signed_must_be_a_statement_about_the_image(
    inside: bytes, code: ReasonCode
) -> None:
    verdict = judge_bundle(signature(key=KEY, by_key=True, payload=inside), BY_KEY)
    assert verdict is not None
    assert (verdict.stands, verdict.reason.code, verdict.key) == (False, code, "vendor")


def test_what_is_no_bundle_of_an_image_stays_what_it_was_found_to_be() -> None:
    message = OURS.bundle(IMAGE, key=KEY, by_key=True)
    for bundle in (message, {"a": 1}):
        verdict = judge_bundle(bundle, BY_KEY)
        assert verdict is not None
        assert verdict.reason.code is ReasonCode.BUNDLE_MALFORMED


# -- notation

SPECS = chains.chain_specs(3)
CHAIN = tuple(chains.issue(SPECS))
SCHEME = Scheme.ECDSA_P256_SHA256
TARGET = Descriptor("application/vnd.oci.image.manifest.v1+json", DIGEST, len(IMAGE))
MATCHING = parse_subject("C=CH,ST=Bern,O=Example")
STORE = NotationTrust((CHAIN[-1],), (MATCHING,))
NOTATION = trusting(notation=STORE)


def envelope(
    *,
    kind: str = "jws",
    target: Descriptor = TARGET,
    key: ec.EllipticCurvePrivateKey = SPECS[0].key,
    chain: tuple[bytes, ...] = CHAIN,
    expiry: datetime | None = None,
    stamp: datetime | None = None,
) -> bytes:
    make, seal = (
        (jws.signing_input, jws.envelope) if kind == "jws" else (cose.to_be_signed, cose.envelope)
    )
    message = make(target_payload(target), scheme=SCHEME, at=chains.NOW, expiry=expiry)
    raw = to_raw(SCHEME, key.sign(message, ec.ECDSA(hashes.SHA256())))
    token = None if stamp is None else token_of(OURS.stamp(raw, at=stamp))
    return seal(message, raw, chain, timestamp=token)


def judge_envelope(
    content: bytes, policy: RepositoryTrust = NOTATION, *, now: datetime = chains.NOW
) -> SignatureVerdict:
    found = NotationJudge(NoProofs(), Clock(now)).judge(content, subject=DIGEST, keys=())
    others = Others(policy, Clock(now))
    judged = others.referrer(content, format_name="notation", subject=DIGEST, found=found)
    assert judged.verdict is not None
    return judged.verdict


@pytest.mark.parametrize("kind", ["jws", "cose"])
def test_a_notation_signature_stands_under_its_root_for_its_identity(kind: str) -> None:
    verdict = judge_envelope(envelope(kind=kind))
    assert verdict.stands, verdict.reason
    assert verdict.certificate_identity == "CN=release 1,O=Example,ST=Bern,C=CH"
    everybody = trusting(notation=replace(STORE, subjects=()))
    assert judge_envelope(envelope(kind=kind), everybody).stands
    assert judge_envelope(envelope(kind=kind), BY_KEY).reason.code is ReasonCode.UNTRUSTED_KEY


def test_a_notation_signature_is_refused_for_each_part() -> None:
    def code(content: bytes, policy: RepositoryTrust = NOTATION) -> ReasonCode:
        verdict = judge_envelope(content, policy)
        assert not verdict.stands
        return verdict.reason.code

    good = envelope()
    # The same name and key, another certificate: a root is compared byte for byte.
    another = trusting(notation=replace(STORE, roots=(chains.issue(SPECS)[-1],)))
    assert code(good, another) is ReasonCode.UNTRUSTED_CERTIFICATE
    somebody = parse_subject("C=CH,ST=Bern,O=Other")
    other = trusting(notation=replace(STORE, subjects=(somebody,)))
    assert code(good, other) is ReasonCode.UNTRUSTED_IDENTITY
    elsewhere = envelope(target=replace(TARGET, digest=Digest("a" * 64)))
    assert code(elsewhere) is ReasonCode.WRONG_DIGEST
    stranger = envelope(key=ec.generate_private_key(ec.SECP256R1()))
    assert code(stranger) is ReasonCode.CERTIFICATE_CHAIN_INVALID
    assert code(envelope(chain=CHAIN[:-1])) is ReasonCode.CERTIFICATE_CHAIN_INVALID
    assert code(envelope(expiry=chains.NOW)) is ReasonCode.SIGNATURE_EXPIRED
    assert code(b"{}") is ReasonCode.ENVELOPE_MALFORMED


def test_a_notation_signature_outlives_its_certificates_if_a_trusted_time_says_so() -> None:
    late = chains.NOW + 50 * chains.YEAR
    root = OURS.tsa_root().public_bytes(Encoding.DER)
    stampers = trusting(notation=replace(STORE, time_roots=(root,)))
    assert judge_envelope(envelope(), stampers).stands
    expired = judge_envelope(envelope(), stampers, now=late)
    assert expired.reason.code is ReasonCode.CERTIFICATE_EXPIRED
    stamped = envelope(stamp=MOMENT)
    assert judge_envelope(stamped, stampers, now=late).stands
    for policy in (NOTATION, trusting(notation=replace(STORE, time_roots=(CHAIN[-1],)))):
        untrusted = judge_envelope(stamped, policy, now=late)
        assert untrusted.reason.code is ReasonCode.CERTIFICATE_EXPIRED


# -- which policy


def test_where_no_policy_covers_a_repository_our_keys_count_and_nobody_else() -> None:
    policies = (replace(BY_KEY, repositories=("r/a",)), replace(NOBODY, repositories=("r/b",)))
    trust = TrustPolicy(policies=policies)
    keys: Any = ("a key of ours",)

    def of(repository: str) -> Trusted:
        return Trusted.in_repository(repository, keys, trust, Clock())

    assert (of("r/c").keys, of("r/c").others) == (keys, None)
    assert of("r/a").keys == ()
    assert of("r/b").keys == keys
    assert of("r/a").others is not None
