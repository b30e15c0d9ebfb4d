"""Time-stamps (RFC 3161, RFC 5816): queries read strictly, tokens that every stock client takes.

Guaranteed of a token: the TSTInfo is DER; the signed attributes name content type, message
digest and, by `signingCertificateV2` with SHA-256, the certificate (RFC 5816, 2.2.1); where the
query asks for certificates the whole chain is in it, leaf first. cosign, notation-go and
`openssl ts` each refuse a token that lacks one of these. The bytes to be signed come from
`prepare`; nothing here holds a key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from service.domain.keys import Algorithm, Scheme
from service.domain.limits import MAX_TIMESTAMP_QUERY_BYTES
from service.formats import der

POLICY: Final = "1.3.6.1.4.1.57264.2"  # what sigstore's own authority states; clients check none
ACCURACY_SECONDS: Final = 1  # the time is told in whole seconds

_IMPRINTS: Final = MappingProxyType({"sha256": 32, "sha384": 48, "sha512": 64})
_MAX_NONCE_BITS: Final = 512  # a nonce is random; a longer one is an attack on somebody's parser
_SCHEMES: Final = MappingProxyType(
    {
        Algorithm.EC_P256: Scheme.ECDSA_P256_SHA256,
        Algorithm.EC_P384: Scheme.ECDSA_P384_SHA384,
        Algorithm.RSA_2048: Scheme.RSA_PKCS1_SHA256,
        Algorithm.RSA_3072: Scheme.RSA_PKCS1_SHA256,
        Algorithm.RSA_4096: Scheme.RSA_PKCS1_SHA256,
    }
)
_SIGNATURES: Final = MappingProxyType(
    {
        Scheme.ECDSA_P256_SHA256: ("sha256", "sha256_ecdsa"),
        Scheme.ECDSA_P384_SHA384: ("sha384", "sha384_ecdsa"),
        Scheme.RSA_PKCS1_SHA256: ("sha256", "sha256_rsa"),
    }
)


_POLICY_OID: Final = der.oid(POLICY)
_VERSION_1: Final = der.integer(1)
_VERSION_3: Final = der.integer(3)
_GRANTED: Final = der.sequence(der.integer(0))
_ACCURACY: Final = der.sequence(der.integer(ACCURACY_SECONDS))
_TST_INFO: Final = der.oid("1.2.840.113549.1.9.16.1.4")
_SIGNED_DATA: Final = der.oid("1.2.840.113549.1.7.2")
_MESSAGE_DIGEST: Final = der.oid("1.2.840.113549.1.9.4")
_SIGNING_CERTIFICATE_V2: Final = der.oid("1.2.840.113549.1.9.16.2.47")
_CONTENT_TYPE: Final = der.sequence(der.oid("1.2.840.113549.1.9.3"), der.set_of([_TST_INFO]))
_DIGESTS: Final = MappingProxyType(
    {
        "sha256": der.sequence(der.oid("2.16.840.1.101.3.4.2.1"), der.NULL),
        "sha384": der.sequence(der.oid("2.16.840.1.101.3.4.2.2"), der.NULL),
        "sha512": der.sequence(der.oid("2.16.840.1.101.3.4.2.3"), der.NULL),
    }
)
_ALGORITHMS: Final = MappingProxyType(
    {
        "sha256_ecdsa": der.sequence(der.oid("1.2.840.10045.4.3.2")),
        "sha384_ecdsa": der.sequence(der.oid("1.2.840.10045.4.3.3")),
        "sha256_rsa": der.sequence(der.oid("1.2.840.113549.1.1.11"), der.NULL),
    }
)


class Failure(IntEnum):
    """PKIFailureInfo (RFC 3161, 2.4.2): which bit of the answer says why."""

    BAD_ALGORITHM = 0
    BAD_REQUEST = 2
    BAD_DATA_FORMAT = 5
    UNACCEPTED_POLICY = 15
    UNACCEPTED_EXTENSION = 16


_FAILURE_NAMES: Final = MappingProxyType(
    {
        Failure.BAD_ALGORITHM: "bad_alg",
        Failure.BAD_REQUEST: "bad_request",
        Failure.BAD_DATA_FORMAT: "bad_data_format",
        Failure.UNACCEPTED_POLICY: "unaccepted_policy",
        Failure.UNACCEPTED_EXTENSION: "unaccepted_extensions",
    }
)


class QueryRefusedError(Exception):
    """The query cannot be answered with a token; the reply tells the failure."""

    def __init__(self, failure: Failure, text: str) -> None:
        super().__init__(text)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Query:
    """What a caller wants stamped: the hash of something, never the thing itself."""

    imprint_algorithm: str
    imprint: bytes
    nonce: int | None
    certificates_wanted: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """A token but for its signature, which is made over `to_be_signed` (RFC 5652, 5.4)."""

    info: bytes
    to_be_signed: bytes


def scheme(algorithm: Algorithm) -> Scheme | None:
    """Return how a key of this kind signs tokens; None for kinds that clients do not check."""
    return _SCHEMES.get(algorithm)


def query(imprint: bytes, *, nonce: int) -> bytes:
    """Return the DER TimeStampReq that asks for a token over a SHA-256, with certificates."""
    hashed = der.sequence(_DIGESTS["sha256"], der.octets(imprint))
    return der.sequence(_VERSION_1, hashed, der.integer(nonce), der.TRUE)


def parse_query(content: bytes) -> Query:
    """Read a TimeStampReq (RFC 3161, 2.4.1).

    Raises:
        QueryRefusedError: with the failure that the reply must tell.
    """
    from service.formats import rfc3161_asn1 as asn1  # noqa: PLC0415

    if len(content) > MAX_TIMESTAMP_QUERY_BYTES:
        raise QueryRefusedError(Failure.BAD_DATA_FORMAT, "the query is too long")
    try:
        request = asn1.tsp.TimeStampReq.load(content, strict=True)
        native: dict[str, Any] = request.native
        canonical = request.copy().dump(force=True)
    except (
        AttributeError,  # of asn1crypto itself, where a value has another type than its field
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        OverflowError,
    ) as error:
        raise QueryRefusedError(Failure.BAD_DATA_FORMAT, "not a TimeStampReq") from error
    if canonical != content:
        raise QueryRefusedError(Failure.BAD_DATA_FORMAT, "the query is not DER")
    if native["version"] != "v1":
        raise QueryRefusedError(Failure.BAD_REQUEST, "not version 1")
    if native["extensions"]:
        raise QueryRefusedError(Failure.UNACCEPTED_EXTENSION, "no extension is known")
    if native["req_policy"] not in (None, POLICY):
        raise QueryRefusedError(Failure.UNACCEPTED_POLICY, f"the only policy is {POLICY}")
    imprint = native["message_imprint"]
    algorithm = imprint["hash_algorithm"]["algorithm"]
    size = _IMPRINTS.get(algorithm)
    if size is None:
        raise QueryRefusedError(Failure.BAD_ALGORITHM, f"imprints are {', '.join(_IMPRINTS)}")
    if len(imprint["hashed_message"]) != size:
        raise QueryRefusedError(Failure.BAD_DATA_FORMAT, "the imprint has another length")
    nonce = native["nonce"]
    if nonce is not None and nonce.bit_length() > _MAX_NONCE_BITS:
        raise QueryRefusedError(Failure.BAD_DATA_FORMAT, "the nonce is too long")
    return Query(algorithm, imprint["hashed_message"], nonce, bool(native["cert_req"]))


def prepare(
    query: Query, *, serial: int, at: datetime, certificate: bytes, scheme: Scheme
) -> Prepared:
    """Return the token of `query` at the time `at` (UTC), ready to be signed.

    `certificate` is the DER of the leaf whose key will sign; `serial` must never repeat.
    """
    fields = [
        _VERSION_1,
        _POLICY_OID,
        der.sequence(_DIGESTS[query.imprint_algorithm], der.octets(query.imprint)),
        der.integer(serial),
        der.generalized_time(at),
        _ACCURACY,
    ]
    if query.nonce is not None:
        fields.append(der.integer(query.nonce))
    info = der.sequence(*fields)
    digest, _ = _SIGNATURES[scheme]
    attributes = (
        _CONTENT_TYPE,
        der.sequence(_MESSAGE_DIGEST, der.set_of([der.octets(_hash(digest, info))])),
        _signing_certificate(certificate),
    )
    return Prepared(info, der.set_of(attributes))


def reply(
    query: Query, prepared: Prepared, signature: bytes, *, chain: Sequence[bytes], scheme: Scheme
) -> bytes:
    """Return the DER TimeStampResp that grants the query; `chain` is DER, leaf first."""
    digest, algorithm = _SIGNATURES[scheme]
    signer = der.sequence(
        _VERSION_1,
        _issuer_and_serial(chain[0]),
        _DIGESTS[digest],
        # Implicitly tagged; what was signed is the same as a SET OF (RFC 5652, 5.4).
        bytes((der.CONTEXT_0,)) + prepared.to_be_signed[1:],
        _ALGORITHMS[algorithm],
        der.octets(signature),
    )
    data = [
        _VERSION_3,
        der.set_of([_DIGESTS[digest]]),
        der.sequence(_TST_INFO, der.tlv(der.CONTEXT_0, der.octets(prepared.info))),
    ]
    if query.certificates_wanted:
        data.append(der.set_of(chain, der.CONTEXT_0))
    data.append(der.set_of([signer]))
    token = der.sequence(_SIGNED_DATA, der.tlv(der.CONTEXT_0, der.sequence(*data)))
    return der.sequence(_GRANTED, token)


def rejection(refused: QueryRefusedError) -> bytes:
    """Return the DER TimeStampResp that says why there is no token."""
    from service.formats import rfc3161_asn1 as asn1  # noqa: PLC0415

    answer: bytes = asn1.TimestampResponse(
        {
            "status": {
                "status": "rejection",
                "status_string": [str(refused)],
                "fail_info": {_FAILURE_NAMES[refused.failure]},
            }
        }
    ).dump()
    return answer


def token_of(answer: bytes) -> bytes:
    """Return the DER ContentInfo of a granted reply: what notation's envelopes hold.

    Raises:
        ValueError: it is no reply, or one without a token.
    """
    from service.formats import rfc3161_asn1 as asn1  # noqa: PLC0415

    try:
        response = asn1.TimestampResponse.load(answer, strict=True)
        status = response["status"]["status"].native
        found = response["time_stamp_token"]
        token: bytes = b"" if isinstance(found, asn1.core.Void) else found.dump()
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise ValueError("not a TimeStampResp") from error
    if status not in ("granted", "granted_with_mods") or not token:
        raise ValueError(f"the authority answered {status}")
    return token


@lru_cache(maxsize=16)
def _signing_certificate(certificate: bytes) -> bytes:
    # SHA-256 is the default of ESSCertIDv2, and DER leaves defaults out.
    named = der.sequence(der.octets(_hash("sha256", certificate)))
    return der.sequence(_SIGNING_CERTIFICATE_V2, der.set_of([der.sequence(der.sequence(named))]))


@lru_cache(maxsize=16)
def _issuer_and_serial(certificate: bytes) -> bytes:
    from service.formats import rfc3161_asn1 as asn1  # noqa: PLC0415

    leaf = asn1.x509.Certificate.load(certificate)
    return der.sequence(leaf.issuer.dump(), der.integer(leaf.serial_number))


def _hash(name: str, content: bytes) -> bytes:
    return hashlib.new(name, content).digest()
