"""`sealwright slots check` on modules of four kinds, and on ones that crash and hang."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from service.bootstrap import slots_check
from service.bootstrap.tokens_file import TokenSettings
from tests.support.processes import is_alive, parent_of
from tests.support.vendors import (
    KitServer,
    Vendor,
    kit_vendor,
    nss_vendor,
    opencryptoki_vendor,
    softhsm_vendor,
)

# What costs seconds and is asked of SoftHSM alone.
SLOW = ("--skip", "rsa-3072", "--skip", "rsa-4096")
SEALWRIGHT = "from service.cli.main import main; main()"


def arguments(vendor: Vendor, *more: str) -> list[str]:
    given = ["-c", SEALWRIGHT, "slots", "check", "--json", "--module", str(vendor.module)]
    given += ["--label", vendor.label, "--pin-file", str(vendor.pin_file)]
    if vendor.init_args is not None:
        given += ["--init-args", vendor.init_args]
    return [*given, *more]


def check(vendor: Vendor, *more: str) -> tuple[int, Mapping[str, Any]]:
    done = vendor.run(arguments(vendor, *more), check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, json.loads(done.stdout)


def verdicts(told: Mapping[str, Any], verdict: str) -> set[str]:
    [token] = told["tokens"]
    return {each["name"] for each in token["checks"] if each["verdict"] == verdict}


def examined(vendor: Vendor, *more: str) -> Mapping[str, Any]:
    code, told = check(vendor, *more)
    [token] = told["tokens"]
    unfit = [each for each in token["checks"] if not each["acceptable"]]
    assert (code, told["ok"], token["problem"], unfit) == (0, True, None, [])
    return told


def test_softhsm_is_fit_and_all_that_it_does_oddly_is_known(tmp_path: Path) -> None:
    told = examined(softhsm_vendor(tmp_path), "--wrong-pin")
    assert verdicts(told, "lies") == {"wrong-kind"}
    assert verdicts(told, "lacks") == {"hash-length"}
    assert {"ed25519", "ec-p256", "rsa-4096", "wrapping", "wrong-pin"} <= verdicts(told, "works")
    [token] = told["tokens"]
    assert token["subject"]["quirks"] == "SoftHSM"


def test_a_remoted_token_is_fit_and_has_the_quirks_of_both(tmp_path: Path) -> None:
    with kit_vendor(tmp_path) as (vendor, _):
        told = examined(vendor, *SLOW)
    assert verdicts(told, "lies") == {"wrong-kind"}
    assert verdicts(told, "lacks") == {"ed25519", "hash-length", "locking"}
    [token] = told["tokens"]
    assert token["subject"]["quirks"] == "SoftHSM + p11-kit remoting"


def test_opencryptoki_is_fit_with_rsa_alone_and_counts_wrong_pins(tmp_path: Path) -> None:
    vendor = opencryptoki_vendor(tmp_path)
    told = examined(vendor, *SLOW, "--wrong-pin")
    assert verdicts(told, "lies") == {"serial", "always-authenticate"}
    assert verdicts(told, "lacks") == {"ec-p256", "ec-p384", "ed25519"}
    [token] = told["tokens"]
    [wrong] = [each for each in token["checks"] if each["name"] == "wrong-pin"]
    assert "user_pin_count_low" in wrong["detail"]


def test_nss_lets_keys_out_and_the_check_says_so(tmp_path: Path) -> None:
    vendor = nss_vendor(tmp_path)
    told = examined(vendor, *SLOW)
    assert verdicts(told, "lies") == {"history", "wrapping", "always-authenticate", "lost-login"}
    assert verdicts(told, "lacks") == {"ed25519", "serial", "hash-length"}
    [token] = told["tokens"]
    [wrapping] = [each for each in token["checks"] if each["name"] == "wrapping"]
    assert "AES_CBC_PAD" in wrapping["detail"]
    assert "trials only" in wrapping["known"]


def examiner() -> int:
    """Return the process that examines a token for this one."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and parent_of(int(entry.name)) == os.getpid():
                command = (entry / "cmdline").read_bytes()
                if b"service.bootstrap.slots_check" in command:
                    return int(entry.name)
        except OSError:
            continue
    raise AssertionError("no token is being examined")


