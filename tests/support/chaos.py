"""SoftHSM behind a module of our own that fails as a file says: `chaos.c`, built here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.softhsm import SoftHSM, TokenFixture, make_softhsm

SOURCE = Path(__file__).with_suffix(".c")
EVER = -1
FROZEN_MILLISECONDS = 600_000


class Rules:
    """What the module in front does, for every process that has it loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def set(self, *rules: str) -> None:
        """Replace all rules: `NAME CODE TIMES MILLISECONDS` each, as chaos.c explains."""
        fresh = self.file.with_name(f".{self.file.name}.{os.getpid()}")
        fresh.write_text("".join(f"{rule}\n" for rule in rules))
        fresh.replace(self.file)

    def freeze(self, name: str = "*") -> None:
        self.set(f"{name} - {EVER} {FROZEN_MILLISECONDS}")

    def clear(self) -> None:
        self.set()


@dataclass(frozen=True)
class Chaos:
    """A SoftHSM directory behind the module, for processes that the test starts."""

    module: Path
    softhsm: SoftHSM

    @property
    def rules(self) -> Rules:
        return Rules(self.softhsm.directory / "chaos")

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            **self.softhsm.environment,
            "CHAOS_TARGET": str(self.softhsm.module),
            "CHAOS_CONTROL": str(self.rules.file),
        }

    def token(self, label: str) -> TokenFixture:
        made = self.softhsm.token(label)
        return TokenFixture(self.module, made.label, made.serial, made.pin_file)


@pytest.fixture(scope="session")
def chaos_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler is not None, "not installed: scripts/system-packages test (a C compiler)"
    built = tmp_path_factory.mktemp("chaos") / "chaos.so"
    options = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([compiler, *options, "-o", built, SOURCE, "-ldl"], check=True)
    return built


@pytest.fixture
def chaos(chaos_module: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Chaos]:
    """Makes directories of their own, with no rules yet."""

    def make() -> Chaos:
        made = Chaos(chaos_module, make_softhsm(tmp_path_factory.mktemp("softhsm")))
        made.rules.clear()
        return made

    return make
