"""Threads that sign through a keyring while one fault after the other strikes its token.

Arguments: the directory of `Chaos` (as JSON: module, target, directory, tokens by label), and
if not all are wanted, the names of faults. Prints a line of JSON for each: what the callers saw, by outcome, what was
wrong, and the seconds from the end of the fault to the last thread's next signature.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).parents[2]))

from hsm import module as modules
from service.domain.clock import SystemClock
from service.domain.errors import ServiceError
from service.domain.keys import Algorithm, KeyVersion, Scheme
from service.domain.public_keys import PublicKey
from service.keyring import Keyring, TokenConfig, Vigilance
from service.web.problems import retry_after, status_of
from tests.support.chaos import Rules
from tests.support.faults import original
from tests.support.memory import MemoryLeases, MemoryMeter, MemoryPINLatch, MemoryQuarantine
from tests.support.versions import to_sign, version_of
from tests.support.waiting import until

P256 = Scheme.ECDSA_P256_SHA256
THREADS = 4
BATCH = 20  # more than one chunk
CKR = {
    "HOST_MEMORY": 0x02,
    "GENERAL_ERROR": 0x05,
    "FUNCTION_FAILED": 0x06,
    "DEVICE_ERROR": 0x30,
    "DEVICE_REMOVED": 0x32,
    "FUNCTION_CANCELED": 0x50,
    "KEY_HANDLE_INVALID": 0x60,
    "MECHANISM_INVALID": 0x70,
    "OBJECT_HANDLE_INVALID": 0x82,
    "OPERATION_ACTIVE": 0x90,
    "SESSION_CLOSED": 0xB0,
    "SESSION_HANDLE_INVALID": 0xB3,
    "TOKEN_NOT_PRESENT": 0xE0,
    "USER_NOT_LOGGED_IN": 0x101,
    "CRYPTOKI_NOT_INITIALIZED": 0x190,
    "VENDOR": 0x80000113,
    "PIN_LOCKED": 0xA4,
}


@dataclass
class Traffic:
    """Callers that sign one after the other, and note what they see."""

    keyring: Keyring
    version: KeyVersion
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    made: list[float] = field(default_factory=lambda: [0.0] * THREADS)
    """When each thread last got a signature."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(THREADS)]
        for thread in self._threads:
            thread.start()
        self.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait(self) -> float:
        """Wait until each thread gets another signature; return the seconds that took."""
        began = time.monotonic()
        self._until(lambda: min(self.made) > began)
        return max(self.made) - began

    def wait_for(self, outcome: str, *, times: int = 2) -> None:
        """Wait until the threads were told so that many times more."""
        enough = self.outcomes[outcome] + times * THREADS
        self._until(lambda: self.outcomes[outcome] >= enough)

    def _until(self, condition: Callable[[], bool]) -> None:
        until(condition, lambda: self.outcomes, pause=0.002)

    def _run(self, number: int) -> None:
        turn = 0
        while not self._stop.is_set():
            turn += 1
            self._sign(number, BATCH if turn % 5 == 0 else 1)

    def _sign(self, number: int, count: int) -> None:
        messages = [f"{number} {time.monotonic_ns()} {n}".encode() for n in range(count)]
        version = self.version  # a drill may put another in its place at any moment
        items = [to_sign(version, P256, message) for message in messages]
        results = self.keyring.sign(version, P256, items)
        moment = time.monotonic()
        seen = [self._judge(version, *pair) for pair in zip(messages, results, strict=True)]
        with self._lock:
            self.outcomes.update(seen)
            if "made" in seen:
                self.made[number] = moment
        # Callers who have been told to come back wait a little longer; none takes all there is.
        time.sleep(0.002 if "made" in seen else 0.02)

    def _judge(self, version: KeyVersion, message: bytes, result: bytes | ServiceError) -> str:
        if isinstance(result, bytes):
            # Once more, by a key that was parsed for this alone.
            PublicKey.parse(version.public_key).verify(P256, message, result)
            return "made"
        if status_of(result) != 503 or not retry_after(result):
            self.wrong.append(repr(result))
        return result.code


