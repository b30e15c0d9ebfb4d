"""What both envelopes of the Notary Project share (specifications/signature-specification.md).

The payload names the image by media type, digest and size. The key decides the algorithm
("Signature Algorithm Requirements"): there is one for each kind, and none for Ed25519. What an
envelope says is `unverified_…` until its signature, its chain and its times were checked;
reading it is strict, because what readers understand in two ways is forged in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from service.domain.digests import Descriptor, Digest
from service.domain.keys import Algorithm, Scheme
from service.domain.public_keys import SignatureInvalidError
from service.formats import strictjson

PAYLOAD_MEDIA_TYPE: Final = "application/vnd.cncf.notary.payload.v1+json"
SIGNING_AGENT: Final = "sealwright"
SIGNING_SCHEME: Final = "notary.x509"
HEADER: Final = "io.cncf.notary."
MAX_CHAIN: Final = 10  # certificates; real chains have two to four
MAX_ENVELOPE_BYTES: Final = 1024 * 1024  # a payload of some hundred bytes, a chain, a timestamp

SCHEMES: Final = MappingProxyType(
    {
        Algorithm.EC_P256: Scheme.ECDSA_P256_SHA256,
        Algorithm.EC_P384: Scheme.ECDSA_P384_SHA384,
        Algorithm.RSA_2048: Scheme.RSA_PSS_SHA256,
        Algorithm.RSA_3072: Scheme.RSA_PSS_SHA384,
        Algorithm.RSA_4096: Scheme.RSA_PSS_SHA512,
    }
)
_SCALAR_BYTES: Final = MappingProxyType(
    {Scheme.ECDSA_P256_SHA256: 32, Scheme.ECDSA_P384_SHA384: 48}
)


_TARGET_MEMBERS: Final = frozenset({"mediaType", "digest", "size", "annotations"})


class EnvelopeMalformedError(SignatureInvalidError):
    """The bytes are no envelope that the Notary Project describes."""


def require(holds: bool, text: str) -> None:
    """Raise EnvelopeMalformedError with this text unless it holds."""
    if not holds:
        raise EnvelopeMalformedError(text)


@dataclass(frozen=True, slots=True)
class UnverifiedEnvelope:
    """What an envelope says. Times are in UTC; `unverified_chain` is DER, leaf first."""

    unverified_payload: bytes
    unverified_signing_time: datetime
    unverified_expiry: datetime | None
    unverified_chain: tuple[bytes, ...]
    unverified_agent: str | None
    unverified_timestamp: bytes | None
    """The DER ContentInfo of an RFC 3161 token over `signature`."""
    scheme: Scheme
    message: bytes
    """The bytes that were signed."""
    signature: bytes
    """As the envelope holds it: ECDSA as r ‖ s."""


def target_payload(image: Descriptor, annotations: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return the payload that says: this image."""
    target: dict[str, Any] = {
        "mediaType": image.media_type,
        "digest": str(image.digest),
        "size": image.size,
    }
    if annotations:
        target["annotations"] = dict(annotations)
    return strictjson.dump({"targetArtifact": target})


def parse_payload(payload: bytes) -> tuple[Descriptor, tuple[tuple[str, str], ...]]:
    """Return the image that a payload names, and the annotations signed with it.

    Raises:
        EnvelopeMalformedError: it is no payload.
    """
    try:
        top = strictjson.load(payload)
        target = top["targetArtifact"]
        known = top.keys() == {"targetArtifact"} and target.keys() <= _TARGET_MEMBERS
        require(known, "the payload has members that are unknown")
        media_type, size = target["mediaType"], target["size"]
        annotations = target.get("annotations") or {}
        texts = [media_type, *annotations, *annotations.values()]
        require(
            all(isinstance(text, str) for text in texts),
            "the payload has members of another type",
        )
        require(type(size) is int and size >= 0, "the size is not a whole number")
        image = Descriptor(media_type, Digest.parse(target["digest"]), size)
    except EnvelopeMalformedError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EnvelopeMalformedError("the payload names no image") from error
    return image, tuple(sorted(annotations.items()))


def require_headers(
    critical: object, wanted: AbstractSet[str], *, content_type: object, signing_scheme: object
) -> None:
    """Raise EnvelopeMalformedError unless the protected headers are what a verifier can honour.

    `critical` must list exactly the headers that are `wanted`: one that is left out could be
    ignored, one that is not there could never be understood.
    """
    listed = critical if isinstance(critical, list) else []
    texts = [each for each in listed if isinstance(each, str)]
    whole = len(listed) == len(wanted) and len(texts) == len(listed) and set(texts) == wanted
    require(whole, "the critical headers are not those that are there")
    require(content_type == PAYLOAD_MEDIA_TYPE, "the payload is of another type")
    require(signing_scheme == SIGNING_SCHEME, f"the signing scheme is not {SIGNING_SCHEME}")


def to_raw(scheme: Scheme, signature: bytes) -> bytes:
    """Return the signature as envelopes hold it: ECDSA from DER to r ‖ s (RFC 7518, 3.4)."""
    size = _SCALAR_BYTES.get(scheme)
    if size is None:
        return signature
    r, s = decode_dss_signature(signature)
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def to_der(scheme: Scheme, raw: bytes) -> bytes:
    """Return the signature as `domain.public_keys` checks it: ECDSA from r ‖ s to DER.

    Raises:
        EnvelopeMalformedError: it has another length.
    """
    size = _SCALAR_BYTES.get(scheme)
    if size is None:
        return raw
    if len(raw) != 2 * size:
        raise EnvelopeMalformedError("the signature has another length than its algorithm")
    r, s = int.from_bytes(raw[:size], "big"), int.from_bytes(raw[size:], "big")
    return encode_dss_signature(r, s)


def whole_seconds(at: datetime) -> datetime:
    """Envelopes tell time in whole seconds of UTC."""
    return at.astimezone(UTC).replace(microsecond=0)
