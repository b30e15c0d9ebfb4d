"""Judges signatures in sigstore bundles (cosign v3, `verify --key`) against pinned keys.

A signature stands if cosign would take it (v0.3, by a public key, DSSE with one signature and no
key id, a strict statement about the digest that was asked about), and if its predicate is that of
a signature: cosign takes every statement by the key, even a failing scan; we do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from service.domain.attestations import COSIGN_SIGN
from service.domain.attestations import FORMAT as ATTESTATION
from service.domain.digests import Descriptor, Digest
from service.domain.keys import KeyVersion, Purpose
from service.domain.limits import MAX_BLOB_BYTES
from service.domain.public_keys import public_key
from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict
from service.formats import dsse
from service.formats.bundle import SCHEMES, BundleFormat
from service.formats.intoto import StatementMalformedError, parse_statement
from service.ports.proofs import Evidence, ProofsOfTime, VerifiedSignature
from service.translog import rekor
from service.verification.bundles import (
    LAYER_PREFIX,
    BundleMalformedError,
    UnverifiedBundle,
    UnverifiedEnvelope,
    parse_bundle,
)
from service.verification.evidence import promises_of_bundle, stamps_of_bundle
from service.verification.referrers import Judged, UnverifiedReferrer
from service.verification.signers import signer_of
from service.verification.trust import trust

FORMAT: Final = BundleFormat.name
PREDICATE: Final = "dev.sigstore.bundle.predicateType"


class BundleJudge:
    """service.verification.referrers.ReferrerJudge."""

    format: str = FORMAT

    def __init__(self, proofs: ProofsOfTime) -> None:
        self._proofs = proofs

    def recognises(self, referrer: UnverifiedReferrer) -> bool:
        match referrer.unverified_layers:
            case [only]:
                return only.media_type.startswith(LAYER_PREFIX)
            case _:
                return False  # cosign looks at manifests with one layer alone

    def content(self, referrer: UnverifiedReferrer) -> Descriptor | Judged:
        layer = referrer.unverified_layers[0]
        if layer.size <= MAX_BLOB_BYTES:
            return layer
        kind = referrer.unverified_annotations.get(PREDICATE, COSIGN_SIGN)
        if kind != COSIGN_SIGN:
            text = f"a bundle of {layer.size} bytes is larger than what is read here"
            unread = _fails(ReasonCode.PAYLOAD_UNAVAILABLE, text)
            return Judged(None, counts_as_bundle=True, attestation=_as_attestation(unread, kind))
        text = f"a bundle of {layer.size} bytes is larger than any signature"
        return Judged(_fails(ReasonCode.BUNDLE_MALFORMED, text), counts_as_bundle=True)

    def judge(self, content: bytes, *, subject: Digest, keys: Sequence[KeyVersion]) -> Judged:
        try:
            bundle = parse_bundle(content)
        except BundleMalformedError as error:
            return Judged(_fails(ReasonCode.BUNDLE_MALFORMED, str(error)))
        if bundle.envelope is None:
            text = "it is over a message, and signatures of images are over statements"
            return Judged(_fails(ReasonCode.BUNDLE_MALFORMED, text), counts_as_bundle=True)
        envelope = bundle.envelope
        kind = _predicate_type(envelope)
        # Attestations are no signatures, good or bad: they are told of by themselves.
        purpose = Purpose.IMAGE if kind in {None, COSIGN_SIGN} else Purpose.ATTESTATION
        signer, verdict = (
            self._by_key(bundle, envelope, subject, keys, purpose)
            if bundle.by_public_key
            else (None, _fails(ReasonCode.UNTRUSTED_KEY, "no certificate is trusted here"))
        )
        if kind is None or purpose is Purpose.IMAGE:
            return Judged(verdict, counts_as_bundle=True, signer=signer)
        attestation = _as_attestation(verdict, kind)
        return Judged(None, counts_as_bundle=True, signer=signer, attestation=attestation)

    def _by_key(
        self,
        bundle: UnverifiedBundle,
        envelope: UnverifiedEnvelope,
        subject: Digest,
        keys: Sequence[KeyVersion],
        purpose: Purpose,
    ) -> tuple[KeyVersion | None, SignatureVerdict]:
        fault = _fault(envelope)
        if fault is not None:
            return None, _fails(ReasonCode.BUNDLE_MALFORMED, fault)
        payload = envelope.unverified_payload
        message = dsse.pae(payload)
        signature, _ = envelope.unverified_signatures[0]
        signer = signer_of(
            keys,
            lambda key: public_key(key.public_key).verify(
                SCHEMES[key.algorithm], message, signature
            ),
        )
        if signer is None:
            text = "it does not verify under any key that is trusted here"
            return None, _fails(ReasonCode.UNTRUSTED_KEY, text)
        evidence = _evidence(bundle, envelope, signer)
        made = VerifiedSignature(signer, subject, payload, signature, evidence)
        return signer, self._by_signer(made, purpose)

    def _by_signer(self, made: VerifiedSignature, purpose: Purpose) -> SignatureVerdict:
        try:
            statement = parse_statement(made.payload)
        except StatementMalformedError as error:
            return _fails(ReasonCode.PAYLOAD_MALFORMED, str(error))
        about = next((s for s in statement.unverified_subjects if s.is_about(made.digest)), None)
        if about is None:
            return _fails(ReasonCode.WRONG_DIGEST, "the signature is for another image")
        reason = trust(made, purpose=purpose, proofs=self._proofs)
        return SignatureVerdict(
            FORMAT,
            stands=reason.code is ReasonCode.SIGNATURE_VALID,
            reason=reason,
            key=made.version.key,
            version=made.version.version,
            identity=about.unverified_name,
        )


def _evidence(
    bundle: UnverifiedBundle, envelope: UnverifiedEnvelope, signer: KeyVersion
) -> Evidence:
    payload = envelope.unverified_payload
    signature, _ = envelope.unverified_signatures[0]
    body = rekor.dsse(dsse.envelope(payload, signature), payload, signature, signer.public_key)
    return Evidence(
        stamped=signature,
        unverified_stamps=tuple(stamps_of_bundle(bundle.unverified_stamps)),
        bodies=frozenset({body}),
        unverified_promises=tuple(promises_of_bundle(bundle.unverified_entries)),
    )


def _predicate_type(envelope: UnverifiedEnvelope) -> str | None:
    try:
        return parse_statement(envelope.unverified_payload).unverified_predicate_type
    except StatementMalformedError:
        return None


def _as_attestation(verdict: SignatureVerdict, kind: str) -> SignatureVerdict:
    return replace(verdict, format=ATTESTATION, predicate_type=kind)


def _fault(envelope: UnverifiedEnvelope) -> str | None:
    """Return why cosign refuses the envelope, whoever has signed it."""
    if envelope.unverified_payload_type != dsse.IN_TOTO:
        return "its payload is no in-toto statement"
    if len(envelope.unverified_signatures) != 1:
        return f"it has {len(envelope.unverified_signatures)} signatures, not one"
    if envelope.unverified_signatures[0][1]:
        return "its signature names a key, which cosign refuses"
    return None


def _fails(code: ReasonCode, text: str) -> SignatureVerdict:
    return SignatureVerdict(FORMAT, stands=False, reason=Reason(code, text))
