"""What a caller sees when sessions, logins, handles or the module fail under the pool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pkcs11
import pytest

import hsm
from hsm import module as modules
from hsm.mechanisms import RECIPES
from hsm.signer import PASS_ITEMS
from tests.support.faults import Function, counted, failing, original, replaced
from tests.support.pools import ECKey, new_pool
from tests.support.softhsm import TokenFixture

# Codes of PKCS#11 2.40, section 11.1, and one of a vendor's own.
CURED_BY_THE_LADDER = {
    "HOST_MEMORY": 0x02,
    "GENERAL_ERROR": 0x05,
    "FUNCTION_FAILED": 0x06,
    "DEVICE_ERROR": 0x30,
    "DEVICE_REMOVED": 0x32,
    "FUNCTION_CANCELED": 0x50,
    "KEY_HANDLE_INVALID": 0x60,
    "OBJECT_HANDLE_INVALID": 0x82,
    "OPERATION_ACTIVE": 0x90,
    "SESSION_CLOSED": 0xB0,
    "SESSION_HANDLE_INVALID": 0xB3,
    "TOKEN_NOT_PRESENT": 0xE0,
    "USER_NOT_LOGGED_IN": 0x101,
    "CRYPTOKI_NOT_INITIALIZED": 0x190,
    "VENDOR": 0x80000113,
}


def signed(results: list[bytes | hsm.HSMError]) -> bool:
    return bool(results) and all(isinstance(result, bytes) for result in results)


@pytest.mark.parametrize("code", CURED_BY_THE_LADDER.values(), ids=CURED_BY_THE_LADDER)
def test_one_error_of_the_token_is_not_seen_by_the_caller(
    pool: hsm.TokenPool, key: ECKey, token: TokenFixture, code: int
) -> None:
    assert signed(key.sign(pool))
    with failing(token.module, "C_SignInit", code) as calls:
        assert signed(key.sign(pool, 3))
    assert calls[0] == code


def test_a_single_error_does_not_end_everybodys_sessions(
    pool: hsm.TokenPool, key: ECKey, token: TokenFixture
) -> None:
    assert signed(key.sign(pool))
    with (
        counted(token.module, "C_Finalize") as finalized,
        failing(token.module, "C_SignInit", CURED_BY_THE_LADDER["DEVICE_ERROR"]),
    ):
        assert signed(key.sign(pool))
    assert not finalized


def test_a_lasting_error_initialises_twice_and_then_fails_fast(
    key: ECKey, token: TokenFixture
) -> None:
    pool = new_pool(token, monotonic=lambda: 1000.0)  # its pause of 0.1 s does not pass
    assert signed(key.sign(pool))
    with (
        counted(token.module, "C_Finalize") as finalized,
        failing(token.module, "C_SignInit", 0x30, times=1000) as calls,
    ):
        [first] = key.sign(pool)
        tried = len(calls)
        [second] = key.sign(pool)
        assert isinstance(first, hsm.HSMUnavailableError)
        assert isinstance(second, hsm.HSMUnavailableError)
        assert len(finalized) == 2
        assert len(calls) == tried
        assert first.retry_after is not None
        assert 0 < first.retry_after <= 0.5
    pool.retry_now()
    assert signed(key.sign(pool))


def test_what_the_token_refuses_is_asked_again_on_other_sessions_before_it_is_believed(
    pool: hsm.TokenPool, key: ECKey, token: TokenFixture
) -> None:
    assert signed(key.sign(pool))
    with (
        counted(token.module, "C_Finalize") as finalized,
        failing(token.module, "C_SignInit", 0x70, times=1000) as calls,
    ):
        [result] = key.sign(pool)
    assert isinstance(result, hsm.UnsupportedMechanismError)
    assert len(calls) == 3
    assert not finalized
    # Not the token's failure as a whole: nobody is made to wait.
    assert signed(key.sign(pool))


def test_a_key_of_another_kind_is_not_given_to_the_token(pool: hsm.TokenPool, key: ECKey) -> None:
    [result] = hsm.sign(pool, key.made.cka_id, hsm.Scheme.ED25519, [(b"m", lambda _: None)])
    assert isinstance(result, hsm.UnsupportedMechanismError)


def _session_handles(pool: hsm.TokenPool) -> list[int]:
    return [leased.session.handle for leased in pool._idle]


def test_sessions_closed_behind_our_back_are_replaced(
    pool: hsm.TokenPool, key: ECKey, token: TokenFixture
) -> None:
    assert signed(key.sign(pool))
    close = original(token.module, "C_CloseSession")
    handles = _session_handles(pool)
    assert [close(handle) for handle in handles] == [0]
    assert signed(key.sign(pool, 2))
    assert _session_handles(pool) != handles


def test_a_logout_behind_our_back_is_answered_by_a_login(
    pool: hsm.TokenPool, key: ECKey, token: TokenFixture
) -> None:
    assert signed(key.sign(pool))
    logout = original(token.module, "C_Logout")
    assert logout(_session_handles(pool)[0]) == 0
    with counted(token.module, "C_Login") as logins:
        assert signed(key.sign(pool, 2))
    assert len(logins) == 1


def test_a_lost_login_is_told_apart_from_a_missing_key(
    pool: hsm.TokenPool, new_key: Callable[[], ECKey], token: TokenFixture
) -> None:
    kept, gone = new_key(), new_key()
    assert signed(gone.sign(pool))
    hsm.destroy(pool, gone.made.cka_id)
    logout = original(token.module, "C_Logout")
    for key, found in ((gone, False), (kept, True)):
        assert pool._login is not None
        assert logout(pool._login.anchor.handle) == 0
        [result] = key.sign(pool)
        assert isinstance(result, bytes) is found
        if not found:
            assert isinstance(result, hsm.KeyMissingError)


def test_a_key_destroyed_by_somebody_else_is_missing_and_a_new_search_says_so(
    make_pool: Callable[[], hsm.TokenPool], pool: hsm.TokenPool, new_key: Callable[[], ECKey]
) -> None:
    key = new_key()
    assert signed(key.sign(pool))
    hsm.destroy(make_pool(), key.made.cka_id)
    [result] = key.sign(pool)
    assert isinstance(result, hsm.KeyMissingError)


def test_a_stale_handle_never_signs_after_the_module_was_initialised_again(
    pool: hsm.TokenPool, new_key: Callable[[], ECKey], token: TokenFixture
) -> None:
    first, second = new_key(), new_key()
    module = modules.load(token.module)
    module.reinit(module.epoch)
    assert signed(first.sign(pool))
    [leased] = pool._idle
    stale = leased.keys[first.made.cka_id]

    # Control: handles are numbers that are given out again. Here the other key gets the
    # number, and the stale object signs with it, without any error.
    module.reinit(module.epoch)
    with module.use():
        again = leased.session.token
        session = again.open(user_pin=token.pin_file.read_text())
        other_session = again.open()
        [other] = other_session.get_objects(
            {
                pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY,
                pkcs11.Attribute.ID: second.made.cka_id,
            }
        )
        assert other.handle == stale.handle
        recipe = RECIPES[hsm.Scheme.ECDSA_P256_SHA256]
        raw = stale.sign(recipe.prepare(b"m"), mechanism=recipe.mechanism)
        second.check(b"m")(recipe.encode(raw))
        other_session.close()
        session.close()

    # The pool, which has seen the old epoch, must look the key up again.
    assert signed(first.sign(pool, 3))
    assert signed(second.sign(pool, 3))


def test_a_signature_by_another_key_is_discarded_and_the_handle_with_it(
    pool: hsm.TokenPool, new_key: Callable[[], ECKey]
) -> None:
    first, second = new_key(), new_key()
    assert signed(first.sign(pool))
    assert signed(second.sign(pool))
    [leased] = pool._idle
    leased.keys[first.made.cka_id] = leased.keys[second.made.cka_id]
    generation = pool.generation
    assert signed(first.sign(pool, 3))
    assert pool.generation > generation


def test_an_error_amid_a_pass_costs_no_signature_that_was_made_before_it(
    pool: hsm.TokenPool, key: ECKey, token: TokenFixture
) -> None:
    assert signed(key.sign(pool))
    seen: list[int] = []

    def make(function: Function) -> Function:
        def call(*arguments: int) -> int:
            seen.append(1)
            broken = len(seen) == PASS_ITEMS + 5
            return CURED_BY_THE_LADDER["DEVICE_ERROR"] if broken else function(*arguments)

        return call

    with replaced(token.module, "C_Sign", make), counted(token.module, "C_SignInit") as begun:
        assert signed(key.sign(pool, 3 * PASS_ITEMS))
    assert len(begun) == 3 * PASS_ITEMS + 1


def test_a_stale_handle_burns_the_signatures_of_one_pass_at_most(
    pool: hsm.TokenPool, new_key: Callable[[], ECKey], token: TokenFixture
) -> None:
    first, second = new_key(), new_key()
    assert signed(first.sign(pool))
    assert signed(second.sign(pool))
    [leased] = pool._idle
    leased.keys[first.made.cka_id] = leased.keys[second.made.cka_id]
    with counted(token.module, "C_SignInit") as begun:
        assert signed(first.sign(pool, 3 * PASS_ITEMS))
    assert len(begun) == 4 * PASS_ITEMS


def test_signatures_that_never_pass_their_check_fail_item_by_item(
    pool: hsm.TokenPool, key: ECKey
) -> None:
    def refuse(signature: bytes) -> None:
        raise ValueError("not by the pinned key")

    calls: list[bytes] = []

    def accept(signature: bytes) -> None:
        calls.append(signature)

    items = [(b"good", accept), (b"bad", refuse), (b"good too", accept), (b"bad too", refuse)]
    results = hsm.sign(pool, key.made.cka_id, hsm.Scheme.ECDSA_P256_SHA256, items)
    assert [type(result) for result in results] == [
        bytes,
        hsm.SignatureCheckError,
        bytes,
        hsm.SignatureCheckError,
    ]
    assert calls == [results[0], results[2]]


def test_a_login_that_fails_leaves_no_session_behind(
    make_pool: Callable[[], hsm.TokenPool], key: ECKey, token: TokenFixture
) -> None:
    module = modules.load(token.module)
    module.reinit(module.epoch)
    with (
        counted(token.module, "C_OpenSession") as opened,
        counted(token.module, "C_CloseSession") as closed,
        failing(token.module, "C_Login", 0xA4, times=1000) as logins,
    ):
        [result] = key.sign(make_pool())
    assert isinstance(result, hsm.PINRefusedError)
    assert (len(opened), len(closed), len(logins)) == (1, 1, 1)


def test_being_logged_in_already_is_success(
    make_pool: Callable[[], hsm.TokenPool], key: ECKey
) -> None:
    assert signed(key.sign(make_pool()))
    assert signed(key.sign(make_pool()))


def test_a_token_without_sessions_is_unavailable_and_is_not_initialised_again(
    make_pool: Callable[[], hsm.TokenPool], key: ECKey, token: TokenFixture
) -> None:
    pool = make_pool()
    with (
        counted(token.module, "C_Finalize") as finalized,
        failing(token.module, "C_OpenSession", 0xB1, times=1000),
    ):
        [result] = key.sign(pool)
    assert isinstance(result, hsm.HSMUnavailableError)
    assert not finalized


def test_room_that_is_short_for_a_moment_is_waited_for(
    make_pool: Callable[[], hsm.TokenPool], key: ECKey, token: TokenFixture
) -> None:
    pool = make_pool()
    with failing(token.module, "C_OpenSession", 0xB1, times=3):
        assert signed(key.sign(pool))


def test_sessions_that_nobody_uses_are_given_back_where_room_is_short(
    make_pool: Callable[[], hsm.TokenPool], key: ECKey, token: TokenFixture
) -> None:
    pool = make_pool()
    assert signed(key.sign(pool))
    assert len(pool._idle) == 1
    with (
        counted(token.module, "C_CloseSession") as closed,
        failing(token.module, "C_SignInit", 0x31, times=1),
    ):
        assert signed(key.sign(pool))
    assert closed


def test_a_token_that_stays_full_does_not_make_those_wait_who_have_what_they_need(
    make_pool: Callable[[], hsm.TokenPool], key: ECKey, token: TokenFixture
) -> None:
    pool = make_pool()
    assert signed(key.sign(pool))
    with failing(token.module, "C_SignInit", 0x31, times=4):
        [result] = key.sign(pool)
        assert isinstance(result, hsm.TokenBusyError)
        assert signed(key.sign(pool))


def test_a_module_that_cannot_lock_is_used_by_one_thread_at_a_time(
    make_pool: Callable[[], hsm.TokenPool], key: ECKey, token: TokenFixture
) -> None:
    module = modules.load(token.module)

    def make(function: Callable[..., int]) -> Callable[..., int]:
        return lambda arguments: 0x0A if arguments else function(arguments)

    try:
        with replaced(token.module, "C_Initialize", make):
            module.reinit(module.epoch)
            assert module._library.one_at_a_time
            assert signed(key.sign(make_pool(), 2))
    finally:
        module._library.one_at_a_time = False
        module.reinit(module.epoch)
    assert signed(key.sign(make_pool()))


def test_a_module_that_is_not_there_is_unavailable_and_its_path_stays_out_of_the_message() -> None:
    with pytest.raises(hsm.ModuleLoadError, match=r"nowhere\.so cannot be loaded") as caught:
        hsm.slots(Path("/secret/place/nowhere.so"))
    assert "/secret/place" not in str(caught.value)


def test_a_library_that_is_no_pkcs11_module_is_refused() -> None:
    library = next(Path("/").glob("lib*/**/libc.so.6"), None)
    if library is None:
        library = next(Path("/usr").glob("lib/**/libc.so.6"))
    with pytest.raises(hsm.ModuleLoadError):
        hsm.slots(library)
