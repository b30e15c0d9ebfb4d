"""OpenPGP keys and messages: GnuPG judges them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from service.domain.keys import Algorithm, Scheme
from service.domain.public_keys import SignatureInvalidError, public_key
from service.formats.openpgp import message as openpgp
from service.formats.openpgp.packets import MessageMalformedError, packet, read_packets

MADE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SIGNED = datetime(2026, 11, 22, 7, 44, tzinfo=UTC)
CONTENT = b'{"critical":{}}' * 20
USER_ID = "release v1 (Sealwright)"

Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def private_key(algorithm: Algorithm) -> Private:
    match algorithm:
        case Algorithm.EC_P256:
            return ec.generate_private_key(ec.SECP256R1())
        case Algorithm.EC_P384:
            return ec.generate_private_key(ec.SECP384R1())
        case Algorithm.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            return rsa.generate_private_key(65537, int(algorithm.removeprefix("rsa-")))


@dataclass(frozen=True)
class Signer:
    """A key as a token would hold it: it signs messages by a scheme, and knows no OpenPGP."""

    private: Private
    packet: openpgp.PublicKeyPacket

    @classmethod
    def of(cls, algorithm: Algorithm) -> Signer:
        private = private_key(algorithm)
        return cls(private, openpgp.PublicKeyPacket.of(_der(private), MADE))

    def sign(self, payload: bytes) -> bytes:
        scheme = self.packet.scheme
        to_sign = openpgp.message(payload, scheme)
        match self.private:
            case ec.EllipticCurvePrivateKey():
                hashing = hashes.SHA384() if "384" in scheme else hashes.SHA256()
                signature = self.private.sign(to_sign, ec.ECDSA(hashing))
            case rsa.RSAPrivateKey():
                signature = self.private.sign(to_sign, padding.PKCS1v15(), hashes.SHA256())
            case _:
                signature = self.private.sign(to_sign)
        public_key(_der(self.private)).verify(scheme, to_sign, signature)
        return signature

    def key_file(self) -> bytes:
        certified = self.sign(openpgp.certification_payload(self.packet, USER_ID))
        return openpgp.transferable_key(self.packet, USER_ID, certified)

    def message(self, content: bytes = CONTENT) -> bytes:
        payload = openpgp.signing_payload(content, self.packet, SIGNED)
        return openpgp.signed_message(payload, self.sign(payload), self.packet.scheme)


def _der(private: Private) -> bytes:
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module", params=Algorithm, ids=str)
def signer(request: pytest.FixtureRequest) -> Signer:
    return Signer.of(request.param)


def gpg(home: Path, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = ("gpg", "--homedir", str(home), "--batch", "--no-autostart", "--status-fd", "1")
    home.mkdir(mode=0o700, exist_ok=True)
    return subprocess.run([*command, *words], input=stdin, capture_output=True, check=False)


def test_gnupg_takes_key_and_message_and_refuses_what_was_changed(
    signer: Signer, tmp_path: Path
) -> None:
    home = tmp_path / "gpg"
    imported = gpg(home, "--import", stdin=signer.key_file())
    assert b"IMPORT_OK 1" in imported.stdout, imported.stderr
    fingerprint = signer.packet.fingerprint.hex().upper().encode()
    checked = gpg(home, "--decrypt", stdin=signer.message())
    assert b"GOODSIG" in checked.stdout, checked.stderr
    assert b"VALIDSIG " + fingerprint in checked.stdout
    assert str(int(SIGNED.timestamp())).encode() in checked.stdout
    assert CONTENT in checked.stdout
    changed = signer.message().replace(CONTENT, CONTENT.replace(b"critical", b"Critical"))
    refused = gpg(home, "--decrypt", stdin=changed)
    assert b"GOODSIG" not in refused.stdout
    assert b"BADSIG" in refused.stdout


def test_gnupg_refuses_a_key_that_another_certified(tmp_path: Path) -> None:
    signer, other = Signer.of(Algorithm.EC_P256), Signer.of(Algorithm.EC_P256)
    forged = other.sign(openpgp.certification_payload(signer.packet, USER_ID))
    key = openpgp.transferable_key(signer.packet, USER_ID, forged)
    assert b"IMPORT_OK" not in gpg(tmp_path / "gpg", "--import", stdin=key).stdout
    assert b"IMPORT_OK" in gpg(tmp_path / "gpg", "--import", stdin=signer.key_file()).stdout


def test_a_message_says_what_was_put_into_it(signer: Signer) -> None:
    read = openpgp.parse_message(signer.message())
    assert read.unverified_content == CONTENT == openpgp.content_of(read.payload)
    assert read.unverified_created_at == SIGNED
    assert read.unverified_fingerprint == signer.packet.fingerprint
    assert read.scheme is signer.packet.scheme
    key = public_key(_der(signer.private))
    key.verify(read.scheme, openpgp.message(read.payload, read.scheme), read.signature)


@given(st.binary(max_size=3000))
def test_a_message_holds_any_content(content: bytes) -> None:
    signer = _FIXED
    raw = signer.message(content)
    assert openpgp.parse_message(raw).unverified_content == content
    # GnuPG and others write packets in the new format.
    tag, body = read_packets(raw)[2]
    first = len(raw) - len(packet(tag, body))
    new = bytes([0xC0 | tag, len(body)]) + body
    assert openpgp.parse_message(raw[:first] + new).unverified_content == content


_FIXED = Signer.of(Algorithm.EC_P256)


@given(st.data())
def test_a_damaged_message_is_refused_or_does_not_verify(data: st.DataObject) -> None:
    raw = bytearray(_FIXED_MESSAGE)
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        read = openpgp.parse_message(bytes(raw))
    except MessageMalformedError:
        return
    # What is not hashed: the one-pass packet, a file name, the unhashed issuer, lengths' spelling.
    if read.payload != openpgp.parse_message(_FIXED_MESSAGE).payload:
        key, hashed = public_key(_der(_FIXED.private)), openpgp.message(read.payload, read.scheme)
        with pytest.raises(SignatureInvalidError):
            key.verify(read.scheme, hashed, read.signature)


_FIXED_MESSAGE = _FIXED.message()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x00", id="no-packet"),
        pytest.param(_FIXED_MESSAGE[:-1], id="cut-off"),
        pytest.param(_FIXED_MESSAGE + b"\x88\x00", id="packet-behind"),
        pytest.param(_FIXED_MESSAGE[14:], id="no-one-pass"),
        pytest.param(bytes([0xC0 | 8, 3]) + b"zip", id="compressed"),
        pytest.param(b"\x8b" + b"x" * 10, id="indeterminate-length"),
        pytest.param(b"x" * (64 * 1024 + 1), id="too-long"),
        pytest.param(b"-----BEGIN PGP MESSAGE-----", id="armored"),
    ],
)
def test_what_is_not_exactly_such_a_message_is_refused(raw: bytes) -> None:
    openpgp.parse_message(_FIXED_MESSAGE)
    with pytest.raises(MessageMalformedError):
        openpgp.parse_message(raw)


def test_every_kind_of_key_has_a_scheme() -> None:
    assert openpgp.SCHEMES.keys() == set(Algorithm)
    assert openpgp.SCHEMES[Algorithm.EC_P384] is Scheme.ECDSA_P384_SHA384
