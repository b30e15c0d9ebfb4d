"""Judges time stamps (RFC 3161, 5816; CMS: RFC 5652) against the authorities that are trusted.

A stamp proves that the bytes it is over existed at its time, if an authority's key has signed
exactly that, in a token that names its certificate, and if the certificates led to a trusted root
at that time. What came of them later is no matter: they are in the token for good. Stricter than
the RFCs only where cosign, notation-go or `openssl ts` are: one signer, SHA-2, no `ESSCertID`
with SHA-1, extendedKeyUsage critical and alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import new as new_hash
from types import MappingProxyType
from typing import Any, Final

from asn1crypto import cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from service.formats.rfc3161 import TimestampResponse
from service.verification.certificate_rules import FaultCode, Use
from service.verification.chains import MAX_CERTIFICATES, ChainInvalidError, check_chain

MAX_STAMP_BYTES: Final = 64 * 1024  # with a whole chain some six thousand
WITHOUT_ACCURACY: Final = timedelta(seconds=1)  # of a time in whole seconds

_HASHES: Final = MappingProxyType(
    {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
)
_SIGNING_CERTIFICATE: Final = "signing_certificate_v2"
_UNREADABLE: Final = (
    AttributeError,  # of asn1crypto itself, where a value has another type than its field
    ValueError,
    TypeError,
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


@dataclass(frozen=True, slots=True)
class TrustedAuthority:
    """Whose stamps are believed: `roots` are DER certificates.

    `keys`: the public keys (DER SubjectPublicKeyInfo) that may stamp, None for all that a root
    vouches for. `between` are certificates that tokens may leave out.
    """

    name: str
    roots: tuple[bytes, ...]
    keys: frozenset[bytes] | None = None
    between: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Stamp:
    """A stamp that was checked: what it is over existed at `at`, as `authority` has it.

    `at` is the latest time that its accuracy leaves open.
    """

    authority: str
    at: datetime
    told: datetime
    """The time as the token tells it."""


def token_in(reply: bytes) -> bytes:
    """Return the token of a TimeStampResp.

    Raises:
        StampInvalidError: it is none, or the authority has refused.
    """
    if len(reply) > MAX_STAMP_BYTES:
        raise StampInvalidError(StampFault.MALFORMED, f"it has {len(reply)} bytes")
    try:
        response = TimestampResponse.load(reply, strict=True)
        status = response["status"].native
        found = response["time_stamp_token"]
        token: bytes = b"" if isinstance(found, core.Void) else found.dump()
    except _UNREADABLE as error:
        raise StampInvalidError(StampFault.MALFORMED, "it is no TimeStampResp") from error
    if status["status"] not in ("granted", "granted_with_mods") or not token:
        said = "; ".join(status["status_string"] or ()) or ", ".join(status["fail_info"] or ())
        text = f"the authority answered {status['status']}{': ' if said else ''}{said[:200]}"
        raise StampInvalidError(StampFault.NOT_GRANTED, text)
    return token


def check_stamp(
    token: bytes, message: bytes, authorities: Sequence[TrustedAuthority], *, nonce: int | None
) -> Stamp:
    """Check a token (ContentInfo) over `message`; with a `nonce` it must hold this one.

    Raises:
        StampInvalidError: with the first thing that is wrong.
    """
    read = _read(token)
    if read.hashed(message) != read.imprint:
        raise StampInvalidError(StampFault.OTHER_CONTENT, "it is over something else")
    if nonce is not None and read.nonce != nonce:
        raise StampInvalidError(StampFault.OTHER_NONCE, "it answers another query")
    leaf = read.signed_by()
    fault = StampInvalidError(StampFault.UNTRUSTED, "no authority is trusted here")
    for authority in authorities:
        try:
            _check_certificates(leaf, read, authority)
        except StampInvalidError as error:
            # Of one who is trusted and whose certificate has ended that is the better reason.
            fault = fault if fault.fault is StampFault.EXPIRED else error
        else:
            return Stamp(authority.name, read.latest, read.at)
    raise fault


@dataclass(frozen=True, slots=True)
class _Token:
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
        except (*_UNREADABLE, UnsupportedAlgorithm) as error:
            raise StampInvalidError(StampFault.MALFORMED, "its signer cannot be read") from error
        return leaf


def _read(token: bytes) -> _Token:
    if len(token) > MAX_STAMP_BYTES:
        raise StampInvalidError(StampFault.MALFORMED, f"it has {len(token)} bytes")
    try:
        content = cms.ContentInfo.load(token, strict=True)
        _require(content["content_type"].native == "signed_data", "it is not signed data")
        data = content["content"]
        inside = data["encap_content_info"]
        _require(inside["content_type"].native == "tst_info", "it holds no TSTInfo")
        info: bytes = bytes(inside["content"])
        told = tsp.TSTInfo.load(info, strict=True).native
        signers = data["signer_infos"]
        _require(len(signers) == 1, "it has not one signer")
        certificates = data["certificates"]
        listed = () if isinstance(certificates, core.Void) else tuple(certificates)
        imprint = told["message_imprint"]
        algorithm = imprint["hash_algorithm"]["algorithm"]
        _require(told["version"] == "v1", "it is not of version 1")
        _require(algorithm in _HASHES, f"it is over a hash by {algorithm}")
        _require(not told["extensions"], "it has extensions that are unknown")
        at = told["gen_time"].astimezone(UTC)
        return _Token(
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
    named = sid.chosen
    for der in certificates:
        certificate = asn1_x509.Certificate.load(der, strict=True)
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


def _check_certificates(leaf: bytes, read: _Token, authority: TrustedAuthority) -> None:
    """Raise StampInvalidError unless the authority's root vouched for the leaf at that time."""
    path = _path(leaf, (*read.certificates, *authority.between), authority.roots)
    if path is None:
        raise StampInvalidError(StampFault.UNTRUSTED, "its certificates lead to no trusted root")
    try:
        chain = check_chain(path, use=Use.TIMESTAMPING, at=read.at)
    except ChainInvalidError as error:
        expired = all(fault.code is FaultCode.VALIDITY for fault in error.faults)
        fault = StampFault.EXPIRED if expired else StampFault.UNTRUSTED
        raise StampInvalidError(fault, str(error)) from error
    if authority.keys is not None and chain.public_key not in authority.keys:
        text = "the key that has stamped is not trusted, whoever vouches for it"
        raise StampInvalidError(StampFault.UNTRUSTED, text)


def _path(
    leaf: bytes, between: Sequence[bytes], roots: Sequence[bytes]
) -> tuple[bytes, ...] | None:
    """Return the certificates from the leaf to one of the roots, or None."""
    known = [*_parsed(roots), *_parsed(between)]
    path, current = [leaf], x509.load_der_x509_certificate(leaf)
    while path[-1] not in roots:
        issuer = next((one for one in known if _issued(current, one[1])), None)
        if issuer is None or issuer[0] in path or len(path) >= MAX_CERTIFICATES:
            return None
        path.append(issuer[0])
        current = issuer[1]
    return tuple(path)


def _parsed(certificates: Sequence[bytes]) -> Iterator[tuple[bytes, x509.Certificate]]:
    for der in certificates:
        try:
            yield der, x509.load_der_x509_certificate(der)
        except (ValueError, UnsupportedAlgorithm):
            continue  # nobody is issued by what cannot be read


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True
