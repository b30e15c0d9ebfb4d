"""What proves a signature's time: stamps and the log's promises as clients find them, and who
is believed. What our own record proves is tested with real compromises in tests/custody."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from service.domain.certificates import CertificateChain, ChainOrigin
from service.domain.digests import Digest
from service.domain.keys import KeyState, KeyVersion, Purpose, Scheme
from service.domain.log import LogProof, Promise
from service.domain.signing import Signature, Timestamp
from service.formats import dsse
from service.formats.bundle import BundleFormat
from service.formats.intoto import signing_statement
from service.formats.simplesigning import CosignFormat
from service.operations.proofs import AnyProof, PromisedProofs, StampedProofs, own_authority
from service.ports.formats import SignatureFormat
from service.ports.proofs import ProvenTime, VerifiedSignature
from service.translog.logged import log_id, promise_message
from service.verification.bundle import BundleJudge
from service.verification.bundles import parse_bundle
from service.verification.certificate_rules import Use
from service.verification.chains import check_chain
from service.verification.cosign import UnverifiedLayer, judge
from service.verification.stamps import TrustedAuthority
from tests.support import chains
from tests.support.authorities import UnsafeAuthority
from tests.support.operations import spki
from tests.support.statements import MOMENT, a_statement, a_subject, a_version

DIGEST = Digest("c" * 64)
STAMPED = datetime(2026, 6, 1, tzinfo=UTC)
PROMISED = datetime(2026, 6, 2, tzinfo=UTC)
IMAGE_KEY, LOG_KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
VERSION = a_version(spki(IMAGE_KEY.public_key()))
LOG = a_version(spki(LOG_KEY.public_key()), purpose=Purpose.LOG, key="log")
AUTHORITY = UnsafeAuthority(at=STAMPED)
FORMATS: dict[str, SignatureFormat] = {form.name: form for form in (CosignFormat(), BundleFormat())}


@dataclass
class Catalog:
    """The one question of service.ports.store.KeyCatalog that is asked here."""

    logs: Sequence[KeyVersion] = (LOG,)

    def trusted_by_purpose(self, purpose: Purpose) -> Sequence[KeyVersion]:
        return self.logs if purpose is Purpose.LOG else ()


@dataclass
class Kept:
    """service.ports.proofs.ProofsOfTime that shows what a judge hands over."""

    made: VerifiedSignature | None = None

    def earliest(self, made: VerifiedSignature) -> ProvenTime | None:
        self.made = made
        return None


def promise(
    body: bytes, *, key: ec.EllipticCurvePrivateKey = LOG_KEY, at: int | None = None
) -> Promise:
    time = int(PROMISED.timestamp()) if at is None else at
    identity = log_id(spki(key.public_key()))
    message = promise_message(body, index=7, log_id=identity, integrated_time=time)
    return Promise(time, key.sign(message, ec.ECDSA(hashes.SHA256())), identity)


def found(
    form: str, *, by: ec.EllipticCurvePrivateKey = LOG_KEY, over: bytes | None = None
) -> VerifiedSignature:
    """Sign, stamp and log as the service does, and read it as verification does."""
    maker = FORMATS[form]
    statement = a_statement(DIGEST, form=form)
    payload = maker.payload(statement, version=VERSION, at=MOMENT)
    made = IMAGE_KEY.sign(
        maker.message(payload, Scheme.ECDSA_P256_SHA256), ec.ECDSA(hashes.SHA256())
    )
    stamped = maker.stamped(made, Scheme.ECDSA_P256_SHA256)
    assert stamped == made
    entry = maker.log_entry(
        payload, made, public_key=VERSION.public_key, scheme=Scheme.ECDSA_P256_SHA256
    )
    promised = promise(entry, key=by)
    proof = LogProof(
        entry, 1, 7, 8, bytes(32), (), "note", "note", promised.log_id, 0, promise=promised
    )
    signature = Signature(
        "sig_1",
        statement,
        Scheme.ECDSA_P256_SHA256,
        payload,
        made,
        entry,
        MOMENT,
        "cred",
        VERSION.public_key,
        log=proof,
        timestamp=Timestamp("own", STAMPED, AUTHORITY.over(made if over is None else over)),
    )
    attached = maker.attachment(signature, a_subject(DIGEST))
    kept = Kept()
    # Only of a compromised key is it asked when its signatures were made.
    stolen = replace(VERSION, ever_compromised=True, compromised_since=MOMENT)
    if form == "bundle":
        BundleJudge(kept).judge(attached.blobs[1], subject=DIGEST, keys=[stolen])  # type: ignore[union-attr]
    else:
        annotations = dict(attached.annotations)  # type: ignore[union-attr]
        layer = UnverifiedLayer(DIGEST, made, annotations)
        judge(layer, payload, digest=DIGEST, keys=[stolen], proofs=kept)
    assert kept.made is not None
    return kept.made


def stamped(made: VerifiedSignature, *authorities: TrustedAuthority) -> ProvenTime | None:
    trusted = authorities or (TrustedAuthority("test", (AUTHORITY.root,)),)
    return StampedProofs(lambda: trusted).earliest(made)


EACH = pytest.mark.parametrize("form", FORMATS)


@EACH
def test_a_stamp_beside_a_signature_proves_the_time_it_tells(form: str) -> None:
    made = found(form)
    assert stamped(made) == ProvenTime(STAMPED + timedelta(seconds=1), "a time stamp of test")
    assert stamped(made, TrustedAuthority("nobody", ())) is None
    assert stamped(found(form, over=b"another signature")) is None


@EACH
def test_a_promise_of_the_log_proves_no_more_than_the_end_of_the_second_it_tells(form: str) -> None:
    proven = PromisedProofs(Catalog()).earliest(found(form))  # type: ignore[arg-type]
    assert proven == ProvenTime(PROMISED + timedelta(seconds=1), "the transparency log")


@pytest.mark.parametrize(
    ("by", "logs"),
    [
        pytest.param(OTHER, (LOG,), id="another-log"),
        pytest.param(LOG_KEY, (replace(LOG, ever_compromised=True),), id="compromised-log-key"),
        pytest.param(
            LOG_KEY,
            (replace(LOG, created_at=PROMISED + timedelta(days=1)),),
            id="older-than-its-key",
        ),
        pytest.param(
            LOG_KEY, (replace(LOG, public_key=spki(OTHER.public_key())),), id="rotated-away"
        ),
    ],
)
def test_a_promise_that_nobody_trusted_has_made_proves_nothing(
    by: ec.EllipticCurvePrivateKey, logs: tuple[KeyVersion, ...]
) -> None:
    assert PromisedProofs(Catalog(logs)).earliest(found("cosign", by=by)) is None  # type: ignore[arg-type]


def test_a_promise_for_another_entry_or_at_another_time_proves_nothing() -> None:
    made = found("cosign")
    [good] = made.evidence.unverified_promises
    proofs = PromisedProofs(Catalog())  # type: ignore[arg-type]
    for bad in (
        replace(good, body=good.body.replace(b"0.0.1", b"0.0.2")),
        replace(good, index=8),
        replace(good, promise=replace(good.promise, integrated_time=1)),
        replace(good, promise=replace(good.promise, integrated_time=2**80)),
        replace(good, promise=promise(good.body, at=2**60)),
        replace(good, promise=replace(good.promise, signature=b"")),
    ):
        evidence = replace(made.evidence, unverified_promises=(bad,))
        assert proofs.earliest(replace(made, evidence=evidence)) is None
        both = replace(made.evidence, unverified_promises=(bad, good))
        assert proofs.earliest(replace(made, evidence=both)) is not None


def test_what_lies_beside_a_signature_and_cannot_be_read_is_passed_over() -> None:
    kept = Kept()
    made = found("cosign")
    stolen = replace(VERSION, ever_compromised=True, compromised_since=MOMENT)
    names = ("dev.sigstore.cosign/bundle", "dev.sigstore.cosign/rfc3161timestamp")
    for junk in ("", "[]", "{}", "null", '{"SignedRFC3161Timestamp": 5}', '{"Payload": {}}', 7):
        layer = UnverifiedLayer(DIGEST, made.signature, dict.fromkeys(names, junk))
        verdict = judge(layer, made.payload, digest=DIGEST, keys=[stolen], proofs=kept)
        assert not verdict.stands
        assert kept.made is not None
        assert kept.made.evidence.unverified_stamps == ()
        assert kept.made.evidence.unverified_promises == ()


def test_of_several_proofs_the_earliest_counts() -> None:
    made = found("bundle")
    trusted = StampedProofs(lambda: [TrustedAuthority("test", (AUTHORITY.root,))])
    logged = PromisedProofs(Catalog())  # type: ignore[arg-type]
    both = AnyProof([logged, trusted]).earliest(made)
    assert both == trusted.earliest(made)
    assert AnyProof([logged]).earliest(made) == logged.earliest(made)
    assert AnyProof([]).earliest(made) is None


def a_stamping_version(authority: UnsafeAuthority, **change: object) -> KeyVersion:
    checked = check_chain(authority.chain, use=Use.TIMESTAMPING, at=None)
    chain = CertificateChain(
        ChainOrigin.OWN_CA, authority.chain, checked.subject, checked.not_before, checked.not_after
    )
    version = a_version(authority.public_key, purpose=Purpose.TIMESTAMP, key="tsa")
    return replace(version, chain=chain, **change)  # type: ignore[arg-type]


def test_a_stamping_key_that_was_compromised_proves_nothing_though_its_root_is_good() -> None:
    made = found("cosign")
    other = UnsafeAuthority(specs=chains.with_change(AUTHORITY.specs, 0, number=55))
    good, retired = a_stamping_version(AUTHORITY), KeyState.RETIRED
    assert stamped(made, own_authority([good])) is not None
    assert stamped(made, own_authority([replace(good, state=retired)])) is not None
    stolen = replace(good, ever_compromised=True, state=KeyState.COMPROMISED)
    assert stamped(made, own_authority([stolen, a_stamping_version(other)])) is None
    assert stamped(made, own_authority([replace(good, chain=None)])) is None


def test_a_bundle_with_a_stamp_that_is_none_is_still_a_bundle() -> None:
    payload = signing_statement(DIGEST, ())
    document = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "publicKey": {},
            "timestampVerificationData": {"rfc3161Timestamps": [{}, {"signedTimestamp": "!"}]},
        },
    }
    content = json.dumps(document)[:-1].encode()
    content += b',"dsseEnvelope":' + dsse.envelope(payload, b"signature") + b"}"
    assert len(parse_bundle(content).unverified_stamps) == 2
