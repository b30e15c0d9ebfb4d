"""What a request and a certificate of ours say (RFC 2986, RFC 5280).

Profiles that notation, cosign and openssl's strict mode accept alike: keyUsage critical, one
extended usage, key identifiers, and neither CRL nor OCSP addresses, because a verifier that
cannot reach one of them refuses the signature. Every certificate that we vouch for ourselves
says so in its subject, its issuer's subject, or both.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from service.authority.private_keys import hash_for, private_key
from service.domain.certificates import Validity
from service.domain.keys import KeyVersion, Purpose
from service.domain.purposes import CAVersion
from service.domain.subjects import Subject
from service.domain.x509_names import name_of, subject_from
from service.ports.hsm import Signer

_CODE_SIGNING: Final = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
_USAGES: Final = MappingProxyType(
    {
        # Purpose: the extended usage, and whether it is critical (RFC 3161, 2.3).
        Purpose.IMAGE: (_CODE_SIGNING, False),
        Purpose.ATTESTATION: (_CODE_SIGNING, False),
        Purpose.TIMESTAMP: (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True),
    }
)
_PATH_LENGTH: Final = 0  # our CA certifies signers, and no other CA


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True, slots=True)
class HSMCertificateMaker:
    """`service.ports.certificates.CertificateMaker` over a Signer."""

    signer: Signer

    def request(self, version: KeyVersion, subject: Subject) -> bytes:
        extended, critical = _USAGES[version.purpose]
        builder = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(name_of(subject))
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(extended, critical=critical)
        )
        made = builder.sign(private_key(self.signer, version), hash_for(version))
        return made.public_bytes(Encoding.DER)

    def root(self, ca: CAVersion, subject: Subject, validity: Validity) -> bytes:
        builder = _builder(ca.public_key, subject, subject, validity)
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=_PATH_LENGTH), critical=True
        ).add_extension(_key_usage(signs_certificates=True), critical=True)
        return self._signed(builder, ca)

    def leaf(
        self,
        ca: CAVersion,
        root: bytes,
        *,
        public_key: bytes,
        purpose: Purpose,
        subject: Subject,
        validity: Validity,
    ) -> bytes:
        issuer = x509.load_der_x509_certificate(root)
        known = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known.value)
        builder = _builder(public_key, subject, subject_from(issuer.subject), validity)
        builder = builder.add_extension(authority, critical=False)
        return self._signed(_as_signer(builder, purpose), ca)

    def lone(self, version: KeyVersion, subject: Subject, validity: Validity) -> bytes:
        builder = _builder(version.public_key, subject, subject, validity)
        return self._signed(_as_signer(builder, version.purpose), version)

    def _signed(self, builder: x509.CertificateBuilder, version: KeyVersion) -> bytes:
        made = builder.sign(private_key(self.signer, version), hash_for(version))
        return made.public_bytes(Encoding.DER)


def _builder(
    public_key: bytes, subject: Subject, issuer: Subject, validity: Validity
) -> x509.CertificateBuilder:
    public = load_der_public_key(public_key)
    return (
        x509.CertificateBuilder()
        .subject_name(name_of(subject))
        .issuer_name(name_of(issuer))
        .public_key(public)  # type: ignore[arg-type]  # a pinned key is of a kind that signs
        # 159 random bits: RFC 5280, 4.1.2.2 allows 20 octets, and ours are never repeated.
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.begin)
        .not_valid_after(validity.end)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(public),  # type: ignore[arg-type]  # as above
            critical=False,
        )
    )


def _as_signer(builder: x509.CertificateBuilder, purpose: Purpose) -> x509.CertificateBuilder:
    extended, critical = _USAGES[purpose]
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(extended, critical=critical)
    )
