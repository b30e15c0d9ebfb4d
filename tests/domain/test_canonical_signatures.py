"""One signature in all its forms, and other signatures, told apart."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from hypothesis import given
from hypothesis import strategies as st

from service.domain.public_keys import PublicKey

CURVES = (ec.SECP256R1(), ec.SECP384R1())


def parsed(private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> PublicKey:
    return PublicKey.parse(
        private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


KEYS = [parsed(ec.generate_private_key(curve)) for curve in CURVES]


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_every_form_of_one_ecdsa_signature_has_one_canonical_form(curve: ec.EllipticCurve) -> None:
    private = ec.generate_private_key(curve)
    key = parsed(private)
    der = private.sign(b"message", ec.ECDSA(hashes.SHA256()))
    r, s = decode_dss_signature(der)
    order, size = curve.group_order, (curve.key_size + 7) // 8
    forms = []
    for either in (s, order - s):
        other = encode_dss_signature(r, either)
        # Each of them verifies, which is why they must count as one.
        private.public_key().verify(other, b"message", ec.ECDSA(hashes.SHA256()))
        forms += [other, r.to_bytes(size, "big") + either.to_bytes(size, "big")]
    assert len(set(forms)) == 4
    assert len({key.canonical(form) for form in forms}) == 1
    another = private.sign(b"message", ec.ECDSA(hashes.SHA256()))
    assert key.canonical(another) != key.canonical(der)


@given(st.sampled_from(KEYS), st.binary(max_size=140))
def test_what_is_no_signature_is_left_as_it_is_or_made_canonical_once(
    key: PublicKey, anything: bytes
) -> None:
    once = key.canonical(anything)
    assert key.canonical(once) == once


@given(st.sampled_from(KEYS), st.integers(0, 2**400), st.integers(0, 2**400))
def test_numbers_beyond_the_order_are_no_signature(key: PublicKey, r: int, s: int) -> None:
    order = key._key.curve.group_order  # type: ignore[union-attr]
    der = encode_dss_signature(r, s)
    known = key.canonical(der) != der
    assert known is (0 < r < order and 0 < s < order)


def test_signatures_of_other_kinds_have_one_form_already() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    signature = private.sign(b"message")
    assert parsed(private).canonical(signature) == signature
    other = rsa.generate_private_key(65537, 2048)
    made = other.sign(b"message", padding.PKCS1v15(), hashes.SHA256())
    assert parsed(other).canonical(made) == made  # type: ignore[arg-type]
