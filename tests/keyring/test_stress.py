"""Eight threads on one token, in a process that a crash of the module cannot take along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.softhsm import SoftHSM

WORKER = Path(__file__).with_name("stress_worker.py")
SECONDS = os.environ.get("SEALWRIGHT_STRESS_SECONDS", "5")
THREADS = 8


@pytest.mark.timeout(float(SECONDS) + 300)
def test_eight_threads_sign_without_an_error_while_the_token_is_disturbed(
    new_softhsm: Callable[[], SoftHSM],
) -> None:
    softhsm = new_softhsm()
    token = softhsm.token("stress")
    command = [sys.executable, str(WORKER), str(token.module), token.label]
    command += [str(token.pin_file), SECONDS, str(THREADS)]
    done = subprocess.run(
        command, env=softhsm.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["wrong"] == []
    assert all(told["signed"])
    assert told["disturbances"] > 0


STORAGE = """
import shutil, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from service.domain.clock import SystemClock
from service.domain.keys import Algorithm, Scheme
from service.keyring import Keyring, TokenConfig
from tests.support.keyrings import must_sign
from tests.support.memory import MemoryLeases, MemoryPINLatch
from tests.support.versions import to_sign, version_of

config = TokenConfig(Path(sys.argv[1]), "storage", None, Path(sys.argv[2]))
tokens = Path(sys.argv[3])
keyring = Keyring([config], MemoryPINLatch(), MemoryLeases(), b"secret", SystemClock())
version = version_of(keyring.generate("k", Algorithm.EC_P256, None), Algorithm.EC_P256)
item = to_sign(version, Scheme.ECDSA_P256_SHA256, b"m")

def sign():
    [result] = keyring.sign(version, Scheme.ECDSA_P256_SHA256, [item])
    print(result.code if isinstance(result, Exception) else "signed")

sign()
tokens.rename(tokens.with_name("away"))
sign()
tokens.with_name("away").rename(tokens)
keyring.login_once("storage")
sign()
"""


def test_storage_that_goes_away_is_unavailable_and_comes_back_without_a_restart(
    new_softhsm: Callable[[], SoftHSM],
) -> None:
    softhsm = new_softhsm()
    token = softhsm.token("storage")
    command = [sys.executable, "-c", STORAGE, str(token.module), str(token.pin_file)]
    command += [str(softhsm.tokens_directory), str(Path(__file__).parents[2])]
    done = subprocess.run(
        command, env=softhsm.environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["signed", "hsm-unavailable", "signed"]


PREFORK = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from service.domain.clock import SystemClock
from service.domain.errors import HSMUnavailableError
from service.keyring import Keyring, TokenConfig
from tests.support.keyrings import must_sign
from tests.support.memory import MemoryLeases, MemoryPINLatch

config = TokenConfig(Path(sys.argv[1]), "prefork", None, Path(sys.argv[2]))
keyring = Keyring([config], MemoryPINLatch(), MemoryLeases(), b"secret", SystemClock())

def check_in_children():
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                must_sign(keyring)
            except HSMUnavailableError:
                os._exit(3)
            os._exit(0)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

print(check_in_children())
must_sign(keyring)
print(check_in_children())
must_sign(keyring)
"""


def test_workers_forked_from_a_master_each_get_their_own_unless_the_master_touched_the_token(
    new_softhsm: Callable[[], SoftHSM],
) -> None:
    softhsm = new_softhsm()
    token = softhsm.token("prefork")
    command = [sys.executable, "-c", PREFORK, str(token.module), str(token.pin_file)]
    command.append(str(Path(__file__).parents[2]))
    done = subprocess.run(
        command, env=softhsm.environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[0, 0, 0]", "[3, 3, 3]"]
