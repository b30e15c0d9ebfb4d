"""Notary Project signatures as formats: `notation` (JWS) and `notation-cose` (COSE_Sign1).

What is recorded is what the key signs: the JWS signing input, or the Sig_structure. Certificates
are no part of it, so the chain that the version had when it signed is kept beside it. Manifests
are written in the form with the type in `config.mediaType`, which every registry lists: some know
nothing of `artifactType`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Protocol

from service.domain.certificates import thumbprints
from service.domain.digests import Descriptor, Digest
from service.domain.errors import UnsupportedFormatError
from service.domain.keys import KeyVersion, Scheme
from service.domain.media_types import OCI_MANIFEST
from service.domain.outbox import OrderKind
from service.domain.public_keys import SignatureInvalidError, public_key
from service.domain.references import Reference, Repository
from service.domain.signing import Referrer, Signature, Statement
from service.formats import strictjson
from service.formats.notation import cose, jws
from service.formats.notation.envelope import (
    SCHEMES,
    UnverifiedEnvelope,
    parse_payload,
    target_payload,
    to_der,
    to_raw,
)
from service.formats.referrer import EMPTY, created
from service.formats.rfc3161 import token_of
from service.translog.rekor import hashedrekord

ARTIFACT_TYPE: Final = "application/vnd.cncf.notary.signature"
THUMBPRINTS: Final = "io.cncf.notary.x509chain.thumbprint#S256"


class _Seal(Protocol):
    def __call__(
        self,
        message: bytes,
        signature: bytes,
        chain: Sequence[bytes],
        /,
        *,
        timestamp: bytes | None,
    ) -> bytes: ...


@dataclass(slots=True)
class NotationFormat:
    """service.ports.formats.SignatureFormat for one kind of envelope."""

    name: str
    media_type: str
    _to_sign: Callable[..., bytes]
    _seal: _Seal
    parse: Callable[[bytes], UnverifiedEnvelope]
    kind: OrderKind = OrderKind.REFER
    signs_descriptor: bool = True

    def scheme(self, version: KeyVersion) -> Scheme:
        scheme = SCHEMES.get(version.algorithm)
        if scheme is None:
            raise UnsupportedFormatError(
                f"the Notary Project allows no {version.algorithm} keys; P-256 is the usual choice"
            )
        if version.chain is None:
            raise UnsupportedFormatError(
                f"notation wants a certificate chain, and {version.subject} has none: `sealwright "
                "keys self-sign` makes one, `sealwright keys import-chain` takes your CA's"
            )
        return scheme

    def default_identity(self, repository: Repository, reference: Reference) -> str:
        return str(repository)  # no envelope names it; trust policies go by where it lies

    def payload(self, statement: Statement, *, version: KeyVersion, at: datetime) -> bytes:
        return self._to_sign(
            target_payload(_described(statement), statement.annotations),
            scheme=self.scheme(version),
            at=at,
        )

    def message(self, payload: bytes, scheme: Scheme) -> bytes:
        return payload

    def check(
        self,
        statement: Statement,
        payload: bytes,
        signature: bytes,
        *,
        version: KeyVersion,
        scheme: Scheme,
    ) -> None:
        """Check a signature, by way of the envelope that will be attached.

        Raises:
            SignatureInvalidError.
        """
        chain = () if version.chain is None else version.chain.certificates
        sealed = self._seal(payload, to_raw(scheme, signature), chain, timestamp=None)
        read = self.parse(sealed)
        image, annotations = parse_payload(read.unverified_payload)
        if image != _described(statement) or annotations != statement.annotations:
            raise SignatureInvalidError("the payload is about something else")
        if read.scheme is not scheme or read.message != payload:
            raise SignatureInvalidError("the envelope says something else than what was signed")
        public_key(version.public_key).verify(scheme, payload, to_der(scheme, read.signature))

    def log_entry(
        self, payload: bytes, signature: bytes, *, public_key: bytes, scheme: Scheme
    ) -> bytes:
        return hashedrekord(payload, signature, public_key)

    def stamped(self, signature: bytes, scheme: Scheme) -> bytes | None:
        return to_raw(scheme, signature)

    def attachment(self, signature: Signature, subject: Descriptor) -> Referrer:
        raw = to_raw(signature.scheme, signature.signature)
        stamp = signature.timestamp
        token = None if stamp is None else token_of(stamp.reply)
        sealed = self._seal(signature.payload, raw, signature.chain, timestamp=token)
        return _referrer(
            sealed,
            self.media_type,
            at=signature.created_at,
            subject=subject,
            chain=signature.chain,
        )


JWS: Final = NotationFormat("notation", jws.MEDIA_TYPE, jws.signing_input, jws.envelope, jws.parse)
COSE: Final = NotationFormat(
    "notation-cose", cose.MEDIA_TYPE, cose.to_be_signed, cose.envelope, cose.parse
)
BY_MEDIA_TYPE: Final = MappingProxyType({form.media_type: form for form in (JWS, COSE)})


def _described(statement: Statement) -> Descriptor:
    if statement.descriptor is None:
        raise ValueError("a format that signs media type and size is given both")
    return statement.descriptor


def _referrer(
    sealed: bytes,
    media_type: str,
    *,
    at: datetime,
    subject: Descriptor,
    chain: Sequence[bytes],
) -> Referrer:
    annotations = (
        (THUMBPRINTS, strictjson.dump(list(thumbprints(chain))).decode()),
        created(at),
    )
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _content(EMPTY, ARTIFACT_TYPE),
        "layers": [_content(sealed, media_type)],
        "subject": {
            "mediaType": subject.media_type,
            "digest": str(subject.digest),
            "size": subject.size,
        },
        "annotations": dict(annotations),
    }
    return Referrer(
        media_type=OCI_MANIFEST,
        manifest=strictjson.dump(manifest),
        blobs=(EMPTY, sealed),
        artifact_type=ARTIFACT_TYPE,
        annotations=annotations,
    )


def _content(content: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}