def freeze_hsm(server: KitServer) -> None:
    frozen, examining = server.connections(), examiner()
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    while is_alive(examining):
        time.sleep(0.01)
    # It keeps the locks of its files as long as it lives.
    for pid in frozen:
        os.kill(pid, signal.SIGKILL)


def crash_module(server: KitServer) -> None:
    os.kill(examiner(), signal.SIGSEGV)


@pytest.mark.parametrize(
    ("mishap", "words"),
    [(freeze_hsm, "did not come back"), (crash_module, "crashed the process (SIGSEGV)")],
)
def test_a_check_that_hangs_or_crashes_has_failed_and_the_others_go_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mishap: Callable[[KitServer], None],
    words: str,
) -> None:
    monkeypatch.setattr(slots_check, "CHECK_SECONDS", 8.0)
    with kit_vendor(tmp_path) as (vendor, server):
        for name, value in vendor.environment.items():
            monkeypatch.setenv(name, value)
        tokens = server.softhsm.tokens_directory

        def wait_for_a_key() -> None:
            deadline = time.monotonic() + 60
            # The token's own file, and then those of the first key.
            while len(list(tokens.glob("*/*.object"))) < 2 and time.monotonic() < deadline:
                time.sleep(0.002)
            mishap(server)

        trouble = threading.Thread(target=wait_for_a_key)
        trouble.start()
        asked = TokenSettings(vendor.module, vendor.label, None, vendor.pin_file)
        skip = [name for name in slots_check.NAMES if name.startswith(("rsa", "ec-p384"))]
        report = slots_check.check_by_hand(asked, skip=skip, wrong_pin=False)
        trouble.join()
    assert report.problem is None
    assert not report.ok
    [bad] = [each for each in report.checks if not each["acceptable"]]
    assert words in bad["detail"]
    assert [each["name"] for each in report.checks] == [
        name for name in slots_check.NAMES if name not in {*skip, "wrong-pin"}
    ]


def test_a_token_that_cannot_be_examined_is_told_and_its_pin_is_not_tried_again(
    tmp_path: Path,
) -> None:
    vendor = softhsm_vendor(tmp_path)
    vendor.pin_file.write_text("wrong-4711")
    code, told = check(vendor)
    [token] = told["tokens"]
    assert (code, told["ok"], token["checks"]) == (1, False, [])
    assert "refused the PIN" in token["problem"]
    missing = Vendor(tmp_path / "no.so", "x", vendor.pin_file)
    code, told = check(missing)
    assert (code, "cannot be loaded" in told["tokens"][0]["problem"]) == (1, True)


def test_a_configured_token_is_examined_through_the_latch_in_the_store(tmp_path: Path) -> None:
    soft = softhsm_vendor(tmp_path)
    tokens = tmp_path / "tokens.yaml"
    pin = tmp_path / "configured.pin"
    tokens.write_text(
        f"tokens: [{{module: {soft.module}, label: soft, name: ours, pin_file: {pin}}}]"
    )
    settings = {"SEALWRIGHT_TOKENS_FILE": str(tokens), "SEALWRIGHT_STATE_DIR": str(tmp_path)}
    configured = Vendor(soft.module, "soft", pin, {**soft.environment, **settings})
    skip = [f"--skip={name}" for name in slots_check.NAMES if name.startswith(("rsa", "ec-p384"))]

    def asked(*names: str) -> tuple[int, str]:
        command = ["-c", SEALWRIGHT, "slots", "check", *names, *skip]
        done = configured.run(command, check=False)
        return done.returncode, done.stdout + done.stderr

    pin.write_text("wrong-4711")
    code, said = asked()
    assert (code, "the latch of refused PINs is in the store" in said) == (1, True)
    configured.run(["-c", SEALWRIGHT, "db", "upgrade"])
    assert "refused the PIN" in asked()[1]
    assert "not tried again" in asked()[1]
    pin.write_text(soft.pin_file.read_text())
    code, said = asked("ours")
    assert (code, "Sealwright can use this token." in said) == (0, True)
    assert asked("another")[0] == 2
