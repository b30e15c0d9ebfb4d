"""Judges signatures in cosign's `.sig` form (cosign SIGNATURE_SPEC.md) against pinned keys.

A signature stands if its payload is strictly simple signing, names the digest that was
asked about, and verifies under a trusted key of purpose `image`. The identity in the payload
is reported, not judged: copies of an image in other repositories keep their signatures.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.domain.digests import Digest
from service.domain.keys import KeyVersion
from service.domain.limits import MAX_SIGNATURE_LAYERS
from service.domain.public_keys import public_key
from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict
from service.formats.simplesigning import (
    SCHEMES,
    SIGNATURE_ANNOTATION,
    SIMPLE_SIGNING_MEDIA_TYPE,
    CosignFormat,
    PayloadMalformedError,
    parse_payload,
)
from service.ports.proofs import Evidence, ProofsOfTime, VerifiedSignature
from service.translog.rekor import hashedrekord, rekord
from service.verification.evidence import promises_of_layer, stamps_of_layer
from service.verification.signers import signer_of
from service.verification.trust import verdict

FORMAT = CosignFormat.name


class ManifestMalformedError(ValueError):
    """What lies under the signature tag is no signature manifest."""


@dataclass(frozen=True, slots=True)
class UnverifiedLayer:
    """One signature as the manifest lists it; nothing in it is checked yet."""

    digest: Digest
    unverified_signature: bytes | None
    unverified_annotations: Mapping[str, Any] = field(default_factory=dict)


def unverified_layers(manifest: bytes) -> Sequence[UnverifiedLayer]:
    """List the signature layers of a `.sig` manifest; layers of other kinds are not ours.

    Raises:
        ManifestMalformedError: it is not a manifest, or lists more than any client reads.
    """
    try:
        document = json.loads(manifest)
        return [
            _layer(Digest.parse(layer["digest"]), layer.get("annotations") or {})
            for layer in _bounded(document["layers"])
            if layer["mediaType"] == SIMPLE_SIGNING_MEDIA_TYPE
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ManifestMalformedError("not a signature manifest") from error


def _bounded(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(layers) > MAX_SIGNATURE_LAYERS:
        raise ValueError(f"more than {MAX_SIGNATURE_LAYERS} layers")
    return layers


def _layer(digest: Digest, annotations: dict[str, Any]) -> UnverifiedLayer:
    return UnverifiedLayer(digest, _signature(annotations), dict(annotations))


def _signature(annotations: dict[str, object]) -> bytes | None:
    text = annotations.get(SIGNATURE_ANNOTATION)
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text, validate=True) or None
    except binascii.Error:
        return None


def judge(
    layer: UnverifiedLayer,
    payload: bytes,
    *,
    digest: Digest,
    keys: Sequence[KeyVersion],
    proofs: ProofsOfTime,
) -> SignatureVerdict:
    """Judge one signature; `payload` is the layer's blob, its digest already checked.

    Raises:
        StoreUnavailableError: see `verdict`.
    """
    signature = layer.unverified_signature
    if signature is None:
        return _fails(ReasonCode.SIGNATURE_MISSING, "the layer carries no readable signature")
    try:
        claim = parse_payload(payload)
    except PayloadMalformedError as error:
        return _fails(ReasonCode.PAYLOAD_MALFORMED, str(error))
    if claim.unverified_digest != digest:
        return _fails(ReasonCode.WRONG_DIGEST, f"the signature is for {claim.unverified_digest}")
    signer = signer_of(
        keys,
        lambda key: public_key(key.public_key).verify(SCHEMES[key.algorithm], payload, signature),
    )
    if signer is None:
        return _fails(
            ReasonCode.UNTRUSTED_KEY, "it does not verify under any key that is trusted here"
        )
    made = VerifiedSignature(
        signer, digest, payload, signature, _evidence(layer, signer, payload, signature)
    )
    return verdict(FORMAT, made, identity=claim.unverified_identity, proofs=proofs)


def _evidence(
    layer: UnverifiedLayer, signer: KeyVersion, payload: bytes, signature: bytes
) -> Evidence:
    return Evidence(
        stamped=signature,
        unverified_stamps=tuple(stamps_of_layer(layer.unverified_annotations)),
        bodies=frozenset(
            entry(payload, signature, signer.public_key) for entry in (hashedrekord, rekord)
        ),
        unverified_promises=tuple(promises_of_layer(layer.unverified_annotations)),
    )


def _fails(code: ReasonCode, text: str) -> SignatureVerdict:
    return SignatureVerdict(FORMAT, stands=False, reason=Reason(code, text))
