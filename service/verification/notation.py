"""Judges signatures of the Notary Project against pinned keys.

A signature stands if its envelope verifies under a key version that is trusted here, is about the
digest that was asked about, and comes with a chain for that key which notation would take: now, or
at the time that is proven for the signature. A time that an envelope claims proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from service.domain.clock import Clock, rfc3339
from service.domain.digests import Descriptor, Digest
from service.domain.keys import KeyVersion, Purpose
from service.domain.limits import MAX_BLOB_BYTES
from service.domain.public_keys import public_key
from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict
from service.formats.notation.envelope import (
    EnvelopeMalformedError,
    UnverifiedEnvelope,
    parse_payload,
    to_der,
)
from service.formats.notation.form import ARTIFACT_TYPE, BY_MEDIA_TYPE, JWS, NotationFormat
from service.ports.proofs import Evidence, ProofsOfTime, VerifiedSignature
from service.verification.certificate_rules import Use
from service.verification.chains import ChainInvalidError, check_chain
from service.verification.referrers import Judged, UnverifiedReferrer
from service.verification.signers import signer_of
from service.verification.trust import doubted, trust

FORMAT: Final = JWS.name
_JSON: Final = b"{"


class NotationJudge:
    """service.verification.referrers.ReferrerJudge."""

    format: str = FORMAT

    def __init__(self, proofs: ProofsOfTime, clock: Clock) -> None:
        self._proofs = proofs
        self._clock = clock

    def recognises(self, referrer: UnverifiedReferrer) -> bool:
        return referrer.unverified_artifact_type == ARTIFACT_TYPE

    def content(self, referrer: UnverifiedReferrer) -> Descriptor | Judged:
        match referrer.unverified_layers:
            case [only] if only.media_type in BY_MEDIA_TYPE:
                if only.size <= MAX_BLOB_BYTES:
                    return only
                text = f"an envelope of {only.size} bytes is larger than any signature"
            case _:
                text = "the manifest does not hold one envelope of a kind that notation reads"
        return Judged(_fails(FORMAT, ReasonCode.ENVELOPE_MALFORMED, text))

    def judge(self, content: bytes, *, subject: Digest, keys: Sequence[KeyVersion]) -> Judged:
        form = form_of(content)
        try:
            envelope = form.parse(content)
            image, _ = parse_payload(envelope.unverified_payload)
            signature = to_der(envelope.scheme, envelope.signature)
        except EnvelopeMalformedError as error:
            return Judged(_fails(form.name, ReasonCode.ENVELOPE_MALFORMED, str(error)))
        signer = signer_of(
            keys,
            lambda key: public_key(key.public_key).verify(
                envelope.scheme, envelope.message, signature
            ),
        )
        if signer is None:
            text = "it does not verify under any key that is trusted here"
            return Judged(_fails(form.name, ReasonCode.UNTRUSTED_KEY, text))
        if image.digest != subject:
            text = "the signature is for another image"
            return Judged(_fails(form.name, ReasonCode.WRONG_DIGEST, text), signer=signer)
        stamp = envelope.unverified_timestamp
        evidence = Evidence(
            stamped=envelope.signature,
            unverified_stamps=() if stamp is None else (stamp,),
        )
        made = VerifiedSignature(signer, subject, envelope.message, signature, evidence)
        reason = self._reason(made, envelope)
        verdict = SignatureVerdict(
            form.name,
            stands=reason.code is ReasonCode.SIGNATURE_VALID,
            reason=reason,
            key=signer.key,
            version=signer.version,
        )
        return Judged(verdict, signer=signer)

    def _reason(self, made: VerifiedSignature, envelope: UnverifiedEnvelope) -> Reason:
        now = self._clock.now()
        expiry = envelope.unverified_expiry
        if expiry is not None and expiry <= now:
            return Reason(ReasonCode.SIGNATURE_EXPIRED, f"it was good until {rfc3339(expiry)}")
        try:
            chain = check_chain(envelope.unverified_chain, use=Use.CODE_SIGNING, at=None)
        except ChainInvalidError as error:
            return Reason(ReasonCode.CERTIFICATE_CHAIN_INVALID, str(error))
        if chain.public_key != made.version.public_key:
            text = "the leaf certificate is for another key than the one that signed"
            return Reason(ReasonCode.CERTIFICATE_CHAIN_INVALID, text)
        if not chain.not_before <= now <= chain.not_after:
            proven = self._proofs.earliest(made)
            if proven is None or not chain.not_before <= proven.moment <= chain.not_after:
                text = (
                    f"the certificates were valid from {rfc3339(chain.not_before)} to "
                    f"{rfc3339(chain.not_after)}, and nothing proves that it was made then{doubted(self._proofs, made)}"
                )
                return Reason(ReasonCode.CERTIFICATE_EXPIRED, text)
        return trust(made, purpose=Purpose.IMAGE, proofs=self._proofs)


def form_of(content: bytes) -> NotationFormat:
    """Tell the two kinds apart: the one is a JSON object, the other begins with a CBOR tag."""
    if content.lstrip()[:1] == _JSON:
        return JWS
    return next(form for form in BY_MEDIA_TYPE.values() if form is not JWS)


def _fails(name: str, code: ReasonCode, text: str) -> SignatureVerdict:
    return SignatureVerdict(name, stands=False, reason=Reason(code, text))
