"""`sealwright dev`: ready in one line, restarted in place, gone without a trace."""

from __future__ import annotations

import json
import os
import secrets
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import END_SECONDS, MARK, marked, parent_of, wait_until_gone
from tests.support.product import Product, start_dev, stop_dev


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[str]
    product: Product
    mark: str

    def pids_of(self, *words: str) -> list[int]:
        """Return the parts, children of the supervisor, whose command line has all words."""
        return [
            pid
            for pid, command in marked(self.mark).items()
            if all(word in command for word in words) and parent_of(pid) == self.process.pid
        ]

    def pid_of(self, *words: str) -> int:
        """Return the one such part."""
        found = self.pids_of(*words)
        assert len(found) == 1, marked(self.mark)
        return found[0]


StartDev = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartDev]:
    """Start `sealwright dev`; whatever a test leaves running is ended and must be gone."""
    started: list[Running] = []

    def one(*words: str, state: str = "state", env: dict[str, str] | None = None) -> Running:
        mark = secrets.token_hex(8)
        process, product = start_dev(
            tmp_path / state, *words, env={MARK: mark, "SEALWRIGHT_WORKERS": "1", **(env or {})}
        )
        started.append(Running(process, product, mark))
        return started[-1]

    yield one
    for running in started:
        if running.process.poll() is None:
            assert stop_dev(running.process) == 0
        if running.process.stdout is not None:
            running.process.stdout.close()
        wait_until_gone(running.mark)


def ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + END_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def signs(product: Product, repository: str) -> bool:
    digest = product.images.push_image(repository)
    reference = f"{product.registry}/{repository}@{digest}"
    answer = product.sign(reference)
    assert answer.status == 201, answer.body
    return bool(product.verdict(reference)["verdict"] == "verified")


def test_it_is_ready_with_everything_it_promises_and_ends_without_a_trace(
    start: StartDev,
) -> None:
    running = start()
    product = running.product
    assert product.pid == running.process.pid
    for name in ("builder", "custodian", "custodian-2", "auditor", "admin"):
        file = product.state / "credentials" / name
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text() == file.read_text().strip() != ""
    assert stat.S_IMODE(product.state.stat().st_mode) == 0o700
    purposes = {
        key["name"]: key["purpose"]
        for key in product.call("GET", "/v1/keys", who=None).body["items"]
    }
    assert purposes == {"release": "image", "build": "attestation", "log": "log"}
    assert signs(product, "team/app")
    assert len(marked(running.mark)) > 3
    assert stop_dev(running.process) == 0
    assert marked(running.mark) == {}


def test_nothing_outlives_it_when_it_is_killed(start: StartDev) -> None:
    running = start()
    assert len(marked(running.mark)) > 3
    running.process.kill()
    running.process.wait()
    wait_until_gone(running.mark)


@pytest.mark.parametrize(
    ("words", "path"),
    [
        pytest.param(("gunicorn",), "/healthz", id="gunicorn-master"),
        pytest.param(("sealwright", "worker"), None, id="worker"),
        pytest.param(("serve", "registry.yml"), "/v2/", id="registry"),
    ],
)
def test_a_part_that_is_killed_comes_back_on_its_port(
    start: StartDev, words: tuple[str, ...], path: str | None
) -> None:
    running = start()
    killed = running.pid_of(*words)
    os.kill(killed, signal.SIGKILL)
    until(lambda: killed not in marked(running.mark), "the killed part is still there")
    if path is not None:
        base = running.product.url if path == "/healthz" else f"http://{running.product.registry}"
        until(lambda: ok(base + path), "it does not answer again")
    # There is none for a moment, and the killed one is no longer among them.
    until(lambda: len(running.pids_of(*words)) == 1, "it was not started again")
    assert signs(running.product, "team/again")


def test_two_run_at_once_and_the_same_directory_again_has_the_same_keys(
    start: StartDev,
) -> None:
    first, second = start(state="one"), start(state="two")
    assert first.product.url != second.product.url
    key = first.product.public_key()
    assert second.product.public_key() != key
    digest = first.product.images.push_image("team/kept")
    reference = f"{first.product.registry}/team/kept@{digest}"
    assert first.product.sign(reference).status == 201
    assert stop_dev(first.process) == 0
    assert signs(second.product, "team/other")
    again = start(state="one").product
    assert again.public_key() == key
    assert again.tokens == first.product.tokens
    assert again.registry == first.product.registry
    assert again.verdict(reference)["verdict"] == "verified"


def test_two_may_share_one_database_and_one_token(
    start: StartDev, tmp_path: Path, postgres_url: str
) -> None:
    shared = {"SEALWRIGHT_DATABASE_URL": postgres_url}
    first = start(state="one", env=shared)
    module = next(Path("/usr/lib").glob("**/softhsm/libsofthsm2.so"))
    owned = first.product.state
    second = start(
        *("--module", str(module), "--token", "sealwright-dev"),
        *("--pin-file", str(owned / "secrets" / "user.pin")),
        state="two",
        env={**shared, "SOFTHSM2_CONF": str(owned / "softhsm2.conf")},
    )
    assert second.product.public_key() == first.product.public_key()
    assert signs(first.product, "team/first")
    assert signs(second.product, "team/second")
    seen = second.product.call("GET", "/v1/signatures", who="auditor").body["items"]
    assert len({item["repository"] for item in seen}) == 2


# --- what it refuses ---


def refused(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("sealwright")), "dev", *words]
    return subprocess.run(
        command,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_it_refuses_to_listen_beyond_loopback(tmp_path: Path) -> None:
    done = refused("--state", str(tmp_path / "s"), env={"SEALWRIGHT_BIND": "0.0.0.0:8750"})
    assert done.returncode == 2
    assert "loopback" in done.stderr
    assert done.stdout == ""


def test_one_directory_serves_one_at_a_time(start: StartDev, tmp_path: Path) -> None:
    running = start()
    done = refused("--state", str(running.product.state))
    assert (done.returncode, done.stdout) == (2, "")
    assert "another" in done.stderr
    assert ok(running.product.url + "/healthz")


def test_a_token_is_named_in_full_or_not_at_all(tmp_path: Path) -> None:
    done = refused("--state", str(tmp_path / "s"), "--token", "label")
    assert done.returncode == 2
    assert "--pin-file" in done.stderr


def test_it_ends_at_once_when_it_is_asked_to_before_it_is_ready(tmp_path: Path) -> None:
    mark = secrets.token_hex(8)
    command = [str(Path(sys.executable).with_name("sealwright")), "dev", "--json"]
    process = subprocess.Popen(
        [*command, "--state", str(tmp_path / "state")],
        env={**os.environ, MARK: mark},
        stdout=subprocess.PIPE,
        text=True,
    )
    until((tmp_path / "state" / "lock").exists, "it did not begin")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert (process.returncode, output) == (0, "")
    wait_until_gone(mark)


def test_the_line_is_the_only_output(start: StartDev) -> None:
    running = start()
    assert stop_dev_reading(running) == ""


def stop_dev_reading(running: Running) -> str:
    running.process.send_signal(signal.SIGTERM)
    output, _ = running.process.communicate(timeout=120)
    assert running.process.returncode == 0
    return output


def test_registries_can_be_named_instead_of_its_own(start: StartDev) -> None:
    first = start(state="one")
    second = start("--registry", first.product.registry, state="two")
    assert second.product.registry == first.product.registry
    registries = json.loads((second.product.state / "registries.yaml").read_text())
    assert registries == {"registries": [{"host": first.product.registry, "http": True}]}
    assert signs(second.product, "team/elsewhere")
