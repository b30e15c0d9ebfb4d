"""Many threads in one module: the way in which modules crash."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Final

from hsm.conformance.bench import private_key, raw_sign, verifier
from hsm.conformance.results import Found, Verdict
from hsm.tokens import close

if TYPE_CHECKING:
    import pkcs11

    from hsm.conformance.bench import Bench

THREADS: Final = 8
_SIGNATURES: Final = 16  # of each thread, on its own session


def threads(bench: Bench) -> Found:
    """Sign on a session for each thread, without the pool's ladder; every signature is checked."""
    made, scheme = bench.any_key()
    verify = verifier(made.public_key, scheme)
    wrong: Counter[str] = Counter()

    def run(token: pkcs11.Token, number: int) -> None:
        for turn in range(_SIGNATURES):
            try:
                session = token.open()
                try:
                    message = f"{number} {turn}".encode()
                    verify(message, raw_sign(private_key(session, made), scheme, message))
                finally:
                    close(session)
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not happen
                wrong[type(error).__name__] += 1

    with bench.session() as session:
        crowd = [threading.Thread(target=run, args=(session.token, n)) for n in range(THREADS)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
    if wrong:
        counts = ", ".join(f"{count} times {name}" for name, count in wrong.items())
        return Found(Verdict.FAILS, f"of {THREADS * _SIGNATURES} signatures: {counts}")
    return Found(Verdict.WORKS, f"{THREADS} threads, {THREADS * _SIGNATURES} signatures, all right")
