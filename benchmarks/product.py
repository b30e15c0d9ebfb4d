"""The product under load: `sealwright dev` in a state directory of its own, on loopback."""

from __future__ import annotations

import json
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

import urllib3

from benchmarks.ceilings import BenchmarkError, RawToken
from benchmarks.processes import Process, descendants
from service.dev.state import State
from service.dev.token import LABEL, softhsm_module

START_SECONDS: Final = 60.0  # seconds on a quiet machine
STOP_SECONDS: Final = 45.0  # longer than gunicorn's graceful end


@dataclass(frozen=True, slots=True)
class Product:
    pid: int
    address: tuple[str, int]
    registry: str
    """host:port"""
    builder: str
    """A bearer token, as the next one."""
    auditor: str
    key: str
    raw_token: RawToken

    @property
    def host(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"

    def workers(self) -> Sequence[int]:
        """Return gunicorn's workers: the children of its master."""
        running = descendants(self.pid)
        gunicorn = {p.pid for p in running if "gunicorn" in p.command}
        return sorted(p.pid for p in running if p.pid in gunicorn and p.parent in gunicorn)

    def registries(self) -> Sequence[int]:
        return [p.pid for p in descendants(self.pid) if _is_registry(p)]


@contextmanager
def running(state: Path) -> Iterator[Product]:
    """Start the product, and end it.

    Raises:
        BenchmarkError: it does not start.
    """
    command = [str(Path(sys.executable).with_name("sealwright")), "dev"]
    command += ["--state", str(state), "--json"]
    with (state.parent / "dev.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
    try:
        if process.stdout is None:
            raise BenchmarkError("sealwright dev has no output")
        line = _first_line(process.stdout)
        if not line:
            said = (state.parent / "dev.log").read_text(errors="replace")[-2000:]
            raise BenchmarkError(f"sealwright dev did not start:\n{said}")
        yield _product(json.loads(line))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _first_line(output: IO[bytes]) -> bytes:
    """Return the line that says that all is ready, or nothing if it does not come."""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        if not selector.select(START_SECONDS):
            return b""
        return output.readline()


def _product(told: dict[str, object]) -> Product:
    match told:
        case {
            "service": str(url),
            "registries": [str(registry), *_],
            "state": str(state),
            "pid": int(pid),
            "keys": {"image": str(key)},
            "credentials": {"builder": str(builder), "auditor": str(auditor)},
        }:
            service = urlsplit(url)
            auditor_token = Path(auditor).read_text(encoding="ascii")
            return Product(
                pid,
                (service.hostname or "127.0.0.1", service.port or 80),
                registry,
                Path(builder).read_text(encoding="ascii"),
                auditor_token,
                key,
                _raw_token(State(Path(state)), _key_id(url, key, auditor_token)),
            )
        case _:
            raise BenchmarkError("sealwright dev said something else than docs/api.md")


def _raw_token(state: State, key_id: str) -> RawToken:
    """Return the token that dev has made: the raw loop signs with the service's own key."""
    return RawToken(softhsm_module(), state.softhsm_config, LABEL, state.pin_file, key_id)


def _key_id(service: str, key: str, auditor: str) -> str:
    """Return CKA_ID of the key's newest version, in hex."""
    asked = f"{service}/v1/keys/{key}"
    answer = urllib3.request("GET", asked, headers={"Authorization": f"Bearer {auditor}"})
    if answer.status != HTTPStatus.OK:
        raise BenchmarkError(f"GET {asked}: {answer.status} {answer.data[:300]!r}")
    return str(answer.json()["versions"][-1]["cka_id"])


def _is_registry(process: Process) -> bool:
    return "registry" in process.command.partition(" ")[0]
