"""Every algorithm signs on a real token, judged by `cryptography` and by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import hsm
from service.domain import public_keys
from service.domain.keys import Algorithm, Scheme
from service.domain.public_keys import public_key
from service.keyring import Keyring
from service.keyring.translate import ALGORITHMS, SCHEMES, SCHEMES_OF
from tests.support.softhsm import TokenFixture
from tests.support.versions import to_sign, version_of

PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
DIGEST = {
    Scheme.ECDSA_P256_SHA256: ["-sha256"],
    Scheme.ECDSA_P384_SHA256: ["-sha256"],
    Scheme.ECDSA_P384_SHA384: ["-sha384"],
    Scheme.RSA_PKCS1_SHA256: ["-sha256"],
    Scheme.RSA_PSS_SHA256: ["-sha256", *PSS],
    Scheme.RSA_PSS_SHA384: ["-sha384", *PSS],
    Scheme.RSA_PSS_SHA512: ["-sha512", *PSS],
}


def openssl_accepts(
    directory: Path, scheme: Scheme, pem: str, message: bytes, signature: bytes
) -> bool:
    key, content, signed = (directory / name for name in ("key.pem", "message", "signature"))
    key.write_text(pem)
    content.write_bytes(message)
    signed.write_bytes(signature)
    if scheme is Scheme.ED25519:
        command = ["pkeyutl", "-verify", "-pubin", "-inkey", str(key), "-rawin"]
        command += ["-in", str(content), "-sigfile", str(signed)]
    else:
        command = ["dgst", *DIGEST[scheme], "-verify", str(key), "-signature", str(signed)]
        command.append(str(content))
    return subprocess.run(["openssl", *command], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("algorithm", Algorithm)
def test_every_algorithm_signs_what_cryptography_and_openssl_verify(
    keyring: Keyring, tmp_path: Path, algorithm: Algorithm
) -> None:
    made = keyring.generate("release", algorithm, None)
    version = version_of(made, algorithm)
    pinned = public_key(made.public_key)
    assert pinned.algorithm is algorithm
    message = b'{"critical": {}}'
    for scheme in sorted(SCHEMES_OF[algorithm]):
        [signature] = keyring.sign(version, scheme, [to_sign(version, scheme, message)])
        assert isinstance(signature, bytes), signature
        pinned.verify(scheme, message, signature)
        assert openssl_accepts(tmp_path, scheme, pinned.pem(), message, signature)
        assert not openssl_accepts(tmp_path, scheme, pinned.pem(), message + b" ", signature)


def test_a_new_key_says_of_itself_that_it_cannot_leave(
    keyring: Keyring, token: TokenFixture
) -> None:
    made = keyring.generate("release", Algorithm.EC_P256, token.label)
    said = made.attributes
    assert (said.sensitive, said.extractable, said.local) == (True, False, True)
    assert (said.always_sensitive, said.never_extractable) == (True, True)
    assert (made.location.token, made.location.serial) == (token.label, token.serial)
    assert len(made.cka_id) == 20


def test_the_tables_between_hsm_and_domain_are_complete() -> None:
    assert set(ALGORITHMS) == set(SCHEMES_OF) == set(Algorithm)
    assert set(SCHEMES) == set(Scheme) == {s for of in SCHEMES_OF.values() for s in of}
    assert set(ALGORITHMS.values()) == set(hsm.Algorithm)
    assert set(SCHEMES.values()) == set(hsm.Scheme)


def test_the_tables_agree_with_what_verification_accepts() -> None:
    # A scheme of another kind of key is refused before any token is asked.
    assert dict(SCHEMES_OF) == dict(public_keys._SCHEMES)
