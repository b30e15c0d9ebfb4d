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
from types import MappingProxyType
from typing import Any, ClassVar, Final

from asn1crypto import algos, cms, core, tsp, x509

from service.domain.keys import Algorithm, Scheme
from service.domain.limits import MAX_TIMESTAMP_QUERY_BYTES

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


class _Response(core.Sequence):  # type: ignore[misc]  # untyped
    """TimeStampResp (RFC 3161, 2.4.2); in asn1crypto's own the token is not optional."""

    _fields: ClassVar[list[Any]] = [
        ("status", tsp.PKIStatusInfo),
        ("time_stamp_token", cms.ContentInfo, {"optional": True}),
    ]


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


def parse_query(der: bytes) -> Query:
    """Read a TimeStampReq (RFC 3161, 2.4.1).

    Raises:
        QueryRefusedError: with the failure that the reply must tell.
    """
    if len(der) > MAX_TIMESTAMP_QUERY_BYTES:
        raise QueryRefusedError(Failure.BAD_DATA_FORMAT, "the query is too long")
    try:
        request = tsp.TimeStampReq.load(der, strict=True)
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
    if canonical != der:
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
    info = tsp.TSTInfo(
        {
            "version": "v1",
            "policy": POLICY,
            "message_imprint": {
                "hash_algorithm": {"algorithm": query.imprint_algorithm},
                "hashed_message": query.imprint,
            },
            "serial_number": serial,
            "gen_time": at.replace(microsecond=0),
            "accuracy": {"seconds": ACCURACY_SECONDS},
            **({} if query.nonce is None else {"nonce": query.nonce}),
        }
    ).dump()
    digest, _ = _SIGNATURES[scheme]
    attributes = cms.CMSAttributes(
        [
            {"type": "content_type", "values": ["tst_info"]},
            {"type": "message_digest", "values": [_hash(digest, info)]},
            {"type": "signing_certificate_v2", "values": [_signing_certificate(certificate)]},
        ]
    )
    return Prepared(info, attributes.dump())


def reply(
    query: Query, prepared: Prepared, signature: bytes, *, chain: Sequence[bytes], scheme: Scheme
) -> bytes:
    """Return the DER TimeStampResp that grants the query; `chain` is DER, leaf first."""
    digest, algorithm = _SIGNATURES[scheme]
    leaf = x509.Certificate.load(chain[0])
    signer = cms.SignerInfo(
        {
            "version": "v1",
            "sid": {
                "issuer_and_serial_number": {
                    "issuer": leaf.issuer,
                    "serial_number": leaf.serial_number,
                }
            },
            "digest_algorithm": {"algorithm": digest},
            "signed_attrs": cms.CMSAttributes.load(prepared.to_be_signed),
            "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": algorithm}),
            "signature": signature,
        }
    )
    data: dict[str, Any] = {
        "version": "v3",
        "digest_algorithms": [{"algorithm": digest}],
        "encap_content_info": {
            "content_type": "tst_info",
            "content": core.ParsableOctetString(prepared.info),
        },
        "signer_infos": [signer],
    }
    if query.certificates_wanted:
        data["certificates"] = [x509.Certificate.load(each) for each in chain]
    token = cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(data)})
    answer: bytes = _Response({"status": {"status": "granted"}, "time_stamp_token": token}).dump()
    return answer


def rejection(refused: QueryRefusedError) -> bytes:
    """Return the DER TimeStampResp that says why there is no token."""
    answer: bytes = _Response(
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
    try:
        response = _Response.load(answer, strict=True)
        status = response["status"]["status"].native
        found = response["time_stamp_token"]
        token: bytes = b"" if isinstance(found, core.Void) else found.dump()
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise ValueError("not a TimeStampResp") from error
    if status not in ("granted", "granted_with_mods") or not token:
        raise ValueError(f"the authority answered {status}")
    return token


def _signing_certificate(certificate: bytes) -> tsp.SigningCertificateV2:
    # SHA-256 is the default of ESSCertIDv2, and DER leaves defaults out.
    return tsp.SigningCertificateV2({"certs": [{"cert_hash": _hash("sha256", certificate)}]})


def _hash(name: str, content: bytes) -> bytes:
    return hashlib.new(name, content).digest()
