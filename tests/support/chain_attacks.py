"""Certificates that break one rule each: the change that breaks it, and the rule."""

from __future__ import annotations

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

from service.verification.chains import FaultCode
from tests.support.chains import NOW, name

SIGN = "digital_signature"
OWN_USAGE = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")

LEAF: dict[str, tuple[dict[str, object], FaultCode]] = {
    "is a CA": ({"is_ca": True}, FaultCode.BASIC_CONSTRAINTS),
    "no key usage": ({"usage": None}, FaultCode.KEY_USAGE),
    "key usage not critical": ({"usage_critical": False}, FaultCode.KEY_USAGE),
    "no digitalSignature": ({"usage": frozenset({"content_commitment"})}, FaultCode.KEY_USAGE),
    **{
        f"also {bit}": ({"usage": frozenset({SIGN, bit})}, FaultCode.KEY_USAGE)
        for bit in (
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
        )
    },
    "also encipherOnly": (
        {"usage": frozenset({SIGN, "key_agreement", "encipher_only"})},
        FaultCode.KEY_USAGE,
    ),
    "also decipherOnly": (
        {"usage": frozenset({SIGN, "key_agreement", "decipher_only"})},
        FaultCode.KEY_USAGE,
    ),
    **{
        f"also {usage}": (
            {"extended": (Usage.CODE_SIGNING, oid)},
            FaultCode.EXTENDED_KEY_USAGE,
        )
        for usage, oid in {
            "serverAuth": Usage.SERVER_AUTH,
            "clientAuth": Usage.CLIENT_AUTH,
            "emailProtection": Usage.EMAIL_PROTECTION,
            "timeStamping": Usage.TIME_STAMPING,
            "OCSPSigning": Usage.OCSP_SIGNING,
            "anyExtendedKeyUsage": Usage.ANY_EXTENDED_KEY_USAGE,
        }.items()
    },
    "only a usage of somebody's own": (
        {"extended": (OWN_USAGE,)},
        FaultCode.EXTENDED_KEY_USAGE,
    ),
    "no country": ({"subject": name("a", COUNTRY_NAME="")}, FaultCode.SUBJECT),
    "no state": ({"subject": name("a", STATE_OR_PROVINCE_NAME="")}, FaultCode.SUBJECT),
    "no organisation": ({"subject": name("a", ORGANIZATION_NAME="")}, FaultCode.SUBJECT),
    "an attribute that Go prints as hex": (
        {"subject": name("a", DOMAIN_COMPONENT="example")},
        FaultCode.SUBJECT,
    ),
    "a value that notation does not read": ({"subject": name("a=#b")}, FaultCode.SUBJECT),
    "two units": (
        {
            "subject": x509.Name(
                [
                    *name("a"),
                    x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "one"),
                    x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "two"),
                ]
            )
        },
        FaultCode.SUBJECT,
    ),
    "an Ed25519 key": ({"kind": "ed25519"}, FaultCode.KEY),
    "a DSA key": ({"kind": "dsa"}, FaultCode.KEY),
    "a curve that notation does not know": ({"kind": "p224"}, FaultCode.KEY),
    "an RSA key of an odd size": ({"kind": "rsa-2056"}, FaultCode.KEY),
    "not valid yet": ({"begin": NOW + timedelta(seconds=1)}, FaultCode.VALIDITY),
    "expired": ({"end": NOW - timedelta(seconds=1)}, FaultCode.VALIDITY),
    "signed by another key": ({"signer": ("p256", 77)}, FaultCode.SIGNATURE),
    "issued by another name": ({"issuer": name("somebody else")}, FaultCode.ORDER),
    "a hash that Go does not check": ({"hashed": hashes.SHA224()}, FaultCode.SIGNATURE_ALGORITHM),
}

CA: dict[str, tuple[dict[str, object], FaultCode]] = {
    "no basic constraints": ({"is_ca": None}, FaultCode.BASIC_CONSTRAINTS),
    "no CA": ({"is_ca": False}, FaultCode.BASIC_CONSTRAINTS),
    "constraints not critical": ({"constraints_critical": False}, FaultCode.BASIC_CONSTRAINTS),
    "no key usage": ({"usage": None}, FaultCode.KEY_USAGE),
    "key usage not critical": ({"usage_critical": False}, FaultCode.KEY_USAGE),
    "may not sign certificates": ({"usage": frozenset({SIGN})}, FaultCode.KEY_USAGE),
    "a short RSA key": ({"kind": "rsa-1024"}, FaultCode.KEY),
    "a DSA key": ({"kind": "dsa"}, FaultCode.KEY),
    "expired": ({"end": NOW - timedelta(seconds=1)}, FaultCode.VALIDITY),
    "not valid yet": ({"begin": NOW + timedelta(seconds=1)}, FaultCode.VALIDITY),
}

STAMPING: dict[str, dict[str, object]] = {
    "not critical": {"extended_critical": False},
    "none": {"extended": None},
    "another": {"extended": (Usage.CODE_SIGNING,)},
    "another beside it": {"extended": (Usage.TIME_STAMPING, Usage.CODE_SIGNING)},
    "one of somebody's own beside it": {"extended": (Usage.TIME_STAMPING, OWN_USAGE)},
}
