"""SSH signatures: what OpenSSH makes is taken, what OpenSSH refuses is refused, and no more."""

from __future__ import annotations

import base64
from collections.abc import Callable
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from service.formats import sshsig
from service.formats.sshkeys import (
    SSHFormatError,
    SSHPublicKey,
    parse_line,
    wire_string,
)
from service.formats.sshsig import SSHSignatureInvalidError
from tests.support.ssh import SSHKey, accepts, make_key, ssh_keygen

MESSAGE = b'{"act": "destroy"}\n'
NAMESPACE = "sealwright-approval@sealwright.dev"
KINDS = [
    ("ed25519",),
    ("ecdsa", "-b", "256"),
    ("ecdsa", "-b", "384"),
    ("ecdsa", "-b", "521"),
    ("rsa", "-b", "2048"),
    ("rsa", "-b", "3072"),
]
KEY = parse_line("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINIP/1GafJgfnodJSuAJ3ImyP83CC1jLchScEw6f2TuA")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ssh")


@pytest.fixture(scope="module")
def keys(directory: Path) -> dict[tuple[str, ...], SSHKey]:
    return {kind: make_key(directory, *kind) for kind in KINDS}


def verify(armored: str, message: bytes, line: str, namespace: str = NAMESPACE) -> None:
    sshsig.verify(sshsig.parse(armored), message, key=parse_line(line), namespace=namespace)


def takes(armored: str, message: bytes, line: str, namespace: str = NAMESPACE) -> bool:
    try:
        verify(armored, message, line, namespace)
    except (SSHFormatError, SSHSignatureInvalidError):
        return False
    return True


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_what_openssh_signs_is_taken_and_nothing_else_passes_for_it(
    keys: dict[tuple[str, ...], SSHKey], directory: Path, kind: tuple[str, ...], hash_name: str
) -> None:
    key = keys[kind]
    armored = key.sign(MESSAGE, NAMESPACE, "-O", f"hashalg={hash_name}")
    verify(armored, MESSAGE, key.line)
    assert sshsig.parse(armored).armored == armored
    other = make_key(directory, *kind)
    with pytest.raises(SSHSignatureInvalidError, match="exactly these bytes"):
        verify(armored, MESSAGE + b"\n", key.line)
    with pytest.raises(SSHSignatureInvalidError, match="by the key SHA256:"):
        verify(armored, MESSAGE, other.line)
    with pytest.raises(SSHSignatureInvalidError, match="namespace"):
        verify(armored, MESSAGE, key.line, "sealwright-rejection@sealwright.dev")


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
def test_a_key_reads_as_openssh_shows_it(
    keys: dict[tuple[str, ...], SSHKey], kind: tuple[str, ...]
) -> None:
    key = keys[kind]
    parsed = parse_line(key.line)
    shown = ssh_keygen("-l", "-f", str(key.private)).decode().split()
    assert shown[1] == parsed.fingerprint
    assert key.line == f"{parsed.line} a comment"
    assert parse_line(parsed.line) == parsed


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
def test_a_damaged_signature_is_refused_by_openssh_and_by_us(
    keys: dict[tuple[str, ...], SSHKey], directory: Path, kind: tuple[str, ...]
) -> None:
    key = keys[kind]
    blob = bytearray(sshsig.parse(key.sign(MESSAGE, NAMESPACE)).blob)
    # The last byte of the signature, of the hash's name, of the namespace, of the key.
    inner = len(blob) - 1
    name = bytes(blob).index(b"sha512") + 5
    for place in (inner, name, bytes(blob).index(NAMESPACE.encode()), 60):
        damaged = bytearray(blob)
        damaged[place] ^= 1
        armored = armor(bytes(damaged))
        assert not takes(armored, MESSAGE, key.line)
        assert not accepts(
            directory, line=key.line, signature=armored, message=MESSAGE, namespace=NAMESPACE
        )


def armor(blob: bytes) -> str:
    text = base64.b64encode(blob).decode()
    return f"-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----\n"


