"""Real SoftHSM tokens, in a directory of their own, with random PINs.

The module belongs to the process once it is loaded, so the tests of one process share one token
directory and make tokens with labels of their own in it. A test that would break the module
for others (forks, crashes, storage that goes away) runs in a process that it starts, against
a directory that it owns: `new_softhsm`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from service.keyring import TokenConfig

MODULES = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/pkcs11/libsofthsm2.so"),
    Path("/opt/homebrew/lib/softhsm/libsofthsm2.so"),
)


@dataclass(frozen=True)
class TokenFixture:
    module: Path
    label: str
    serial: str
    pin_file: Path

    @property
    def config(self) -> TokenConfig:
        return TokenConfig(self.module, self.label, self.serial, self.pin_file)


@dataclass
class SoftHSM:
    """A token directory with its SOFTHSM2_CONF."""

    module: Path
    directory: Path
    _tokens: dict[str, TokenFixture] = field(default_factory=dict)

    @property
    def conf(self) -> Path:
        return self.directory / "softhsm2.conf"

    @property
    def tokens_directory(self) -> Path:
        return self.directory / "tokens"

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs to use this directory."""
        return {**os.environ, "SOFTHSM2_CONF": str(self.conf)}

    def token(self, label: str) -> TokenFixture:
        """Return the token of this label, made by a process of its own on first use."""
        if label not in self._tokens:
            pin_file = self.directory / f"{label}.pin"
            command = [sys.executable, "-m", "service.keyring.provision"]
            command += ["--module", str(self.module), "--label", label]
            command += ["--so-pin-file", str(self.directory / f"{label}.so-pin")]
            command += ["--pin-file", str(pin_file)]
            done = subprocess.run(
                command, env=self.environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            serial = json.loads(done.stdout)["serial"]
            self._tokens[label] = TokenFixture(self.module, label, serial, pin_file)
        return self._tokens[label]


def make_softhsm(directory: Path) -> SoftHSM:
    module = next((path for path in MODULES if path.exists()), None)
    assert module is not None, "SoftHSM is not installed (Debian: apt install softhsm2)"
    softhsm = SoftHSM(module, directory)
    softhsm.tokens_directory.mkdir()
    softhsm.conf.write_text(
        f"directories.tokendir = {softhsm.tokens_directory}\n"
        "objectstore.backend = file\n"
        "log.level = ERROR\n"
    )
    return softhsm


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHSM]:
    """The token directory of this process."""
    made = make_softhsm(tmp_path_factory.mktemp("softhsm"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(made.conf))
        yield made


@pytest.fixture
def new_softhsm(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], SoftHSM]:
    """Makes token directories for processes that the test starts."""
    return lambda: make_softhsm(tmp_path_factory.mktemp("softhsm"))
