"""Slots as custodians see them, and what doctor says of each thing that can be wrong."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path

import pytest

from hsm import module as modules
from service.domain import errors
from service.domain.keys import Algorithm
from service.keyring import Keyring, diagnose
from tests.support.faults import CKR_OK, Function, failing, replaced
from tests.support.keyrings import Keyrings, must_sign
from tests.support.softhsm import SoftHSM, TokenFixture


def test_a_configured_token_is_ready_and_others_are_shown_beside_it(
    keyring: Keyring, token: TokenFixture, other_token: TokenFixture
) -> None:
    statuses = {status.token: status for status in keyring.status()}
    ready = statuses[token.label]
    assert (ready.state, ready.serial, ready.initialized) == ("ready", token.serial, True)
    assert "user_pin_initialized" in ready.flags
    assert statuses[other_token.label].state == "not-configured"
    assert (statuses[None].state, statuses[None].initialized) == ("uninitialized", False)


def test_a_token_that_was_made_after_the_module_was_loaded_is_found(
    keyring: Keyring, keyrings: Keyrings, softhsm: SoftHSM
) -> None:
    must_sign(keyring)
    late = softhsm.token("made late")
    must_sign(keyrings([late.config]))


def test_an_absent_token_and_an_absent_module_are_states_and_not_errors(
    keyrings: Keyrings, token: TokenFixture, tmp_path: Path
) -> None:
    nowhere = replace(token.config, label="never made", serial=None)
    no_module = replace(token.config, module=tmp_path / "no.so", label="no module")
    keyring = keyrings([nowhere, no_module])
    statuses = {status.token: status for status in keyring.status()}
    for label in ("never made", "no module"):
        assert statuses[label].state == "unavailable"
        assert statuses[label].detail
    with pytest.raises(errors.HSMUnavailableError):
        must_sign(keyring)


def test_one_token_that_can_sign_is_enough_to_be_ready(
    keyrings: Keyrings, token: TokenFixture
) -> None:
    nowhere = replace(token.config, label="never made", serial=None)
    must_sign(keyrings([nowhere, token.config]))
    with pytest.raises(errors.HSMUnavailableError, match="no token is configured"):
        must_sign(keyrings([]))


def test_the_health_of_each_token_is_told_by_the_name_that_the_settings_give_it(
    keyrings: Keyrings, token: TokenFixture, tmp_path: Path
) -> None:
    nowhere = replace(token.config, label="never made", serial=None)
    wrong = tmp_path / "wrong-pin"
    wrong.write_text("wrong-4711")
    module = modules.load(token.module)
    module.reinit(module.epoch)
    refused = replace(token.config, pin_file=wrong, name="with a wrong PIN")
    told = keyrings([nowhere, refused]).health()
    assert [(t.token, t.state) for t in told] == [
        ("never made", "unavailable"),
        ("with a wrong PIN", "pin-refused"),
    ]
    assert isinstance(told[1].error, errors.PINRefusedError)
    [ready] = keyrings([replace(token.config, name="mine")]).health()
    assert (ready.token, ready.state, ready.error) == ("mine", "ready", None)


def test_keys_are_made_on_the_token_that_is_named(
    keyrings: Keyrings, token: TokenFixture, other_token: TokenFixture
) -> None:
    both = keyrings([token.config, other_token.config])
    made = both.generate("release", Algorithm.EC_P256, other_token.label)
    assert made.location.token == other_token.label
    for label in (None, "unknown"):
        with pytest.raises(errors.TokenNotFoundError):
            both.generate("release", Algorithm.EC_P256, label)
    with pytest.raises(errors.TokenNotFoundError):
        both.login_once("unknown")


def test_a_token_without_the_mechanism_makes_no_key(keyring: Keyring, token: TokenFixture) -> None:
    with (
        failing(token.module, "C_GenerateKeyPair", 0x70, times=1000),
        replaced(token.module, "C_GetMechanismList", no_mechanisms),
        pytest.raises(errors.UnsupportedAlgorithmError),
    ):
        keyring.generate("release", Algorithm.EC_P256, None)


def test_a_token_that_refuses_a_mechanism_which_it_lists_is_at_fault_itself(
    keyring: Keyring, token: TokenFixture
) -> None:
    with (
        failing(token.module, "C_GenerateKeyPair", 0x70, times=1000),
        pytest.raises(errors.HSMRefusedError),
    ):
        keyring.generate("release", Algorithm.EC_P256, None)


def no_mechanisms(function: Function) -> Function:
    def call(slot: int, listed: int, count: int) -> int:
        ctypes.c_ulong.from_address(count).value = 0
        return CKR_OK

    return call


def test_a_vendor_that_refuses_the_fullest_template_is_asked_with_less(
    keyring: Keyring, token: TokenFixture
) -> None:
    with failing(token.module, "C_GenerateKeyPair", 0x12, times=2) as calls:
        made = keyring.generate("release", Algorithm.EC_P256, None)
    assert len(calls) == 3
    assert (made.attributes.sensitive, made.attributes.extractable) == (True, False)


def test_a_token_tells_its_mechanisms_with_sizes_and_flags(
    keyring: Keyring, keyrings: Keyrings, token: TokenFixture
) -> None:
    found = {each.name: each for each in keyring.mechanisms(token.label)}
    assert {"sign", "verify"} <= set(found["ECDSA"].flags)
    assert found["RSA_PKCS_KEY_PAIR_GEN"].max_key_size >= 4096
    assert list(found) == sorted(found)
    with pytest.raises(errors.TokenNotFoundError):
        keyring.mechanisms("unknown")
    absent = replace(token.config, label="never made", serial=None)
    with pytest.raises(errors.HSMUnavailableError):
        keyrings([absent]).mechanisms("never made")


def test_a_token_is_found_by_its_name_and_clones_by_their_label(
    keyrings: Keyrings, token: TokenFixture, tmp_path: Path
) -> None:
    first = replace(token.config, name="first")
    second = replace(token.config, name="second", module=tmp_path / "no.so")
    both = keyrings([first, second])
    for named in ("first", token.label, None):
        assert both.generate("k", Algorithm.EC_P256, named).location.serial == token.serial
    with pytest.raises(errors.HSMUnavailableError):
        both.generate("k", Algorithm.EC_P256, "second")
    # It is sick now, and the other of the two makes the key wherever it stands in the file.
    turned = keyrings([second, first])
    with pytest.raises(errors.HSMUnavailableError):
        turned.generate("k", Algorithm.EC_P256, token.label)
    assert turned.generate("k", Algorithm.EC_P256, token.label).location.serial == token.serial
    assert both.label_of("second") == token.label
    assert both.login_once(token.label).name == "first"
    assert both.mechanisms(token.label)
    shown = {status.name: status.state for status in both.status() if status.name}
    assert shown == {"first": "ready", "second": "unavailable"}


# --- doctor ---------------------------------------------------------------------------------


def test_doctor_finds_nothing_wrong_with_a_good_token(keyring: Keyring) -> None:
    findings = diagnose(keyring)
    assert len(findings) == 4
    assert [finding.problem for finding in findings] == [None] * 4


def problem_of(keyring: Keyring) -> tuple[str, str]:
    *good, last = diagnose(keyring)
    assert all(finding.problem is None for finding in good)
    assert last.problem
    assert last.cure
    return last.what.split()[0], last.problem


def test_doctor_names_the_first_thing_that_is_wrong(
    keyrings: Keyrings, token: TokenFixture, tmp_path: Path
) -> None:
    good = token.config
    assert problem_of(keyrings([])) == ("tokens", "no token is configured")
    missing = replace(good, module=tmp_path / "no.so")
    assert problem_of(keyrings([missing])) == ("PKCS#11", "there is no such file")
    text = tmp_path / "text.so"
    text.write_text("no library")
    what, problem = problem_of(keyrings([replace(good, module=text)]))
    assert what == "PKCS#11"
    assert "cannot be loaded" in problem
    what, problem = problem_of(keyrings([replace(good, label="unknown")]))
    assert what == "token"
    assert repr(token.label) in problem
    assert token.serial in problem
    no_file = replace(good, pin_file=tmp_path / "no-pin")
    assert problem_of(keyrings([no_file])) == ("PIN", "there is no such file")
    shared = tmp_path / "shared-pin"
    shared.write_text(token.pin_file.read_text())
    shared.chmod(0o644)
    what, problem = problem_of(keyrings([replace(good, pin_file=shared)]))
    assert (what, "0644" in problem) == ("PIN", True)
    module = modules.load(token.module)
    module.reinit(module.epoch)
    wrong = tmp_path / "wrong-pin"
    wrong.write_text("wrong-4711")
    wrong.chmod(0o600)
    latched = keyrings([replace(good, pin_file=wrong)])
    assert problem_of(latched)[0] == "login"
    what, problem = problem_of(latched)
    assert what == "login"
    assert "not tried again" in problem
