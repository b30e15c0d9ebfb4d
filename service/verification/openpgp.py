"""Judges OpenPGP signed messages (containers-signature.5) against pinned keys.

A signature stands if the message is of the only form that containers/image takes, names the
digest that was asked about and the key that made it, and verifies under a trusted key of
purpose `image`. The identity is reported, not judged: policies of clients judge it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from service.domain.digests import Digest
from service.domain.keys import KeyVersion
from service.domain.public_keys import SignatureInvalidError, public_key
from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict
from service.formats.openpgp.form import FORMAT, key_packet, parse_content
from service.formats.openpgp.message import UnverifiedMessage, message, parse_message
from service.formats.openpgp.packets import MessageMalformedError
from service.ports.proofs import Evidence, ProofsOfTime, VerifiedSignature
from service.translog.rekor import hashedrekord
from service.verification.signers import signer_of
from service.verification.trust import verdict

__all__ = ["FORMAT", "judge"]

_UNTRUSTED: Final = Reason(
    ReasonCode.UNTRUSTED_KEY, "it does not verify under any key that is trusted here"
)


def judge(
    raw: bytes, *, digest: Digest, keys: Sequence[KeyVersion], proofs: ProofsOfTime
) -> SignatureVerdict:
    """Judge one signed message.

    Raises:
        StoreUnavailableError: see `verdict`.
    """
    try:
        read = parse_message(raw)
        claim = parse_content(read.unverified_content)
    except MessageMalformedError as error:
        return _fails(Reason(ReasonCode.PAYLOAD_MALFORMED, str(error)))
    if claim.unverified_digest != digest:
        text = f"the signature is for {claim.unverified_digest}"
        return _fails(Reason(ReasonCode.WRONG_DIGEST, text))
    signer = signer_of(keys, lambda version: _check(read, version))
    if signer is None:
        return _fails(_UNTRUSTED)
    hashed = message(read.payload, read.scheme)
    evidence = Evidence(bodies=frozenset({hashedrekord(hashed, read.signature, signer.public_key)}))
    made = VerifiedSignature(signer, digest, read.payload, read.signature, evidence)
    return verdict(FORMAT, made, identity=claim.unverified_identity, proofs=proofs)


def _check(read: UnverifiedMessage, version: KeyVersion) -> None:
    """Raises SignatureInvalidError: it is by another key, or names another."""
    packet = key_packet(version)
    if (read.unverified_fingerprint, read.scheme) != (packet.fingerprint, packet.scheme):
        raise SignatureInvalidError("the message names another key")
    hashed = message(read.payload, read.scheme)
    public_key(version.public_key).verify(read.scheme, hashed, read.signature)


def _fails(reason: Reason) -> SignatureVerdict:
    return SignatureVerdict(FORMAT, stands=False, reason=reason)
