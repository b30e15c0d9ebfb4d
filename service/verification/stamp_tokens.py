"""Reads time-stamp tokens (RFC 3161, 5816; CMS: RFC 5652), and checks what they say of themselves.

What is read is not yet believed: whose certificate it is, `service.verification.stamps` asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import new as new_hash
from types import MappingProxyType
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from service.verification.chains import UNREADABLE

MAX_STAMP_BYTES: Final = 64 * 1024  # with a whole chain some six thousand
WITHOUT_ACCURACY: Final = timedelta(seconds=1)  # of a time in whole seconds

_HASHES: Final = MappingProxyType(
    {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
)
_SIGNING_CERTIFICATE: Final = "signing_certificate_v2"
_UNREADABLE: Final = (
    *UNREADABLE,
    AttributeError,  # of asn1crypto itself, where a value has another type than its field
    KeyError,
    IndexError,
    OverflowError,
    RecursionError,
)


class StampFault(StrEnum):
    """What can be wrong with a stamp. Stable, as error codes are."""

    MALFORMED = "malformed"
    NOT_GRANTED = "not-granted"
    OTHER_CONTENT = "other-content"
    OTHER_NONCE = "other-nonce"
    SIGNATURE = "signature"
    UNTRUSTED = "untrusted"
    EXPIRED = "expired"


class StampInvalidError(ValueError):
    def __init__(self, fault: StampFault, text: str) -> None:
        super().__init__(text)
        self.fault = fault


def token_in(reply: bytes) -> bytes:
    """Return the token of a TimeStampResp.

    Raises:
        StampInvalidError: it is none, or the authority has refused.
    """
    from service.formats import rfc3161_asn1 as asn1  # noqa: PLC0415

    if len(reply) > MAX_STAMP_BYTES:
        raise StampInvalidError(StampFault.MALFORMED, f"it has {len(reply)} bytes")
    try:
        response = asn1.TimestampResponse.load(reply, strict=True)
        status = response["status"].native
        found = response["time_stamp_token"]
        token: bytes = b"" if isinstance(found, asn1.core.Void) else found.dump()
    except _UNREADABLE as error:
        raise StampInvalidError(StampFault.MALFORMED, "it is no TimeStampResp") from error
    if status["status"] not in ("granted", "granted_with_mods") or not token:
        said = "; ".join(status["status_string"] or ()) or ", ".join(status["fail_info"] or ())
        text = f"the authority answered {status['status']}{': ' if said else ''}{said[:200]}"
        raise StampInvalidError(StampFault.NOT_GRANTED, text)
    return token


@dataclass(frozen=True, slots=True)
class Token:
    """`latest`: as far as the accuracy of `at` leaves it open."""

    info: bytes
    imprint_algorithm: str
    imprint: bytes
    at: datetime
    latest: datetime
    nonce: int | None
    certificates: tuple[bytes, ...]
    signer: Any

    def hashed(self, message: bytes) -> bytes:
        return new_hash(self.imprint_algorithm, message).digest()

    def signed_by(self) -> bytes:
        """Return the certificate by which the token is signed, as it names it itself."""
        try:
            leaf = _leaf(self.signer["sid"], self.certificates)
            _check_attributes(self.signer, self.info, leaf)
            _check_signature(self.signer, leaf)
        except StampInvalidError:
            raise
        except _UNREADABLE as error:
            raise StampInvalidError(StampFault.MALFORMED, "its signer cannot be read") from error
        return leaf


def read_token(token: bytes) -> Token:
    from service.formats import rfc3161_asn1 as asn1  # noqa: PLC0415

    if len(token) > MAX_STAMP_BYTES:
        raise StampInvalidError(StampFault.MALFORMED, f"it has {len(token)} bytes")
    try:
        content = asn1.cms.ContentInfo.load(token, strict=True)
        _require(content["content_type"].native == "signed_data", "it is not signed data")
        data = content["content"]
        inside = data["encap_content_info"]
        _require(inside["content_type"].native == "tst_info", "it holds no TSTInfo")
        info: bytes = bytes(inside["content"])
        told = asn1.tsp.TSTInfo.load(info, strict=True).native
        signers = data["signer_infos"]
        _require(len(signers) == 1, "it has not one signer")
        certificates = data["certificates"]
        listed = () if isinstance(certificates, asn1.core.Void) else tuple(certificates)
        imprint = told["message_imprint"]
        algorithm = imprint["hash_algorithm"]["algorithm"]
        _require(told["version"] == "v1", "it is not of version 1")
        _require(algorithm in _HASHES, f"it is over a hash by {algorithm}")
        _require(not told["extensions"], "it has extensions that are unknown")
        at = told["gen_time"].astimezone(UTC)
        return Token(
            info,
            algorithm,
            imprint["hashed_message"],
            at,
            at + _accuracy(told["accuracy"]),
            told["nonce"],
            tuple(certificate.dump() for certificate in listed),
            signers[0],
        )
    except StampInvalidError:
        raise
    except _UNREADABLE as error:
        raise StampInvalidError(StampFault.MALFORMED, "it is no time-stamp token") from error


def _accuracy(told: dict[str, int | None] | None) -> timedelta:
    if told is None:
        return WITHOUT_ACCURACY
    given = timedelta(
        seconds=told["seconds"] or 0,
        milliseconds=told["millis"] or 0,
        microseconds=told["micros"] or 0,
    )
    return given or WITHOUT_ACCURACY


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise StampInvalidError(StampFault.MALFORMED, text)


def _leaf(sid: Any, certificates: Sequence[bytes]) -> bytes:
    from service.formats import rfc3161_asn1 as asn1  # noqa: PLC0415

    named = sid.chosen
    for der in certificates:
        certificate = asn1.x509.Certificate.load(der, strict=True)
        if sid.name == "subject_key_identifier":
            if certificate.key_identifier == named.native:
                return der
        elif (
            certificate.issuer.dump() == named["issuer"].dump()
            and certificate.serial_number == named["serial_number"].native
        ):
            return der
    # notation-go and cosign find no other certificate than one in the token.
    raise StampInvalidError(StampFault.MALFORMED, "it does not hold its signer's certificate")


def _check_attributes(signer: Any, info: bytes, leaf: bytes) -> None:
    """What is signed names type and hash of the content, and the certificate, each once."""
    digest = signer["digest_algorithm"]["algorithm"].native
    _require(digest in _HASHES, f"its signer hashes by {digest}")
    values: dict[str, Any] = {}
    for attribute in signer["signed_attrs"]:
        name = attribute["type"].native
        _require(name not in values, "an attribute stands in it twice")
        _require(len(attribute["values"]) == 1, "an attribute has not one value")
        values[name] = attribute["values"][0]
    wanted = {"content_type", "message_digest", _SIGNING_CERTIFICATE}
    _require(wanted <= values.keys(), "an attribute is missing that clients want")
    _require(values["content_type"].native == "tst_info", "its signer has signed something else")
    if values["message_digest"].native != new_hash(digest, info).digest():
        raise StampInvalidError(StampFault.SIGNATURE, "its content is not what was signed")
    named = values[_SIGNING_CERTIFICATE]["certs"][0]
    algorithm = named["hash_algorithm"]["algorithm"].native
    _require(algorithm in _HASHES, f"it names its certificate by {algorithm}")
    if named["cert_hash"].native != new_hash(algorithm, leaf).digest():
        raise StampInvalidError(StampFault.SIGNATURE, "it names another certificate")


def _check_signature(signer: Any, leaf: bytes) -> None:
    algorithm = signer["signature_algorithm"]
    hashed = _HASHES[signer["digest_algorithm"]["algorithm"].native]
    attributes: bytes = signer["signed_attrs"].dump()
    # Implicitly tagged in the token; a SET OF where it is signed (RFC 5652, 5.4).
    message = b"\x31" + attributes[1:]
    signature: bytes = signer["signature"].native
    kind = algorithm.signature_algo
    own = algorithm["algorithm"].native
    if own not in ("rsassa_pkcs1v15", "ecdsa") and algorithm.hash_algo != hashed.name:
        raise StampInvalidError(StampFault.MALFORMED, "its signer names two hashes")
    key = x509.load_der_x509_certificate(leaf).public_key()
    try:
        match key, kind:
            case rsa.RSAPublicKey(), "rsassa_pkcs1v15":
                key.verify(signature, message, padding.PKCS1v15(), hashed)
            case ec.EllipticCurvePublicKey(), "ecdsa":
                key.verify(signature, message, ec.ECDSA(hashed))
            case _:
                raise StampInvalidError(StampFault.SIGNATURE, f"it is signed by {own}")
    except InvalidSignature as error:
        text = "its signature does not verify"
        raise StampInvalidError(StampFault.SIGNATURE, text) from error
