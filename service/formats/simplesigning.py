"""Cosign's simple signing: payload, signature rules, log entry and `.sig` artifact.

Guaranteed: payloads are byte-identical to those of cosign (sigstore/pkg/signature/payload),
signatures are what `cosign verify --key` and containers/image accept by default (SHA-256 for
every kind of key, Ed25519 pure), and a payload is read as strictly as containers/image reads
it (signature/internal/sigstore_payload.go): nothing unknown, nothing twice. What a payload
says is named `unverified_…` until a signature over its exact bytes has been checked.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from service.domain.digests import Descriptor, Digest
from service.domain.errors import InvalidRequestError
from service.domain.keys import Algorithm, KeyVersion, Scheme
from service.domain.log import LogProof
from service.domain.outbox import OrderKind
from service.domain.public_keys import SignatureInvalidError, public_key
from service.domain.references import Reference, Repository
from service.domain.signing import Signature, SignatureLayer, Statement, Timestamp
from service.formats import siglist, strictjson
from service.translog.logged import bundle_annotation
from service.translog.rekor import hashedrekord

SIMPLE_SIGNING_MEDIA_TYPE: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE_ANNOTATION: Final = siglist.SIGNATURE_ANNOTATION
LOG_ANNOTATION: Final = siglist.LOG_ANNOTATION
TIMESTAMP_ANNOTATION: Final = "dev.sigstore.cosign/rfc3161timestamp"
PAYLOAD_TYPE: Final = "cosign container image signature"

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


class PayloadMalformedError(SignatureInvalidError):
    """The bytes are not a simple-signing payload, read strictly."""


class WrongDigestError(SignatureInvalidError):
    """The payload is about another image."""


@dataclass(frozen=True, slots=True)
class UnverifiedPayload:
    """What a payload says; nothing of it is true before its signature is checked."""

    unverified_digest: Digest
    unverified_identity: str
    unverified_optional: Mapping[str, Any]


def parse_payload(payload: bytes) -> UnverifiedPayload:
    """Read a payload as containers/image does.

    Raises:
        PayloadMalformedError: it would refuse it.
    """
    try:
        top = _members(strictjson.load(payload), "critical", "optional")
        critical = _members(top["critical"], "type", "image", "identity")
        image = _members(critical["image"], "docker-manifest-digest")
        identity = _members(critical["identity"], "docker-reference")["docker-reference"]
        if critical["type"] != PAYLOAD_TYPE:
            raise PayloadMalformedError(f"the type is not {PAYLOAD_TYPE!r}")
        if not isinstance(identity, str):
            raise PayloadMalformedError("docker-reference is not a string")
        digest = image["docker-manifest-digest"]
        if not isinstance(digest, str):
            raise PayloadMalformedError("docker-manifest-digest is not a string")
        return UnverifiedPayload(Digest.parse(digest), identity, _optional(top["optional"]))
    except strictjson.StrictJSONError as error:
        raise PayloadMalformedError(str(error)) from error
    except ValueError as error:
        raise PayloadMalformedError("docker-manifest-digest is not a sha256 digest") from error


def _members(value: object, *names: str) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != set(names):
        raise PayloadMalformedError(f"not an object with exactly {', '.join(names)}")
    return value


def _optional(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise PayloadMalformedError("optional is neither null nor an object")
    if not isinstance(value.get("creator", ""), str):
        raise PayloadMalformedError("optional.creator is not a string")
    timestamp = value.get("timestamp", 0)
    whole = isinstance(timestamp, float) and timestamp.is_integer()
    if isinstance(timestamp, bool) or not (whole or isinstance(timestamp, int)):
        raise PayloadMalformedError("optional.timestamp is not an integer")
    return value


@lru_cache(maxsize=16)  # annotations may be large
def _around_digest(identity: str, annotations: tuple[tuple[str, str], ...]) -> tuple[bytes, bytes]:
    """Return a payload's bytes before and behind its digest: the images of a batch share them."""
    optional = dict(sorted(annotations))
    if "timestamp" in optional:
        rule = "containers/image refuses signatures whose annotation `timestamp` is text"
        raise InvalidRequestError(rule, errors={"annotations": {"timestamp": [rule]}})
    try:
        named = strictjson.dump({"docker-reference": identity})
        told = strictjson.dump({"type": PAYLOAD_TYPE}), strictjson.dump(optional or None)
    except strictjson.StrictJSONError as error:
        raise InvalidRequestError(f"identity or annotations: {error}") from error
    before = b'{"critical":{"identity":%b,"image":{"docker-manifest-digest":"' % named
    behind = b'"},%b,"optional":%b}' % (told[0][1:], told[1])
    return before, behind


class CosignFormat:
    """service.ports.formats.SignatureFormat for `.sig` signatures."""

    name: str = "cosign"
    kind: OrderKind = OrderKind.ATTACH
    signs_descriptor: bool = False

    def scheme(self, version: KeyVersion) -> Scheme:
        # cosign v3 itself signs P-384 with SHA-384 and Ed25519 prehashed, yet verifies with
        # SHA-256 and pure Ed25519 by default: we do as the verifiers do.
        return SCHEMES[version.algorithm]  # a test holds the table complete

    def default_identity(self, repository: Repository, reference: Reference) -> str:
        return str(repository)  # cosign's own default: without the tag

    def payload(self, statement: Statement, *, version: KeyVersion, at: datetime) -> bytes:
        """Return the bytes to sign.

        Raises:
            InvalidRequestError: no verifier could read them: text that is not Unicode, or an
                annotation `timestamp`, which containers/image takes for an integer.
        """
        before, behind = _around_digest(statement.identity, statement.annotations)
        return b"%bsha256:%b%b" % (before, statement.digest.hex.encode(), behind)

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
        """Check a signature as cosign and containers/image will.

        Raises:
            SignatureInvalidError: PayloadMalformedError and WrongDigestError are kinds of it.
        """
        claim = parse_payload(payload)
        if claim.unverified_digest != statement.digest:
            raise WrongDigestError(f"the payload is about {claim.unverified_digest}")
        key = public_key(version.public_key)
        if scheme is not SCHEMES[key.algorithm]:
            raise SignatureInvalidError(f"verifiers do not check {scheme} by default")
        key.verify(scheme, payload, signature)

    def log_entry(
        self, payload: bytes, signature: bytes, *, public_key: bytes, scheme: Scheme
    ) -> bytes:
        return hashedrekord(payload, signature, public_key)

    def stamped(self, signature: bytes, scheme: Scheme) -> bytes | None:
        return signature

    def attachment(self, signature: Signature, subject: Descriptor) -> SignatureLayer:
        text = _base64(signature.signature)
        bare = ((SIGNATURE_ANNOTATION, text), *_stamp(signature.timestamp))
        return SignatureLayer(
            SIMPLE_SIGNING_MEDIA_TYPE,
            signature.payload,
            bare + _logged(signature.log),
            twin=bare + _logged(signature.second_log) if signature.second_log else (),
        )


def _stamp(timestamp: Timestamp | None) -> tuple[tuple[str, str], ...]:
    if timestamp is None:
        return ()
    text = strictjson.dump_plain({"SignedRFC3161Timestamp": _base64(timestamp.reply)}).decode()
    return ((TIMESTAMP_ANNOTATION, text),)


def _base64(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).decode("ascii")


def _logged(proof: LogProof | None) -> tuple[tuple[str, str], ...]:
    """Return cosign's annotation, which has a place for a promise and for nothing else."""
    if proof is None or proof.promise is None:
        return ()
    return ((LOG_ANNOTATION, bundle_annotation(proof)),)
