"""What clients of Rekor propose: checked before it can become an entry."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from service.domain.public_keys import SignatureInvalidError, public_key
from service.formats.rekor_requests import RequestMalformedError, parse_v1, parse_v2
from service.translog import rekor
from tests.support.rekor import Client, b64, new_client, other_form

MESSAGE = b"what was signed"
CLIENT = new_client()


def test_a_hashedrekord_becomes_the_entry_that_we_would_write() -> None:
    signature = CLIENT.sign(MESSAGE)
    proposed = parse_v1(CLIENT.hashedrekord(MESSAGE, signature))
    assert proposed.entry == rekor.hashedrekord(MESSAGE, signature, CLIENT.spki)


def test_each_kind_of_key_is_checked_as_its_client_signs() -> None:
    p384 = Client(ec.generate_private_key(ec.SECP384R1()))
    small = Client(rsa.generate_private_key(65537, 2048))
    edwards = Client(ed25519.Ed25519PrivateKey.generate())
    for client in (CLIENT, p384, small):
        assert parse_v1(client.hashedrekord(MESSAGE)).key.der == client.spki
    for client in (CLIENT, p384, small, edwards):
        assert parse_v1(client.dsse(MESSAGE)).key.der == client.spki
    for client, details in (
        (CLIENT, "PKIX_ECDSA_P256_SHA_256"),
        (p384, "PKIX_ECDSA_P384_SHA_384"),
        (small, "PKIX_RSA_PKCS1V15_2048_SHA256"),
    ):
        assert parse_v2(client.v2(MESSAGE, details=details)).key.der == client.spki
    with pytest.raises(SignatureInvalidError, match="not their hashes"):
        parse_v1(edwards.hashedrekord(MESSAGE))


def test_both_forms_of_a_signature_are_one_entry() -> None:
    signature = CLIENT.sign(MESSAGE)
    one = parse_v1(CLIENT.hashedrekord(MESSAGE, signature))
    other = parse_v1(CLIENT.hashedrekord(MESSAGE, other_form(signature)))
    assert one.entry != other.entry
    assert one.identity() == other.identity()
    assert one.identity() != parse_v1(CLIENT.hashedrekord(MESSAGE)).identity()
    assert one.identity() != parse_v2(CLIENT.v2(MESSAGE)).identity()


def test_the_forms_of_a_signature_are_all_its_encodings() -> None:
    signature = CLIENT.sign(MESSAGE)
    key = public_key(CLIENT.spki)
    forms = key.forms(signature)
    assert {signature, other_form(signature)} <= set(forms)
    assert set(key.forms(other_form(signature))) == set(forms)
    assert len(set(forms)) == 4
    assert key.forms(b"nonsense") == (b"nonsense",)


Change = Callable[[dict[str, Any]], None]


def changed(body: dict[str, Any], change: Change) -> dict[str, Any]:
    copied = copy.deepcopy(body)
    change(copied)
    return copied


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.update(kind="rekord"),
        lambda b: b.update(apiVersion="0.0.2"),
        lambda b: b.update(more=1),
        lambda b: b.pop("spec"),
        lambda b: b.update(spec=[]),
        lambda b: b["spec"].pop("data"),
        lambda b: b["spec"]["data"]["hash"].update(algorithm="sha512"),
        lambda b: b["spec"]["data"]["hash"].update(value="zz"),
        lambda b: b["spec"]["signature"].update(content="!"),
        lambda b: b["spec"]["signature"].update(content=7),
        lambda b: b["spec"]["signature"]["publicKey"].update(content=b64(b"no PEM")),
        lambda b: b["spec"]["signature"]["publicKey"].update(content=b64(b"\xff")),
    ],
    ids=[f"change-{n}" for n in range(12)],
)
def test_a_malformed_hashedrekord_is_refused(change: Change) -> None:
    with pytest.raises(RequestMalformedError):
        parse_v1(changed(CLIENT.hashedrekord(MESSAGE), change))


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.pop("envelope"),
        lambda p: p.update(envelope="{"),
        lambda p: p.update(envelope='{"payload":"","payload":""}'),
        lambda p: p.update(envelope='{"payload":"","payloadType":"x","signatures":[]}'),
        lambda p: p.update(envelope='{"payload":"","signatures":[{"sig":""}]}'),
        lambda p: p.update(verifiers=[]),
        lambda p: p.update(verifiers=p["verifiers"] * 2),
    ],
    ids=[f"change-{n}" for n in range(7)],
)
def test_a_malformed_envelope_is_refused(change: Change) -> None:
    body = CLIENT.dsse(b"{}")
    with pytest.raises(RequestMalformedError):
        parse_v1(changed(body, lambda b: change(b["spec"]["proposedContent"])))
    assert parse_v1(body).artifact


def test_a_signature_over_anything_else_is_refused() -> None:
    wrong = [
        CLIENT.hashedrekord(MESSAGE, CLIENT.sign(b"else")),
        changed(
            CLIENT.hashedrekord(MESSAGE),
            lambda b: b["spec"]["signature"]["publicKey"].update(
                content=b64(new_client().pem.encode())
            ),
        ),
        changed(
            CLIENT.hashedrekord(MESSAGE),
            lambda b: b["spec"]["data"]["hash"].update(value="00" * 20),
        ),
    ]
    for body in wrong:
        with pytest.raises(SignatureInvalidError):
            parse_v1(body)
    other = CLIENT.v2(MESSAGE)
    other["hashedRekordRequestV002"]["digest"] = b64(bytes(32))
    with pytest.raises(SignatureInvalidError):
        parse_v2(other)
    details = CLIENT.v2(MESSAGE)
    details["hashedRekordRequestV002"]["signature"]["verifier"]["keyDetails"] = "PKIX_ED25519"
    with pytest.raises(RequestMalformedError):
        parse_v2(details)
    with pytest.raises(RequestMalformedError):
        parse_v2({})
