"""Requests and certificates signed on a real token, judged by openssl and by our own rules."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from service.authority import HSMCertificateMaker
from service.authority.private_keys import SCHEMES, hash_for, private_key
from service.domain.certificates import Validity, pem
from service.domain.errors import HSMUnavailableError, ServiceError, SignatureCheckFailedError
from service.domain.keys import Algorithm, KeyVersion, Purpose, Scheme
from service.domain.x509_names import parse_subject, subject_from
from service.keyring import Keyring
from service.ports.hsm import ToSign
from service.verification.certificate_rules import USE_OF, Use
from service.verification.chains import check_chain
from tests.support.chains import openssl_verifies
from tests.support.faults import failing
from tests.support.keyrings import Keyrings
from tests.support.softhsm import SoftHSM, TokenFixture
from tests.support.versions import version_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)
YEAR = Validity(NOW - timedelta(days=1), NOW + timedelta(days=365))
SUBJECT = parse_subject("CN=release 1,OU=a\\, b,O=Example,ST=Bern,C=CH")
CA_SUBJECT = parse_subject("CN=our CA,O=Example,ST=Bern,C=CH")
SLOW = {Algorithm.RSA_3072, Algorithm.RSA_4096}  # to generate; 2048 stands for them


@pytest.fixture(scope="module")
def token(softhsm: SoftHSM) -> TokenFixture:
    return softhsm.token("authority")


@pytest.fixture(scope="module")
def keyring(token: TokenFixture) -> Iterator[Keyring]:
    keyrings = Keyrings()
    with keyrings.closing:
        yield keyrings([token.config])


@pytest.fixture(scope="module")
def versions(keyring: Keyring) -> dict[Algorithm, KeyVersion]:
    return {
        algorithm: version_of(keyring.generate("release", algorithm, None), algorithm)
        for algorithm in Algorithm
        if algorithm not in SLOW
    }


@pytest.fixture
def maker(keyring: Keyring) -> HSMCertificateMaker:
    return HSMCertificateMaker(keyring)


def openssl(folder: Path, *words: str, given: str) -> str:
    done = subprocess.run(
        ["openssl", *words], cwd=folder, input=given, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


FAST = [algorithm for algorithm in Algorithm if algorithm not in SLOW]


@pytest.mark.parametrize("algorithm", FAST)
def test_a_request_is_signed_on_the_token_and_openssl_verifies_it(
    maker: HSMCertificateMaker,
    versions: dict[Algorithm, KeyVersion],
    algorithm: Algorithm,
    tmp_path: Path,
) -> None:
    version = versions[algorithm]
    der = maker.request(version, SUBJECT)
    said = openssl(
        tmp_path, "req", "-verify", "-noout", "-text", given=pem("CERTIFICATE REQUEST", der)
    )
    assert "verify OK" in said
    assert "Code Signing" in said
    assert "Digital Signature" in said
    request = x509.load_der_x509_csr(der)
    assert request.is_signature_valid
    assert subject_from(request.subject) == SUBJECT
    damaged = der[:-1] + bytes([der[-1] ^ 1])
    said = openssl(tmp_path, "req", "-verify", "-noout", given=pem("CERTIFICATE REQUEST", damaged))
    assert "verify OK" not in said


@pytest.mark.parametrize("algorithm", [a for a in FAST if a is not Algorithm.ED25519])
def test_a_lone_certificate_keeps_every_rule(
    maker: HSMCertificateMaker,
    versions: dict[Algorithm, KeyVersion],
    algorithm: Algorithm,
    tmp_path: Path,
) -> None:
    version = versions[algorithm]
    made = maker.lone(version, SUBJECT, YEAR)
    chain = check_chain([made], use=Use.CODE_SIGNING, at=NOW)
    assert (chain.public_key, chain.subject) == (version.public_key, SUBJECT)
    assert (chain.not_before, chain.not_after) == (YEAR.begin, YEAR.end)
    assert openssl_verifies([made], tmp_path, NOW) is None


@pytest.mark.parametrize("ca", FAST)
@pytest.mark.parametrize("purpose", USE_OF)
def test_a_chain_of_our_own_keeps_every_rule_for_its_purpose(
    maker: HSMCertificateMaker,
    versions: dict[Algorithm, KeyVersion],
    ca: Algorithm,
    purpose: Purpose,
    tmp_path: Path,
) -> None:
    use = USE_OF[purpose]
    authority, signer = versions[ca], versions[Algorithm.EC_P256]
    if authority is signer:
        signer = versions[Algorithm.EC_P384]
    root = maker.root(authority, CA_SUBJECT, YEAR)
    issued = maker.leaf(
        authority,
        root,
        public_key=signer.public_key,
        purpose=purpose,
        subject=SUBJECT,
        validity=YEAR,
    )
    chain = check_chain([issued, root], use=use, at=NOW)
    assert chain.public_key == signer.public_key
    wanted = "timestampsign" if use is Use.TIMESTAMPING else None
    assert openssl_verifies([issued, root], tmp_path, NOW, purpose=wanted) is None
    extensions = x509.load_der_x509_certificate(issued).extensions
    oids = {each.oid for each in extensions}
    oid = x509.ExtensionOID
    assert {oid.SUBJECT_KEY_IDENTIFIER, oid.AUTHORITY_KEY_IDENTIFIER} <= oids
    assert not {oid.CRL_DISTRIBUTION_POINTS, oid.AUTHORITY_INFORMATION_ACCESS} & oids


def test_no_two_certificates_have_the_same_serial_number(
    maker: HSMCertificateMaker, versions: dict[Algorithm, KeyVersion]
) -> None:
    version = versions[Algorithm.EC_P256]
    made = [
        x509.load_der_x509_certificate(maker.lone(version, SUBJECT, YEAR)).serial_number
        for _ in range(3)
    ]
    assert len(set(made)) == 3
    assert all(0 < number < 1 << 160 for number in made)


@pytest.mark.parametrize("algorithm", FAST)
def test_the_private_key_does_not_leave_the_token(
    keyring: Keyring, versions: dict[Algorithm, KeyVersion], algorithm: Algorithm
) -> None:
    key: Any = private_key(keyring, versions[algorithm])
    forms = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for forbidden in (
        "private_bytes",
        "private_bytes_raw",
        "private_numbers",
        "exchange",
        "decrypt",
    ):
        if hasattr(key, forbidden):
            with pytest.raises(TypeError, match="does not leave"):
                getattr(key, forbidden)(*forms)
    assert copy.copy(key) is key
    assert copy.deepcopy(key) is key
    assert key.public_key() == key.public_key()
    if algorithm is not Algorithm.ED25519:
        assert key.key_size == key.public_key().key_size
    if isinstance(key, ec.EllipticCurvePrivateKey):
        assert key.curve == key.public_key().curve


def test_every_kind_of_key_has_a_scheme_and_a_hash_that_fit(
    versions: dict[Algorithm, KeyVersion],
) -> None:
    assert set(SCHEMES) == set(Algorithm)
    for version in versions.values():
        hashed = hash_for(version)
        named = SCHEMES[version.algorithm].value
        assert hashed is None if named == Scheme.ED25519 else named.endswith(hashed.name)  # type: ignore[union-attr]


def test_what_the_token_cannot_do_is_told_as_always(
    versions: dict[Algorithm, KeyVersion], token: TokenFixture
) -> None:
    version = versions[Algorithm.EC_P256]
    keyrings = Keyrings()
    # A keyring of its own: it backs off from a token that has just failed.
    with keyrings.closing:
        maker = HSMCertificateMaker(keyrings([token.config]))
        assert maker.request(version, SUBJECT)
        with (
            failing(token.module, "C_SignInit", 0x30, times=10_000),
            pytest.raises(HSMUnavailableError),
        ):
            maker.request(version, SUBJECT)


def test_a_signature_by_another_key_gets_into_no_certificate(
    keyring: Keyring, versions: dict[Algorithm, KeyVersion]
) -> None:
    """The pinned key is not the one on the token: nothing is made, whoever is to blame."""
    version = versions[Algorithm.EC_P256]
    other = version_of(keyring.generate("other", Algorithm.EC_P256, None), Algorithm.EC_P256)
    confused = replace(version, cka_id=other.cka_id)
    with pytest.raises(SignatureCheckFailedError):
        HSMCertificateMaker(keyring).lone(confused, SUBJECT, YEAR)


class Recorder:
    """A Signer that notes what it is asked, and refuses."""

    def __init__(self) -> None:
        self.asked: list[tuple[Scheme, bytes]] = []

    def sign(
        self, version: KeyVersion, scheme: Scheme, items: Sequence[ToSign]
    ) -> Sequence[bytes | ServiceError]:
        self.asked += [(scheme, item.message) for item in items]
        return [HSMUnavailableError("away") for _ in items]


@pytest.mark.parametrize("algorithm", FAST)
def test_the_signer_is_asked_once_and_its_error_is_passed_on(
    versions: dict[Algorithm, KeyVersion], algorithm: Algorithm
) -> None:
    recorder = Recorder()
    with pytest.raises(HSMUnavailableError, match="away"):
        HSMCertificateMaker(recorder).request(versions[algorithm], SUBJECT)
    [(scheme, message)] = recorder.asked
    assert scheme is SCHEMES[algorithm]
    assert message.startswith(b"\x30")


def test_a_pinned_key_of_no_kind_that_signs_makes_no_private_key(
    versions: dict[Algorithm, KeyVersion],
) -> None:
    foreign = x25519.X25519PrivateKey.generate().public_key()
    der = foreign.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(TypeError, match="no known kind"):
        private_key(Recorder(), replace(versions[Algorithm.EC_P256], public_key=der))
