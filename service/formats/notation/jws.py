"""The JWS envelope (specifications/signature-envelope-jws.md), flattened JSON (RFC 7515, 7.2.2).

The signing input is what is recorded: `BASE64URL(protected) . BASE64URL(payload)`. Protected
headers stand in the order of their names, as notation-core-go writes them.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from service.domain.keys import Scheme
from service.formats import strictjson
from service.formats.notation.envelope import (
    HEADER,
    MAX_CHAIN,
    MAX_ENVELOPE_BYTES,
    PAYLOAD_MEDIA_TYPE,
    SIGNING_AGENT,
    SIGNING_SCHEME,
    EnvelopeMalformedError,
    UnverifiedEnvelope,
    require,
    require_headers,
    whole_seconds,
)

MEDIA_TYPE: Final = "application/jose+json"

_ALGORITHMS: Final = MappingProxyType(
    {
        Scheme.ECDSA_P256_SHA256: "ES256",
        Scheme.ECDSA_P384_SHA384: "ES384",
        Scheme.RSA_PSS_SHA256: "PS256",
        Scheme.RSA_PSS_SHA384: "PS384",
        Scheme.RSA_PSS_SHA512: "PS512",
    }
)
_SCHEMES: Final = MappingProxyType({name: scheme for scheme, name in _ALGORITHMS.items()})
_SCHEME: Final = f"{HEADER}signingScheme"
_TIME: Final = f"{HEADER}signingTime"
_EXPIRY: Final = f"{HEADER}expiry"
_AGENT: Final = f"{HEADER}signingAgent"
_TIMESTAMP: Final = f"{HEADER}timestampSignature"
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*")


def signing_input(
    payload: bytes, *, scheme: Scheme, at: datetime, expiry: datetime | None = None
) -> bytes:
    """Return the bytes to be signed (RFC 7515, 5.1)."""
    critical = [_SCHEME]
    protected: dict[str, Any] = {
        "alg": _ALGORITHMS[scheme],
        "crit": critical,
        "cty": PAYLOAD_MEDIA_TYPE,
    }
    if expiry is not None:
        critical.append(_EXPIRY)
        protected[_EXPIRY] = _moment(expiry)
    protected[_SCHEME] = SIGNING_SCHEME
    protected[_TIME] = _moment(at)
    return f"{_encode(strictjson.dump(protected))}.{_encode(payload)}".encode()


def envelope(
    message: bytes, signature: bytes, chain: Sequence[bytes], *, timestamp: bytes | None = None
) -> bytes:
    """Return the envelope around a signing input and its signature (ECDSA as r ‖ s).

    `chain` is DER, leaf first; `timestamp` the DER ContentInfo of a token over `signature`.
    """
    protected, _, payload = message.decode().partition(".")
    header: dict[str, Any] = {}
    if timestamp is not None:
        header[_TIMESTAMP] = base64.b64encode(timestamp).decode()
    header["x5c"] = [base64.b64encode(certificate).decode() for certificate in chain]
    header[_AGENT] = SIGNING_AGENT
    return strictjson.dump(
        {
            "payload": payload,
            "protected": protected,
            "header": header,
            "signature": _encode(signature),
        }
    )


def payload_of(message: bytes) -> bytes:
    """Return the payload inside a signing input.

    Raises:
        EnvelopeMalformedError: it is none.
    """
    return read_message(message)[1]


def read_message(message: bytes) -> tuple[Scheme, bytes]:
    """Return how a signing input is to be signed, and the payload inside it.

    Raises:
        EnvelopeMalformedError: it is none.
    """
    try:
        protected, _, payload = message.decode("ascii").partition(".")
        headers = _protected(protected)
    except EnvelopeMalformedError:
        raise
    except ValueError as error:
        raise EnvelopeMalformedError("not a signing input") from error
    _parsed(headers.get(_TIME))
    if _EXPIRY in headers:
        _parsed(headers[_EXPIRY])
    return _SCHEMES[headers["alg"]], _decode(payload)


def parse(content: bytes) -> UnverifiedEnvelope:
    """Read an envelope as strictly as notation-go, and stricter where readers differ.

    Raises:
        EnvelopeMalformedError: it is none.
    """
    if len(content) > MAX_ENVELOPE_BYTES:
        raise EnvelopeMalformedError("the envelope is too long")
    try:
        top = strictjson.load(content)
        protected, payload, signature = top["protected"], top["payload"], top["signature"]
        header = top["header"]
        headers = _protected(protected)
        chain = header["x5c"]
        require(
            isinstance(chain, list) and 1 <= len(chain) <= MAX_CHAIN,
            "the envelope holds no certificate chain",
        )
        timestamp = header.get(_TIMESTAMP)
        agent = header.get(_AGENT)
        require(isinstance(agent, str | None), "the signing agent is not text")
        expiry = headers.get(_EXPIRY)
        return UnverifiedEnvelope(
            unverified_payload=_decode(payload),
            unverified_signing_time=_parsed(headers[_TIME]),
            unverified_expiry=None if expiry is None else _parsed(expiry),
            unverified_chain=tuple(base64.b64decode(each, validate=True) for each in chain),
            unverified_agent=agent,
            unverified_timestamp=None
            if timestamp is None
            else base64.b64decode(timestamp, validate=True),
            scheme=_SCHEMES[headers["alg"]],
            message=f"{protected}.{payload}".encode("ascii"),
            signature=_decode(signature),
        )
    except EnvelopeMalformedError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EnvelopeMalformedError("not a JWS envelope of the Notary Project") from error


def _protected(encoded: str) -> dict[str, Any]:
    """Return the protected headers, all of them understood and none missing."""
    headers = strictjson.load(_decode(encoded))
    known = {"alg", "crit", "cty", _SCHEME, _TIME, _EXPIRY}
    if not isinstance(headers, dict) or not headers.keys() <= known:
        raise EnvelopeMalformedError("the envelope has protected headers that are unknown")
    require_headers(
        headers.get("crit"),
        {_SCHEME} | ({_EXPIRY} & headers.keys()),
        content_type=headers.get("cty"),
        signing_scheme=headers.get(_SCHEME),
    )
    algorithm = headers.get("alg")
    require(
        isinstance(algorithm, str) and algorithm in _SCHEMES,
        "the algorithm is none that the Notary Project allows",
    )
    return headers


def _moment(at: datetime) -> str:
    return whole_seconds(at).strftime("%Y-%m-%dT%H:%M:%SZ")


def _parsed(text: object) -> datetime:
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        raise EnvelopeMalformedError("a time is not RFC 3339 in whole seconds of UTC")
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise EnvelopeMalformedError("there is no such time") from error


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    # Checked by writing it again: a last character with spare bits set would decode as well.
    if not _BASE64URL.fullmatch(text):
        raise EnvelopeMalformedError("not base64url without padding")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise EnvelopeMalformedError("not base64url without padding") from error
    if _encode(raw) != text:
        raise EnvelopeMalformedError("base64url that is not canonical")
    return raw
