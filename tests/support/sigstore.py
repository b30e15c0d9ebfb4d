"""A whole sigstore of a test's own: certificate authority, CT log, log and time stamper.

Everything is signed with `cryptography` and written here anew, but for time stamps, which are
those of our own authority: sigstore-python and cosign, which share no code with us, judge it too.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from service.domain.keys import Scheme
from service.formats import rfc3161

NAME = "https://ci.example.com/team/app/build.yml@refs/heads/main"
ISSUER = "https://tokens.example.com"
HOST = "log.example.com"
MOMENT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
IN_TOTO = "application/vnd.in-toto+json"
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
KINDS = ("p256", "p384", "p521", "rsa", "ed25519")
_DETAILS = {
    "p256": "PKIX_ECDSA_P256_SHA_256",
    "p384": "PKIX_ECDSA_P384_SHA_384",
    "p521": "PKIX_ECDSA_P521_SHA_512",
    "rsa": "PKIX_RSA_PKCS1V15_2048_SHA256",
    "ed25519": "PKIX_ED25519",
}
_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def a_key(kind: str = "p256") -> PrivateKey:
    match kind:
        case "rsa":
            return _RSA
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
            return ec.generate_private_key(curves[kind])


def kind_of(key: PrivateKey) -> str:
    match key:
        case ec.EllipticCurvePrivateKey():
            return {256: "p256", 384: "p384", 521: "p521"}[key.key_size]
        case rsa.RSAPrivateKey():
            return "rsa"
        case ed25519.Ed25519PrivateKey():
            return "ed25519"


def hash_of(key: PrivateKey) -> str:
    return {"p384": "sha384", "p521": "sha512", "ed25519": "sha512"}.get(kind_of(key), "sha256")


def spki(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def sign(key: PrivateKey, message: bytes, hashing: str = "") -> bytes:
    hashed = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
    match key:
        case ec.EllipticCurvePrivateKey():
            return key.sign(message, ec.ECDSA(hashed[hashing or hash_of(key)]))
        case rsa.RSAPrivateKey():
            return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        case ed25519.Ed25519PrivateKey():
            return key.sign(message)


def pae(payload: bytes, kind: str = IN_TOTO) -> bytes:
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)


def statement(digest: str, *, predicate_type: str = "https://slsa.dev/provenance/v1") -> bytes:
    return json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "a", "digest": {"sha256": digest}}],
            "predicateType": predicate_type,
            "predicate": {"a": 1},
        }
    ).encode()


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _utf8(text: str) -> bytes:
    return bytes(core.UTF8String(text).dump())


@dataclass(frozen=True)
class Authority:
    """A root and what it issues; `add_root` False leaves the root out of nothing."""

    common: str
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    start: datetime = MOMENT - timedelta(days=300)
    end: datetime = MOMENT + timedelta(days=3000)

    def root(self) -> x509.Certificate:
        return (
            self._builder(_name(self.common), self.key.public_key(), self.start, self.end)
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def _builder(
        self, subject: x509.Name, key: Any, start: datetime, end: datetime
    ) -> x509.CertificateBuilder:
        above = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(_name(self.common))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above),
                critical=False,
            )
        )

    def stamper(
        self, key: ec.EllipticCurvePrivateKey, *, start: datetime, end: datetime
    ) -> x509.Certificate:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        return (
            self._builder(_name(f"{self.common} stamper"), key.public_key(), start, end)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(usage, critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def signer(
        self,
        key: Any,
        *,
        names: Sequence[x509.GeneralName],
        issuer: str | None,
        issuer_v1: str | None = None,
        raw_issuer: bytes | None = None,
        start: datetime = MOMENT - timedelta(minutes=1),
        minutes: int = 10,
        usages: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CODE_SIGNING,),
        ct_logs: Sequence[CTLog] = (),
    ) -> x509.Certificate:
        """A short-lived certificate as Fulcio issues it, seen by these CT logs."""
        builder = self._builder(
            x509.Name([]), key, start, start + timedelta(minutes=minutes)
        ).add_extension(_usage(ca=False), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if issuer is not None or raw_issuer is not None:
            oid = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
            value = x509.UnrecognizedExtension(oid, raw_issuer or _utf8(issuer or ""))
            builder = builder.add_extension(value, critical=False)
        if issuer_v1 is not None:
            oid = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
            value = x509.UnrecognizedExtension(oid, issuer_v1.encode())
            builder = builder.add_extension(value, critical=False)
        if ct_logs:
            before = builder.sign(self.key, hashes.SHA256())
            scts = [log.sct(before, self.key, start) for log in ct_logs]
            listed = b"".join(struct.pack("!H", len(one)) + one for one in scts)
            value = core.OctetString(struct.pack("!H", len(listed)) + listed).dump()
            oid = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
            builder = builder.add_extension(
                x509.UnrecognizedExtension(oid, bytes(value)), critical=False
            )
        return builder.sign(self.key, hashes.SHA256())


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True)
class CTLog:
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    extensions: bytes = b""
    damage: bool = False
    hashing: int = 4
    """SHA-256, in TLS's numbers."""

    def sct(
        self, certificate: x509.Certificate, issuer: ec.EllipticCurvePrivateKey, at: datetime
    ) -> bytes:
        tbs = certificate.tbs_certificate_bytes
        milliseconds = int(at.timestamp() * 1000)
        message = (
            struct.pack("!BBQH", 0, 0, milliseconds, 1)
            + hashlib.sha256(spki(issuer)).digest()
            + len(tbs).to_bytes(3, "big")
            + tbs
            + struct.pack("!H", len(self.extensions))
            + self.extensions
        )
        signature = sign(self.key, message + (b"x" if self.damage else b""))
        return (
            b"\x00"
            + hashlib.sha256(spki(self.key)).digest()
            + struct.pack("!QH", milliseconds, len(self.extensions))
            + self.extensions
            + bytes([self.hashing, 3])
            + struct.pack("!H", len(signature))
            + signature
        )


