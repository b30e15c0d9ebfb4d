"""Sigstore bundles v0.3 by a public key: DSSE around cosign's statement, as an OCI referrer.

Guaranteed: statement, bundle and manifest are byte-identical to those of cosign v3 (`sign --key`),
except that cosign gives a subject no name, where we give it an identity that is claimed; and
signatures are what verifiers check by default (SHA-256 for every kind of key, Ed25519 pure).
"""

from __future__ import annotations

import base64
from binascii import b2a_base64
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final

from service.domain.attestations import COSIGN_SIGN
from service.domain.digests import Descriptor
from service.domain.keys import Algorithm, KeyVersion, Scheme
from service.domain.log import LogProof
from service.domain.outbox import OrderKind
from service.domain.public_keys import SignatureInvalidError, public_key
from service.domain.references import Reference, Repository
from service.domain.signing import Referrer, Signature, Statement
from service.formats import dsse, intoto, strictjson
from service.formats.referrer import bundle_referrer, created
from service.translog import rekor
from service.translog.logged import transparency_log_entry

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"

SCHEMES: Final = MappingProxyType(
    {
        Algorithm.EC_P256: Scheme.ECDSA_P256_SHA256,
        Algorithm.EC_P384: Scheme.ECDSA_P384_SHA256,
        Algorithm.RSA_2048: Scheme.RSA_PKCS1_SHA256,
        Algorithm.RSA_3072: Scheme.RSA_PKCS1_SHA256,
        Algorithm.RSA_4096: Scheme.RSA_PKCS1_SHA256,
        Algorithm.ED25519: Scheme.ED25519,
    }
)


class WrongStatementError(SignatureInvalidError):
    """The statement is about another image, or says another thing."""


class BundleFormat:
    """service.ports.formats.SignatureFormat for bundles that are signatures of images."""

    name: str = "bundle"
    kind: OrderKind = OrderKind.REFER
    signs_descriptor: bool = False

    def scheme(self, version: KeyVersion) -> Scheme:
        # As for `.sig`: what cosign checks by default, not what it signs with.
        return SCHEMES[version.algorithm]  # a test holds the table complete

    def default_identity(self, repository: Repository, reference: Reference) -> str:
        return str(repository)

    def payload(self, statement: Statement, *, version: KeyVersion, at: datetime) -> bytes:
        return intoto.signing_statement(
            statement.digest, statement.annotations, name=_claimed_name(statement)
        )

    def message(self, payload: bytes, scheme: Scheme) -> bytes:
        return dsse.pae(payload)

    def check(
        self,
        statement: Statement,
        payload: bytes,
        signature: bytes,
        *,
        version: KeyVersion,
        scheme: Scheme,
    ) -> None:
        """Check a signature as cosign will, and that it is a signature and not an attestation.

        Raises:
            SignatureInvalidError: StatementMalformedError and WrongStatementError are kinds of it.
        """
        said = intoto.parse_statement(payload)
        if said.unverified_predicate_type != COSIGN_SIGN:
            raise WrongStatementError(f"its predicate is {said.unverified_predicate_type}")
        match said.unverified_subjects:
            case [only] if only.is_about(statement.digest):
                pass
            case _:
                raise WrongStatementError(f"the statement is not about {statement.digest}")
        if only.unverified_annotations != dict(statement.annotations):
            raise WrongStatementError("the statement has other annotations")
        key = public_key(version.public_key)
        if scheme is not SCHEMES[key.algorithm]:
            raise SignatureInvalidError(f"verifiers do not check {scheme} by default")
        key.verify(scheme, dsse.pae(payload), signature)

    def log_entry(
        self, payload: bytes, signature: bytes, *, public_key: bytes, scheme: Scheme
    ) -> bytes:
        return rekor.dsse(dsse.envelope(payload, signature), payload, signature, public_key)

    def stamped(self, signature: bytes, scheme: Scheme) -> bytes | None:
        return signature

    def attachment(self, signature: Signature, subject: Descriptor) -> Referrer:
        stamp = signature.timestamp
        return signature_referrer(
            bundle(
                signature.payload,
                signature.signature,
                public_key=signature.public_key,
                logged=() if signature.log is None else (signature.log,),
                timestamps=() if stamp is None else (stamp.reply,),
            ),
            at=signature.created_at,
            subject=subject,
        )


def bundle(
    payload: bytes,
    signature: bytes,
    *,
    public_key: bytes,
    logged: Sequence[LogProof] = (),
    timestamps: Sequence[bytes] = (),
) -> bytes:
    """Return the JSON of a bundle by a public key.

    `timestamps` are RFC 3161 responses (TimeStampResp) over the raw signature.
    """
    material = f'{{"publicKey":{{"hint":"{_hint(public_key)}"}}'
    if logged:
        entries = strictjson.dump([transparency_log_entry(entry) for entry in logged])
        material += f',"tlogEntries":{entries.decode()}'
    if timestamps:
        stamped: dict[str, Any] = {
            "rfc3161Timestamps": [
                {"signedTimestamp": base64.b64encode(stamp).decode()} for stamp in timestamps
            ]
        }
        material += f',"timestampVerificationData":{strictjson.dump(stamped).decode()}'
    return (
        f'{{"mediaType":"{MEDIA_TYPE}","verificationMaterial":{material}}},"dsseEnvelope":'.encode()
        + dsse.envelope(payload, signature)
        + b"}"
    )


def signature_referrer(content: bytes, *, at: datetime, subject: Descriptor) -> Referrer:
    """Return the manifest with which cosign attaches a signature's bundle."""
    return predicate_referrer(content, COSIGN_SIGN, at=at, subject=subject)


def predicate_referrer(
    content: bytes, predicate_type: str, *, at: datetime, subject: Descriptor
) -> Referrer:
    """Return the manifest with which cosign attaches a bundle around a statement of this type."""
    return bundle_referrer(
        content,
        media_type=MEDIA_TYPE,
        annotations=(
            ("dev.sigstore.bundle.content", "dsse-envelope"),
            ("dev.sigstore.bundle.predicateType", predicate_type),
            created(at),
        ),
        subject=subject,
    )


def _claimed_name(statement: Statement) -> str | None:
    return None if statement.identity == str(statement.repository) else statement.identity


@lru_cache(maxsize=256)
def _hint(spki: bytes) -> str:
    return b2a_base64(sha256(spki).digest(), newline=False).decode("ascii")
