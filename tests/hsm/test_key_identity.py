"""One CKA_ID, one private key: tokens do not see to that, so we do."""

from __future__ import annotations

from collections.abc import Callable

import pkcs11
import pytest
from pkcs11 import Attribute, ObjectClass

import hsm
from hsm import module as modules
from hsm.tokens import find_token
from tests.support.pools import ECKey
from tests.support.softhsm import TokenFixture


def test_an_id_that_is_taken_is_refused_and_the_first_key_stays(
    pool: hsm.TokenPool, new_key: Callable[[], ECKey]
) -> None:
    first = new_key()
    with pytest.raises(hsm.KeyAlreadyExistsError):
        hsm.generate(pool, hsm.Algorithm.EC_P256, label="again", cka_id=first.made.cka_id)
    assert isinstance(first.sign(pool)[0], bytes)


def test_two_private_keys_with_one_id_are_told_and_neither_signs(
    pool: hsm.TokenPool, new_key: Callable[[], ECKey], token: TokenFixture
) -> None:
    first, second = new_key(), new_key()
    module = modules.load(token.module)
    with module.use():
        session = find_token(module, token.label, token.serial).open(rw=True)
        wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: second.made.cka_id}
        [twin] = session.get_objects(wanted)
        twin[Attribute.ID] = first.made.cka_id
        session.close()
    [result] = first.sign(pool)
    assert isinstance(result, hsm.KeyAmbiguousError)


def test_a_key_whose_token_lets_it_out_is_destroyed_and_never_returned(
    pool: hsm.TokenPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SoftHSM keeps to the template, so the demand itself is turned round.
    from hsm import keys  # noqa: PLC0415 -- its templates are what is patched

    lax = dict(keys._TEMPLATES[0][0]) | {Attribute.EXTRACTABLE: True}
    monkeypatch.setattr(keys, "_TEMPLATES", ((lax, keys._TEMPLATES[0][1]),))
    with pytest.raises(hsm.KeyUnprotectedError):
        hsm.generate(pool, hsm.Algorithm.EC_P256, label="lax", cka_id=b"lax")
    with pytest.raises(hsm.KeyMissingError):
        hsm.destroy(pool, b"lax")


def test_only_the_pools_own_words_come_out_of_a_missing_key(pool: hsm.TokenPool) -> None:
    with pytest.raises(hsm.KeyMissingError) as caught:
        hsm.destroy(pool, b"never made")
    assert not isinstance(caught.value, pkcs11.PKCS11Error)