@dataclass(frozen=True)
class Instance:
    """`moment` is when everything that it makes is made."""

    ca: Authority = field(default_factory=lambda: Authority("a CA"))
    ct_log: CTLog = field(default_factory=CTLog)
    log_key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    tsa: Authority = field(default_factory=lambda: Authority("a TSA"))
    tsa_key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    moment: datetime = MOMENT

    def trusted_root(self) -> dict[str, Any]:
        start = {"start": "2026-01-01T00:00:00Z"}
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [self._instance(f"https://{HOST}", self.log_key, start)],
            "certificateAuthorities": [_certified("https://ca.example.com", start, self.ca.root())],
            "ctlogs": [self._instance("https://ct.example.com", self.ct_log.key, start)],
            "timestampAuthorities": [
                _certified(
                    "https://tsa.example.com", start, self.tsa_certificate(), self.tsa_root()
                )
            ],
        }

    def _instance(self, url: str, key: Any, start: dict[str, str]) -> dict[str, Any]:
        return {
            "baseUrl": url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": b64(spki(key)),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": dict(start),
            },
            "logId": {"keyId": b64(hashlib.sha256(spki(key)).digest())},
        }

    def tsa_certificate(self, *, minutes: int = 600) -> x509.Certificate:
        start = self.moment - timedelta(hours=1)
        return self._once(
            f"tsa{minutes}",
            lambda: self.tsa.stamper(
                self.tsa_key, start=start, end=start + timedelta(minutes=minutes)
            ),
        )

    def tsa_root(self) -> x509.Certificate:
        return self._once("tsa-root", self.tsa.root)

    def _once(self, name: str, make: Any) -> x509.Certificate:
        kept: dict[str, x509.Certificate] = self.__dict__.setdefault("_kept", {})
        if name not in kept:
            kept[name] = make()
        return kept[name]

    def certificate(self, key: PrivateKey, **changes: Any) -> x509.Certificate:
        asked: dict[str, Any] = {
            "names": [x509.UniformResourceIdentifier(NAME)],
            "issuer": ISSUER,
            "ct_logs": [self.ct_log],
            **changes,
        }
        return self.ca.signer(key.public_key(), **asked)

    def stamp(self, signature: bytes, *, at: datetime | None = None, chained: bool = True) -> bytes:
        """A TimeStampResp over a signature."""
        query = rfc3161.Query("sha256", hashlib.sha256(signature).digest(), 7, chained)
        certificate = self.tsa_certificate().public_bytes(serialization.Encoding.DER)
        root = self.tsa_root().public_bytes(serialization.Encoding.DER)
        prepared = rfc3161.prepare(
            query,
            serial=1,
            at=at or self.moment,
            certificate=certificate,
            scheme=Scheme.ECDSA_P256_SHA256,
        )
        return rfc3161.reply(
            query,
            prepared,
            sign(self.tsa_key, prepared.to_be_signed),
            chain=[certificate, root],
            scheme=Scheme.ECDSA_P256_SHA256,
        )

    def entry(
        self,
        body: dict[str, Any],
        *,
        promise: bool = True,
        proof: bool = True,
        at: datetime | None = None,
    ) -> dict[str, Any]:
        """An element of `tlogEntries`, the second leaf of a tree of two."""
        leaf = _canonical(body)
        time = int((at or self.moment).timestamp())
        log_id = hashlib.sha256(spki(self.log_key)).digest()
        sibling = hashlib.sha256(b"\x00the first").digest()
        root = hashlib.sha256(b"\x01" + sibling + hashlib.sha256(b"\x00" + leaf).digest()).digest()
        is_v1 = body["kind"] == "intoto" or body["apiVersion"] == "0.0.1"
        origin = f"{HOST} - 42" if is_v1 else HOST
        made: dict[str, Any] = {
            "logIndex": "1",
            "logId": {"keyId": b64(log_id)},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            "canonicalizedBody": b64(leaf),
        }
        if promise:
            signed = {
                "body": b64(leaf),
                "integratedTime": time,
                "logID": log_id.hex(),
                "logIndex": 1,
            }
            promised = sign(self.log_key, _canonical(signed))
            made["integratedTime"] = str(time)
            made["inclusionPromise"] = {"signedEntryTimestamp": b64(promised)}
        if proof:
            made["inclusionProof"] = {
                "logIndex": "1",
                "rootHash": b64(root),
                "treeSize": "2",
                "hashes": [b64(sibling)],
                "checkpoint": {"envelope": self.checkpoint(f"{origin}\n2\n{b64(root)}\n")},
            }
        return made

    def checkpoint(self, text: str, *, name: str = HOST, key: Any = None) -> str:
        signer = key or self.log_key
        hint = hashlib.sha256(spki(signer)).digest()[:4]
        return f"{text}\n\N{EM DASH} {name} {b64(hint + sign(signer, text.encode()))}\n"

    def bundle(
        self,
        content: bytes,
        *,
        key: PrivateKey | None = None,
        certificate: x509.Certificate | None = None,
        by_key: bool = False,
        in_envelope: bool = False,
        entry: str = "hashedrekord 0.0.1",
        promise: bool = True,
        proof: bool = True,
        stamped: bool = False,
        version: str = "application/vnd.dev.sigstore.bundle.v0.3+json",
        payload: bytes | None = None,
        payload_type: str = IN_TOTO,
        hashing: str = "",
        at: datetime | None = None,
    ) -> dict[str, Any]:
        """A bundle over `content`, or over a statement about it."""
        signer = key or a_key()
        leaf = None if by_key else certificate or self.certificate(signer)
        sha256 = hashlib.sha256(content)
        inside = payload if payload is not None else statement(sha256.hexdigest())
        message = pae(inside, payload_type) if in_envelope else content
        signature = sign(signer, message, hashing)
        body = _body(
            entry,
            message=message,
            payload=inside,
            signature=signature,
            key=signer,
            leaf=leaf,
            payload_type=payload_type,
        )
        made = self.entry(body, promise=promise, proof=proof, at=at)
        material: dict[str, Any] = {"tlogEntries": [made]}
        match leaf:
            case None:
                hint = b64(hashlib.sha256(spki(signer)).digest())
                material["publicKey"] = {"hint": hint}
            case _ if version.endswith(("0.1", "0.2")):
                material["x509CertificateChain"] = {"certificates": [_raw(leaf)]}
            case _:
                material["certificate"] = _raw(leaf)
        if stamped:
            stamp = self.stamp(signature, at=at)
            stamps = [{"signedTimestamp": b64(stamp)}]
            material["timestampVerificationData"] = {"rfc3161Timestamps": stamps}
        document: dict[str, Any] = {"mediaType": version, "verificationMaterial": material}
        if in_envelope:
            document["dsseEnvelope"] = {
                "payload": b64(inside),
                "payloadType": payload_type,
                "signatures": [{"sig": b64(signature)}],
            }
        else:
            document["messageSignature"] = {
                "messageDigest": {"algorithm": "SHA2_256", "digest": b64(sha256.digest())},
                "signature": b64(signature),
            }
        return document


