"""The mechanism table, and the lengths that tokens do not check."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from hsm.mechanisms import KEY_KINDS, RECIPES, Algorithm, Scheme, WrongLengthError
from hsm.public import unwrap_point

HASHED = [scheme for scheme in Scheme if RECIPES[scheme].hash is not None]


def test_every_scheme_and_every_algorithm_has_its_row() -> None:
    assert set(RECIPES) == set(Scheme)
    assert set(KEY_KINDS) == set(Algorithm)


@pytest.mark.parametrize("scheme", HASHED)
@pytest.mark.parametrize("length", [0, 1, 20, 28, 31, 33, 47, 49, 63, 65, 1000])
def test_a_hash_of_another_length_is_refused(scheme: Scheme, length: int) -> None:
    with pytest.raises(WrongLengthError, match="does not fit the scheme"):
        RECIPES[scheme].prepare_hash(bytes(length))


@pytest.mark.parametrize("scheme", HASHED)
def test_a_hash_of_the_right_length_is_taken(scheme: Scheme) -> None:
    recipe = RECIPES[scheme]
    assert recipe.hash is not None
    digest = recipe.hash.new(b"message").digest()
    assert recipe.prepare_hash(digest).endswith(digest)
    assert recipe.prepare(b"message") == recipe.prepare_hash(digest)


def test_ed25519_is_given_the_message_and_never_a_hash() -> None:
    recipe = RECIPES[Scheme.ED25519]
    assert recipe.prepare(b"any length") == b"any length"
    with pytest.raises(WrongLengthError):
        recipe.prepare_hash(hashlib.sha512(b"message").digest())


def test_the_digest_info_of_sha256_is_the_one_of_rfc_8017() -> None:
    prepared = RECIPES[Scheme.RSA_PKCS1_SHA256].prepare(b"")
    assert prepared.hex() == (
        "3031300d060960864801650304020105000420"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


@given(st.binary(min_size=64, max_size=64))
def test_r_and_s_come_back_out_of_the_der_signature(raw: bytes) -> None:
    r, s = decode_dss_signature(RECIPES[Scheme.ECDSA_P256_SHA256].encode(raw))
    assert r.to_bytes(32, "big") + s.to_bytes(32, "big") == raw


@pytest.mark.parametrize(
    ("scheme", "length"),
    [
        (Scheme.ECDSA_P256_SHA256, 0),
        (Scheme.ECDSA_P256_SHA256, 63),
        (Scheme.ECDSA_P256_SHA256, 96),
        (Scheme.ECDSA_P384_SHA384, 64),
        (Scheme.ED25519, 65),
    ],
)
def test_a_signature_of_another_length_is_refused(scheme: Scheme, length: int) -> None:
    with pytest.raises(WrongLengthError, match="the token returned"):
        RECIPES[scheme].encode(bytes(length))


@given(st.binary(min_size=1, max_size=120))
def test_a_point_is_the_same_with_and_without_its_octet_string(point: bytes) -> None:
    assert unwrap_point(point, len(point)) == point
    assert unwrap_point(bytes((4, len(point))) + point, len(point)) == point


@pytest.mark.parametrize("value", ["", "04", "0441", "0540" + "00" * 32, "041f" + "00" * 32])
def test_what_is_no_point_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        unwrap_point(bytes.fromhex(value), 32)
