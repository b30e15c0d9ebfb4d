"""Sigstore bundles at a registry by foreign keys and certificates, of every version."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from service.domain.attestations import COSIGN_SIGN
from service.domain.digests import Digest
from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict
from service.formats import dsse
from service.formats.intoto import UnverifiedStatement
from service.policy.trust import RepositoryTrust
from service.verification.bundles import UnverifiedEnvelope
from service.verification.others.keyless import judge_keyless
from service.verification.others.keys import signed_by
from service.verification.sigstore.artifacts import Artifact
from service.verification.sigstore.documents import parse
from service.verification.sigstore.reasons import Refusal, RefusedError
from service.verification.sigstore.statements import check_statement

if TYPE_CHECKING:
    from service.verification.sigstore.certificates import Identity
    from service.verification.sigstore.judge import Judgement
    from service.verification.sigstore.roots import TrustedRoot


def judge_bundle(
    content: bytes, subject: Digest, *, found: SignatureVerdict, policy: RepositoryTrust
) -> SignatureVerdict | None:
    """Judge a bundle that no key of ours has signed; None for an attestation."""
    try:
        bundle = parse(content)
    except RefusedError:
        return found
    if not isinstance(bundle.content, UnverifiedEnvelope):
        return found
    artifact = Artifact.of_digest(bytes.fromhex(subject.hex))
    if bundle.by_key:
        return _by_key(bundle.content, artifact, found=found, policy=policy)
    if not policy.identities:
        return found

    def judge(identity: Identity, root: TrustedRoot) -> Judgement:
        # Imported here, as in `keyless`.
        from service.verification.sigstore import judge as whole  # noqa: PLC0415

        return whole.judge_bundle(content, artifact=artifact, by=identity, root=root)

    verdict, judgement = judge_keyless(bundle.chain[0], judge, found=found, policy=policy)
    if judgement is None or judgement.statement is None:
        return verdict
    return _as_signature(verdict, judgement.statement, subject)


def _by_key(
    envelope: UnverifiedEnvelope,
    artifact: Artifact,
    *,
    found: SignatureVerdict,
    policy: RepositoryTrust,
) -> SignatureVerdict | None:
    payload, kind = envelope.unverified_payload, envelope.unverified_payload_type
    signature, _ = envelope.unverified_signatures[0]
    signer = signed_by(policy.keys, dsse.pae(payload, kind), signature)
    if signer is None:
        return found
    by_them = replace(found, key=signer.name)
    try:
        statement = check_statement(payload, kind, artifact)
    except RefusedError as refused:
        code = (
            ReasonCode.WRONG_DIGEST
            if refused.code is Refusal.DIGEST_MISMATCHED
            else ReasonCode.PAYLOAD_MALFORMED
        )
        return replace(by_them, reason=Reason(code, str(refused)))
    reason = Reason(
        ReasonCode.SIGNATURE_VALID, f"verifies under {signer.name}, as {policy.name} trusts"
    )
    standing = replace(by_them, stands=True, reason=reason)
    return _as_signature(standing, statement, Digest(artifact.sha256.hex()))


def _as_signature(
    verdict: SignatureVerdict, statement: UnverifiedStatement, subject: Digest
) -> SignatureVerdict | None:
    """Leave attestations out: they are no signatures, good or bad."""
    if statement.unverified_predicate_type != COSIGN_SIGN:
        return None
    about = next(one for one in statement.unverified_subjects if one.is_about(subject))
    return replace(verdict, identity=about.unverified_name)
