"""C_SignInit and C_Sign through ctypes, against python-pkcs11, which calls the same functions."""

from __future__ import annotations

import pkcs11
import pytest

import hsm
from hsm.cryptoki import error_of
from hsm.keys import private_key
from hsm.mechanisms import RECIPES
from hsm.pool import Leased
from tests.support.faults import counted, failing
from tests.support.pools import ECKey
from tests.support.softhsm import TokenFixture

# PKCS#11 3.1 ends at 0x203; the last is a vendor's own. CKR_BUFFER_TOO_SMALL is no error to
# python-pkcs11, which would ask again with a larger one.
CODES = [code for code in (*range(1, 0x210), 0x80000113) if code != 0x150]


def test_every_code_is_an_error_of_the_class_that_python_pkcs11_gives_it(
    pool: hsm.TokenPool, key: ECKey, token: TokenFixture
) -> None:
    recipe = RECIPES[hsm.Scheme.ECDSA_P256_SHA256]

    def raised(leased: Leased) -> list[type[pkcs11.PKCS11Error]]:
        private = private_key(leased, key.made.cka_id, recipe.key_type)
        kinds = []
        for code in CODES:
            with (
                failing(token.module, "C_SignInit", code),
                pytest.raises(pkcs11.PKCS11Error) as caught,
            ):
                private.sign(bytes(32), mechanism=recipe.mechanism)
            kinds.append(caught.type)
        return kinds

    assert [type(error_of(code)) for code in CODES] == pool.run(raised)


def test_a_signature_takes_two_calls(pool: hsm.TokenPool, key: ECKey, token: TokenFixture) -> None:
    with counted(token.module, "C_SignInit") as begun, counted(token.module, "C_Sign") as signed:
        results = key.sign(pool, 5)
    assert all(isinstance(result, bytes) for result in results)
    assert (len(begun), len(signed)) == (5, 5)
