"""One of several processes that log in to a token at the same moment; records what the token said of the PIN.

Arguments: module, label, PIN file, the URL of the store that the processes share, and a log.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from service.domain.clock import SystemClock
from service.domain.errors import ServiceError
from service.keyring import Keyring, TokenConfig
from service.store import Store
from tests.support.faults import CKR_OK, replaced
from tests.support.keyrings import must_sign

CKR_PIN_INCORRECT = 0xA0


def main() -> None:
    module, label, pin_file, url, logins = sys.argv[1:]
    store = Store(url)
    log = os.open(logins, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def make(function: Callable[..., int]) -> Callable[..., int]:
        def call(*arguments: int) -> int:
            returned = function(*arguments)
            # Other codes mean that the token did not come to look at the PIN.
            os.write(log, {CKR_OK: b"right ", CKR_PIN_INCORRECT: b"wrong "}.get(returned, b""))
            return returned

        return call

    keyring = Keyring(
        [TokenConfig(Path(module), label, None, Path(pin_file))],
        store.pins,
        store.leases,
        b"secret",
        SystemClock(),
    )
    said: list[str] = []

    def check() -> None:
        try:
            must_sign(keyring)
        except ServiceError as error:
            said.append(error.code)
        else:
            said.append("ready")

    with replaced(Path(module), "C_Login", make):
        threads = [threading.Thread(target=check) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(" ".join(sorted(set(said))))


main()