def _certified(uri: str, start: dict[str, str], *chain: x509.Certificate) -> dict[str, Any]:
    return {
        "subject": {"organization": "example", "commonName": "example"},
        "uri": uri,
        "certChain": {"certificates": [_raw(one) for one in chain]},
        "validFor": dict(start),
    }


def _raw(certificate: x509.Certificate) -> dict[str, str]:
    return {"rawBytes": b64(certificate.public_bytes(serialization.Encoding.DER))}


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _body(
    entry: str,
    *,
    message: bytes,
    payload: bytes,
    signature: bytes,
    key: PrivateKey,
    leaf: x509.Certificate | None,
    payload_type: str,
) -> dict[str, Any]:
    kind, version = entry.split()
    named = pem(key) if leaf is None else leaf.public_bytes(serialization.Encoding.PEM)
    verifier: dict[str, Any] = {"keyDetails": _DETAILS[kind_of(key)]}
    if leaf is None:
        verifier["publicKey"] = {"rawBytes": b64(spki(key))}
    else:
        verifier["x509Certificate"] = _raw(leaf)
    hashed = hash_of(key)
    told = f"SHA2_{hashed[3:]}"
    digest = hashlib.new(hashed, message).digest()
    payload_hash = {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
    match entry:
        case "hashedrekord 0.0.1":
            spec: dict[str, Any] = {
                "data": {"hash": {"algorithm": hashed, "value": digest.hex()}},
                "signature": {"content": b64(signature), "publicKey": {"content": b64(named)}},
            }
        case "hashedrekord 0.0.2":
            inner = {
                "data": {"algorithm": told, "digest": b64(digest)},
                "signature": {"content": b64(signature), "verifier": verifier},
            }
            spec = {"hashedRekordV002": inner}
        case "dsse 0.0.1":
            spec = {
                "envelopeHash": {"algorithm": "sha256", "value": "ab" * 32},
                "payloadHash": payload_hash,
                "signatures": [{"signature": b64(signature), "verifier": b64(named)}],
            }
        case "dsse 0.0.2":
            payload_digest = b64(hashlib.sha256(payload).digest())
            spec = {
                "dsseV002": {
                    "payloadHash": {"algorithm": "SHA2_256", "digest": payload_digest},
                    "signatures": [{"content": b64(signature), "verifier": verifier}],
                }
            }
        case _:
            envelope = {
                "payloadType": payload_type,
                "signatures": [{"publicKey": b64(named), "sig": b64(b64(signature).encode())}],
            }
            hash_ = {"algorithm": "sha256", "value": "cd" * 32}
            content = {"envelope": envelope, "hash": hash_, "payloadHash": payload_hash}
            spec = {"content": content}
    return {"apiVersion": version, "kind": kind, "spec": spec}
