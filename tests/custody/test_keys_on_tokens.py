"""Adoption, failover, destruction and refusal through the whole service, on real tokens."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters

from service.bootstrap.api import Service
from service.domain.acts import Performed
from service.domain.errors import (
    BusyError,
    HSMUnavailableError,
    KeyMoveForbiddenError,
    KeyNotAdoptableError,
    KeyUnprotectedError,
    PolicyDeniedError,
    PublicKeyTakenError,
    TokenNotFoundError,
)
from service.domain.keys import Key, KeyState, KeyVersion
from service.domain.public_keys import public_key
from service.operations.adopt_key import Adoption
from tests.support.foreign import private_keys, session_on
from tests.support.services import CUSTODIAN, Services, make_key, move, rotate, sign
from tests.support.softhsm import TokenFixture


def put(
    token: TokenFixture, private: ec.EllipticCurvePrivateKey, cka_id: bytes, *, extractable: bool
) -> None:
    """Put this very key on a token, as tools do that restore or clone one."""
    value = private.private_numbers().private_value.to_bytes(32, "big")
    with session_on(token) as session:
        session.create_object(
            {
                Attribute.CLASS: ObjectClass.PRIVATE_KEY,
                Attribute.KEY_TYPE: KeyType.EC,
                Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1"),
                Attribute.VALUE: value,
                Attribute.ID: cka_id,
                Attribute.LABEL: "theirs",
                Attribute.TOKEN: True,
                Attribute.PRIVATE: True,
                Attribute.SIGN: True,
                Attribute.SENSITIVE: True,
                Attribute.EXTRACTABLE: extractable,
            }
        )


def pem(private: ec.EllipticCurvePrivateKey) -> str:
    return (
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def uri(token: TokenFixture, cka_id: bytes) -> str:
    encoded = "".join(f"%{byte:02x}" for byte in cka_id)
    return f"pkcs11:token={token.label.replace(' ', '%20')};id={encoded}"


def adopt(service: Service, name: str, where: str, public: str, **more: Any) -> Any:
    adopted = service.operations.custody.adopt(CUSTODIAN, Adoption(name, where, public, **more))
    assert isinstance(adopted, Performed)
    return adopted.value


@pytest.fixture
def private() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def cka_id() -> bytes:
    return secrets.token_bytes(6)


def test_a_cloned_key_is_one_version_that_fails_over_and_back(
    services: Services,
    first: TokenFixture,
    second: TokenFixture,
    private: ec.EllipticCurvePrivateKey,
    cka_id: bytes,
) -> None:
    both = services(first, second)
    for token in (first, second):
        put(token, private, cka_id, extractable=False)
    key = adopt(both, "release", uri(first, cka_id), pem(private))
    assert isinstance(key, Key)
    assert key.versions[0].attributes.local is False
    placed = adopt(both, "release", uri(second, cka_id), pem(private))
    assert isinstance(placed, KeyVersion)
    assert [place.token for place in placed.locations] == [first.label, second.label]
    pinned = public_key(placed.public_key)
    for service in (both, services(second), services(first), both):
        item = sign(service, secrets.token_hex())
        assert item.error is None
        [signature] = item.signatures
        assert signature.statement.version == 1
        pinned.verify(signature.scheme, signature.payload, signature.signature)
    [shown] = services(second).operations.keys.located([both.operations.keys.get("release")])
    assert [p.state for p in shown.versions[0].locations] == ["unavailable", "present"]
    move(both, 1, KeyState.RETIRED)
    with pytest.raises(HSMUnavailableError):  # nothing is destroyed while a place is away
        move(services(first), 1, KeyState.DESTROYED)
    assert private_keys(first, cka_id) == 1
    move(both, 1, KeyState.DESTROYED)
    assert [private_keys(token, cka_id) for token in (first, second)] == [0, 0]


def test_a_key_of_another_token_stands_beside_ours(
    services: Services, first: TokenFixture, second: TokenFixture, cka_id: bytes
) -> None:
    service = services(first, second)
    make_key(service, token=first.label)
    private = ec.generate_private_key(ec.SECP256R1())
    put(second, private, cka_id, extractable=False)
    version = adopt(service, "release", uri(second, cka_id), pem(private), alongside=True)
    assert (version.version, version.state, version.alongside) == (2, KeyState.ACTIVE, True)
    assert [s.statement.version for s in sign(service, "x").signatures] == [1, 2]


def test_a_key_that_can_leave_is_refused_unless_the_policy_file_and_the_custodian_say_so(
    services: Services,
    first: TokenFixture,
    private: ec.EllipticCurvePrivateKey,
    cka_id: bytes,
) -> None:
    put(first, private, cka_id, extractable=True)
    where, public = uri(first, cka_id), pem(private)
    strict = services(first)
    with pytest.raises(KeyUnprotectedError):
        adopt(strict, "old", where, public)
    with pytest.raises(PolicyDeniedError):
        adopt(strict, "old", where, public, allow_extractable=True)
    services.policy = {"custody": {"allow_extractable": True}}
    lenient = services(first)
    with pytest.raises(KeyUnprotectedError):
        adopt(lenient, "old", where, public)
    key = adopt(lenient, "old", where, public, allow_extractable=True)
    assert key.versions[0].attributes.extractable is True


def test_what_does_not_fit_is_not_adopted(
    services: Services,
    first: TokenFixture,
    private: ec.EllipticCurvePrivateKey,
    cka_id: bytes,
) -> None:
    service = services(first)
    put(first, private, cka_id, extractable=False)
    where = uri(first, cka_id)
    other = pem(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(KeyNotAdoptableError):
        adopt(service, "old", where, other)
    with pytest.raises(KeyNotAdoptableError):
        adopt(service, "old", uri(first, b"none"), pem(private))
    with pytest.raises(TokenNotFoundError):
        adopt(service, "old", "pkcs11:token=nowhere;id=%01", pem(private))
    adopt(service, "old", where, pem(private))
    for name in ("old", "other"):
        with pytest.raises(PublicKeyTakenError):
            adopt(service, name, where, pem(private))


def test_a_generated_key_is_labelled_for_people_and_found_by_its_id(
    services: Services, first: TokenFixture
) -> None:
    service = services(first)
    name = f"k{secrets.token_hex(4)}"
    versions = [make_key(service, name, token=first.label).versions[0], rotate(service, name)]
    with session_on(first) as session:
        for version in versions:
            wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: version.cka_id}
            [found] = list(session.get_objects(wanted))
            assert found.label == version.subject
            assert version.attributes.sensitive is True
            assert version.attributes.extractable is False


def test_destruction_takes_the_key_from_its_token_and_leaves_its_signatures_good(
    services: Services, first: TokenFixture
) -> None:
    service = services(first)
    version = make_key(service, token=first.label).versions[0]
    rotate(service)
    with pytest.raises(KeyMoveForbiddenError):
        move(service, 2, KeyState.DESTROYED)
    assert private_keys(first, version.cka_id) == 1
    move(service, 1, KeyState.DESTROYED)
    assert private_keys(first, version.cka_id) == 0
    assert service.operations.keys.get("release").versions[0].trusted
    query = "SELECT body FROM audit_events ORDER BY seq"
    rows = service.store.audit._database.read(lambda c: c.exec_driver_sql(query).scalars().all())
    told = [(event["action"], event["subject"]) for event in map(json.loads, rows)]
    assert told[-3:] == [
        ("custody.refused", "release/2"),
        ("key.destruction-begun", "release/1"),
        ("key.destroyed", "release/1"),
    ]


def test_a_destruction_that_died_after_the_token_is_finished_by_asking_again(
    services: Services, first: TokenFixture
) -> None:
    service = services(first)
    version = make_key(service, token=first.label).versions[0]
    rotate(service)
    service.keyring.destroy(version)  # and here we died
    assert service.operations.keys.get("release").versions[0].state is KeyState.RETIRED
    assert move(service, 1, KeyState.DESTROYED).state is KeyState.DESTROYED


def test_while_a_key_is_being_changed_it_can_still_be_stopped_but_not_activated(
    services: Services, first: TokenFixture
) -> None:
    service = services(first)
    make_key(service, token=first.label)
    rotate(service, alongside=True)
    move(service, 1, KeyState.SUSPENDED)
    leases = service.store.leases
    held = leases.acquire("key:release", owner="a destruction elsewhere", seconds=600)
    assert held is not None
    for refused in (KeyState.ACTIVE, KeyState.RETIRED):
        with pytest.raises(BusyError):
            move(service, 1, refused)
    with pytest.raises(BusyError):
        rotate(service)
    move(service, 2, KeyState.SUSPENDED)
    move(service, 2, KeyState.COMPROMISED)
    leases.release(held)
    move(service, 1, KeyState.ACTIVE)
