"""A PIN is changed on the token while the service signs, and the last try is a custodian's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hsm import module as modules
from hsm.tokens import find_token
from service.domain import errors
from service.domain.keys import Algorithm, Scheme
from service.keyring import Keyring, TokenConfig, diagnose
from tests.support.faults import counted, failing, original, replaced
from tests.support.keyrings import Keyrings, must_sign
from tests.support.softhsm import SoftHSM, TokenFixture
from tests.support.versions import to_sign, version_of


@pytest.fixture
def token(softhsm: SoftHSM, request: pytest.FixtureRequest) -> TokenFixture:
    """A token whose PIN the test changes."""
    made = softhsm.token(f"pin {abs(hash(request.node.name)) % 10**9}")
    forget_logins(made)
    return made


def forget_logins(token: TokenFixture) -> None:
    module = modules.load(token.module)
    module.reinit(module.epoch)


@pytest.fixture
def config(token: TokenFixture, tmp_path: Path) -> TokenConfig:
    pin = tmp_path / "pin"
    pin.write_text(token.pin_file.read_text())
    pin.chmod(0o600)
    return replace(token.config, pin_file=pin, pin_next_file=tmp_path / "pin-next")


def next_pin(config: TokenConfig) -> Path:
    assert config.pin_next_file is not None
    return config.pin_next_file


def change_pin(token: TokenFixture, old: str, new: str) -> None:
    module = modules.load(token.module)
    with module.use():
        found = find_token(module, token.label, token.serial)
        session = found.open(rw=True)
        try:
            module.login(session, old)
            session.set_pin(old, new)
        finally:
            session.close()


@pytest.mark.parametrize("new", ["87654321", "crypto_user:pass:word", "päss wörd"])
def test_a_pin_is_changed_without_a_failed_request(
    keyrings: Keyrings, token: TokenFixture, config: TokenConfig, new: str
) -> None:
    keyring = keyrings([config])
    version = version_of(keyring.generate("k", Algorithm.EC_P256, None), Algorithm.EC_P256)
    item = to_sign(version, Scheme.ECDSA_P256_SHA256, b"m")

    def signs(by: Keyring) -> bool:
        [result] = by.sign(version, Scheme.ECDSA_P256_SHA256, [item])
        return isinstance(result, bytes)

    old = config.pin_file.read_text()
    assert signs(keyring)
    next_pin(config).write_text(new)
    assert signs(keyring)
    change_pin(token, old, new)
    # Who is logged in stays so; who logs in takes the next PIN, after one try of the old one.
    assert signs(keyring)
    with counted(config.module, "C_Login") as logins:
        for _ in range(3):
            forget_logins(token)
            assert signs(keyring)
            assert signs(keyrings([config]))
    assert len(keyrings.latch.rows) == 1
    assert len(logins) == 1 + 6
    # The change ends when the file has the new PIN; the other may go then.
    config.pin_file.write_text(new)
    next_pin(config).unlink()
    forget_logins(token)
    assert signs(keyring)
    assert [finding.problem for finding in diagnose(keyring)] == [None] * 4


def test_each_pin_is_tried_once_by_all_threads_when_both_are_wrong(
    keyrings: Keyrings, config: TokenConfig
) -> None:
    right = config.pin_file.read_text()
    config.pin_file.write_text("wrong-4711")
    next_pin(config).write_text("wrong-too-4711")
    several = [keyrings([config]) for _ in range(3)]
    caught: list[Exception] = []

    def check(keyring: Keyring) -> None:
        try:
            must_sign(keyring)
        except errors.ServiceError as error:
            caught.append(error)

    with counted(config.module, "C_Login") as logins:
        threads = [threading.Thread(target=check, args=(k,)) for k in several for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(logins) == 2
        assert [type(error) for error in caught] == [errors.PINRefusedError] * len(threads)
        # A changed file gets a try of its own; what was refused before does not.
        next_pin(config).write_text(right)
        must_sign(several[0])
        assert len(logins) == 3


def test_the_next_pin_is_not_tried_while_the_own_one_is_taken_or_the_token_is_locked(
    keyrings: Keyrings, token: TokenFixture, config: TokenConfig
) -> None:
    next_pin(config).write_text("wrong-4711")
    with counted(config.module, "C_Login") as logins:
        must_sign(keyrings([config]))
        assert len(logins) == 1
    forget_logins(token)
    with (
        failing(config.module, "C_Login", 0xA4) as logins,
        pytest.raises(errors.PINRefusedError),
    ):
        must_sign(keyrings([config]))
    assert len(logins) == 1


@pytest.fixture
def flags(token: TokenFixture) -> Iterator[list[int]]:
    """Flags that the token shows besides its own."""
    more = [0]
    info = original(token.module, "C_GetTokenInfo")

    def make(function: object) -> object:
        import ctypes  # noqa: PLC0415 -- to write into the answer

        def call(slot: int, answer: int) -> int:
            returned = info(slot, answer)
            # CK_TOKEN_INFO.flags, after label, manufacturer, model and serial.
            shown = ctypes.c_ulong.from_address(answer + 32 + 32 + 16 + 16)
            shown.value |= more[0]
            return returned

        return call

    with replaced(token.module, "C_GetTokenInfo", make):  # type: ignore[arg-type]
        yield more


def test_the_last_try_of_a_token_is_spent_by_a_custodian_only(
    keyrings: Keyrings, token: TokenFixture, config: TokenConfig, flags: list[int]
) -> None:
    keyring = keyrings([config])
    flags[0] = 0x20000  # CKF_USER_PIN_FINAL_TRY
    with counted(config.module, "C_Login") as logins:
        with pytest.raises(errors.PINRefusedError, match="one try left"):
            must_sign(keyring)
        assert not logins
        assert keyring.login_once(config.label).state == "ready"
        assert len(logins) == 1
        forget_logins(token)
        with pytest.raises(errors.PINRefusedError, match="one try left"):
            must_sign(keyring)
        flags[0] = 0x40000  # CKF_USER_PIN_LOCKED
        with pytest.raises(errors.PINRefusedError, match="locked"):
            keyring.login_once(config.label)
        assert len(logins) == 1
        assert not keyrings.latch.rows
        flags[0] = 0
        must_sign(keyring)


def test_doctor_looks_at_the_file_of_the_next_pin_once_it_is_there(
    keyrings: Keyrings, config: TokenConfig
) -> None:
    next_pin(config).write_text("87654321")
    next_pin(config).chmod(0o644)
    *good, last = diagnose(keyrings([config]))
    assert len(good) == 3
    assert str(next_pin(config)) in last.what
    assert "0644" in (last.problem or "")
