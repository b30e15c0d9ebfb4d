"""What clients of Rekor ask to have logged: read strictly, and checked before it is an entry.

v1 (`POST /api/v1/log/entries`): `hashedrekord` 0.0.1, and `dsse` 0.0.1 with its envelope. v2
(`POST /api/v2/log/entries`): `hashedRekordRequestV002`. What is signed is a digest that the
client made, so a signature is checked over that; Ed25519 cannot be, and comes in `dsse` alone.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final

from service.domain.keys import Algorithm, Scheme
from service.domain.public_keys import PublicKey
from service.formats import dsse, strictjson
from service.translog import rekor

_DSSE_SCHEMES: Final = MappingProxyType(
    {
        Algorithm.EC_P256: Scheme.ECDSA_P256_SHA256,
        Algorithm.EC_P384: Scheme.ECDSA_P384_SHA256,
        Algorithm.RSA_2048: Scheme.RSA_PKCS1_SHA256,
        Algorithm.RSA_3072: Scheme.RSA_PKCS1_SHA256,
        Algorithm.RSA_4096: Scheme.RSA_PKCS1_SHA256,
        Algorithm.ED25519: Scheme.ED25519,
    }
)


class RequestMalformedError(ValueError):
    """The request cannot be made an entry; the text says why."""


@dataclass(frozen=True, slots=True)
class ProposedEntry:
    """An entry whose signature has been checked. `artifact` is the hex hash of what it is over."""

    key: PublicKey
    artifact: str
    signature: bytes
    entry: bytes

    def identity(self) -> str:
        """Return the name under which one such entry is let in: key, artifact, signature, form."""
        canonical = self.key.canonical(self.signature)
        kind, version = rekor.kind_and_version(self.entry)
        parts = (self.key.der.hex(), self.artifact, canonical.hex(), kind, version)
        return f"foreign {sha256(' '.join(parts).encode()).hexdigest()}"


def parse_v1(body: Mapping[str, Any]) -> ProposedEntry:
    """Read and check a request of Rekor v1.

    Raises:
        RequestMalformedError: it is none, or of a kind that is not taken.
        SignatureInvalidError: its signature is wrong.
    """
    kind, version, spec = (body.get(name) for name in ("kind", "apiVersion", "spec"))
    if set(body) != {"kind", "apiVersion", "spec"} or version != "0.0.1":
        raise RequestMalformedError("only entries of version 0.0.1 are taken")
    match kind:
        case "hashedrekord":
            return _hashedrekord(_object(spec))
        case "dsse":
            return _dsse(_object(spec))
        case _:
            raise RequestMalformedError("only entries of the kinds hashedrekord and dsse are taken")


def parse_v2(body: Mapping[str, Any]) -> ProposedEntry:
    """Read and check a request of Rekor v2.

    Raises:
        RequestMalformedError: it is none, or of a kind that is not taken.
        SignatureInvalidError: its signature is wrong.
    """
    request = _object(body.get("hashedRekordRequestV002"))
    signature = _object(request.get("signature"))
    verifier = _object(signature.get("verifier"))
    spki = _bytes(_object(verifier.get("publicKey")).get("rawBytes"))
    key = _key(lambda: PublicKey.parse(spki))
    content, digest = _bytes(signature.get("content")), _bytes(request.get("digest"))
    if verifier.get("keyDetails") != rekor.key_details(key.algorithm):
        raise RequestMalformedError("keyDetails are not those of the key")
    key.verify_digest(rekor.v2_hash(key.algorithm), digest, content)
    entry = rekor.hashedrekord_v2_of(digest, content, key.der)
    return ProposedEntry(key, digest.hex(), content, entry)


def _hashedrekord(spec: dict[str, Any]) -> ProposedEntry:
    hashed = _object(_object(spec.get("data")).get("hash"))
    signature = _object(spec.get("signature"))
    if hashed.get("algorithm") != "sha256":
        raise RequestMalformedError("only SHA-256 is taken")
    try:
        digest = bytes.fromhex(str(hashed.get("value")))
    except ValueError as error:
        raise RequestMalformedError("the hash is not hexadecimal") from error
    key = _pem(_object(signature.get("publicKey")).get("content"))
    content = _bytes(signature.get("content"))
    key.verify_digest("sha256", digest, content)
    return ProposedEntry(
        key, digest.hex(), content, rekor.hashedrekord_of(digest, content, key.der)
    )


def _dsse(spec: dict[str, Any]) -> ProposedEntry:
    proposed = _object(spec.get("proposedContent"))
    envelope_text, verifiers = proposed.get("envelope"), proposed.get("verifiers")
    if not isinstance(envelope_text, str) or not isinstance(verifiers, list):
        raise RequestMalformedError("a dsse entry needs envelope and verifiers")
    if len(verifiers) != 1:
        raise RequestMalformedError("exactly one verifier is taken")
    try:
        envelope = _object(strictjson.load(envelope_text.encode()))
    except (strictjson.StrictJSONError, UnicodeEncodeError) as error:
        raise RequestMalformedError("the envelope is not JSON") from error
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise RequestMalformedError("exactly one signature is taken")
    key = _pem(verifiers[0])
    payload, kind = _bytes(envelope.get("payload")), envelope.get("payloadType")
    content = _bytes(_object(signatures[0]).get("sig"))
    if not isinstance(kind, str):
        raise RequestMalformedError("the envelope has no payloadType")
    key.verify(_DSSE_SCHEMES[key.algorithm], dsse.pae(payload, kind), content)
    entry = rekor.dsse(envelope_text.encode(), payload, content, key.der)
    return ProposedEntry(key, sha256(payload).hexdigest(), content, entry)


def _pem(text: Any) -> PublicKey:
    pem = _bytes(text)
    return _key(lambda: PublicKey.parse_pem(pem.decode()))


def _key(parse: Callable[[], PublicKey]) -> PublicKey:
    try:
        return parse()
    except ValueError as error:
        raise RequestMalformedError("not a public key of a kind that is supported") from error


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RequestMalformedError("a part of the entry is missing")
    return value


def _bytes(text: Any) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise RequestMalformedError("a part of the entry is not base64") from error
