"""A signature has one name, as an entry and as it lies at a registry, in whichever form."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from service.domain.public_keys import PublicKey
from service.translog import rekor
from service.translog.merkle import leaf_hash
from service.translog.signatures import name_in, signature_name
from tests.support.rekor import Client, other_form

MESSAGE = b"an artifact"
CLIENTS = {
    "ec-p256": Client(ec.generate_private_key(ec.SECP256R1())),
    "ec-p384": Client(ec.generate_private_key(ec.SECP384R1())),
    "rsa-2048": Client(rsa.generate_private_key(65537, 2048)),
    "ed25519": Client(ed25519.Ed25519PrivateKey.generate()),
}


@pytest.mark.parametrize("kind", CLIENTS)
def test_every_form_of_entry_names_its_signature(kind: str) -> None:
    client = CLIENTS[kind]
    key, signature = PublicKey.parse(client.spki), client.sign(MESSAGE)
    name = signature_name(key, signature)
    entries = [
        rekor.hashedrekord(MESSAGE, signature, key.der),
        rekor.rekord(MESSAGE, signature, key.der),
        rekor.dsse(b"{}", MESSAGE, signature, key.der),
        rekor.hashedrekord_v2(MESSAGE, signature, key.der),
    ]
    assert {name_in(entry) for entry in entries} == {name}
    if kind == "ec-p256":
        assert signature_name(key, other_form(signature)) == name
    assert signature_name(key, client.sign(b"another")) != name


def test_a_signature_of_another_key_has_another_name() -> None:
    names = {signature_name(PublicKey.parse(c.spki), b"the same") for c in CLIENTS.values()}
    assert len(names) == len(CLIENTS)


@given(
    st.binary(max_size=200)
    | st.dictionaries(st.text(max_size=9), st.text(max_size=9)).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_what_is_no_entry_has_the_name_of_no_signature(entry: bytes) -> None:
    assert name_in(entry) == leaf_hash(entry)


@pytest.mark.parametrize("damage", ["kind", "content", "key"])
def test_a_damaged_entry_names_no_signature(damage: str) -> None:
    client = CLIENTS["ec-p256"]
    body = json.loads(rekor.hashedrekord(MESSAGE, client.sign(MESSAGE), client.spki))
    match damage:
        case "kind":
            body["kind"] = "alpine"
        case "content":
            body["spec"]["signature"]["content"] = "?"
        case "key":
            body["spec"]["signature"]["publicKey"] = {"content": "AAAA"}
    entry = rekor.canonical(body)
    assert name_in(entry) == leaf_hash(entry)
