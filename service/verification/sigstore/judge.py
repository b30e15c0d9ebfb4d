"""Judges any sigstore bundle against a file, without a network, part by part.

The steps, in this order; the first that fails gives the reason:

1. The bundle is read, and what it must be checked against was given: a key, or an identity.
2. The signature is by that key, or by the certificate's, over the file or over an envelope whose
   statement is about the file.
3. Each log entry is in a trusted log, and about this signature.
4. Each timestamp is by a trusted authority, and over this signature.
5. Of a certificate: a time is proven, the chain was good at each proven time, a CT log has seen
   it, it is for signing code, and for the identity by its issuer.
6. sigstore-python agrees, where it can judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from service.formats import dsse
from service.formats.intoto import UnverifiedStatement
from service.verification.bundles import UnverifiedEnvelope
from service.verification.sigstore import library
from service.verification.sigstore.artifacts import Artifact
from service.verification.sigstore.bodies import Signed, check_body
from service.verification.sigstore.certificates import (
    Identity,
    check_chain_at,
    check_identity,
    check_usage,
    parse_chain,
)
from service.verification.sigstore.documents import (
    UnverifiedMessage,
    UnverifiedSigstoreBundle,
    parse,
)
from service.verification.sigstore.entries import check_entry
from service.verification.sigstore.keys import VerifyingKey, WrongSignatureError
from service.verification.sigstore.reasons import Refusal, RefusedError
from service.verification.sigstore.roots import TrustedRoot
from service.verification.sigstore.scts import check_sct
from service.verification.sigstore.statements import check_statement
from service.verification.sigstore.timestamps import stamped_at


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was proven. `statement` is None where the file itself was signed."""

    times: tuple[datetime, ...]
    statement: UnverifiedStatement | None


def judge_bundle(
    content: bytes, *, artifact: Artifact, by: VerifyingKey | Identity, root: TrustedRoot
) -> Judgement:
    """Return what the bundle proves about the artifact. Raises RefusedError."""
    bundle = parse(content)
    judgement, leaf = _judged(bundle, artifact, by, root)
    match by, leaf:
        case Identity(), x509.Certificate() if library.knows(bundle, leaf, root, judgement.times):
            library.concur(content, bundle, artifact, by, root)  # (6)
        case _:
            pass
    return judgement


def judge_parts(
    bundle: UnverifiedSigstoreBundle,
    *,
    artifact: Artifact,
    by: VerifyingKey | Identity,
    root: TrustedRoot,
) -> Judgement:
    """Return what the parts of a bundle prove that came in another document (cosign's `.sig`).

    Raises RefusedError.
    """
    return _judged(bundle, artifact, by, root)[0]


def _judged(
    bundle: UnverifiedSigstoreBundle,
    artifact: Artifact,
    by: VerifyingKey | Identity,
    root: TrustedRoot,
) -> tuple[Judgement, x509.Certificate | None]:
    key, leaf = _signer(bundle, by)  # (1)
    statement = _check_signature(bundle, key, artifact)  # (2)
    signed = Signed(key, leaf, bundle.content, bundle.unverified_signature, artifact.digests)
    times = _check_entries(bundle, signed, root)  # (3)
    times += _stamped(bundle, root)  # (4)
    if leaf is not None and isinstance(by, Identity):  # (5)
        _check_certificate(leaf, by, times, root)
    return Judgement(tuple(times), statement), leaf


def _signer(
    bundle: UnverifiedSigstoreBundle, by: VerifyingKey | Identity
) -> tuple[VerifyingKey, x509.Certificate | None]:
    if isinstance(by, VerifyingKey):
        if not bundle.by_key:
            text = "a certificate has signed it: name its identity and issuer, and no key"
            raise RefusedError(Refusal.IDENTITY_NOT_GIVEN, text)
        return by, None
    if bundle.by_key:
        text = "a key without a certificate has signed it: give the key, and no identity"
        raise RefusedError(Refusal.KEY_NOT_GIVEN, text)
    leaf = parse_chain(bundle.chain)
    try:
        return VerifyingKey.of_certificate(leaf), leaf
    except ValueError as error:
        raise RefusedError(Refusal.CERTIFICATE_MALFORMED, str(error)) from error


def _check_signature(
    bundle: UnverifiedSigstoreBundle, key: VerifyingKey, artifact: Artifact
) -> UnverifiedStatement | None:
    try:
        match bundle.content:
            case UnverifiedMessage() as message:
                _check_message(message, key, artifact)
                return None
            case UnverifiedEnvelope() as envelope:
                payload, kind = envelope.unverified_payload, envelope.unverified_payload_type
                key.verify(dsse.pae(payload, kind), bundle.unverified_signature)
                return check_statement(payload, kind, artifact)
    except WrongSignatureError as error:
        text = "the signature is not by this key over this content"
        raise RefusedError(Refusal.SIGNATURE_INVALID, text) from error


def _check_message(message: UnverifiedMessage, key: VerifyingKey, artifact: Artifact) -> None:
    if message.digest is not None:
        name, told = message.digest
        known = artifact.digests.get(name.replace("SHA2_", "sha"))
        if known is not None and known != told:
            raise RefusedError(Refusal.DIGEST_MISMATCHED, "the bundle is about another digest")
    if artifact.content is None and not (key.hashes and set(key.hashes) <= set(artifact.digests)):
        text = "what the signature is over only the file itself can tell, and no SHA-256"
        raise RefusedError(Refusal.CONTENT_NEEDED, text)
    if key.hashes:
        key.verify_digest(artifact.digests, message.signature)
    elif artifact.content is not None:
        key.verify(artifact.content(), message.signature)


def _check_entries(
    bundle: UnverifiedSigstoreBundle, signed: Signed, root: TrustedRoot
) -> list[datetime]:
    if not bundle.entries:
        raise RefusedError(Refusal.LOG_ENTRY_MISSING, "no log entry comes with the signature")
    times = []
    for entry in bundle.entries:
        promised = check_entry(entry, root, version=bundle.version)
        check_body(entry, signed)
        if promised is not None:
            times.append(promised)
    return times


def _stamped(bundle: UnverifiedSigstoreBundle, root: TrustedRoot) -> list[datetime]:
    signature = bundle.unverified_signature
    return [stamped_at(one, signature, root.time_stampers) for one in bundle.timestamps]


def _check_certificate(
    leaf: x509.Certificate, identity: Identity, times: list[datetime], root: TrustedRoot
) -> None:
    if not times:
        text = "nothing proves when it was signed: neither a promise of a log nor a timestamp"
        raise RefusedError(Refusal.TIME_MISSING, text)
    for moment in times:
        issuer = check_chain_at(leaf, moment, root.authorities)
        check_sct(leaf, issuer, root.ct_logs)
    check_usage(leaf)
    check_identity(leaf, identity)
