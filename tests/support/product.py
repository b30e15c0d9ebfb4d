"""The whole product as `sealwright dev` starts it, and a small client that hides nothing."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
import urllib3

from service.domain.digests import Digest
from tests.support.processes import descendants
from tests.support.registry import DockerRegistry

START_SECONDS = 120.0
LOOKS_SECONDS = 90.0  # the looks end after some twelve seconds


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any


class RunningRegistry(DockerRegistry):
    """A docker-registry that somebody else started: to push to and to look into."""

    def __init__(self, host: str) -> None:
        super().__init__(Path())
        self._host = host

    @property
    def host(self) -> str:
        return self._host


@dataclass(frozen=True)
class Product:
    """A running product: where it is, and who may call it."""

    url: str
    registry: str
    state: Path
    pid: int
    tokens: Mapping[str, str]

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        who: str | None = "builder",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = dict(headers or {})
        if who is not None:
            sent["Authorization"] = f"Bearer {self.tokens[who]}"
        content = None
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = urllib3.request(
            method, self.url + path, body=content, headers=sent, timeout=60.0, retries=False
        )
        text = answer.data.decode()
        kind = answer.headers.get("Content-Type", "")
        return Answer(answer.status, answer.headers, json.loads(text) if "json" in kind else text)

    def sign(self, *references: str, **fields: object) -> Answer:
        headers = {}
        key = fields.pop("idempotency_key", None)
        if key is not None:
            headers["Idempotency-Key"] = str(key)
        images = [{"reference": reference} for reference in references]
        return self.call("POST", "/v1/signatures", {"images": images, **fields}, headers=headers)

    def verdict(self, reference: str) -> dict[str, Any]:
        answer = self.call("POST", "/v1/verifications", {"images": [{"reference": reference}]})
        assert answer.status == 200, answer.body
        return dict(answer.body["results"][0])

    def left_alone(self, digest: Digest) -> None:
        """Wait until the service looks no more after what it attached to this manifest.

        Whoever changes that at the registry before may find it put back a moment later.
        """
        path = "/v1/outbox?state=waiting&limit=500"
        deadline = time.monotonic() + LOOKS_SECONDS
        while any(
            order["digest"] == str(digest)
            for order in self.call("GET", path, who="auditor").body["items"]
        ):
            assert time.monotonic() < deadline, f"still looking after {digest}"
            time.sleep(0.2)

    @property
    def images(self) -> RunningRegistry:
        return RunningRegistry(self.registry)

    def public_key(self, name: str = "release") -> str:
        return str(self.call("GET", f"/v1/keys/{name}/public-key", who=None).body)


def dev_environment(product: Product) -> dict[str, str]:
    """Return the settings under which the product's own worker runs, bind address aside."""
    for pid in descendants(product.pid):
        entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        env = dict(entry.split("=", 1) for entry in entries if "=" in entry)
        if "SEALWRIGHT_STATE_DIR" in env:
            env.setdefault(
                "SEALWRIGHT_DATABASE_URL", f"sqlite:///{product.state / 'sealwright.db'}"
            )
            return {
                name: value
                for name, value in env.items()
                if name.startswith(("SEALWRIGHT_", "SOFTHSM2_"))
            }
    raise AssertionError("nothing of the product is running")


def start_dev(
    state: Path, *words: str, env: Mapping[str, str] | None = None
) -> tuple[subprocess.Popen[str], Product]:
    """Start `sealwright dev` and wait for its line."""
    command = [
        str(Path(sys.executable).with_name("sealwright")),
        "dev",
        "--state",
        str(state),
        "--json",
        *words,
    ]
    with (state.parent / f"{state.name}.stderr").open("w") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **(env or {})},
        )
    assert process.stdout is not None
    line = _first_line(process.stdout, process)
    if not line:
        process.kill()
        process.wait()
        told = (state.parent / f"{state.name}.stderr").read_text()
        raise AssertionError(f"sealwright dev did not start:\n{told}")
    ready = json.loads(line)
    tokens = {name: Path(file).read_text() for name, file in ready["credentials"].items()}
    return process, Product(
        ready["service"], ready["registries"][0], Path(ready["state"]), ready["pid"], tokens
    )


def _first_line(stream: IO[str], process: subprocess.Popen[str]) -> str:
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if selector.select(0.2):
                return stream.readline()
            if process.poll() is not None:
                return ""
    return ""


def stop_dev(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=120)
    if process.stdout is not None:
        process.stdout.close()
    return code


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    process, started = start_dev(tmp_path_factory.mktemp("product") / "state")
    yield started
    assert stop_dev(process) == 0
