"""Reading signatures at registries, as leniently as any client: nobody hides one by its form."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from service.domain.digests import Digest
from service.domain.keys import Scheme
from service.domain.public_keys import PublicKey
from service.formats import dsse
from service.formats.notation import cose, jws
from service.formats.notation.envelope import to_raw
from service.verification.signed_at_registries import layers_of
from tests.support.rekor import Client, b64, new_client

OURS, THEIRS = new_client(), new_client()
LARGE = Client(ec.generate_private_key(ec.SECP384R1()))
RSA = Client(rsa.generate_private_key(65537, 2048))
KEYS = [PublicKey.parse(one.spki) for one in (THEIRS, LARGE, RSA, OURS)]
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
DSSE = "application/vnd.dsse.envelope.v1+json"


def found(
    content: bytes, media_type: str, signature: bytes | None = None
) -> list[PublicKey | None]:
    """Return who has made each signature of a manifest with this one layer."""
    layer: dict[str, Any] = {"mediaType": media_type, "digest": str(Digest.of(content)), "size": 1}
    if signature is not None:
        layer["annotations"] = {"dev.cosignproject.cosign/signature": b64(signature)}
    manifest = json.dumps({"layers": [{"mediaType": 3}, "x", layer]}).encode()
    layers = [one for one in layers_of(manifest) if one.may_be_signed]
    return [one.signer(KEYS) for layer in layers for one in layer.signatures(content)]


def enveloped(client: Client, payload: bytes = b"{}", kind: str = dsse.IN_TOTO) -> dict[str, Any]:
    return {
        "payload": b64(payload),
        "payloadType": kind,
        "signatures": [{"sig": b64(client.sign(dsse.pae(payload, kind))), "keyid": "odd"}],
    }


def key_of(client: Client) -> PublicKey:
    return PublicKey.parse(client.spki)


def test_a_layer_is_read_with_the_signature_beside_it_whatever_its_type() -> None:
    assert found(b"payload", "application/octet-stream", OURS.sign(b"payload")) == [key_of(OURS)]
    assert found(b"payload", "application/octet-stream", OURS.sign(b"other")) == [None]
    assert found(b"payload", "application/octet-stream") == []


@pytest.mark.parametrize("media_type", [BUNDLE, DSSE])
def test_envelopes_are_read_in_bundles_and_bare(media_type: str) -> None:
    bare = enveloped(OURS, kind="application/x-odd")
    content: dict[str, Any] = {"dsseEnvelope": bare, "unknown": 1} if media_type == BUNDLE else bare
    assert found(json.dumps(content).encode(), media_type) == [key_of(OURS)]
    bare["signatures"] = [*enveloped(THEIRS)["signatures"], *bare["signatures"], {"sig": "?"}, {}]
    assert found(json.dumps(content).encode(), media_type) == [None, key_of(OURS)]
    bare["payload"] = b64(b"another")
    assert found(json.dumps(content).encode(), media_type) == [None, None]


@pytest.mark.parametrize("client", [OURS, LARGE, RSA], ids=["ec-p256", "ec-p384", "rsa"])
@pytest.mark.parametrize("hashed", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_whichever_hash_was_signed(client: Client, hashed: hashes.HashAlgorithm) -> None:
    assert found(b"m", "x", client.sign(b"m", hashed)) == [key_of(client)]


def test_pss_is_read_too() -> None:
    assert isinstance(RSA.key, rsa.RSAPrivateKey)
    pss = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
    assert found(b"m", "x", RSA.key.sign(b"m", pss, hashes.SHA384())) == [key_of(RSA)]


def test_a_signed_message_of_which_only_the_hash_is_there() -> None:
    content = {
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": b64(sha256(b"m").digest())},
            "signature": b64(OURS.sign(b"m")),
        }
    }
    assert found(json.dumps(content).encode(), BUNDLE) == [key_of(OURS)]
    content["messageSignature"]["signature"] = b64(OURS.sign(b"n"))
    assert found(json.dumps(content).encode(), BUNDLE) == [None]


def test_envelopes_of_the_notary_project() -> None:
    scheme = Scheme.ECDSA_P256_SHA256
    for form, make in ((jws, jws.signing_input), (cose, cose.to_be_signed)):
        message = make(b"{}", scheme=scheme, at=datetime(2026, 11, 24, tzinfo=UTC))
        raw = to_raw(scheme, OURS.sign(message))
        content = form.envelope(message, raw, [b"a chain"])  # type: ignore[attr-defined]
        assert found(content, form.MEDIA_TYPE) == [key_of(OURS)]  # type: ignore[attr-defined]
    assert found(b"{}", jws.MEDIA_TYPE) == []


@given(st.binary(max_size=60), st.sampled_from([BUNDLE, DSSE, jws.MEDIA_TYPE, cose.MEDIA_TYPE]))
def test_what_cannot_be_read_is_no_signature(content: bytes, media_type: str) -> None:
    assert found(content, media_type) == []
    assert list(layers_of(content)) == []


def test_base64_is_read_in_either_alphabet() -> None:
    bare = enveloped(OURS, payload=b"\xfb\xff\xfe")
    bare["payload"] = base64.urlsafe_b64encode(b"\xfb\xff\xfe").decode().rstrip("=")
    assert found(json.dumps(bare).encode(), DSSE) == [key_of(OURS)]
