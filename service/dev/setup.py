"""Sets everything up in a state directory and starts the parts, in order.

(1) hold the directory and the ports  (2) the token  (3) the files that the service reads
(4) the registry  (5) the database, its admin and custodians  (6) gunicorn and the worker
(7) other credentials, keys and certificates, through the API  (8) wait until it can sign, or
until it is known that it cannot before a person has decided something.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from service.dev import people
from service.dev.errors import SetupError
from service.dev.parts import Part, Spec, last_words, run_to_end
from service.dev.ports import LOOPBACK, listen, reserve
from service.dev.registry import own_registry
from service.dev.state import State, write_private
from service.dev.stopping import Stop
from service.dev.supervisor import Supervisor
from service.dev.token import Token, own_token

_READY_SECONDS: Final = 60.0  # a machine under load; an idle one needs two
_ANSWER_SECONDS: Final = 2.0
_OK: Final = 200
_FOR_A_PERSON: Final = frozenset({"log-rolled-back"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asked for."""

    state: Path
    port: int = 0
    registries: tuple[str, ...] = ()
    token: Token | None = None


class Setup:
    """One run; `held` keeps sockets and the directory's lock until the end."""

    def __init__(
        self,
        wanted: Wanted,
        base: Mapping[str, str],
        *,
        supervisor: Supervisor,
        stop: Stop,
        held: ExitStack,
    ) -> None:
        self._wanted = wanted
        self._base = base
        self._supervisor = supervisor
        self._stop = stop
        self._held = held
        self._state = State(wanted.state.absolute())

    def hold(self) -> None:
        """Step (1): nobody else's use of this directory from here on."""
        self._held.enter_context(self._state.owned())

    @property
    def logs(self) -> Path:
        return self._state.logs

    def start(self) -> dict[str, Any]:
        """Do the rest, and return what the ready line says.

        Raises:
            SetupError, StoppedError.
        """
        state, wanted = self._state, self._wanted
        service = self._held.enter_context(listen(wanted.port, state.service_port))
        port = service.getsockname()[1]
        registries = wanted.registries
        own = None
        if not registries:
            own = self._held.enter_context(reserve(state.registry_port))
            registries = (f"{LOOPBACK}:{own.getsockname()[1]}",)
        self._stop.check()
        token = wanted.token or own_token(state, self._base)
        self._write_files(registries)
        env = {**self._base, **token.settings(), **self._settings(service)}
        if own is not None:
            self._supervisor.start(own_registry(state, own, self._base), ends_last=True)
        self._stop.check()
        run_to_end(
            [sys.executable, "-m", "service.bootstrap.dev", str(state.credentials)],
            env=env,
            log=state.logs / "setup.log",
        )
        self._stop.check()
        # What the supervisor only holds for its children would block if it were used here.
        served = self._start_part("service", "serve", env, (service.fileno(),))
        self._start_part("worker", "worker", env, ())
        self._wait(port, "/healthz", served)
        people.make_credentials(state, port)
        self._stop.check()
        people.make_keys(state, port, token.label)
        people.make_certificates(state, port, token.label)
        waiting_for = self._wait_for_signing(port, served)
        if own is not None:
            self._wait(own.getsockname()[1], "/v2/", None)
        return {
            "service": f"http://{LOOPBACK}:{port}",
            "registries": list(registries),
            "state": str(state.directory),
            "keys": dict(people.KEYS),
            "credentials": {name: str(state.credential(name)) for name in people.NAMES},
            **({} if waiting_for is None else {"not_ready": waiting_for}),
        }

    def _settings(self, service: socket.socket) -> dict[str, str]:
        state = self._state
        return {
            "SEALWRIGHT_STATE_DIR": str(state.directory),
            "SEALWRIGHT_PIN_LATCH_SECRET_FILE": str(state.secrets / "pin-latch.secret"),
            "SEALWRIGHT_REGISTRIES_FILE": str(state.registries_file),
            "SEALWRIGHT_POLICY_FILE": str(state.policy_file),
            "SEALWRIGHT_BIND": f"fd://{service.fileno()}",
            # The delivery loop is a part of its own, which can die and come back alone.
            "SEALWRIGHT_ROLES": "sign,verify,manage",
            "PYTHONUNBUFFERED": "1",
        }

    def _write_files(self, registries: tuple[str, ...]) -> None:
        entries = [{"host": host, "http": True} for host in registries]
        # JSON is YAML, and needs no library here.
        write_private(self._state.registries_file, json.dumps({"registries": entries}, indent=1))
        policy = {
            "signing": {"allow_tags": True},
            "attesting": {"allow_tags": True},
            "quorum": {"destroyed": 2},
        }
        write_private(self._state.policy_file, json.dumps(policy, indent=1))

    def _start_part(
        self, name: str, verb: str, env: Mapping[str, str], descriptors: tuple[int, ...]
    ) -> Part:
        log = self._state.logs / f"{name}.log"
        return self._supervisor.start(Spec(name, (*_sealwright(), verb), env, log, descriptors))

    def _wait_for_signing(self, port: int, served: Part) -> str | None:
        """Wait until it can sign. Returns what a person has to see to where waiting is of no use."""
        decision: str | None = None

        def settled() -> bool:
            nonlocal decision
            status, content = _get(port, "/readyz?for=sign")
            decision = _decision(content)
            return status == _OK or decision is not None

        self._wait(port, "/readyz?for=sign", served, settled)
        return decision

    def _wait(
        self,
        port: int,
        path: str,
        part: Part | None,
        is_there: Callable[[], bool] | None = None,
    ) -> None:
        """Wait for a 200; a part that ends meanwhile says why in its log."""
        deadline = time.monotonic() + _READY_SECONDS
        while not (is_there() if is_there else _get(port, path)[0] == _OK):
            if part is not None and part.exit_code() is not None:
                raise SetupError(last_words(part.spec.log) + f"\n(more in {part.spec.log})")
            if time.monotonic() > deadline:
                raise SetupError(f"{path} does not answer; see {self._state.logs}")
            self._stop.wait(0.05)
            self._stop.check()


def _get(port: int, path: str) -> tuple[int, bytes]:
    """Return status and body; 0 where nobody answers."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _decision(readiness: bytes) -> str | None:
    """Return what is wrong with a part that no time mends."""
    try:
        parts = json.loads(readiness)["parts"]
    except (ValueError, KeyError, TypeError):
        return None
    return next((part["detail"] for part in parts if part["code"] in _FOR_A_PERSON), None)


def _sealwright() -> tuple[str, ...]:
    """Return how to run our own command with this very interpreter."""
    script = Path(sys.executable).with_name("sealwright")
    if script.exists():
        return (str(script),)
    found = shutil.which("sealwright")
    if found is None:
        raise SetupError("the command `sealwright` is not on PATH")
    return (found,)
