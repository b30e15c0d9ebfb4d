"""Whether a signature that verifies counts: the purpose of its key, and its key's fate.

A version that was never compromised is trusted whatever its state: signatures outlive the key
that made them. Of a compromised one no signature counts, unless the compromise has a beginning
and the signature is proven to be older.
"""

from __future__ import annotations

from service.domain.clock import rfc3339
from service.domain.keys import Purpose
from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict
from service.ports.proofs import ProofsOfTime, TellsDoubts, VerifiedSignature


def trust(made: VerifiedSignature, *, purpose: Purpose, proofs: ProofsOfTime) -> Reason:
    """Return why it stands (`signature-valid`) or does not.

    Raises:
        StoreUnavailableError: whether it is proven to be older could not be found out.
    """
    signer = made.version
    name = f"{signer.key} version {signer.version}"
    if signer.purpose is not purpose:
        return Reason(ReasonCode.WRONG_PURPOSE, f"{name} is a key for {signer.purpose}")
    if signer.trusted:
        return Reason(ReasonCode.SIGNATURE_VALID, f"verifies under {name}")
    since = signer.compromised_since
    if since is None:
        return Reason(ReasonCode.KEY_COMPROMISED, f"{name} is compromised")
    when = f"{name} is compromised since {rfc3339(since)}"
    proven = proofs.earliest(made)
    if proven is None:
        text = f"{when}, and nothing proves that the signature is older{doubted(proofs, made)}"
        return Reason(ReasonCode.KEY_COMPROMISED, text)
    told = f"{proven.by} has it at {rfc3339(proven.moment)}"
    if proven.moment < since:
        return Reason(ReasonCode.SIGNATURE_VALID, f"verifies under {name}; {when}, and {told}")
    return Reason(ReasonCode.KEY_COMPROMISED, f"{when}, and {told}")


def verdict(
    form: str, made: VerifiedSignature, *, identity: str, proofs: ProofsOfTime
) -> SignatureVerdict:
    """Judge a signature of an image that verifies, and names the image so. Raises as `trust`."""
    reason = trust(made, purpose=Purpose.IMAGE, proofs=proofs)
    return SignatureVerdict(
        form,
        stands=reason.code is ReasonCode.SIGNATURE_VALID,
        reason=reason,
        key=made.version.key,
        version=made.version.version,
        identity=identity,
    )


def doubted(proofs: ProofsOfTime, made: VerifiedSignature) -> str:
    """Return, in brackets, why what lies beside a signature proves no time; empty if nothing does."""
    doubts = proofs.doubts(made) if isinstance(proofs, TellsDoubts) else ()
    return f" ({'; '.join(doubts)})" if doubts else ""