def blob_of(
    key: bytes,
    signature: bytes,
    *,
    version: int = 1,
    magic: bytes = b"SSHSIG",
    namespace: bytes = NAMESPACE.encode(),
    reserved: bytes = b"",
    hash_name: bytes = b"sha512",
) -> bytes:
    parts = (key, namespace, reserved, hash_name, signature)
    return magic + version.to_bytes(4, "big") + b"".join(wire_string(part) for part in parts)


def to_sign(reserved: bytes = b"", hash_name: bytes = b"sha512") -> bytes:
    digest = {b"sha512": sha512, b"sha256": sha256}.get(hash_name, sha512)(MESSAGE).digest()
    parts = (NAMESPACE.encode(), reserved, hash_name, digest)
    return b"SSHSIG" + b"".join(wire_string(part) for part in parts)


def ed25519_blob(private: ed25519.Ed25519PrivateKey) -> bytes:
    raw = private.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    return wire_string(b"ssh-ed25519") + wire_string(raw)


def line_of(blob: bytes) -> str:
    kind = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode()
    return f"{kind} {base64.b64encode(blob).decode()}"


PRIVATE = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def signature_of(private: ed25519.Ed25519PrivateKey, signed: bytes) -> bytes:
    return wire_string(b"ssh-ed25519") + wire_string(private.sign(signed))


@pytest.mark.parametrize(
    ("change", "theirs"),
    [
        pytest.param({}, True, id="as-it-should-be"),
        pytest.param({"reserved": b"later"}, False, id="reserved"),
        pytest.param({"hash_name": b"sha256"}, True, id="sha256"),
        pytest.param({"hash_name": b"sha1"}, False, id="sha1"),
        pytest.param({"version": 2}, False, id="version"),
        pytest.param({"magic": b"SSHSIH"}, False, id="magic"),
    ],
)
def test_each_field_of_the_frame_means_what_openssh_takes_it_for(
    directory: Path, change: dict[str, Any], theirs: bool
) -> None:
    key = ed25519_blob(PRIVATE)
    signed = to_sign(change.get("reserved", b""), change.get("hash_name", b"sha512"))
    armored = armor(blob_of(key, signature_of(PRIVATE, signed), **change))
    line = line_of(key)
    assert takes(armored, MESSAGE, line) is theirs
    assert (
        accepts(directory, line=line, signature=armored, message=MESSAGE, namespace=NAMESPACE)
        is theirs
    )


def sk_ed25519(flags: int) -> tuple[bytes, bytes]:
    """Return key and signature of a security key that we are ourselves (PROTOCOL.u2f)."""
    application = b"ssh:sealwright"
    raw = PRIVATE.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    kind = b"sk-ssh-ed25519@openssh.com"
    key = wire_string(kind) + wire_string(raw) + wire_string(application)
    tail = flags.to_bytes(1, "big") + (7).to_bytes(4, "big")
    signed = sha256(application).digest() + tail + sha256(to_sign()).digest()
    return key, wire_string(kind) + wire_string(PRIVATE.sign(signed)) + tail


def sk_ecdsa(flags: int) -> tuple[bytes, bytes]:
    application = b"ssh:"
    private = ec.derive_private_key(12345, ec.SECP256R1())
    point = private.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    kind = b"sk-ecdsa-sha2-nistp256@openssh.com"
    key = b"".join(wire_string(p) for p in (kind, b"nistp256", point, application))
    tail = flags.to_bytes(1, "big") + (8).to_bytes(4, "big")
    signed = sha256(application).digest() + tail + sha256(to_sign()).digest()
    r, s = decode_dss_signature(private.sign(signed, ec.ECDSA(hashes.SHA256())))
    raw = wire_string(mpint(r)) + wire_string(mpint(s))
    return key, wire_string(kind) + wire_string(raw) + tail


