"""Whether a log entry is about what the bundle holds: Rekor's kinds, compared part by part.

An entry that is in the log proves nothing for another signature (CVE-2022-36056), so that every
part of its body must be that of the bundle: hash, signature, and the key or certificate.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from service.formats import dsse, strictjson
from service.verification.bundles import UnverifiedEnvelope
from service.verification.sigstore.artifacts import HASHES
from service.verification.sigstore.documents import UnverifiedEntry, UnverifiedMessage
from service.verification.sigstore.keys import VerifyingKey
from service.verification.sigstore.reasons import Refusal, RefusedError

_V2_HASHES: Final = MappingProxyType(
    {"SHA2_256": "sha256", "SHA2_384": "sha384", "SHA2_512": "sha512"}
)


@dataclass(frozen=True, slots=True)
class Signed:
    """What the entry must be about. `certificate` is None where a key signs without one."""

    key: VerifyingKey
    certificate: x509.Certificate | None
    content: UnverifiedMessage | UnverifiedEnvelope
    signature: bytes
    digests: Mapping[str, bytes]
    """Of the artifact, by hash."""


def check_body(entry: UnverifiedEntry, signed: Signed) -> None:
    """Raises RefusedError (`log-entry-malformed`, `log-entry-mismatched`)."""
    try:
        body = strictjson.load(entry.body)
        if (body["kind"], body["apiVersion"]) != (entry.kind, entry.version):
            raise _mismatch("kind")
        check = _CHECKS.get((entry.kind, entry.version, type(signed.content)))
        if check is None:
            text = f"an entry {entry.kind} {entry.version} is not of this content, or not known"
            raise RefusedError(Refusal.LOG_ENTRY_MISMATCHED, text)
        check(body["spec"], signed)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, binascii.Error) as error:
        raise RefusedError(
            Refusal.LOG_ENTRY_MALFORMED, f"not the body of an entry {entry.kind} {entry.version}"
        ) from error


def _hashedrekord_v1(spec: Any, signed: Signed) -> None:
    told = spec["data"]["hash"]
    _same_hash(told["algorithm"], bytes.fromhex(told["value"]), signed.digests, "hash")
    _same(_b64(spec["signature"]["content"]), signed.signature, "signature")
    _same_pem(spec["signature"]["publicKey"]["content"], signed)


def _hashedrekord_v2(spec: Any, signed: Signed) -> None:
    inner = spec["hashedRekordV002"]
    told = inner["data"]
    digests = (
        _hashes_of(dsse.pae(signed.content.unverified_payload, _type(signed.content)))
        if isinstance(signed.content, UnverifiedEnvelope)
        else signed.digests
    )
    _same_hash(_V2_HASHES[told["algorithm"]], _b64(told["digest"]), digests, "hash")
    _same_signature_v2(inner["signature"], signed)


def _dsse_v1(spec: Any, signed: Signed) -> None:
    payload = _hashes_of(_envelope(signed).unverified_payload)
    told = spec["payloadHash"]
    _same_hash(told["algorithm"], bytes.fromhex(told["value"]), payload, "payload hash")
    # The hash of the envelope is over JSON that nobody keeps, so that nobody can check it.
    bytes.fromhex(spec["envelopeHash"]["value"])
    (only,) = spec["signatures"]
    _same(_b64(only["signature"]), signed.signature, "signature")
    _same_pem(only["verifier"], signed)


def _dsse_v2(spec: Any, signed: Signed) -> None:
    inner = spec["dsseV002"]
    told = inner["payloadHash"]
    payload = _hashes_of(_envelope(signed).unverified_payload)
    _same_hash(_V2_HASHES[told["algorithm"]], _b64(told["digest"]), payload, "payload hash")
    (only,) = inner["signatures"]
    _same_signature_v2(only, signed)


def _intoto_v2(spec: Any, signed: Signed) -> None:
    content = spec["content"]
    told = content["payloadHash"]
    payload = _hashes_of(_envelope(signed).unverified_payload)
    _same_hash(told["algorithm"], bytes.fromhex(told["value"]), payload, "payload hash")
    inner = content["envelope"]
    if inner["payloadType"] != _type(_envelope(signed)):
        raise _mismatch("payload type")
    (only,) = inner["signatures"]
    # Rekor encodes what is base64 already once more.
    _same(_b64(only["sig"]), base64.b64encode(signed.signature), "signature")
    _same_pem(only["publicKey"], signed)


_CHECKS: Final[Mapping[tuple[str, str, type], Callable[[Any, Signed], None]]] = MappingProxyType(
    {
        ("hashedrekord", "0.0.1", UnverifiedMessage): _hashedrekord_v1,
        ("hashedrekord", "0.0.2", UnverifiedMessage): _hashedrekord_v2,
        ("hashedrekord", "0.0.2", UnverifiedEnvelope): _hashedrekord_v2,
        ("dsse", "0.0.1", UnverifiedEnvelope): _dsse_v1,
        ("dsse", "0.0.2", UnverifiedEnvelope): _dsse_v2,
        ("intoto", "0.0.2", UnverifiedEnvelope): _intoto_v2,
    }
)


def _envelope(signed: Signed) -> UnverifiedEnvelope:
    assert isinstance(signed.content, UnverifiedEnvelope)  # noqa: S101 - by the table above
    return signed.content


def _type(envelope: UnverifiedEnvelope) -> str:
    return envelope.unverified_payload_type


def _same_signature_v2(told: Any, signed: Signed) -> None:
    _same(_b64(told["content"]), signed.signature, "signature")
    verifier = told["verifier"]
    if verifier["keyDetails"] not in signed.key.details:
        raise _mismatch("kind of key")
    if signed.certificate is None:
        _same(_b64(verifier["publicKey"]["rawBytes"]), signed.key.der, "public key")
    else:
        der = signed.certificate.public_bytes(Encoding.DER)
        _same(_b64(verifier["x509Certificate"]["rawBytes"]), der, "certificate")


def _same_pem(text: Any, signed: Signed) -> None:
    """Rekor v1 names keys and certificates as base64 of their PEM."""
    pem = _b64(text)
    if signed.certificate is None:
        _same(VerifyingKey.parse_pem(pem).der, signed.key.der, "public key")
    else:
        _same(
            x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER),
            signed.certificate.public_bytes(Encoding.DER),
            "certificate",
        )


def _same_hash(name: str, told: bytes, digests: Mapping[str, bytes], what: str) -> None:
    if name not in HASHES:
        raise _mismatch(what)
    if name not in digests:
        text = f"the log entry is about the {name}, which only the file itself can tell"
        raise RefusedError(Refusal.CONTENT_NEEDED, text)
    _same(told, digests[name], what)


def _same(told: bytes, wanted: bytes, what: str) -> None:
    if told != wanted:
        raise _mismatch(what)


def _mismatch(what: str) -> RefusedError:
    return RefusedError(
        Refusal.LOG_ENTRY_MISMATCHED, f"the log entry is about something else: its {what} differs"
    )


def _hashes_of(content: bytes) -> dict[str, bytes]:
    return {name: hashlib.new(name, content).digest() for name in HASHES}


def _b64(text: Any) -> bytes:
    return base64.b64decode(text, validate=True)
