"""Reads sigstore bundles of every version (0.1 to 0.3), strictly (protobuf-specs, as JSON).

An unknown member, a wrong type, a number that is none or a value that is not base64 makes the
bundle malformed. What it says is `unverified_…` until it has been checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from service.formats import strictjson
from service.verification.bundles import SHAPE, BundleMalformedError, decode, envelope_of, fits
from service.verification.bundles import UnverifiedEnvelope as Envelope
from service.verification.sigstore.reasons import Refusal, RefusedError

VERSIONS: Final = {
    "application/vnd.dev.sigstore.bundle+json;version=0.1": 1,
    "application/vnd.dev.sigstore.bundle+json;version=0.2": 2,
    "application/vnd.dev.sigstore.bundle+json;version=0.3": 3,
    "application/vnd.dev.sigstore.bundle.v0.3+json": 3,
}
MAX_ENTRIES: Final = 32  # as of sigstore-go; a bundle has one
MAX_TIMESTAMPS: Final = 32  # as above
_V3: Final = 3
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_KINDS: Final = ("publicKey", "x509CertificateChain", "certificate")


@dataclass(frozen=True, slots=True)
class UnverifiedProof:
    index: int
    root: bytes
    size: int
    hashes: tuple[bytes, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class UnverifiedEntry:
    """An element of `tlogEntries`."""

    index: int
    log_id: bytes
    kind: str
    version: str
    integrated_time: int
    """0 where it is not told."""
    promise: bytes | None
    proof: UnverifiedProof | None
    body: bytes


@dataclass(frozen=True, slots=True)
class UnverifiedMessage:
    signature: bytes
    digest: tuple[str, bytes] | None
    """By the name of the hash, as the bundle tells it."""


@dataclass(frozen=True, slots=True)
class UnverifiedSigstoreBundle:
    """`chain` is empty where a key has signed that the reader must know."""

    version: int
    chain: tuple[bytes, ...]
    entries: tuple[UnverifiedEntry, ...]
    timestamps: tuple[bytes, ...]
    content: UnverifiedMessage | Envelope

    @property
    def by_key(self) -> bool:
        return not self.chain

    @property
    def unverified_signature(self) -> bytes:
        """The one that timestamps are over; of an envelope the first."""
        match self.content:
            case UnverifiedMessage(signature=signature):
                return signature
            case Envelope(unverified_signatures=signatures):
                return signatures[0][0]


def parse(content: bytes) -> UnverifiedSigstoreBundle:
    """Read a bundle. Raises RefusedError (`bundle-malformed`, or that of its certificates)."""
    try:
        bundle = strictjson.load(content)
        fits(bundle, SHAPE, "the bundle")
        return _bundle(bundle or {})
    except (strictjson.StrictJSONError, BundleMalformedError) as error:
        raise RefusedError(Refusal.BUNDLE_MALFORMED, str(error)) from error


def _bundle(bundle: dict[str, Any]) -> UnverifiedSigstoreBundle:
    version = VERSIONS.get(str(bundle.get("mediaType")))
    if version is None:
        raise BundleMalformedError("it is of no known version")
    material = bundle.get("verificationMaterial") or {}
    entries = material.get("tlogEntries") or []
    data = material.get("timestampVerificationData") or {}
    timestamps = data.get("rfc3161Timestamps") or []
    if len(entries) > MAX_ENTRIES or len(timestamps) > MAX_TIMESTAMPS:
        raise BundleMalformedError("it has more log entries or timestamps than any bundle")
    return UnverifiedSigstoreBundle(
        version,
        _chain(material, version),
        _distinct(tuple(_entry(one) for one in entries), "log entry"),
        _distinct(tuple(decode(one.get("signedTimestamp")) for one in timestamps), "timestamp"),
        _content(bundle),
    )


def _distinct(found: tuple[Any, ...], what: str) -> tuple[Any, ...]:
    if len(set(found)) != len(found):
        raise BundleMalformedError(f"it holds a {what} twice")
    return found


def _chain(material: dict[str, Any], version: int) -> tuple[bytes, ...]:
    kinds = [name for name in _KINDS if material.get(name) is not None]
    if len(kinds) != 1:
        raise BundleMalformedError("it names neither one public key nor certificates")
    match kinds[0]:
        case "publicKey":
            return ()
        case "certificate":
            listed = [material["certificate"]]
        case _:
            if version == _V3:
                raise BundleMalformedError("version 0.3 has one certificate and no chain")
            listed = material["x509CertificateChain"].get("certificates") or []
    chain = tuple(decode(one.get("rawBytes")) for one in listed)
    if not chain:
        raise BundleMalformedError("its certificate chain is empty")
    return chain


def _entry(entry: dict[str, Any]) -> UnverifiedEntry:
    kind = entry.get("kindVersion") or {}
    promise = (entry.get("inclusionPromise") or {}).get("signedEntryTimestamp")
    proof = entry.get("inclusionProof")
    return UnverifiedEntry(
        _number(entry.get("logIndex", 0)),
        decode((entry.get("logId") or {}).get("keyId")),
        str(kind.get("kind")),
        str(kind.get("version")),
        _number(entry.get("integratedTime", 0)),
        None if promise is None else decode(promise),
        None if proof is None else _proof(proof),
        decode(entry.get("canonicalizedBody")),
    )


def _proof(proof: dict[str, Any]) -> UnverifiedProof:
    checkpoint = (proof.get("checkpoint") or {}).get("envelope")
    if not isinstance(checkpoint, str) or not checkpoint:
        raise RefusedError(Refusal.INCLUSION_PROOF_MISSING, "a proof comes without a checkpoint")
    return UnverifiedProof(
        _number(proof.get("logIndex", 0)),
        decode(proof.get("rootHash")),
        _number(proof.get("treeSize")),
        tuple(decode(one) for one in proof.get("hashes") or []),
        checkpoint,
    )


def _number(value: Any) -> int:
    """Read an int64 as protobuf's JSON has it: text, or a number."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not _NUMBER.fullmatch(text) or int(text) >= 1 << 63:
        raise BundleMalformedError("an index, size or time is no whole number, or negative")
    return int(text)


def _content(bundle: dict[str, Any]) -> UnverifiedMessage | Envelope:
    envelope, message = bundle.get("dsseEnvelope"), bundle.get("messageSignature")
    if (envelope is None) == (message is None):
        raise BundleMalformedError("it holds neither one envelope nor one signed message")
    if message is not None:
        return _message(message)
    found = envelope_of(envelope or {})
    if len(found.unverified_signatures) != 1 or not found.unverified_signatures[0][0]:
        raise BundleMalformedError("its envelope does not hold exactly one signature")
    return found


def _message(message: dict[str, Any]) -> UnverifiedMessage:
    signature = decode(message.get("signature"))
    if not signature:
        raise BundleMalformedError("its signature is empty")
    digest = message.get("messageDigest")
    if digest is None:
        return UnverifiedMessage(signature, None)
    return UnverifiedMessage(
        signature, (str(digest.get("algorithm")), decode(digest.get("digest")))
    )
