"""Runs commands as a shell would, against a service that listens."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.cli.main import run
from service.client import retries
from service.domain.callers import Role
from tests.support.edge import Listening


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Shell = Callable[..., Ended]


@pytest.fixture
def shell(
    listening: Listening,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shell:
    """Returns a function that runs one command with the credential of a role."""
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(retries, "MAX_WAIT_SECONDS", 0.001)
    monkeypatch.setenv("SEALWRIGHT_URL", listening.url)
    monkeypatch.delenv("SEALWRIGHT_DEBUG", raising=False)

    def command(
        *arguments: str, role: Role | None = Role.BUILDER, token: str | None = None
    ) -> Ended:
        monkeypatch.delenv("SEALWRIGHT_TOKEN_FILE", raising=False)
        if role is not None:
            file = tmp_path / f"{role}.token"
            file.write_text(token or listening.world.bearer[role])
            monkeypatch.setenv("SEALWRIGHT_TOKEN_FILE", str(file))
        capsys.readouterr()
        code = run(arguments)
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return command