@dataclass
class Drill:
    """What the faults need."""

    given: dict[str, Any]
    rules: Rules = field(init=False)
    latch: MemoryPINLatch = field(default_factory=MemoryPINLatch)
    quarantine: MemoryQuarantine = field(default_factory=MemoryQuarantine)
    meter: MemoryMeter = field(default_factory=MemoryMeter)
    notes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rules = Rules(Path(self.given["rules"]))
        self.module = Path(self.given["module"])

    def keyring(self, label: str) -> Keyring:
        token = self.given["tokens"][label]
        config = TokenConfig(self.module, label, token["serial"], Path(token["pin_file"]))
        leases = MemoryLeases()
        # Others end first, so that this process lives to see its calls come back.
        leases.acquire("hsm-end:drill", owner="another process", seconds=1000)
        vigilance = Vigilance(self.quarantine, leases, "drill", lambda: os._exit(9))
        made = Keyring(
            [config],
            self.latch,
            leases,
            b"secret",
            SystemClock(),
            meter=self.meter,
            vigilance=vigilance,
            call_seconds=1.5,  # no shorter: the machine may stall for a second
        )
        made.start()
        return made

    def elsewhere(self, *words: str, program: str) -> None:
        """Run a program in another process, behind the module that fails."""
        subprocess.run(
            [sys.executable, "-c", program, *words], check=True, cwd=Path(__file__).parents[2]
        )


Fault = Callable[[Drill, Traffic], None]


def injected(code: int) -> Fault:
    def strike(drill: Drill, traffic: Traffic) -> None:
        names = ("C_SignInit", "C_Sign", "C_OpenSession", "C_FindObjectsInit")
        for name in names:
            drill.rules.set(f"{name} {code:#x} 2 0")
            traffic.wait()
        # And so often that no ladder is high enough.
        drill.rules.set(f"C_SignInit {code:#x} 60 0")
        traffic.wait()
        drill.rules.clear()

    return strike


def pin_locked(drill: Drill, traffic: Traffic) -> None:
    drill.rules.set("C_SignInit 0x101 1 0", f"C_Login {CKR['PIN_LOCKED']:#x} -1 0")
    traffic.wait_for("pin-refused", times=3)
    drill.rules.clear()
    drill.notes["latched"] = len(drill.latch.rows)
    [pool] = traffic.keyring.pools
    drill.latch.clear(pool.address.label, actor="custodian")
    drill.notes["state"] = traffic.keyring.login_once(pool.address.label).state


def handle_of_login(traffic: Traffic) -> int:
    """Return the session that holds the login."""
    [pool] = traffic.keyring.pools
    return int(until(lambda: pool._login, pause=0.001).anchor.handle)


def sessions_closed(drill: Drill, traffic: Traffic) -> None:
    close = original(drill.module, "C_CloseSession")
    [pool] = traffic.keyring.pools
    for _ in range(5):
        # Those that nobody is using just now: SoftHSM crashes when one in use is closed.
        with pool._lock:
            for leased in pool._idle:
                close(leased.session.handle)
        close(handle_of_login(traffic))
        traffic.wait()


def logged_out(drill: Drill, traffic: Traffic) -> None:
    for _ in range(3):
        original(drill.module, "C_Logout")(handle_of_login(traffic))
        traffic.wait()


def initialised_again(drill: Drill, traffic: Traffic, *, times: int = 5, wait: bool = True) -> None:
    module = modules.load(drill.module)
    for _ in range(times):
        module.reinit(module.epoch)
        if wait:
            traffic.wait()


def session_limit(drill: Drill, traffic: Traffic) -> None:
    # The sessions that there are go, and no other is to be had.
    drill.rules.set("C_SignInit 0xb3 8 0", "C_OpenSession 0xb1 -1 0")
    traffic.wait_for("hsm-unavailable")
    drill.rules.clear()


def refused_for_good(drill: Drill, traffic: Traffic) -> None:
    drill.rules.set("C_SignInit 0x70 -1 0")
    traffic.wait_for("hsm-refused")
    drill.rules.clear()


def wrong_signatures(drill: Drill, traffic: Traffic) -> None:
    drill.rules.set("C_Sign ! 2 0")
    traffic.wait()
    drill.rules.set("C_Sign ! -1 0")
    traffic.wait_for("signature-check-failed")
    drill.rules.clear()


def slow(drill: Drill, traffic: Traffic) -> None:
    drill.rules.set("C_Sign - 12 200")
    traffic.wait()
    drill.rules.clear()


def frozen(drill: Drill, traffic: Traffic) -> None:
    drill.rules.freeze()
    traffic.wait_for("hsm-quarantined", times=3)
    drill.notes["quarantined"] = bool(drill.quarantine.modules)
    drill.rules.clear()


