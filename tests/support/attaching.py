"""Runs several attaching processes at once (see `tests.support.attach_process`)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from service.domain.digests import Digest
from service.domain.references import Repository
from tests.support.oci import entry, registries_file

ROOT = Path(__file__).parents[2]


def run(
    directory: Path, repository: Repository, subject: Digest, work: dict[str, list[list[str]]]
) -> None:
    """Run a process for each list of names, all at once, and wait for their good end."""
    registries = registries_file(directory, entry(repository.host))
    common = [str(registries), repository.host, repository.path, subject.hex]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.attach_process", mode, *common, *own],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for mode, lists in work.items()
        for own in lists
    ]
    for one in started:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in started:
        _, errors = one.communicate()
        assert one.returncode == 0, errors
