"""The COSE_Sign1 envelope (specifications/signature-envelope-cose.md; RFC 9052, 4.2 and 4.4).

The Sig_structure is what is recorded and signed. It is CBOR in the deterministic encoding of
RFC 8949, 4.2.1, with the map keys in the order of RFC 7049, 3.9, which notation-core-go writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from types import MappingProxyType
from typing import Any, Final

import cbor2

from service.domain.keys import Scheme
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

MEDIA_TYPE: Final = "application/cose"

_TAG: Final = 18  # COSE_Sign1
_TIME_TAG: Final = 1  # seconds since the epoch
_ALG, _CRIT, _CONTENT_TYPE, _X5CHAIN = 1, 2, 3, 33
_ALGORITHMS: Final = MappingProxyType(
    {
        Scheme.ECDSA_P256_SHA256: -7,
        Scheme.ECDSA_P384_SHA384: -35,
        Scheme.RSA_PSS_SHA256: -37,
        Scheme.RSA_PSS_SHA384: -38,
        Scheme.RSA_PSS_SHA512: -39,
    }
)
_SCHEMES: Final = MappingProxyType({number: scheme for scheme, number in _ALGORITHMS.items()})
_SCHEME: Final = f"{HEADER}signingScheme"
_TIME: Final = f"{HEADER}signingTime"
_EXPIRY: Final = f"{HEADER}expiry"
_AGENT: Final = f"{HEADER}signingAgent"
_TIMESTAMP: Final = f"{HEADER}timestampSignature"
_CONTEXT: Final = "Signature1"
_MAX_DEPTH: Final = 8  # an envelope nests three deep


def to_be_signed(
    payload: bytes, *, scheme: Scheme, at: datetime, expiry: datetime | None = None
) -> bytes:
    """Return the Sig_structure (RFC 9052, 4.4), the bytes to be signed."""
    critical = [_SCHEME]
    protected: dict[Any, Any] = {
        _ALG: _ALGORITHMS[scheme],
        _CRIT: critical,
        _CONTENT_TYPE: PAYLOAD_MEDIA_TYPE,
        _SCHEME: SIGNING_SCHEME,
        _TIME: _moment(at),
    }
    if expiry is not None:
        critical.append(_EXPIRY)
        protected[_EXPIRY] = _moment(expiry)
    return _structure(cbor2.dumps(protected, canonical=True), payload)


def envelope(
    message: bytes, signature: bytes, chain: Sequence[bytes], *, timestamp: bytes | None = None
) -> bytes:
    """Return the envelope around a Sig_structure and its signature (ECDSA as r ‖ s).

    `chain` is DER, leaf first; `timestamp` the DER ContentInfo of a token over `signature`.
    """
    protected, payload = _parts(message)
    unprotected: dict[Any, Any] = {_X5CHAIN: list(chain), _AGENT: SIGNING_AGENT}
    if timestamp is not None:
        unprotected[_TIMESTAMP] = timestamp
    tagged = cbor2.CBORTag(_TAG, [protected, unprotected, payload, signature])
    return cbor2.dumps(tagged, canonical=True)


def payload_of(message: bytes) -> bytes:
    """Return the payload inside a Sig_structure.

    Raises:
        EnvelopeMalformedError: it is none.
    """
    return read_message(message)[1]


def read_message(message: bytes) -> tuple[Scheme, bytes]:
    """Return how a Sig_structure is to be signed, and the payload inside it.

    Raises:
        EnvelopeMalformedError: it is none.
    """
    protected, payload = _parts(message)
    headers = _protected(protected)
    _parsed(headers.get(_TIME))
    if _EXPIRY in headers:
        _parsed(headers[_EXPIRY])
    return _SCHEMES[headers[_ALG]], payload


def parse(content: bytes) -> UnverifiedEnvelope:
    """Read an envelope.

    Raises:
        EnvelopeMalformedError: it is none.
    """
    if len(content) > MAX_ENVELOPE_BYTES:
        raise EnvelopeMalformedError("the envelope is too long")
    tagged = _loaded(content)
    if not isinstance(tagged, cbor2.CBORTag) or tagged.tag != _TAG:
        raise EnvelopeMalformedError("not a tagged COSE_Sign1")
    match tagged.value:  # inside a tag cbor2's maps and lists may be immutable ones
        case [
            bytes() as protected,
            dict() | cbor2.frozendict() as unprotected,
            bytes() as payload,
            bytes() as signature,
        ]:
            pass
        case _:
            raise EnvelopeMalformedError("not the four parts of a COSE_Sign1")
    headers = _protected(protected)
    expiry = headers.get(_EXPIRY)
    agent, timestamp = unprotected.get(_AGENT), unprotected.get(_TIMESTAMP)
    if not isinstance(agent, str | None) or not isinstance(timestamp, bytes | None):
        raise EnvelopeMalformedError("an unprotected header is of another type")
    return UnverifiedEnvelope(
        unverified_payload=payload,
        unverified_signing_time=_parsed(headers.get(_TIME)),
        unverified_expiry=None if expiry is None else _parsed(expiry),
        unverified_chain=_chain(unprotected.get(_X5CHAIN)),
        unverified_agent=agent,
        unverified_timestamp=timestamp,
        scheme=_SCHEMES[headers[_ALG]],
        message=_structure(protected, payload),
        signature=signature,
    )


def _chain(value: object) -> tuple[bytes, ...]:
    # A chain of one is the certificate itself (RFC 9360, 2).
    listed = (value,) if isinstance(value, bytes) else value
    if not isinstance(listed, list | tuple) or not 1 <= len(listed) <= MAX_CHAIN:
        raise EnvelopeMalformedError("the envelope holds no certificate chain")
    require(all(isinstance(each, bytes) for each in listed), "a certificate is not bytes")
    return tuple(listed)


def _structure(protected: bytes, payload: bytes) -> bytes:
    return cbor2.dumps([_CONTEXT, protected, b"", payload])


def _parts(message: bytes) -> tuple[bytes, bytes]:
    match _loaded(message):
        case ["Signature1", bytes() as protected, b"", bytes() as payload]:
            if _structure(protected, payload) == message:
                return protected, payload
    raise EnvelopeMalformedError("not a Sig_structure")


def _protected(encoded: bytes) -> dict[Any, Any]:
    """Return the protected headers, all of them understood and none missing."""
    headers = _loaded(encoded)
    known = {_ALG, _CRIT, _CONTENT_TYPE, _SCHEME, _TIME, _EXPIRY}
    if not isinstance(headers, dict) or not headers.keys() <= known:
        raise EnvelopeMalformedError("the envelope has protected headers that are unknown")
    require_headers(
        headers.get(_CRIT),
        {_SCHEME} | ({_EXPIRY} & headers.keys()),
        content_type=headers.get(_CONTENT_TYPE),
        signing_scheme=headers.get(_SCHEME),
    )
    algorithm = headers.get(_ALG)
    require(
        type(algorithm) is int and algorithm in _SCHEMES,
        "the algorithm is none that the Notary Project allows",
    )
    return headers


def _loaded(content: bytes) -> Any:
    """Read one CBOR value; a key that occurs twice and bytes behind the value are refused."""
    stream = BytesIO(content)
    try:
        decoder = cbor2.CBORDecoder(stream, max_depth=_MAX_DEPTH, allow_duplicate_keys=False)
        value = decoder.decode()
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as error:
        raise EnvelopeMalformedError("not CBOR") from error
    if stream.read(1):
        raise EnvelopeMalformedError("there are bytes behind the CBOR value")
    return value


def _parsed(value: object) -> datetime:
    # cbor2 reads tag 1 as a time in UTC.
    if not isinstance(value, datetime) or value.microsecond:
        raise EnvelopeMalformedError("a time is not a tagged number of whole seconds")
    return value.astimezone(UTC)


def _moment(at: datetime) -> cbor2.CBORTag:
    return cbor2.CBORTag(_TIME_TAG, int(whole_seconds(at).timestamp()))
