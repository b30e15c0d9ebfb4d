"""Signatures as they lie at registries, in every form: what was signed, and the signature.

Read as leniently as any client might: the question is not whether a client takes it, but whether
one of our keys has made it. What cannot be read is no signature.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from service.domain.digests import Descriptor, Digest
from service.domain.public_keys import PublicKey
from service.formats import dsse
from service.formats.notation.envelope import EnvelopeMalformedError, to_der
from service.formats.notation.form import BY_MEDIA_TYPE
from service.formats.siglist import SIGNATURE_ANNOTATION
from service.verification.bundles import LAYER_PREFIX

DSSE_MEDIA_TYPE: Final = "application/vnd.dsse.envelope.v1+json"


@dataclass(frozen=True, slots=True)
class UnverifiedSignature:
    """`unverified_message` is what was signed, or (`is_hashed`) its hash."""

    unverified_message: bytes
    signature: bytes
    is_hashed: bool = False

    def signer(self, keys: Iterable[PublicKey]) -> PublicKey | None:
        """Return which of the keys has made it."""
        return next((key for key in keys if self._by(key)), None)

    def _by(self, key: PublicKey) -> bool:
        if self.is_hashed:
            return key.has_signed_digest(self.unverified_message, self.signature)
        return key.has_signed(self.unverified_message, self.signature)


@dataclass(frozen=True, slots=True)
class UnverifiedLayer:
    """A layer that may hold signatures; those of a `.sig` stand beside it."""

    descriptor: Descriptor
    annotated: bytes | None

    @property
    def may_be_signed(self) -> bool:
        """Whether a client might look for a signature here; layers of images are none."""
        kind = self.descriptor.media_type
        return (
            self.annotated is not None
            or kind in BY_MEDIA_TYPE
            or kind == DSSE_MEDIA_TYPE
            or kind.startswith(LAYER_PREFIX)
        )

    def signatures(self, content: bytes) -> Iterator[UnverifiedSignature]:
        """Yield the signatures in and beside the layer, whose blob is `content`."""
        if self.annotated is not None:
            yield UnverifiedSignature(content, self.annotated)
        form = BY_MEDIA_TYPE.get(self.descriptor.media_type)
        if form is None:
            yield from _in_json(content)
            return
        try:
            envelope = form.parse(content)
            signature = to_der(envelope.scheme, envelope.signature)
        except EnvelopeMalformedError:
            return
        yield UnverifiedSignature(envelope.message, signature)


def layers_of(manifest: bytes) -> Iterator[UnverifiedLayer]:
    """Yield the layers of an image manifest that could be read."""
    for layer in _list(_load(manifest).get("layers")):
        descriptor = _descriptor(layer)
        if descriptor is None:
            continue
        annotations = _dict(layer.get("annotations"))
        yield UnverifiedLayer(descriptor, _bytes(annotations.get(SIGNATURE_ANNOTATION)))


def _descriptor(layer: dict[str, Any]) -> Descriptor | None:
    try:
        return Descriptor(
            str(layer["mediaType"]), Digest.parse(str(layer["digest"])), int(layer["size"])
        )
    except (KeyError, TypeError, ValueError):
        return None


def _in_json(content: bytes) -> Iterator[UnverifiedSignature]:
    """Yield those of a sigstore bundle or of a bare DSSE envelope."""
    document = _load(content)
    yield from _in_envelope(document)
    yield from _in_envelope(_dict(document.get("dsseEnvelope")))
    message = _dict(document.get("messageSignature"))
    digest = _bytes(_dict(message.get("messageDigest")).get("digest"))
    signature = _bytes(message.get("signature"))
    if digest is not None and signature is not None:
        yield UnverifiedSignature(digest, signature, is_hashed=True)


def _in_envelope(envelope: dict[str, Any]) -> Iterator[UnverifiedSignature]:
    payload, kind = _bytes(envelope.get("payload")), envelope.get("payloadType")
    if payload is None or not isinstance(kind, str):
        return
    for one in _list(envelope.get("signatures")):
        signature = _bytes(one.get("sig"))
        if signature is not None:
            yield UnverifiedSignature(dsse.pae(payload, kind), signature)


def _load(text: bytes) -> dict[str, Any]:
    try:
        return _dict(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _bytes(text: object) -> bytes | None:
    """Decode base64 in either alphabet, with or without padding, as protobuf does."""
    if not isinstance(text, str):
        return None
    plain = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True) or None
    except (binascii.Error, ValueError):
        return None
