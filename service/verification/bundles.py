"""Reads sigstore bundles as strictly as cosign does (protobuf-specs, sigstore_bundle.proto, as JSON).

A member that is not in the table makes the bundle malformed: cosign passes over such a one in
silence. What a bundle says is named `unverified_…` until its signature has been checked.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from service.formats import strictjson

MEDIA_TYPES: Final = frozenset(
    {
        "application/vnd.dev.sigstore.bundle.v0.3+json",
        "application/vnd.dev.sigstore.bundle+json;version=0.3",  # before it had a name of its own
    }
)
LAYER_PREFIX: Final = "application/vnd.dev.sigstore.bundle"

_Shape = Any
"""A mapping of members, a list of one shape for each element, or None for a plain value."""

_CERTIFICATE: Final[_Shape] = {"rawBytes": None}
SHAPE: Final[_Shape] = MappingProxyType(
    {
        "mediaType": None,
        "verificationMaterial": {
            "publicKey": {"hint": None},
            "x509CertificateChain": {"certificates": [_CERTIFICATE]},
            "certificate": _CERTIFICATE,
            "tlogEntries": [
                {
                    "logIndex": None,
                    "logId": {"keyId": None},
                    "kindVersion": {"kind": None, "version": None},
                    "integratedTime": None,
                    "inclusionPromise": {"signedEntryTimestamp": None},
                    "inclusionProof": {
                        "logIndex": None,
                        "rootHash": None,
                        "treeSize": None,
                        "hashes": [None],
                        "checkpoint": {"envelope": None},
                    },
                    "canonicalizedBody": None,
                }
            ],
            "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": None}]},
        },
        "messageSignature": {
            "messageDigest": {"algorithm": None, "digest": None},
            "signature": None,
        },
        "dsseEnvelope": {
            "payload": None,
            "payloadType": None,
            "signatures": [{"sig": None, "keyid": None}],
        },
    }
)


_SPELLINGS: Final = str.maketrans("-_", "+/", "\r\n")


class BundleMalformedError(ValueError):
    """Clients pass over it, or refuse it whoever has signed."""


@dataclass(frozen=True, slots=True)
class UnverifiedEnvelope:
    unverified_payload: bytes
    unverified_payload_type: str
    unverified_signatures: tuple[tuple[bytes, str], ...]
    """Each with its key id, which is empty where there is none."""


@dataclass(frozen=True, slots=True)
class UnverifiedBundle:
    """`envelope` is None where a message is signed instead of a statement."""

    by_public_key: bool
    envelope: UnverifiedEnvelope | None
    unverified_entries: tuple[Mapping[str, Any], ...] = ()
    """Of a log, as they stand in the bundle; and so the stamps."""
    unverified_stamps: tuple[Mapping[str, Any], ...] = ()


def parse_bundle(content: bytes) -> UnverifiedBundle:
    """Read a bundle.

    Raises:
        BundleMalformedError: cosign would not take it for one.
    """
    try:
        bundle = strictjson.load(content)
    except strictjson.StrictJSONError as error:
        raise BundleMalformedError(str(error)) from error
    fits(bundle, SHAPE, "the bundle")
    if bundle is None or bundle.get("mediaType") not in MEDIA_TYPES:
        raise BundleMalformedError("it is not of version 0.3")
    material = bundle.get("verificationMaterial") or {}
    kinds = [name for name in ("publicKey", "certificate") if material.get(name) is not None]
    if len(kinds) != 1 or material.get("x509CertificateChain") is not None:
        raise BundleMalformedError("it names neither one public key nor one certificate")
    envelope, message = bundle.get("dsseEnvelope"), bundle.get("messageSignature")
    if (envelope is None) == (message is None):
        raise BundleMalformedError("it holds neither one envelope nor one signed message")
    stamps = (material.get("timestampVerificationData") or {}).get("rfc3161Timestamps") or []
    return UnverifiedBundle(
        kinds == ["publicKey"],
        None if envelope is None else envelope_of(envelope),
        tuple(material.get("tlogEntries") or []),
        tuple(stamps),
    )


def envelope_of(envelope: dict[str, Any]) -> UnverifiedEnvelope:
    return UnverifiedEnvelope(
        decode(envelope.get("payload")),
        str(envelope.get("payloadType") or ""),
        tuple(
            (decode(one.get("sig")), str(one.get("keyid") or ""))
            for one in envelope.get("signatures") or []
        ),
    )


def fits(value: Any, shape: _Shape, where: str) -> None:
    match shape, value:
        case _, None:
            pass  # protobuf reads null as if the member were not there
        case None, dict() | list():
            raise BundleMalformedError(f"{where} is no plain value")
        case None, _:
            pass
        case [element], list():
            for one in value:
                if one is None:
                    raise BundleMalformedError(f"{where} lists nothing")
                fits(one, element, where)
        case Mapping(), dict():
            for name, member in value.items():
                if name not in shape:
                    raise BundleMalformedError(f"{where} holds an unknown member")
                fits(member, shape[name], name)
        case _:
            raise BundleMalformedError(f"{where} is neither list nor object as it should be")


def decode(text: Any) -> bytes:
    """Decode base64 in either alphabet, with or without padding or line ends, as Go does."""
    if not isinstance(text, str):
        raise BundleMalformedError("a value is missing where base64 belongs")
    plain = text.translate(_SPELLINGS).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BundleMalformedError("a value is not base64") from error
