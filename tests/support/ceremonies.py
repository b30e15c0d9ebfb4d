"""Rehearses a printed ceremony: every command of the paper, in its order, by a real shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STEP = re.compile(r"^### (?P<title>[0-9.]+ .*)$", re.MULTILINE)


@dataclass(frozen=True)
class Done:
    title: str
    code: int
    out: str
    expected: str

    @property
    def expected_code(self) -> int:
        said = re.search(r"Exit code (\d+)\.", self.expected)
        return 0 if said is None else int(said[1])


def rehearse(paper: str, directory: Path, written: Mapping[str, str]) -> list[Done]:
    """Run the paper's commands, with the paths that the participants would write in.

    One shell runs them all, as one terminal would, and goes on whatever their exit codes are.
    """
    for blank, path in written.items():
        assert blank in paper, blank
        paper = paper.replace(blank, path)
    steps = [
        (title, body, "\n".join(re.findall(r"^```sh\n(.*?)^```", body, re.DOTALL | re.MULTILINE)))
        for title, body in zip(*[iter(STEP.split(paper)[1:])] * 2, strict=True)
    ]
    lines = ["set -u"]
    for number, (_, _, commands) in enumerate(steps):
        file = directory / f"step-{number}"
        # A step ends with its first command that fails, as people would end it.
        joined = " &&\n".join(commands.splitlines()) or ":"
        lines.append(f"{{ {joined}\n}} > {file}.out 2>&1; echo $? > {file}.code")
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(directory)}
    ended = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=directory,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [
        Done(
            title,
            int((directory / f"step-{number}.code").read_text()),
            (directory / f"step-{number}.out").read_text(),
            body.partition("Expected: ")[2],
        )
        for number, (title, body, _) in enumerate(steps)
    ]
