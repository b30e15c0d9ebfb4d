"""How the demo speaks, and how it fails."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


class DemoFailure(Exception):  # noqa: N818 -- it is what the demo's reader sees
    """A step did not do what it should."""


def say(step: str, words: str) -> None:
    print(f"{step:<10} {words}", flush=True)


def check(condition: bool, failure: str) -> None:
    if not condition:
        raise DemoFailure(failure)


def run(
    command: Sequence[str], env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)
