"""Time-stamps: openssl and rfc3161-client judge the tokens, and neither shares code with us."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
import rfc3161_client
from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.keys import Algorithm, Scheme
from service.formats import rfc3161

NOW = datetime.now(UTC)
MESSAGE = b"the raw bytes of a signature"
SCHEMES = [Scheme.ECDSA_P256_SHA256, Scheme.ECDSA_P384_SHA384, Scheme.RSA_PKCS1_SHA256]


@dataclass(frozen=True)
class Authority:
    scheme: Scheme
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    chain: tuple[x509.Certificate, ...]

    def sign(self, message: bytes) -> bytes:
        hashing = hashes.SHA384() if self.scheme is Scheme.ECDSA_P384_SHA384 else hashes.SHA256()
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(message, padding.PKCS1v15(), hashing)
        return self.key.sign(message, ec.ECDSA(hashing))

    def reply(self, query: bytes) -> bytes:
        asked = rfc3161.parse_query(query)
        chain = [c.public_bytes(serialization.Encoding.DER) for c in self.chain]
        prepared = rfc3161.prepare(
            asked, serial=2**70 + 1, at=NOW, certificate=chain[0], scheme=self.scheme
        )
        signature = self.sign(prepared.to_be_signed)
        return rfc3161.reply(asked, prepared, signature, chain=chain, scheme=self.scheme)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _authority(scheme: Scheme) -> Authority:
    root_key = ec.generate_private_key(ec.SECP256R1())
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    match scheme:
        case Scheme.ECDSA_P384_SHA384:
            key = ec.generate_private_key(ec.SECP384R1())
        case Scheme.RSA_PKCS1_SHA256:
            key = rsa.generate_private_key(65537, 2048)
        case _:
            key = ec.generate_private_key(ec.SECP256R1())

    def builder(subject: str, public: object) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name("root"))
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=1))
            .public_key(public)  # type: ignore[arg-type]  # either kind
        )

    root = (
        builder("root", root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        builder("stamps", key.public_key())
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    return Authority(scheme, key, (leaf, root))


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


@pytest.fixture(scope="module", params=SCHEMES, ids=str)
def authority(request: pytest.FixtureRequest) -> Authority:
    return _authority(request.param)


def openssl_query(place: Path, *, message: bytes = MESSAGE, more: tuple[str, ...] = ()) -> bytes:
    (place / "message").write_bytes(message)
    words = ("openssl", "ts", "-query", "-data", "message", "-sha256", *more, "-out", "query")
    subprocess.run(words, cwd=place, check=True, capture_output=True)
    return (place / "query").read_bytes()


def openssl_verify(place: Path, root: x509.Certificate) -> subprocess.CompletedProcess[str]:
    (place / "root.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    words = (
        "openssl",
        "ts",
        "-verify",
        "-in",
        "reply",
        "-queryfile",
        "query",
        "-CAfile",
        "root.pem",
    )
    return subprocess.run(words, cwd=place, capture_output=True, text=True, check=False)


def slow_reply(
    query: rfc3161.Query, signature: bytes, *, serial: int, chain: list[bytes], scheme: Scheme
) -> tuple[bytes, bytes]:
    """What is signed, and the reply, both put together by asn1crypto."""
    info = tsp.TSTInfo(
        {
            "version": "v1",
            "policy": rfc3161.POLICY,
            "message_imprint": {
                "hash_algorithm": {"algorithm": query.imprint_algorithm},
                "hashed_message": query.imprint,
            },
            "serial_number": serial,
            "gen_time": NOW.replace(microsecond=0),
            "accuracy": {"seconds": 1},
            **({} if query.nonce is None else {"nonce": query.nonce}),
        }
    ).dump()
    digest, algorithm = {
        Scheme.ECDSA_P256_SHA256: ("sha256", "sha256_ecdsa"),
        Scheme.ECDSA_P384_SHA384: ("sha384", "sha384_ecdsa"),
        Scheme.RSA_PKCS1_SHA256: ("sha256", "sha256_rsa"),
    }[scheme]
    named = tsp.SigningCertificateV2({"certs": [{"cert_hash": sha256(chain[0]).digest()}]})
    attributes = cms.CMSAttributes(
        [
            {"type": "content_type", "values": ["tst_info"]},
            {"type": "message_digest", "values": [hashlib.new(digest, info).digest()]},
            {"type": "signing_certificate_v2", "values": [named]},
        ]
    )
    leaf = asn1_x509.Certificate.load(chain[0])
    sid = {"issuer": leaf.issuer, "serial_number": leaf.serial_number}
    signer = cms.SignerInfo(
        {
            "version": "v1",
            "sid": {"issuer_and_serial_number": sid},
            "digest_algorithm": {"algorithm": digest},
            "signed_attrs": attributes,
            "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": algorithm}),
            "signature": signature,
        }
    )
    content = core.ParsableOctetString(info)
    data = {
        "version": "v3",
        "digest_algorithms": [{"algorithm": digest}],
        "encap_content_info": {"content_type": "tst_info", "content": content},
        "signer_infos": [signer],
    }
    if query.certificates_wanted:
        data["certificates"] = [asn1_x509.Certificate.load(each) for each in chain]
    token = cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(data)})
    response = tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token})
    return attributes.dump(), response.dump()


@settings(max_examples=10, deadline=None)  # asn1crypto is slow
@given(
    algorithm=st.sampled_from(["sha256", "sha384", "sha512"]),
    nonce=st.none() | st.integers(0, 2**512 - 1),
    serial=st.integers(1, 2**127),
    certificates=st.booleans(),
)
def test_replies_are_what_asn1crypto_writes_to_the_byte(
    authority: Authority, algorithm: str, nonce: int | None, serial: int, certificates: bool
) -> None:
    imprint = hashlib.new(algorithm, MESSAGE).digest()
    query = rfc3161.Query(algorithm, imprint, nonce, certificates)
    chain = [c.public_bytes(serialization.Encoding.DER) for c in authority.chain]
    scheme = authority.scheme
    made = rfc3161.prepare(query, serial=serial, at=NOW, certificate=chain[0], scheme=scheme)
    signature = b"the signature, whatever it is"
    reply = rfc3161.reply(query, made, signature, chain=chain, scheme=scheme)
    expected = slow_reply(query, signature, serial=serial, chain=chain, scheme=scheme)
    assert (made.to_be_signed, reply) == expected


def test_openssl_takes_a_token_and_refuses_one_over_something_else(
    authority: Authority, tmp_path: Path
) -> None:
    query = openssl_query(tmp_path, more=("-cert",))
    (tmp_path / "reply").write_bytes(authority.reply(query))
    done = openssl_verify(tmp_path, authority.chain[-1])
    assert "Verification: OK" in done.stdout + done.stderr
    openssl_query(tmp_path, message=b"something else", more=("-cert",))
    assert openssl_verify(tmp_path, authority.chain[-1]).returncode != 0


def test_rfc3161_client_takes_a_token_and_refuses_another_message(authority: Authority) -> None:
    request = (
        rfc3161_client.TimestampRequestBuilder()
        .data(MESSAGE)
        .hash_algorithm(rfc3161_client.HashAlgorithm.SHA512)
        .nonce(nonce=True)
        .cert_request(cert_request=True)
        .build()
    )
    response = rfc3161_client.decode_timestamp_response(authority.reply(request.as_bytes()))
    verifier = (
        rfc3161_client.VerifierBuilder.from_request(request)
        .add_root_certificate(authority.chain[-1])
        .build()
    )
    assert verifier.verify_message(response, MESSAGE)
    assert response.tst_info.gen_time == NOW.replace(microsecond=0)
    with pytest.raises(rfc3161_client.VerificationError):
        verifier.verify_message(response, MESSAGE + b"!")


def test_a_token_signed_by_another_key_is_refused(authority: Authority, tmp_path: Path) -> None:
    query = openssl_query(tmp_path, more=("-cert",))
    other = Authority(authority.scheme, _authority(authority.scheme).key, authority.chain)
    (tmp_path / "reply").write_bytes(other.reply(query))
    assert openssl_verify(tmp_path, authority.chain[-1]).returncode != 0


def test_the_whole_chain_is_in_the_token_where_it_is_asked_for(
    authority: Authority, tmp_path: Path
) -> None:
    with_chain = authority.reply(openssl_query(tmp_path, more=("-cert",)))
    without = authority.reply(openssl_query(tmp_path))
    for certificate in authority.chain:
        der = certificate.public_bytes(serialization.Encoding.DER)
        assert der in with_chain
        assert der not in without


def test_a_rejection_tells_openssl_why(tmp_path: Path) -> None:
    refused = rfc3161.QueryRefusedError(rfc3161.Failure.BAD_ALGORITHM, "imprints are sha256")
    (tmp_path / "reply").write_bytes(rfc3161.rejection(refused))
    words = ("openssl", "ts", "-reply", "-in", "reply", "-text")
    shown = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "Status: Rejected." in shown
    assert "imprints are sha256" in shown
    assert "unrecognized or unsupported algorithm identifier" in shown
    with pytest.raises(ValueError, match="rejection"):
        rfc3161.token_of((tmp_path / "reply").read_bytes())


@pytest.mark.parametrize(
    ("words", "failure"),
    [
        pytest.param(("-md5",), rfc3161.Failure.BAD_ALGORITHM, id="md5"),
        pytest.param(("-sha1",), rfc3161.Failure.BAD_ALGORITHM, id="sha1"),
        pytest.param(("-tspolicy", "1.2.3"), rfc3161.Failure.UNACCEPTED_POLICY, id="policy"),
    ],
)
def test_a_query_that_cannot_be_granted_is_refused_with_its_failure(
    words: tuple[str, ...], failure: rfc3161.Failure, tmp_path: Path
) -> None:
    assert rfc3161.parse_query(openssl_query(tmp_path)).imprint == sha256(MESSAGE).digest()
    with pytest.raises(rfc3161.QueryRefusedError) as refused:
        rfc3161.parse_query(openssl_query(tmp_path, more=words))
    assert refused.value.failure is failure


@given(st.binary(max_size=200))
def test_bytes_that_are_no_query_are_refused(content: bytes) -> None:
    with pytest.raises(rfc3161.QueryRefusedError):
        rfc3161.parse_query(content)


def test_a_query_that_ends_in_any_other_type_is_refused_or_read() -> None:
    query = rfc3161_client.TimestampRequestBuilder().data(MESSAGE).nonce(nonce=False).build()
    der = query.as_bytes()
    assert der.endswith(bytes.fromhex("0101ff"))  # certReq
    for tag in range(256):
        with contextlib.suppress(rfc3161.QueryRefusedError):
            rfc3161.parse_query(der[:-2] + bytes([tag]) + der[-1:])
        with contextlib.suppress(rfc3161.QueryRefusedError):
            rfc3161.parse_query(der[:-3] + bytes([tag]) + der[-2:])


@given(st.data())
def test_a_damaged_query_is_refused_or_read_as_der(data: st.DataObject) -> None:
    query = bytearray(
        rfc3161_client.TimestampRequestBuilder().data(MESSAGE).nonce(nonce=False).build().as_bytes()
    )
    place = data.draw(st.integers(0, len(query) - 1))
    query[place] ^= data.draw(st.integers(1, 255))
    try:
        read = rfc3161.parse_query(bytes(query))
    except rfc3161.QueryRefusedError:
        return
    assert len(read.imprint) in (32, 48, 64)


def test_a_query_with_something_behind_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(rfc3161.QueryRefusedError):
        rfc3161.parse_query(openssl_query(tmp_path) + b"\0")


def test_an_ed25519_key_makes_no_tokens() -> None:
    assert rfc3161.scheme(Algorithm.ED25519) is None
    assert {rfc3161.scheme(a) for a in Algorithm} - {None} == set(SCHEMES)
