"""Figures of several processes in one directory: added up, kept over deaths, begun anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from service.metrics import retire_dead, wipe
from service.metrics.files import BYTES, KINDS

ROOT = Path(__file__).parents[2]

# Counts once for each line that it reads and answers each; `text` answers with the figures.
PROCESS = """
import os, sys
from pathlib import Path
from service.bootstrap.settings import name_metrics_directory
from service.metrics import PrometheusMeter
from service.ports.metrics import OUTBOX_ORDERS, RELOGINS, REQUEST_SECONDS, Reading

directory = Path(sys.argv[1])
name_metrics_directory(directory)
meter = PrometheusMeter(directory)
meter.count(RELOGINS, "quiet", by=0)
for line in sys.stdin:
    match line.split():
        case ["count", by]:
            meter.count(RELOGINS, "token", by=int(by))
        case ["observe", seconds]:
            meter.observe(REQUEST_SECONDS, float(seconds), "/healthz")
        case ["text"]:
            sys.stdout.write(meter.text([Reading(OUTBOX_ORDERS, ("waiting",), 7)]).decode())
        case ["fork"]:
            if os.fork() == 0:
                meter.count(RELOGINS, "token", by=100)
                os._exit(0)
            os.wait()
    print("END", flush=True)
"""


class Process:
    """A process that counts, and can be killed."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def say(self, line: str) -> list[str]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = []
        while (read := self.process.stdout.readline().rstrip("\n")) != "END":
            assert read, "the process has ended"
            answer.append(read)
        return answer

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def two(tmp_path: Path) -> list[Process]:
    return [Process(tmp_path), Process(tmp_path)]


def relogins(text: list[str]) -> dict[str, float]:
    start = "sealwright_hsm_relogins_total{"
    lines = [line.removeprefix(start) for line in text if line.startswith(start)]
    return {line.partition("}")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_figures_of_processes_are_added_up_and_those_of_the_dead_kept(
    two: list[Process], tmp_path: Path
) -> None:
    first, second = two
    first.say("count 2")
    second.say("count 3")
    first.say("observe 0.02")
    second.say("observe 20")
    text = first.say("text")
    assert relogins(text) == {'token="quiet"': 0, 'token="token"': 5}
    assert "# TYPE sealwright_hsm_relogins_total counter" in text
    assert 'sealwright_outbox_orders{state="waiting"} 7.0' in text
    bucket = 'sealwright_http_request_seconds_bucket{le="%s",route="/healthz"} %s'
    assert bucket % ("0.01", "0.0") in text
    assert bucket % ("0.025", "1.0") in text
    assert bucket % ("+Inf", "2.0") in text
    second.kill()
    assert set(first.say("text")) == set(text)
    before = set(tmp_path.glob("*.db"))
    retire_dead(tmp_path)
    assert set(first.say("text")) == set(text)
    assert len(set(tmp_path.glob("*.db")) - before) == len(KINDS)
    assert not list(tmp_path.glob(f"*_{second.process.pid}.db"))
    retire_dead(tmp_path)
    third = Process(tmp_path)
    third.say("count 10")
    third.kill()
    retire_dead(tmp_path)
    assert relogins(first.say("text"))['token="token"'] == 15
    first.kill()


def test_a_start_forgets_the_dead_and_not_the_living(two: list[Process], tmp_path: Path) -> None:
    first, second = two
    first.say("count 2")
    second.say("count 3")
    second.kill()
    retire_dead(tmp_path)
    third = Process(tmp_path)
    third.say("count 5")
    third.kill()
    wipe(tmp_path)
    assert relogins(first.say("text"))['token="token"'] == 2
    first.kill()


def test_a_forked_child_counts_beside_its_parent(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.say("count 1")
    process.say("fork")
    assert relogins(process.say("text"))['token="token"'] == 101
    process.kill()


def test_a_file_that_was_cut_short_costs_no_more_than_itself(
    two: list[Process], tmp_path: Path
) -> None:
    first, second = two
    first.say("count 2")
    second.say("count 3")
    second.kill()
    broken = tmp_path / f"counter_{second.process.pid}.db"
    broken.write_bytes(broken.read_bytes()[:2])
    retire_dead(tmp_path)
    assert relogins(first.say("text"))['token="token"'] == 2
    first.kill()


def test_the_files_have_disk_blocks_behind_them(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.say("count 1")
    for kind in KINDS:
        made = (tmp_path / f"{kind}_{process.process.pid}.db").stat()
        assert made.st_size == BYTES
        assert made.st_blocks * 512 >= BYTES
    process.kill()
