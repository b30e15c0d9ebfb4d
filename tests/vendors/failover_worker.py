"""Threads that sign with one key on two clones of its token: the first remote, the second local.

Arguments: the two modules, label, serial, PIN file. Reads one command a line and answers each
with a line of JSON: `make` makes the key, before there is a second clone; `go` starts the threads;
`count` tells what each clone has signed so far; `stop` ends the threads and tells what went wrong;
`destroy` destroys the key on both and tells the error, if any; `look` tells which clones hold it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from service.domain.errors import ServiceError
from service.domain.keys import Algorithm, KeyVersion, Scheme
from service.domain.public_keys import PublicKey
from service.keyring import Keyring, TokenConfig
from service.ports.metrics import FAILOVERS, SIGNATURES
from tests.support.keyrings import Keyrings
from tests.support.versions import to_sign, version_of

THREADS = 4
P256 = Scheme.ECDSA_P256_SHA256


class Load:
    def __init__(self, keyring: Keyring, version: KeyVersion) -> None:
        self.keyring = keyring
        self.version = version
        self.stopping = threading.Event()
        self.wrong: list[str] = []
        self.slowest = 0.0
        self.requests = 0
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(THREADS)]
        for thread in self.threads:
            thread.start()

    def run(self, number: int) -> None:
        judge = PublicKey.parse(self.version.public_key)
        turn = 0
        while not self.stopping.is_set():
            turn += 1
            messages = [f"{number} {turn} {n}".encode() for n in range(1 if turn % 2 else 20)]
            items = [to_sign(self.version, P256, message) for message in messages]
            began = time.monotonic()
            results = self.keyring.sign(self.version, P256, items)
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.requests += 1
            for message, result in zip(messages, results, strict=True):
                if isinstance(result, bytes):
                    judge.verify(P256, message, result)
                else:
                    self.wrong.append(f"{type(result).__name__}: {result}")

    def stop(self) -> dict[str, Any]:
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        return {"wrong": self.wrong, "requests": self.requests, "slowest": self.slowest}


class Commands:
    """One method a command."""

    def __init__(self, tokens: list[TokenConfig]) -> None:
        self.keyrings = Keyrings()
        self.tokens = tokens
        self.version: KeyVersion
        self.load: Load

    def make(self) -> dict[str, Any]:
        made = self.keyrings(self.tokens[:1]).generate("k", Algorithm.EC_P256, None)
        self.version = version_of(made, Algorithm.EC_P256)
        return {}

    def go(self) -> dict[str, Any]:
        self.load = Load(self.keyrings(self.tokens), self.version)
        return {}

    def count(self) -> dict[str, Any]:
        figures = self.keyrings.meter.figures
        signed = {
            token.name: figures[f"{SIGNATURES.name}_total", token.name, "made"]
            for token in self.tokens
        }
        return {**signed, "failovers": figures[f"{FAILOVERS.name}_total", "first"]}

    def stop(self) -> dict[str, Any]:
        return self.load.stop()

    def destroy(self) -> dict[str, Any]:
        try:
            self.keyrings(self.tokens).destroy(self.version)
        except ServiceError as error:
            return {"error": error.code}
        return {}

    def look(self) -> dict[str, Any]:
        answer = {}
        for token in self.tokens:
            item = to_sign(self.version, P256, b"m")
            [result] = self.keyrings([token]).sign(self.version, P256, [item])
            answer[token.name] = "signs" if isinstance(result, bytes) else result.code
        return answer


def main() -> None:
    first, second, label, serial, pin_file = sys.argv[1:]
    commands = Commands(
        [
            TokenConfig(Path(module), label, serial, Path(pin_file), name=name)
            for module, name in ((first, "first"), (second, "second"))
        ]
    )
    for line in sys.stdin:
        print(json.dumps(getattr(commands, line.strip())()), flush=True)
    commands.keyrings.closing.close()


main()
