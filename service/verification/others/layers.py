"""Layers of a `.sig` manifest by foreign keys, and keyless ones with cosign's annotations."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict
from service.formats.siglist import LOG_ANNOTATION
from service.formats.simplesigning import parse_payload
from service.policy.trust import RepositoryTrust
from service.translog.errors import MalformedError
from service.translog.rekor import kind_and_version
from service.verification.cosign import UnverifiedLayer
from service.verification.others.keyless import judge_keyless
from service.verification.others.keys import signed_by

if TYPE_CHECKING:
    from service.verification.sigstore.certificates import Identity
    from service.verification.sigstore.documents import UnverifiedSigstoreBundle
    from service.verification.sigstore.judge import Judgement
    from service.verification.sigstore.roots import TrustedRoot

CERTIFICATE: Final = "dev.sigstore.cosign/certificate"
TIMESTAMP: Final = "dev.sigstore.cosign/rfc3161timestamp"


def judge_layer(
    layer: UnverifiedLayer, payload: bytes, *, found: SignatureVerdict, policy: RepositoryTrust
) -> SignatureVerdict:
    """Judge a layer whose payload is about the image, and that no key of ours has signed."""
    signature = layer.unverified_signature or b""
    named = replace(found, identity=parse_payload(payload).unverified_identity)
    signer = signed_by(policy.keys, payload, signature)
    if signer is not None:
        text = f"verifies under {signer.name}, as {policy.name} trusts"
        reason = Reason(ReasonCode.SIGNATURE_VALID, text)
        return replace(named, stands=True, reason=reason, key=signer.name)
    if not policy.identities or CERTIFICATE not in layer.unverified_annotations:
        return found
    try:
        bundle = _parts(layer.unverified_annotations, signature)
    except (ValueError, KeyError, TypeError, AttributeError, MalformedError):
        text = "its annotations are not those of a keyless signature"
        return replace(found, reason=Reason(ReasonCode.SIGNATURE_MISSING, text))

    def judge(identity: Identity, root: TrustedRoot) -> Judgement:
        from service.verification.sigstore.artifacts import HASHES, Artifact  # noqa: PLC0415
        from service.verification.sigstore.judge import judge_parts  # noqa: PLC0415

        digests = {name: hashlib.new(name, payload).digest() for name in HASHES}
        artifact = Artifact(digests, lambda: payload)
        return judge_parts(bundle, artifact=artifact, by=identity, root=root)

    verdict, _ = judge_keyless(bundle.chain[0], judge, found=named, policy=policy)
    return verdict


def _parts(annotations: Mapping[str, Any], signature: bytes) -> UnverifiedSigstoreBundle:
    """Put together what cosign keeps in annotations: a certificate, a promise, a timestamp."""
    from service.verification.sigstore.documents import (  # noqa: PLC0415
        UnverifiedEntry,
        UnverifiedMessage,
        UnverifiedSigstoreBundle,
    )

    certificate = x509.load_pem_x509_certificate(annotations[CERTIFICATE].encode())
    entries: tuple[UnverifiedEntry, ...] = ()
    if LOG_ANNOTATION in annotations:
        logged = json.loads(annotations[LOG_ANNOTATION])
        told = logged["Payload"]
        body = b64decode(told["body"], validate=True)
        kind, version = kind_and_version(body)
        entries = (
            UnverifiedEntry(
                index=int(told["logIndex"]),
                log_id=bytes.fromhex(told["logID"]),
                kind=kind,
                version=version,
                integrated_time=int(told["integratedTime"]),
                promise=b64decode(logged["SignedEntryTimestamp"], validate=True),
                proof=None,
                body=body,
            ),
        )
    timestamps: tuple[bytes, ...] = ()
    if TIMESTAMP in annotations:
        stamped = json.loads(annotations[TIMESTAMP])["SignedRFC3161Timestamp"]
        timestamps = (b64decode(stamped, validate=True),)
    return UnverifiedSigstoreBundle(
        # Of the first version, whose promise counts without a proof.
        version=1,
        chain=(certificate.public_bytes(Encoding.DER),),
        entries=entries,
        timestamps=timestamps,
        content=UnverifiedMessage(signature, None),
    )
