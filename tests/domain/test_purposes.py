"""Purposes never mix: not at run time, and not for whoever writes code that would mix them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from service.domain.errors import KeyNotUsableError
from service.domain.keys import Algorithm, Key, KeyState, KeyVersion, Purpose
from service.domain.purposes import image_key, image_versions, log_versions
from tests.support.statements import MOMENT, a_version

ROOT = Path(__file__).resolve().parents[2]


def a_key(purpose: Purpose, *states: KeyState) -> Key:
    versions = [
        replace(a_version(b"", purpose=purpose), version=number, state=state)
        for number, state in enumerate(states, 1)
    ]
    return Key("k", purpose, Algorithm.EC_P256, MOMENT, tuple(versions))


@pytest.mark.parametrize("purpose", Purpose)
def test_a_key_passes_for_its_own_purpose_only(purpose: Purpose) -> None:
    key = a_key(purpose, KeyState.ACTIVE)
    if purpose is Purpose.IMAGE:
        assert image_key(key) is key
    else:
        with pytest.raises(KeyNotUsableError, match=f"a key for {purpose}, not for image"):
            image_key(key)
    if purpose is Purpose.LOG:
        assert log_versions(key) == key.versions
    else:
        with pytest.raises(KeyNotUsableError, match="not for log"):
            log_versions(key)


def numbers(versions: tuple[KeyVersion, ...]) -> list[int]:
    return [version.version for version in versions]


def test_only_active_versions_pass() -> None:
    states = (KeyState.RETIRED, KeyState.ACTIVE, KeyState.SUSPENDED, KeyState.ACTIVE)
    assert numbers(image_versions(image_key(a_key(Purpose.IMAGE, *states)))) == [2, 4]
    assert numbers(log_versions(a_key(Purpose.LOG, *states))) == [2, 4]
    for state in KeyState:
        if state is not KeyState.ACTIVE:
            with pytest.raises(KeyNotUsableError, match="no version of k is active"):
                image_versions(image_key(a_key(Purpose.IMAGE, state)))


MIXED = """
from service.domain.keys import Key, KeyVersion
from service.domain.purposes import ImageKey, ImageVersion, LogVersion, image_versions

def for_images(version: ImageVersion) -> None: ...
def for_the_log(version: LogVersion) -> None: ...

def right(key: ImageKey, version: ImageVersion, log: LogVersion) -> None:
    for_images(version)
    for_the_log(log)
    image_versions(key)

def wrong(key: Key, version: KeyVersion, image: ImageVersion, log: LogVersion) -> None:
    for_images(log)
    for_the_log(image)
    for_images(version)
    image_versions(key)
"""


def test_mypy_refuses_code_that_mixes_them(tmp_path: Path) -> None:
    module = tmp_path / "mixed.py"
    module.write_text(MIXED)
    # In a process of its own: mypy raises the recursion limit for good.
    words = ["-m", "mypy", "--no-error-summary", "--follow-imports=silent", str(module)]
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    lines = MIXED.splitlines()
    refused = [lines[int(line.split(":")[1]) - 1].strip() for line in done.stdout.splitlines()]
    assert refused == [
        "for_images(log)",
        "for_the_log(image)",
        "for_images(version)",
        "image_versions(key)",
    ]
