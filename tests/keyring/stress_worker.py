"""Threads that sign for some seconds while sessions and logins are taken away from them.

Arguments: module, label, PIN file, seconds, number of threads. Prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from hsm import module as modules
from service.domain.clock import SystemClock
from service.domain.keys import Algorithm, KeyVersion, Scheme
from service.domain.public_keys import public_key
from service.keyring import Keyring, TokenConfig
from tests.support.faults import original
from tests.support.memory import MemoryLeases, MemoryPINLatch
from tests.support.versions import to_sign, version_of

SCHEMES = {
    Algorithm.EC_P256: Scheme.ECDSA_P256_SHA256,
    Algorithm.RSA_2048: Scheme.RSA_PSS_SHA256,
    Algorithm.ED25519: Scheme.ED25519,
}


def main() -> None:
    module, label, pin_file, seconds, threads = sys.argv[1:]
    config = TokenConfig(Path(module), label, None, Path(pin_file))
    keyring = Keyring([config], MemoryPINLatch(), MemoryLeases(), b"secret", SystemClock())
    versions = [version_of(keyring.generate("k", kind, None), kind) for kind in SCHEMES]
    end = time.monotonic() + float(seconds)
    signed, wrong = [0] * int(threads), []

    def run(thread: int) -> None:
        turn = 0
        while time.monotonic() < end:
            turn += 1
            sign(thread, versions[turn % len(versions)], 1 if turn % 2 else 24)

    def sign(thread: int, version: KeyVersion, count: int) -> None:
        scheme = SCHEMES[version.algorithm]
        messages = [f"{thread} {n} {time.monotonic_ns()}".encode() for n in range(count)]
        results = keyring.sign(version, scheme, [to_sign(version, scheme, m) for m in messages])
        for message, result in zip(messages, results, strict=True):
            if not isinstance(result, bytes):
                wrong.append(repr(result))
                continue
            # Once more, by a key that was parsed for this alone.
            public_key.__wrapped__(version.public_key).verify(scheme, message, result)
            signed[thread] += 1

    workers = [threading.Thread(target=run, args=(n,)) for n in range(int(threads))]
    for worker in workers:
        worker.start()
    disturbances = disturb(keyring, Path(module), end)
    for worker in workers:
        worker.join()
    keyring.close()
    print(json.dumps({"signed": signed, "wrong": wrong, "disturbances": disturbances}))


def disturb(keyring: Keyring, path: Path, end: float) -> int:
    """Take away the login, a session, or the whole initialisation, again and again."""
    logout, close = original(path, "C_Logout"), original(path, "C_CloseSession")
    module = modules.load(path)
    [pool] = keyring.pools
    count = 0
    while time.monotonic() < end - 0.5:
        time.sleep(0.1)
        login = pool._login
        if login is None:
            continue
        count += 1
        match count % 3:
            case 0:
                module.reinit(module.epoch)
            case 1:
                with module.use():
                    logout(login.anchor.handle)
            case _:
                with module.use():
                    close(login.anchor.handle)
    return count


main()
