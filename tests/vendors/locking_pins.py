"""Processes that log in to a token which locks itself after three wrong PINs.

Arguments: module, label, the file with the right PIN, an empty directory, and the URL of a store.
Prints one line of JSON for each round: what the processes told, and the flags by which the token counts wrong PINs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import hsm
from service.domain.clock import SystemClock
from service.keyring import Keyring, TokenConfig
from service.store import Store

WORKER = Path(__file__).parents[1] / "keyring" / "login_worker.py"
PROCESSES = 5
COUNTS = ("user_pin_count_low", "user_pin_final_try", "user_pin_locked")


def main() -> None:
    module, label, right, directory, url = sys.argv[1:]
    logins = Path(directory) / "logins"
    pin_file = Path(directory) / "configured.pin"

    def report(name: str, said: list[str]) -> None:
        [slot] = [each for each in hsm.slots(Path(module)) if each.label == label]
        flags = [flag for flag in slot.flags if flag in COUNTS]
        print(json.dumps({"round": name, "said": said, "flags": flags}))

    def attempt(name: str, pin: str) -> None:
        pin_file.write_text(pin)
        command = [sys.executable, str(WORKER), module, label, str(pin_file), url, str(logins)]
        workers = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)
        ]
        report(name, [worker.communicate(timeout=60)[0].strip() for worker in workers])

    attempt("wrong", "00000000")
    attempt("the same again", "00000000")
    attempt("another wrong one", "11110000")
    attempt("a third", "22220000")
    attempt("the right one", Path(right).read_text())
    store = Store(url)
    keyring = Keyring(
        [TokenConfig(Path(module), label, None, pin_file)],
        store.pins,
        store.leases,
        b"secret",
        SystemClock(),
    )
    report("a custodian", [keyring.login_once(label).state])
    attempt("the right one again", Path(right).read_text())
    keyring.close()
    store.close()


main()
