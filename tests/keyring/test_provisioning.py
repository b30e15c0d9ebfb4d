"""Tokens made with random PINs that no argument list ever shows."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.softhsm import SoftHSM


def start(softhsm: SoftHSM, label: str, directory: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "service.keyring.provision", "--module", str(softhsm.module)]
    command += ["--label", label, "--so-pin-file", str(directory / "so-pin")]
    command += ["--pin-file", str(directory / "pin")]
    return subprocess.Popen(
        command,
        env=softhsm.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_provisioning_twice_at_the_same_time_makes_one_token_with_one_pin(
    new_softhsm: Callable[[], SoftHSM], tmp_path: Path
) -> None:
    softhsm = new_softhsm()
    runs = [start(softhsm, "made once", tmp_path / "pins") for _ in range(3)]
    said = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [0] * 3, said
    answers = [json.loads(out) for out, _ in said]
    assert answers == [answers[0]] * 3
    assert answers[0]["label"] == "made once"
    assert len(list(softhsm.tokens_directory.iterdir())) == 1
    pins = sorted((tmp_path / "pins").iterdir())
    assert [pin.name for pin in pins] == ["pin", "so-pin"]
    assert {stat.S_IMODE(pin.stat().st_mode) for pin in pins} == {0o600}
    first, second = (pin.read_text() for pin in pins)
    assert first != second
    assert len(first) == 32


@pytest.mark.parametrize("label", ["x" * 33, "é" * 17])
def test_a_label_that_does_not_fit_is_refused(
    new_softhsm: Callable[[], SoftHSM], tmp_path: Path, label: str
) -> None:
    softhsm = new_softhsm()
    run = start(softhsm, label, tmp_path)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "at most 32 bytes" in said
    assert not list(softhsm.tokens_directory.iterdir())
