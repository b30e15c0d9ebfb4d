"""One key on two clones: the first in the file signs whenever it is well, and nobody notices."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.softhsm import make_softhsm
from tests.support.vendors import ROOT, kit_vendor

WORKER = Path(__file__).with_name("failover_worker.py")
WAIT_SECONDS = 60.0
ENOUGH = 40  # signatures that show who signs


class Worker:
    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def until_more(self, name: str) -> dict[str, Any]:
        """Wait until this clone has signed some more."""
        deadline = time.monotonic() + WAIT_SECONDS
        before = self.ask("count")
        while (now := self.ask("count"))[name] < before[name] + ENOUGH:
            assert time.monotonic() < deadline, now
            time.sleep(0.02)
        return now

    def until_told(self, command: str, wanted: dict[str, Any]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while (told := self.ask(command)) != wanted:
            assert time.monotonic() < deadline, told
            time.sleep(0.05)

    def until_alone(self, name: str, other: str) -> None:
        """Wait until this clone signs and the other does not: what it had begun soon ends."""
        deadline = time.monotonic() + WAIT_SECONDS
        before = self.ask("count")
        while (now := self.until_more(name))[other] != before[other]:
            assert time.monotonic() < deadline, now
            before = now


def test_a_clone_takes_over_and_hands_back_without_a_failed_request(tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    (tmp_path / "local").mkdir()
    with kit_vendor(tmp_path / "remote") as (remote, server):
        local = make_softhsm(tmp_path / "local")
        token = server.softhsm.token("remote")
        arguments = [str(remote.module), str(local.module), token.label, token.serial]
        environment = {**remote.environment, "SOFTHSM2_CONF": str(local.conf)}
        worker = Worker([*arguments, str(token.pin_file)], environment)
        try:
            worker.ask("make")
            local.tokens_directory.rmdir()
            shutil.copytree(server.softhsm.tokens_directory, local.tokens_directory)
            worker.ask("go")
            counts = worker.until_more("first")
            assert (counts["second"], counts["failovers"]) == (0, 0)
            for _ in range(3):
                server.kill()
                worker.until_more("second")
                server.start()
                worker.until_more("first")
                worker.until_alone("first", "second")
            assert worker.ask("count")["failovers"] > 0
            ended = worker.ask("stop")
            assert ended["wrong"] == []
            assert ended["requests"] > 0
            # Destroyed on both or on neither.
            server.kill()
            assert worker.ask("destroy") == {"error": "hsm-unavailable"}
            server.start()
            both = {"first": "signs", "second": "signs"}
            worker.until_told("look", both)
            assert worker.ask("destroy") == {}
            assert set(worker.ask("look").values()) == {"key-missing-on-token"}
            assert worker.ask("destroy") == {}
        finally:
            worker.process.kill()
            worker.process.communicate()