def mpint(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


@pytest.mark.parametrize("make", [sk_ed25519, sk_ecdsa])
def test_a_touched_security_key_is_taken_as_openssh_takes_it(
    directory: Path, make: Callable[[int], tuple[bytes, bytes]]
) -> None:
    key, signature = make(0x01)
    armored, line = armor(blob_of(key, signature)), line_of(key)
    verify(armored, MESSAGE, line)
    assert accepts(directory, line=line, signature=armored, message=MESSAGE, namespace=NAMESPACE)
    assert not takes(armored, MESSAGE + b"x", line)


@pytest.mark.parametrize("make", [sk_ed25519, sk_ecdsa])
def test_a_security_key_that_nobody_touched_is_refused(
    make: Callable[[int], tuple[bytes, bytes]],
) -> None:
    key, signature = make(0x00)
    with pytest.raises(SSHSignatureInvalidError, match="touched"):
        verify(armor(blob_of(key, signature)), MESSAGE, line_of(key))


def test_the_flags_of_a_security_key_are_part_of_what_it_signed() -> None:
    key, signature = sk_ed25519(0x00)
    forged = signature[:-5] + b"\x01" + signature[-4:]
    with pytest.raises(SSHSignatureInvalidError, match="exactly these bytes"):
        verify(armor(blob_of(key, forged)), MESSAGE, line_of(key))


def rsa_line(bits: int, exponent: int = 65537) -> str:
    private = rsa.generate_private_key(exponent, bits)
    return (
        private.public_key()
        .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        .decode()
    )


def point(curve: bytes, encoded: bytes) -> bytes:
    kind = b"ecdsa-sha2-" + curve
    return b"".join(wire_string(part) for part in (kind, curve, encoded))


ED_RAW = ed25519_blob(PRIVATE)[-32:]
EC_POINT = (
    ec.derive_private_key(9, ec.SECP256R1())
    .public_key()
    .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
)
RSA_E, RSA_N = b"\x01\x00\x01", b"\x00" + b"\xc3" * 256


def rsa_blob(exponent: bytes, modulus: bytes) -> bytes:
    return b"".join(wire_string(part) for part in (b"ssh-rsa", exponent, modulus))


def stray_bits(line: str) -> str:
    """Return other base64 of the same bytes: two bits of the last letter mean nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    assert line.endswith("=")
    assert alphabet.index(line[-2]) % 4 == 0
    return line[:-2] + alphabet[alphabet.index(line[-2]) + 1] + "="


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("", id="empty"),
        pytest.param("ssh-ed25519", id="no-blob"),
        pytest.param("ssh-ed25519 !!!!", id="not-base64"),
        pytest.param("ssh-ed25519 AAAA=AAA", id="padding-inside"),
        pytest.param("ssh-ed25519 AAAAA", id="base64-too-short"),
        pytest.param("-----BEGIN PUBLIC KEY-----", id="pem"),
        pytest.param(KEY.line.replace("ssh-ed25519", "ssh-rsa"), id="another-kind"),
        pytest.param(f"restrict {KEY.line}", id="options"),
        pytest.param(f"{KEY.line}\n{KEY.line}", id="two-lines"),
        pytest.param(stray_bits(line_of(point(b"nistp256", EC_POINT))), id="stray-bits"),
        pytest.param("ssh-ed25519 " + "A" * 9000, id="too-long"),
        pytest.param(line_of(ed25519_blob(PRIVATE) + b"x"), id="trailing"),
        pytest.param(line_of(ed25519_blob(PRIVATE)[:-1]), id="short"),
        pytest.param(line_of(wire_string(b"ssh-ed25519") + wire_string(ED_RAW[1:])), id="31-bytes"),
        pytest.param(line_of(point(b"nistp256", EC_POINT[:-1] + b"\x00")), id="not-on-curve"),
        pytest.param(line_of(point(b"nistp256", b"\x02" + EC_POINT[1:33])), id="compressed"),
        pytest.param(line_of(point(b"nistp256", b"")), id="no-point"),
        pytest.param(
            line_of(b"".join(map(wire_string, (b"ecdsa-sha2-nistp256", b"nistp384", EC_POINT)))),
            id="another-curve",
        ),
        pytest.param(rsa_line(1024), id="rsa-1024"),
        pytest.param(line_of(rsa_blob(RSA_E, RSA_N[1:])), id="negative-modulus"),
        pytest.param(line_of(rsa_blob(b"\x00" + RSA_E, RSA_N)), id="exponent-with-zero"),
        pytest.param(line_of(rsa_blob(b"", RSA_N)), id="exponent-0"),
        pytest.param(line_of(rsa_blob(b"\x02", RSA_N)), id="exponent-2"),
        pytest.param(line_of(wire_string(b"ssh-dss") + wire_string(b"\x01")), id="dsa"),
        pytest.param("ssh-x AAAABXNzaC3/", id="name"),
    ],
)
def test_what_is_no_public_key_of_ours_is_refused(line: str) -> None:
    with pytest.raises(SSHFormatError):
        parse_line(line)


def test_the_controls_of_that_table_are_taken() -> None:
    assert parse_line(f"{KEY.line} with a comment").line == KEY.line
    assert parse_line(f"  {KEY.line}\n") == KEY
    assert parse_line(line_of(point(b"nistp256", EC_POINT))).kind == "ecdsa-sha2-nistp256"
    assert parse_line(line_of(rsa_blob(RSA_E, RSA_N))).kind == "ssh-rsa"
    assert isinstance(parse_line(rsa_line(2048)), SSHPublicKey)


GOOD = armor(blob_of(ed25519_blob(PRIVATE), signature_of(PRIVATE, to_sign())))


@pytest.mark.parametrize(
    "armored",
    [
        pytest.param("", id="empty"),
        pytest.param(GOOD.replace("-----BEGIN", "----BEGIN"), id="begin"),
        pytest.param(GOOD.replace("-----END", "-----EMD"), id="end"),
        pytest.param("\n".join(GOOD.splitlines()[::2]), id="no-body"),
        pytest.param(GOOD.replace("U1NIU0lH", "U1NI U0lH"), id="space"),
        pytest.param("x" * 20_000, id="too-long"),
        pytest.param(GOOD + GOOD, id="two"),
        pytest.param(armor(b""), id="nothing"),
        pytest.param(GOOD.replace("U1NIU0lH", "1NIU0lH"), id="base64-too-short"),
        pytest.param(
            armor(
                blob_of(
                    ed25519_blob(PRIVATE),
                    wire_string(b"rsa-sha2-512") + wire_string(PRIVATE.sign(to_sign())),
                )
            ),
            id="algorithm-of-another-key",
        ),
        pytest.param(
            armor(blob_of(ed25519_blob(PRIVATE), signature_of(PRIVATE, to_sign()) + b"x")),
            id="trailing-in-signature",
        ),
        pytest.param(
            armor(blob_of(ed25519_blob(PRIVATE), signature_of(PRIVATE, to_sign())) + b"x"),
            id="trailing",
        ),
        pytest.param(
            armor(blob_of(rsa_blob(RSA_E, RSA_N), wire_string(b"ssh-rsa") + wire_string(b"s"))),
            id="rsa-with-sha1",
        ),
    ],
)
def test_what_is_no_signature_of_ours_is_refused(armored: str) -> None:
    with pytest.raises(SSHFormatError):
        sshsig.parse(armored)


@pytest.mark.parametrize("end", ["\r\n", "\n\n"])
def test_lines_may_end_as_elsewhere(end: str) -> None:
    verify(GOOD.replace("\n", end), MESSAGE, line_of(ed25519_blob(PRIVATE)))


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser(blob: bytes) -> None:
    for candidate in (blob, b"SSHSIG\0\0\0\1" + blob):
        try:
            sshsig.parse(armor(candidate))
        except SSHFormatError:
            continue


@given(st.integers(0, len(base64.b64decode("".join(GOOD.splitlines()[1:-1]))) * 8 - 1))
def test_no_bit_of_a_signature_can_be_flipped(bit: int) -> None:
    blob = bytearray(base64.b64decode("".join(GOOD.splitlines()[1:-1])))
    blob[bit // 8] ^= 1 << bit % 8
    assert not takes(armor(bytes(blob)), MESSAGE, line_of(ed25519_blob(PRIVATE)))
