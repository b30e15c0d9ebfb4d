"""Public keys: openssl makes the signatures, so the check is not its own oracle."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519

from service.domain.keys import Algorithm, Scheme
from service.domain.public_keys import PublicKey, SignatureInvalidError, public_key

MESSAGE = b"what was signed"
GENERATE = {
    Algorithm.EC_P256: ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    Algorithm.EC_P384: ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    Algorithm.RSA_2048: ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    Algorithm.ED25519: ["genpkey", "-algorithm", "ED25519"],
}
PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
SIGN = {
    Scheme.ECDSA_P256_SHA256: (Algorithm.EC_P256, ["dgst", "-sha256"]),
    Scheme.ECDSA_P384_SHA256: (Algorithm.EC_P384, ["dgst", "-sha256"]),
    Scheme.ECDSA_P384_SHA384: (Algorithm.EC_P384, ["dgst", "-sha384"]),
    Scheme.RSA_PKCS1_SHA256: (Algorithm.RSA_2048, ["dgst", "-sha256"]),
    Scheme.RSA_PSS_SHA256: (Algorithm.RSA_2048, ["dgst", "-sha256", *PSS]),
    Scheme.RSA_PSS_SHA384: (Algorithm.RSA_2048, ["dgst", "-sha384", *PSS]),
    Scheme.RSA_PSS_SHA512: (Algorithm.RSA_2048, ["dgst", "-sha512", *PSS]),
    Scheme.ED25519: (Algorithm.ED25519, ["pkeyutl", "-rawin"]),
}


def openssl(*words: str) -> bytes:
    return subprocess.run(["openssl", *words], check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[Algorithm, Path]:
    made = {}
    for algorithm, words in GENERATE.items():
        made[algorithm] = tmp_path_factory.mktemp("pair") / "key.pem"
        openssl(*words, "-out", str(made[algorithm]))
    return made


def public_half(pair: Path) -> bytes:
    return openssl("pkey", "-in", str(pair), "-pubout", "-outform", "DER")


def sign(pair: Path, words: list[str]) -> bytes:
    message = pair.with_name("message")
    message.write_bytes(MESSAGE)
    if words[0] == "pkeyutl":
        return openssl(*words, "-sign", "-inkey", str(pair), "-in", str(message))
    return openssl(*words, "-sign", str(pair), str(message))


@pytest.mark.parametrize("scheme", Scheme)
def test_a_signature_by_openssl_verifies_and_a_changed_one_does_not(
    scheme: Scheme, pairs: dict[Algorithm, Path]
) -> None:
    algorithm, words = SIGN[scheme]
    key = PublicKey.parse(public_half(pairs[algorithm]))
    assert key.algorithm is algorithm
    signature = sign(pairs[algorithm], words)
    key.verify(scheme, MESSAGE, signature)
    with pytest.raises(SignatureInvalidError):
        key.verify(scheme, MESSAGE + b"!", signature)
    with pytest.raises(SignatureInvalidError):
        key.verify(scheme, MESSAGE, signature[:-1] + bytes([signature[-1] ^ 1]))
    with pytest.raises(SignatureInvalidError):
        key.verify(scheme, MESSAGE, b"")


def test_a_scheme_of_another_kind_of_key_is_refused(pairs: dict[Algorithm, Path]) -> None:
    key = PublicKey.parse(public_half(pairs[Algorithm.EC_P256]))
    with pytest.raises(SignatureInvalidError, match="does not fit"):
        key.verify(Scheme.ED25519, MESSAGE, bytes(64))


@pytest.mark.parametrize("algorithm", GENERATE)
def test_the_pem_is_openssls_own(algorithm: Algorithm, pairs: dict[Algorithm, Path]) -> None:
    pem = openssl("pkey", "-in", str(pairs[algorithm]), "-pubout").decode()
    assert public_key(public_half(pairs[algorithm])).pem() == pem


def test_the_jwk_thumbprint_is_that_of_the_standard() -> None:
    # RFC 7638, 3.1: the example key and its thumbprint; it is an RSA-2048 key.
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECP"
        "ebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY"
        "368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0f"
        "M4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    modulus = int.from_bytes(base64.urlsafe_b64decode(n + "=="), "big")
    der = (
        rsa.RSAPublicNumbers(65537, modulus)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    jwk = PublicKey.parse(der).jwk()
    assert jwk["kid"] == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert jwk["n"] == n


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(ec.generate_private_key(ec.SECP521R1()).public_key(), id="P-521"),
        pytest.param(x25519.X25519PrivateKey.generate().public_key(), id="X25519"),
    ],
)
def test_a_key_of_another_kind_is_refused(
    key: ec.EllipticCurvePublicKey | x25519.X25519PublicKey,
) -> None:
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with pytest.raises(ValueError, match="not supported"):
        PublicKey.parse(der)


def test_garbage_is_no_key() -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # cryptography owns the message
        PublicKey.parse(b"garbage")
