"""What our judge of Notary Project signatures says, attack by attack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.domain.digests import Descriptor, Digest
from service.domain.keys import Algorithm, KeyState, KeyVersion, Purpose, Scheme
from service.domain.verdicts import ReasonCode
from service.formats.notation import cose, jws
from service.formats.notation.envelope import target_payload, to_raw
from service.formats.notation.form import ARTIFACT_TYPE
from service.operations.proofs import StampedProofs
from service.ports.proofs import ProvenTime, VerifiedSignature
from service.verification.notation import NotationJudge
from service.verification.referrers import Judged, UnverifiedReferrer
from service.verification.stamp_tokens import token_in
from service.verification.stamps import TrustedAuthority
from tests.support import chains
from tests.support.authorities import UnsafeAuthority

NOW = chains.NOW
IMAGE = Descriptor("application/vnd.oci.image.manifest.v1+json", Digest("c" * 64), 401)
SCHEME = Scheme.ECDSA_P256_SHA256


@dataclass
class Clock:
    moment: datetime = NOW

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Proofs:
    moment: datetime | None = None

    def earliest(self, made: VerifiedSignature) -> ProvenTime | None:
        return None if self.moment is None else ProvenTime(self.moment, "the record")


SPECS = chains.chain_specs(3)
KEY = SPECS[0].key
CHAIN = tuple(chains.issue(SPECS))
OTHER_CHAIN = tuple(chains.issue(chains.chain_specs(3, chains.leaf("other 1", kind="p384"))))
SPKI = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
VERSION = KeyVersion(
    key="release",
    version=1,
    purpose=Purpose.IMAGE,
    algorithm=Algorithm.EC_P256,
    state=KeyState.ACTIVE,
    cka_id=b"id",
    public_key=SPKI,
    locations=(),
    created_at=NOW,
)


def envelope(
    *,
    kind: str = "jws",
    image: Descriptor = IMAGE,
    chain: Sequence[bytes] = CHAIN,
    key: ec.EllipticCurvePrivateKey = KEY,
    expiry: datetime | None = None,
    stamped_by: UnsafeAuthority | None = None,
    stamped: bytes | None = None,
) -> bytes:
    make, seal = (
        (jws.signing_input, jws.envelope) if kind == "jws" else (cose.to_be_signed, cose.envelope)
    )
    message = make(target_payload(image), scheme=SCHEME, at=NOW, expiry=expiry)
    raw = to_raw(SCHEME, key.sign(message, ec.ECDSA(hashes.SHA256())))
    if stamped_by is None:
        return seal(message, raw, chain)
    reply = stamped_by.over(raw if stamped is None else stamped)
    return seal(message, raw, chain, timestamp=token_in(reply))


def judged(
    content: bytes,
    *,
    version: KeyVersion = VERSION,
    now: datetime = NOW,
    proven: datetime | None = None,
) -> tuple[bool, ReasonCode]:
    judge = NotationJudge(Proofs(proven), Clock(now))
    verdict = judge.judge(content, subject=IMAGE.digest, keys=[version]).verdict
    assert verdict is not None
    return verdict.stands, verdict.reason.code


KINDS = pytest.mark.parametrize("kind", ["jws", "cose"])


@KINDS
def test_a_good_signature_stands(kind: str) -> None:
    assert judged(envelope(kind=kind)) == (True, ReasonCode.SIGNATURE_VALID)
    later = NOW + timedelta(days=1)
    assert judged(envelope(kind=kind, expiry=later)) == (True, ReasonCode.SIGNATURE_VALID)


@KINDS
@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(
            {"image": replace(IMAGE, digest=Digest("d" * 64))},
            ReasonCode.WRONG_DIGEST,
            id="another-image",
        ),
        pytest.param(
            {"key": ec.generate_private_key(ec.SECP256R1())},
            ReasonCode.UNTRUSTED_KEY,
            id="another-key",
        ),
        pytest.param(
            {"chain": OTHER_CHAIN}, ReasonCode.CERTIFICATE_CHAIN_INVALID, id="another-leaf"
        ),
        pytest.param({"chain": CHAIN[:2]}, ReasonCode.CERTIFICATE_CHAIN_INVALID, id="no-root"),
        pytest.param(
            {"chain": CHAIN[::-1]}, ReasonCode.CERTIFICATE_CHAIN_INVALID, id="wrong-order"
        ),
        pytest.param(
            {"chain": (b"no certificate",)}, ReasonCode.CERTIFICATE_CHAIN_INVALID, id="nonsense"
        ),
        pytest.param(
            {"expiry": NOW - timedelta(seconds=1)}, ReasonCode.SIGNATURE_EXPIRED, id="expired"
        ),
    ],
)
def test_a_bad_one_is_refused_with_its_reason(
    kind: str, change: dict[str, Any], code: ReasonCode
) -> None:
    assert judged(envelope(kind=kind, **change)) == (False, code)


@KINDS
def test_certificates_that_have_ended_need_a_proof_that_the_signature_is_older(kind: str) -> None:
    after = NOW + 2 * chains.YEAR
    content = envelope(kind=kind)
    assert judged(content, now=after) == (False, ReasonCode.CERTIFICATE_EXPIRED)
    assert judged(content, now=after, proven=NOW) == (True, ReasonCode.SIGNATURE_VALID)
    assert judged(content, now=after, proven=after) == (False, ReasonCode.CERTIFICATE_EXPIRED)


def test_purpose_and_compromise_are_judged_as_for_every_format() -> None:
    attesting = replace(VERSION, purpose=Purpose.ATTESTATION)
    assert judged(envelope(), version=attesting) == (False, ReasonCode.WRONG_PURPOSE)
    stolen = replace(VERSION, state=KeyState.COMPROMISED, ever_compromised=True)
    assert judged(envelope(), version=stolen) == (False, ReasonCode.KEY_COMPROMISED)
    since = replace(stolen, compromised_since=NOW)
    before = NOW - timedelta(seconds=1)
    assert judged(envelope(), version=since, proven=before) == (True, ReasonCode.SIGNATURE_VALID)
    assert judged(envelope(), version=since, proven=NOW) == (False, ReasonCode.KEY_COMPROMISED)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xd2", b"nonsense", b"[" * 100_000])
def test_nonsense_is_malformed(content: bytes) -> None:
    assert judged(content) == (False, ReasonCode.ENVELOPE_MALFORMED)


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param([], id="none"),
        pytest.param([("application/jose+json", 10)] * 2, id="two"),
        pytest.param([("application/octet-stream", 10)], id="another-type"),
        pytest.param([("application/cose", 10**9)], id="too-large"),
    ],
)
def test_a_manifest_that_holds_no_envelope_is_told_without_fetching(
    layers: list[tuple[str, int]],
) -> None:
    judge = NotationJudge(Proofs(), Clock())

    def referrer(listed: list[tuple[str, int]]) -> UnverifiedReferrer:
        made = tuple(Descriptor(kind, IMAGE.digest, size) for kind, size in listed)
        return UnverifiedReferrer(IMAGE.digest, ARTIFACT_TYPE, made, {})

    good = referrer([("application/jose+json", 10)])
    assert judge.recognises(good)
    assert judge.content(good) == good.unverified_layers[0]
    found = judge.content(referrer(layers))
    assert isinstance(found, Judged)
    assert found.verdict is not None
    assert found.verdict.reason.code is ReasonCode.ENVELOPE_MALFORMED


LATER = NOW + 6 * chains.YEAR  # every certificate has ended
AUTHORITY = UnsafeAuthority(at=NOW)


@KINDS
@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        pytest.param({}, None, id="stamped-in-time"),
        pytest.param({"stamped_by": None}, "made then", id="not-stamped"),
        pytest.param(
            {"stamped": b"another signature"},
            "made then (its time stamp: it is over something else)",
            id="over-something-else",
        ),
        pytest.param(
            {
                "stamped_by": UnsafeAuthority(
                    at=NOW, specs=chains.with_change(AUTHORITY.specs, 2, number=88)
                )
            },
            "made then (its time stamp: its certificates lead to no trusted root)",
            id="by-somebody-else",
        ),
        pytest.param(
            {
                "stamped_by": UnsafeAuthority(
                    at=NOW + chains.YEAR + timedelta(days=1),
                    specs=chains.with_change(AUTHORITY.specs, 0, end=NOW + 2 * chains.YEAR),
                )
            },
            "made then",
            id="stamped-too-late",
        ),
    ],
)
def test_a_stamp_lets_a_signature_outlive_its_certificates(
    kind: str, change: dict[str, Any], doubt: str | None
) -> None:
    content = envelope(kind=kind, **{"stamped_by": AUTHORITY, **change})
    proofs = StampedProofs(lambda: [TrustedAuthority("test", (AUTHORITY.root,))])
    judge = NotationJudge(proofs, Clock(LATER))
    verdict = judge.judge(content, subject=IMAGE.digest, keys=[VERSION]).verdict
    assert verdict is not None
    code = ReasonCode.SIGNATURE_VALID if doubt is None else ReasonCode.CERTIFICATE_EXPIRED
    assert (verdict.stands, verdict.reason.code) == (doubt is None, code)
    assert doubt is None or verdict.reason.text.endswith(doubt)
    # While the certificates are good nobody asks for a stamp.
    assert judged(content) == (True, ReasonCode.SIGNATURE_VALID)
