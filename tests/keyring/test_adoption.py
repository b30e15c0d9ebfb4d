"""Keys that lie on a token already: adopted when they are what the caller says, and destroyed."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest
from pkcs11 import Attribute

import hsm
from service.domain import errors
from service.domain.keys import Algorithm, KeyVersion, Location
from service.domain.public_keys import public_key
from service.keyring import Keyring
from service.keyring.custody import PROVEN_BY
from service.keyring.translate import ALGORITHMS
from tests.support.faults import failing
from tests.support.foreign import foreign_key, private_keys, session_on
from tests.support.keyrings import Keyrings
from tests.support.softhsm import TokenFixture
from tests.support.versions import to_sign, version_of


@pytest.fixture
def cka_id() -> bytes:
    return secrets.token_bytes(4)


def by_id(token: TokenFixture, cka_id: bytes) -> str:
    return str(hsm.KeyURI(token=token.label, id=cka_id))


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_key_of_any_kind_is_adopted_and_signs(
    keyring: Keyring, token: TokenFixture, cka_id: bytes, algorithm: Algorithm
) -> None:
    foreign_key(token, label="theirs", cka_id=cka_id, algorithm=ALGORITHMS[algorithm])
    adopted = keyring.adopt(by_id(token, cka_id), None, allow_extractable=False)
    assert adopted.cka_id == cka_id
    assert adopted.location == Location(token.label, token.serial)
    assert adopted.attributes.extractable is False
    assert public_key(adopted.public_key).algorithm is algorithm
    version = version_of(adopted, algorithm)
    for scheme in PROVEN_BY[algorithm]:
        [signature] = keyring.sign(version, scheme, [to_sign(version, scheme, b"m")])
        assert isinstance(signature, bytes)
    assert keyring.attributes(version) == adopted.attributes
    # Given with the request, the public key is the one that counts.
    again = keyring.adopt(by_id(token, cka_id), adopted.public_key, allow_extractable=False)
    assert again == adopted


def test_a_key_is_found_by_its_label_if_that_is_unique(
    keyring: Keyring, token: TokenFixture, cka_id: bytes
) -> None:
    label = f"named {cka_id.hex()}"
    uri = str(hsm.KeyURI(token=token.label, serial=token.serial, object=label))
    foreign_key(token, label=label, cka_id=cka_id)
    assert keyring.adopt(uri, None, allow_extractable=False).cka_id == cka_id
    foreign_key(token, label=label, cka_id=cka_id + b"2")
    with pytest.raises(errors.KeyMissingOnTokenError, match="2 private keys have the same"):
        keyring.adopt(uri, None, allow_extractable=False)
    both = str(hsm.KeyURI(token=token.label, object=label, id=cka_id))
    assert keyring.adopt(both, None, allow_extractable=False).cka_id == cka_id


def test_an_id_that_several_keys_have_is_refused_however_the_key_is_named(
    keyring: Keyring, token: TokenFixture, cka_id: bytes
) -> None:
    foreign_key(token, label=f"one {cka_id.hex()}", cka_id=cka_id)
    foreign_key(token, label=f"two {cka_id.hex()}", cka_id=cka_id)
    by_label = str(hsm.KeyURI(token=token.label, object=f"one {cka_id.hex()}"))
    for uri in (by_label, by_id(token, cka_id)):
        with pytest.raises(errors.KeyMissingOnTokenError):
            keyring.adopt(uri, None, allow_extractable=False)


def test_a_public_key_that_is_not_the_keys_is_refused_and_so_is_one_of_another_kind(
    keyring: Keyring, token: TokenFixture, cka_id: bytes
) -> None:
    foreign_key(token, label="theirs", cka_id=cka_id)
    other = keyring.generate("other", Algorithm.EC_P256, None).public_key
    with pytest.raises(errors.KeyNotAdoptableError, match="does not belong to the public key"):
        keyring.adopt(by_id(token, cka_id), other, allow_extractable=False)
    edwards = keyring.generate("other", Algorithm.ED25519, None).public_key
    with pytest.raises(errors.KeyNotAdoptableError, match="does not sign as a key of kind"):
        keyring.adopt(by_id(token, cka_id), edwards, allow_extractable=False)
    with pytest.raises(errors.InvalidRequestError) as caught:
        keyring.adopt(by_id(token, cka_id), b"no key", allow_extractable=False)
    assert caught.value.errors.keys() == {"public_key"}


def test_without_a_public_key_on_the_token_it_must_be_given(
    keyring: Keyring, token: TokenFixture, cka_id: bytes
) -> None:
    foreign_key(token, label="theirs", cka_id=cka_id)
    known = keyring.adopt(by_id(token, cka_id), None, allow_extractable=False).public_key
    with session_on(token) as session:
        [public] = session.get_objects({Attribute.ID: cka_id, Attribute.VERIFY: True})
        public.destroy()
    with pytest.raises(errors.KeyNotAdoptableError, match="does not tell the public key"):
        keyring.adopt(by_id(token, cka_id), None, allow_extractable=False)
    assert keyring.adopt(by_id(token, cka_id), known, allow_extractable=False).cka_id == cka_id


@pytest.mark.parametrize(
    "loose", [{Attribute.EXTRACTABLE: True}, {Attribute.SENSITIVE: False}], ids=["out", "clear"]
)
def test_a_key_that_could_leave_is_adopted_only_where_that_is_allowed(
    keyring: Keyring, token: TokenFixture, cka_id: bytes, loose: dict[Attribute, bool]
) -> None:
    foreign_key(token, label="theirs", cka_id=cka_id, private=loose)
    with pytest.raises(errors.KeyUnprotectedError):
        keyring.adopt(by_id(token, cka_id), None, allow_extractable=False)
    adopted = keyring.adopt(by_id(token, cka_id), None, allow_extractable=True)
    assert adopted.attributes.extractable or not adopted.attributes.sensitive


@pytest.mark.parametrize(
    ("unfit", "why"),
    [
        ({Attribute.ALWAYS_AUTHENTICATE: True}, "PIN for each signature"),
        ({Attribute.SIGN: False}, "does not sign"),
        ({Attribute.ID: b""}, "no CKA_ID"),
    ],
)
def test_a_key_that_cannot_serve_is_refused_and_told_why(
    keyring: Keyring, token: TokenFixture, cka_id: bytes, unfit: dict[Attribute, object], why: str
) -> None:
    label = f"unfit {cka_id.hex()}"
    foreign_key(token, label=label, cka_id=cka_id, private=unfit)
    uri = str(hsm.KeyURI(token=token.label, object=label))
    with pytest.raises(errors.KeyNotAdoptableError, match=why):
        keyring.adopt(uri, None, allow_extractable=False)


def test_a_uri_that_names_nothing_here_says_what_it_does_not_find(
    keyring: Keyring, keyrings: Keyrings, token: TokenFixture, other_token: TokenFixture
) -> None:
    def adopt(uri: str, keyring: Keyring = keyring) -> None:
        keyring.adopt(uri, None, allow_extractable=False)

    with pytest.raises(errors.InvalidRequestError, match="names no object") as caught:
        adopt(f"pkcs11:token={token.label}")
    assert caught.value.errors.keys() == {"uri"}
    with pytest.raises(errors.TokenNotFoundError):
        adopt("pkcs11:token=unknown;id=%01")
    with pytest.raises(errors.TokenNotFoundError):
        adopt(f"pkcs11:token={token.label};serial=0;id=%01")
    with pytest.raises(errors.KeyNotAdoptableError, match="no private key is pkcs11:token="):
        adopt(f"pkcs11:token={token.label};object=never%20made")
    with pytest.raises(errors.KeyNotAdoptableError, match="manufacturer"):
        adopt(f"pkcs11:token={token.label};manufacturer=Acme;id=%01")
    absent = replace(token.config, label="never made", serial=None)
    with pytest.raises(errors.HSMUnavailableError):
        adopt("pkcs11:token=never%20made;id=%01", keyrings([absent]))


# --- destroying -----------------------------------------------------------------------------


@pytest.fixture
def version(keyring: Keyring) -> KeyVersion:
    return version_of(keyring.generate("doomed", Algorithm.EC_P256, None), Algorithm.EC_P256)


def test_a_destroyed_key_is_gone_and_destroying_it_again_changes_nothing(
    keyring: Keyring, token: TokenFixture, version: KeyVersion
) -> None:
    kept = version_of(keyring.generate("kept", Algorithm.EC_P256, None), Algorithm.EC_P256)
    keyring.destroy(version)
    assert private_keys(token, version.cka_id) == 0
    keyring.destroy(version)
    for lost in (keyring.attributes, lambda v: _raise(keyring, v)):
        with pytest.raises(errors.KeyMissingOnTokenError):
            lost(version)
    assert private_keys(token, kept.cka_id) == 1


def _raise(keyring: Keyring, version: KeyVersion) -> None:
    [scheme] = PROVEN_BY[version.algorithm]
    [result] = keyring.sign(version, scheme, [to_sign(version, scheme, b"m")])
    assert isinstance(result, errors.ServiceError)
    raise result


def test_nothing_is_destroyed_unless_every_location_answers(
    keyrings: Keyrings, token: TokenFixture, other_token: TokenFixture, version: KeyVersion
) -> None:
    absent = replace(token.config, label="never made", serial=None)
    away = Location("never made", "1")
    unknown = Location("not configured", "1")
    keyring = keyrings([token.config, absent])
    for place in (away, unknown):
        both = replace(version, locations=(*version.locations, place))
        with pytest.raises(errors.HSMUnavailableError):
            keyring.destroy(both)
        assert private_keys(token, version.cka_id) == 1
    # One that is recorded as destroyed need not be there any more.
    over = replace(version, locations=(*version.locations, replace(away, state="destroyed")))
    keyring.destroy(over)
    assert private_keys(token, version.cka_id) == 0


def test_a_key_is_destroyed_at_every_location_where_it_still_is(
    keyrings: Keyrings, token: TokenFixture, other_token: TokenFixture, version: KeyVersion
) -> None:
    keyring = keyrings([other_token.config, token.config])
    second = Location(other_token.label, other_token.serial)
    keyring.destroy(replace(version, locations=(second, *version.locations)))
    assert private_keys(token, version.cka_id) == 0


def test_another_key_under_the_same_id_is_not_destroyed(
    keyring: Keyring, token: TokenFixture, version: KeyVersion, cka_id: bytes
) -> None:
    foreign_key(token, label="theirs", cka_id=cka_id)
    with pytest.raises(errors.KeyMissingOnTokenError, match="another key"):
        keyring.destroy(replace(version, cka_id=cka_id))
    foreign_key(token, label="twin", cka_id=version.cka_id)
    with pytest.raises(errors.KeyMissingOnTokenError):
        keyring.destroy(version)
    assert (private_keys(token, cka_id), private_keys(token, version.cka_id)) == (1, 2)


def test_a_token_that_does_not_let_go_of_a_key_is_told(
    keyring: Keyring, token: TokenFixture, version: KeyVersion, cka_id: bytes
) -> None:
    foreign_key(token, label="stays", cka_id=cka_id, private={Attribute.DESTROYABLE: False})
    adopted = keyring.adopt(by_id(token, cka_id), None, allow_extractable=False)
    with pytest.raises(errors.UnsupportedAlgorithmError, match="never destroys"):
        keyring.destroy(version_of(adopted, Algorithm.EC_P256))
    with (
        failing(token.module, "C_DestroyObject", 0x54, times=1000),
        pytest.raises(errors.UnsupportedAlgorithmError),
    ):
        keyring.destroy(version)
    keyring.destroy(version)
    assert (private_keys(token, cka_id), private_keys(token, version.cka_id)) == (1, 0)
