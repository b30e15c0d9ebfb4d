"""Signatures of the Notary Project under a trust store of somebody else.

As notation's level `strict` has it, but for revocation, which only the network could tell: the
root must be one of the store, byte for byte, and the leaf's subject one that is trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from service.domain.clock import rfc3339
from service.domain.digests import Digest
from service.domain.public_keys import SignatureInvalidError, public_key
from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict
from service.formats.notation.envelope import (
    EnvelopeMalformedError,
    UnverifiedEnvelope,
    parse_payload,
    to_der,
)
from service.policy.trust import NotationTrust, RepositoryTrust
from service.verification.certificate_rules import Use
from service.verification.chains import Chain, ChainInvalidError, check_chain
from service.verification.notation import form_of
from service.verification.stamp_tokens import StampInvalidError
from service.verification.stamps import TrustedAuthority, check_stamp


def judge_envelope(
    content: bytes,
    subject: Digest,
    *,
    found: SignatureVerdict,
    policy: RepositoryTrust,
    now: datetime,
) -> SignatureVerdict:
    """Judge an envelope that no key of ours has signed."""
    read = _read(content)
    if policy.notation is None or read is None:
        return found
    envelope, about = read
    chain = _checked_chain(envelope)
    if isinstance(chain, Reason):
        return replace(found, reason=chain)
    fault = (
        _elsewhere(about, subject)
        or _untrusted(chain, policy.notation)
        or _out_of_time(envelope, chain, policy.notation, now)
    )
    text = f"signed by {chain.subject.text()}, as {policy.name} trusts"
    return replace(
        found,
        stands=fault is None,
        reason=fault or Reason(ReasonCode.SIGNATURE_VALID, text),
        certificate_identity=chain.subject.text(),
    )


def _read(content: bytes) -> tuple[UnverifiedEnvelope, Digest] | None:
    try:
        envelope = form_of(content).parse(content)
        image, _ = parse_payload(envelope.unverified_payload)
    except EnvelopeMalformedError:
        return None
    return envelope, image.digest


def _checked_chain(envelope: UnverifiedEnvelope) -> Chain | Reason:
    """Return the chain, if it is a good one and its leaf's key has signed the envelope."""
    try:
        chain = check_chain(envelope.unverified_chain, use=Use.CODE_SIGNING, at=None)
        signature = to_der(envelope.scheme, envelope.signature)
        public_key(chain.public_key).verify(envelope.scheme, envelope.message, signature)
    except ChainInvalidError as error:
        return Reason(ReasonCode.CERTIFICATE_CHAIN_INVALID, str(error))
    except (SignatureInvalidError, ValueError):
        text = "it does not verify under the key of its own certificate"
        return Reason(ReasonCode.CERTIFICATE_CHAIN_INVALID, text)
    return chain


def _elsewhere(about: Digest, subject: Digest) -> Reason | None:
    if about == subject:
        return None
    return Reason(ReasonCode.WRONG_DIGEST, "the signature is for another image")


def _untrusted(chain: Chain, store: NotationTrust) -> Reason | None:
    if chain.root not in store.roots:
        text = f"the root above {chain.subject.text()} is not one of the trust store"
        return Reason(ReasonCode.UNTRUSTED_CERTIFICATE, text)
    if store.subjects and not any(chain.subject.covers(one) for one in store.subjects):
        text = f"{chain.subject.text()} is none of the trusted identities"
        return Reason(ReasonCode.UNTRUSTED_IDENTITY, text)
    return None


def _out_of_time(
    envelope: UnverifiedEnvelope, chain: Chain, store: NotationTrust, now: datetime
) -> Reason | None:
    expiry = envelope.unverified_expiry
    if expiry is not None and expiry <= now:
        return Reason(ReasonCode.SIGNATURE_EXPIRED, f"it was good until {rfc3339(expiry)}")
    if chain.not_before <= now <= chain.not_after:
        return None
    stamped = _stamped(envelope, store.time_roots)
    if stamped is not None and chain.not_before <= stamped <= chain.not_after:
        return None
    text = (
        f"the certificates were valid from {rfc3339(chain.not_before)} to "
        f"{rfc3339(chain.not_after)}, and no timestamp that is trusted says it was made then"
    )
    return Reason(ReasonCode.CERTIFICATE_EXPIRED, text)


def _stamped(envelope: UnverifiedEnvelope, roots: Sequence[bytes]) -> datetime | None:
    """Return the time of the token over the signature, if it is by a trusted authority."""
    if envelope.unverified_timestamp is None or not roots:
        return None
    trusted = TrustedAuthority("one that the policy trusts", tuple(roots))
    try:
        stamp = check_stamp(
            envelope.unverified_timestamp, envelope.signature, [trusted], nonce=None
        )
    except StampInvalidError:
        return None
    return stamp.at