def forked(drill: Drill, traffic: Traffic) -> None:
    children = []
    for _ in range(12):
        child = os.fork()
        if child == 0:
            item = to_sign(traffic.version, P256, b"m")
            with suppress(BaseException):
                [result] = traffic.keyring.sign(traffic.version, P256, [item])
                os._exit(3 if isinstance(result, ServiceError) and result.retryable else 4)
            os._exit(5)
        children.append(child)
        traffic.wait()
    codes = Counter(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    drill.notes["children"] = {str(code): count for code, count in codes.items()}


KEY_DELETED = """
import sys, contextlib
from pathlib import Path
import hsm
class Gate:
    def is_latched(self, *_): return False
    def latch(self, *_): raise AssertionError
    @contextlib.contextmanager
    def turn(self, *_): yield
address = hsm.TokenAddress(Path(sys.argv[1]), sys.argv[2], None, Path(sys.argv[3]))
hsm.destroy(hsm.TokenPool(address, Gate(), sessions=2), bytes.fromhex(sys.argv[4]))
"""


def key_deleted(drill: Drill, traffic: Traffic) -> None:
    [pool] = traffic.keyring.pools
    address = pool.address
    words = (drill.given["target"], address.label, str(address.pin_file))
    drill.elsewhere(*words, traffic.version.cka_id.hex(), program=KEY_DELETED)
    _wait_for_a_new_key(traffic)


def token_made_anew(drill: Drill, traffic: Traffic) -> None:
    [pool] = traffic.keyring.pools
    label = pool.address.label
    so_pin = Path(drill.given["tokens"][label]["so_pin_file"]).read_text()
    pin = pool.address.pin_file.read_text()
    command = ["softhsm2-util", "--init-token", "--token", label, "--label", label]
    command += ["--so-pin", so_pin, "--pin", pin]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    _wait_for_a_new_key(traffic)


def _wait_for_a_new_key(traffic: Traffic) -> None:
    """The old one is really gone: nothing but a new one helps, and that needs no restart."""
    traffic.wait_for("key-missing-on-token")
    traffic.version = new_version(traffic.keyring)


PIN_CHANGED = """
import sys
from pathlib import Path
from hsm.module import load
from hsm.tokens import find_token
module = load(Path(sys.argv[1]))
with module.use():
    session = find_token(module, sys.argv[2], None).open(rw=True)
    module.login(session, sys.argv[3])
    session.set_pin(sys.argv[3], sys.argv[4])
"""


def pin_changed(drill: Drill, traffic: Traffic) -> None:
    [pool] = traffic.keyring.pools
    pin_file, label = pool.address.pin_file, pool.address.label
    old, new = pin_file.read_text(), "another-pin-4711"
    drill.elsewhere(drill.given["target"], label, old, new, program=PIN_CHANGED)
    traffic.wait()  # the login that there is stands
    # SoftHSM keeps what it has read of a token until then.
    initialised_again(drill, traffic, times=1, wait=False)
    traffic.wait_for("pin-refused")
    drill.notes["latched"] = len(drill.latch.rows)
    pin_file.write_text(new)


FAULTS: dict[str, tuple[str, Fault]] = {
    **{f"CKR_{n}": ("drill", injected(c)) for n, c in CKR.items() if n != "PIN_LOCKED"},
    "CKR_PIN_LOCKED": ("drill", pin_locked),
    "sessions closed": ("drill", sessions_closed),
    "logged out": ("drill", logged_out),
    "module initialised again": ("drill", initialised_again),
    "session limit": ("drill", session_limit),
    "mechanism refused": ("drill", refused_for_good),
    "wrong signatures": ("drill", wrong_signatures),
    "slow": ("drill", slow),
    "fork": ("drill", forked),
    "key deleted": ("drill", key_deleted),
    "token made anew": ("anew", token_made_anew),
    "PIN changed": ("pin", pin_changed),
    "frozen": ("drill", frozen),
}


def new_version(keyring: Keyring) -> KeyVersion:
    return version_of(keyring.generate("k", Algorithm.EC_P256, None), Algorithm.EC_P256)


def main() -> None:
    given = json.loads(sys.argv[1])
    drill = Drill(given)
    keyrings: dict[str, tuple[Keyring, KeyVersion]] = {}
    chosen = sys.argv[2:] or list(FAULTS)
    for name in chosen:
        label, strike = FAULTS[name]
        if label not in keyrings:
            keyring = drill.keyring(label)
            keyrings[label] = (keyring, new_version(keyring))
        keyring, version = keyrings[label]
        drill.notes.clear()
        with Traffic(keyring, version) as traffic:
            strike(drill, traffic)
            back = traffic.wait()
        keyrings[label] = (keyring, traffic.version)
        told = {"fault": name, "outcomes": traffic.outcomes, "wrong": traffic.wrong}
        print(json.dumps({**told, "back": round(back, 3), **drill.notes}), flush=True)
    print(json.dumps({"fault": "", "relogins": drill.meter.figures[RELOGINS]}), flush=True)


RELOGINS = ("sealwright_hsm_relogins_total", "drill")

if __name__ == "__main__":
    main()
