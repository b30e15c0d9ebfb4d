"""OpenPGP messages, judged by pinned keys: what stands, and why anything else does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.domain.digests import Digest
from service.domain.keys import KeyVersion, Purpose, Scheme
from service.domain.verdicts import SignatureVerdict
from service.formats.openpgp.form import OpenPGPFormat
from service.formats.openpgp.message import signed_message
from service.ports.proofs import ProvenTime, VerifiedSignature
from service.verification.openpgp import judge
from tests.support.statements import MOMENT, a_statement, a_version

IMAGE = Digest("5" * 64)


class NoProofs:
    def earliest(self, made: VerifiedSignature) -> ProvenTime | None:
        return None


@dataclass
class Hand:
    private: ec.EllipticCurvePrivateKey
    version: KeyVersion

    @classmethod
    def of(cls, purpose: Purpose = Purpose.IMAGE) -> Hand:
        private = ec.generate_private_key(ec.SECP256R1())
        public = private.public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(private, a_version(der, purpose=purpose))

    def payload(self, digest: Digest = IMAGE) -> bytes:
        return OpenPGPFormat().payload(a_statement(digest), version=self.version, at=MOMENT)

    def message(self, payload: bytes) -> bytes:
        signature = self.private.sign(payload, ec.ECDSA(hashes.SHA256()))
        return signed_message(payload, signature, Scheme.ECDSA_P256_SHA256)


def judged(raw: bytes, *keys: KeyVersion) -> SignatureVerdict:
    return judge(raw, digest=IMAGE, keys=keys, proofs=NoProofs())


@pytest.fixture
def hand() -> Hand:
    return Hand.of()


def test_a_message_stands_by_the_key_that_made_it_and_names_it(hand: Hand) -> None:
    found = judged(hand.message(hand.payload()), Hand.of().version, hand.version)
    assert (found.stands, found.key, found.version) == (True, "release", 1)
    assert found.identity == "127.0.0.1:5000/samples/legacy"


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda hand: hand.message(hand.payload(Digest("6" * 64))), "wrong-digest"),
        (lambda hand: Hand.of().message(hand.payload()), "untrusted-key"),
        (lambda hand: hand.message(Hand.of().payload()), "untrusted-key"),
        (lambda hand: hand.message(hand.payload())[:-1], "payload-malformed"),
        (
            lambda hand: hand.message(hand.payload()).replace(b"atomic", b"Atomic"),
            "payload-malformed",
        ),
        (lambda hand: b"", "payload-malformed"),
    ],
    ids=["other image", "other signer", "another key named", "cut off", "changed", "empty"],
)
def test_a_message_falls_with_its_own_reason(hand: Hand, make: object, code: str) -> None:
    assert callable(make)
    found = judged(make(hand), hand.version)
    assert (found.stands, found.reason.code) == (False, code)


def test_the_purpose_and_the_fate_of_the_key_count() -> None:
    attesting = Hand.of(Purpose.ATTESTATION)
    found = judged(attesting.message(attesting.payload()), attesting.version)
    assert (found.stands, found.reason.code) == (False, "wrong-purpose")
    hand = Hand.of()
    fallen = replace(
        hand.version, ever_compromised=True, compromised_since=MOMENT + timedelta(days=1)
    )
    found = judged(hand.message(hand.payload()), fallen)
    assert (found.stands, found.reason.code) == (False, "key-compromised")
