"""Certificate chains to judge: good ones, and any way of making them bad.

Keys are made in memory, once for each kind: nothing here is worth protecting.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 6, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
CODE_SIGNING = (ExtendedKeyUsageOID.CODE_SIGNING,)
TIME_STAMPING = (ExtendedKeyUsageOID.TIME_STAMPING,)
KEY_USAGE_BITS = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@lru_cache(maxsize=64)
def private_key(kind: str, number: int = 0) -> Any:
    """Return the `number`th key of a kind: p256, rsa-2048, ed25519, …"""
    curves = {
        "p224": ec.SECP224R1,
        "p256": ec.SECP256R1,
        "p384": ec.SECP384R1,
        "p521": ec.SECP521R1,
    }
    if kind in curves:
        return ec.generate_private_key(curves[kind]())
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "dsa":
        return dsa.generate_private_key(2048)
    return rsa.generate_private_key(65537, int(kind.removeprefix("rsa-")))


def name(common_name: str, **more: str) -> x509.Name:
    """A subject that notation can match, unless `more` says otherwise; "" leaves one out."""
    values = {
        "COUNTRY_NAME": "CH",
        "STATE_OR_PROVINCE_NAME": "Bern",
        "ORGANIZATION_NAME": "Example",
        "COMMON_NAME": common_name,
        **more,
    }
    return x509.Name(
        [x509.NameAttribute(getattr(NameOID, oid), value) for oid, value in values.items() if value]
    )


@dataclass(frozen=True)
class Spec:
    """One certificate as it is asked for. `usage` None leaves keyUsage out, and so on."""

    subject: x509.Name
    kind: str = "p256"
    number: int = 0
    is_ca: bool | None = None
    path_length: int | None = None
    constraints_critical: bool = True
    usage: frozenset[str] | None = frozenset({"digital_signature"})
    usage_critical: bool = True
    extended: Sequence[x509.ObjectIdentifier] | None = None
    extended_critical: bool = False
    begin: datetime = NOW - YEAR
    end: datetime = NOW + YEAR
    hashed: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)
    pss_salt: int | None = None
    issuer: x509.Name | None = None
    """Another name than the issuer's own."""
    signer: tuple[str, int] | None = None
    """Another key than the issuer's own."""
    more: Sequence[tuple[x509.ExtensionType, bool]] = ()
    public: Any = None
    """Somebody's public key, whose private half is elsewhere."""

    @property
    def key(self) -> Any:
        return private_key(self.kind, self.number)


def leaf(common_name: str = "release 1", **more: Any) -> Spec:
    return Spec(name(common_name), number=1, **{"extended": CODE_SIGNING, **more})


def stamping_leaf(**more: Any) -> Spec:
    wanted = {"extended": TIME_STAMPING, "extended_critical": True, **more}
    return Spec(name("timestamps"), number=1, **wanted)


def ca(common_name: str, number: int, **more: Any) -> Spec:
    wanted = {"is_ca": True, "usage": frozenset({"key_cert_sign"}), "end": NOW + 5 * YEAR, **more}
    return Spec(name(common_name), number=number, **wanted)


def chain_specs(length: int = 3, first: Spec | None = None) -> list[Spec]:
    """Leaf, intermediates, root."""
    between = [ca(f"intermediate {n}", 10 + n) for n in range(1, length - 1)]
    root = [ca("root", 9)] if length > 1 else []
    return [first or leaf(), *between, *root]


def issue(specs: Sequence[Spec]) -> list[bytes]:
    """Make the certificates, each signed by the next, the last by itself."""
    issuers = [*specs[1:], specs[-1]]
    return [
        _certificate(spec, issuer).public_bytes(Encoding.DER)
        for spec, issuer in zip(specs, issuers, strict=True)
    ]


def with_change(specs: Sequence[Spec], position: int, **change: Any) -> list[Spec]:
    changed = list(specs)
    changed[position] = replace(changed[position], **change)
    return changed


def _certificate(spec: Spec, issuer: Spec) -> x509.Certificate:
    public = spec.public or spec.key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(spec.subject)
        .issuer_name(spec.issuer or issuer.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(spec.begin)
        .not_valid_after(spec.end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    builder = builder.add_extension(authority, critical=False)
    if spec.is_ca is not None:
        constraints = x509.BasicConstraints(spec.is_ca, spec.path_length)
        builder = builder.add_extension(constraints, critical=spec.constraints_critical)
    if spec.usage is not None:
        bits = {bit: bit in spec.usage for bit in KEY_USAGE_BITS}
        builder = builder.add_extension(x509.KeyUsage(**bits), critical=spec.usage_critical)
    if spec.extended is not None:
        extended = x509.ExtendedKeyUsage(spec.extended)
        builder = builder.add_extension(extended, critical=spec.extended_critical)
    for extension, critical in spec.more:
        builder = builder.add_extension(extension, critical=critical)
    key = issuer.key if spec.signer is None else private_key(*spec.signer)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return builder.sign(key, None)
    if spec.pss_salt is not None:
        pss = padding.PSS(padding.MGF1(spec.hashed), spec.pss_salt)
        return builder.sign(key, spec.hashed, rsa_padding=pss)
    return builder.sign(key, spec.hashed)


def pem_of(certificates: Sequence[bytes]) -> str:
    return "".join(
        x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()
        for der in certificates
    )


def openssl_verifies(
    certificates: Sequence[bytes], folder: Path, at: datetime, *, purpose: str | None = None
) -> str | None:
    """Ask `openssl verify -x509_strict`; return None if it accepts, else what it says."""
    trusted, between, first = folder / "root.pem", folder / "between.pem", folder / "leaf.pem"
    trusted.write_text(pem_of(certificates[-1:]))
    between.write_text(pem_of(certificates[1:-1]))
    first.write_text(pem_of(certificates[:1]))
    command = ["openssl", "verify", "-x509_strict", "-attime", str(int(at.timestamp()))]
    command += ["-CAfile", str(trusted)]
    if len(certificates) > 2:
        command += ["-untrusted", str(between)]
    if purpose is not None:
        command += ["-purpose", purpose]
    done = subprocess.run([*command, str(first)], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stdout + done.stderr
