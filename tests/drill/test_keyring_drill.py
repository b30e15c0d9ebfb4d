"""What callers see of one fault after the other, in one process that is never restarted.

The keyring signs with four threads, on SoftHSM behind a module that fails on demand. Whatever
happens, a signature is right or there is none, and a refusal is a 503 that says when to come back.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.drill.drill_worker import CKR, FAULTS
from tests.support.chaos import Chaos
from tests.support.softhsm import make_softhsm

WORKER = Path(__file__).with_name("drill_worker.py")
TOKENS = ("drill", "anew", "pin")

Told = Mapping[str, Any]


@pytest.fixture(scope="module")
def told(chaos_module: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Told]:
    """What the worker told of each fault."""
    chaos = Chaos(chaos_module, make_softhsm(tmp_path_factory.mktemp("drill")))
    chaos.rules.clear()
    tokens = {label: chaos.token(label) for label in TOKENS}
    given = {
        "module": str(chaos.module),
        "target": str(chaos.softhsm.module),
        "rules": str(chaos.rules.file),
        "tokens": {
            label: {
                "serial": token.serial,
                "pin_file": str(token.pin_file),
                "so_pin_file": str(chaos.softhsm.directory / f"{label}.so-pin"),
            }
            for label, token in tokens.items()
        },
    }
    done = subprocess.run(
        [sys.executable, str(WORKER), json.dumps(given)],
        env=chaos.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=290,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (lines[-1:], done.stderr)
    for line in lines:
        print(line)
    return {line["fault"]: line for line in lines}


@pytest.mark.parametrize("fault", FAULTS)
def test_callers_see_success_or_a_503_with_retry_after_and_then_success_again(
    told: Mapping[str, Told], fault: str
) -> None:
    seen = told[fault]
    assert seen["wrong"] == []
    assert seen["outcomes"]["made"] > 0


KEY_IS_GONE = {"key deleted", "token made anew"}


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in KEY_IS_GONE])
def test_no_fault_looks_like_a_key_that_is_missing(told: Mapping[str, Told], fault: str) -> None:
    assert "key-missing-on-token" not in told[fault]["outcomes"]


@pytest.mark.parametrize("fault", sorted(KEY_IS_GONE))
def test_a_key_that_is_missing_is_told(told: Mapping[str, Told], fault: str) -> None:
    assert told[fault]["outcomes"]["key-missing-on-token"] > 0


@pytest.mark.parametrize(
    "fault",
    ["sessions closed", "logged out", "module initialised again", "slow", "fork"],
)
def test_what_can_be_mended_within_a_request_is_not_seen_at_all(
    told: Mapping[str, Told], fault: str
) -> None:
    assert set(told[fault]["outcomes"]) == {"made"}


@pytest.mark.parametrize("name", [name for name in CKR if name != "PIN_LOCKED"])
def test_an_error_that_lasts_is_the_hsms_and_may_be_tried_again(
    told: Mapping[str, Told], name: str
) -> None:
    outcomes = set(told[f"CKR_{name}"]["outcomes"])
    assert outcomes <= {"made", "hsm-unavailable", "hsm-refused"}
    assert (name == "MECHANISM_INVALID") or "hsm-refused" not in outcomes


def test_a_mechanism_that_is_refused_for_good_is_the_hsms_fault(told: Mapping[str, Told]) -> None:
    assert set(told["mechanism refused"]["outcomes"]) == {"made", "hsm-refused"}


def test_signatures_that_do_not_verify_are_made_again_and_never_leave(
    told: Mapping[str, Told],
) -> None:
    assert set(told["wrong signatures"]["outcomes"]) == {"made", "signature-check-failed"}


@pytest.mark.parametrize("fault", ["CKR_PIN_LOCKED", "PIN changed"])
def test_a_pin_that_is_refused_is_latched_once(told: Mapping[str, Told], fault: str) -> None:
    assert told[fault]["latched"] == 1
    assert told[fault]["outcomes"]["pin-refused"] > 0


def test_a_latch_that_a_custodian_clears_leaves_a_token_that_is_ready(
    told: Mapping[str, Told],
) -> None:
    assert told["CKR_PIN_LOCKED"]["state"] == "ready"


def test_a_child_that_was_forked_under_traffic_is_refused_and_does_not_hang(
    told: Mapping[str, Told],
) -> None:
    assert told["fork"]["children"] == {"3": 12}


def test_a_frozen_module_is_in_quarantine_until_a_probe_comes_back(
    told: Mapping[str, Told],
) -> None:
    assert told["frozen"]["quarantined"] is True
    assert set(told["frozen"]["outcomes"]) == {"made", "hsm-quarantined"}


def test_what_was_done_about_it_was_counted(told: Mapping[str, Told]) -> None:
    assert told[""]["relogins"] > 0
